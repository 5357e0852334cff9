//! The two sources of surprise: the wall clock and randomness.

use faultline_model::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the wall clock's moment.
#[must_use]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Returns 16 unpredictable bytes, enough for an id or a one-time token.
///
/// # Panics
/// Panics if the operating system has no randomness to give.
#[must_use]
pub fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}
