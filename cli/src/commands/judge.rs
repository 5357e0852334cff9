//! `faultline judge`: measurements from files, judged without any coordinator.
//!
//! A file holds JSON lines or JSON objects, plain or gzipped: what `faultline-agent check --json` printed, or OONI's
//! measurements. Each is told apart by what it holds. Controls are measurements of the same target and check from
//! outside the censor's reach; OONI's carry what their test helper saw.

use crate::arguments::JudgeArguments;
use crate::objects::Objects;
use crate::output::{counted, print, print_json_line, printable};
use crate::show::judged;
use crate::trouble::{Exit, Trouble};
use anyhow::Result;
use faultline_analysis::judge::{ControlFact, Fingerprints, judge_with};
use faultline_analysis::ooni::{Origin, Reading};
use faultline_model::{Judgement, Measurement};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// One measurement with what was judged of it.
pub(crate) struct Judged {
    pub(crate) case: String,
    pub(crate) measurement: Measurement,
    pub(crate) controls: usize,
    pub(crate) origin: Option<Origin>,
    pub(crate) judgement: Judgement,
}

/// What was read besides.
#[derive(Default)]
struct Counts {
    judged: u64,
    bad: u64,
    not_imported: BTreeMap<String, u64>,
}

/// A measurement of either kind.
pub(super) struct Read {
    pub(super) measurement: Measurement,
    pub(super) control: Option<ControlFact>,
    pub(super) origin: Option<Origin>,
}

pub(super) fn run(arguments: &JudgeArguments) -> Result<()> {
    let fingerprints = match &arguments.fingerprints {
        Some(dir) => crate::fingerprints::load(dir)?,
        None => Fingerprints::built_in(),
    };
    let mut controls = Vec::new();
    for path in &arguments.control {
        controls.extend(control(path)?);
    }
    let mut counts = Counts::default();
    let mut all = Vec::new();
    for path in files(&arguments.file)? {
        let case = path.file_stem().and_then(|name| name.to_str()).unwrap_or("-").to_owned();
        each(&path, arguments.ooni, &mut counts, |read| {
            let judged = judge_one(&case, read, &controls, &fingerprints);
            if arguments.table {
                all.push(judged);
                return Ok(());
            }
            show(&judged, arguments.format.json)
        })?;
    }
    if arguments.table {
        let truth = arguments.truth.as_deref().map(judged::read_truth).transpose()?.unwrap_or_default();
        print(&judged::table(&all, &truth))?;
    }
    tell(&counts);
    if counts.judged == 0 {
        let text = format!("{} holds no measurement that can be judged", arguments.file.display());
        return Err(Trouble::new(Exit::Data, text).into());
    }
    Ok(())
}

/// Returns the files that a path names: itself, or a folder's JSON files in the order of their names.
fn files(path: &Path) -> Result<Vec<std::path::PathBuf>, Trouble> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let bad = |e| Trouble::new(Exit::Data, format!("{} cannot be listed", path.display())).source(e);
    let is_json = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = name.strip_suffix(".gz").unwrap_or(name);
        name.ends_with(".json") || name.ends_with(".jsonl")
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(bad)? {
        let path = entry.map_err(bad)?.path();
        if path.is_file() && is_json(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a file's measurements one by one.
fn each(
    path: &Path,
    is_ooni: bool,
    counts: &mut Counts,
    mut take: impl FnMut(Read) -> Result<()>,
) -> Result<()> {
    let mut objects = Objects::open(path)?;
    while let Some(text) = objects.next_object() {
        match read(&text, is_ooni) {
            Ok(Ok(all)) => {
                objects.accept();
                counts.judged += all.len() as u64;
                all.into_iter().try_for_each(&mut take)?;
            }
            Ok(Err(why)) => {
                objects.accept();
                *counts.not_imported.entry(why).or_default() += 1;
            }
            Err(why) => objects.report(&why),
        }
    }
    counts.bad += objects.bad();
    Ok(objects.finish()?)
}

/// Reads one object: measurements, or why a sound one has no equal here.
///
/// # Errors
/// Says why the text is no measurement.
pub(super) fn read(text: &[u8], is_ooni: bool) -> Result<Result<Vec<Read>, String>, String> {
    let head: Value = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    if !is_ooni && head.get("observations").is_some() {
        let measurement = serde_json::from_value(head).map_err(|e| e.to_string())?;
        return Ok(Ok(vec![Read { measurement, control: None, origin: None }]));
    }
    match faultline_analysis::ooni::read(text).map_err(|e| chain(&e))? {
        Reading::Measurements(all) => {
            let all = all.into_iter().map(|found| Read {
                measurement: found.measurement,
                control: found.control,
                origin: Some(found.origin),
            });
            Ok(Ok(all.collect()))
        }
        Reading::NotImported(why) => Ok(Err(why.to_string())),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Reads a control's measurements, each with what it says of its target.
fn control(path: &Path) -> Result<Vec<(Measurement, ControlFact)>> {
    let mut controls = Vec::new();
    let mut counts = Counts::default();
    each(path, false, &mut counts, |read| {
        let fact = ControlFact::of(&read.measurement);
        controls.push((read.measurement, fact));
        Ok(())
    })?;
    if controls.is_empty() {
        let text = format!("{} holds no control's measurement", path.display());
        return Err(Trouble::new(Exit::Data, text).into());
    }
    Ok(controls)
}

fn judge_one(
    case: &str,
    read: Read,
    controls: &[(Measurement, ControlFact)],
    fingerprints: &Fingerprints,
) -> Judged {
    let Read { measurement, control, origin } = read;
    let at = measurement.started_at;
    let beside =
        controls.iter().filter(|(other, _)| other.target == measurement.target && other.id != measurement.id);
    let aged = beside.map(|(other, fact)| {
        let age = other.started_at.since(at).max(at.since(other.started_at));
        ControlFact { age, ..fact.clone() }
    });
    let all: Vec<ControlFact> = aged.chain(control).collect();
    let judgement = judge_with(&measurement, &all, fingerprints);
    let max_age = |fact: &&ControlFact| fact.age <= faultline_analysis::judge::control_max_age(fact.check);
    let controls = all.iter().filter(max_age).count();
    Judged { case: case.to_owned(), measurement, controls, origin, judgement }
}

fn show(judged: &Judged, is_json: bool) -> Result<()> {
    if !is_json {
        return print(&judged::line(judged));
    }
    print_json_line(&serde_json::json!({
        "id": judged.measurement.id,
        "check": judged.measurement.check,
        "target": judged.measurement.target,
        "controls": judged.controls,
        "judgement": judged.judgement,
    }))
}

fn tell(counts: &Counts) {
    let not_imported: u64 = counts.not_imported.values().sum();
    anstream::eprintln!(
        "{} judged, {} not imported, {}",
        counted(counts.judged, "measurement"),
        not_imported,
        counted(counts.bad, "bad object")
    );
    for (why, number) in &counts.not_imported {
        anstream::eprintln!("  {number} not imported: {}", printable(why));
    }
}
