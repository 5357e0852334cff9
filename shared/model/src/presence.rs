//! Presence: when an agent was heard. Silence is data, and this is what it is read from.

use crate::{AgentId, Asn, CountryCode, Timestamp};
use serde::{Deserialize, Serialize};

/// What happened to an agent's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceKind {
    /// The stream opened.
    Came,
    /// The stream is open.
    Beat,
    /// The stream broke: nobody said why.
    Went,
    /// The volunteer paused measuring; from here on the agent's silence says nothing.
    Paused,
    /// The agent closed the stream in order, as a program does that is stopped.
    Left,
}

impl PresenceKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Came, Self::Beat, Self::Went, Self::Paused, Self::Left];

    /// Returns the kind's name in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Came => "came",
            Self::Beat => "beat",
            Self::Went => "went",
            Self::Paused => "paused",
            Self::Left => "left",
        }
    }
}

/// One sign of an agent's presence, as the coordinator heard it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Presence {
    /// The coordinator's clock.
    pub at: Timestamp,
    /// Whose.
    pub agent: AgentId,
    /// From which network.
    pub asn: Asn,
    /// In which country.
    pub country: CountryCode,
    /// The agent is a control.
    #[serde(default)]
    pub control: bool,
    /// What happened.
    pub kind: PresenceKind,
    /// Seconds between two beats of this agent, where they differ from what is usual.
    #[serde(default)]
    pub beat_s: Option<u32>,
}
