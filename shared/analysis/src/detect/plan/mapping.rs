//! Asks that map what is known to fail: the same target on other networks, other services of its kind, and the
//! rest of the service.
//!
//! Whatever several suspicions and alarms want is wanted once. What counts as an answer is measured from the
//! first of those that began within two minutes of each other, so that a block that lights up everywhere is
//! mapped once and not again for every cell that joins.

use super::super::cells::Strength;
use super::super::core::Core;
use super::super::evidence::vote;
use super::super::store::Ms;
use super::super::world::{FamilyNo, TargetNo};
use super::Want;
use crate::detect::AskReason;
use faultline_model::Role;
use std::collections::{BTreeMap, BTreeSet};

/// Evidence of a suspicion from which other services are looked at.
const CATEGORY_LN_E: f64 = 5.0;
/// Answers that other networks give about the suspected target.
const PROBES: usize = 2;
/// Answers about other targets once the evidence is strong: enough for a quorum.
const STRONG_PROBES: usize = 3;
/// An alarm is mapped for so long.
const MAPPING_MS: Ms = 300_000;
/// Beginnings that are this near are one.
const EPISODE_MS: Ms = 120_000;

/// Something that fails and is to be mapped.
#[derive(Clone, Copy, Debug)]
struct Seed {
    family: FamilyNo,
    target: TargetNo,
    since: Ms,
    is_strong: bool,
}

impl Core {
    /// Returns what mapping wants of every network.
    pub(super) fn want_mapping(&self) -> Vec<Want> {
        let seeds = self.seeds();
        let since = |seed: &Seed| {
            let near = seeds.iter().filter(|other| other.since >= seed.since - EPISODE_MS);
            near.map(|other| other.since).min().unwrap_or(seed.since)
        };
        let mut spread: BTreeMap<TargetNo, Ms> = BTreeMap::new();
        let mut leads: BTreeMap<TargetNo, Ms> = BTreeMap::new();
        let mut services: BTreeMap<(FamilyNo, TargetNo), Ms> = BTreeMap::new();
        for seed in &seeds {
            let since = since(seed);
            keep_first(&mut spread, seed.target, since);
            if seed.is_strong {
                for lead in self.leads(seed.target) {
                    keep_first(&mut leads, lead, since);
                }
                let service = &self.world.targets[seed.target].service;
                for other in
                    (0..self.world.targets.len()).filter(|t| self.world.targets[*t].service == *service)
                {
                    keep_first(&mut services, (seed.family, other), since);
                }
            }
        }
        let back = self.lately_back();
        let mut wants = Vec::new();
        for family in self.world.heard().filter(|family| !back.contains(family)) {
            for (target, since) in &spread {
                wants.extend(self.want_probe((family, *target), *since, (1, AskReason::Spread)));
            }
            for (target, since) in &leads {
                wants.extend(self.want_probe((family, *target), *since, (2, AskReason::Category)));
            }
        }
        for ((family, target), since) in services.iter().filter(|((family, _), _)| !back.contains(family)) {
            wants.extend(self.want_probe((*family, *target), *since, (3, AskReason::Category)));
        }
        wants
    }

    /// Returns suspicions on which two agents agree, and young alarms.
    fn seeds(&self) -> Vec<Seed> {
        let agreed = self.open_streams().filter(|(_, stream)| stream.votes.bad >= 2.0);
        let mut seeds: Vec<Seed> = agreed
            .map(|(reading, stream)| Seed {
                family: reading.family,
                target: reading.target,
                since: stream.since,
                is_strong: stream.ln_e > CATEGORY_LN_E,
            })
            .collect();
        for (family, target, alarm) in self.cells.alarms() {
            let is_young = self.now - alarm.at <= MAPPING_MS;
            if alarm.is_open() && alarm.strength == Strength::Firm && is_young {
                seeds.push(Seed { family, target, since: alarm.onset, is_strong: true });
            }
        }
        seeds
    }

    pub(super) fn want_probe(
        &self,
        (family, target): (FamilyNo, TargetNo),
        since: Ms,
        (priority, reason): (u8, AskReason),
    ) -> Option<Want> {
        if self.is_standing(family, target) || self.open_strength(family, target) == Some(Strength::Firm) {
            return None;
        }
        let entries = self.store.cell(family, target).between(since, self.now);
        let spared: BTreeSet<usize> = entries.iter().map(|entry| entry.agent).collect();
        let known = vote(entries).agents + self.awaited(family, target);
        let wanted = if reason == AskReason::Category { STRONG_PROBES } else { PROBES };
        let count = wanted.saturating_sub(known);
        (count > 0).then_some(Want { priority, since, family, target, count, reason, spared })
    }

    /// Returns one target of every service of the same category, the site first.
    fn leads(&self, target: TargetNo) -> Vec<TargetNo> {
        let category = self.world.category(target);
        let mut leads: BTreeMap<&str, TargetNo> = BTreeMap::new();
        for other in (0..self.world.targets.len()).filter(|other| self.world.category(*other) == category) {
            let info = &self.world.targets[other];
            let lead = leads.entry(info.service.as_str()).or_insert(other);
            if info.role == Role::Site && self.world.targets[*lead].role != Role::Site {
                *lead = other;
            }
        }
        leads.into_values().collect()
    }
}

fn keep_first<K: Ord>(map: &mut BTreeMap<K, Ms>, key: K, since: Ms) {
    let known = map.entry(key).or_insert(since);
    *known = (*known).min(since);
}
