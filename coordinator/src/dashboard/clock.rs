//! Moments as a country's readers know them.

use faultline_model::Timestamp;
use time::{Month, OffsetDateTime, UtcOffset};

/// A country's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    offset: UtcOffset,
    zone: String,
}

impl Clock {
    /// Reads the country's local time; without a short name its offset is the name.
    pub(super) fn new(utc_offset_min: i32, zone: Option<&str>) -> Self {
        let offset =
            UtcOffset::from_whole_seconds(utc_offset_min.saturating_mul(60)).unwrap_or(UtcOffset::UTC);
        Self { offset, zone: zone.map_or_else(|| offset_name(utc_offset_min), str::to_owned) }
    }

    /// Returns the zone's short name.
    pub(super) fn zone(&self) -> &str {
        &self.zone
    }

    /// `18:40`
    pub(super) fn minutes(&self, at: Timestamp) -> String {
        let local = self.local(at);
        format!("{:02}:{:02}", local.hour(), local.minute())
    }

    /// `18:40:33`
    pub(super) fn seconds(&self, at: Timestamp) -> String {
        format!("{}:{:02}", self.minutes(at), self.local(at).second())
    }

    /// `Saturday 20 January 2024`
    pub(super) fn long_date(&self, at: Timestamp) -> String {
        let local = self.local(at);
        format!("{} {} {} {}", local.weekday(), local.day(), local.month(), local.year())
    }

    /// `18:40` on the same day as `now`, else `20 Jan, 18:40`.
    pub(super) fn near(&self, at: Timestamp, now: Timestamp) -> String {
        let local = self.local(at);
        if local.date() == self.local(now).date() {
            return self.minutes(at);
        }
        format!("{} {}, {}", local.day(), short(local.month()), self.minutes(at))
    }

    fn local(&self, at: Timestamp) -> OffsetDateTime {
        let utc = OffsetDateTime::from_unix_timestamp(at.unix_ms().div_euclid(1000));
        utc.unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset(self.offset)
    }
}

fn offset_name(minutes: i32) -> String {
    match (minutes / 60, (minutes % 60).abs()) {
        (0, 0) => "UTC".to_owned(),
        (hours, 0) => format!("UTC{hours:+}"),
        (hours, rest) => format!("UTC{hours:+}:{rest:02}"),
    }
}

fn short(month: Month) -> String {
    month.to_string().chars().take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_in_the_country_s_own_time() {
        let clock = Clock::new(300, Some("PKT"));
        let at: Timestamp = "2024-01-20T13:40:33Z".parse().expect("valid");
        assert_eq!(clock.seconds(at), "18:40:33");
        assert_eq!(clock.long_date(at), "Saturday 20 January 2024");
        assert_eq!(clock.near(at, "2024-01-20T20:00:00Z".parse().expect("valid")), "20 Jan, 18:40");
        assert_eq!(clock.zone(), "PKT");
        assert_eq!(Clock::new(345, None).zone(), "UTC+5:45");
        assert_eq!(Clock::new(0, None).zone(), "UTC");
    }
}
