//! What is odd and worth a look when it rises. Counted, never with an id or a target.

use std::sync::atomic::{AtomicU64, Ordering};

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the count.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counters of a coordinator.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Enrolments whose looked-up network differs from the one that the operator expected.
    pub(crate) enrolments_elsewhere: Counter,
    /// Enrolments that were refused.
    pub(crate) enrolments_refused: Counter,
    /// Measurements stored.
    pub(crate) measurements_stored: Counter,
    /// Measurements that came again.
    pub(crate) measurements_repeated: Counter,
    /// Measurements that were refused.
    pub(crate) measurements_refused: Counter,
    /// Two measurements with one id.
    pub(crate) measurements_conflicting: Counter,
    /// Measurements from another network than the agent was enrolled from.
    pub(crate) measurements_elsewhere: Counter,
    /// Confirmations handed out.
    pub(crate) confirmations_sent: Counter,
    /// Confirmations that an agent's full queue refused.
    pub(crate) confirmations_refused: Counter,
    /// Confirmations answered.
    pub(crate) confirmations_answered: Counter,
    /// Streams that a newer stream of the same agent replaced.
    pub(crate) streams_replaced: Counter,
}

impl Counters {
    /// Returns every counter by name.
    pub(crate) fn all(&self) -> [(&'static str, u64); 11] {
        [
            ("enrolments_elsewhere", self.enrolments_elsewhere.get()),
            ("enrolments_refused", self.enrolments_refused.get()),
            ("measurements_stored", self.measurements_stored.get()),
            ("measurements_repeated", self.measurements_repeated.get()),
            ("measurements_refused", self.measurements_refused.get()),
            ("measurements_conflicting", self.measurements_conflicting.get()),
            ("measurements_elsewhere", self.measurements_elsewhere.get()),
            ("confirmations_sent", self.confirmations_sent.get()),
            ("confirmations_refused", self.confirmations_refused.get()),
            ("confirmations_answered", self.confirmations_answered.get()),
            ("streams_replaced", self.streams_replaced.get()),
        ]
    }
}
