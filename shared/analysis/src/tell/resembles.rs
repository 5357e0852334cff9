//! Which earlier incidents one resembles, and in what (method 3.7). The weights are proposed, not evaluated.
//!
//! ```text
//! s = .30 J(targets) + .20 J(networks) + .15 [same category] + .15 cos(mechanisms)
//!   + .10 e^-|ln(duration ratio)| + .05 e^-(hours apart in the day)/2 + .05 e^-|ln(R_A+1) - ln(R_B+1)|
//! ```
//! R is the range of the networks' beginnings in minutes. Incidents of 0.6 and more are listed. Neither verdict nor cause
//! is a part of it.

use super::Said;
use super::odds::float;
use super::synchrony::round;
use crate::detect::TargetInfo;
use faultline_model::{Incident, IncidentId, Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// From this score on an incident is listed.
const LISTED: f64 = 0.6;
const MOST: usize = 20;

/// The parts of a score, each between 0 and 1 before its weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// The same targets (weight .30).
    pub targets: f64,
    /// The same networks (.20).
    pub networks: f64,
    /// The same kind of service (.15).
    pub category: f64,
    /// The same mechanisms (.15).
    pub mechanisms: f64,
    /// As long (.10).
    pub duration: f64,
    /// At the same time of day (.05).
    pub hour: f64,
    /// As much together (.05).
    pub synchrony: f64,
}

impl Parts {
    fn score(&self) -> f64 {
        0.30 * self.targets
            + 0.20 * self.networks
            + 0.15 * self.category
            + 0.15 * self.mechanisms
            + 0.10 * self.duration
            + 0.05 * self.hour
            + 0.05 * self.synchrony
    }
}

/// An earlier incident that is alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alike {
    /// Which.
    pub id: IncidentId,
    /// When it began.
    pub onset: Timestamp,
    /// What it was.
    pub verdict: Verdict,
    /// What was said of it.
    pub headline: String,
    /// The score, 0.6 and more.
    pub score: f64,
    /// In what it is alike.
    pub parts: Parts,
}

/// What an incident resembles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resembles {
    /// `some` or `none`, in words.
    #[serde(flatten)]
    pub said: Said,
    /// Earlier incidents that are alike, the most alike first.
    pub incidents: Vec<Alike>,
    /// Earlier incidents that it was compared with.
    pub compared: usize,
    /// The highest score among them, listed or not.
    pub highest: Option<f64>,
}

/// Answers which earlier incidents are alike.
pub(super) fn resembles(
    incident: &Incident,
    others: &[Incident],
    targets: &[TargetInfo],
    now: Timestamp,
) -> Resembles {
    let is_compared = |other: &&Incident| {
        let is_earlier = (other.onset, &other.id) < (incident.onset, &incident.id);
        is_earlier
            && other.id != incident.id
            && !other.retracted
            && other.verdict != Verdict::InsufficientData
    };
    let mut scored: Vec<Alike> = others
        .iter()
        .filter(is_compared)
        .map(|other| {
            let parts = parts(incident, other, targets, now);
            Alike {
                id: other.id.clone(),
                onset: other.onset,
                verdict: other.verdict,
                headline: other.headline.clone(),
                score: round(parts.score()),
                parts,
            }
        })
        .collect();
    let compared = scored.len();
    scored.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.onset.cmp(&a.onset)).then(a.id.cmp(&b.id)));
    let highest = scored.first().map(|alike| alike.score);
    scored.retain(|alike| alike.score >= LISTED);
    let number = scored.len();
    scored.truncate(MOST);
    let against =
        "incidents that merely hit the same networks, or lasted as long: alone these stay below 0.6";
    let said = if number == 0 {
        let sentence = match (compared, highest) {
            (0, _) | (_, None) => "there is no earlier incident to compare with".to_owned(),
            (_, Some(highest)) => {
                format!("none of {compared} earlier incidents is alike (highest score {highest:.2})")
            }
        };
        Said::new("none", sentence, against)
    } else {
        Said::new(
            "some",
            format!("{number} of {compared} earlier incidents are alike (score 0.6 and more)"),
            against,
        )
    };
    Resembles { said, incidents: scored, compared, highest }
}

fn parts(a: &Incident, b: &Incident, targets: &[TargetInfo], now: Timestamp) -> Parts {
    let minutes = |one: &Incident| one.end.unwrap_or(now).seconds_after(one.onset).max(60.0) / 60.0;
    let (range_a, range_b) = (range_min(a), range_min(b));
    let apart = hours_apart(a.onset, b.onset);
    Parts {
        targets: round(jaccard(&a.targets, &b.targets)),
        networks: round(jaccard(&a.asns, &b.asns)),
        category: f64::from(u8::from(category(a, targets) == category(b, targets))),
        mechanisms: round(cosine(&a.mechanisms, &b.mechanisms)),
        duration: round((-(minutes(a) / minutes(b)).ln().abs()).exp()),
        hour: round((-apart / 2.0).exp()),
        synchrony: round((-((range_a + 1.0).ln() - (range_b + 1.0).ln()).abs()).exp()),
    }
}

/// The share of what is in either that is in both; two that name nothing in particular are alike in that.
fn jaccard<T: Ord>(a: &[T], b: &[T]) -> f64 {
    let (a, b): (BTreeSet<&T>, BTreeSet<&T>) = (a.iter().collect(), b.iter().collect());
    let union = a.union(&b).count();
    if union == 0 { 1.0 } else { float(a.intersection(&b).count()) / float(union) }
}

fn cosine(a: &BTreeMap<String, f64>, b: &BTreeMap<String, f64>) -> f64 {
    let length = |map: &BTreeMap<String, f64>| map.values().map(|share| share * share).sum::<f64>().sqrt();
    let product: f64 = a.iter().map(|(class, share)| share * b.get(class).copied().unwrap_or(0.0)).sum();
    let lengths = length(a) * length(b);
    if lengths > 0.0 { product / lengths } else { 0.0 }
}

/// Returns the category of most of an incident's targets.
fn category(incident: &Incident, targets: &[TargetInfo]) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for target in &incident.targets {
        if let Some(info) = targets.iter().find(|info| info.target == *target) {
            *counts.entry(info.category.to_string()).or_default() += 1;
        }
    }
    counts.into_iter().max_by_key(|(_, number)| *number).map(|(category, _)| category)
}

fn range_min(incident: &Incident) -> f64 {
    let moments = || incident.onset_by_asn.values();
    match (moments().min(), moments().max()) {
        (Some(first), Some(last)) => last.seconds_after(*first) / 60.0,
        _ => 0.0,
    }
}

fn hours_apart(a: Timestamp, b: Timestamp) -> f64 {
    let into = |at: Timestamp| Timestamp::from_unix_ms(at.unix_ms().rem_euclid(86_400_000));
    let apart = into(a).seconds_after(into(b)).abs() / 3600.0;
    apart.min(24.0 - apart)
}
