//! Enrolment at the start of a run: everybody gets an invite and joins.
//!
//! All join at once, and a machine that is busy with it may let a connection time out, or answer `no route to
//! host`. So who did not get in is invited and tries again, in rounds with growing pauses. Every round brings new
//! invites, because one whose answer got lost is used up.

use super::Run;
use crate::country::programs::{self, ProgramError};
use crate::country::timeline::now_ms;
use anyhow::{Context, Result, anyhow, ensure};
use faultline_agent::policy::{Allowance, Ledger};
use faultline_model::{Asn, CountryCode, Timestamp};
use faultline_proto::agent::BudgetClass;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// No new round begins after that.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Who takes part.
#[derive(Clone, Debug)]
struct Seat {
    /// The name of folder and log.
    name: String,
    country: CountryCode,
    asn: Asn,
    /// Its place among the provider's agents, or among the controls; from 1.
    number: usize,
    control: bool,
}

impl Run {
    /// Invites, joins and starts every agent and control.
    pub(super) async fn enrol(&mut self) -> Result<()> {
        let seats = self.seats();
        let begun = Instant::now();
        let (mut open, mut pause) = (seats.clone(), FIRST_PAUSE);
        loop {
            let (left, failure) = self.round(open).await;
            let Some(failure) = failure else { break };
            let is_retryable = failure.downcast_ref().is_none_or(ProgramError::is_retryable);
            if !is_retryable || begun.elapsed() + pause > PATIENCE {
                return Err(failure);
            }
            self.progress.say(&format!("{} have not joined yet and try again: {failure:#}", left.len()));
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            open = left;
        }
        for seat in seats.iter().filter(|seat| !seat.control) {
            self.opt_in(seat).await?;
        }
        for seat in seats.iter().filter(|seat| self.options.hours_spent > 0 && !seat.control) {
            self.spend(seat)?;
        }
        self.agents = seats.iter().map(|seat| self.agent(self.place(seat), &seat.name)).collect();
        for service in &mut self.agents {
            service.start(false).await?;
        }
        Ok(())
    }

    /// Lets a volunteer agree to the checks of the scenario's endpoints; the second of each provider agrees to nothing.
    async fn opt_in(&self, seat: &Seat) -> Result<()> {
        let checks = self.opt_ins();
        if checks.is_empty() || seat.number == 2 {
            return Ok(());
        }
        let mut command = self.place(seat);
        command.env_remove("FAULTLINE_AGENT_HOME").arg("--home").arg(self.home(&seat.name));
        command.args(["terms", "set", "allow_checks"]).args(checks.iter().map(|check| check.as_str()));
        command.arg("--understood");
        programs::finish("faultline-agent terms set", command).await?;
        Ok(())
    }

    /// Leaves an agent what it would have in the day's later hours, had it spent everything evenly and got nothing back.
    fn spend(&self, seat: &Seat) -> Result<()> {
        let ledger =
            Ledger::new(&Allowance::of(BudgetClass::Standard, false), Timestamp::from_unix_ms(now_ms()));
        let mut ledger = serde_json::to_value(ledger).context("writing an agent's ledger")?;
        let left = f64::from(24_u32.saturating_sub(self.options.hours_spent)) / 24.0;
        for (purse, left) in [("routine", 0.0), ("reserve", left)] {
            for unit in ["checks", "bytes"] {
                let full =
                    ledger["budget"][purse][unit].as_f64().context("an agent's ledger has no budget")?;
                ledger["budget"][purse][unit] = (full * left).into();
            }
        }
        let path = self.home(&seat.name).join("ledger.json");
        let mut file = std::fs::OpenOptions::new();
        let file = file.write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("writing {}", path.display()))?;
        serde_json::to_writer(file, &ledger).with_context(|| format!("writing {}", path.display()))
    }

    fn seats(&self) -> Vec<Seat> {
        let scenario = &self.country.scenario;
        let mut seats = Vec::new();
        for provider in &scenario.providers {
            for number in 1..=provider.agents.len() {
                let (name, country) = (programs::agent_name(provider.asn, number), scenario.country);
                seats.push(Seat { name, country, asn: provider.asn, number, control: false });
            }
        }
        for (control, number) in scenario.controls.iter().zip(1..) {
            let (name, country) = (format!("control-{number}"), control.country);
            seats.push(Seat { name, country, asn: control.asn, number, control: true });
        }
        seats
    }

    /// Lets everybody try once; returns who is left, and the last failure if there was one.
    async fn round(&self, open: Vec<Seat>) -> (Vec<Seat>, Option<anyhow::Error>) {
        let mut joins = JoinSet::new();
        let (mut left, mut failure) = (Vec::new(), None);
        for group in open.chunk_by(|a, b| (a.asn, a.control) == (b.asn, b.control)) {
            match self.invites(group).await {
                Ok(invites) => {
                    for (seat, invite) in group.iter().cloned().zip(invites) {
                        let command = self.join(&seat, &invite);
                        joins.spawn(async move {
                            (programs::finish("faultline-agent join", command).await, seat)
                        });
                    }
                }
                Err(error) => {
                    left.extend_from_slice(group);
                    failure = Some(error);
                }
            }
        }
        while let Some(joined) = joins.join_next().await {
            match joined {
                Ok((Ok(_), _)) => {}
                Ok((Err(error), seat)) => {
                    failure = Some(anyhow!(error).context(format!("{} cannot join", seat.name)));
                    left.push(seat);
                }
                Err(error) => failure = Some(anyhow!(error).context("joining an agent")),
            }
        }
        left.sort_by_key(|seat| (seat.control, seat.asn, seat.number));
        (left, failure)
    }

    /// Asks for as many invites as there are seats, all of one network and kind.
    async fn invites(&self, group: &[Seat]) -> Result<Vec<String>> {
        let [first, ..] = group else { return Ok(Vec::new()) };
        let (country, asn) = (first.country.to_string(), first.asn.get().to_string());
        let count = group.len().to_string();
        let mut arguments = vec!["invite", "--country", &country, "--asn", &asn, "--count", &count];
        if first.control {
            arguments.push("--control");
        }
        let text = self.operator(&arguments).await.context("inviting agents")?;
        let invites: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        ensure!(invites.len() == group.len(), "faultline invite printed {text:?}");
        Ok(invites)
    }

    /// Returns the agent's program at its place in the country.
    fn place(&self, seat: &Seat) -> Command {
        if seat.control {
            self.country.as_control(seat.number, &self.programs.agent)
        } else {
            self.country.as_subscriber(seat.asn, seat.number, &self.programs.agent)
        }
    }

    fn join(&self, seat: &Seat, invite: &str) -> Command {
        let mut command = self.place(seat);
        command.env_remove("FAULTLINE_AGENT_HOME").arg("--home").arg(self.home(&seat.name));
        command.args(["join", invite, "--accept-consent", "--budget", "standard"]);
        if seat.control {
            command.arg("--control");
        }
        command
    }
}
