//! One provider beside the others of an incident: did it do the same, earlier or later, in its own way?

use super::nature::{column, most_frequent};
use super::people::stance;
use super::sight::{FAILS, Scene, Sight, family, rate};
use super::synchrony::{Moment, Turn, moments, round, seconds};
use super::{Context, Said, scene};
use faultline_model::{Asn, Class, IncidentId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A lag beyond so many of its errors is one.
const BEYOND: f64 = 3.0;

/// How far a provider's moment lies from the others'.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lag {
    /// Seconds after the middle of the others; negative if before.
    pub seconds: f64,
    /// The error of that, in seconds.
    pub error_s: f64,
    /// `with_the_others`, `earlier` or `later`.
    pub answer: String,
}

/// One provider beside the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The incident.
    pub incident: IncidentId,
    /// The provider's main network.
    pub asn: Asn,
    /// The provider.
    pub name: String,
    /// `the_same`, `differently`, `not_affected` or `unknown`, in words, and what it was tested against.
    #[serde(flatten)]
    pub said: Said,
    /// The other networks that it is compared with.
    pub others: Vec<Asn>,
    /// Its beginning beside theirs.
    pub onset: Option<Lag>,
    /// Its restoration beside theirs.
    pub restoration: Option<Lag>,
    /// Its most frequent failure class.
    pub mechanism: Option<String>,
    /// Theirs.
    pub others_mechanism: Option<String>,
    /// Its failures are of another kind than theirs.
    pub own_mechanism: bool,
    /// Services that failed on it and on most others.
    pub services_shared: Vec<String>,
    /// Services that failed on it and not on most others.
    pub services_own: Vec<String>,
    /// Services that failed on most others and were fine on it.
    pub services_spared: Vec<String>,
    /// In what it did not do as the others; empty if it did.
    pub differences: Vec<String>,
}

/// Compares one provider with the others of an incident.
#[must_use]
pub fn compare(context: &Context<'_>, asn: Asn) -> Comparison {
    let scene = scene(context);
    let asn = family(scene.profile, asn);
    let others: Vec<Asn> = scene.incident.asns.iter().copied().filter(|other| *other != asn).collect();
    let own_class = mechanism(&scene, asn);
    let other_class = majority(&scene, &others);
    let is_own = matches!((own_class, other_class), (Some(own), Some(other)) if column(own) != column(other));
    let services = Services::of(&scene, asn, &others);
    let part = stance(&scene, asn);
    let mut comparison = Comparison {
        incident: scene.incident.id.clone(),
        asn,
        name: scene.name(asn),
        said: Said::new("unknown", String::new(), ""),
        onset: lag(&moments(&scene, Turn::Onset), asn),
        restoration: lag(&moments(&scene, Turn::End), asn),
        mechanism: own_class.map(|class| class.to_string()),
        others_mechanism: other_class.map(|class| class.to_string()),
        own_mechanism: is_own,
        services_shared: services.shared,
        services_own: services.own,
        services_spared: services.spared,
        differences: Vec::new(),
        others,
    };
    if part == "affected" {
        comparison.differences = differences(&comparison);
    }
    comparison.said = say(&comparison, part);
    comparison
}

fn say(said: &Comparison, part: &str) -> Said {
    let against =
        "a provider of its own mind: another moment, another mechanism, or other services than the rest";
    let name = &said.name;
    let (answer, sentence) = match part {
        "cleared" => ("not_affected", format!("{name} was measured meanwhile and was fine")),
        "unknown" => ("unknown", format!("too little was measured on {name} to say")),
        _ if said.others.is_empty() => (
            "unknown",
            format!("{name} is the only network of the incident; there is no other to compare with"),
        ),
        _ if said.differences.is_empty() => (
            "the_same",
            format!(
                "{name} did the same as {} others: together with them, by the same mechanism, on the same services",
                said.others.len()
            ),
        ),
        _ => ("differently", format!("{name}: {}", said.differences.join("; "))),
    };
    Said::new(answer, sentence, against)
}

fn differences(said: &Comparison) -> Vec<String> {
    let mut found = Vec::new();
    if said.own_mechanism {
        let (own, other) =
            (said.mechanism.as_deref().unwrap_or("?"), said.others_mechanism.as_deref().unwrap_or("?"));
        found.push(format!("by a mechanism of its own ({own}, the others {other})"));
    }
    for (what, lag) in [("began", &said.onset), ("was restored", &said.restoration)] {
        if let Some(lag) = lag.as_ref().filter(|lag| lag.answer != "with_the_others") {
            found.push(format!("{what} {} {}", seconds(lag.seconds), lag.answer));
        }
    }
    if !said.services_own.is_empty() {
        found.push(format!("failed alone: {}", said.services_own.join(", ")));
    }
    if !said.services_spared.is_empty() {
        found.push(format!("spared: {}", said.services_spared.join(", ")));
    }
    found
}

fn lag(moments: &[Moment], asn: Asn) -> Option<Lag> {
    let own = moments.iter().find(|moment| moment.asn == asn)?;
    let mut others: Vec<&Moment> = moments.iter().filter(|moment| moment.asn != asn).collect();
    others.sort_by_key(|moment| moment.at);
    let middle = others.get(others.len() / 2)?;
    let apart = own.at.seconds_after(middle.at);
    let error = own.error_s.hypot(middle.error_s);
    let answer = match apart {
        apart if apart.abs() <= BEYOND * error => "with_the_others",
        apart if apart < 0.0 => "earlier",
        _ => "later",
    };
    Some(Lag { seconds: round(apart), error_s: round(error), answer: answer.to_owned() })
}

fn mechanism(scene: &Scene<'_>, asn: Asn) -> Option<Class> {
    let published = scene.incident.mechanism_by_asn.get(&asn).and_then(|class| class.parse().ok());
    published.or_else(|| most_frequent(scene, asn))
}

/// Returns the mechanism of most of some networks.
fn majority(scene: &Scene<'_>, asns: &[Asn]) -> Option<Class> {
    let mut counts: BTreeMap<Class, usize> = BTreeMap::new();
    for class in asns.iter().filter_map(|asn| mechanism(scene, *asn)) {
        *counts.entry(class).or_default() += 1;
    }
    counts
        .into_iter()
        .max_by_key(|(class, number)| (*number, std::cmp::Reverse(*class)))
        .map(|(class, _)| class)
}

/// Which services failed here, and which on most of the others.
struct Services {
    shared: Vec<String>,
    own: Vec<String>,
    spared: Vec<String>,
}

impl Services {
    fn of(scene: &Scene<'_>, asn: Asn, others: &[Asn]) -> Self {
        let own = states(scene, asn);
        let rest: Vec<BTreeMap<String, bool>> = others.iter().map(|other| states(scene, *other)).collect();
        let mut services = Self { shared: Vec::new(), own: Vec::new(), spared: Vec::new() };
        for (service, fails) in own {
            let known: Vec<bool> = rest.iter().filter_map(|states| states.get(&service).copied()).collect();
            let failing = known.iter().filter(|fails| **fails).count();
            let most = 2 * failing > known.len();
            match (fails, most) {
                (true, true) => services.shared.push(service),
                (true, false) if !known.is_empty() => services.own.push(service),
                (false, true) => services.spared.push(service),
                _ => {}
            }
        }
        services
    }
}

/// Says of each service that was measured from a network whether any part of it failed there. Two agents at least
/// must have looked.
fn states(scene: &Scene<'_>, asn: Asn) -> BTreeMap<String, bool> {
    let mut targets: BTreeMap<&faultline_model::Target, Vec<&Sight>> = BTreeMap::new();
    for sight in scene.during(asn) {
        targets.entry(&sight.target).or_default().push(sight);
    }
    let mut seen: BTreeMap<String, (BTreeSet<&faultline_model::AgentId>, bool)> = BTreeMap::new();
    for (target, own) in targets {
        let Some(info) = scene.info(target) else { continue };
        let entry = seen.entry(info.service_name.clone()).or_default();
        entry.0.extend(own.iter().map(|sight| &sight.agent));
        entry.1 |= rate(own.into_iter()).share >= FAILS;
    }
    seen.into_iter()
        .filter(|(_, (agents, _))| agents.len() >= 2)
        .map(|(service, (_, fails))| (service, fails))
        .collect()
}
