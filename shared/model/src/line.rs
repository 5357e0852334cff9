//! What a vantage point's own line looks like: facts of a `selfcheck`, and what the signed list gives it to look with.

use crate::{Asn, Target};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What a selfcheck may look at beside the canaries, by the signed list. Nobody is named in the code: who answers such
/// questions learns of every line that asks them, so operators choose.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineProbes {
    /// A URL whose host's address is that of whoever asks for it: the resolver that the outside sees. The host is only
    /// resolved, never visited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whoami: Option<Target>,
    /// A site that only filters hide which a subscriber ordered, such as a filter's own test page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_canary: Option<Target>,
}

impl LineProbes {
    /// Says whether there is nothing beside the canaries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Lists what it names.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.whoami.iter().chain(&self.filter_canary)
    }
}

/// A network that is large enough to be nobody's own: a /24, or a /48 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WideNetwork(IpAddr);

impl WideNetwork {
    /// Returns the network that an address lies in; the rest of the address is dropped.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8))),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80))),
        })
    }

    /// Returns its first address.
    #[must_use]
    pub const fn first(self) -> IpAddr {
        self.0
    }
}

impl fmt::Display for WideNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, if self.0.is_ipv4() { 24 } else { 48 })
    }
}

impl FromStr for WideNetwork {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.split_once('/').and_then(|(address, _)| address.parse::<IpAddr>().ok());
        let network = address.map(Self::of).filter(|network| network.to_string() == text);
        network.ok_or_else(|| format!("{:?} is no /24 and no /48", text.chars().take(60).collect::<String>()))
    }
}

impl Serialize for WideNetwork {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WideNetwork {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Which resolver the outside sees when the system's resolver is asked.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeenResolver {
    /// Nobody was asked, or nobody said.
    #[default]
    Untold,
    /// One in the volunteer's own neighbourhood, or one that cannot be told from it: nothing more is said.
    Masked,
    /// One in a network that is not hers.
    In {
        /// The network, never the address.
        network: WideNetwork,
        /// The operator's number, which the coordinator looks up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asn: Option<Asn>,
    },
}

/// Whether a filter stands on the line that its subscriber ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum LineFilter {
    /// Nothing was tried, or what was tried says nothing.
    #[default]
    Untold,
    /// What only such filters hide can be reached.
    Absent,
    /// It is denied, or somebody else answers in its place.
    Present,
}

impl LineFilter {
    /// Returns the name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untold => "untold",
            Self::Absent => "absent",
            Self::Present => "present",
        }
    }
}

impl FromStr for LineFilter {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Untold, Self::Absent, Self::Present];
        let named = all.into_iter().find(|state| state.as_str() == text);
        named.ok_or_else(|| {
            format!("unknown state of a filter {:?}", text.chars().take(40).collect::<String>())
        })
    }
}

/// Whether IPv6 works on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Ipv6 {
    /// Nothing was tried over IPv6.
    #[default]
    Untried,
    /// The machine has no public IPv6 address.
    Absent,
    /// A canary was reached over IPv6.
    Works,
    /// The machine has a public IPv6 address, and what answers over IPv4 does not over IPv6.
    Broken,
}

impl Ipv6 {
    /// Returns the name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untried => "untried",
            Self::Absent => "absent",
            Self::Works => "works",
            Self::Broken => "broken",
        }
    }
}

impl FromStr for Ipv6 {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Untried, Self::Absent, Self::Works, Self::Broken];
        let named = all.into_iter().find(|state| state.as_str() == text);
        named.ok_or_else(|| format!("unknown state of IPv6 {:?}", text.chars().take(40).collect::<String>()))
    }
}

/// What a selfcheck showed of the line, beside its steps.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LineFact {
    /// A canary was reached and proved who it is.
    pub is_up: bool,
    /// No canary proved who it is, and plain HTTP to one was answered by somebody else.
    pub is_portal: bool,
    /// Traffic leaves through a tunnel of this machine.
    pub is_vpn: bool,
    /// Traffic leaves through a phone or a modem at this machine.
    pub is_metered: bool,
    /// Whether IPv6 works.
    pub ipv6: Ipv6,
    /// How far the agent's clock is ahead of the canary's, milliseconds; absent where nobody said the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// Which resolver the outside sees.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resolver: SeenResolver,
    /// Whether a filter of the subscriber's own choice stands on the line.
    #[serde(default, skip_serializing_if = "is_default")]
    pub filter: LineFilter,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_keeps_nothing_of_an_address_that_could_name_a_home() {
        let network = |text: &str| WideNetwork::of(text.parse().expect("an address")).to_string();
        assert_eq!(network("203.82.48.77"), "203.82.48.0/24");
        assert_eq!(network("::ffff:203.82.48.77"), "203.82.48.0/24");
        assert_eq!(network("2400:adc5:1f:4400::7"), "2400:adc5:1f::/48");
        for bad in ["203.82.48.77/32", "203.82.48.1/24", "203.82.48.0", "2400:adc5:1f:4400::/64", "x/24"] {
            assert!(bad.parse::<WideNetwork>().is_err(), "{bad}");
        }
        let seen = SeenResolver::In { network: "203.82.48.0/24".parse().expect("a network"), asn: None };
        let text = serde_json::to_string(&seen).expect("JSON");
        assert_eq!(serde_json::from_str::<SeenResolver>(&text).expect("the same"), seen);
    }
}
