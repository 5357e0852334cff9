//! An incident in the words of others' registers: Cloudflare Radar's outages, Access Now's STOP, IODA's events.
//!
//! What those registers ask and measurements do not know stays empty or `UNKNOWN`: who ordered it, why, and whom it was
//! aimed at. A cause stands there only if operators attached somebody's statement, with its address.

use super::Explanation;
use super::nature::is_silence;
use faultline_model::{Access, Cause, CountryProfile, Incident, Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// From this share of users on a thing is the country's.
const COUNTRY: f64 = 0.7;

/// A register's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Cloudflare Radar's outage annotations, as its API gives them.
    Radar,
    /// The columns of Access Now's STOP data.
    Stop,
    /// IODA's outage events, as its API gives them.
    Ioda,
}

impl std::str::FromStr for Form {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "radar" => Ok(Self::Radar),
            "stop" => Ok(Self::Stop),
            "ioda" => Ok(Self::Ioda),
            other => Err(format!(
                "{:?} is no form; there are stop, radar and ioda",
                other.chars().take(40).collect::<String>()
            )),
        }
    }
}

/// Writes an incident in a form: one annotation, one row, or a list of events.
#[must_use]
pub fn write(form: Form, incident: &Incident, said: &Explanation, profile: &CountryProfile) -> Value {
    match form {
        Form::Radar => radar(incident, said),
        Form::Stop => stop(incident, said, profile),
        Form::Ioda => ioda(incident, said),
    }
}

/// Cloudflare Radar's outage types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RadarType {
    /// The country.
    Nationwide,
    /// A region.
    Regional,
    /// Some networks.
    Network,
    /// A site or service.
    Platform,
}

/// Returns Radar's outage type for an incident.
#[must_use]
pub fn radar_type(incident: &Incident) -> RadarType {
    match incident.verdict {
        Verdict::NationalBlock | Verdict::CategoryBlock | Verdict::NationalShutdown => RadarType::Nationwide,
        Verdict::RegionalOutage => RadarType::Regional,
        Verdict::TargetOutage | Verdict::GeoBlock => RadarType::Platform,
        _ if incident.user_share[0] >= COUNTRY => RadarType::Nationwide,
        _ => RadarType::Network,
    }
}

/// Returns Radar's outage cause: `UNKNOWN` unless all attached sources name one.
#[must_use]
pub fn radar_cause(said: &Explanation) -> &'static str {
    let Some(first) = said.cause.sources.first() else { return "UNKNOWN" };
    if said.cause.sources.iter().any(|source| source.cause != first.cause) {
        return "UNKNOWN";
    }
    match first.cause {
        Cause::GovernmentDirected => "GOVERNMENT_DIRECTED",
        Cause::CableCut => "CABLE_CUT",
        Cause::PowerOutage => "POWER_OUTAGE",
        Cause::TechnicalProblem => "TECHNICAL_PROBLEM",
        Cause::Maintenance => "MAINTENANCE",
        Cause::Weather => "WEATHER",
        Cause::Cyberattack => "CYBERATTACK",
        Cause::MilitaryAction => "MILITARY_ACTION",
        Cause::Other => "UNKNOWN",
    }
}

fn radar(incident: &Incident, said: &Explanation) -> Value {
    let kind = radar_type(incident);
    let note = if incident.targets.is_empty() || kind == RadarType::Platform {
        Value::Null
    } else {
        "Radar lists outages of whole networks by their traffic; a block of single services may be missing there".into()
    };
    json!({
        "id": incident.id,
        "dataSource": "FAULTLINE",
        "description": incident.headline,
        "startDate": whole(incident.onset),
        "endDate": incident.end.map(whole),
        "locations": [incident.country],
        "asns": incident.asns,
        "scope": Value::Null,
        "eventType": "OUTAGE",
        "linkedUrl": said.cause.sources.first().map(|source| source.source.clone()),
        "outage": { "outageType": kind, "outageCause": radar_cause(said) },
        "note": note,
    })
}

/// The columns of STOP that are filled or left empty on purpose, in its order.
pub const STOP_COLUMNS: [&str; 32] = [
    "start_date",
    "country",
    "geo_scope",
    "area_name",
    "shutdown_type",
    "affected_network",
    "shutdown_extent",
    "ordered_by",
    "decision_maker",
    "actual_cause",
    "actual_cause_details",
    "info_source",
    "info_source_link",
    "shutdown_status",
    "end_date",
    "duration",
    "gov_justification",
    "gov_ack",
    "facebook_affected",
    "twitter_affected",
    "whatsapp_affected",
    "instagram_affected",
    "telegram_affected",
    "other_affected",
    "sms_affected",
    "phonecall_affected",
    "telcos_involved",
    "election",
    "violence",
    "hr_abuse_reported",
    "event",
    "an_link",
];

fn stop(incident: &Incident, said: &Explanation, profile: &CountryProfile) -> Value {
    let silence = is_silence(incident.verdict);
    let has = |service: &str| incident.services.iter().any(|own| own.as_str() == service);
    let platform = |names: &[&str]| if silence || names.iter().any(|name| has(name)) { "Yes" } else { "No" };
    let known = ["facebook", "x", "twitter", "whatsapp", "instagram", "telegram"];
    let others: Vec<&str> = incident
        .services
        .iter()
        .map(faultline_model::ServiceId::as_str)
        .filter(|own| !known.contains(own))
        .collect();
    let hours = incident.end.map(|end| format!("{:.1}", end.seconds_after(incident.onset) / 3600.0));
    let names: Vec<String> = said
        .users
        .providers
        .iter()
        .filter(|provider| provider.stance == "affected")
        .map(|provider| provider.name.clone())
        .collect();
    let justification = said.claims.iter().map(|claim| format!("{}: {}", claim.claim.by, claim.claim.words));
    let source = said.cause.sources.first();
    let ordered = source.filter(|source| source.cause == Cause::GovernmentDirected);
    json!({
        "start_date": day(incident.onset),
        "country": profile.name,
        "geo_scope": match radar_type(incident) {
            RadarType::Nationwide => "Nationwide",
            RadarType::Regional => "Regional",
            _ => "Unknown",
        },
        "area_name": "",
        "shutdown_type": match incident.verdict { Verdict::Throttling => "Throttle", _ => "Shutdown" },
        "affected_network": networks(said),
        "shutdown_extent": if silence { "Full network" } else { "Service-based" },
        "ordered_by": ordered.map_or("Unknown".to_owned(), |source| format!("according to {}", source.by)),
        "decision_maker": "Unknown",
        "actual_cause": source.map_or("Unknown".to_owned(), |source| source.cause.as_str().replace('_', " ")),
        "actual_cause_details": source.map_or(String::new(), |source| source.words.clone()),
        "info_source": "Faultline",
        "info_source_link": source.map_or(String::new(), |source| source.source.clone()),
        "shutdown_status": if incident.end.is_some() { "Ended" } else { "Ongoing" },
        "end_date": incident.end.map(day).unwrap_or_default(),
        "duration": hours.unwrap_or_default(),
        "gov_justification": justification.collect::<Vec<_>>().join("; "),
        "gov_ack": "",
        "facebook_affected": platform(&["facebook"]),
        "twitter_affected": platform(&["x", "twitter"]),
        "whatsapp_affected": platform(&["whatsapp"]),
        "instagram_affected": platform(&["instagram"]),
        "telegram_affected": platform(&["telegram"]),
        "other_affected": others.join(", "),
        "sms_affected": "Unknown",
        "phonecall_affected": "Unknown",
        "telcos_involved": names.join(", "),
        "election": "", "violence": "", "hr_abuse_reported": "",
        "event": said.announced.event.as_ref().map_or(String::new(), |event| event.name.clone()),
        "an_link": "",
    })
}

fn networks(said: &Explanation) -> &'static str {
    let has = |access: Access| {
        said.users.providers.iter().any(|one| one.stance == "affected" && one.access == access)
    };
    match (has(Access::Fixed), has(Access::Mobile)) {
        (true, true) => "Broadband, Mobile",
        (true, false) => "Broadband",
        (false, true) => "Mobile",
        (false, false) => "Unknown",
    }
}

/// One event per network, and one for the country where it is the country's.
fn ioda(incident: &Incident, said: &Explanation) -> Value {
    let seconds = |at: Timestamp| at.unix_ms().div_euclid(1000);
    let event =
        |location: String, name: String, (from, to): (Timestamp, Option<Timestamp>), error: Option<f64>| {
            json!({
                "location": location,
                "location_name": name,
                "start": seconds(from),
                "duration": to.map(|to| seconds(to) - seconds(from)),
                "uncertainty": error,
                "status": i32::from(to.is_none()),
                "fraction": Value::Null,
                "score": incident.confidence,
                "method": incident.verdict,
                "datasource": "faultline",
                "overlaps_window": false,
            })
        };
    let mut events = Vec::new();
    if radar_type(incident) == RadarType::Nationwide {
        let span = (incident.onset, incident.end);
        events.push(event(format!("country/{}", incident.country), incident.country.to_string(), span, None));
    }
    for asn in &incident.asns {
        let onset = said.onsets.moments.iter().find(|moment| moment.asn == *asn);
        let from = onset.map_or(incident.onset, |moment| moment.at);
        let to = incident.end_by_asn.get(asn).copied().or(incident.end);
        let name = onset.map_or_else(|| asn.to_string(), |moment| moment.name.clone());
        events.push(event(
            format!("asn/{}", asn.get()),
            name,
            (from, to),
            onset.map(|moment| moment.error_s),
        ));
    }
    let note = if incident.targets.is_empty() {
        Value::Null
    } else {
        "IODA's own signals do not see single services; these are Faultline's".into()
    };
    json!({ "data": events, "note": note })
}

fn whole(at: Timestamp) -> String {
    Timestamp::from_unix_ms(at.unix_ms().div_euclid(1000) * 1000).to_string()
}

fn day(at: Timestamp) -> String {
    at.to_string().get(..10).unwrap_or_default().to_owned()
}
