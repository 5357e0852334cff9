//! Judged results as the answers read them: who saw what of which target, one agent one vote.

use super::odds::float;
use crate::detect::TargetInfo;
use faultline_model::{
    AgentId, Asn, CheckKind, Class, CountryProfile, Incident, LayerStatus, Record, Target, Timestamp, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

/// From this share of failures on a target counts as failing on a network, and below [`FINE`] as fine.
pub(super) const FAILS: f64 = 0.5;
/// See [`FAILS`].
pub(super) const FINE: f64 = 0.2;

/// One judged result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Who measured.
    pub agent: AgentId,
    /// From which network.
    pub asn: Asn,
    /// A control made it.
    pub control: bool,
    /// Against what.
    pub target: Target,
    /// What was run.
    pub check: CheckKind,
    /// When it started, by a corrected clock.
    pub at: Timestamp,
    /// How it ended.
    pub class: Class,
    /// What was judged of the deciding layer.
    pub status: LayerStatus,
}

impl From<&Record> for Sight {
    fn from(record: &Record) -> Self {
        Self {
            agent: record.agent.clone(),
            asn: record.asn,
            control: record.control,
            target: record.target.clone(),
            check: record.check,
            at: record.started_at,
            class: record.class,
            status: if record.class.is_anomaly() { LayerStatus::Blocked } else { LayerStatus::Ok },
        }
    }
}

/// Sights beside what is known of targets and networks.
pub(super) struct Scene<'a> {
    pub(super) incident: &'a Incident,
    pub(super) profile: &'a CountryProfile,
    pub(super) targets: &'a [TargetInfo],
    /// What counts as evidence about reachability, by family, in the order of time.
    sights: BTreeMap<Asn, Vec<&'a Sight>>,
    controls: Vec<&'a Sight>,
    pub(super) now: Timestamp,
    /// The time within which a target is measured once from a network.
    pub(super) period_s: f64,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        (incident, profile): (&'a Incident, &'a CountryProfile),
        targets: &'a [TargetInfo],
        sights: &'a [Sight],
        (now, period_s): (Timestamp, f64),
    ) -> Self {
        let check =
            if incident.verdict == Verdict::Throttling { CheckKind::Throughput } else { CheckKind::Web };
        let mut scene =
            Self { incident, profile, targets, sights: BTreeMap::new(), controls: Vec::new(), now, period_s };
        let counted = |sight: &&Sight| {
            let is_about_line = sight.class == Class::LocalNetworkDown;
            let is_slow_chain = check == CheckKind::Web && sight.class == Class::Throttled;
            sight.check == check && !is_about_line && !is_slow_chain
        };
        for sight in sights.iter().filter(counted) {
            if sight.control {
                scene.controls.push(sight);
            } else {
                scene.sights.entry(family(profile, sight.asn)).or_default().push(sight);
            }
        }
        scene.sights.values_mut().for_each(|own| own.sort_by_key(|sight| (sight.at, sight.agent.clone())));
        scene
    }

    /// Returns the name by which people know a network.
    pub(super) fn name(&self, asn: Asn) -> String {
        self.profile.operator(asn).map_or_else(|| asn.to_string(), |operator| operator.name.clone())
    }

    /// Returns the families that were measured from, and those that the profile or the incident names.
    pub(super) fn families(&self) -> BTreeSet<Asn> {
        let described = self.profile.operators.iter().map(faultline_model::Operator::main_asn);
        self.sights.keys().copied().chain(described).chain(self.incident.asns.iter().copied()).collect()
    }

    /// Returns the time in which a network was part of the incident, or the incident's own time.
    pub(super) fn span(&self, asn: Asn) -> (Timestamp, Timestamp) {
        let onset = self.incident.onset_by_asn.get(&asn).copied().unwrap_or(self.incident.onset);
        let end = self.incident.end_by_asn.get(&asn).copied().or(self.incident.end);
        // A first failure that was seen is a surer beginning than the middle of an interval.
        let first = self.incident.onset_interval_by_asn.get(&asn).map_or(onset, |interval| interval[1]);
        (first.max(onset), end.unwrap_or(self.now))
    }

    /// Returns a family's sights within a time, in order.
    pub(super) fn of(&self, asn: Asn, (from, to): (Timestamp, Timestamp)) -> Vec<&'a Sight> {
        let own = self.sights.get(&asn).map(Vec::as_slice).unwrap_or_default();
        own.iter().filter(|sight| sight.at >= from && sight.at < to).copied().collect()
    }

    /// Returns a family's sights while it was part of the incident.
    pub(super) fn during(&self, asn: Asn) -> Vec<&'a Sight> {
        self.of(asn, self.span(asn))
    }

    /// Returns the controls' sights while the incident lasted.
    pub(super) fn controls(&self) -> Vec<&'a Sight> {
        let (from, to) = (self.incident.onset, self.incident.end.unwrap_or(self.now));
        self.controls.iter().filter(|sight| sight.at >= from && sight.at < to).copied().collect()
    }

    pub(super) fn info(&self, target: &Target) -> Option<&'a TargetInfo> {
        self.targets.iter().find(|info| info.target == *target)
    }

    pub(super) fn is_canary(&self, target: &Target) -> bool {
        self.info(target).is_some_and(|info| info.category.is_canary())
    }

    /// Says whether a sight is of what the incident is about; where it is about nothing in particular, of anything
    /// that is served abroad.
    pub(super) fn is_affected(&self, target: &Target) -> bool {
        if self.incident.targets.is_empty() {
            self.info(target).is_none_or(|info| !info.domestic)
        } else {
            self.incident.targets.contains(target)
        }
    }

    /// Returns how many results and agents there are in all, for the answer's footing.
    pub(super) fn footing(&self) -> (usize, usize) {
        let agents: BTreeSet<&AgentId> = self.sights.values().flatten().map(|sight| &sight.agent).collect();
        (self.sights.values().map(Vec::len).sum(), agents.len())
    }
}

/// Returns the ASN by which a network's family is named.
pub(super) fn family(profile: &CountryProfile, asn: Asn) -> Asn {
    profile.operator(asn).map_or(asn, faultline_model::Operator::main_asn)
}

/// The failure rate of some sights: the mean over agents, so that none weighs more than another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) share: f64,
    pub(super) agents: usize,
    pub(super) results: usize,
}

/// Returns the failure rate of sights.
pub(super) fn rate<'a>(sights: impl Iterator<Item = &'a Sight>) -> Rate {
    let mut agents: BTreeMap<&AgentId, (usize, usize)> = BTreeMap::new();
    for sight in sights {
        let own = agents.entry(&sight.agent).or_default();
        own.0 += usize::from(sight.class.is_anomaly());
        own.1 += 1;
    }
    let sum: f64 = agents.values().map(|(bad, all)| float(*bad) / float(*all)).sum();
    Rate {
        share: if agents.is_empty() { 0.0 } else { sum / float(agents.len()) },
        agents: agents.len(),
        results: agents.values().map(|(_, all)| all).sum(),
    }
}
