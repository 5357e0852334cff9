//! `status`: what the running agent says about itself, in words.

use super::Failed;
use super::print::say;
use crate::recent::{self, RecentMeasurement};
use crate::state::{AgentRecord, Home, LockError, RunLock};
use crate::status::{Report, TermsReport};
use faultline_model::RiskTier;
use faultline_runtime::now;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Of what the agent remembers, shown to people; `--json` has all.
const SHOWN_RECENT: usize = 10;

#[derive(Serialize)]
struct Shown {
    is_running: bool,
    agent_id: String,
    country: String,
    control: bool,
    is_paused: bool,
    /// What the agent last wrote about itself, also if it does not run any more.
    report: Option<Report>,
    /// What was measured lately, the oldest first; from the running agent's memory.
    recent: Vec<RecentMeasurement>,
}

pub(super) fn execute(home: &Path, json: bool) -> Result<(), Failed> {
    let home = Home::open(home)?;
    let (record, _) = home.agent()?;
    let is_running = matches!(RunLock::take(&home), Err(LockError::Taken(_)));
    let report = home.load_json::<Report>("status.json").ok();
    let AgentRecord { agent_id, country, control, .. } = record;
    let country = country.to_string();
    let shown = Shown {
        is_running,
        agent_id,
        country,
        control,
        is_paused: home.is_paused(),
        report,
        recent: recent::ask(&home),
    };
    if json {
        say(format_args!("{}", serde_json::to_string(&shown)?));
    } else {
        print(&shown);
    }
    Ok(())
}

fn print(shown: &Shown) {
    let role = if shown.control { "control" } else { "volunteer" };
    say(format_args!("Agent {} ({role}, {})", shown.agent_id, shown.country));
    match (&shown.report, shown.is_running) {
        (Some(report), true) => {
            say(format_args!(
                "Running since {} (process {}, version {})",
                report.started_at, report.pid, report.version
            ));
        }
        (Some(report), false) => say(format_args!("Not running; last seen {}", report.written_at)),
        (None, true) => say(format_args!("Running; it has not said anything yet")),
        (None, false) => say(format_args!("Not running; start it with: faultline-agent run")),
    }
    if shown.is_paused {
        say(format_args!("Measuring is paused; go on with: faultline-agent resume"));
    }
    if let Some(report) = &shown.report {
        print_report(report, shown.is_running);
    }
    if let Some(first) = shown.recent.len().checked_sub(SHOWN_RECENT.min(shown.recent.len())) {
        for RecentMeasurement { at, check, target, failure } in &shown.recent[first..] {
            let failure = if failure.is_empty() { "ok" } else { failure };
            say(format_args!("  {at}  {check:<10} {target}  {failure}"));
        }
    }
}

fn print_report(report: &Report, is_running: bool) {
    if is_running {
        let since = report.connection.since.map_or(Duration::ZERO, |since| now().since(since)).as_secs();
        match (&report.connection.error, report.connection.is_open) {
            (_, true) => say(format_args!("Connection   open for {since} s")),
            (Some(error), false) => say(format_args!("Connection   cut off for {since} s: {error}")),
            (None, false) => say(format_args!("Connection   not open yet")),
        }
    }
    match report.held.list_expires_at {
        Some(expires_at) => {
            say(format_args!("List         version {}, valid until {expires_at}", report.held.list_version));
        }
        None => say(format_args!("List         none yet; nothing is measured")),
    }
    say(format_args!("Schedule     generation {}, {} entries", report.held.generation, report.held.entries));
    let counts = &report.since_start;
    say(format_args!(
        "Measured     {} routine, {} confirmations since start",
        counts.routine, counts.confirmations
    ));
    print_reasons("Not measured", &counts.not_run);
    say(format_args!("Uploaded     {} acknowledged", counts.uploaded));
    if counts.refused_by_coordinator > 0 {
        say(format_args!("             {} refused by the coordinator", counts.refused_by_coordinator));
    }
    print_reasons("Refused", &counts.refused);
    let spool = &report.spool;
    say(format_args!(
        "Waiting      {} measurements, {} KB on disk",
        spool.waiting,
        spool.bytes.div_ceil(1024)
    ));
    if spool.dropped + spool.damaged > 0 {
        say(format_args!("Lost         {} dropped, {} damaged files", spool.dropped, spool.damaged));
    }
    if spool.is_disk_failing {
        say(format_args!("             the disk refuses measurements; they wait in memory"));
    }
    print_terms(&report.terms);
    let budget = &report.budget;
    say(format_args!(
        "Budget       {} checks and {} MB a day; {:.0} % of the hour's routine and {:.0} % of the confirmations left",
        budget.checks_per_day,
        budget.bytes_per_day / 1_000_000,
        budget.routine_left * 100.0,
        budget.confirmations_left * 100.0
    ));
}

fn print_terms(terms: &TermsReport) {
    let risk = match terms.risk {
        Some(RiskTier::Standard) => "standard risk",
        Some(RiskTier::High) => "high risk",
        None => "no risk tier signed, which counts as high",
    };
    let still = terms.is_still.as_ref().map(|reason| format!("; nothing is measured now: {reason}"));
    say(format_args!("Terms        {risk}{}", still.unwrap_or_default()));
    if let Some(error) = &terms.error {
        say(format_args!("             the file cannot be read, earlier terms stay in force: {error}"));
    }
}

fn print_reasons(what: &str, reasons: &BTreeMap<String, u64>) {
    if reasons.is_empty() {
        return;
    }
    let list: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    say(format_args!("{what:<12} {}", list.join(", ")));
}
