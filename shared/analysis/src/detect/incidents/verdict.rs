//! The word for a cluster (method 3.6).
//!
//! `national` is said only if the blocked networks hold at least 70 % of the covered users and are at least 75 %
//! of the testable ones; `category` if in addition there are at least three targets, all of one kind of service,
//! and at least 75 % of what is monitored of that kind. Operator families are counted, never ASNs.

use super::super::cells::Strength;
use super::super::core::Core;
use super::super::evidence::{count, vote};
use super::super::null::share;
use super::super::store::{Entry, Ms};
use super::super::world::{FamilyNo, TargetNo};
use super::statement::Stance;
use faultline_model::{Class, ServiceId, Verdict};
use std::collections::{BTreeMap, BTreeSet};

const NATIONAL_USERS: f64 = 0.70;
const NATIONAL_NETWORKS: f64 = 0.75;
const CATEGORY_TARGETS: usize = 3;
const CATEGORY_SHARE: f64 = 0.75;
/// Networks with fewer agents than this speak only together, from so many networks on: each needs three
/// siblings.
const SPARSE_AGENTS: usize = 3;
const SPARSE_LEAST: usize = 4;
/// A country is more than two networks.
const NATIONAL_LEAST: usize = 3;
/// Reference agents that must fail for a target outage that the far controls do not see.
const REFERENCE_LEAST: f64 = 3.0;
/// Geo-block: share of networks and of anomalies with a differing status (method 3.4).
const GEO_SHARE: f64 = 0.7;

impl Core {
    /// Names a cluster.
    pub(in super::super) fn verdict(
        &self,
        strength: Strength,
        targets: &[TargetNo],
        stances: &BTreeMap<FamilyNo, Stance>,
        span: (Ms, Ms),
    ) -> Verdict {
        if strength < Strength::Firm {
            return Verdict::InsufficientData;
        }
        if self.is_seen_abroad(targets, span) {
            return Verdict::TargetOutage;
        }
        let blocked: BTreeSet<FamilyNo> = stances
            .iter()
            .filter(|(_, stance)| **stance == Stance::Blocked)
            .map(|(family, _)| *family)
            .collect();
        if self.is_refused_by_site(targets, &blocked, stances, span) {
            return Verdict::GeoBlock;
        }
        let seen_by = |family: &FamilyNo| vote(&self.pooled(*family, targets, span)).agents;
        let are_all_sparse = blocked.iter().all(|family| seen_by(family) < SPARSE_AGENTS);
        if are_all_sparse && blocked.len() < SPARSE_LEAST {
            return Verdict::InsufficientData;
        }
        match blocked.len() {
            0 | 1 => Verdict::IspBlock,
            _ if !self.is_national(&blocked, stances) => Verdict::MultiIspBlock,
            _ if self.is_category(targets) => Verdict::CategoryBlock,
            _ => Verdict::NationalBlock,
        }
    }

    fn is_national(&self, blocked: &BTreeSet<FamilyNo>, stances: &BTreeMap<FamilyNo, Stance>) -> bool {
        let testable =
            if self.is_anonymous() { self.world.heard().collect() } else { self.testable(stances) };
        let users = |families: &BTreeSet<FamilyNo>| families.iter().map(|f| self.share_of(*f)).sum::<f64>();
        let covered = users(&testable);
        blocked.len() >= NATIONAL_LEAST
            && count(blocked.len()) >= NATIONAL_NETWORKS * count(testable.len())
            && users(blocked) >= NATIONAL_USERS * covered
    }

    /// Says whether the targets are one kind of service, and most of what is monitored of it.
    fn is_category(&self, targets: &[TargetNo]) -> bool {
        let kind = |target: TargetNo| self.kind(target);
        let Some(first) = targets.first().map(|target| kind(*target)) else { return false };
        if targets.len() < CATEGORY_TARGETS || targets.iter().any(|target| kind(*target) != first) {
            return false;
        }
        let all: Vec<TargetNo> = (0..self.world.targets.len())
            .filter(|target| kind(*target) == first && !self.is_standing_everywhere(*target))
            .collect();
        let services = |targets: &[TargetNo]| -> BTreeSet<ServiceId> {
            targets.iter().map(|target| self.world.targets[*target].service.clone()).collect()
        };
        let part = |own: usize, all: usize| count(own) >= CATEGORY_SHARE * count(all);
        part(targets.len(), all.len()) || part(services(targets).len(), services(&all).len())
    }

    /// Returns the kind of service: its category, where social networks and media sharing are one kind.
    pub(super) fn kind(&self, target: TargetNo) -> &str {
        match self.world.targets[target].category.as_str() {
            "GRP" | "MMED" => "GRP",
            other => other,
        }
    }

    fn is_standing_everywhere(&self, target: TargetNo) -> bool {
        self.world.heard().all(|family| self.is_standing(family, target))
    }

    /// Says whether volunteers in neighbouring networks see the same: the site, or the network that serves it.
    fn is_seen_abroad(&self, targets: &[TargetNo], span: (Ms, Ms)) -> bool {
        let mut entries: Vec<Entry> = Vec::new();
        for target in targets {
            entries.extend(self.store.reference(*target).between(span.0, span.1));
        }
        let votes = vote(&entries);
        votes.bad >= REFERENCE_LEAST && votes.bad >= 0.5 * count(votes.agents)
    }

    /// Says whether the site itself refuses the country: over a valid certificate the server said it.
    fn is_refused_by_site(
        &self,
        targets: &[TargetNo],
        blocked: &BTreeSet<FamilyNo>,
        stances: &BTreeMap<FamilyNo, Stance>,
        span: (Ms, Ms),
    ) -> bool {
        let is_https = |target: &TargetNo| self.world.targets[*target].target.as_str().starts_with("https:");
        let testable = self.testable(stances).len();
        if !targets.iter().all(is_https)
            || blocked.len() < NATIONAL_LEAST
            || count(blocked.len()) < GEO_SHARE * count(testable)
        {
            return false;
        }
        let anomalies = blocked.iter().flat_map(|family| self.pooled(*family, targets, span));
        let anomalies = anomalies.filter(|entry| entry.class.is_anomaly());
        share(anomalies.map(|entry| entry.class == Class::HttpStatusDiff)) >= GEO_SHARE
    }
}
