//! What a volunteer's line may carry in a day. The numbers are the house's budget table, stated here once.

use crate::store::Budget;
use faultline_analysis::detect::LIVE_BEAT;
use std::time::Duration;

/// Limits of one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayBudget {
    /// Checks a day, all included.
    pub checks: u64,
    /// Bytes a day, all included.
    pub bytes: u64,
    /// Time between two beats on the open stream, before jitter.
    pub beat: Duration,
    /// After this time without a sign of life an agent counts as silent although its stream is open.
    pub silent_after: Duration,
    /// Confirmations of one target in five minutes.
    pub confirmations_per_target: usize,
    /// Confirmations that one stretch of trouble (an hour) may ask of it.
    pub confirmations_per_incident: usize,
}

impl DayBudget {
    /// Returns the checks a day that a schedule may use: 30 % are kept back for confirmations.
    #[must_use]
    pub const fn routine_checks(self) -> u64 {
        self.checks * 7 / 10
    }

    /// Returns the bytes a day that a schedule may use.
    #[must_use]
    pub const fn routine_bytes(self) -> u64 {
        self.bytes * 7 / 10
    }

    /// Returns the checks a day that are kept back for confirmations.
    #[must_use]
    pub const fn reserve(self) -> u64 {
        self.checks - self.routine_checks()
    }
}

/// Returns the seconds between two beats where they differ from what is usual.
#[must_use]
pub fn beat_s(budget: Budget) -> Option<u32> {
    let beat = day_budget(budget).beat;
    (beat != LIVE_BEAT).then(|| u32::try_from(beat.as_secs()).unwrap_or(u32::MAX))
}

/// Returns the limits of a budget class.
#[must_use]
pub const fn day_budget(budget: Budget) -> DayBudget {
    match budget {
        Budget::Standard => DayBudget {
            checks: 3000,
            bytes: 50_000_000,
            beat: Duration::from_secs(15),
            silent_after: Duration::from_secs(45),
            confirmations_per_target: 2,
            confirmations_per_incident: 40,
        },
        Budget::Small => DayBudget {
            checks: 600,
            bytes: 10_000_000,
            beat: Duration::from_secs(60),
            silent_after: Duration::from_secs(180),
            confirmations_per_target: 1,
            confirmations_per_incident: 10,
        },
    }
}
