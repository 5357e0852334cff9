//! Judges a run's result: was everything said that is true, in time, and nothing else?
//!
//! The rules are those of the replay format's scorer, with times in seconds instead of minutes because a run takes
//! minutes instead of a day.

use super::truth::{TrueIncident, TrueTolerated, Truth};
use faultline_model::{Asn, Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Onset and end of each network have to be right to this many seconds.
pub const TIME_TOLERANCE_S: f64 = 60.0;

/// A run's result, as far as judging needs it.
#[derive(Clone, Debug, Deserialize)]
pub struct RunResult {
    /// What is true.
    pub truth: Truth,
    /// What was said.
    pub incidents: Vec<Said>,
}

/// One published incident.
#[derive(Clone, Debug, Deserialize)]
pub struct Said {
    /// Its verdict.
    pub verdict: Verdict,
    /// Its targets.
    #[serde(default)]
    pub targets: BTreeSet<String>,
    /// Its networks.
    #[serde(default)]
    pub asns: BTreeSet<Asn>,
    /// When it began.
    pub onset: Timestamp,
    /// When it ended.
    #[serde(default)]
    pub end: Option<Timestamp>,
    /// When it began per network.
    #[serde(default)]
    pub onset_by_asn: BTreeMap<Asn, Timestamp>,
    /// When it ended per network.
    #[serde(default)]
    pub end_by_asn: BTreeMap<Asn, Timestamp>,
    /// When it was first published.
    #[serde(default)]
    pub detected_at: Option<Timestamp>,
    /// It was withdrawn.
    #[serde(default)]
    pub retracted: bool,
    /// Everything that was said before.
    #[serde(default)]
    pub revisions: Vec<SaidRevision>,
}

/// One revision of a published incident.
#[derive(Clone, Debug, Deserialize)]
pub struct SaidRevision {
    /// When it was published.
    pub published_at: Timestamp,
    /// Its verdict.
    pub verdict: Verdict,
    /// Its networks.
    #[serde(default)]
    pub asns: BTreeSet<Asn>,
    /// Its targets.
    #[serde(default)]
    pub targets: BTreeSet<String>,
}

/// The judgement of a whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Everything is right and nothing false was said.
    pub pass: bool,
    /// One row per true incident.
    pub rows: Vec<Row>,
    /// Incidents that were said and are not true.
    pub false_incidents: Vec<String>,
    /// Incidents that say a part of the truth a second time.
    pub fragments: Vec<String>,
    /// Incidents that were withdrawn.
    pub retracted: usize,
}

/// The judgement of one true incident.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The true incident.
    pub id: String,
    /// Its true verdict.
    pub verdict: Verdict,
    /// What was said; absent = it was missed.
    pub said: Option<Verdict>,
    /// The networks are exactly right.
    pub asns_right: bool,
    /// The targets are exactly right.
    pub targets_right: bool,
    /// Per network: the onset that was said less the true one, seconds.
    pub onset_error_s: BTreeMap<Asn, f64>,
    /// Per network: the end that was said less the true one, seconds.
    pub end_error_s: BTreeMap<Asn, f64>,
    /// The end was found, or there is none.
    pub end_found: bool,
    /// From the onset to the first publication, seconds.
    pub first_published_s: Option<f64>,
    /// From the onset to the first revision with the right verdict, networks and targets, seconds.
    pub right_published_s: Option<f64>,
    /// All of it is right.
    pub pass: bool,
}

/// Judges a result.
#[must_use]
pub fn score(result: &RunResult) -> Score {
    let standing: Vec<&Said> = result.incidents.iter().filter(|said| !said.retracted).collect();
    let mut taken = BTreeSet::new();
    let mut rows = Vec::new();
    for truth in &result.truth.incidents {
        let best = standing
            .iter()
            .enumerate()
            .filter(|(index, said)| !taken.contains(index) && may_mean(said, truth))
            .max_by_key(|(_, said)| likeness(said, truth));
        if let Some((index, _)) = best {
            taken.insert(index);
        }
        rows.push(row(truth, best.map(|(_, said)| *said)));
    }
    let (mut false_incidents, mut fragments) = (Vec::new(), Vec::new());
    for (_, said) in standing.iter().enumerate().filter(|(index, _)| !taken.contains(index)) {
        let is_note = matches!(said.verdict, Verdict::AgentLocal | Verdict::InsufficientData);
        if is_note || result.truth.tolerated.iter().any(|tolerated| is_tolerated(said, tolerated)) {
            continue;
        }
        let numbers: Vec<u32> = said.asns.iter().map(|asn| asn.get()).collect();
        let text = format!("{} {numbers:?} {:?}", said.verdict, said.targets);
        let is_part = result.truth.incidents.iter().any(|truth| may_mean(said, truth));
        if is_part { fragments.push(text) } else { false_incidents.push(text) }
    }
    let pass = rows.iter().all(|row| row.pass) && false_incidents.is_empty() && fragments.is_empty();
    Score { pass, rows, false_incidents, fragments, retracted: result.incidents.len() - standing.len() }
}

fn may_mean(said: &Said, truth: &TrueIncident) -> bool {
    let networks =
        truth.asns.is_empty() || said.asns.is_empty() || truth.asns.iter().any(|a| said.asns.contains(a));
    let targets = truth.targets.is_empty()
        || said.targets.is_empty()
        || truth.targets.iter().any(|t| said.targets.contains(t));
    networks && targets
}

fn likeness(said: &Said, truth: &TrueIncident) -> (bool, bool, bool) {
    (said.verdict == truth.verdict, is_asns_right(&said.asns, truth), is_targets_right(&said.targets, truth))
}

fn is_asns_right(said: &BTreeSet<Asn>, truth: &TrueIncident) -> bool {
    *said == truth.asns.iter().copied().collect()
}

fn is_targets_right(said: &BTreeSet<String>, truth: &TrueIncident) -> bool {
    *said == truth.targets.iter().cloned().collect()
}

fn is_tolerated(said: &Said, tolerated: &TrueTolerated) -> bool {
    let verdict = tolerated.verdict == "*" || tolerated.verdict == said.verdict.as_str();
    let asns = tolerated.asns.as_array().is_none_or(|list| {
        !said.asns.is_empty() && said.asns.iter().all(|asn| list.iter().any(|n| *n == asn.get()))
    });
    let targets = tolerated.targets.as_array().is_none_or(|list| {
        !said.targets.is_empty() && said.targets.iter().all(|t| list.iter().any(|n| n == t))
    });
    verdict && asns && targets
}

fn row(truth: &TrueIncident, said: Option<&Said>) -> Row {
    let errors = |said: Option<&BTreeMap<Asn, Timestamp>>, truth: &BTreeMap<Asn, Timestamp>| {
        let said = said.into_iter().flatten();
        said.filter_map(|(asn, at)| Some((*asn, at.seconds_after(*truth.get(asn)?)))).collect()
    };
    let onset_error_s: BTreeMap<Asn, f64> = errors(said.map(|s| &s.onset_by_asn), &truth.onset_by_asn);
    let end_error_s: BTreeMap<Asn, f64> = errors(said.map(|s| &s.end_by_asn), &truth.end_by_asn);
    let is_right = |r: &&SaidRevision| {
        r.verdict == truth.verdict && is_asns_right(&r.asns, truth) && is_targets_right(&r.targets, truth)
    };
    let right = said.and_then(|said| said.revisions.iter().find(is_right)).map(|r| r.published_at);
    let asns_right = said.is_some_and(|said| is_asns_right(&said.asns, truth));
    let targets_right = said.is_some_and(|said| is_targets_right(&said.targets, truth));
    let end_found = said.is_some_and(|said| said.end.is_some() == truth.end.is_some());
    let verdict_right = said.is_some_and(|said| said.verdict == truth.verdict);
    let times =
        onset_error_s.values().chain(end_error_s.values()).all(|error| error.abs() <= TIME_TOLERANCE_S);
    // Who cannot judge need not time it either, and a site's outage is not about networks.
    let pass = match truth.verdict {
        Verdict::InsufficientData => verdict_right,
        Verdict::TargetOutage => verdict_right && targets_right && end_found && times,
        _ => verdict_right && asns_right && targets_right && end_found && times,
    };
    Row {
        id: truth.id.clone(),
        verdict: truth.verdict,
        said: said.map(|said| said.verdict),
        asns_right,
        targets_right,
        onset_error_s,
        end_error_s,
        end_found,
        first_published_s: said.and_then(|s| s.detected_at).map(|at| at.seconds_after(truth.onset)),
        right_published_s: right.map(|at| at.seconds_after(truth.onset)),
        pass,
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worst = |errors: &BTreeMap<Asn, f64>| errors.values().copied().map(f64::abs).fold(0.0, f64::max);
        let seconds = |s: Option<f64>| s.map_or_else(|| "never".to_owned(), |s| format!("{s:.1} s"));
        for row in &self.rows {
            let said = row.said.map_or_else(|| "nothing".to_owned(), |said| said.to_string());
            writeln!(f, "{} {}: said {said}", row.id, row.verdict)?;
            writeln!(f, "    networks {}, targets {}", right(row.asns_right), right(row.targets_right))?;
            let onsets = (worst(&row.onset_error_s), row.onset_error_s.len());
            let ends = (worst(&row.end_error_s), row.end_error_s.len(), right(row.end_found));
            writeln!(f, "    onset off by at most {:.1} s ({} networks)", onsets.0, onsets.1)?;
            writeln!(f, "    end {}, off by at most {:.1} s ({} networks)", ends.2, ends.0, ends.1)?;
            let (first, full) = (seconds(row.first_published_s), seconds(row.right_published_s));
            writeln!(f, "    first published after {first}, in full and right after {full}")?;
        }
        for text in &self.false_incidents {
            writeln!(f, "false: {text}")?;
        }
        for text in &self.fragments {
            writeln!(f, "fragment: {text}")?;
        }
        write!(f, "{}, {} withdrawn", if self.pass { "pass" } else { "FAIL" }, self.retracted)
    }
}

const fn right(is_right: bool) -> &'static str {
    if is_right { "right" } else { "WRONG" }
}
