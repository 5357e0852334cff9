//! What one check costs beside the field's ordinary prober, prometheus-blackbox-exporter, in one run.
//!
//! `cargo bench -p faultline-tests --bench peer`. Both measure the same names over the same loopback servers (DNS, TCP,
//! TLS 1.3, HTTP/2, a page of 4 KiB) in a network namespace that the run makes and that leads nowhere. Times are CPU
//! times of the measuring process alone, user and system, as the kernel counts them; the servers are a process of their
//! own. The two take turns in three rounds, so that a busy machine is busy for both. The bytes are those that the
//! loopback device carried, with all headers, both ways.

mod agent;
mod namespace;
mod ours;
mod peer;
mod proc;
mod servers;

use anyhow::{Context, Result, ensure};
use namespace::Inside;
use ours::Ours;
use proc::{Cost, resident_mib};
use serde::Serialize;
use std::process::ExitCode;

/// Rounds, in which the two take turns.
const ROUNDS: usize = 3;
/// Checks of each kind in a round.
const CHECKS: usize = 400;
/// Full checks in a round; each waits half a second for late answers.
const FULL_CHECKS: usize = 40;
/// Targets at once.
const BURST: usize = 200;

const MAX_RATIO: f64 = 0.4;
const MAX_LIGHT_BYTES: f64 = 10_000.0;
const MAX_FULL_BYTES: f64 = 60_000.0;
const MAX_BURST_MIB: f64 = 40.0;
const MAX_IDLE_MIB: f64 = 16.0;
const MAX_BINARY_MIB: f64 = 12.0;
/// How long the others may take beside a target that is silent until its deadline of ten seconds. Many questions at once
/// cost one or the other its second try after a second.
const MAX_BESIDE_MS: f64 = 3_000.0;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let ended = match arguments.next().as_deref() {
        Some(namespace::ROLE) => whole(),
        Some(servers::ROLE) => servers::serve(),
        Some(ours::ROLE) => ours::serve(),
        // Cargo runs benchmarks among all tests with other arguments: nothing is measured then.
        Some("--bench") | None => namespace::enter(),
        Some(_) => return ExitCode::SUCCESS,
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures everything inside the namespace and prints the table.
fn whole() -> Result<ExitCode> {
    let inside = Inside::furnish()?;
    let servers = servers::start(inside.folder())?;
    let peer = peer::Peer::start(inside.folder())?;
    let mut ours = Ours::start(inside.folder())?;
    let idle = resident_mib(ours.pid(), "VmRSS")?;
    peer.probe(CHECKS / 8)?;
    let (light_upload, full_upload) = (ours.run("light", CHECKS / 8)?, ours.run("full", FULL_CHECKS / 8)?);
    let (mut theirs, mut light, mut full) = (Cost::default(), Cost::default(), Cost::default());
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        theirs += proc::cost(peer.pid(), CHECKS, || peer.probe(CHECKS))?;
        light += proc::cost(ours.pid(), CHECKS, || ours.run("light", CHECKS).map(drop))?;
        full += proc::cost(ours.pid(), FULL_CHECKS, || ours.run("full", FULL_CHECKS).map(drop))?;
    }
    let alone = ours.run("burst", BURST)?;
    inside.swallow(servers::SILENT)?;
    let beside = ours.run("burst-with-silent", BURST)?;
    let mut table = Table::default();
    let (own, their) = (light.cpu_ms(), theirs.cpu_ms());
    table.row("CPU of DNS+TCP+TLS+HTTP, ms", own, Some(their), None);
    table.row("  ratio", own / their, Some(1.0), Some(MAX_RATIO));
    table.row("CPU of a full check with its resolvers, ms", full.cpu_ms(), None, None);
    table.row("bytes on the wire", light.bytes(), Some(theirs.bytes()), None);
    table.row("  with its upload", light.bytes() + light_upload.upload(), None, Some(MAX_LIGHT_BYTES));
    table.row(
        "  of a full check, with its upload",
        full.bytes() + full_upload.upload(),
        None,
        Some(MAX_FULL_BYTES),
    );
    table.row("memory before the first check, MiB", idle, None, Some(MAX_IDLE_MIB));
    let peaks = (resident_mib(ours.pid(), "VmHWM")?, resident_mib(peer.pid(), "VmHWM")?);
    table.row("memory at its highest, 200 at once, MiB", peaks.0, Some(peaks.1), Some(MAX_BURST_MIB));
    table.row("200 targets at once, the slowest, ms", alone.slowest_ms, None, None);
    table.row("  beside one that is silent, ms", beside.slowest_ms, None, Some(MAX_BESIDE_MS));
    drop((peer, ours, servers));
    if let Some(taken) = agent::measure(inside.folder(), BURST)? {
        table.row("the agent's own program, idle, MiB", taken.idle_mib, None, Some(MAX_IDLE_MIB));
        table.row("  at its highest, 200 at once, MiB", taken.burst_mib, None, Some(MAX_BURST_MIB));
        table.row("  its file, MiB", taken.binary_mib, None, Some(MAX_BINARY_MIB));
    }
    table.print()
}

/// What was measured, in lines.
#[derive(Default)]
struct Table {
    rows: Vec<Row>,
}

/// One figure.
#[derive(Serialize)]
struct Row {
    what: &'static str,
    faultline: f64,
    blackbox: Option<f64>,
    limit: Option<f64>,
}

impl Table {
    fn row(&mut self, what: &'static str, faultline: f64, blackbox: Option<f64>, limit: Option<f64>) {
        self.rows.push(Row { what, faultline, blackbox, limit });
    }

    /// Prints the table, and below it the same as JSON in one line.
    fn print(self) -> Result<ExitCode> {
        println!("\n{:<46}{:>12}{:>12}{:>12}", "", "faultline", "blackbox", "limit");
        let number = |value: Option<f64>| value.map(|value| format!("{value:.2}")).unwrap_or_default();
        for Row { what, faultline, blackbox, limit } in &self.rows {
            println!(
                "{what:<46}{:>12}{:>12}{:>12}",
                number(Some(*faultline)),
                number(*blackbox),
                number(*limit)
            );
        }
        println!("\n{}", serde_json::to_string(&self.rows)?);
        let is_broken = |row: &&Row| row.limit.is_some_and(|limit| row.faultline > limit);
        let broken: Vec<&str> = self.rows.iter().filter(is_broken).map(|row| row.what.trim()).collect();
        ensure!(broken.is_empty(), "beyond its limit: {}", broken.join(", "));
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns this program.
fn program() -> Result<std::path::PathBuf> {
    std::env::current_exe().context("finding this program")
}
