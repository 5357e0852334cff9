//! How much a volunteer's line may be used: token buckets over a day, part of them kept back for confirmations.

use faultline_model::Timestamp;
use faultline_proto::agent::BudgetClass;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// Of a day's budget, kept back for confirmations.
const RESERVE: f64 = 0.3;
/// Routine work may run ahead by so many hours' worth, so that a start or an hour offline costs no cadence.
const ROUTINE_BURST_HOURS: f64 = 1.0;

/// What a line may be used for in a day, by budget class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Allowance {
    /// Checks a day, confirmations included.
    pub checks_per_day: u32,
    /// Bytes a day, all included.
    pub bytes_per_day: u64,
    /// Confirmations of one target in five minutes; the list may allow fewer.
    pub confirmations_per_target: u32,
    /// Confirmations of any target in an hour.
    pub confirmations_per_hour: u32,
}

impl Allowance {
    /// Returns the allowance of a class. A control is an operator's own machine, which measures every target of a
    /// country's list at the cells' full cadence and is asked whenever any provider is suspected.
    #[must_use]
    pub const fn of(class: BudgetClass, is_control: bool) -> Self {
        match class {
            _ if is_control => Self {
                checks_per_day: 60_000,
                bytes_per_day: 1_000_000_000,
                confirmations_per_target: 2,
                confirmations_per_hour: 1_000,
            },
            BudgetClass::Small => Self {
                checks_per_day: 600,
                bytes_per_day: 10_000_000,
                confirmations_per_target: 1,
                confirmations_per_hour: 10,
            },
            BudgetClass::Standard | BudgetClass::Unspecified => Self {
                checks_per_day: 3_000,
                bytes_per_day: 50_000_000,
                confirmations_per_target: 2,
                confirmations_per_hour: 40,
            },
        }
    }
}

/// Which part of the budget pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purse {
    /// The schedule's own cadence.
    Routine,
    /// Kept back for confirmations.
    Reserve,
}

/// What is lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// No check is left for now.
    Checks,
    /// Too few bytes are left for now.
    Bytes,
}

/// What is left, kept on disk so that a restart refills nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    routine: Bucket,
    reserve: Bucket,
    at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bucket {
    checks: f64,
    bytes: f64,
}

impl Budget {
    /// Makes a full budget.
    #[must_use]
    pub fn full(allowance: &Allowance, now: Timestamp) -> Self {
        Self {
            routine: capacity(allowance, Purse::Routine),
            reserve: capacity(allowance, Purse::Reserve),
            at: now,
        }
    }

    /// Takes the cost of one check, or says what is lacking.
    ///
    /// # Errors
    /// Returns what is lacking; nothing is taken then.
    pub fn take(
        &mut self,
        allowance: &Allowance,
        purse: Purse,
        bytes: u64,
        now: Timestamp,
    ) -> Result<(), Lack> {
        self.refill(allowance, now);
        let bucket = self.bucket(purse);
        if bucket.checks < 1.0 {
            return Err(Lack::Checks);
        }
        if bucket.bytes < as_tokens(bytes) {
            return Err(Lack::Bytes);
        }
        bucket.checks -= 1.0;
        bucket.bytes -= as_tokens(bytes);
        Ok(())
    }

    /// Settles what a check really cost: the rest is given back, more is taken, if need be below zero.
    pub fn settle(&mut self, allowance: &Allowance, purse: Purse, (expected, real): (u64, u64)) {
        let most = capacity(allowance, purse).bytes;
        let bucket = self.bucket(purse);
        bucket.bytes = (bucket.bytes + as_tokens(expected) - as_tokens(real)).min(most);
    }

    /// Returns the share of each purse's checks and bytes that is left, 0 to 1, the scarcer of the two.
    #[must_use]
    pub fn left(&self, allowance: &Allowance, purse: Purse) -> f64 {
        let most = capacity(allowance, purse);
        let bucket = if purse == Purse::Routine { self.routine } else { self.reserve };
        (bucket.checks / most.checks).min(bucket.bytes / most.bytes).clamp(0.0, 1.0)
    }

    fn bucket(&mut self, purse: Purse) -> &mut Bucket {
        match purse {
            Purse::Routine => &mut self.routine,
            Purse::Reserve => &mut self.reserve,
        }
    }

    /// A clock that is set back refills nothing, and one that is set forward no more than the bucket holds.
    fn refill(&mut self, allowance: &Allowance, now: Timestamp) {
        let days = now.since(self.at).as_secs_f64() / DAY.as_secs_f64();
        for purse in [Purse::Routine, Purse::Reserve] {
            let (most, share) = (capacity(allowance, purse), share(purse));
            let bucket = self.bucket(purse);
            bucket.checks =
                (bucket.checks + days * share * f64::from(allowance.checks_per_day)).min(most.checks);
            bucket.bytes = (bucket.bytes + days * share * as_tokens(allowance.bytes_per_day)).min(most.bytes);
        }
        self.at = now;
    }
}

const fn share(purse: Purse) -> f64 {
    match purse {
        Purse::Routine => 1.0 - RESERVE,
        Purse::Reserve => RESERVE,
    }
}

fn capacity(allowance: &Allowance, purse: Purse) -> Bucket {
    let share = match purse {
        Purse::Routine => share(purse) * ROUTINE_BURST_HOURS / 24.0,
        Purse::Reserve => share(purse),
    };
    Bucket {
        checks: share * f64::from(allowance.checks_per_day),
        bytes: share * as_tokens(allowance.bytes_per_day),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a day's bytes are far below 2^52")]
const fn as_tokens(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: Allowance = Allowance::of(BudgetClass::Standard, false);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000_000_000 + seconds * 1000)
    }

    fn take_all(budget: &mut Budget, purse: Purse, bytes: u64, now: Timestamp) -> u32 {
        (0..).take_while(|_| budget.take(&STANDARD, purse, bytes, now).is_ok()).count() as u32
    }

    #[test]
    fn routine_work_may_burst_for_an_hour_and_confirmations_have_their_whole_reserve() {
        let mut budget = Budget::full(&STANDARD, at(0));
        assert_eq!(take_all(&mut budget, Purse::Routine, 0, at(0)), 87, "2,100 a day are 87 an hour");
        assert_eq!(take_all(&mut budget, Purse::Reserve, 0, at(0)), 900);
        assert_eq!(take_all(&mut budget, Purse::Routine, 0, at(3600)), 87 + 1 - 1);
    }

    #[test]
    fn a_day_never_gives_more_than_the_days_budget_and_the_burst() {
        let mut budget = Budget::full(&STANDARD, at(0));
        let taken: u32 =
            (0..86_400).step_by(60).map(|s| take_all(&mut budget, Purse::Routine, 10_000, at(s))).sum();
        assert!((2_100..=2_188).contains(&taken), "{taken}");
    }

    #[test]
    fn bytes_run_out_too_and_what_was_not_used_is_given_back() {
        let mut budget = Budget::full(&STANDARD, at(0));
        assert_eq!(take_all(&mut budget, Purse::Routine, 60_000, at(0)), 24, "1.46 MB an hour");
        assert_eq!(budget.take(&STANDARD, Purse::Routine, 60_000, at(0)), Err(Lack::Bytes));
        budget.settle(&STANDARD, Purse::Routine, (60_000, 12_000));
        assert_eq!(budget.take(&STANDARD, Purse::Routine, 60_000, at(0)), Ok(()));
    }

    #[test]
    fn a_clock_set_back_or_far_forward_gives_no_more_than_a_full_bucket() {
        let mut budget = Budget::full(&STANDARD, at(0));
        take_all(&mut budget, Purse::Routine, 0, at(0));
        assert_eq!(take_all(&mut budget, Purse::Routine, 0, at(-100_000)), 0);
        assert_eq!(take_all(&mut budget, Purse::Routine, 0, at(1_000_000_000)), 87);
    }

    #[test]
    fn the_small_class_is_a_fifth() {
        let small = Allowance::of(BudgetClass::Small, false);
        assert_eq!((small.checks_per_day, small.bytes_per_day), (600, 10_000_000));
        assert!(Allowance::of(BudgetClass::Small, true).checks_per_day > 3_000, "a control is no volunteer");
    }
}
