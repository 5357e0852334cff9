//! Enrolment at the start of a run: everybody gets an invite and joins.
//!
//! All join at once, and a machine that is busy with it may let a connection time out, or answer `no route to
//! host`. So who did not get in is invited and tries again, in rounds with growing pauses. Every round brings new
//! invites, because one whose answer got lost is used up.

use super::Run;
use crate::country::programs::{self, ProgramError};
use crate::country::timeline::now_ms;
use anyhow::{Context, Result, anyhow, ensure};
use faultline_agent::policy::{Allowance, Budget, Ledger, Purse};
use faultline_model::{Asn, CheckKind, CountryCode, Depth, Timestamp};
use faultline_proto::agent::BudgetClass;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// No new round begins after that.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Routine checks for each confirmation that chance asks for.
const CHECKS_PER_CHANCE: u32 = 14;
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

    /// Leaves an agent what its own budget has left after so many hours of the list's routine work, begun with a full one,
    /// with one confirmation for every fourteen checks (method 5: chance failures cost 7 %).
    fn spend(&self, seat: &Seat) -> Result<()> {
        let scenario = &self.country.scenario;
        let agents =
            scenario.provider(&seat.asn.get().to_string()).map_or(1, |provider| provider.agents.len());
        let looks = u32::try_from(scenario.list.targets.len()).unwrap_or(u32::MAX).max(1);
        let every = scenario.list.cell_period * u32::try_from(agents).unwrap_or(1) / looks;
        let allowance = Allowance::of(BudgetClass::Standard, false);
        let end = Timestamp::from_unix_ms(now_ms());
        let mut at = end - Duration::from_secs(3600) * self.options.hours_spent;
        let mut budget = Budget::full(&allowance, at);
        let cost = CheckKind::Web.expected_bytes(Depth::Light);
        for number in 1_u32.. {
            at = at + every;
            if at >= end {
                break;
            }
            // What the budget does not give is not done.
            let _ = budget.take(&allowance, Purse::Routine, cost, at);
            if number % CHECKS_PER_CHANCE == 0 {
                let _ = budget.take(&allowance, Purse::Reserve, cost, at);
            }
        }
        let mut ledger = serde_json::to_value(Ledger::new(&allowance, end)).context("writing a ledger")?;
        ledger["budget"] = serde_json::to_value(budget).context("writing a budget")?;
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
