//! What is said of a cluster: which networks, since when, by what means, how sure.

use super::super::alarm::points;
use super::super::cells::Strength;
use super::super::changepoint::{self, Change, Turn};
use super::super::core::Core;
use super::super::evidence::{count, vote};
use super::super::null::Nulls;
use super::super::posterior::Posterior;
use super::super::store::{Entry, Ms};
use super::super::world::{FamilyNo, TargetNo};
use super::cluster::Cluster;
use faultline_model::{Asn, Basis, Class, Reach, Status, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// Before an alarm, beginnings are looked for so far back, and after it so far on (method 3.3).
const BEFORE_MS: Ms = 4_200_000;
const AFTER_MS: Ms = 900_000;
/// A sibling with at least this share of failing agents joins; between the two it is unknown (method 3.6).
const JOIN_SHARE: f64 = 0.5;
const UNKNOWN_SHARE: f64 = 0.34;

/// What the agents of a network say of a cluster's targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Stance {
    /// It blocks.
    Blocked,
    /// It does not.
    Cleared,
    /// Too little is known.
    Unknown,
}

/// Everything that an incident says, in numbers.
#[derive(Clone, Debug)]
pub(in super::super) struct Statement {
    pub(in super::super) verdict: Verdict,
    pub(in super::super) status: Status,
    pub(in super::super) confidence: f64,
    pub(in super::super) targets: Vec<TargetNo>,
    pub(in super::super) families: Vec<FamilyNo>,
    /// The gateway that explains which networks block.
    pub(in super::super) transit: Option<Asn>,
    pub(in super::super) basis: Option<Basis>,
    pub(in super::super) reach: Option<Reach>,
    /// The region that is off, where one explains it.
    pub(in super::super) region: Option<String>,
    pub(in super::super) stances: BTreeMap<FamilyNo, Stance>,
    pub(in super::super) onsets: BTreeMap<FamilyNo, Change>,
    pub(in super::super) onset: Ms,
    pub(in super::super) ends: BTreeMap<FamilyNo, Ms>,
    pub(in super::super) end: Option<Ms>,
    pub(in super::super) mechanisms: BTreeMap<Class, usize>,
    pub(in super::super) mechanism_by_family: BTreeMap<FamilyNo, Class>,
    pub(in super::super) posterior: Posterior,
    pub(in super::super) evidence: Vec<String>,
    /// Why it is withdrawn, if it is.
    pub(in super::super) retraction: Option<String>,
    /// It came back after it had seemed over.
    pub(in super::super) returns: u32,
}

impl Core {
    /// Says what a cluster of blocked cells amounts to.
    pub(in super::super) fn state(&self, nulls: &mut Nulls, cluster: &Cluster) -> Statement {
        let targets: Vec<TargetNo> = cluster.targets().into_iter().collect();
        let span = cluster.span(self.now);
        let posterior = self.posterior(nulls, &targets, span);
        let strength = cluster.strength();
        let mut stances = self.stances(cluster, &targets, span);
        let families: Vec<FamilyNo> = if strength == Strength::Firm {
            stances
                .iter()
                .filter(|(_, stance)| **stance == Stance::Blocked)
                .map(|(family, _)| *family)
                .collect()
        } else {
            cluster.families(Strength::Uncontrolled).into_iter().collect()
        };
        let verdict = self.verdict(strength, &targets, &stances, span);
        if verdict == Verdict::InsufficientData {
            // Nothing is known of anybody's users while it cannot be said whose doing it is.
            stances.retain(|_, stance| *stance != Stance::Blocked);
        }
        let mut statement = Statement {
            verdict,
            status: Status::Suspected,
            confidence: match verdict {
                // Nobody can be asked to close the question of who else blocks.
                Verdict::IspBlock if self.is_anonymous() => posterior.one + posterior.several,
                _ => confidence(verdict, &posterior),
            },
            onsets: BTreeMap::new(),
            onset: span.0,
            ends: BTreeMap::new(),
            end: None,
            mechanisms: BTreeMap::new(),
            mechanism_by_family: BTreeMap::new(),
            posterior,
            evidence: Vec::new(),
            transit: (verdict == Verdict::MultiIspBlock).then(|| self.transit(&stances)).flatten(),
            basis: None,
            reach: None,
            region: None,
            retraction: None,
            returns: cluster.cells.values().map(|alarm| alarm.returns).max().unwrap_or(0),
            stances,
            families,
            targets,
        };
        self.state_times(&mut statement, cluster);
        self.state_mechanisms(&mut statement);
        statement
    }

    /// Returns the time in which the beginning of a network's block is looked for, around its alarm.
    fn onset_span(&self, network: (FamilyNo, &[TargetNo]), alarm: Ms) -> (Ms, Ms) {
        let usual = alarm - self.stretch(BEFORE_MS);
        // Among sparse votes what comes after the alarm may be the next day's session.
        let after = if self.is_anonymous() { 0 } else { AFTER_MS };
        (self.onset_from(network, usual), alarm + after)
    }

    /// Says for every network that was ever heard what its agents say of the targets.
    fn stances(&self, cluster: &Cluster, targets: &[TargetNo], span: (Ms, Ms)) -> BTreeMap<FamilyNo, Stance> {
        let firm = cluster.families(Strength::Firm);
        let weak = cluster.families(Strength::Uncontrolled);
        let mut stances = BTreeMap::new();
        for family in self.world.heard() {
            let stance = if firm.contains(&family) {
                Stance::Blocked
            } else if weak.contains(&family) {
                Stance::Unknown
            } else {
                self.stance(family, targets, span)
            };
            stances.insert(family, stance);
        }
        stances
    }

    /// Reads a network without an alarm of its own: it joins if at least two agents, and half of them, fail.
    fn stance(&self, family: FamilyNo, targets: &[TargetNo], span: (Ms, Ms)) -> Stance {
        let mut entries: Vec<Entry> = Vec::new();
        for target in targets.iter().filter(|target| !self.is_standing(family, **target)) {
            entries.extend(self.evidence_between(family, *target, span.0, span.1));
        }
        let votes = vote(&entries);
        let share = votes.bad / count(votes.agents.max(1));
        if votes.agents < 2 {
            Stance::Unknown
        } else if share >= JOIN_SHARE && votes.bad >= 2.0 {
            let is_selective = targets.iter().any(|target| self.is_selective((family, *target), span.0));
            if is_selective { Stance::Blocked } else { Stance::Unknown }
        } else if share >= UNKNOWN_SHARE {
            Stance::Unknown
        } else {
            Stance::Cleared
        }
    }

    pub(in super::super) fn is_standing(&self, family: FamilyNo, target: TargetNo) -> bool {
        self.cells.get(family, target).is_some_and(|cell| cell.is_standing)
    }

    /// Finds beginnings and ends, pooled over the cluster's targets of each network.
    fn state_times(&self, statement: &mut Statement, cluster: &Cluster) {
        for family in &statement.families {
            let own: Vec<TargetNo> = cluster
                .cells
                .keys()
                .filter(|(other, _)| other == family)
                .map(|(_, target)| *target)
                .collect();
            let own = if own.is_empty() { statement.targets.clone() } else { own };
            let alarms = cluster.cells.iter().filter(|((other, _), _)| other == family);
            let alarms: Vec<_> = alarms.map(|(_, alarm)| alarm).collect();
            let at = alarms.iter().map(|alarm| alarm.at).min().unwrap_or_else(|| cluster.raised_at());
            let entries = self.pooled(*family, &own, self.onset_span((*family, &own), at));
            if let Some(change) = changepoint::find(&points(&entries), Turn::Onset) {
                statement.onsets.insert(*family, change);
            }
            let have_ended = if alarms.is_empty() {
                !cluster.is_open()
            } else {
                alarms.iter().all(|alarm| !alarm.is_open())
            };
            let cleared = alarms.iter().filter_map(|alarm| alarm.cleared);
            let Some(last) =
                cleared.map(|cleared| cleared.end).max().or((!cluster.is_open()).then_some(self.now))
            else {
                continue;
            };
            if have_ended {
                let onset = statement.onsets.get(family).map_or(cluster.onset(), |change| change.first_after);
                let noticed = alarms.iter().filter_map(|alarm| alarm.cleared).map(|cleared| cleared.at).max();
                let entries = self.pooled(*family, &own, (onset, noticed.unwrap_or(self.now)));
                let change = changepoint::find(&points(&entries), Turn::End);
                statement.ends.insert(*family, change.map_or(last, |change| change.middle()).max(onset));
            }
        }
        statement.onset = self.first_onset(statement).unwrap_or(statement.onset);
        if !cluster.is_open() {
            statement.end = statement.ends.values().max().copied().or(Some(cluster.span(self.now).1));
        }
    }

    /// Returns the earliest of the networks' beginnings that lies within a base period of the middle one: a
    /// single odd estimate does not move the incident.
    pub(in super::super) fn first_onset(&self, statement: &Statement) -> Option<Ms> {
        let mut onsets: Vec<Ms> = statement.onsets.values().map(Change::middle).collect();
        onsets.sort_unstable();
        let middle = onsets.get(onsets.len() / 2).copied()?;
        onsets.into_iter().find(|onset| *onset >= middle - self.base_ms)
    }

    /// Returns a network's results on some targets in the order of their starts.
    pub(in super::super) fn pooled(
        &self,
        family: FamilyNo,
        targets: &[TargetNo],
        span: (Ms, Ms),
    ) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for target in targets {
            entries.extend(self.evidence_between(family, *target, span.0, span.1));
        }
        entries.sort_by_key(|entry| (entry.start, entry.key));
        entries
    }

    fn state_mechanisms(&self, statement: &mut Statement) {
        for family in &statement.families {
            let from = statement.onsets.get(family).map_or(statement.onset, |change| change.first_after);
            let to = statement.ends.get(family).copied().unwrap_or(self.now);
            let mut own: BTreeMap<Class, usize> = BTreeMap::new();
            for entry in self.pooled(*family, &statement.targets, (from, to)) {
                if entry.class.is_anomaly() {
                    *own.entry(entry.class).or_default() += 1;
                }
            }
            let most = own.iter().max_by_key(|(class, number)| (**number, std::cmp::Reverse(**class)));
            if let Some((class, _)) = most {
                statement.mechanism_by_family.insert(*family, *class);
            }
            for (class, number) in own {
                *statement.mechanisms.entry(class).or_default() += number;
            }
        }
    }

    /// Returns the user share of affected, cleared and unknown networks; they add up to 1.
    pub(in super::super) fn user_share(&self, stances: &BTreeMap<FamilyNo, Stance>) -> [f64; 3] {
        let sum = |wanted: Stance| -> f64 {
            let own = stances.iter().filter(|(_, stance)| **stance == wanted);
            // A fold, because an empty sum of floats is minus zero.
            own.fold(0.0, |total, (family, _)| total + self.share_of(*family))
        };
        let (affected, cleared) = (sum(Stance::Blocked), sum(Stance::Cleared));
        [affected, cleared, (1.0 - affected - cleared).max(0.0)]
    }

    /// Returns networks with enough agents for a statement: three, or two beside three that are blocked.
    pub(in super::super) fn testable(&self, stances: &BTreeMap<FamilyNo, Stance>) -> BTreeSet<FamilyNo> {
        let blocked = stances.values().filter(|stance| **stance == Stance::Blocked).count();
        let least = if blocked >= 3 { 2 } else { 3 };
        let is_testable = |family: &FamilyNo| {
            let is_blocked = stances.get(family) == Some(&Stance::Blocked);
            is_blocked || self.active_in(*family) >= least
        };
        stances.keys().copied().filter(is_testable).collect()
    }
}

/// Returns the score of the explanations under which what a verdict says holds.
fn confidence(verdict: Verdict, posterior: &Posterior) -> f64 {
    match verdict {
        Verdict::IspBlock => posterior.one,
        // "These providers block" holds as well if it turns out to be the whole country.
        Verdict::MultiIspBlock => posterior.several + posterior.national,
        Verdict::NationalBlock | Verdict::CategoryBlock => posterior.national,
        Verdict::TargetOutage | Verdict::GeoBlock => posterior.target.max(posterior.national),
        _ => 0.5,
    }
}
