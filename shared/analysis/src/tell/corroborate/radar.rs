//! Cloudflare Radar's outage annotations, as its API gives them: `{"result": {"annotations": [...]}}`.

use super::{Clock, ForeignError, Point, Stand, lag_words};
use faultline_model::{Asn, Timestamp};
use serde_json::Value;

/// One annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RadarOutage {
    /// Countries as two letters.
    pub locations: Vec<String>,
    /// Networks.
    pub asns: Vec<Asn>,
    /// When it began.
    pub from: Timestamp,
    /// When it ended, if it did.
    pub to: Option<Timestamp>,
    /// Radar's type, such as `NATIONWIDE`.
    pub kind: String,
    /// Radar's cause, such as `GOVERNMENT_DIRECTED`.
    pub cause: String,
    /// What Radar says of it.
    pub description: String,
}

/// Reads a file of Radar's.
///
/// # Errors
/// Says why it is none.
pub fn read_radar(text: &str) -> Result<Vec<RadarOutage>, ForeignError> {
    let value: Value = serde_json::from_str(text).map_err(ForeignError::Json)?;
    let list = [value.pointer("/result/annotations"), value.get("annotations"), Some(&value)];
    let list = list.into_iter().flatten().find_map(Value::as_array);
    let list = list.ok_or(ForeignError::Kind("annotations of Radar's"))?;
    let outages: Vec<RadarOutage> = list.iter().filter_map(outage).collect();
    if outages.is_empty() && !list.is_empty() {
        return Err(ForeignError::Kind("annotation with a startDate"));
    }
    Ok(outages)
}

fn outage(value: &Value) -> Option<RadarOutage> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let list = |key: &str| value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Some(RadarOutage {
        locations: list("locations").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        asns: list("asns")
            .iter()
            .filter_map(Value::as_u64)
            .filter_map(|asn| Asn::recorded(u32::try_from(asn).ok()?).ok())
            .collect(),
        from: text("/startDate").parse().ok()?,
        to: text("/endDate").parse().ok(),
        kind: text("/outage/outageType").chars().take(40).collect(),
        cause: text("/outage/outageCause").chars().take(40).collect(),
        description: text("/description").chars().take(200).collect(),
    })
}

pub(super) fn points(clock: &Clock<'_>, outages: &[RadarOutage]) -> Vec<Point> {
    let country = clock.incident.country.to_string();
    let is_here = |outage: &&RadarOutage| {
        let is_own = outage.asns.iter().any(|asn| clock.is_affected(*asn));
        let is_country = outage.asns.is_empty() && outage.locations.contains(&country);
        clock.overlaps(outage.from, outage.to) && (is_own || is_country)
    };
    let here: Vec<Point> = outages.iter().filter(is_here).map(|outage| point(clock, outage)).collect();
    if !here.is_empty() {
        return here;
    }
    let sentence = if clock.is_about_services() {
        "nothing is listed for its time and place: Radar watches the traffic of whole networks, not of single services"
    } else {
        "nothing is listed for its time and place, and its list is not complete"
    };
    vec![make(Stand::Blind, country, sentence.to_owned(), None)]
}

fn point(clock: &Clock<'_>, outage: &RadarOutage) -> Point {
    let lag = clock.lag(outage.from);
    let about = format!("{} {}", outage.locations.join(", "), outage.kind).trim().to_owned();
    let told = format!(
        "an outage ({}, cause {}), beginning {}",
        outage.kind.to_lowercase(),
        outage.cause.to_lowercase(),
        lag_words(lag)
    );
    // Radar also lists blocks of services where traffic fell; its type is about reach, not about what was hit.
    let stand = if clock.is_about_services() && outage.cause == "CABLE_CUT" {
        Stand::Disagrees
    } else {
        Stand::Agrees
    };
    make(stand, about, told, Some(lag))
}

fn make(stand: Stand, about: String, sentence: String, lag_s: Option<f64>) -> Point {
    Point { stand, source: "radar".to_owned(), about, sentence, lag_s }
}
