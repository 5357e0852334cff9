//! `country mix`: runs drawn by chance, one after the other, and how quickly each incident was published.

use anyhow::{Context, Result, bail};
use clap::Args;
use faultline_tests::country::launch::{self, Inner, Job, Report, RunOptions, Task};
use faultline_tests::country::mix::{Drawn, draw};
use faultline_tests::country::pace::Pace;
use faultline_tests::country::score::{RunResult, Score, score};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Seconds from the first failing step to the publication, and one step's deadline more where that was a timeout:
/// the median, and the 95th percentile.
const LIMITS_S: (f64, f64) = (10.0, 30.0);

#[derive(Args)]
pub struct MixArgs {
    /// The scenario whose country it is; its rules are not used.
    #[arg(default_value = "tests/testdata/mix.toml")]
    base: PathBuf,
    /// So many runs.
    #[arg(long, value_name = "N", default_value_t = 20)]
    runs: usize,
    /// Draws other incidents.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Agents begin with what their budget has left after so many hours of the list's routine work.
    #[arg(long, value_name = "HOURS", default_value_t = 18, value_parser = clap::value_parser!(u32).range(..24))]
    hours_spent: u32,
    /// Writes all runs and the summary, one JSON object, to this file; - is standard output.
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
    /// Only prints what is drawn.
    #[arg(long)]
    dry_run: bool,
    /// Folder of faultline-coordinator, faultline and faultline-agent; by default that of country itself.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

/// One run.
#[derive(Serialize)]
struct Done {
    drawn: Drawn,
    pace: Option<Pace>,
    score: Option<Score>,
    /// What was said, where it was not right.
    incidents: Option<Value>,
    trouble: Option<String>,
}

impl Done {
    fn is_right(&self) -> bool {
        let score = self.score.as_ref();
        score.is_some_and(|score| {
            score.false_incidents.is_empty() && score.rows.iter().all(|row| row.right_published_s.is_some())
        })
    }
}

pub fn run(args: &MixArgs) -> Result<ExitCode> {
    let drawn = draw(&args.base, args.runs, args.seed)?;
    if args.dry_run {
        for (drawn, number) in drawn.iter().zip(1..) {
            println!("{}", described(number, drawn));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut done: Vec<Done> = Vec::new();
    for (drawn, number) in drawn.into_iter().zip(1..) {
        let run = one(args, drawn, number);
        eprintln!("{}  {}", described(number, &run.drawn), said(&run));
        done.push(run);
    }
    let summary = summary(&done);
    eprintln!("{}", words(&summary));
    if let Some(file) = &args.json {
        super::write(file, &json!({ "seed": args.seed, "summary": summary, "runs": done }))?;
    }
    Ok(if summary.is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn described(number: usize, drawn: &Drawn) -> String {
    let kind = serde_json::to_value(drawn.kind).ok();
    let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
    format!("{number:>3} {kind:<15} {:<15} {} by {}", drawn.how, drawn.whom, drawn.who)
}

fn one(args: &MixArgs, drawn: Drawn, number: usize) -> Done {
    match result(args, &drawn, number) {
        Ok((pace, score, incidents)) => {
            let mut done = Done { drawn, pace, score: Some(score), incidents: None, trouble: None };
            done.incidents = (!done.is_right()).then_some(incidents);
            done
        }
        Err(error) => {
            Done { drawn, pace: None, score: None, incidents: None, trouble: Some(format!("{error:#}")) }
        }
    }
}

fn result(args: &MixArgs, drawn: &Drawn, number: usize) -> Result<(Option<Pace>, Score, Value)> {
    let program = super::program()?;
    let beside = program.parent().unwrap_or(Path::new(".")).to_owned();
    let folder = std::env::temp_dir().join(format!("faultline-mix-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let scenario = folder.join(format!("mix-{}-{number}.toml", args.seed));
    std::fs::write(&scenario, &drawn.text).with_context(|| format!("writing {}", scenario.display()))?;
    let options = RunOptions {
        programs: launch::absolute(args.programs.as_ref().unwrap_or(&beside)),
        keep: false,
        quiet: true,
        http: None,
        record_baseline: false,
        without_baseline: false,
        chaos: 0,
        seed: None,
        work: None,
        until_right: true,
        hours_spent: args.hours_spent,
    };
    let job = Job { scenario, program, task: Task::Run(options) };
    let mut document = None;
    let inner = Inner::start(&job, None)?;
    let status = inner.wait(|report| {
        if let Report::Result(result) = report {
            document = Some(result);
        }
    })?;
    let _ = std::fs::remove_dir_all(&folder);
    let Some(document) = document.filter(|_| status.success()) else { bail!("the run ended early") };
    let paces: Vec<Pace> = serde_json::from_value(document["pace"].clone()).context("reading the pace")?;
    let incidents = document["incidents"].clone();
    let result: RunResult = serde_json::from_value(document).context("reading the result")?;
    Ok((paces.into_iter().next(), score(&result), incidents))
}

fn said(run: &Done) -> String {
    let Some(pace) = &run.pace else {
        return format!("NOT RUN: {}", run.trouble.as_deref().unwrap_or("no incident is true"));
    };
    let seconds = |s: Option<f64>| s.map_or_else(|| "never".to_owned(), |s| format!("{s:.1} s"));
    format!(
        "{}: published {} after the first {} and {} after the rule (limit {:.0} s), wholly right after {}",
        if run.is_right() { "right" } else { "WRONG" },
        seconds(pace.from_failure_s),
        pace.failure.as_deref().unwrap_or("failure"),
        seconds(pace.from_rule_s),
        pace.from_rule_limit_s,
        seconds(pace.until_right_s),
    )
}

/// All runs together. What was never published counts as infinitely late.
#[derive(Serialize)]
struct Summary {
    runs: usize,
    right: usize,
    false_incidents: usize,
    median_from_failure_s: f64,
    p95_from_failure_s: f64,
    /// Of the time from the rule's start as a part of its limit, the 95th percentile.
    p95_of_limit: f64,
    is_kept: bool,
}

fn summary(done: &[Done]) -> Summary {
    let late = |s: Option<f64>| s.unwrap_or(f64::INFINITY);
    let beyond = |pace: &Pace| pace.from_failure_s.map(|s| s - pace.deadline_s);
    let failures: Vec<f64> = done.iter().map(|d| late(d.pace.as_ref().and_then(beyond))).collect();
    let parts: Vec<f64> = done
        .iter()
        .map(|d| d.pace.as_ref().map_or(f64::INFINITY, |p| late(p.from_rule_s) / p.from_rule_limit_s))
        .collect();
    let right = done.iter().filter(|done| done.is_right()).count();
    let false_incidents = done.iter().filter_map(|d| d.score.as_ref()).map(|s| s.false_incidents.len()).sum();
    let (median, p95, part) = (quantile(&failures, 0.5), quantile(&failures, 0.95), quantile(&parts, 0.95));
    Summary {
        runs: done.len(),
        right,
        false_incidents,
        median_from_failure_s: median,
        p95_from_failure_s: p95,
        p95_of_limit: part,
        is_kept: right == done.len() && median <= LIMITS_S.0 && p95 <= LIMITS_S.1 && part <= 1.0,
    }
}

/// Returns the smallest value that at least this part of the values does not exceed (nearest rank).
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank among a few runs"
    )]
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::INFINITY)
}

fn words(summary: &Summary) -> String {
    format!(
        "{} of {} runs right, {} false; published {:.1} s after the first failure (and its deadline) in the median, {:.1} s at the 95th \
         percentile (limits {:.0} and {:.0} s); after the rule's start at most {:.2} of what is allowed (95th percentile)",
        summary.right,
        summary.runs,
        summary.false_incidents,
        summary.median_from_failure_s,
        summary.p95_from_failure_s,
        LIMITS_S.0,
        LIMITS_S.1,
        summary.p95_of_limit,
    )
}
