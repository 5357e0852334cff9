//! Blocked cells that belong together (method 3.6).
//!
//! Cells of one target whose beginnings lie within 45 minutes of each other are joined over networks; targets
//! with the same networks (Jaccard >= .5), beginnings within 45 minutes and time overlap (IoU >= .55) are joined
//! into one cluster. Networks are compared only where both targets have data: a target that was not measured
//! yet is no different one, so that a block that is just beginning does not fall apart into many.

use super::super::cells::{Alarm, Strength};
use super::super::core::Core;
use super::super::evidence::vote;
use super::super::store::{Ms, hash};
use super::super::world::{FamilyNo, TargetNo};
use faultline_model::IncidentId;
use std::collections::{BTreeMap, BTreeSet};

const JOIN_MS: Ms = 2_700_000;
const MIN_JACCARD: f64 = 0.5;
const MIN_OVERLAP: f64 = 0.55;

/// Cells that are told as one incident.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Cluster {
    pub(in super::super) cells: BTreeMap<(FamilyNo, TargetNo), Alarm>,
}

impl Cluster {
    /// Returns the targets, in the order of their numbers.
    pub(in super::super) fn targets(&self) -> BTreeSet<TargetNo> {
        self.cells.keys().map(|(_, target)| *target).collect()
    }

    /// Returns the families with at least one cell of at least this strength.
    pub(in super::super) fn families(&self, least: Strength) -> BTreeSet<FamilyNo> {
        let strong = self.cells.iter().filter(|(_, alarm)| alarm.strength >= least);
        strong.map(|((family, _), _)| *family).collect()
    }

    /// Returns the strength of the strongest cell.
    pub(in super::super) fn strength(&self) -> Strength {
        self.cells.values().map(|alarm| alarm.strength).max().unwrap_or(Strength::Uncontrolled)
    }

    /// Says whether any cell is still blocked.
    pub(in super::super) fn is_open(&self) -> bool {
        self.cells.values().any(Alarm::is_open)
    }

    /// Returns when the first alarm was raised.
    pub(in super::super) fn raised_at(&self) -> Ms {
        self.cells.values().map(|alarm| alarm.at).min().unwrap_or(0)
    }

    /// Returns the middle one of the cells' beginnings, which one odd cell does not move.
    pub(in super::super) fn onset(&self) -> Ms {
        let mut onsets: Vec<Ms> = self.cells.values().map(|alarm| alarm.onset).collect();
        onsets.sort_unstable();
        onsets.get(onsets.len() / 2).copied().unwrap_or(0)
    }

    /// Returns the time over which the cluster lasted.
    pub(in super::super) fn span(&self, now: Ms) -> (Ms, Ms) {
        let end = self.cells.values().map(|alarm| alarm.span(now).1).max().unwrap_or(now);
        (self.onset(), end.max(self.onset()))
    }

    /// Returns the incidents that its cells belong to, with the number of cells of each.
    pub(in super::super) fn tags(&self) -> BTreeMap<IncidentId, usize> {
        let mut tags = BTreeMap::new();
        for id in self.cells.values().filter_map(|alarm| alarm.incident.as_ref()) {
            *tags.entry(id.clone()).or_default() += 1;
        }
        tags
    }

    /// Returns a number that changes whenever a cell or an alarm of the cluster does.
    pub(in super::super) fn fingerprint(&self) -> u64 {
        let cell = |(cell, alarm): (&(FamilyNo, TargetNo), &Alarm)| {
            format!("{cell:?} {} {:?} {:?}", alarm.at, alarm.strength, alarm.cleared)
        };
        hash(&self.cells.iter().map(cell).collect::<String>())
    }

    fn families_of(&self, target: TargetNo) -> BTreeSet<FamilyNo> {
        self.cells.keys().filter(|(_, own)| *own == target).map(|(family, _)| *family).collect()
    }

    fn absorb(&mut self, other: Self) {
        self.cells.extend(other.cells);
    }
}

impl Core {
    /// Groups alarms into clusters.
    pub(in super::super) fn clusters(&self, wanted: impl Fn(TargetNo, &Alarm) -> bool) -> Vec<Cluster> {
        let mut by_target: BTreeMap<TargetNo, Vec<(FamilyNo, &Alarm)>> = BTreeMap::new();
        for (family, target, alarm) in self.cells.alarms().filter(|(_, target, alarm)| wanted(*target, alarm))
        {
            by_target.entry(target).or_default().push((family, alarm));
        }
        let mut clusters: Vec<Cluster> = Vec::new();
        for (target, cells) in by_target {
            for group in runs(target, cells, self.stretch(JOIN_MS)) {
                self.place(&mut clusters, group);
            }
        }
        clusters.sort_by_key(|cluster| (cluster.onset(), cluster.targets()));
        clusters
    }

    /// Joins a target's group to the clusters that it fits, which may join those to each other.
    fn place(&self, clusters: &mut Vec<Cluster>, mut group: Cluster) {
        let mut at = 0;
        while at < clusters.len() {
            if self.are_one(&clusters[at], &group) {
                group.absorb(clusters.remove(at));
                at = 0;
            } else {
                at += 1;
            }
        }
        clusters.push(group);
    }

    /// Says whether two clusters tell of one event: some target of each has the same networks and times.
    fn are_one(&self, one: &Cluster, other: &Cluster) -> bool {
        let shares_tag = one.tags().keys().any(|tag| other.tags().contains_key(tag));
        let gap = (one.onset() - other.onset()).abs();
        let are_young = one.is_open() && other.is_open() && gap <= self.base_ms;
        let are_together =
            shares_tag || are_young || overlap(one.span(self.now), other.span(self.now)) >= MIN_OVERLAP;
        if gap > self.stretch(JOIN_MS) || !are_together {
            return false;
        }
        one.targets()
            .iter()
            .any(|a| other.targets().iter().any(|b| self.jaccard((one, *a), (other, *b)) >= MIN_JACCARD))
    }

    fn jaccard(&self, (one, a): (&Cluster, TargetNo), (other, b): (&Cluster, TargetNo)) -> f64 {
        let (x, y) = (one.families_of(a), other.families_of(b));
        let both = x.intersection(&y).count();
        // A network that joined late is asked what it sees since then, not since the first one.
        let only = |(own, at): (&Cluster, TargetNo), others: &BTreeSet<FamilyNo>, target: TargetNo| {
            let alarms = own.cells.iter().filter(|((family, t), _)| *t == at && !others.contains(family));
            alarms.filter(|((family, _), alarm)| self.is_cleared(*family, target, alarm.onset)).count()
        };
        let apart = only((one, a), &y, b) + only((other, b), &x, a);
        if both == 0 {
            // Neither has been tried where the other fails: one kind of service failing at once is one event.
            let is_one_kind = apart == 0
                && self.kind(a) == self.kind(b)
                && (one.onset() - other.onset()).abs() <= self.base_ms;
            f64::from(u8::from(is_one_kind))
        } else {
            super::super::evidence::count(both) / super::super::evidence::count(both + apart)
        }
    }

    /// Says whether a network's agents reached a target since a moment.
    fn is_cleared(&self, family: FamilyNo, target: TargetNo, from: Ms) -> bool {
        let votes = vote(&self.evidence_between(family, target, from, self.now));
        votes.agents >= 1 && votes.is_clear()
    }
}

/// Splits a target's cells where two beginnings lie far apart.
fn runs(target: TargetNo, mut cells: Vec<(FamilyNo, &Alarm)>, reach: Ms) -> Vec<Cluster> {
    cells.sort_by_key(|(family, alarm)| (alarm.onset, *family));
    let mut groups: Vec<Cluster> = Vec::new();
    let mut last: Option<Ms> = None;
    for (family, alarm) in cells {
        if last.is_none_or(|last| alarm.onset - last > reach) {
            groups.push(Cluster::default());
        }
        last = Some(alarm.onset);
        let group = groups.last_mut().expect("a group was just made");
        group.cells.insert((family, target), alarm.clone());
    }
    groups
}

/// Intersection over union of two spans.
fn overlap(one: (Ms, Ms), other: (Ms, Ms)) -> f64 {
    let both = one.1.min(other.1) - one.0.max(other.0);
    let all = one.1.max(other.1) - one.0.min(other.0);
    let seconds = |ms: Ms| f64::from(i32::try_from(ms / 1000).unwrap_or(i32::MAX));
    if all < 60_000 { 1.0 } else { seconds(both.max(0)) / seconds(all) }
}
