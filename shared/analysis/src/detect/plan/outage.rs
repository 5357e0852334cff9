//! Asks about sites that may fail for everybody.

use super::super::core::Core;
use super::super::store::Ms;
use super::super::world::TargetNo;
use super::Want;
use crate::detect::AskReason;
use std::collections::BTreeSet;

/// A control's failure is looked into for so long.
const TROUBLE_MS: Ms = 60_000;
/// A failing site is looked after this often; controls have limits of their own.
const FOLLOW_MS: Ms = 75_000;

impl Core {
    /// Returns targets whose newest control result failed a moment ago, and failing sites that are due.
    pub(super) fn troubled_targets(&self) -> Vec<TargetNo> {
        let mut troubled = Vec::new();
        for target in 0..self.world.targets.len() {
            let Some(last) = self.store.control(target).all().last() else { continue };
            let age = self.now - last.received;
            let is_open = self.incidents.outages.get(&target).is_some_and(|outage| outage.cleared.is_none());
            let is_fresh = last.class.is_anomaly() && age <= TROUBLE_MS && !is_open;
            if is_fresh || (is_open && age >= FOLLOW_MS) {
                troubled.push(target);
            }
        }
        troubled
    }

    /// Wants agents of every network on targets that controls in two networks cannot reach, and on failing sites
    /// that a control reaches again.
    pub(super) fn want_outages(&self) -> Vec<Want> {
        let mut wants = Vec::new();
        for target in 0..self.world.targets.len() {
            let open = self.incidents.outages.get(&target).filter(|outage| outage.cleared.is_none());
            let since = self.now - TROUBLE_MS;
            let failing = self.store.failing_controls(target, since, self.now).len();
            let recent = self.store.control(target).between(since, self.now);
            let first_fine = recent.iter().find(|entry| !entry.class.is_anomaly()).map(|entry| entry.start);
            let since = match (open, first_fine) {
                (Some(_), Some(fine)) => fine,
                (None, None) if failing >= 2 => recent.first().map_or(since, |entry| entry.start),
                _ => continue,
            };
            for family in self.world.heard() {
                let entries = self.store.cell(family, target).between(since, self.now);
                let known = entries.len() + self.awaited(family, target);
                let spared: BTreeSet<usize> = entries.iter().map(|entry| entry.agent).collect();
                if known == 0 {
                    let (count, reason) = (1, AskReason::Spread);
                    wants.push(Want { priority: 1, since, family, target, count, reason, spared });
                }
            }
        }
        wants
    }
}
