//! The agent's checks in a case's country: on the lines that are looked at, and at the controls.

use super::Case;
use crate::country::inside::Country;
use crate::country::netns;
use crate::country::timeline::now_ms;
use anyhow::{Context, Result, ensure};
use faultline_model::{Asn, CheckKind, Measurement};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// A check is given up by itself long before.
const PATIENCE: Duration = Duration::from_secs(120);
/// Parts have read their orders by then.
const ORDERS: Duration = Duration::from_millis(200);

/// How to run a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseOptions {
    /// The folder of `faultline-agent`.
    pub programs: PathBuf,
}

/// Where a measurement was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vantage {
    /// On the line of a provider's first agent.
    Subscriber(Asn),
    /// At a control, counted from 1.
    Control(usize),
}

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Where.
    pub at: Vantage,
    /// What the agent printed.
    pub measurement: Measurement,
}

/// Runs all checks of a case at once, in the country that was built for it.
///
/// # Errors
/// Says which check could not be run.
pub async fn visit_all(case: &Case, mut country: Country, options: &CaseOptions) -> Result<Vec<Seen>> {
    let agent = options.programs.join("faultline-agent");
    ensure!(agent.is_file(), "{} is missing; build it with cargo build", agent.display());
    for number in &case.broken_controls {
        let mut cut = netns::command(&netns::control(*number), Path::new("ip"));
        let status = cut.args(["link", "set", "eth0", "down"]).status().await.context("running ip")?;
        ensure!(status.success(), "the line of control {number} cannot be cut");
    }
    country.start_timeline(now_ms()).await?;
    sleep(ORDERS).await;
    let mut visits = JoinSet::new();
    for (at, check) in plan(case) {
        let command = command(case, &country, &agent, (&at, check));
        visits.spawn(async move { visit(at, command).await });
    }
    let mut seen = Vec::new();
    while let Some(ended) = visits.join_next().await {
        seen.push(ended.context("a visit was cut off")??);
    }
    country.check_parts()?;
    Ok(seen)
}

/// Lists who runs what: whoever is looked at, and every control the same; beside QUIC also `web`, which shows that the
/// site is up.
fn plan(case: &Case) -> Vec<(Vantage, CheckKind)> {
    let mut visits: Vec<(Vantage, CheckKind)> =
        case.expected.iter().map(|expected| (Vantage::Subscriber(expected.asn), expected.check)).collect();
    visits.dedup();
    let mut checks: BTreeSet<CheckKind> = case.expected.iter().map(|expected| expected.check).collect();
    checks.insert(CheckKind::Web);
    // No censor stands on a control's way, and its `web` says whether the site is up.
    checks.remove(&CheckKind::Path);
    for number in 1..=case.scenario.controls.len() {
        visits.extend(checks.iter().map(|check| (Vantage::Control(number), *check)));
    }
    visits
}

fn command(case: &Case, country: &Country, agent: &Path, (at, check): (&Vantage, CheckKind)) -> Command {
    let (mut command, roots) = match at {
        Vantage::Subscriber(asn) if case.trusts_local => {
            (country.as_subscriber(*asn, 1, agent), &country.local_roots)
        }
        Vantage::Subscriber(asn) => (country.as_subscriber(*asn, 1, agent), &country.roots),
        Vantage::Control(number) => (country.as_control(*number, agent), &country.roots),
    };
    command.args(["check", &case.url, "--check", check.as_str(), "--full", "--json"]);
    command.arg("--roots").arg(roots);
    if let Some(resolver) = country.scenario.list.resolvers.first() {
        command.arg("--resolver-udp").arg(resolver.udp.to_string());
        command.arg("--resolver-doh").arg(format!("{}@{}", resolver.doh_url, resolver.doh_address));
    }
    if let (CheckKind::Throughput, Some(reference)) = (check, &case.reference) {
        command.arg("--control").arg(reference);
    }
    command.env_remove("FAULTLINE_AGENT_HOME").stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn visit(at: Vantage, mut command: Command) -> Result<Seen> {
    let output = timeout(PATIENCE, command.output()).await;
    let output =
        output.with_context(|| format!("the check at {at:?} does not end"))?.context("starting the agent")?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the check at {at:?} failed: {}", message.trim());
    let measurement = serde_json::from_slice(&output.stdout).context("reading what the agent printed")?;
    Ok(Seen { at, measurement })
}
