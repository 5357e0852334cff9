//! What an agent runs.

use crate::{OptIn, ProtocolClass, Target, TaskToken};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A kind of check. Agents announce the kinds they know; only announced ones are scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// DNS, TCP, TLS and HTTP to a URL, step by step, ending at the first layer that fails.
    #[default]
    Web,
    /// DNS, a QUIC handshake and one HTTP/3 request to an `https` URL.
    Quic,
    /// The beginning of a URL's body, timed, and then the list's control URL's through the same line.
    Throughput,
    /// Probes of limited reach on the way to a URL's address: who is on it, and where a name is interfered with.
    Path,
    /// An OpenVPN handshake, up to the server's first TLS bytes.
    Openvpn,
    /// A WireGuard handshake.
    Wireguard,
    /// A Tor relay's link protocol, directly or behind obfs4.
    Tor,
    /// A SOCKS5 or HTTPS proxy, and a TLS handshake through it.
    Proxy,
    /// The steps of `web` to a VPN provider's interface.
    VpnApi,
    /// The endpoints of WhatsApp's programs, and its web page.
    Whatsapp,
    /// Telegram's access points, and its web page.
    Telegram,
    /// The endpoints of Signal's programs, and its web page.
    Signal,
    /// The endpoints of Facebook Messenger's programs, and its web page.
    Messenger,
    /// Discriminating retries of a `web` measurement that went wrong: which thing is blocked. Never a routine.
    Diagnose,
    /// What the vantage point's own line is like, by the list's canaries. Never a routine: the agent runs it by itself.
    Selfcheck,
}

impl CheckKind {
    /// Returns the kind's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Quic => "quic",
            Self::Throughput => "throughput",
            Self::Path => "path",
            Self::Openvpn => "openvpn",
            Self::Wireguard => "wireguard",
            Self::Tor => "tor",
            Self::Proxy => "proxy",
            Self::VpnApi => "vpn_api",
            Self::Whatsapp => "whatsapp",
            Self::Telegram => "telegram",
            Self::Signal => "signal",
            Self::Messenger => "messenger",
            Self::Diagnose => "diagnose",
            Self::Selfcheck => "selfcheck",
        }
    }

    /// Returns the most that one run is expected to cost on the wire in both directions, its own upload included.
    #[must_use]
    pub const fn expected_bytes(self, depth: Depth) -> u64 {
        match (self, depth) {
            (Self::Web | Self::VpnApi, Depth::Light) => 10_000,
            // Initial packets are padded to 1,200 bytes in both directions, and certificates are not compressed.
            (Self::Quic, Depth::Light) => 25_000,
            (Self::Web | Self::Quic | Self::VpnApi, Depth::Full) => 60_000,
            (Self::Diagnose, _) => 100_000,
            // A handshake, at most a second one over IPv6, and the head of a plain page.
            (Self::Selfcheck, _) => 20_000,
            (Self::Throughput, _) => 900_000,
            (Self::Path, _) => 60_000,
            // Two to five TLS handshakes, and a dozen connections that carry next to nothing.
            (Self::Whatsapp | Self::Telegram | Self::Signal | Self::Messenger, _) => 40_000,
            // Two or three retries of small datagrams; a certificate is read only where it follows at once.
            (Self::Openvpn, _) => 12_000,
            (Self::Wireguard, _) => 4_000,
            // obfs4 pads its handshake with up to 8 KB on each side, and Tor's certificates follow.
            (Self::Tor, _) => 35_000,
            // Two TLS handshakes, one within the other.
            (Self::Proxy, _) => 20_000,
        }
    }

    /// Returns the least time between two routine runs of one target on one agent, whatever a list says.
    #[must_use]
    pub const fn least_interval(self) -> Duration {
        match self {
            Self::Web | Self::Quic => Duration::from_secs(30),
            // A download costs as much as ninety light checks.
            Self::Throughput | Self::Diagnose => Duration::from_secs(3600),
            Self::Selfcheck => Duration::from_secs(300),
            // Where a censor sits changes slowly, and each run sends the name to the censor several times.
            Self::Path => Duration::from_secs(6 * 3600),
            Self::Whatsapp | Self::Telegram | Self::Signal | Self::Messenger => Duration::from_secs(300),
            // A home that knocks at such hosts often stands out.
            Self::Openvpn | Self::Wireguard | Self::Tor | Self::Proxy | Self::VpnApi => {
                Duration::from_secs(600)
            }
        }
    }

    /// Says whether a schedule may hold it; what it may not is done only when asked for, as a confirmation.
    #[must_use]
    pub const fn is_routine(self) -> bool {
        !matches!(self, Self::Diagnose | Self::Selfcheck)
    }

    /// Says whether only `https` targets can be measured by it.
    #[must_use]
    pub const fn needs_https(self) -> bool {
        matches!(
            self,
            Self::Quic | Self::VpnApi | Self::Whatsapp | Self::Telegram | Self::Signal | Self::Messenger
        )
    }

    /// Says whether it measures a way around censorship.
    #[must_use]
    pub const fn is_circumvention(self) -> bool {
        matches!(self, Self::Openvpn | Self::Wireguard | Self::Tor | Self::Proxy | Self::VpnApi)
    }

    /// Returns what a volunteer must have agreed to, beside the consent to everything else.
    #[must_use]
    pub const fn opt_in(self) -> Option<OptIn> {
        match self {
            Self::Openvpn => Some(OptIn::Openvpn),
            Self::Wireguard => Some(OptIn::Wireguard),
            Self::Tor => Some(OptIn::Tor),
            Self::Proxy => Some(OptIn::Proxy),
            Self::VpnApi => Some(OptIn::VpnApi),
            _ => None,
        }
    }

    /// Says whether it can measure a target: endpoints are for the check that speaks their protocol, and only for it.
    #[must_use]
    pub fn accepts(self, target: &Target) -> bool {
        let class = target.endpoint().map(|endpoint| endpoint.class());
        match self {
            Self::Openvpn => matches!(class, Some(ProtocolClass::OpenvpnUdp | ProtocolClass::OpenvpnTcp)),
            Self::Wireguard => class == Some(ProtocolClass::Wireguard),
            Self::Tor => matches!(class, Some(ProtocolClass::Tor | ProtocolClass::Obfs4)),
            Self::Proxy => matches!(class, Some(ProtocolClass::Socks5 | ProtocolClass::HttpsProxy)),
            other => class.is_none() && (target.is_https() || !other.needs_https()),
        }
    }

    /// Returns under which heading a result may become public, if the check measures a way around censorship. Nothing
    /// else of such a result is for the public: neither the host nor its operator.
    #[must_use]
    pub fn protocol_class(self, target: &Target) -> Option<ProtocolClass> {
        match self {
            Self::VpnApi => Some(ProtocolClass::VpnApi),
            kind if kind.is_circumvention() => target.endpoint().map(|endpoint| endpoint.class()),
            _ => None,
        }
    }
}

impl fmt::Display for CheckKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CheckKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "web" => Ok(Self::Web),
            "quic" => Ok(Self::Quic),
            "throughput" => Ok(Self::Throughput),
            "path" => Ok(Self::Path),
            "openvpn" => Ok(Self::Openvpn),
            "wireguard" => Ok(Self::Wireguard),
            "tor" => Ok(Self::Tor),
            "proxy" => Ok(Self::Proxy),
            "vpn_api" => Ok(Self::VpnApi),
            "whatsapp" => Ok(Self::Whatsapp),
            "telegram" => Ok(Self::Telegram),
            "signal" => Ok(Self::Signal),
            "messenger" => Ok(Self::Messenger),
            "diagnose" => Ok(Self::Diagnose),
            "selfcheck" => Ok(Self::Selfcheck),
            other => Err(format!("unknown check {other:?}")),
        }
    }
}

/// How much of a check is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// System DNS, one address, TLS, the head of the page.
    #[default]
    Light,
    /// The public resolvers too, and redirects followed.
    Full,
}

/// Why a measurement was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The schedule's own cadence.
    #[default]
    Routine,
    /// The detector asked for it.
    Confirmation,
}

/// One thing an agent is asked to do: a check of a target, under a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What is run.
    pub check: CheckKind,
    /// Against what; always a target of the signed list.
    pub target: Target,
    /// How much of it.
    pub depth: Depth,
    /// The token that the result carries.
    pub token: TaskToken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read_as_it_is_written() {
        for kind in
            [CheckKind::Web, CheckKind::Quic, CheckKind::Throughput, CheckKind::Path, CheckKind::Diagnose]
        {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        for kind in [CheckKind::Whatsapp, CheckKind::Telegram, CheckKind::Signal, CheckKind::Messenger] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert!(kind.needs_https());
        }
        assert!("scan".parse::<CheckKind>().is_err());
    }

    #[test]
    fn each_way_around_censorship_is_read_as_it_is_written_and_has_its_opt_in() {
        use CheckKind::{Openvpn, Proxy, Tor, VpnApi, Wireguard};
        let kinds = [Openvpn, Wireguard, Tor, Proxy, VpnApi];
        for (kind, opt_in) in kinds.into_iter().zip(OptIn::ALL) {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert!(kind.is_circumvention());
            assert_eq!(kind.opt_in(), Some(*opt_in));
            assert_eq!(opt_in.as_str().parse(), Ok(*opt_in));
        }
        assert!(!CheckKind::Web.is_circumvention() && CheckKind::Web.opt_in().is_none());
    }
}
