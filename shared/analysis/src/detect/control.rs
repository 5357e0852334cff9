//! What the controls say about a target around a moment (method 3.0, 3.4).
//!
//! Recorded rows carry a flag; they vote by minute. Live controls are vantage points of their own; one success
//! within two minutes outweighs their failures, because a lost packet at a control must not silence a country.

use super::store::{Entry, Ms, Store};
use super::world::TargetNo;
use std::collections::{BTreeMap, BTreeSet};

/// A result this near to a failed control says nothing about a network.
const NEAR_MS: Ms = 120_000;
/// Minutes with control results that are looked at for a target outage.
pub(super) const OUTAGE_MINUTES: usize = 8;
/// How far back those minutes may lie.
const OUTAGE_REACH_MIN: i64 = 20;

impl Store {
    /// Says whether a result at this moment is excused by a failing control.
    pub(super) fn is_excused(&self, target: TargetNo, start: Ms) -> bool {
        let minute = start.div_euclid(60_000);
        if self.has_bad_minute(target, (minute - 2, minute + 2)) {
            return true;
        }
        let near = self.control(target).between(start - NEAR_MS, start + NEAR_MS);
        !near.is_empty() && near.iter().all(|entry| entry.class.is_anomaly())
    }

    /// Says whether a control succeeded that was measured at `since` or later.
    pub(super) fn is_control_fine(&self, target: TargetNo, since: Ms, now: Ms) -> bool {
        if let Some(flags) = self.flags(target)
            && flags
                .range(since.div_euclid(60_000)..=now.div_euclid(60_000))
                .any(|(_, (good, bad))| good > bad)
        {
            return true;
        }
        self.control(target).between(since, now).iter().any(|entry| !entry.class.is_anomaly())
    }

    /// Says whether any control measured a target since a moment.
    pub(super) fn has_control(&self, target: TargetNo, since: Ms, now: Ms) -> bool {
        let minutes = since.div_euclid(60_000)..=now.div_euclid(60_000);
        let is_flagged =
            |flags: &BTreeMap<i64, (u32, u32)>| flags.range(minutes).any(|(_, (g, b))| g + b > 0);
        self.flags(target).is_some_and(is_flagged) || !self.control(target).between(since, now).is_empty()
    }

    /// Returns the networks of controls whose every result since a moment failed.
    pub(super) fn failing_controls(&self, target: TargetNo, since: Ms, now: Ms) -> BTreeSet<u32> {
        let entries = self.control(target).between(since, now);
        let networks = |wanted: &dyn Fn(&Entry) -> bool| -> BTreeSet<u32> {
            entries
                .iter()
                .filter(|entry| wanted(entry))
                .map(|entry| self.agents[entry.agent].asn.get())
                .collect()
        };
        let fine = networks(&|entry| !entry.class.is_anomaly());
        networks(&|entry| entry.class.is_anomaly()).difference(&fine).copied().collect()
    }

    /// Returns how many of the last minutes with flags failed, and how many there were.
    pub(super) fn flagged_minutes(&self, target: TargetNo, now: Ms) -> (usize, usize) {
        let Some(flags) = self.flags(target) else { return (0, 0) };
        let minute = now.div_euclid(60_000);
        let last = flags.range(minute - OUTAGE_REACH_MIN..=minute).rev().filter(|(_, (g, b))| g + b > 0);
        last.take(OUTAGE_MINUTES).fold((0, 0), |(bad, all), (_, (g, b))| (bad + usize::from(b > g), all + 1))
    }
}
