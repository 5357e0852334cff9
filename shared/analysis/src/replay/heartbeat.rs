//! One line of `heartbeats.jsonl`.

use faultline_model::{AgentId, Asn, CountryCode, Presence, PresenceKind, Timestamp};
use serde::Deserialize;
use std::collections::BTreeMap;

/// One line of `heartbeats.jsonl`. Unknown fields are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Heartbeat {
    /// Whose.
    pub agent_id: AgentId,
    /// From which network.
    pub asn: Asn,
    /// The coordinator's clock.
    pub at: Timestamp,
}

impl Heartbeat {
    /// Turns a heartbeat into a sign of presence; a network that is not listed is taken to be of the country.
    pub(super) fn into_presence(self, places: &BTreeMap<Asn, CountryCode>, country: CountryCode) -> Presence {
        Presence {
            at: self.at,
            country: places.get(&self.asn).copied().unwrap_or(country),
            agent: self.agent_id,
            asn: self.asn,
            control: false,
            kind: PresenceKind::Beat,
            beat_s: None,
        }
    }
}
