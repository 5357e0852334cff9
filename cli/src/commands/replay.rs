//! `faultline replay`: recorded data through the same detection as live measurements.
//!
//! The folder holds `measurements.jsonl`, `topology.json` and perhaps `heartbeats.jsonl`, plain or gzipped.
//! Rows are streamed, so that a day of many agents needs no more memory than the detector itself.

use crate::arguments::ReplayArguments;
use crate::lines::{Lines, RawLines, open};
use crate::ooni::{Line, Table, read_json};
use crate::output::{counted, print};
use crate::trouble::{Exit, Trouble};
use anyhow::{Context, Result};
use faultline_analysis::replay::ooni::Gathered;
use faultline_analysis::replay::{Heartbeat, Row, Topology, run_with_presence};
use serde::Serialize;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A measurement carries the pages it met; larger ones are cut by OONI itself.
const MAX_OONI_LINE_BYTES: u64 = 8 << 20;
const MAX_TOPOLOGY_BYTES: u64 = 64 << 20;

pub(super) fn run(arguments: &ReplayArguments) -> Result<()> {
    if !arguments.ooni.is_empty() {
        return ooni(arguments);
    }
    let dir = arguments.dir.as_deref().unwrap_or(Path::new("."));
    let topology = read_topology(dir)?;
    let path = find(dir, "measurements.jsonl")?.ok_or_else(|| {
        Trouble::new(
            Exit::Data,
            format!("{} has no measurements.jsonl or measurements.jsonl.gz", dir.display()),
        )
    })?;
    let mut lines = Lines::<Row>::open(&path)?;
    let mut beats = find(dir, "heartbeats.jsonl")?.map(|path| Lines::<Heartbeat>::open(&path)).transpose()?;
    let output = run_with_presence(&topology, &mut lines, beats.iter_mut().flatten())
        .map_err(|e| Trouble::new(Exit::Data, "topology.json cannot be used").source(e))?;
    lines.finish()?;
    beats.as_mut().map(Lines::finish).transpose()?;
    write(&arguments.out, &output)?;
    let skipped = lines.raw.bad + beats.as_ref().map_or(0, |beats| beats.raw.bad);
    anstream::eprintln!(
        "{}, {}, {}{}",
        counted(lines.raw.good, "measurement"),
        counted(beats.as_ref().map_or(0, |beats| beats.raw.good), "heartbeat"),
        counted(output.incidents.len() as u64, "incident"),
        if skipped == 0 { String::new() } else { format!("; {} skipped", counted(skipped, "bad line")) }
    );
    Ok(())
}

/// Replays OONI's data, which carry no agents.
fn ooni(arguments: &ReplayArguments) -> Result<()> {
    let profile = arguments.profile.as_deref().map(crate::profile::read).transpose()?;
    let mut gathered = Gathered::default();
    let mut counts = Counts::default();
    for path in &arguments.ooni {
        gather(path, &mut gathered, &mut counts)?;
    }
    let output = faultline_analysis::replay::ooni::run(&gathered, profile.as_ref())
        .map_err(|e| Trouble::new(Exit::Data, "these data cannot be replayed").source(e))?;
    write(&arguments.out, &output)?;
    let also = |number: u64, noun: &str| {
        if number == 0 { String::new() } else { format!("; {}", counted(number, noun)) }
    };
    anstream::eprintln!(
        "{}, {}, {}, {}{}{}{}; no vantage identity",
        counted(counts.rows, "row"),
        counted(output.basis.measurements as u64, "measurement"),
        counted(output.basis.votes as u64, "vote"),
        counted(output.output.incidents.len() as u64, "incident"),
        also(counts.other_tests, "row of other tests"),
        also(output.basis.elsewhere as u64, "measurement without a vote"),
        also(counts.bad, "skipped bad line"),
    );
    Ok(())
}

/// What was read of OONI's files.
#[derive(Default)]
struct Counts {
    rows: u64,
    other_tests: u64,
    bad: u64,
}

fn gather(path: &Path, gathered: &mut Gathered, counts: &mut Counts) -> Result<()> {
    let mut lines = RawLines::open(path, MAX_OONI_LINE_BYTES)?;
    let mut table: Option<Table> = None;
    let mut is_first = true;
    while let Some(line) = lines.next_line() {
        if std::mem::take(&mut is_first) && !line.trim_ascii_start().starts_with(b"{") {
            let bad = |e| Trouble::new(Exit::Data, format!("{}: {e}", path.display()));
            let hint = "give OONI measurement JSON lines, or observation CSV with a header";
            table = Some(Table::new(&line).map_err(|e| bad(e).hint(hint))?);
            continue;
        }
        let read = table.as_ref().map_or_else(|| read_json(&line), |table| table.read(&line));
        match read {
            Ok(Line::OtherTest) => {
                lines.accept();
                counts.other_tests += 1;
            }
            Ok(Line::Steps(steps)) => {
                lines.accept();
                if !steps.into_iter().all(|step| gathered.take(step)) {
                    return Err(Trouble::new(Exit::Data, format!("{} holds too much", path.display()))
                        .hint("replay at most two million measurements at once, such as one month")
                        .into());
                }
            }
            Err(why) => lines.report(&why),
        }
    }
    counts.rows += lines.good;
    counts.bad += lines.bad;
    Ok(lines.finish()?)
}

/// Writes the result whole or not at all.
fn write<T: Serialize>(out: &Path, output: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(output).context("writing JSON")? + "\n";
    if out == Path::new("-") {
        return print(&text);
    }
    let name = out.file_name().and_then(|name| name.to_str()).unwrap_or("out");
    let beside = out.with_file_name(format!(".{name}.new"));
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, out))
        .with_context(|| format!("writing {}", out.display()))
}

/// Finds a file in its plain or gzipped form.
pub(super) fn find(dir: &Path, name: &str) -> Result<Option<PathBuf>, Trouble> {
    if !dir.is_dir() {
        return Err(Trouble::new(Exit::Data, format!("{} is no folder", dir.display())));
    }
    let paths = [dir.join(name), dir.join(format!("{name}.gz"))];
    Ok(paths.into_iter().find(|path| path.is_file()))
}

pub(super) fn read_topology(dir: &Path) -> Result<Topology, Trouble> {
    let path = find(dir, "topology.json")?.ok_or_else(|| {
        Trouble::new(Exit::Data, format!("{} has no topology.json", dir.display()))
            .hint("it says which networks, agents and targets there are; see docs/researcher.md")
    })?;
    let bad = |e: &dyn std::fmt::Display| Trouble::new(Exit::Data, format!("{}: {e}", path.display()));
    let mut text = String::new();
    let mut file = open(&path)?.take(MAX_TOPOLOGY_BYTES);
    file.read_to_string(&mut text).map_err(|e| bad(&e))?;
    serde_json::from_str(&text).map_err(|e| bad(&e))
}
