//! At which hours of the week a provider's block was on.
//!
//! A block that comes and goes by the clock (an examination's hours, a curfew) is one incident to the detector, because
//! votes without identity are too sparse to decide every hour by itself. Folding them by kind of day and hour shows the
//! schedule: an hour failed when the lower end of the share's interval (Wilson 1927, 80 %) lies above one half, it
//! worked when the upper end lies below, and otherwise it is undecided. Hours are the clock's, in UTC; whether a day is a
//! weekend follows the country's own time.

use super::Vote;
use faultline_model::{Asn, Incident, Target, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Of the normal distribution, the point that a tenth exceeds.
const Z: f64 = 1.2816;
const HOUR_MS: i64 = 3_600_000;
/// Monday is 0; the first of January 1970 was a Thursday.
const THURSDAY: i64 = 3;
const SATURDAY: i64 = 5;

/// What the votes of one hour of the day say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hour {
    /// Most votes failed, and not by chance.
    Failed,
    /// Most votes succeeded, and not by chance.
    Worked,
    /// Too few votes, or both.
    Undecided,
    /// Nobody measured.
    Unseen,
}

/// The votes of one hour of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HourVotes {
    /// The hour that begins then, UTC, 0 to 23.
    pub hour: u8,
    /// Votes.
    pub votes: u32,
    /// Votes that failed.
    pub failed: u32,
    /// What they say.
    pub says: Hour,
}

/// The hours of one kind of day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Days {
    /// `weekdays` or `weekend`.
    pub days: &'static str,
    /// In words, such as `failed 04-08, 10-14 UTC; worked 14-17 UTC`.
    pub summary: String,
    /// All twenty-four.
    pub hours: Vec<HourVotes>,
}

/// A provider's week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// The provider.
    pub asn: Asn,
    /// What was blocked.
    pub targets: BTreeSet<Target>,
    /// From its first onset.
    pub from: Timestamp,
    /// To its last end, or the last vote.
    pub to: Timestamp,
    /// Monday to Friday, then the weekend.
    pub days: Vec<Days>,
}

/// Tells the week of every provider that a standing incident names.
pub(super) fn schedules(
    incidents: &[Incident],
    votes: &[Vote],
    (families, utc_offset_min): (&BTreeMap<Asn, Asn>, i32),
) -> Vec<Schedule> {
    let family = |asn: Asn| families.get(&asn).copied().unwrap_or(asn);
    let last = votes.iter().map(|vote| vote.at).max();
    let mut spans: BTreeMap<Asn, (Timestamp, Timestamp, BTreeSet<Target>)> = BTreeMap::new();
    for incident in incidents.iter().filter(|incident| !incident.retracted && !incident.targets.is_empty()) {
        for asn in &incident.asns {
            let from = incident.onset_by_asn.get(asn).copied().unwrap_or(incident.onset);
            let Some(to) = incident.end_by_asn.get(asn).copied().or(incident.end).or(last) else { continue };
            let span = spans.entry(*asn).or_insert_with(|| (from, to, BTreeSet::new()));
            *span = (span.0.min(from), span.1.max(to), std::mem::take(&mut span.2));
            span.2.extend(incident.targets.iter().cloned());
        }
    }
    let week = |(asn, (from, to, targets)): (Asn, (Timestamp, Timestamp, BTreeSet<Target>))| {
        let own: Vec<&Vote> = votes
            .iter()
            .filter(|vote| family(vote.asn) == asn && targets.contains(&vote.target))
            .filter(|vote| (from..=to).contains(&vote.at))
            .collect();
        let days = [("weekdays", false), ("weekend", true)].map(|(name, is_weekend)| {
            fold(name, own.iter().filter(|vote| is_on_weekend(vote.at, utc_offset_min) == is_weekend))
        });
        Schedule { asn, targets, from, to, days: days.into() }
    };
    spans.into_iter().map(week).collect()
}

fn is_on_weekend(at: Timestamp, utc_offset_min: i32) -> bool {
    let days = (at.unix_ms() + i64::from(utc_offset_min) * 60_000).div_euclid(24 * HOUR_MS);
    (days + THURSDAY).rem_euclid(7) >= SATURDAY
}

fn fold<'a>(days: &'static str, votes: impl Iterator<Item = &'a &'a Vote>) -> Days {
    let mut counts = [(0_u32, 0_u32); 24];
    for vote in votes {
        let hour = usize::try_from(vote.at.unix_ms().div_euclid(HOUR_MS).rem_euclid(24)).unwrap_or(0);
        counts[hour].0 += 1;
        counts[hour].1 += u32::from(vote.class.is_anomaly());
    }
    let hours: Vec<HourVotes> = (0..)
        .zip(counts)
        .map(|(hour, (votes, failed))| HourVotes { hour, votes, failed, says: says(votes, failed) })
        .collect();
    Days { days, summary: summary(&hours), hours }
}

fn says(votes: u32, failed: u32) -> Hour {
    if votes == 0 {
        return Hour::Unseen;
    }
    let (n, share) = (f64::from(votes), f64::from(failed) / f64::from(votes));
    let centre = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    if (centre - half) / scale > 0.5 {
        Hour::Failed
    } else if (centre + half) / scale < 0.5 {
        Hour::Worked
    } else {
        Hour::Undecided
    }
}

fn summary(hours: &[HourVotes]) -> String {
    let named = [(Hour::Failed, "failed"), (Hour::Worked, "worked"), (Hour::Undecided, "undecided")];
    let parts: Vec<String> = named
        .into_iter()
        .filter_map(|(says, word)| Some(format!("{word} {} UTC", ranges(hours, says)?)))
        .collect();
    if parts.is_empty() { "nobody measured".to_owned() } else { parts.join("; ") }
}

/// Writes runs of hours as `04-08, 10-14`; the end is where the last hour ends.
fn ranges(hours: &[HourVotes], says: Hour) -> Option<String> {
    let runs = hours.chunk_by(|a, b| (a.says == says) == (b.says == says));
    let texts: Vec<String> = runs
        .filter(|run| run.first().is_some_and(|hour| hour.says == says))
        .filter_map(|run| Some(format!("{:02}-{:02}", run.first()?.hour, run.last()?.hour + 1)))
        .collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_model::Class;

    fn vote(at: &str, class: Class) -> Vote {
        Vote {
            at: at.parse().expect("a time"),
            asn: Asn::recorded(64_501).expect("a number"),
            slot: 0,
            target: Target::new("https://x.example/").expect("a target"),
            class,
            control_ok: None,
        }
    }

    #[test]
    fn a_block_in_the_mornings_of_weekdays_is_told_by_its_hours() {
        let mut votes = Vec::new();
        for day in 13..=19 {
            for hour in 0..24 {
                let is_on = day <= 17 && (4..8).contains(&hour);
                let class = if is_on { Class::TlsTimeout } else { Class::Ok };
                votes.push(vote(&format!("2023-11-{day}T{hour:02}:10:00Z"), class));
                votes.push(vote(&format!("2023-11-{day}T{hour:02}:40:00Z"), class));
            }
        }
        let on = |weekend| votes.iter().filter(move |vote| is_on_weekend(vote.at, 180) == weekend);
        let weekdays: Vec<&Vote> = on(false).collect();
        let weekend: Vec<&Vote> = on(true).collect();
        assert_eq!(fold("weekdays", weekdays.iter()).summary, "failed 04-08 UTC; worked 00-04, 08-24 UTC");
        assert!(fold("weekend", weekend.iter()).summary.starts_with("worked 00-"));
    }

    #[test]
    fn few_votes_and_both_kinds_decide_nothing() {
        assert_eq!([says(0, 0), says(1, 1), says(4, 2)], [Hour::Unseen, Hour::Undecided, Hour::Undecided]);
        assert_eq!([says(3, 3), says(3, 0), says(10, 8)], [Hour::Failed, Hour::Worked, Hour::Failed]);
    }

    #[test]
    fn a_weekend_begins_at_the_countrys_own_midnight() {
        let friday_evening: Timestamp = "2023-11-17T21:30:00Z".parse().expect("a time");
        assert!(!is_on_weekend(friday_evening, 0));
        assert!(is_on_weekend(friday_evening, 180));
    }
}
