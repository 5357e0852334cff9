//! What was true, and how far what was said agrees with it.
//!
//! The rules are those of the shipped scorer: a prediction matches a truth if their times overlap (with half an hour of
//! slack), their networks and their targets intersect; the best fits are taken first. What is left over is a fragment,
//! tolerated, a note (`agent_local`, `insufficient_data`), or a false incident.

use super::day::BEGIN_S;
use faultline_model::{Incident, Timestamp, Verdict};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Duration;

const SLACK_MS: i64 = 1_800_000;

/// Turns seconds of the day into a moment of whole seconds.
pub fn stamp(at: f64) -> Timestamp {
    let seconds = Duration::from_secs_f64(at.abs()).as_secs();
    let seconds = i64::try_from(seconds).expect("small");
    Timestamp::from_unix_ms((BEGIN_S + if at < 0.0 { -seconds } else { seconds }) * 1000)
}

/// One true incident.
#[derive(Clone, Debug, Serialize)]
pub struct Fact {
    pub verdict: Verdict,
    pub asns: BTreeSet<u32>,
    pub targets: BTreeSet<String>,
    pub onset: Timestamp,
    pub end: Timestamp,
    pub transit: Option<u32>,
}

/// What may be said besides.
#[derive(Clone, Debug, Serialize)]
pub struct Tolerated {
    pub verdict: Option<Verdict>,
    pub targets: BTreeSet<String>,
}

/// The answer to a day.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Truth {
    pub incidents: Vec<Fact>,
    pub tolerated: Vec<Tolerated>,
}

/// How a day went.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    pub right: usize,
    pub wrong: Vec<String>,
    pub false_incidents: Vec<String>,
    pub fragments: usize,
    pub retracted: usize,
    /// Minutes from the onset to the first publication, of right ones.
    pub delays: Vec<f64>,
    pub transit_missed: usize,
}

fn family(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::IspBlock | Verdict::MultiIspBlock | Verdict::NationalBlock | Verdict::CategoryBlock => 1,
        Verdict::IspOutage
        | Verdict::PartialShutdown
        | Verdict::RegionalOutage
        | Verdict::NationalShutdown => 2,
        Verdict::TargetOutage | Verdict::GeoBlock => 3,
        Verdict::Throttling => 4,
        Verdict::TechnicalFailure => 5,
        _ => 6,
    }
}

fn names(said: &Incident) -> (BTreeSet<u32>, BTreeSet<String>) {
    (said.asns.iter().map(|asn| asn.get()).collect(), said.targets.iter().map(ToString::to_string).collect())
}

fn agreement<T: Ord>(one: &BTreeSet<T>, other: &BTreeSet<T>) -> f64 {
    if one.is_empty() && other.is_empty() {
        return 1.0;
    }
    let both = super::land::count(one.intersection(other).count());
    2.0 * both / super::land::count(one.len() + other.len())
}

fn fit(fact: &Fact, said: &Incident, end: Timestamp) -> Option<f64> {
    let (asns, targets) = names(said);
    let (a, b) = (fact.onset.unix_ms(), fact.end.unix_ms());
    let (c, d) = (said.onset.unix_ms(), said.end.unwrap_or(end).unix_ms());
    let meets = |one: bool, other: bool, intersects: bool| !one || !other || intersects;
    if c > b + SLACK_MS
        || d < a - SLACK_MS
        || !meets(!fact.asns.is_empty(), !asns.is_empty(), !fact.asns.is_disjoint(&asns))
        || !meets(!fact.targets.is_empty(), !targets.is_empty(), !fact.targets.is_disjoint(&targets))
    {
        return None;
    }
    let same = f64::from(u8::from(fact.verdict == said.verdict));
    let kin = f64::from(u8::from(family(fact.verdict) == family(said.verdict)));
    let about = if fact.targets.is_empty() { 1.0 } else { agreement(&fact.targets, &targets) };
    Some(100.0 * same + 30.0 * kin + 10.0 * agreement(&fact.asns, &asns) + 10.0 * about)
}

/// Compares what was said with what was true.
pub fn score(truth: &Truth, said: &[Incident], end: Timestamp) -> Marks {
    let mut marks = Marks { retracted: said.iter().filter(|one| one.retracted).count(), ..Marks::default() };
    let standing: Vec<&Incident> = said.iter().filter(|one| !one.retracted).collect();
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for (i, fact) in truth.incidents.iter().enumerate() {
        for (j, one) in standing.iter().enumerate() {
            pairs.extend(fit(fact, one, end).map(|fit| (fit, i, j)));
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut of_fact: Vec<Option<usize>> = vec![None; truth.incidents.len()];
    let mut taken = vec![false; standing.len()];
    for (_, i, j) in pairs {
        if of_fact[i].is_none() && !taken[j] {
            of_fact[i] = Some(j);
            taken[j] = true;
        }
    }
    for (fact, found) in truth.incidents.iter().zip(&of_fact) {
        match found.map(|j| standing[j]) {
            Some(one) if one.verdict == fact.verdict => {
                marks.right += 1;
                let late = one.detected_at.unix_ms() - fact.onset.unix_ms();
                marks.delays.push(f64::from(i32::try_from(late / 1000).unwrap_or(i32::MAX)) / 60.0);
                let transit = one.transit.map(|asn| asn.get());
                marks.transit_missed += usize::from(fact.transit.is_some() && transit != fact.transit);
            }
            Some(one) => {
                marks.wrong.push(format!("{} called {} {:?}", fact.verdict, one.verdict, names(one)));
            }
            None => marks.wrong.push(format!("{} not found", fact.verdict)),
        }
    }
    for (one, _) in standing.iter().zip(&taken).filter(|(_, taken)| !**taken) {
        let (_, targets) = names(one);
        let is_quiet = matches!(one.verdict, Verdict::AgentLocal | Verdict::InsufficientData);
        let is_tolerated = truth.tolerated.iter().any(|allowed| {
            allowed.verdict.is_none_or(|verdict| verdict == one.verdict)
                && (allowed.targets.is_empty()
                    || (!targets.is_empty() && targets.is_subset(&allowed.targets)))
        });
        if is_quiet || is_tolerated {
            continue;
        }
        if truth.incidents.iter().any(|fact| fit(fact, one, end).is_some()) {
            marks.fragments += 1;
        } else {
            let text = format!(
                "{} {:?} {} .. {:?}",
                one.verdict,
                names(one),
                one.onset,
                one.end.map(|end| end.to_string())
            );
            marks.false_incidents.push(text);
        }
    }
    marks
}
