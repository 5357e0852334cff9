//! Runs what is due: routine work by the timetable, and confirmations beside it, each in its own lane, so that a
//! confirmation never waits for routine work.

mod lanes;
mod selfcheck;

pub use lanes::{MOST_AT_ONCE, raise_file_limit};

use crate::agent::Agent;
use crate::checks::{Check, Checks, Job, NotRun, Outcome};
use crate::line::Place;
use crate::policy::{Grant, Refusal};
use crate::recent::{self, RecentMeasurement};
use crate::schedule::{Entry, Timetable};
use crate::state::BudgetChoice;
use faultline_model::{
    CheckKind, Depth, Measurement, MeasurementId, Target, Task, TaskToken, Timestamp, Why,
};
use faultline_proto::convert::measurement_to_wire;
use faultline_runtime::{now, random_bytes};
use futures_util::FutureExt;
use lanes::Lanes;
use prost::Message;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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
        runner.look_at_line();
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
    lanes: Lanes,
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
            lanes: Lanes::of_this_process(),
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

    /// Notes where traffic leaves, and looks at the line itself from time to time.
    fn look_at_line(&mut self) {
        if let Some(line) = self.agent.line.read() {
            self.agent.policy().set_line(line.is_metered(), line.is_vpn());
        }
        let interval = match self.agent.budget() {
            BudgetChoice::Standard => CheckKind::Selfcheck.least_interval(),
            BudgetChoice::Small => CheckKind::Selfcheck.least_interval() * 6,
        };
        let Ok(last) = self.agent.line.last.try_lock() else { return };
        let is_due = last.as_ref().is_none_or(|looked| looked.is_older_than(interval));
        drop(last);
        let Some(selfcheck) = self.checks.get(&CheckKind::Selfcheck).filter(|_| is_due) else { return };
        if self.timetable.is_empty()
            || self.agent.status.is_paused()
            || self.routine.len() >= self.lanes.routine
        {
            return;
        }
        let (agent, selfcheck) = (Arc::clone(&self.agent), Arc::clone(selfcheck));
        self.routine.spawn(async move {
            let _ = selfcheck::is_portal(&agent, &selfcheck, false).await;
        });
    }

    fn pause_until_next(&self) -> Duration {
        let next = self.timetable.next_due().filter(|_| self.routine.len() < self.lanes.routine);
        next.map_or(TICK, |due| due.since(now()).clamp(Duration::from_millis(5), TICK))
    }

    fn start_confirmations(&mut self) {
        while self.confirmations.len() < self.lanes.confirmations {
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
                    let order = Assignment { kind, target, depth, token, grant, selfcheck: self.selfcheck() };
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
        while self.routine.len() < self.lanes.routine {
            let moment = now();
            let Some(entry) = self.timetable.pop_due(moment) else { return };
            let Entry { check: kind, target, depth, .. } = entry.clone();
            let admitted = self.agent.policy().admit_routine(kind, &target, depth, moment);
            match (admitted, self.checks.get(&kind)) {
                (Ok(grant), Some(check)) => {
                    let order =
                        Assignment { kind, target, depth, token: None, grant, selfcheck: self.selfcheck() };
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

    fn selfcheck(&self) -> Option<Arc<dyn Check>> {
        self.checks.get(&CheckKind::Selfcheck).cloned()
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
    /// What tells a portal from a block.
    selfcheck: Option<Arc<dyn Check>>,
}

/// Runs one check and spools what it saw at once.
async fn work(agent: Arc<Agent>, check: Arc<dyn Check>, order: Assignment) {
    agent.save_ledger().await;
    let Assignment { kind, target, depth, token, grant, selfcheck } = order;
    let parent = if kind == CheckKind::Diagnose { agent.latest.of(&target) } else { None };
    if kind == CheckKind::Diagnose && parent.is_none() {
        agent.status.not_run(NotRun::NothingToDiagnose.reason());
        return;
    }
    let why = if token.is_some() { Why::Confirmation } else { Why::Routine };
    let (started_at, clock, place) = (now(), Instant::now(), agent.line.place());
    let (resolver, control) = (grant.resolver.clone(), grant.control.clone());
    let diagnosis = grant.diagnosis.clone();
    let job = Job { target: target.clone(), depth, resolver, control, diagnosis };
    let ended = AssertUnwindSafe(check.run(job)).catch_unwind().await.unwrap_or(Err(NotRun::Panicked));
    let duration = clock.elapsed();
    let ended = ended.and_then(|outcome| believe_clock(started_at.unix_ms(), duration, outcome));
    let mut ended = ended.and_then(|outcome| believe_line(&agent, &place, outcome));
    if let (Ok(outcome), Some(selfcheck)) = (&ended, &selfcheck)
        && selfcheck::is_behind_portal(&agent, selfcheck, outcome).await
    {
        ended = Err(NotRun::Portal);
    }
    match ended {
        Ok(mut outcome) => {
            // Who reads the measurement knows nothing else of the line that it was taken on.
            outcome.observations.extend(agent.line.filtered().await.map(selfcheck::as_step));
            let run = Run { kind, target, depth, why, token, parent, started_at, duration };
            if let Some(kept) = keep(&agent, &grant, run, outcome).await {
                if kind == CheckKind::Web {
                    agent.latest.note(&kept);
                }
                agent.status.measured(why);
            }
        }
        Err(not_run) => {
            tracing::warn!(reason = not_run.reason(), "a check gave no measurement");
            agent.status.not_run(not_run.reason());
        }
    }
}

/// What was run, and when.
struct Run {
    kind: CheckKind,
    target: Target,
    depth: Depth,
    why: Why,
    token: Option<TaskToken>,
    parent: Option<MeasurementId>,
    started_at: Timestamp,
    duration: Duration,
}

/// Scrubs what was seen, settles its cost and spools it; returns it if it was kept.
async fn keep(agent: &Arc<Agent>, grant: &Grant, run: Run, outcome: Outcome) -> Option<Measurement> {
    let Outcome { observations, bytes } = outcome;
    let measurement = Measurement {
        id: MeasurementId::from_bytes(random_bytes()),
        check: run.kind,
        target: run.target,
        depth: run.depth,
        why: run.why,
        token: run.token,
        list_version: grant.list_version,
        started_at: run.started_at,
        duration: run.duration,
        parent: run.parent,
        observations,
    };
    let Some(measurement) = agent.own.scrubber().scrub(measurement) else {
        tracing::warn!("a measurement could not be scrubbed and is not kept");
        agent.status.not_run("not_scrubbed");
        return None;
    };
    let message = measurement_to_wire(&measurement);
    // Its own bytes, and those of the request and the receipt around it.
    let upload = message.encoded_len() as u64 + 300;
    agent.policy().settle(grant, bytes + upload);
    agent.spool.append(message).await;
    tell(agent, &measurement).await;
    Some(measurement)
}

/// Shows the volunteer what was measured; on disk only if the volunteer wants that.
async fn tell(agent: &Arc<Agent>, measurement: &Measurement) {
    let line = RecentMeasurement::from(measurement);
    agent.recent.note(line.clone());
    if agent.policy().terms().log {
        let agent = Arc::clone(agent);
        // A log that cannot be written is missed by its reader and by nobody else.
        let _ = tokio::task::spawn_blocking(move || recent::log(&agent.home, &line)).await;
    }
}

/// Discards what was measured while the machine was carried to another network.
fn believe_line(agent: &Agent, before: &Place, outcome: Outcome) -> Result<Outcome, NotRun> {
    if agent.line.place().has_moved_from(before) { Err(NotRun::LineChanged) } else { Ok(outcome) }
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
