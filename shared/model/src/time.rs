//! Moments: UTC milliseconds since the Unix epoch, written as RFC 3339.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment in UTC with millisecond resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 moment within the years 1970 to 9999.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not an RFC 3339 time")]
pub struct TimestampError {
    text: String,
}

impl Timestamp {
    /// Makes a moment from milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Returns milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Returns the time from `earlier` to `self`, or zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Returns the signed difference `self - other` in seconds.
    #[must_use]
    pub fn seconds_after(self, other: Self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "differences of moments are far below 2^52 ms")]
        let seconds = self.0.saturating_sub(other.0) as f64 / 1000.0;
        seconds
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok());
        f.write_str(text.as_deref().unwrap_or("out of range"))
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| TimestampError { text: text.chars().take(40).collect() })?;
        let ms = i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(0);
        Ok(Self(ms))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_being_written_and_read() {
        let moment: Timestamp = "2024-01-20T13:40:33.250Z".parse().expect("valid");
        assert_eq!(moment.to_string(), "2024-01-20T13:40:33.25Z");
        assert_eq!(moment.to_string().parse::<Timestamp>(), Ok(moment));
    }

    #[test]
    fn an_offset_is_converted_to_utc() {
        let local: Timestamp = "2024-01-20T18:40:00+05:00".parse().expect("valid");
        assert_eq!(local.to_string(), "2024-01-20T13:40:00Z");
    }

    #[test]
    fn nonsense_is_refused_with_the_text() {
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
