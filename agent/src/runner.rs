//! Runs what is due: routine work by the timetable, and confirmations beside it, each in its own lane, so that a
//! confirmation never waits for routine work.

use crate::agent::Agent;
use crate::checks::{Check, Checks, Job, NotRun, Outcome};
use crate::policy::{Grant, Refusal};
use crate::schedule::{Entry, Timetable};
use faultline_model::{CheckKind, Depth, Measurement, MeasurementId, Target, Task, TaskToken, Why};
use faultline_proto::convert::measurement_to_wire;
use faultline_runtime::{now, random_bytes};
use futures_util::FutureExt;
use prost::Message;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Checks of one lane at a time.
const LANE: usize = 8;
/// Confirmations that wait for their lane; more are refused.
const MAX_WAITING: usize = 64;
/// How often the markers of `pause` and `leave` are looked for.
const TICK: Duration = Duration::from_millis(500);
/// Wall clock and monotonic clock may differ by this much over a check.
const MAX_CLOCK_JUMP_MS: u128 = 30_000;

/// What the runner is told.
#[derive(Clone, Debug)]
pub enum Order {
    /// The schedule, already cut to what is allowed; replaces the one before.
    Schedule(Vec<Entry>),
    /// An urgent one-off task.
    Confirm {
        /// The task.
        task: Task,
        /// When it lapses.
        until: Instant,
    },
}

/// Runs checks until it is told to stop. Checks under way are dropped then; what is measured is in the spool.
///
/// # Errors
/// Never; the signature is that of every service.
pub async fn run(
    agent: Arc<Agent>,
    checks: Checks,
    mut orders: mpsc::Receiver<Order>,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut runner = Runner::new(agent, checks);
    loop {
        runner.look_for_pause();
        runner.start_confirmations();
        runner.start_due();
        let pause = runner.pause_until_next();
        tokio::select! {
            () = stop.cancelled() => break,
            order = orders.recv() => match order {
                Some(order) => runner.take(order),
                None => break,
            },
            Some(_) = runner.routine.join_next() => {}
            Some(_) = runner.confirmations.join_next() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    runner.routine.shutdown().await;
    runner.confirmations.shutdown().await;
    Ok(())
}

struct Runner {
    agent: Arc<Agent>,
    checks: Checks,
    timetable: Timetable,
    waiting: VecDeque<(Task, Instant)>,
    routine: JoinSet<()>,
    confirmations: JoinSet<()>,
}

impl Runner {
    fn new(agent: Arc<Agent>, checks: Checks) -> Self {
        Self {
            agent,
            checks,
            timetable: Timetable::default(),
            waiting: VecDeque::new(),
            routine: JoinSet::new(),
            confirmations: JoinSet::new(),
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Schedule(entries) => {
                self.timetable = Timetable::new(entries, &self.agent.policy(), now());
                tracing::info!(entries = self.timetable.len(), "follows a new schedule");
            }
            Order::Confirm { task, until } if self.waiting.len() < MAX_WAITING => {
                self.waiting.push_back((task, until));
            }
            Order::Confirm { .. } => self.agent.status.refused(Refusal::Busy),
        }
    }

    fn look_for_pause(&self) {
        let is_paused = self.agent.home.is_paused();
        if self.agent.status.paused(is_paused) {
            tracing::info!(is_paused, "the volunteer pauses or resumes measuring");
        }
    }

    fn pause_until_next(&self) -> Duration {
        let next = self.timetable.next_due().filter(|_| self.routine.len() < LANE);
        next.map_or(TICK, |due| due.since(now()).clamp(Duration::from_millis(5), TICK))
    }

    fn start_confirmations(&mut self) {
        while self.confirmations.len() < LANE {
            let Some((task, until)) = self.waiting.pop_front() else { return };
            if self.agent.status.is_paused() {
                self.agent.status.refused(Refusal::Paused);
                continue;
            }
            if Instant::now() > until {
                self.agent.status.refused(Refusal::TooLate);
                continue;
            }
            let admitted = self.agent.policy().admit_confirmation(&task, now());
            match (admitted, self.checks.get(&task.check)) {
                (Ok(grant), Some(check)) => {
                    let Task { check: kind, target, depth, token } = task;
                    let token = Some(token);
                    let order = Assignment { kind, target, depth, token, grant };
                    let work = work(Arc::clone(&self.agent), Arc::clone(check), order);
                    self.confirmations.spawn(work);
                }
                (Ok(_), None) => self.agent.status.refused(Refusal::UnknownCheck),
                (Err(refusal), _) => self.refuse(refusal),
            }
        }
    }

    fn start_due(&mut self) {
        if self.agent.status.is_paused() {
            return;
        }
        while self.routine.len() < LANE {
            let moment = now();
            let Some(entry) = self.timetable.pop_due(moment) else { return };
            let Entry { check: kind, target, depth, .. } = entry.clone();
            let admitted = self.agent.policy().admit_routine(kind, &target, depth, moment);
            match (admitted, self.checks.get(&kind)) {
                (Ok(grant), Some(check)) => {
                    let order = Assignment { kind, target, depth, token: None, grant };
                    self.routine.spawn(work(Arc::clone(&self.agent), Arc::clone(check), order));
                }
                (Ok(_), None) => self.agent.status.refused(Refusal::UnknownCheck),
                (Err(Refusal::TooSoon), _) => self.put_off(&entry),
                (Err(refusal), _) => self.refuse(refusal),
            }
        }
    }

    /// Jitter moved an occurrence too close to the one before: it waits for the least interval.
    fn put_off(&mut self, entry: &Entry) {
        let policy = self.agent.policy();
        if let Some(last) = policy.last_run(entry.check, &entry.target) {
            self.timetable.postpone(entry, last + policy.least_interval(entry.check));
        }
    }

    fn refuse(&self, refusal: Refusal) {
        tracing::debug!(reason = refusal.reason(), "refused a task");
        self.agent.status.refused(refusal);
    }
}

/// One permitted run.
struct Assignment {
    kind: CheckKind,
    target: Target,
    depth: Depth,
    token: Option<TaskToken>,
    grant: Grant,
}

/// Runs one check and spools what it saw at once.
async fn work(agent: Arc<Agent>, check: Arc<dyn Check>, order: Assignment) {
    agent.save_ledger().await;
    let Assignment { kind, target, depth, token, grant } = order;
    let why = if token.is_some() { Why::Confirmation } else { Why::Routine };
    let (started_at, clock) = (now(), Instant::now());
    let (resolver, control) = (grant.resolver.clone(), grant.control.clone());
    let job = Job { target: target.clone(), depth, resolver, control };
    let ended = AssertUnwindSafe(check.run(job)).catch_unwind().await.unwrap_or(Err(NotRun::Panicked));
    let duration = clock.elapsed();
    let ended = ended.and_then(|outcome| believe_clock(started_at.unix_ms(), duration, outcome));
    match ended {
        Ok(Outcome { observations, bytes }) => {
            let measurement = Measurement {
                id: MeasurementId::from_bytes(random_bytes()),
                check: kind,
                target,
                depth,
                why,
                token,
                list_version: grant.list_version,
                started_at,
                duration,
                parent: None,
                observations,
            };
            let message = measurement_to_wire(&measurement);
            // Its own bytes, and those of the request and the receipt around it.
            let upload = message.encoded_len() as u64 + 300;
            agent.policy().settle(&grant, bytes + upload);
            agent.spool.append(message).await;
            agent.status.measured(why);
        }
        Err(not_run) => {
            tracing::warn!(reason = not_run.reason(), "a check gave no measurement");
            agent.status.not_run(not_run.reason());
        }
    }
}

/// Discards what was measured while the clock was set or the machine slept.
fn believe_clock(started_ms: i64, duration: Duration, outcome: Outcome) -> Result<Outcome, NotRun> {
    let wall_ms = i128::from(now().unix_ms() - started_ms);
    let monotonic_ms = i128::try_from(duration.as_millis()).unwrap_or(i128::MAX);
    if wall_ms.abs_diff(monotonic_ms) > MAX_CLOCK_JUMP_MS { Err(NotRun::ClockJumped) } else { Ok(outcome) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_over_which_the_clock_jumped_is_discarded() {
        let outcome = || Outcome { observations: vec![], bytes: 0 };
        let second = Duration::from_secs(1);
        let before = |ms: i64| now().unix_ms() - ms;
        assert!(believe_clock(before(1000), second, outcome()).is_ok());
        assert!(believe_clock(before(29_000), second, outcome()).is_ok());
        assert_eq!(believe_clock(before(40_000), second, outcome()), Err(NotRun::ClockJumped), "slept");
        assert_eq!(believe_clock(before(-40_000), second, outcome()), Err(NotRun::ClockJumped), "set back");
    }
}
