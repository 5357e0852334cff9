//! Waiting longer after each failure, with full jitter, so that many clients never return at once.

use rand::RngExt;
use std::time::Duration;

/// Exponential back-off with full jitter.
#[derive(Clone, Debug)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    /// Makes a back-off whose waits grow from `least` towards `most`.
    #[must_use]
    pub const fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, failures: 0 }
    }

    /// Notes a success: the next wait is short again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Notes a failure and returns how long to wait: uniform between `least` and the growing ceiling.
    pub fn next_wait(&mut self) -> Duration {
        let ceiling = self.least.saturating_mul(1 << self.failures.min(16)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        if ceiling <= self.least { self.least } else { rand::rng().random_range(self.least..=ceiling) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_within_their_bounds_and_shrink_after_a_success() {
        let (least, most) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(least, most);
        for _ in 0..40 {
            let wait = backoff.next_wait();
            assert!((least..=most).contains(&wait), "{wait:?}");
        }
        backoff.reset();
        assert_eq!(backoff.next_wait(), least);
    }
}
