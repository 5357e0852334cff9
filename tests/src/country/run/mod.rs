//! Running Faultline in a country: programs up, timeline through, result out, programs down.

mod enrol;
mod power;
mod questions;
mod ways;

use crate::country::chaos::{self, ChaosReport, Kill, Victim};
use crate::country::endpoints::Ways;
use crate::country::inside::Country;
use crate::country::launch::{Report, RunOptions};
use crate::country::list;
use crate::country::pace::paces;
use crate::country::programs::{self, ProgramError, Programs, Service};
use crate::country::progress::Progress;
use crate::country::readers::{self, fetch};
use crate::country::scenario::Scenario;
use crate::country::score::{RunResult, Score, score};
use crate::country::timeline::now_ms;
use crate::country::truth::{Truth, truth};
use anyhow::{Context, Result, bail, ensure};
use faultline_model::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

const GRPC_PORT: u16 = 7443;
const HTTP: &str = "127.0.0.1:8080";
/// All agents are connected by then, or something is broken.
const CONNECT_PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(500);
/// The parts have their orders by the time that the timeline starts.
const LEAD_MS: i64 = 500;

/// Faultline's programs in a country.
pub struct Run {
    country: Country,
    options: RunOptions,
    programs: Programs,
    /// Folders, logs and the store.
    work: PathBuf,
    coordinator: Service,
    relay: Service,
    /// Agents by provider and number, then the controls.
    agents: Vec<Service>,
    /// Who is off because the scenario says so.
    off: BTreeSet<Victim>,
    progress: Progress,
    /// The far ends of circumvention checks.
    ways: Option<Ways>,
    incidents: Vec<Value>,
    kills: Vec<Kill>,
}

/// How a run came to its end.
pub enum Ended {
    /// The timeline went through; these are the reports.
    Through(Vec<Report>),
    /// Somebody stopped it before.
    Stopped,
}

impl Run {
    /// Prepares a run; nothing is started yet.
    ///
    /// # Errors
    /// Says which program or file is missing.
    pub fn new(country: Country, options: RunOptions) -> Result<Self> {
        let programs = Programs::find(&options.programs)?;
        let work = options.work.clone().unwrap_or_else(|| country.dir.join("work"));
        let logs = work.join("logs");
        for folder in [&logs, &work.join("agents")] {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let command = coordinator_command(&country, &options, &programs, &work)?;
        let coordinator = Service::new("coordinator", command, &logs);
        let listener = options.http.and_then(|_| readers_listener());
        let relay = Service::new("relay", relay_command(&country), &logs).with_input(listener);
        let progress = Progress::new(options.quiet);
        let (agents, incidents, kills, off) = (Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
        Ok(Self {
            country,
            options,
            programs,
            work,
            coordinator,
            relay,
            agents,
            off,
            progress,
            ways: None,
            incidents,
            kills,
        })
    }

    /// Says whether the run goes on serving after its end.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.options.keep && self.options.chaos == 0
    }

    /// Runs the whole scenario.
    ///
    /// # Errors
    /// Says what failed; programs and parts are ended by the caller's end.
    pub async fn go(&mut self, stop: &CancellationToken) -> Result<Ended> {
        let begun = Instant::now();
        let setup = async {
            self.start_coordinator().await?;
            self.enrol().await?;
            self.wait_for_agents().await
        };
        tokio::select! {
            result = setup => result?,
            () = stop.cancelled() => return Ok(Ended::Stopped),
        }
        let setup_s = begun.elapsed().as_secs_f64();
        let start_ms = now_ms() + LEAD_MS;
        self.country.start_timeline(start_ms).await?;
        self.note_events(start_ms).await?;
        self.progress.say(&format!("all agents are connected after {setup_s:.0} s; the timeline starts"));
        self.progress.start(&self.country.scenario, start_ms);
        tokio::select! {
            result = self.timeline(start_ms) => result?,
            () = stop.cancelled() => return Ok(Ended::Stopped),
        }
        self.result(start_ms, setup_s).await.map(Ended::Through)
    }

    async fn start_coordinator(&mut self) -> Result<()> {
        let agents: usize = self.country.scenario.providers.iter().map(|p| p.agents.len()).sum();
        self.progress.say(&format!(
            "{}: {} providers, {agents} agents, {} controls, {} s",
            self.country.scenario.name,
            self.country.scenario.providers.len(),
            self.country.scenario.controls.len(),
            self.country.scenario.length.as_secs(),
        ));
        self.coordinator.start(true).await?;
        self.relay.start(true).await?;
        if let Some(http) = self.options.http {
            self.progress.say(&format!("the live page is at http://{http}/"));
        }
        let credential = self.work.join("coordinator/operator.json");
        self.operator(&["init", "--from", &credential.to_string_lossy()]).await?;
        let list = self.work.join("list.toml");
        let mut text = list::for_run(&self.country.scenario).context("making the run's list")?;
        text.push_str(&self.start_ways().await?);
        std::fs::write(&list, text).with_context(|| format!("writing {}", list.display()))?;
        let list = list.to_string_lossy();
        let mut push = vec!["list", "push", &list, "--accept-over-budget"];
        if self.ways.is_some() {
            push.extend(["--allow-category", ways::CATEGORY]);
        }
        self.operator(&push).await?;
        Ok(())
    }

    /// Runs a command of the operator's, where the coordinator is.
    async fn operator(&self, arguments: &[&str]) -> Result<String, ProgramError> {
        let mut command = self.country.as_coordinator(&self.programs.cli);
        command.env_remove("FAULTLINE_CREDENTIAL").env_remove("FAULTLINE_API");
        command.arg("--home").arg(self.work.join("operator")).args(arguments);
        programs::finish(&format!("faultline {}", arguments.join(" ")), command).await
    }

    fn agent(&self, mut command: Command, name: &str) -> Service {
        command.env_remove("FAULTLINE_AGENT_HOME").arg("--home").arg(self.home(name));
        command.arg("run").arg("--roots").arg(&self.country.roots);
        if self.options.chaos > 0 {
            command.env("FAULTLINE_ACK_JOURNAL", self.journal(name));
        }
        Service::new(name, command, &self.work.join("logs"))
    }

    fn home(&self, name: &str) -> PathBuf {
        self.work.join("agents").join(name)
    }

    fn journal(&self, name: &str) -> PathBuf {
        self.work.join("logs").join(format!("{name}.acknowledged"))
    }

    async fn wait_for_agents(&mut self) -> Result<()> {
        let wanted = self.agents.len();
        self.progress.say(&format!("{wanted} agents and controls have joined; waiting for their streams"));
        let begun = Instant::now();
        loop {
            self.check().await?;
            let text = self.operator(&["agents", "--json"]).await?;
            let document: Value = serde_json::from_str(&text).context("reading faultline agents --json")?;
            let agents = readers::list(document, "agents");
            let connected = agents.iter().filter(|agent| agent["connected"] == true).count();
            if connected >= wanted {
                return Ok(());
            }
            if begun.elapsed() > CONNECT_PATIENCE {
                bail!("only {connected} of {wanted} agents are connected after {CONNECT_PATIENCE:?}");
            }
            sleep(POLL).await;
        }
    }

    /// Fails when a part of the country or a program has ended by itself.
    async fn check(&mut self) -> Result<()> {
        self.country.check_parts()?;
        for service in [&mut self.coordinator, &mut self.relay].into_iter().chain(&mut self.agents) {
            if let Some(message) = service.has_ended() {
                self.progress.warn(&message);
                bail!("{} does not run any more", service.name);
            }
        }
        Ok(())
    }

    async fn timeline(&mut self, start_ms: i64) -> Result<()> {
        let length = self.country.scenario.length;
        let seed = self.options.seed.unwrap_or(self.country.scenario.seed);
        let mut kills = chaos::plan(self.options.chaos, self.agents.len(), length, seed);
        kills.reverse();
        let mut tick = interval(POLL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let elapsed = Duration::from_millis(u64::try_from(now_ms() - start_ms).unwrap_or(0));
            self.progress.tick();
            self.poll().await;
            if elapsed >= length || self.is_all_said(start_ms) {
                return Ok(());
            }
            self.check().await?;
            self.follow_power(elapsed).await?;
            while kills.last().is_some_and(|kill| kill.at <= elapsed) {
                if let Some(kill) = kills.pop() {
                    self.kill(kill).await?;
                }
            }
        }
    }

    async fn poll(&mut self) {
        let path = format!("/api/v1/incidents?country={}", self.country.scenario.country);
        // While the coordinator starts again there is nothing to read; the next poll finds it.
        if let Ok(document) = fetch(&self.socket(), &path).await {
            self.incidents = readers::list(document, "incidents");
            self.progress.incidents(&self.incidents);
        }
    }

    /// Says whether the run may end early because everything true has been said in full.
    fn is_all_said(&self, start_ms: i64) -> bool {
        let scenario = &self.country.scenario;
        self.options.until_right && !scenario.rules.is_empty() && {
            let score = self.score(&truth(scenario, Timestamp::from_unix_ms(start_ms), 0));
            score.is_some_and(|score| score.rows.iter().all(|row| row.right_published_s.is_some()))
        }
    }

    fn score(&self, truth: &Truth) -> Option<Score> {
        let incidents = serde_json::from_value(Value::Array(self.incidents.clone())).ok()?;
        Some(score(&RunResult { truth: truth.clone(), incidents }))
    }

    fn socket(&self) -> PathBuf {
        self.country.dir.join("http.sock")
    }

    async fn kill(&mut self, kill: Kill) -> Result<()> {
        if self.off.contains(&kill.victim) {
            return Ok(());
        }
        let says_ready = kill.victim == Victim::Coordinator;
        let service = self.service(kill.victim);
        service.kill().await;
        service.start(says_ready).await?;
        let text = format!("kill -9 {}; it is started again", service.name);
        self.progress.event(&text);
        self.kills.push(kill);
        Ok(())
    }

    fn service(&mut self, victim: Victim) -> &mut Service {
        match victim {
            Victim::Coordinator => &mut self.coordinator,
            Victim::Agent(index) => &mut self.agents[index],
        }
    }

    async fn result(&mut self, start_ms: i64, setup_s: f64) -> Result<Vec<Report>> {
        let mut reports = Vec::new();
        if self.options.record_baseline {
            let text = self.operator(&["baseline"]).await?;
            reports
                .push(Report::Baseline(serde_json::from_str(&text).context("reading faultline baseline")?));
        }
        self.poll().await;
        let store = self.store();
        let start = Timestamp::from_unix_ms(start_ms);
        let truth = truth(&self.country.scenario, start, chaos::count(&store).unwrap_or(0));
        let first =
            self.incidents.iter().filter_map(|i| i["detected_at"].as_str()?.parse::<Timestamp>().ok()).min();
        let rhythm = (self.country.scenario.list.cell_period, self.country.scenario.providers.len());
        let paces = match self.score(&truth) {
            Some(score) => paces(&store, (&truth, &score), rhythm).unwrap_or_else(|error| {
                self.progress.warn(&format!("the pace is not told: {error}"));
                Vec::new()
            }),
            None => Vec::new(),
        };
        let mut result = json!({
            "scenario": self.country.scenario.name,
            "pace": paces,
            "truth": truth,
            "incidents": self.incidents,
            "timing": {
                "timeline_at": start,
                "setup_s": setup_s,
                "first_published_s": first.map(|first| first.seconds_after(start)),
            },
        });
        if let Some(ways) = self.read_ways().await? {
            result["circumvention"] = ways;
        }
        let diagnoses = self.read_diagnoses().await.unwrap_or_default();
        if !diagnoses.is_empty() {
            result["diagnoses"] = diagnoses.into();
        }
        if self.has_questions() {
            result["explanations"] = self.ask_questions().await?;
        }
        if self.options.chaos > 0 {
            result["chaos"] = serde_json::to_value(self.aftermath().await?)?;
        }
        reports.push(Report::Result(result));
        Ok(reports)
    }

    /// Stops everything and compares what was acknowledged with what is stored.
    async fn aftermath(&mut self) -> Result<ChaosReport> {
        self.stop().await;
        let journals: Vec<PathBuf> = self.agents.iter().map(|agent| self.journal(&agent.name)).collect();
        Ok(chaos::compare(&self.store(), &journals, self.kills.clone())?)
    }

    fn store(&self) -> PathBuf {
        self.work.join("coordinator/faultline.sqlite")
    }

    /// Goes on serving until somebody stops it.
    ///
    /// # Errors
    /// Fails when a part or a program ends by itself.
    pub async fn keep(&mut self, stop: &CancellationToken) -> Result<()> {
        let http = self.options.http.map(|http| format!(" http://{http}/")).unwrap_or_default();
        self.progress.say(&format!("the timeline is over; serving{http} until Ctrl-C"));
        while !stop.is_cancelled() {
            self.check().await?;
            self.poll().await;
            tokio::select! {
                () = sleep(POLL) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Stops all programs in order: the agents hand over what they have, then the coordinator goes.
    pub async fn stop(&mut self) {
        let mut stops = JoinSet::new();
        for mut agent in self.agents.drain(..).collect::<Vec<_>>() {
            stops.spawn(async move {
                agent.stop().await;
                agent
            });
        }
        self.agents = stops.join_all().await;
        self.coordinator.stop().await;
        self.relay.kill().await;
    }
}

fn coordinator_command(
    country: &Country,
    options: &RunOptions,
    programs: &Programs,
    work: &Path,
) -> Result<Command> {
    let Scenario { baseline, coordinator, coordinator_host, .. } = &country.scenario;
    let (profile, networks) = programs::write_knowledge(&country.scenario, work)?;
    let mut command = country.as_coordinator(&programs.coordinator);
    command.arg("serve").arg("--data").arg(work.join("coordinator"));
    let any = if country.scenario.six { "[::]" } else { "0.0.0.0" };
    command.args(["--listen", &format!("{any}:{GRPC_PORT}"), "--http", HTTP]);
    let host = coordinator_host.clone().unwrap_or_else(|| coordinator.to_string());
    command.arg("--advertise").arg(format!("{host}:{GRPC_PORT}"));
    command.arg("--profile").arg(profile).arg("--networks").arg(networks);
    if let Some(baseline) =
        baseline.as_ref().filter(|_| !options.record_baseline && !options.without_baseline)
    {
        ensure!(
            baseline.exists(),
            "the baseline {} is missing; record one with country run FILE --record-baseline {0}, \
             or run --without-baseline",
            baseline.display()
        );
        command.arg("--baseline").arg(baseline);
    }
    Ok(command)
}

fn relay_command(country: &Country) -> Command {
    let mut command = country.as_coordinator(country.program());
    command.arg("relay").arg(country.dir.join("http.sock")).arg(HTTP);
    command
}

/// Returns the readers' listener that was handed down as standard output.
fn readers_listener() -> Option<OwnedFd> {
    std::io::stdout().as_fd().try_clone_to_owned().ok()
}
