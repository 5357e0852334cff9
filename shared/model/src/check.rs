//! What an agent runs.

use crate::{Target, TaskToken};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A kind of check. Agents announce the kinds they know; only announced ones are scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// DNS, TCP, TLS and HTTP to a URL, step by step, ending at the first layer that fails.
    Web,
}

impl CheckKind {
    /// Returns the kind's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
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
