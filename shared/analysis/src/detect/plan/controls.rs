//! Asks to controls: was the site fine when agents in the country began to fail?

use super::super::core::Core;
use super::super::store::{ASKED_PER_TARGET, ASKED_WINDOW_MS, Ms};
use super::super::world::TargetNo;
use super::{Asked, PATIENCE_MS};
use crate::detect::{Ask, AskReason, Who};
use faultline_model::{AgentId, CheckKind};
use std::collections::{BTreeMap, BTreeSet};

/// Controls that are asked at a time.
const CONTROLS: usize = 2;
/// Controls are asked about a target again after this.
const CONTROL_PAUSE_MS: Ms = 5_000;
/// A control's success counts for every suspicion on its target that began so long after the first.
const SHARED_MS: Ms = 300_000;

impl Core {
    /// Returns the moment after which a control must have succeeded for a suspicion on a target that began at
    /// `since`: the first failure of any network on that target within five minutes.
    pub(in super::super) fn control_since(&self, target: TargetNo, since: Ms) -> Ms {
        let streams = self.readings.stream_starts(target);
        let alarms = self.cells.alarms().filter(|(_, own, alarm)| *own == target && alarm.is_open());
        let onsets = alarms.map(|(_, _, alarm)| alarm.onset);
        streams
            .chain(onsets)
            .filter(|other| *other >= since - SHARED_MS)
            .min()
            .map_or(since, |at| at.min(since))
    }

    /// Asks the controls about every suspected target that none of them reached since.
    pub(super) fn ask_controls(&mut self, asks: &mut Vec<Ask>) {
        let mut wanted: BTreeMap<TargetNo, Ms> = BTreeMap::new();
        for (reading, stream) in self.open_streams() {
            let since = self.control_since(reading.target, stream.since);
            if !self.store.is_control_fine(reading.target, since, self.now) {
                wanted.insert(reading.target, since);
            }
        }
        for target in self.troubled_targets() {
            wanted.insert(target, self.now);
        }
        for target in wanted.into_keys() {
            asks.extend(self.ask_control(target));
        }
    }

    /// Asks controls about a target, as far as their limits allow.
    fn ask_control(&mut self, target: TargetNo) -> Option<Ask> {
        let issued = self.plan.issued.get(&(Asked::Controls, target));
        let last = issued.and_then(|issued| issued.iter().map(|(at, _)| *at).max());
        if let Some(last) = last {
            let entries = self.store.control(target).between(last - PATIENCE_MS, self.now);
            let has_answer = entries.iter().any(|entry| entry.received > last);
            let pause = if has_answer { CONTROL_PAUSE_MS } else { PATIENCE_MS };
            if self.now - last < pause {
                return None;
            }
        }
        let exclude: BTreeSet<AgentId> = self.exhausted_controls(target);
        self.note(Asked::Controls, target, CONTROLS);
        let target = self.world.targets[target].target.clone();
        Some(Ask {
            target,
            check: CheckKind::Web,
            who: Who::Controls,
            count: CONTROLS,
            reason: AskReason::Suspicion,
            exclude,
        })
    }

    fn exhausted_controls(&self, target: TargetNo) -> BTreeSet<AgentId> {
        let mut asked: BTreeMap<usize, usize> = BTreeMap::new();
        for entry in self.store.control(target).between(self.now - ASKED_WINDOW_MS, self.now) {
            *asked.entry(entry.agent).or_default() += usize::from(entry.asked);
        }
        let full = asked.into_iter().filter(|(_, number)| *number >= ASKED_PER_TARGET);
        full.map(|(agent, _)| self.store.agents[agent].id.clone()).collect()
    }
}
