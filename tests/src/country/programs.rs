//! Faultline's own programs as processes of the country: started, spoken to, killed and stopped.

use super::addresses::both;
use super::scenario::{Network, Scenario};
use faultline_model::{Asn, CountryProfile, Gateway, Operator};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A coordinator that is not ready by then is broken.
const READY_PATIENCE: Duration = Duration::from_secs(30);
/// One command of an operator or a volunteer.
const COMMAND_PATIENCE: Duration = Duration::from_secs(60);
/// The programs promise to stop within five seconds.
const STOP_PATIENCE: Duration = Duration::from_secs(6);

/// Why a program does not do its part.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not there.
    #[error("{} is missing; build it with cargo build, or name its folder with --programs", .0.display())]
    Missing(PathBuf),
    /// It cannot be started.
    #[error("starting {0}")]
    Start(String, #[source] std::io::Error),
    /// It failed.
    #[error("{name} failed ({status}): {message}")]
    Failed {
        /// What was tried.
        name: String,
        /// How it ended.
        status: String,
        /// What it said.
        message: String,
    },
    /// It did not come to an end, or to its ready line.
    #[error("{0} takes longer than {1:?}; its log is {log}", log = .2.display())]
    Late(String, Duration, PathBuf),
    /// A file for it cannot be written.
    #[error("writing {}", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
}

impl ProgramError {
    /// Says whether the same may succeed when it is tried again: it ran, but the network or the machine let it down.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Late(..))
    }
}

/// Where the three programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `faultline-coordinator`.
    pub coordinator: PathBuf,
    /// `faultline`.
    pub cli: PathBuf,
    /// `faultline-agent`.
    pub agent: PathBuf,
}

impl Programs {
    /// Finds the programs in a folder.
    ///
    /// # Errors
    /// Names the first that is missing.
    pub fn find(folder: &Path) -> Result<Self, ProgramError> {
        let find = |name: &str| {
            let path = folder.join(name);
            if path.is_file() { Ok(path) } else { Err(ProgramError::Missing(path)) }
        };
        Ok(Self {
            coordinator: find("faultline-coordinator")?,
            cli: find("faultline")?,
            agent: find("faultline-agent")?,
        })
    }
}

/// A program that runs until it is stopped, and can be started again.
pub struct Service {
    /// Its name, for messages and its log.
    pub name: String,
    log: PathBuf,
    command: Command,
    input: Option<OwnedFd>,
    child: Option<Child>,
}

impl Service {
    /// Prepares a program; its messages go to a file in `logs`.
    #[must_use]
    pub fn new(name: &str, command: Command, logs: &Path) -> Self {
        Self {
            name: name.to_owned(),
            log: logs.join(format!("{name}.log")),
            command,
            input: None,
            child: None,
        }
    }

    /// Gives the program an open file or socket as its standard input.
    #[must_use]
    pub fn with_input(mut self, input: Option<OwnedFd>) -> Self {
        self.input = input;
        self
    }

    /// Starts it, and waits for its ready line when it writes one.
    ///
    /// # Errors
    /// Says why it does not run.
    pub async fn start(&mut self, says_ready: bool) -> Result<(), ProgramError> {
        let start = |source| ProgramError::Start(self.name.clone(), source);
        let log = File::options().create(true).append(true).open(&self.log).map_err(start)?;
        let input = self.input.as_ref().map(OwnedFd::try_clone).transpose().map_err(start)?;
        self.command.stdin(input.map_or_else(Stdio::null, Stdio::from)).stderr(log).kill_on_drop(true);
        self.command.stdout(if says_ready { Stdio::piped() } else { Stdio::null() });
        let mut child = self.command.spawn().map_err(start)?;
        if let Some(out) = child.stdout.take() {
            let mut lines = BufReader::new(out).lines();
            let line = timeout(READY_PATIENCE, lines.next_line()).await;
            let late = || ProgramError::Late(self.name.clone(), READY_PATIENCE, self.log.clone());
            if line.map_err(|_| late())?.map_err(start)?.is_none() {
                let status = child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string());
                return Err(ProgramError::Failed {
                    name: self.name.clone(),
                    status,
                    message: self.last_words(),
                });
            }
        }
        self.child = Some(child);
        Ok(())
    }

    /// Returns how the program ended, when it did so by itself.
    pub fn has_ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(format!("{} has ended by itself ({status}): {}", self.name, self.last_words()))
    }

    /// Kills it as a power cut would.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A program that has just ended is as dead as it shall be.
            let _ = child.kill().await;
        }
    }

    /// Asks it to stop, and kills it when it does not.
    pub async fn stop(&mut self) {
        let Some(child) = self.child.as_mut() else { return };
        if let Some(id) = child.id() {
            let _ = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id.to_string()]).status().await;
        }
        if timeout(STOP_PATIENCE, child.wait()).await.is_err() {
            self.kill().await;
        }
        self.child = None;
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// Says what it said when it failed.
pub async fn finish(name: &str, mut command: Command) -> Result<String, ProgramError> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let late = |_| ProgramError::Late(name.to_owned(), COMMAND_PATIENCE, PathBuf::from("not kept"));
    let output = timeout(COMMAND_PATIENCE, command.output()).await.map_err(late)?;
    let Output { status, stdout, stderr } = output.map_err(|e| ProgramError::Start(name.to_owned(), e))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&stderr).trim().to_owned();
    Err(ProgramError::Failed { name: name.to_owned(), status: status.to_string(), message })
}

/// Writes what a coordinator knows beforehand: the country's profile, and which network an address belongs to.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write_knowledge(scenario: &Scenario, folder: &Path) -> Result<(PathBuf, PathBuf), ProgramError> {
    let (profile, networks) = (folder.join("profile.toml"), folder.join("networks.csv"));
    let text = toml::to_string(&country_profile(scenario));
    let text = text.map_err(|e| ProgramError::Write(profile.clone(), std::io::Error::other(e)))?;
    std::fs::write(&profile, text).map_err(|e| ProgramError::Write(profile.clone(), e))?;
    let mut csv = String::from("start,end,asn,name\n");
    for Network { prefix, asn, name } in scenario.networks() {
        let name = name.replace('"', "\"\"");
        let (first, last) = (both(prefix.at(0), scenario.six), both(prefix.last(), scenario.six));
        for (first, last) in first.into_iter().zip(last) {
            csv.push_str(&format!("{first},{last},{},\"{name}\"\n", asn.get()));
        }
    }
    std::fs::write(&networks, csv).map_err(|e| ProgramError::Write(networks.clone(), e))?;
    Ok((profile, networks))
}

fn country_profile(scenario: &Scenario) -> CountryProfile {
    let operators = scenario.providers.iter().map(|p| Operator {
        name: p.name.clone(),
        asns: vec![p.asn],
        access: p.access,
        user_share: p.user_share,
        upstreams: p.upstreams.clone(),
    });
    CountryProfile {
        name: scenario.country_name.clone(),
        utc_offset_min: scenario.utc_offset_min,
        time_zone: scenario.time_zone.clone(),
        operators: operators.collect(),
        gateways: scenario.gateways.iter().map(|g| Gateway { asn: g.asn, name: g.name.clone() }).collect(),
        ..CountryProfile::unknown(scenario.country)
    }
}

/// Names an agent's folder and log.
#[must_use]
pub fn agent_name(asn: Asn, number: usize) -> String {
    format!("agent-{}-{number}", asn.get())
}
