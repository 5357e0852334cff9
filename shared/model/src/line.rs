//! What a vantage point's own line looks like: facts of a `selfcheck`.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

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
}
