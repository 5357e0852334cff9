//! Judged measurements as text: one line each, or a table beside what others say of the same.

use super::{Align, Table};
use crate::commands::judge::Judged;
use crate::output::{counted, printable};
use crate::trouble::{Exit, Trouble};
use faultline_analysis::judge::deciding_step;
use faultline_model::{Engine, Fact, LayerStatus, Observation};
use owo_colors::OwoColorize;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Steps that one line names.
const MAX_STEPS: usize = 4;

/// What is known of a case, independently of anybody's judgement.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Truth {
    case: String,
    truth: String,
    #[serde(default)]
    v5: String,
}

/// Writes one line: what is said, by which rule, and what it rests on.
pub(crate) fn line(judged: &Judged) -> String {
    let judgement = &judged.judgement;
    let words = verdict(judged);
    let words = match judgement.status {
        LayerStatus::Blocked | LayerStatus::Throttled => words.red().to_string(),
        LayerStatus::Ok => words.green().to_string(),
        _ => words.yellow().to_string(),
    };
    let controls = counted(judged.controls as u64, "control");
    format!(
        "{} {}: {words} ({}, {}); {}; {controls}\n",
        judged.measurement.check,
        printable(judged.measurement.target.as_str()),
        judgement.class,
        judgement.rule,
        printable(&basis(judged)),
    )
}

/// Says in words what is made of a measurement: `blocked tls@1` is a block at the TLS layer of the first redirect.
fn verdict(judged: &Judged) -> String {
    let judgement = &judged.judgement;
    let place = format!("{}@{}", judgement.layer.as_str(), judgement.hop);
    match judgement.status {
        LayerStatus::Ok => "not blocked".to_owned(),
        LayerStatus::Down => format!("not blocked (down {place})"),
        LayerStatus::Blocked => format!("blocked {place}"),
        LayerStatus::Throttled => format!("throttled {place}"),
        LayerStatus::Tampered => format!("tampered {place}"),
        LayerStatus::Insufficient => "insufficient".to_owned(),
    }
}

/// Says what the judgement rests on: the steps that the rule names, or the one that decided.
fn basis(judged: &Judged) -> String {
    let steps = &judged.measurement.observations;
    let named = judged.judgement.evidence.iter().filter_map(|at| steps.get(usize::from(*at)));
    let mut told: Vec<String> = named.take(MAX_STEPS).map(step_text).collect();
    if told.is_empty() {
        let last = || steps.iter().rfind(|step| step.engine == Engine::System);
        told.extend(deciding_step(&judged.measurement).or_else(last).map(step_text));
    }
    if told.is_empty() { "no step".to_owned() } else { told.join(", ") }
}

fn step_text(step: &Observation) -> String {
    let what = match (&step.failure, &step.fact) {
        (Some(failure), _) => failure.to_string(),
        (None, Fact::Http(page)) => format!("status {}", page.status),
        (None, Fact::Dns(answer)) => {
            answer.addresses.first().map_or("nothing".to_owned(), ToString::to_string)
        }
        (None, _) => "passed".to_owned(),
    };
    let name = match &step.fact {
        Fact::Dns(answer) => format!(" for {}", answer.hostname),
        Fact::Tls(tls) => format!(" for {}", tls.server_name),
        Fact::Http(page) if !page.url.is_empty() => format!(" for {}", page.url),
        _ => String::new(),
    };
    let engine = if step.engine == Engine::System { "" } else { step.engine.as_str() };
    let peer = step.peer.map(|peer| format!(" at {peer}")).unwrap_or_default();
    let text =
        format!("{engine} {} {what}{name}{peer} after {} ms", step.layer.as_str(), step.took.as_millis());
    text.trim_start().to_owned()
}

/// Writes the table of cases: the truth and v5 where a file says them, OONI's probe where the measurement is its own.
pub(crate) fn table(all: &[Judged], truth: &BTreeMap<String, Truth>) -> String {
    let columns = ["case", "truth", "OONI probe", "OONI v5", "ours", "rule", ""];
    let header: Vec<(&'static str, Align)> = columns.iter().map(|name| (*name, Align::Left)).collect();
    let mut table = Table::new(&header);
    let mut agreed = 0_u64;
    for judged in all {
        let ours = verdict(judged);
        let known = truth.get(&judged.case);
        let agrees = known.map(|known| agrees(&known.truth, &ours));
        agreed += u64::from(agrees == Some(true));
        table.row(&[
            judged.case.clone(),
            known.map_or_else(String::new, |known| known.truth.clone()),
            judged.origin.as_ref().map_or_else(String::new, |origin| origin.verdict.clone()),
            known.map_or_else(String::new, |known| known.v5.clone()),
            ours,
            judged.judgement.rule.clone(),
            match agrees {
                Some(true) => "agrees".to_owned(),
                Some(false) => "DIFFERS".to_owned(),
                None => String::new(),
            },
        ]);
    }
    let known = all.iter().filter(|judged| truth.contains_key(&judged.case)).count();
    let mut text = table.to_text();
    if known > 0 {
        text += &format!("{agreed} of {known} agree with the truth\n");
    }
    text
}

/// A site that is down for everybody is not blocked, wherever it fails.
fn agrees(truth: &str, ours: &str) -> bool {
    ours == truth || (truth == "not blocked" && ours.starts_with(truth))
}

/// Reads what is known of cases: CSV with the columns `case`, `truth` and, where known, `v5`.
pub(crate) fn read_truth(path: &Path) -> Result<BTreeMap<String, Truth>, Trouble> {
    let bad =
        |e: csv::Error| Trouble::new(Exit::Data, format!("{} cannot be read", path.display())).source(e);
    let mut known = BTreeMap::new();
    for row in csv::Reader::from_path(path).map_err(bad)?.deserialize::<Truth>() {
        let row = row.map_err(bad)?;
        known.insert(row.case.clone(), row);
    }
    Ok(known)
}
