//! Announced events: how long before one an incident began, and how often a series met one (method 3.7).
//!
//! The calendar is read here and nowhere else: no verdict and no score knows of it. An event's window is from three
//! hours before its beginning to its end.
//!
//! ```text
//! series: k of n incidents began within windows that cover the share q of the observed time: P(Bin(n, q) >= k)
//! full and half hours: an ordered cut begins there nine times in ten, others four (IODA's list of events)
//! ```

use super::Said;
use super::odds::{Odds, binomial_tail, float};
use super::synchrony::round;
use faultline_model::{CalendarEvent, Incident, NoteId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An event's window begins so long before it.
const BEFORE: Duration = Duration::from_secs(3 * 3600);
/// Events that begin later than this after an incident's beginning are no neighbours of it.
const AFTER: Duration = Duration::from_secs(24 * 3600);
/// A beginning this close to a full or half hour, in seconds, counts as one.
const NEAR_S: i64 = 120;
const AT_HALF_HOUR: (f64, f64) = (0.90, 0.40);

/// The event next to an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The note's id.
    pub id: NoteId,
    /// What it was.
    pub name: String,
    /// When it was announced to begin.
    pub starts_at: Timestamp,
    /// When it was announced to end.
    pub ends_at: Timestamp,
    /// Where it was announced.
    pub source: String,
    /// Minutes from the incident's beginning to the event's; negative if the event had begun.
    pub lead_min: f64,
    /// Share of the incident's time that the event's own time covers.
    pub overlap: f64,
}

/// How a series of incidents meets the calendar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coincidence {
    /// Incidents of the series that began within an event's window.
    pub met: usize,
    /// Incidents of the series.
    pub incidents: usize,
    /// Share of the observed time that windows cover.
    pub covered: f64,
    /// How often as many would meet windows by chance.
    pub chance: Odds,
}

/// How an incident lies to what was announced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announced {
    /// `before_event`, `during_event`, `no_event` or `no_calendar`, in words, and what it was tested against.
    #[serde(flatten)]
    pub said: Said,
    /// The nearest event.
    pub event: Option<Neighbour>,
    /// It began within two minutes of a full or half hour.
    pub at_half_hour: bool,
    /// How many times likelier such a beginning is for an ordered cut than for another, as published; it is no part of
    /// any score.
    pub half_hour_ratio: f64,
    /// The series of which it is a part.
    pub series: Option<Coincidence>,
}

/// Answers how an incident lies to what was announced.
pub(super) fn announced(
    incident: &Incident,
    series: &[&Incident],
    calendar: &[(NoteId, &CalendarEvent)],
    (since, now): (Timestamp, Timestamp),
) -> Announced {
    let event = nearest(incident, calendar, now);
    let against = "beginnings that fall anywhere in the observed time, whatever was announced";
    let (answer, sentence) = match &event {
        None if calendar.is_empty() => ("no_calendar", "operators have noted no announced event".to_owned()),
        None => ("no_event", "no announced event was near".to_owned()),
        Some(event) if event.lead_min >= 0.0 => (
            "before_event",
            format!("it began {:.0} minutes before {} was to begin", event.lead_min, event.name),
        ),
        Some(event) => (
            "during_event",
            format!("it began {:.0} minutes after {} was to begin", -event.lead_min, event.name),
        ),
    };
    let at_half_hour = is_at_half_hour(incident.onset);
    let (ordered, other) = AT_HALF_HOUR;
    let ratio = if at_half_hour { ordered / other } else { (1.0 - ordered) / (1.0 - other) };
    Announced {
        said: Said::new(answer, sentence, against),
        event,
        at_half_hour,
        half_hour_ratio: round(ratio),
        series: coincidence(series, calendar, (since, now)),
    }
}

fn nearest(incident: &Incident, calendar: &[(NoteId, &CalendarEvent)], now: Timestamp) -> Option<Neighbour> {
    let onset = incident.onset;
    let is_near = |event: &CalendarEvent| onset < event.ends_at && event.starts_at <= onset + AFTER;
    let distance = |event: &CalendarEvent| event.starts_at.since(onset).max(onset.since(event.starts_at));
    let near = calendar.iter().filter(|(_, event)| is_near(event));
    let (id, event) = near.min_by_key(|(id, event)| (distance(event), id.clone()))?;
    let end = incident.end.unwrap_or(now).max(onset);
    let lasted = end.seconds_after(onset).max(1.0);
    let common = end.min(event.ends_at).seconds_after(onset.max(event.starts_at)).max(0.0);
    Some(Neighbour {
        id: id.clone(),
        name: event.name.clone(),
        starts_at: event.starts_at,
        ends_at: event.ends_at,
        source: event.source.clone(),
        lead_min: round(event.starts_at.seconds_after(onset) / 60.0),
        overlap: round((common / lasted).min(1.0)),
    })
}

fn coincidence(
    series: &[&Incident],
    calendar: &[(NoteId, &CalendarEvent)],
    (since, now): (Timestamp, Timestamp),
) -> Option<Coincidence> {
    let observed = now.seconds_after(since);
    if series.is_empty() || calendar.is_empty() || observed <= 0.0 {
        return None;
    }
    let mut windows: Vec<(Timestamp, Timestamp)> = calendar
        .iter()
        .map(|(_, event)| ((event.starts_at - BEFORE).max(since), event.ends_at.min(now)))
        .collect();
    windows.retain(|(from, to)| from < to);
    windows.sort_unstable();
    let (mut covered, mut reached) = (0.0, since);
    for (from, to) in &windows {
        covered += to.seconds_after((*from).max(reached)).max(0.0);
        reached = reached.max(*to);
    }
    let share = (covered / observed).clamp(0.0, 1.0);
    let is_met =
        |incident: &&&Incident| windows.iter().any(|(from, to)| (*from..*to).contains(&incident.onset));
    let met = series.iter().filter(is_met).count();
    Some(Coincidence {
        met,
        incidents: series.len(),
        covered: round(share),
        chance: Odds::of(binomial_tail(met, series.len(), share)),
    })
}

fn is_at_half_hour(at: Timestamp) -> bool {
    let into = at.unix_ms().div_euclid(1000).rem_euclid(1800);
    into <= NEAR_S || into >= 1800 - NEAR_S
}

/// Returns the mean length of some incidents in hours, for people.
pub(super) fn mean_hours(hours: &[f64]) -> f64 {
    if hours.is_empty() { 0.0 } else { hours.iter().sum::<f64>() / float(hours.len()) }
}
