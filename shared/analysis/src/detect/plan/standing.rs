//! Asks about open incidents: is it still there, and is it over?

use super::super::cells::Alarm;
use super::super::core::Core;
use super::super::ends::AGREEING;
use super::super::store::{ASKED_WINDOW_MS, Entry, Ms};
use super::super::world::{FamilyNo, TargetNo};
use super::Want;
use crate::detect::{Ask, AskReason};
use std::collections::{BTreeMap, BTreeSet};

/// A young incident is looked after this often on every network; an old one after a twentieth of its age.
const FOLLOW_MS: Ms = 30_000;
const FOLLOW_SHARE: Ms = 20;
const FOLLOW_MOST_MS: Ms = 600_000;
/// After a network came back, the others are looked after this often for a while.
const HASTE_MS: Ms = 10_000;
const HASTE_LASTS_MS: Ms = 180_000;
/// How far back a success is looked for.
const RECENT_MS: Ms = 120_000;

impl Core {
    /// After the first success on a blocked service, wants the others of that network: every target of the
    /// service once, and three agents.
    pub(super) fn want_ends(&self) -> Vec<Want> {
        let mut wants = Vec::new();
        let back: BTreeSet<FamilyNo> = self.lately_back();
        for ((family, _), cells) in self.open_services() {
            let mut entries: Vec<(TargetNo, Entry)> = Vec::new();
            for (target, onset) in &cells {
                let own =
                    self.store.cell(family, *target).between((*onset).max(self.now - RECENT_MS), self.now);
                entries.extend(own.iter().map(|entry| (*target, *entry)));
            }
            let fine = entries.iter().filter(|(_, entry)| !entry.class.is_anomaly());
            let first = fine.map(|(_, entry)| entry.start).min();
            // Another service of this network came back: this one may have, too.
            let hint = if back.contains(&family) { self.last_back(family) } else { None };
            let Some(since) = first.or(hint) else { continue };
            entries.retain(|(_, entry)| entry.start >= since);
            let awaited: usize = cells.iter().map(|(target, _)| self.awaited(family, *target)).sum();
            let spared: BTreeSet<usize> = entries.iter().map(|(_, entry)| entry.agent).collect();
            let desired = if first.is_some() { AGREEING.min(self.active_in(family)) } else { 1 };
            let mut missing = desired.saturating_sub(spared.len() + awaited);
            let mut order = cells.clone();
            order.sort_by_key(|(target, _)| {
                (entries.iter().filter(|(own, _)| own == target).count(), *target)
            });
            for (target, _) in order {
                let is_new =
                    !entries.iter().any(|(own, _)| *own == target) && self.awaited(family, target) == 0;
                let free = self.family_agents(family).len() - self.exhausted(family, target).len();
                let is_wanted = missing > 0 || (is_new && first.is_some());
                if is_wanted && free > 0 {
                    let count = if cells.len() == 1 { missing } else { 1 };
                    let (priority, reason, spared) = (4, AskReason::End, spared.clone());
                    wants.push(Want { priority, since, family, target, count, reason, spared });
                    missing = missing.saturating_sub(count);
                }
            }
        }
        wants
    }

    /// Looks after open incidents: one agent per network on a rotating target.
    pub(super) fn follow_up(&mut self) -> Vec<Ask> {
        let mut open: BTreeMap<FamilyNo, Vec<(TargetNo, Ms)>> = BTreeMap::new();
        for (family, target, alarm) in self.cells.alarms().filter(|(_, _, alarm)| alarm.is_open()) {
            open.entry(family).or_default().push((target, alarm.at));
        }
        self.plan.followed.retain(|family, _| open.contains_key(family));
        let is_hasty = !self.lately_back().is_empty();
        let mut asks = Vec::new();
        for (family, cells) in open {
            let age = self.now - cells.iter().map(|(_, at)| *at).min().unwrap_or(self.now);
            let calm = (age / FOLLOW_SHARE)
                .max(self.even_pace(family, cells.len()))
                .clamp(FOLLOW_MS, FOLLOW_MOST_MS);
            let pace = if is_hasty { HASTE_MS } else { calm };
            if self.now - self.last_seen(family, &cells) < pace {
                continue;
            }
            let turn = usize::try_from(self.now.div_euclid(FOLLOW_MS)).unwrap_or(0);
            for step in 0..cells.len() {
                let (target, since) = cells[(turn + step) % cells.len()];
                let (count, reason, spared) = (1, AskReason::FollowUp, self.last_asked(family, target));
                let want = Want { priority: 6, since, family, target, count, reason, spared };
                if let Some(ask) = self.grant(&want) {
                    self.plan.followed.insert(family, self.now);
                    asks.push(ask);
                    break;
                }
            }
        }
        asks
    }

    /// Returns the pace that leaves one of an agent's two looks at a target in five minutes for the end.
    fn even_pace(&self, family: FamilyNo, cells: usize) -> Ms {
        let looks = (self.family_agents(family).len() * cells).max(1);
        ASKED_WINDOW_MS / Ms::try_from(looks).unwrap_or(Ms::MAX)
    }

    /// Returns when a network was last seen, or asked, on any of its blocked targets.
    fn last_seen(&self, family: FamilyNo, cells: &[(TargetNo, Ms)]) -> Ms {
        let newest = cells.iter().filter_map(|(target, _)| self.store.cell(family, *target).all().last());
        let seen = newest.map(|entry| entry.start).max().unwrap_or(0);
        seen.max(self.plan.followed.get(&family).copied().unwrap_or(0))
    }

    /// Returns the agent that answered last, so that not the same one is asked twice running.
    fn last_asked(&self, family: FamilyNo, target: TargetNo) -> BTreeSet<usize> {
        if self.family_agents(family).len() < 2 {
            return BTreeSet::new();
        }
        self.store.cell(family, target).all().last().map(|entry| entry.agent).into_iter().collect()
    }

    /// Returns the networks of which a cell came back in the last minutes while others are still blocked.
    pub(super) fn lately_back(&self) -> BTreeSet<FamilyNo> {
        let is_recent =
            |alarm: &Alarm| alarm.cleared.is_some_and(|cleared| self.now - cleared.at <= HASTE_LASTS_MS);
        self.cells.alarms().filter(|(_, _, alarm)| is_recent(alarm)).map(|(family, _, _)| family).collect()
    }

    fn last_back(&self, family: FamilyNo) -> Option<Ms> {
        let own = self.cells.alarms_of(family);
        own.filter_map(|(_, alarm)| alarm.cleared).map(|cleared| cleared.at).max()
    }
}
