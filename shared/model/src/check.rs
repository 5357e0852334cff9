//! What an agent runs.

use crate::{Target, TaskToken};
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
    /// The beginning of an `https` URL's body, timed, and then the list's control URL's through the same line.
    Throughput,
    /// Probes of limited reach on the way to a URL's address: who is on it, and where a name is interfered with.
    Path,
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
        }
    }

    /// Returns the most that one run is expected to cost on the wire in both directions, its own upload included.
    #[must_use]
    pub const fn expected_bytes(self, depth: Depth) -> u64 {
        match (self, depth) {
            (Self::Web, Depth::Light) => 10_000,
            // Initial packets are padded to 1,200 bytes in both directions, and certificates are not compressed.
            (Self::Quic, Depth::Light) => 25_000,
            (Self::Web | Self::Quic, Depth::Full) => 60_000,
            (Self::Throughput, _) => 900_000,
            (Self::Path, _) => 60_000,
        }
    }

    /// Returns the least time between two routine runs of one target on one agent, whatever a list says.
    #[must_use]
    pub const fn least_interval(self) -> Duration {
        match self {
            Self::Web | Self::Quic => Duration::from_secs(30),
            // A download costs as much as ninety light checks.
            Self::Throughput => Duration::from_secs(3600),
            // Where a censor sits changes slowly, and each run sends the name to the censor several times.
            Self::Path => Duration::from_secs(6 * 3600),
        }
    }

    /// Says whether only `https` targets can be measured by it.
    #[must_use]
    pub const fn needs_https(self) -> bool {
        matches!(self, Self::Quic | Self::Throughput)
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
        for kind in [CheckKind::Web, CheckKind::Quic, CheckKind::Throughput, CheckKind::Path] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert!("scan".parse::<CheckKind>().is_err());
    }
}
