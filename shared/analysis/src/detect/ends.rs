//! The end of a cell's block (method 3.3, and "Live").
//!
//! Recorded data: votes of at most .35 of the agents over 20 minutes, at least two agents, and not rejected. Live:
//! the first success asks others of the network, and the end is said when they agree. Agents are pooled over
//! the targets of one service, so that three successes on its three targets suffice; a target that was not
//! tried since, or that still fails, stays blocked: pages may open while videos do not.

use super::alarm::points;
use super::cells::Cleared;
use super::changepoint::{self, Turn};
use super::core::Core;
use super::evidence::vote;
use super::null::share;
use super::store::{Entry, Ms};
use super::world::{FamilyNo, TargetNo};
use std::collections::{BTreeMap, BTreeSet};

/// Ended blocks are remembered so long.
const FORGET_MS: Ms = 2 * 3_600_000;
/// Live: after the first success, answers of others are awaited so long.
const PATIENCE_MS: Ms = 12_000;
/// Live: how often everything is looked at.
const LOOK_MS: Ms = 1_000;
/// Live: how long a target that came back vouches for others.
const LATELY_MS: Ms = 180_000;
/// Live: agents that must agree, where there are so many.
pub(super) const AGREEING: usize = 3;

impl Core {
    /// Clears alarms whose blocks are over, and forgets those that are long over.
    pub(super) fn clear_alarms(&mut self, rejected: &BTreeSet<(FamilyNo, TargetNo)>) {
        let touched = self.readings.take_touched();
        let mut ends = if self.is_live() {
            // Between two looks at everything, only networks that delivered something may have come back.
            let is_due = self.now - self.ends_looked >= LOOK_MS;
            self.ends_looked = if is_due { self.now } else { self.ends_looked };
            self.live_ends(|family| is_due || touched.contains(&family))
        } else {
            self.passive_ends(rejected)
        };
        for (family, target, end) in ends.drain(..) {
            let cleared = Cleared { end, at: self.now };
            self.note_alarm(family);
            if let Some(alarm) = self.cells.alarm_mut(family, target) {
                alarm.cleared = Some(cleared);
            }
            self.readings.remove((family, target));
        }
        let (now, forget) = (self.now, self.stretch(FORGET_MS));
        self.cells.keep_alarms(|alarm| alarm.cleared.is_none_or(|cleared| now - cleared.at <= forget));
    }

    fn passive_ends(&self, rejected: &BTreeSet<(FamilyNo, TargetNo)>) -> Vec<(FamilyNo, TargetNo, Ms)> {
        let open = self.cells.alarms().filter(|(_, _, alarm)| alarm.is_open());
        // Sparse anonymous data: what returns day by day is over when it has been away for longer than that.
        let open = open.filter(|(family, target, _)| {
            !rejected.contains(&(*family, *target)) || self.is_returning(*family, *target)
        });
        let is_over = |(family, target, _): &(FamilyNo, TargetNo, _)| {
            let from = self.now - self.quiet_ms(*family, *target);
            let votes = vote(&self.evidence_between(*family, *target, from, self.now));
            votes.agents >= self.active_in(*family).clamp(1, 2) && votes.is_clear()
        };
        let over = open.filter(is_over);
        over.map(|(family, target, alarm)| (family, target, self.end_of(family, target, alarm.onset)))
            .collect()
    }

    /// Finds when a cell's block ended, once it is known that it did.
    fn end_of(&self, family: FamilyNo, target: TargetNo, onset: Ms) -> Ms {
        let points = points(&self.evidence_between(family, target, onset, self.now));
        let first_ok = points.iter().find(|point| !point.is_bad).map_or(self.now, |point| point.start);
        changepoint::find(&points, Turn::End).map_or(first_ok, |change| change.middle())
    }

    fn live_ends(&self, wanted: impl Fn(FamilyNo) -> bool) -> Vec<(FamilyNo, TargetNo, Ms)> {
        let mut ends = Vec::new();
        let services = self.open_services().into_iter().filter(|((family, _), _)| wanted(*family));
        for ((family, service), cells) in services {
            for target in self.ended_targets((family, service), &cells) {
                let onset =
                    cells.iter().find(|(own, _)| *own == target).map_or(self.now, |(_, onset)| *onset);
                ends.push((family, target, self.end_of(family, target, onset)));
            }
        }
        ends
    }

    /// Returns the blocked targets, with their beginnings, of every network and service.
    pub(super) fn open_services(&self) -> BTreeMap<(FamilyNo, &str), Vec<(TargetNo, Ms)>> {
        let mut services: BTreeMap<(FamilyNo, &str), Vec<(TargetNo, Ms)>> = BTreeMap::new();
        for (family, target, alarm) in self.cells.alarms().filter(|(_, _, alarm)| alarm.is_open()) {
            let service = self.world.targets[target].service.as_str();
            services.entry((family, service)).or_default().push((target, alarm.onset));
        }
        services
    }

    /// Returns the targets of a blocked service that a network's agents agree to reach again.
    fn ended_targets(&self, (family, service): (FamilyNo, &str), cells: &[(TargetNo, Ms)]) -> Vec<TargetNo> {
        let reach = self.now - self.window_ms(2);
        let mut entries: Vec<(TargetNo, Entry)> = Vec::new();
        // Targets that came back a moment ago still vouch for the rest of their service.
        let back = self.cells.alarms_of(family).filter(|(target, alarm)| {
            let is_recent = alarm.cleared.is_some_and(|cleared| self.now - cleared.at <= LATELY_MS);
            is_recent && self.world.targets[*target].service.as_str() == service
        });
        let back: Vec<(TargetNo, Ms)> = back.map(|(target, alarm)| (target, alarm.onset)).collect();
        for (target, onset) in cells.iter().chain(&back) {
            let own = self.evidence_between(family, *target, reach.max(*onset), self.now);
            entries.extend(own.into_iter().map(|entry| (*target, entry)));
        }
        entries.sort_by_key(|(_, entry)| (entry.start, entry.key));
        let active = self.active_in(family).max(1);
        for at in (0..entries.len()).filter(|at| !entries[*at].1.class.is_anomaly()) {
            let after = &entries[at..];
            let votes = vote(&after.iter().map(|(_, entry)| *entry).collect::<Vec<Entry>>());
            let fine: BTreeSet<usize> =
                after.iter().filter(|(_, e)| !e.class.is_anomaly()).map(|(_, e)| e.voice).collect();
            let have_answered = fine.len() >= active.min(AGREEING) || votes.agents >= active;
            let is_patient = self.now - after[0].1.received >= PATIENCE_MS;
            if votes.is_clear() && fine.len() >= active.min(2) && (have_answered || is_patient) {
                let works = |target: &TargetNo| {
                    let own = after.iter().filter(|(other, _)| other == target);
                    let bad: Vec<bool> = own.map(|(_, entry)| entry.class.is_anomaly()).collect();
                    !bad.is_empty() && share(bad.iter().copied()) < 0.5
                };
                return cells.iter().map(|(target, _)| *target).filter(works).collect();
            }
        }
        Vec::new()
    }
}
