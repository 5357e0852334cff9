//! What too few agents see clearly (method 3.6, "insufficient data").
//!
//! A network with fewer than three active agents can never alarm on its own. Where the one or two agents that
//! are there fail clearly (uncapped evidence of at least 11 nats on few targets, everything unrelated fine,
//! controls fine), a named statement is made: what is seen, and that a home cannot be told from a provider.
//! The same holds where a network fails clearly and no control ran at all.

use super::super::alarm::points;
use super::super::cells::{Alarm, Strength};
use super::super::changepoint::{self, Turn};
use super::super::core::Core;
use super::super::evidence::{MECHANISMS, weigh};
use super::super::null::{Nulls, Question, share};
use super::super::store::{Entry, Ms};
use super::super::world::{FamilyNo, TargetNo};
use std::collections::BTreeSet;

/// Evidence that the agents of a sparse network must bring together.
const CLEAR_EVIDENCE: f64 = 11.0;
/// Of the results since the failures began so many must have failed.
const CLEAR_RUN: f64 = 0.75;
/// More failing targets than this share of the list are no few targets.
const FEW_SHARE: usize = 3;
/// Live: how often they are looked at.
const PACE_MS: Ms = 500;
/// A network with so many agents speaks through the ordinary alarm.
const ENOUGH_AGENTS: usize = 3;

impl Core {
    /// Raises and upgrades statements about sparse networks.
    pub(super) fn update_sparse(&mut self, nulls: &mut Nulls) {
        if self.is_live() && self.now - self.incidents.sparse_looked < PACE_MS {
            return;
        }
        self.incidents.sparse_looked = self.now;
        let families: BTreeSet<FamilyNo> = self.readings.families();
        for family in families {
            let active = self.active_in(family);
            if active > 0 && active < ENOUGH_AGENTS {
                self.raise_sparse(nulls, family);
            }
        }
    }

    fn raise_sparse(&mut self, nulls: &mut Nulls, family: FamilyNo) {
        let mut total = 0.0;
        let mut found = Vec::new();
        let failing: Vec<TargetNo> = self.readings.of_family(family).map(|reading| reading.target).collect();
        for target in failing {
            if self.cells.has_open_alarm(family, target) || self.world.is_canary(target) {
                continue;
            }
            let from = self.floor_of(family, target).max(self.now - self.window_ms(3));
            let entries = self.evidence_between(family, target, from, self.now);
            let Some(first) = run_start(&entries) else { continue };
            let run: Vec<Entry> = entries.into_iter().filter(|entry| entry.start >= first).collect();
            // What belongs to a service that is already said to fail need not be shown twice.
            let is_known = self.is_service_open(family, target);
            let least = if is_known { 1 } else { 2 };
            let is_failing =
                run.len() >= least && share(run.iter().map(|e| e.class.is_anomaly())) >= CLEAR_RUN;
            let is_fine = self.is_selective((family, target), first)
                && (self.store.is_control_fine(target, first, self.now)
                    || self.is_fine_elsewhere((family, target), first))
                && !self.is_standing(family, target);
            if is_failing && is_fine && is_known {
                self.raise_weak((family, target), first, Strength::Sparse);
            } else if is_failing && is_fine {
                total += self.uncapped(nulls, family, target, &run).max(0.0);
                found.push((target, first));
            }
        }
        if total < CLEAR_EVIDENCE || found.len() * FEW_SHARE > self.world.targets.len() {
            return;
        }
        for (target, first) in found {
            self.raise_weak((family, target), first, Strength::Sparse);
        }
    }

    /// Says whether an alarm is open on another target of the same service.
    fn is_service_open(&self, family: FamilyNo, target: TargetNo) -> bool {
        let service = &self.world.targets[target].service;
        (0..self.world.targets.len()).any(|other| {
            self.world.targets[other].service == *service && self.cells.has_open_alarm(family, other)
        })
    }

    /// Raises a statement that is no verdict on a network.
    pub(in super::super) fn raise_weak(
        &mut self,
        (family, target): (FamilyNo, TargetNo),
        first: Ms,
        strength: Strength,
    ) {
        let change = changepoint::find(&self.onset_points(family, target), Turn::Onset);
        let onset = change.map_or(first, |change| change.middle());
        let alarm = Alarm::new(onset, self.now, strength);
        self.note_alarm(family);
        self.cells.set_alarm(family, target, alarm);
    }

    /// Adds up what a run of results says for the best mechanism, without any cap.
    fn uncapped(&self, nulls: &mut Nulls, family: FamilyNo, target: TargetNo, run: &[Entry]) -> f64 {
        let mut sums = [0.0; MECHANISMS];
        for entry in run {
            let question = Question {
                agent: entry.agent,
                family: Some(family),
                target,
                start: entry.start,
                since: None,
                is_lazy: false,
            };
            let weights = weigh(entry.class, self.null_rate(nulls, question));
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += weight;
            }
        }
        sums.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// Returns where the failing run began: the change point, or the first failure.
fn run_start(entries: &[Entry]) -> Option<Ms> {
    changepoint::find(&points(entries), Turn::Onset).map(|change| change.first_after)
}
