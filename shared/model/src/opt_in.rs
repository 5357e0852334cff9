//! What a volunteer agrees to beyond the consent that every agent needs.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Something that an agent does only after its volunteer said so, each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptIn {
    /// Handshakes with OpenVPN servers.
    Openvpn,
    /// Handshakes with WireGuard servers.
    Wireguard,
    /// Handshakes with Tor relays and bridges.
    Tor,
    /// Handshakes through proxies.
    Proxy,
    /// Visits to the web interfaces of VPN providers.
    VpnApi,
}

impl OptIn {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Openvpn, Self::Wireguard, Self::Tor, Self::Proxy, Self::VpnApi];

    /// Returns the name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Openvpn => "openvpn",
            Self::Wireguard => "wireguard",
            Self::Tor => "tor",
            Self::Proxy => "proxy",
            Self::VpnApi => "vpn_api",
        }
    }
}

impl fmt::Display for OptIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OptIn {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|opt_in| opt_in.as_str() == text);
        known.copied().ok_or_else(|| format!("nothing to opt in to is called {text:?}"))
    }
}
