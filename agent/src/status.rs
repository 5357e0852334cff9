//! What the running agent says about itself, in numbers: never a target, never an address.

use crate::policy::Refusal;
use crate::spool::SpoolState;
use faultline_model::{RiskTier, Timestamp, Why};
use faultline_runtime::now;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What happened since the agent was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Routine measurements.
    pub routine: u64,
    /// Confirmations.
    pub confirmations: u64,
    /// Checks that were begun and gave no measurement, by reason.
    pub not_run: BTreeMap<String, u64>,
    /// Measurements that the coordinator has acknowledged.
    pub uploaded: u64,
    /// Measurements that the coordinator has refused.
    pub refused_by_coordinator: u64,
    /// What was asked of the agent and not done, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// How the connection to the coordinator stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The stream is open.
    pub is_open: bool,
    /// Since when it is open, or shut.
    pub since: Option<Timestamp>,
    /// Why it is shut.
    pub error: Option<String>,
}

/// What the agent holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The version of the signed list, 0 for none.
    pub list_version: u64,
    /// When it lapses.
    pub list_expires_at: Option<Timestamp>,
    /// The generation of the schedule.
    pub generation: u64,
    /// Entries of the schedule that are allowed.
    pub entries: usize,
}

/// How much of the volunteer's terms is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BudgetReport {
    /// Checks a day.
    pub checks_per_day: u32,
    /// Bytes a day.
    pub bytes_per_day: u64,
    /// Share of the routine burst that is left, 0 to 1.
    pub routine_left: f64,
    /// Share of what is kept back for confirmations that is left, 0 to 1.
    pub confirmations_left: f64,
}

/// The terms, as `status` shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermsReport {
    /// The country's risk as the operators signed it; absent where nobody said, which counts as high.
    pub risk: Option<RiskTier>,
    /// Nothing is measured for now, and why.
    pub is_still: Option<String>,
    /// The terms on disk cannot be read; those before them are in force.
    pub error: Option<String>,
}

/// The spool, as `status` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolReport {
    /// Measurements that wait.
    pub waiting: usize,
    /// Bytes on disk.
    pub bytes: u64,
    /// Measurements that were dropped because they were too many or too old.
    pub dropped: u64,
    /// Damaged files that were cut to their last good record.
    pub damaged: u64,
    /// Measurements wait in memory because the disk refuses them.
    pub is_disk_failing: bool,
}

impl From<SpoolState> for SpoolReport {
    fn from(state: SpoolState) -> Self {
        let SpoolState { waiting, bytes, losses, is_disk_failing } = state;
        Self { waiting, bytes, dropped: losses.dropped, damaged: losses.damaged, is_disk_failing }
    }
}

/// Everything that `status` shows, as it stands in `status.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The running process.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// When it was started.
    pub started_at: Timestamp,
    /// When this report was written.
    pub written_at: Timestamp,
    /// The volunteer has paused measuring.
    pub is_paused: bool,
    /// The connection to the coordinator.
    pub connection: Connection,
    /// List and schedule.
    pub held: Held,
    /// What happened since the start.
    pub since_start: Counts,
    /// What waits.
    pub spool: SpoolReport,
    /// What is left.
    pub budget: BudgetReport,
    /// What the volunteer agreed to.
    #[serde(default)]
    pub terms: TermsReport,
}

/// Counters that the agent's services share.
#[derive(Debug)]
pub struct Status {
    started_at: Timestamp,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: Counts,
    connection: Connection,
    held: Held,
    is_paused: bool,
    terms_error: Option<String>,
}

impl Default for Status {
    fn default() -> Self {
        Self { started_at: now(), inner: Mutex::default() }
    }
}

impl Status {
    /// Counts a measurement.
    pub fn measured(&self, why: Why) {
        let mut inner = self.inner();
        match why {
            Why::Routine => inner.counts.routine += 1,
            Why::Confirmation => inner.counts.confirmations += 1,
        }
    }

    /// Counts something that was asked and not done.
    pub fn refused(&self, refusal: Refusal) {
        self.refused_for(refusal.reason());
    }

    /// Counts something that was asked and not done, by a reason's code.
    pub fn refused_for(&self, reason: &str) {
        *self.inner().counts.refused.entry(reason.to_owned()).or_default() += 1;
    }

    /// Counts a check that gave no measurement.
    pub fn not_run(&self, reason: &str) {
        *self.inner().counts.not_run.entry(reason.to_owned()).or_default() += 1;
    }

    /// Counts acknowledged measurements.
    pub fn uploaded(&self, stored: u64, refused: u64) {
        let mut inner = self.inner();
        inner.counts.uploaded += stored;
        inner.counts.refused_by_coordinator += refused;
    }

    /// Notes that the stream opened or shut. Returns whether that is news.
    pub fn connection(&self, is_open: bool, error: Option<String>) -> bool {
        let mut inner = self.inner();
        let is_news = inner.connection.is_open != is_open || inner.connection.since.is_none();
        if is_news {
            inner.connection.since = Some(now());
        }
        inner.connection.is_open = is_open;
        inner.connection.error = error;
        is_news
    }

    /// Notes what the agent holds.
    pub fn held(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.inner().held);
    }

    /// Notes whether the volunteer has paused measuring. Returns whether that is news.
    pub fn paused(&self, is_paused: bool) -> bool {
        std::mem::replace(&mut self.inner().is_paused, is_paused) != is_paused
    }

    /// Says whether the volunteer has paused measuring.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.inner().is_paused
    }

    /// Notes whether the terms on disk can be read. Returns whether that is news.
    pub fn terms_error(&self, error: Option<String>) -> bool {
        let mut inner = self.inner();
        let is_news = inner.terms_error != error;
        inner.terms_error = error;
        is_news
    }

    /// Returns the generation of the schedule that is held.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.inner().held.generation
    }

    /// Puts a report together.
    #[must_use]
    pub fn report(&self, spool: SpoolState, budget: BudgetReport, terms: TermsReport) -> Report {
        let inner = self.inner();
        Report {
            pid: std::process::id(),
            version: crate::VERSION.to_owned(),
            started_at: self.started_at,
            written_at: now(),
            is_paused: inner.is_paused,
            connection: inner.connection.clone(),
            held: inner.held.clone(),
            since_start: inner.counts.clone(),
            spool: spool.into(),
            budget,
            terms: TermsReport { error: inner.terms_error.clone(), ..terms },
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
