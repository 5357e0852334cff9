//! Incidents: clusters of blocked cells and failing sites, told to readers in revisions.
//!
//! Nothing that was published is ever deleted. A cluster keeps its incident as it grows from one network to
//! the country; a cluster that turns out to be part of another is withdrawn with a pointer to it.

mod cluster;
mod outage;
mod parts;
mod publish;
mod restore;
mod shutdown;
mod sparse;
mod statement;
mod transit;
mod verdict;
mod wording;

use super::alarm::REOPEN_MS;
use super::cells::{Alarm, Strength};
use super::core::Core;
use super::evidence::count;
use super::null::Nulls;
use super::store::Ms;
use cluster::Cluster;
use faultline_model::{Incident, IncidentId, Status, Verdict};
pub(super) use statement::{Stance, Statement};
use std::collections::{BTreeMap, BTreeSet};

pub(super) use outage::Outage;

/// A block is published from this score of there being anything at all (method 3.6).
const PUBLISH_SCORE: f64 = 0.90;
/// Live: a first statement waits so long for networks that were just asked.
const HOLD_MS: Ms = 6_000;
/// Live: that there is too little data is said after this.
const WEAK_HOLD_MS: Ms = 15_000;
/// Live: after this an incident is confirmed although some networks stay unknown.
const SETTLED_MS: Ms = 60_000;
/// Live: share of networks that must have answered before.
const SETTLED_SHARE: f64 = 0.8;
/// Live: how often unchanged clusters are looked at: young, open and ended ones.
const YOUNG_LOOK_MS: Ms = 1_000;
const OPEN_LOOK_MS: Ms = 5_000;
const CLOSED_LOOK_MS: Ms = 60_000;
/// Recorded data: the least length of a confirmed incident, in base periods.
const CONFIRM_PERIODS: f64 = 1.2;

/// What is remembered of incidents.
#[derive(Debug, Default)]
pub(super) struct Incidents {
    pub(super) published: BTreeMap<IncidentId, Incident>,
    pub(super) outages: BTreeMap<usize, Outage>,
    /// When each was last revised, and when it was found to be over.
    marks: BTreeMap<IncidentId, Marks>,
    /// Live: the last look, and the alarms and outages that there were.
    updated: Updated,
    /// Live: when each cluster was looked at last, by fingerprint.
    told: BTreeMap<u64, Ms>,
    /// Live: when sparse networks were looked at last.
    sparse_looked: Ms,
    /// Live: when something that is held back has to be looked at again.
    pub(super) wake: Option<Ms>,
}

/// When incidents were looked at last, and when there was something new.
#[derive(Clone, Copy, Debug, Default)]
struct Updated {
    at: Ms,
    changed: Ms,
    state: (u64, usize),
}

#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    revised: Ms,
    closed: Option<Ms>,
    /// It was withdrawn because it is part of another.
    is_merged: bool,
}

impl Incidents {
    /// Says whether a site is failing for everybody now.
    pub(super) fn is_down(&self, target: usize) -> bool {
        self.outages.get(&target).is_some_and(|outage| outage.cleared.is_none())
    }
}

impl Core {
    /// Tells anew what changed, and returns what is to be published.
    pub(super) fn update_incidents(&mut self, nulls: &mut Nulls) -> Vec<Incident> {
        self.incidents.wake = None;
        self.update_sparse(nulls);
        if self.was_just_updated() {
            return Vec::new();
        }
        let mut changed = BTreeMap::new();
        let clusters = self.clusters(|target, alarm| self.is_told(target, alarm));
        for (id, cluster) in self.assign(clusters) {
            if self.was_just_told(id.as_ref(), &cluster) {
                continue;
            }
            let statement = self.finish(nulls, &cluster, id.as_ref());
            if id.is_none() && !self.is_publishable(&cluster, &statement) {
                continue;
            }
            let cells: Vec<(usize, usize)> = cluster.cells.keys().copied().collect();
            let (id, incident) = self.publish(id, &statement);
            for (family, target) in cells {
                if let Some(alarm) = self.cells.alarm_mut(family, target)
                    && let Some(former) = alarm.incident.replace(id.clone()).filter(|former| *former != id)
                    && let Some(merged) = self.withdraw_merged(&former, &id)
                {
                    changed.insert(former, merged);
                }
            }
            changed.extend(incident.map(|incident| (id, incident)));
        }
        changed.extend(self.publish_outages());
        changed.extend(self.publish_shutdowns());
        changed.extend(self.publish_slow());
        changed.extend(self.publish_degraded());
        let mut changed: Vec<Incident> = changed.into_values().collect();
        changed.sort_by(|a, b| (a.detected_at, &a.id).cmp(&(b.detected_at, &b.id)));
        changed
    }

    /// Live: says whether nothing was raised or cleared since the last look, which was a moment ago.
    fn was_just_updated(&mut self) -> bool {
        let alarms = self.cells.changes();
        let outages = self
            .incidents
            .outages
            .values()
            .map(|outage| 1 + usize::from(outage.cleared.is_some()))
            .sum::<usize>()
            + self.presences.cuts.values().map(|cut| 1 + usize::from(!cut.is_open())).sum::<usize>()
            + self.presences.own.len();
        let state = (alarms, outages);
        let is_live = self.is_live();
        let known = &mut self.incidents.updated;
        let is_new = known.state != state;
        if is_new {
            (known.state, known.changed) = (state, self.now);
        }
        if !is_live || is_new || self.now - known.at >= YOUNG_LOOK_MS {
            known.at = self.now;
            return false;
        }
        let (next, is_busy) = (known.at + YOUNG_LOOK_MS, self.now - known.changed < SETTLED_MS);
        if is_busy {
            self.wake_at(next);
        }
        true
    }

    /// Live: says whether a cluster was told a moment ago and has the same alarms as then. Records come many a
    /// second; a reader needs no more than one look a second.
    fn was_just_told(&mut self, id: Option<&IncidentId>, cluster: &Cluster) -> bool {
        if !self.is_live() {
            return false;
        }
        let is_young = id.is_none() || self.now - cluster.raised_at() < SETTLED_MS;
        let pace = match (cluster.is_open(), is_young) {
            (true, true) => YOUNG_LOOK_MS,
            (true, false) => OPEN_LOOK_MS,
            (false, _) => CLOSED_LOOK_MS,
        };
        let fingerprint = cluster.fingerprint();
        let now = self.now;
        if let Some(told) = self.incidents.told.get(&fingerprint).filter(|told| now - **told < pace).copied()
        {
            if is_young {
                self.wake_at(told + pace);
            }
            return true;
        }
        self.incidents.told.retain(|_, told| now - *told < CLOSED_LOOK_MS);
        self.incidents.told.insert(fingerprint, now);
        false
    }

    /// Says whether an alarm still takes part in what is told.
    fn is_told(&self, target: usize, alarm: &Alarm) -> bool {
        if self.incidents.outages.get(&target).is_some_and(|outage| outage.covers(alarm.onset)) {
            return false;
        }
        match &alarm.incident {
            None => alarm.is_open(),
            Some(id) => !self.is_long_closed(id),
        }
    }

    pub(super) fn is_long_closed(&self, id: &IncidentId) -> bool {
        let closed = self.incidents.marks.get(id).and_then(|marks| marks.closed);
        closed.is_some_and(|closed| self.now - closed > self.stretch(REOPEN_MS))
    }

    /// Gives every cluster the oldest incident that its cells belong to; the larger cluster goes on with it.
    fn assign(&self, clusters: Vec<Cluster>) -> Vec<(Option<IncidentId>, Cluster)> {
        let mut wishes = Vec::new();
        for (number, cluster) in clusters.iter().enumerate() {
            for (id, cells) in cluster.tags() {
                let Some(incident) = self.incidents.published.get(&id) else { continue };
                let is_merged = self.incidents.marks.get(&id).is_some_and(|marks| marks.is_merged);
                if !is_merged {
                    wishes.push((incident.detected_at, id, std::cmp::Reverse(cells), number));
                }
            }
        }
        wishes.sort();
        let mut taken: BTreeSet<IncidentId> = BTreeSet::new();
        let mut ids: Vec<Option<IncidentId>> = vec![None; clusters.len()];
        for (_, id, _, number) in wishes {
            if ids[number].is_none() && taken.insert(id.clone()) {
                ids[number] = Some(id);
            }
        }
        ids.into_iter().zip(clusters).collect()
    }

    /// Adds status, retraction and reasons to what is said of a cluster.
    fn finish(&self, nulls: &mut Nulls, cluster: &Cluster, id: Option<&IncidentId>) -> Statement {
        let mut statement = self.state(nulls, cluster);
        let former = id.and_then(|id| self.incidents.published.get(id));
        let was_confirmed = former.is_some_and(|incident| incident.status == Status::Confirmed);
        let lasted = statement.end.unwrap_or(self.now) - cluster.onset().max(statement.onset);
        let is_long =
            count(usize::try_from(lasted).unwrap_or(0)) >= CONFIRM_PERIODS * self.base_seconds() * 1000.0;
        let is_firm = statement.posterior.exists() >= PUBLISH_SCORE;
        let is_settled =
            if self.is_live() { is_firm && self.is_settled(cluster, &statement) } else { is_long };
        let is_settled = is_settled
            || (is_firm && self.is_seen_again(&statement.families, &statement.targets, cluster.onset()));
        let is_over = statement.end.is_some();
        let is_claim = !self.is_live() || statement.verdict != Verdict::InsufficientData;
        if was_confirmed || (is_settled && !(is_over && self.is_live())) {
            statement.status = Status::Confirmed;
        } else if is_over && is_claim && former.is_some() {
            statement.retraction = Some("it cleared before it could be confirmed".to_owned());
        }
        statement.evidence = self.explain(cluster, &statement);
        statement
    }

    /// Live: says whether the confirmation round is over and agrees.
    fn is_settled(&self, cluster: &Cluster, statement: &Statement) -> bool {
        if self.now - cluster.raised_at() >= SETTLED_MS {
            return true;
        }
        let known = statement.stances.values().filter(|stance| **stance != Stance::Unknown).count();
        statement.verdict != Verdict::InsufficientData
            && count(known) >= SETTLED_SHARE * count(statement.stances.len())
    }

    fn is_publishable(&mut self, cluster: &Cluster, statement: &Statement) -> bool {
        if !cluster.is_open() {
            return false;
        }
        let is_weak = statement.verdict == Verdict::InsufficientData;
        if !self.is_live() {
            return is_weak || statement.posterior.exists() >= PUBLISH_SCORE;
        }
        // What the alarm's error rate carries but the comparison does not yet is said as suspected. That there is
        // too little data is said only when those who were asked had time to answer.
        let held = if is_weak { WEAK_HOLD_MS } else { HOLD_MS };
        let raised = cluster.raised_at();
        let is_asking = self.now - raised < held && (is_weak || !self.is_settled(cluster, statement));
        if is_asking {
            self.wake_at(raised + held);
        }
        !is_asking
    }

    /// Asks for another evaluation.
    pub(super) fn wake_at(&mut self, at: Ms) {
        self.incidents.wake = Some(self.incidents.wake.map_or(at, |other| other.min(at)));
    }

    /// Says how strongly a cell is part of an open incident.
    pub(super) fn open_strength(&self, family: usize, target: usize) -> Option<Strength> {
        let alarm = self.cells.alarm(family, target)?;
        alarm.is_open().then_some(alarm.strength)
    }

    fn base_seconds(&self) -> f64 {
        count(usize::try_from(self.base_ms / 1000).unwrap_or(0))
    }
}
