//! `country cases`: small countries with one line each, several at a time.

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use faultline_tests::country::cases::{
    Case, CaseOptions, MARK_BEGIN, MARK_END, Outcome, Seen, Vantage, judge_case, rows,
};
use faultline_tests::country::export::{Exported, Made};
use faultline_tests::country::launch::{self, Inner, Job, Report, Task};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Countries at once: they mostly wait.
const JOBS: usize = 4;

#[derive(Args)]
pub struct CasesArgs {
    /// Case files, or folders of them.
    #[arg(default_value = "tests/cases")]
    paths: Vec<PathBuf>,
    /// Writes all measurements and judgements, one JSON object by case, to this file; - is standard output.
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
    /// Prints the table of all cases.
    #[arg(long)]
    table: bool,
    /// Puts the table into this document, between its two marks.
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// Writes every measurement in OONI's format into this folder, a file for each case.
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// So many countries at once.
    #[arg(long, value_name = "N", default_value_t = JOBS)]
    jobs: usize,
    /// Folder of faultline-agent; by default that of country itself.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

/// A case with its file.
struct Entry {
    file: PathBuf,
    case: Case,
}

/// What came of a case.
struct Done {
    seen: Vec<Seen>,
    trouble: Option<String>,
}

pub fn run(args: &CasesArgs) -> Result<ExitCode> {
    let begun = Instant::now();
    let entries = entries(&args.paths)?;
    let program = super::program()?;
    let beside = program.parent().unwrap_or(Path::new(".")).to_owned();
    let options = CaseOptions { programs: launch::absolute(args.programs.as_ref().unwrap_or(&beside)) };
    let next = Mutex::new(entries.iter());
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let entry = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(entry) = entry else { break };
                    let result = one(entry, &program, &options);
                    tell(&entry.case, &result);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(entry.case.name.clone(), result);
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    finish(args, entries, &done, begun)
}

fn entries(paths: &[PathBuf]) -> Result<Vec<Entry>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let listed = std::fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
            for file in listed {
                files.push(file.with_context(|| format!("reading {}", path.display()))?.path());
            }
        } else {
            files.push(path.clone());
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.retain(|file| file.file_name().is_none_or(|name| name != "list.toml" && name != "world.toml"));
    files.sort();
    ensure!(!files.is_empty(), "there are no case files");
    files.into_iter().map(|file| Ok(Entry { case: Case::read(&file)?, file })).collect()
}

fn one(entry: &Entry, program: &Path, options: &CaseOptions) -> Done {
    match visit(entry, program, options) {
        Ok(seen) => Done { seen, trouble: None },
        Err(error) => Done { seen: Vec::new(), trouble: Some(format!("{error:#}")) },
    }
}

fn visit(entry: &Entry, program: &Path, options: &CaseOptions) -> Result<Vec<Seen>> {
    let task = Task::Case(options.clone());
    let job = Job { scenario: launch::absolute(&entry.file), program: program.to_owned(), task };
    let mut seen = None;
    let status = Inner::start(&job, None)?.wait(|report| {
        if let Report::Result(document) = report {
            seen = Some(document);
        }
    })?;
    match seen {
        Some(document) if status.success() => {
            serde_json::from_value(document).context("reading what was seen")
        }
        _ => bail!("the country ended without measurements"),
    }
}

fn tell(case: &Case, done: &Done) {
    if let Some(trouble) = &done.trouble {
        eprintln!("{}: NOT RUN: {trouble}", case.name);
        return;
    }
    for outcome in judge_case(case, &done.seen) {
        let (mark, truth, said) = (mark(&outcome), outcome.expected.words(), outcome.said());
        eprintln!("{mark:<5} {}: {said} ({truth} is true)", case.name);
    }
}

fn mark(outcome: &Outcome) -> &'static str {
    if outcome.is_right() { "right" } else { "WRONG" }
}

fn finish(
    args: &CasesArgs,
    entries: Vec<Entry>,
    done: &BTreeMap<String, Done>,
    begun: Instant,
) -> Result<ExitCode> {
    let judged: Vec<(Case, Vec<Outcome>)> = entries
        .into_iter()
        .map(|Entry { case, .. }| {
            let outcomes = done.get(&case.name).map(|done| judge_case(&case, &done.seen)).unwrap_or_default();
            (case, outcomes)
        })
        .collect();
    if let Some(file) = &args.json {
        let whole: BTreeMap<&str, Value> = judged
            .iter()
            .map(|(case, outcomes)| {
                let seen = done.get(&case.name).map(|done| &done.seen);
                let judgements: Vec<_> = outcomes.iter().map(|outcome| &outcome.judgement).collect();
                (case.name.as_str(), json!({ "seen": seen, "judgements": judgements }))
            })
            .collect();
        super::write(file, &serde_json::to_value(whole).context("writing JSON")?)?;
    }
    if let Some(folder) = &args.export {
        export(folder, &judged, done)?;
    }
    let table = rows(&judged);
    if args.table {
        println!("{table}");
    }
    if let Some(file) = &args.document {
        put(file, &table)?;
    }
    let is_right = |(case, outcomes): &&(Case, Vec<Outcome>)| {
        outcomes.len() == case.expected.len() && outcomes.iter().all(Outcome::is_right)
    };
    let right = judged.iter().filter(is_right).count();
    let false_alarms =
        judged.iter().flat_map(|(_, outcomes)| outcomes).filter(|o| o.is_false_alarm()).count();
    eprintln!(
        "{right} of {} cases are right, {false_alarms} false alarms, {} s",
        judged.len(),
        begun.elapsed().as_secs()
    );
    Ok(if right == judged.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn export(folder: &Path, cases: &[(Case, Vec<Outcome>)], done: &BTreeMap<String, Done>) -> Result<()> {
    let mut exported = Exported::default();
    for (case, _) in cases {
        let seen = done.get(&case.name).map_or(&[][..], |done| &done.seen);
        let made: Vec<Made<'_>> = seen.iter().filter_map(|seen| made(case, seen)).collect();
        exported.add(folder, &case.scenario, &made)?;
    }
    eprintln!("{exported}");
    Ok(())
}

fn made<'a>(case: &Case, seen: &'a Seen) -> Option<Made<'a>> {
    let (at, is_control) = match seen.at {
        Vantage::Subscriber(asn) => (asn, false),
        Vantage::Control(number) => (case.scenario.controls.get(number - 1)?.asn, true),
    };
    Some(Made { at, is_control, measurement: &seen.measurement })
}

fn put(file: &Path, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let (head, rest) =
        text.split_once(MARK_BEGIN).context("the document has no mark where the table begins")?;
    let (_, tail) = rest.split_once(MARK_END).context("the document has no mark where the table ends")?;
    let whole = format!("{head}{MARK_BEGIN}\n\n{table}\n{MARK_END}{tail}");
    std::fs::write(file, whole).with_context(|| format!("writing {}", file.display()))
}
