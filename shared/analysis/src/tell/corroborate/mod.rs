//! Others' data along an incident's clock: what agrees, what disagrees, and what could not see it.
//!
//! Each source is asked only what it can know. IODA and Radar watch whole networks, so that a block of single services
//! leaves them blind, not in disagreement; OONI measures services, but seldom on every network in the same hour. Nothing
//! found is never agreement. What disagrees comes first, because it is what a reader must look at.

mod ioda;
mod ooni;
mod radar;

pub use ioda::{IodaData, IodaEvent, IodaSeries, read_ioda};
pub use ooni::OoniResult;
pub use radar::{RadarOutage, read_radar};

use super::nature::is_silence;
use super::sight::family;
use faultline_model::{Asn, CountryProfile, Incident, IncidentId, Timestamp, Verdict};
use serde::{Deserialize, Serialize};

/// Why a file of others cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// It is no JSON, and no table.
    #[error("it is no JSON")]
    Json(#[source] serde_json::Error),
    /// It is JSON of another kind.
    #[error("it holds no {0}")]
    Kind(&'static str),
    /// A table's line is wrong.
    #[error("the table cannot be read")]
    Table(#[source] csv::Error),
}

/// How a foreign datum stands to an incident. What disagrees comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    /// It contradicts what was published.
    Disagrees,
    /// It shows the same.
    Agrees,
    /// It could not see it, or looked elsewhere.
    Blind,
}

/// One thing that a foreign source says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// How it stands to the incident.
    pub stand: Stand,
    /// `ooni`, `ioda` or `radar`.
    pub source: String,
    /// What it is about: a network and a service, a signal, an annotation.
    pub about: String,
    /// What it says, in a sentence.
    pub sentence: String,
    /// Seconds from our beginning to its own, where it has one.
    pub lag_s: Option<f64>,
}

/// What others' data say of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Corroboration {
    /// Which incident.
    pub incident: IncidentId,
    /// How many points disagree.
    pub disagrees: usize,
    /// How many agree.
    pub agrees: usize,
    /// How many could not see it.
    pub blind: usize,
    /// The points, what disagrees first.
    pub points: Vec<Point>,
}

/// Others' data.
#[derive(Clone, Debug, Default)]
pub struct Foreign {
    /// OONI's measurements, judged beside their own controls; absent if none were given.
    pub ooni: Option<Vec<OoniResult>>,
    /// IODA's signals and events.
    pub ioda: Option<IodaData>,
    /// Radar's outages.
    pub radar: Option<Vec<RadarOutage>>,
}

/// Lays others' data along an incident's clock.
#[must_use]
pub fn corroborate(
    incident: &Incident,
    profile: &CountryProfile,
    foreign: &Foreign,
    now: Timestamp,
) -> Corroboration {
    let clock = Clock { incident, profile, from: incident.onset, to: incident.end.unwrap_or(now) };
    let mut points = Vec::new();
    if let Some(results) = &foreign.ooni {
        points.extend(ooni::points(&clock, results));
    }
    if let Some(data) = &foreign.ioda {
        points.extend(ioda::points(&clock, data));
    }
    if let Some(outages) = &foreign.radar {
        points.extend(radar::points(&clock, outages));
    }
    points.sort_by(|a, b| (a.stand, &a.source, &a.about).cmp(&(b.stand, &b.source, &b.about)));
    let count = |stand: Stand| points.iter().filter(|point| point.stand == stand).count();
    Corroboration {
        incident: incident.id.clone(),
        disagrees: count(Stand::Disagrees),
        agrees: count(Stand::Agrees),
        blind: count(Stand::Blind),
        points,
    }
}

/// An incident's time and place.
struct Clock<'a> {
    incident: &'a Incident,
    profile: &'a CountryProfile,
    from: Timestamp,
    to: Timestamp,
}

impl Clock<'_> {
    /// Says whether everything was off, so that whoever watches whole networks must have seen it.
    fn is_silence(&self) -> bool {
        is_silence(self.incident.verdict)
    }

    /// Says whether single services were hit.
    fn is_about_services(&self) -> bool {
        !self.incident.targets.is_empty()
    }

    fn is_affected(&self, asn: Asn) -> bool {
        self.incident.asns.contains(&family(self.profile, asn))
    }

    /// Says whether the incident is the whole country's.
    fn is_national(&self) -> bool {
        matches!(
            self.incident.verdict,
            Verdict::NationalBlock | Verdict::CategoryBlock | Verdict::NationalShutdown
        ) || self.incident.user_share[0] >= 0.7
    }

    fn name(&self, asn: Asn) -> String {
        self.profile.operator(asn).map_or_else(|| asn.to_string(), |own| own.name.clone())
    }

    fn overlaps(&self, from: Timestamp, to: Option<Timestamp>) -> bool {
        from < self.to && to.is_none_or(|to| to > self.from)
    }

    fn lag(&self, from: Timestamp) -> f64 {
        from.seconds_after(self.from)
    }
}

/// Writes a lag for people.
fn lag_words(seconds: f64) -> String {
    let length = super::synchrony::seconds(seconds);
    if seconds < 0.0 {
        format!("{length} before our beginning")
    } else {
        format!("{length} after our beginning")
    }
}

/// Reads the whole seconds that others write.
fn moment_s(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(seconds.saturating_mul(1000))
}

#[cfg(test)]
mod tests;
