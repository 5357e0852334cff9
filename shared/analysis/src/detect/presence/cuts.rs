//! Cuts: a network, a region or the country that is off, from its alarm until nobody asks any more.

use super::super::alarm::REOPEN_MS;
use super::super::cells::Cleared;
use super::super::core::Core;
use super::super::store::{Ms, RETENTION_MS};
use super::super::world::{FamilyNo, Place};
use super::silence::BURST_MS;
use super::{Heard, HeardKey};
use faultline_model::IncidentId;
use std::collections::BTreeMap;

/// Members that are still silent at or below this share end a cut.
const CLEAR_SHARE: f64 = 0.35;
/// Members that came back so long before the middle one came back for reasons of their own.
const TOGETHER_MS: Ms = 600_000;

/// Who is cut.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Group {
    /// An operator family.
    Family(FamilyNo),
    /// A region, over all its networks.
    Region(String),
    /// All agents of the country.
    Country,
}

/// How it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Cause {
    /// Agents went silent.
    Silent,
    /// Agents are connected and nothing that they try abroad works.
    Dead,
}

/// One cut.
#[derive(Clone, Debug)]
pub(in super::super) struct Cut {
    pub(in super::super) cause: Cause,
    /// Between these moments it began: the last sign of life, and the first that should have come.
    pub(in super::super) low: Ms,
    pub(in super::super) high: Ms,
    pub(in super::super) raised: Ms,
    pub(in super::super) ended: Option<Cleared>,
    pub(in super::super) incident: Option<IncidentId>,
    pub(in super::super) returns: u32,
    /// Only our channel was gone: what was measured meanwhile counts as ever.
    pub(in super::super) is_channel: bool,
}

impl Cut {
    pub(super) fn new(cause: Cause, (low, high): (Ms, Ms), raised: Ms) -> Self {
        Self {
            cause,
            low,
            high: high.max(low),
            raised,
            ended: None,
            incident: None,
            returns: 0,
            is_channel: false,
        }
    }

    /// Says whether it lasts.
    pub(in super::super) fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// Returns the most probable beginning.
    pub(in super::super) fn onset(&self) -> Ms {
        self.low + (self.high - self.low) / 2
    }

    /// Returns when it ended, or now.
    pub(in super::super) fn until(&self, now: Ms) -> Ms {
        self.ended.map_or(now, |ended| ended.end)
    }
}

impl Core {
    /// Returns the time in which a network was off, so that failures there say nothing about any target.
    pub(in super::super) fn cut_span(&self, family: FamilyNo) -> (Ms, Ms) {
        let cut = self.presences.cuts.get(&Group::Family(family)).filter(|cut| !cut.is_channel);
        cut.map_or((0, -1), |cut| (cut.low, cut.ended.map_or(Ms::MAX, |ended| ended.end)))
    }

    /// Returns the families that are or were cut.
    pub(in super::super) fn cut_families(&self) -> Vec<FamilyNo> {
        let groups = self.presences.cuts.keys();
        groups
            .filter_map(|group| if let Group::Family(family) = group { Some(*family) } else { None })
            .collect()
    }

    /// Says whether an agent belongs to a group.
    pub(super) fn belongs(&self, group: &Group, key: &HeardKey, heard: &Heard) -> bool {
        match group {
            Group::Family(family) => heard.place == Place::Home(*family),
            Group::Region(region) => {
                matches!(heard.place, Place::Home(_)) && self.region_of(&key.0) == Some(region.as_str())
            }
            Group::Country => matches!(heard.place, Place::Home(_)),
        }
    }

    /// Returns the return of every agent that a cut took, if it is back: agents that fell silent with it and were not
    /// back when it was noticed.
    fn returns(&self, group: &Group, cut: &Cut) -> Vec<Option<Ms>> {
        let mut taken = Vec::new();
        let mut cohorts: BTreeMap<&str, Vec<Option<Ms>>> = BTreeMap::new();
        for (key, heard) in &self.presences.agents {
            if !self.belongs(group, key, heard) {
                continue;
            }
            let fall = self.falls_of(heard).find(|(fell, back)| {
                (fell - cut.low).abs() <= BURST_MS && back.is_none_or(|back| back > cut.raised)
            });
            if let Some((_, back)) = fall {
                let back = back.filter(|back| *back <= self.now);
                match self.setup.cohorts.get(&key.0) {
                    Some(cohort) => cohorts.entry(cohort).or_default().push(back),
                    None => taken.push(back),
                }
            }
        }
        taken.extend(cohorts.into_values().map(super::silence::voice));
        taken
    }

    /// Raises a cut, or goes on with one that ended a moment ago.
    pub(super) fn raise_cut(&mut self, group: Group, cause: Cause, span: (Ms, Ms)) {
        let now = self.now;
        match self.presences.cuts.get_mut(&group) {
            Some(cut) if cut.is_open() => {}
            Some(cut) if cut.ended.is_some_and(|ended| span.0 - ended.end <= REOPEN_MS) => {
                cut.ended = None;
                cut.cause = cause;
                cut.returns += 1;
            }
            _ => {
                self.presences.cuts.insert(group, Cut::new(cause, span, now));
            }
        }
    }

    /// Ends cuts whose agents are back, and forgets what is long over.
    pub(super) fn end_silences(&mut self) {
        let now = self.now;
        let open = self.presences.cuts.iter().filter(|(_, cut)| cut.is_open() && cut.cause == Cause::Silent);
        let ends: Vec<(Group, Ms)> =
            open.filter_map(|(group, cut)| Some((group.clone(), self.end_of_silence(group, cut)?))).collect();
        for (group, end) in ends {
            if let Some(cut) = self.presences.cuts.get_mut(&group) {
                cut.ended = Some(Cleared { end: end.max(cut.high), at: now });
            }
        }
        self.presences.cuts.retain(|_, cut| cut.ended.is_none_or(|ended| now - ended.at <= RETENTION_MS));
    }

    /// Returns when agents of a group were first heard after a cut was noticed.
    fn newcomers(&self, group: &Group, cut: &Cut) -> impl Iterator<Item = Ms> {
        let own = self.presences.agents.iter().filter(move |(key, heard)| self.belongs(group, key, heard));
        own.filter_map(move |(_, heard)| heard.first_after(cut.raised)).filter(|back| *back <= self.now)
    }

    fn end_of_silence(&self, group: &Group, cut: &Cut) -> Option<Ms> {
        let mut taken = self.returns(group, cut);
        if taken.is_empty() {
            // Who was there before is not known any more: two that are heard say that it is over.
            taken = self.newcomers(group, cut).map(Some).collect();
            if taken.len() < 2 {
                return None;
            }
        }
        let mut backs: Vec<Ms> = taken.iter().flatten().copied().collect();
        backs.sort_unstable();
        let silent = taken.len() - backs.len();
        let is_over = super::super::evidence::count(silent)
            <= CLEAR_SHARE * super::super::evidence::count(taken.len())
            && (backs.len() >= 2 || silent == 0);
        let middle = backs.get(backs.len() / 2).copied()?;
        is_over.then(|| backs.into_iter().find(|back| *back >= middle - TOGETHER_MS)).flatten()
    }
}
