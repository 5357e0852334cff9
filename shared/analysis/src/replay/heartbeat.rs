//! One line of `heartbeats.jsonl`.

use faultline_model::{AgentId, Asn, CountryCode, Presence, PresenceKind, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of `heartbeats.jsonl`. Unknown fields are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Whose.
    pub agent_id: AgentId,
    /// From which network.
    pub asn: Asn,
    /// The coordinator's clock.
    pub at: Timestamp,
    /// What happened to the agent's stream; a beat where nothing is said.
    #[serde(default = "beat")]
    pub kind: PresenceKind,
    /// The agent is a control.
    #[serde(default)]
    pub control: bool,
    /// From which country, where the network alone does not say it.
    #[serde(default)]
    pub country: Option<CountryCode>,
    /// Seconds between two beats of this agent as they were written down, where they differ from the file's.
    #[serde(default)]
    pub beat_s: Option<u32>,
}

fn beat() -> PresenceKind {
    PresenceKind::Beat
}

impl Heartbeat {
    /// Turns a heartbeat into a sign of presence; a network that is not listed is taken to be of the country.
    pub(super) fn into_presence(self, places: &BTreeMap<Asn, CountryCode>, country: CountryCode) -> Presence {
        Presence {
            at: self.at,
            country: self.country.or_else(|| places.get(&self.asn).copied()).unwrap_or(country),
            agent: self.agent_id,
            asn: self.asn,
            control: self.control,
            kind: self.kind,
            beat_s: self.beat_s,
        }
    }
}
