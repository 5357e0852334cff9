//! The controls' recent results per target, in memory: what a measurement is judged beside.

use crate::ingest::corrected;
use crate::store::NewMeasurement;
use faultline_analysis::judge::ControlFact;
use faultline_model::{AgentId, Fact, Target, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Facts further away than this from a measurement are no controls of it (judging ignores them besides).
const NEAR: Duration = Duration::from_secs(600);
/// Late measurements of this age still find their controls.
const KEPT: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Default)]
pub(super) struct ControlWindow {
    by_target: BTreeMap<Target, VecDeque<Seen>>,
    newest: Timestamp,
}

#[derive(Debug)]
struct Seen {
    agent: AgentId,
    at: Timestamp,
    fact: ControlFact,
}

impl ControlWindow {
    /// Adds a control's measurement.
    pub(super) fn add(&mut self, row: &NewMeasurement) {
        let at = corrected(row.measurement.started_at, row.clock_offset_ms);
        self.newest = self.newest.max(at);
        let seen = self.by_target.entry(row.measurement.target.clone()).or_default();
        let after = seen.partition_point(|other| other.at <= at);
        seen.insert(after, Seen { agent: row.agent.clone(), at, fact: fact(row) });
        let oldest = self.newest - KEPT;
        while seen.front().is_some_and(|first| first.at < oldest) {
            seen.pop_front();
        }
    }

    /// Returns what other vantage points that are controls saw of the same target about the same time.
    pub(super) fn around(&self, row: &NewMeasurement) -> Vec<ControlFact> {
        let at = corrected(row.measurement.started_at, row.clock_offset_ms);
        let Some(seen) = self.by_target.get(&row.measurement.target) else { return Vec::new() };
        let first = seen.partition_point(|other| other.at < at - NEAR);
        let near = seen.iter().skip(first).take_while(|other| other.at <= at + NEAR);
        near.filter(|other| other.agent != row.agent)
            .map(|other| ControlFact {
                age: other.at.since(at).max(at.since(other.at)),
                ..other.fact.clone()
            })
            .collect()
    }
}

fn fact(row: &NewMeasurement) -> ControlFact {
    let mut addresses = BTreeSet::new();
    let mut http_status = 0;
    for step in &row.measurement.observations {
        match &step.fact {
            Fact::Dns(answer) => addresses.extend(answer.addresses.iter().copied()),
            Fact::Http(page) => http_status = page.status,
            Fact::Tls(_) | Fact::None => {}
        }
    }
    ControlFact {
        failed_at: row.measurement.first_failure().map(|step| step.layer),
        addresses: addresses.into_iter().collect(),
        http_status,
        age: Duration::ZERO,
    }
}
