//! Services that have a test of their own, such as Telegram.
//!
//! Data without identities are sparse, and cannot afford a cell for every host of a service: a vantage point's
//! vote on such a service is one, and it fails where one of the service's targets does. Pages whose name is the
//! service's (`telegram.org`) belong to it. Everything else stays a target of its own, because one blocked page
//! would be outvoted by the other pages of a large site.

use super::Measured;
use faultline_model::{Asn, Class, Incident, Target, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Of the votes on a target so many must fail for it to be named, unless it fails more than any other.
const NAMED_SHARE: f64 = 0.35;

/// Which targets are told as which service.
#[derive(Debug, Default)]
pub(super) struct Services {
    by_target: BTreeMap<Target, Target>,
    names: BTreeMap<Target, String>,
    /// When and where each member was tried, and whether it failed.
    tried: Vec<(Timestamp, Asn, Target, bool)>,
}

impl Services {
    /// Joins the targets that tests name to their services, and pages of the same name with them.
    pub(super) fn find(named: &BTreeMap<Target, String>, measured: &[Measured]) -> Self {
        let mut services = Self::default();
        let tests: BTreeSet<&String> = named.values().collect();
        let all = measured.iter().flat_map(|measured| measured.votes.iter().map(|(target, _)| target));
        for target in all.collect::<BTreeSet<&Target>>() {
            let own = super::kind(target.host()).to_owned();
            let name = named.get(target).or_else(|| tests.get(&own).copied());
            let Some((name, place)) = name.and_then(|name| Some((name, place_of(name)?))) else { continue };
            services.by_target.insert(target.clone(), place.clone());
            services.names.insert(place, name.clone());
        }
        services
    }

    /// Returns a measurement's votes, one for each service and each other target.
    pub(super) fn join(&mut self, measured: &Measured) -> BTreeMap<Target, Class> {
        let mut joined: BTreeMap<Target, Class> = BTreeMap::new();
        for (target, class) in &measured.votes {
            let Some(place) = self.by_target.get(target) else {
                joined.insert(target.clone(), *class);
                continue;
            };
            self.tried.push((measured.at, measured.asn, target.clone(), class.is_anomaly()));
            let known = joined.entry(place.clone()).or_insert(Class::Ok);
            if *known == Class::Ok || (class.is_anomaly() && *class < *known) {
                *known = *class;
            }
        }
        joined
    }

    /// Returns the service's name, if this is the place of one.
    pub(super) fn name(&self, place: &Target) -> Option<&String> {
        self.names.get(place)
    }

    /// Returns the targets with every service's place replaced by what belongs to it.
    pub(super) fn members(&self, targets: &BTreeSet<Target>) -> BTreeSet<Target> {
        let own = targets.iter().filter(|target| !self.names.contains_key(target)).cloned();
        let parts = self.by_target.iter().filter(|(_, place)| targets.contains(place));
        own.chain(parts.map(|(target, _)| target.clone())).collect()
    }

    /// Names in an incident the targets of its services that failed on its networks while it lasted.
    pub(super) fn spell_out(&self, incident: &mut Incident, family: impl Fn(Asn) -> Asn) {
        let mut targets = BTreeSet::new();
        for place in &incident.targets {
            if self.names.contains_key(place) {
                targets.extend(self.failing(place, incident, &family));
            } else {
                targets.insert(place.clone());
            }
        }
        let all: Vec<Target> = targets.into_iter().collect();
        for revision in &mut incident.revisions {
            if revision.targets.iter().any(|target| self.names.contains_key(target)) {
                revision.targets.clone_from(&all);
            }
        }
        incident.targets = all;
    }

    fn failing(&self, place: &Target, incident: &Incident, family: impl Fn(Asn) -> Asn) -> Vec<Target> {
        let mut counts: BTreeMap<&Target, (f64, f64)> = BTreeMap::new();
        for (at, asn, target, has_failed) in &self.tried {
            let is_within = *at >= incident.onset && incident.end.is_none_or(|end| *at <= end);
            if is_within && incident.asns.contains(&family(*asn)) && self.by_target.get(target) == Some(place)
            {
                let count = counts.entry(target).or_default();
                *count = (count.0 + f64::from(u8::from(*has_failed)), count.1 + 1.0);
            }
        }
        let share = |(bad, all): &(f64, f64)| bad / all.max(1.0);
        let most = counts.values().map(share).fold(0.0, f64::max);
        let named = counts.into_iter().filter(|(_, count)| count.0 > 0.0);
        let named = named.filter(|(_, count)| share(count) >= NAMED_SHARE.min(most));
        named.map(|(target, _)| target.clone()).collect()
    }
}

/// Returns the target under which a service's votes are counted; it never leaves the replay.
fn place_of(service: &str) -> Option<Target> {
    Target::new(&format!("https://{}.service.invalid/", service.replace('_', "-"))).ok()
}
