//! What a volunteer's line may carry in a day. The numbers are the house's budget table, stated here once.

use crate::store::Budget;

/// A light check reads at most the head of a page; names and handshakes included it stays below this.
pub const BYTES_PER_LIGHT_CHECK: u64 = 10 * 1024;

/// Limits of one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayBudget {
    /// Checks a day, all included.
    pub checks: u64,
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

    /// Returns the checks a day that are kept back for confirmations.
    #[must_use]
    pub const fn reserve(self) -> u64 {
        self.checks - self.routine_checks()
    }
}

/// Returns the limits of a budget class.
#[must_use]
pub const fn day_budget(budget: Budget) -> DayBudget {
    match budget {
        Budget::Standard => {
            DayBudget { checks: 3000, confirmations_per_target: 2, confirmations_per_incident: 40 }
        }
        Budget::Small => {
            DayBudget { checks: 600, confirmations_per_target: 1, confirmations_per_incident: 10 }
        }
    }
}
