//! Hours lost per provider and service over a series of episodes.
//!
//! A series is the incident and the earlier ones of 90 days that hit one of its services on one of its networks; of an
//! incident that names no service, the earlier ones of the same kind on one of its networks. Withdrawn statements, failing
//! sites and our own outages are no part of it. Overlapping episodes count once.

use super::Said;
use super::announced::mean_hours;
use super::nature::is_silence;
use super::sight::{Scene, family};
use super::synchrony::round;
use crate::detect::TargetInfo;
use faultline_model::{Asn, Incident, IncidentId, ServiceId, Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const REACH: Duration = Duration::from_secs(90 * 86_400);

/// The hours of one service on one provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// The provider's main network.
    pub asn: Asn,
    /// The provider.
    pub name: String,
    /// The service, or `everything`.
    pub service: String,
    /// Episodes in which it was hit.
    pub episodes: usize,
    /// Hours in all.
    pub hours: f64,
    /// An episode is still open, and counted up to now.
    pub is_open: bool,
}

/// Hours lost over a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoursLost {
    /// `counted`, or `none` where nobody was cut off, in words.
    #[serde(flatten)]
    pub said: Said,
    /// The episodes, the oldest first.
    pub episodes: Vec<IncidentId>,
    /// One row per provider and service.
    pub rows: Vec<Lost>,
}

/// Says whether an incident takes something from users.
pub(super) fn is_episode(incident: &Incident) -> bool {
    let is_loss = !matches!(
        incident.verdict,
        Verdict::TargetOutage
            | Verdict::GeoBlock
            | Verdict::AgentLocal
            | Verdict::CoordinatorOutage
            | Verdict::ControlChannelBlock
            | Verdict::InsufficientData
    );
    is_loss && !incident.retracted
}

/// Says whether two incidents are of a kind: filtering of services, a failure that singles nothing out, or silence.
fn kind(incident: &Incident) -> u8 {
    match incident.verdict {
        verdict if is_silence(verdict) => 2,
        Verdict::TechnicalFailure => 1,
        _ => 0,
    }
}

/// Returns the series that an incident ends, the oldest first, itself included.
pub(super) fn series<'a>(incident: &'a Incident, others: &'a [Incident]) -> Vec<&'a Incident> {
    let shares = |other: &Incident| {
        let networks = incident.asns.iter().any(|asn| other.asns.contains(asn));
        let services = if incident.services.is_empty() || other.services.is_empty() {
            incident.services.is_empty() == other.services.is_empty()
        } else {
            incident.services.iter().any(|service| other.services.contains(service))
        };
        networks && services && kind(other) == kind(incident)
    };
    let is_earlier = |other: &&Incident| {
        other.id != incident.id && other.onset <= incident.onset && other.onset + REACH >= incident.onset
    };
    let mut found: Vec<&Incident> =
        others.iter().filter(is_earlier).filter(|other| is_episode(other) && shares(other)).collect();
    if is_episode(incident) {
        found.push(incident);
    }
    found.sort_by_key(|incident| (incident.onset, incident.id.clone()));
    found
}

/// Answers how many hours were lost over a series.
pub(super) fn hours_lost(scene: &Scene<'_>, series: &[&Incident]) -> HoursLost {
    let mut spans: BTreeMap<(Asn, String), Vec<Span>> = BTreeMap::new();
    for episode in series {
        for asn in &episode.asns {
            let span = span(episode, *asn, scene.now);
            for service in services(scene.targets, episode) {
                spans.entry((family(scene.profile, *asn), service)).or_default().push(span);
            }
        }
    }
    let rows: Vec<Lost> = spans
        .into_iter()
        .map(|((asn, service), own)| Lost {
            asn,
            name: scene.name(asn),
            service,
            episodes: own.len(),
            is_open: own.iter().any(|span| span.is_open),
            hours: round(union(own)),
        })
        .collect();
    let lengths: Vec<f64> = series
        .iter()
        .map(|one| one.end.unwrap_or(scene.now).seconds_after(one.onset).max(0.0) / 3600.0)
        .collect();
    let against = "nothing: a sum of what was published, from each network's beginning to its end";
    let said = if rows.is_empty() {
        Said::new("none", "nobody was cut off from a service".to_owned(), against)
    } else {
        let providers: BTreeSet<Asn> = rows.iter().map(|row| row.asn).collect();
        let most = rows.iter().map(|row| row.hours).fold(0.0, f64::max);
        let sentence = format!(
            "{} in 90 days, {:.2} h each on average; up to {most:.2} h of a service on {} providers",
            match series.len() {
                1 => "1 episode".to_owned(),
                more => format!("{more} episodes"),
            },
            mean_hours(&lengths),
            providers.len()
        );
        Said::new("counted", sentence, against)
    };
    HoursLost { said, episodes: series.iter().map(|one| one.id.clone()).collect(), rows }
}

#[derive(Clone, Copy, Debug)]
struct Span {
    from: Timestamp,
    to: Timestamp,
    is_open: bool,
}

fn span(episode: &Incident, asn: Asn, now: Timestamp) -> Span {
    let from = episode.onset_by_asn.get(&asn).copied().unwrap_or(episode.onset);
    let end = episode.end_by_asn.get(&asn).copied().or(episode.end);
    Span { from, to: end.unwrap_or(now).max(from), is_open: end.is_none() }
}

fn services(targets: &[TargetInfo], episode: &Incident) -> Vec<String> {
    if episode.services.is_empty() {
        return vec!["everything".to_owned()];
    }
    let name = |id: &ServiceId| {
        let info = targets.iter().find(|info| info.service == *id);
        info.map_or_else(|| id.to_string(), |info| info.service_name.clone())
    };
    episode.services.iter().map(name).collect()
}

/// Returns the length of the union of some spans in hours.
fn union(mut spans: Vec<Span>) -> f64 {
    spans.sort_by_key(|span| (span.from, span.to));
    let mut total = 0.0;
    let mut reached: Option<Timestamp> = None;
    for span in spans {
        let from = reached.map_or(span.from, |reached| reached.max(span.from));
        total += span.to.seconds_after(from).max(0.0);
        reached = reached.max(Some(span.to));
    }
    total / 3600.0
}
