//! Times of the day at which nothing is measured, by the clock on the volunteer's wall.

use faultline_model::Timestamp;
use jiff::tz::TimeZone;
use std::fmt;
use std::str::FromStr;

const DAY_MIN: u16 = 24 * 60;

/// From one minute of the day up to another, through midnight where the second is the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    from_min: u16,
    to_min: u16,
}

impl QuietHours {
    /// Says whether a moment lies in them, where the machine stands.
    #[must_use]
    pub fn contain(self, now: Timestamp, zone: &TimeZone) -> bool {
        let Ok(moment) = jiff::Timestamp::from_millisecond(now.unix_ms()) else { return true };
        let local = zone.to_datetime(moment);
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        if self.from_min <= self.to_min {
            (self.from_min..self.to_min).contains(&minute)
        } else {
            minute >= self.from_min || minute < self.to_min
        }
    }
}

impl FromStr for QuietHours {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "use local times such as 23:00-07:00".to_owned();
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let minute = |part: &str| {
            let (hour, minute) = part.trim().split_once(':')?;
            let is_plain =
                [hour, minute].iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit()));
            let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
            (is_plain && minute < 60 && hour * 60 + minute <= DAY_MIN).then_some(hour * 60 + minute)
        };
        let (from_min, to_min) = (minute(from).ok_or_else(wrong)?, minute(to).ok_or_else(wrong)?);
        if from_min == to_min {
            return Err("begins when it ends; to stop altogether use faultline-agent pause".to_owned());
        }
        Ok(Self { from_min, to_min })
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from_min, to_min } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from_min / 60, from_min % 60, to_min / 60, to_min % 60)
    }
}

/// Returns the machine's time zone; a machine without one lives by UTC.
#[must_use]
pub fn local_zone() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-01-20, so many minutes after midnight UTC.
    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_705_708_800_000 + minutes * 60_000)
    }

    #[test]
    fn hours_through_midnight_are_local_and_end_before_their_last_minute() {
        let zone = TimeZone::fixed(jiff::tz::offset(5));
        let night: QuietHours = "23:00-07:00".parse().expect("hours");
        // 18:00 UTC is 23:00 in Pakistan, 02:00 UTC is 07:00.
        let quiet = [(18 * 60 - 1, false), (18 * 60, true), (23 * 60, true), (119, true), (120, false)];
        for (minutes, expected) in quiet {
            assert_eq!(night.contain(at(minutes), &zone), expected, "{minutes}");
        }
        let noon: QuietHours = "12:30-13:00".parse().expect("hours");
        assert!(noon.contain(at(12 * 60 + 59), &TimeZone::UTC) && !noon.contain(at(13 * 60), &TimeZone::UTC));
        assert_eq!(noon.to_string(), "12:30-13:00");
    }

    #[test]
    fn what_is_no_time_of_the_day_is_refused() {
        for text in
            ["", "23-7", "25:00-07:00", "23:60-07:00", "7:00-8:00", "+1:00-02:00", "08:00-08:00", "x-y"]
        {
            assert!(text.parse::<QuietHours>().is_err(), "{text}");
        }
        assert!("00:00-24:00".parse::<QuietHours>().is_ok(), "the whole day is a choice too");
    }
}
