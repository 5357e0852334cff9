//! The controls' recent results per target, in memory: what a measurement is judged beside.

use crate::ingest::corrected;
use crate::store::NewMeasurement;
use faultline_analysis::judge::{ControlFact, control_max_age};
use faultline_model::{AgentId, Target, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

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
        seen.insert(after, Seen { agent: row.agent.clone(), at, fact: ControlFact::of(&row.measurement) });
        let oldest = self.newest - KEPT;
        while seen.front().is_some_and(|first| first.at < oldest) {
            seen.pop_front();
        }
    }

    /// Returns what other vantage points that are controls saw of the same target about the same time.
    pub(super) fn around(&self, row: &NewMeasurement) -> Vec<ControlFact> {
        let at = corrected(row.measurement.started_at, row.clock_offset_ms);
        let Some(seen) = self.by_target.get(&row.measurement.target) else { return Vec::new() };
        // What is further away is no control of it (judging ignores it besides).
        let age = control_max_age(row.measurement.check);
        let first = seen.partition_point(|other| other.at < at - age);
        let near = seen.iter().skip(first).take_while(|other| other.at <= at + age);
        near.filter(|other| other.agent != row.agent)
            .map(|other| ControlFact {
                age: other.at.since(at).max(at.since(other.at)),
                ..other.fact.clone()
            })
            .collect()
    }
}
