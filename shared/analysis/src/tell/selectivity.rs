//! What was singled out, and what stayed fine beside it (method 3.7).
//!
//! ```text
//! SI = failure rate on what is affected - failure rate on everything of other categories, same networks, same time
//! exclusivity: P(at least x of k failing targets are of a category with K of N), if failure is blind to category
//! ```
//! Rates are means over agents. Where an incident names no targets, what is listed is compared with the canaries: a
//! failure that singles nothing out hits both alike.

use super::Said;
use super::odds::{Odds, hypergeometric_tail};
use super::sight::{FAILS, FINE, Scene, Sight, rate};
use super::synchrony::round;
use faultline_model::{Category, Target};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// From this index on something is singled out, and below the second nothing is.
const SELECTIVE: f64 = 0.5;
const ALIKE: f64 = 0.2;
const LEAST_AGENTS: usize = 2;

/// A service that was hit, and how far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceHit {
    /// The service's name.
    pub service: String,
    /// Its targets that failed.
    pub failing: usize,
    /// Its targets that were measured.
    pub measured: usize,
}

/// How the failing targets lie among the categories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exclusivity {
    /// The category of most of them.
    pub category: String,
    /// Failing targets of that category.
    pub hits: usize,
    /// Failing targets in all.
    pub failing: usize,
    /// Measured targets of that category.
    pub of_category: usize,
    /// Measured targets in all.
    pub measured: usize,
    /// How often as many would be of it if failure were blind to category.
    pub blind: Odds,
}

/// What was singled out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selectivity {
    /// `selective`, `not_selective`, `unclear` or `cannot_tell`, in words, and what it was tested against.
    #[serde(flatten)]
    pub said: Said,
    /// The selectivity index: 1 if all of it failed and nothing else did, 0 if everything failed alike.
    pub index: Option<f64>,
    /// The failure rate on what is affected.
    pub affected_rate: Option<f64>,
    /// The failure rate on everything of other categories.
    pub other_rate: Option<f64>,
    /// Canaries that were fine.
    pub canaries_fine: usize,
    /// Canaries that were measured.
    pub canaries: usize,
    /// The services that failed.
    pub services: Vec<ServiceHit>,
    /// Controls' failure rate on what is affected: high if the site itself fails.
    pub control_rate: Option<f64>,
    /// How the failing targets lie among the categories.
    pub exclusivity: Option<Exclusivity>,
}

/// Answers what was singled out.
pub(super) fn selectivity(scene: &Scene<'_>) -> Selectivity {
    let during: Vec<&Sight> = scene.incident.asns.iter().flat_map(|asn| scene.during(*asn)).collect();
    let (affected, other) = parts(scene, &during);
    let (hit, rest) = (rate(affected.iter().copied()), rate(other.iter().copied()));
    let by_target = by_target(&during);
    let canaries: Vec<&Target> = by_target.keys().copied().filter(|target| scene.is_canary(target)).collect();
    let canaries_fine = canaries.iter().filter(|target| by_target[**target] < FINE).count();
    let control = scene.controls().into_iter().filter(|sight| scene.incident.targets.contains(&sight.target));
    let control = rate(control);
    let is_known = hit.agents >= LEAST_AGENTS && rest.agents >= LEAST_AGENTS;
    let index = is_known.then(|| round(hit.share - rest.share));
    let against = "a failure that singles nothing out, such as a broken line or a cut cable: it would hit canaries alike";
    let beside = format!(
        "{:.0} % of results on what is affected failed and {:.0} % of all others on the same networks in the same time; \
         {canaries_fine} of {} canaries were fine",
        100.0 * hit.share,
        100.0 * rest.share,
        canaries.len()
    );
    let (answer, sentence) = match index {
        None => ("cannot_tell", "too little was measured from the affected networks meanwhile".to_owned()),
        Some(index) if index >= SELECTIVE => ("selective", beside),
        Some(index) if index < ALIKE => ("not_selective", beside),
        Some(_) => ("unclear", beside),
    };
    Selectivity {
        said: Said::new(answer, sentence, against),
        index,
        affected_rate: is_known.then(|| round(hit.share)),
        other_rate: is_known.then(|| round(rest.share)),
        canaries_fine,
        canaries: canaries.len(),
        services: services(scene, &by_target),
        control_rate: (control.results > 0).then(|| round(control.share)),
        exclusivity: exclusivity(scene, &by_target),
    }
}

/// Divides sights into those of what is affected, and those of everything of other categories.
fn parts<'a>(scene: &Scene<'_>, during: &[&'a Sight]) -> (Vec<&'a Sight>, Vec<&'a Sight>) {
    let is_abroad = |sight: &&&Sight| scene.info(&sight.target).is_none_or(|info| !info.domestic);
    if scene.incident.targets.is_empty() {
        let abroad = during.iter().filter(is_abroad).copied();
        return abroad.partition(|sight| !scene.is_canary(&sight.target));
    }
    let named = &scene.incident.targets;
    let hit: BTreeSet<&Category> =
        named.iter().filter_map(|target| scene.info(target)).map(|info| &info.category).collect();
    let affected = during.iter().filter(|sight| named.contains(&sight.target)).copied().collect();
    let is_other = |sight: &&&Sight| {
        let info = scene.info(&sight.target);
        info.is_some_and(|info| !hit.contains(&info.category)) && !named.contains(&sight.target)
    };
    (affected, during.iter().filter(is_other).copied().collect())
}

/// Returns each target's failure rate.
fn by_target<'a>(during: &[&'a Sight]) -> BTreeMap<&'a Target, f64> {
    let mut sights: BTreeMap<&Target, Vec<&Sight>> = BTreeMap::new();
    for sight in during {
        sights.entry(&sight.target).or_default().push(sight);
    }
    sights.into_iter().map(|(target, own)| (target, rate(own.into_iter()).share)).collect()
}

fn services(scene: &Scene<'_>, by_target: &BTreeMap<&Target, f64>) -> Vec<ServiceHit> {
    let mut hits: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (target, share) in by_target {
        let Some(info) = scene.info(target) else { continue };
        let own = hits.entry(info.service_name.as_str()).or_default();
        own.0 += usize::from(*share >= FAILS);
        own.1 += 1;
    }
    let hit = hits.into_iter().filter(|(_, (failing, _))| *failing > 0);
    hit.map(|(service, (failing, measured))| ServiceHit { service: service.to_owned(), failing, measured })
        .collect()
}

/// Asks how often as many failing targets would be of one category if failure were blind to category.
fn exclusivity(scene: &Scene<'_>, by_target: &BTreeMap<&Target, f64>) -> Option<Exclusivity> {
    if scene.incident.targets.is_empty() {
        return None;
    }
    let mut categories: BTreeMap<&Category, (usize, usize)> = BTreeMap::new();
    for (target, share) in by_target {
        let Some(info) = scene.info(target) else { continue };
        let own = categories.entry(&info.category).or_default();
        own.0 += usize::from(*share >= FAILS);
        own.1 += 1;
    }
    let failing: usize = categories.values().map(|(bad, _)| bad).sum();
    let measured: usize = categories.values().map(|(_, all)| all).sum();
    let (category, (hits, of_category)) =
        categories.into_iter().filter(|(_, (bad, _))| *bad > 0).max_by_key(|(_, (bad, _))| *bad)?;
    Some(Exclusivity {
        category: category.to_string(),
        hits,
        failing,
        of_category,
        measured,
        blind: Odds::of(hypergeometric_tail(hits, failing, of_category, measured)),
    })
}
