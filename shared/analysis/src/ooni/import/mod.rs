//! Reading one measurement.
//!
//! # From OONI's rows to steps
//! OONI writes one list per protocol; ours is one list in the order in which things were done. Rows belong to a
//! redirect hop by their `depth` tag or, where there are no tags (before 0.5), by the name that they carry.
//! Within a hop DNS comes first and then one connection after the other, the one that got furthest last:
//! connections to several addresses run side by side, so that a later success makes an earlier failure good.
//!
//! - The way of ordinary programs (`system`) is what carries the tag `classic` or, without tags, whatever went to
//!   an address that the system's resolver gave. Other resolvers' answers and connections are second
//!   opinions.
//! - For an `http` target OONI also tries port 443. An ordinary program does not, so that such a connection is left
//!   out, unless it went to a second opinion's address and was valid: then it says whose address it is.
//! - A failure that an old engine noted only for the request is put at the layer that is left: see [`steps`].
//! - A measurement that just ends, with neither a page nor a failure, gets a last step `interrupted`: what it
//!   did not see must not look like success.

mod control;
mod page;
mod steps;
mod value;

#[cfg(test)]
mod tests;

use crate::judge::ControlFact;
use faultline_model::{
    Asn, CheckKind, CountryCode, Depth, Measurement, MeasurementId, Target, TargetError, Timestamp, Why,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use value::{is_yes, moment, rows, seconds, text};

/// Tests of one service each, whose rows name the hosts of that service.
const SERVICE_TESTS: [&str; 4] = ["telegram", "whatsapp", "facebook_messenger", "signal"];
/// Hosts of one such test that are read.
const MAX_HOSTS: usize = 30;

/// Why a text is no measurement of OONI's.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// It is no JSON.
    #[error("reading the JSON")]
    Json(#[source] serde_json::Error),
    /// It is JSON, but no measurement.
    #[error("it is no OONI measurement: there is no test_name")]
    NoMeasurement,
    /// A field that every measurement needs is missing or makes no sense.
    #[error("{field} is missing or malformed")]
    Field {
        /// The field's name.
        field: &'static str,
    },
}

/// What a text holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Measurements: one for a web page, one for each host of a service.
    Measurements(Vec<Imported>),
    /// A measurement of OONI's that has no equal here.
    NotImported(NotImported),
}

/// Why a sound measurement has no equal here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotImported {
    /// The test measures something that no check of ours does.
    OtherTest(String),
    /// Its input is nothing that is measured here.
    Target(TargetError),
    /// It carries no step at all.
    NoFacts,
}

impl std::fmt::Display for NotImported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OtherTest(name) => write!(f, "no check for the test {name}"),
            Self::Target(error) => write!(f, "no target: {error}"),
            Self::NoFacts => f.write_str("no facts"),
        }
    }
}

/// A measurement of OONI's as facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The facts.
    pub measurement: Measurement,
    /// What OONI's test helper saw, where it answered.
    pub control: Option<ControlFact>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a measurement comes from, and what its makers said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The test's name and version.
    pub test: String,
    /// The country, where it is known.
    pub country: Option<CountryCode>,
    /// The network, where it is known.
    pub asn: Option<Asn>,
    /// OONI's own verdict in its words, such as `dns` or `accessible`; for comparison only.
    pub verdict: String,
}

/// Reads one measurement of OONI's. Whoever calls bounds the length of the text.
///
/// # Errors
/// Says why the text is no measurement.
pub fn read(json: &[u8]) -> Result<Reading, ReadingError> {
    let value: Value = serde_json::from_slice(json).map_err(ReadingError::Json)?;
    read_value(&value)
}

fn read_value(value: &Value) -> Result<Reading, ReadingError> {
    let test =
        value["test_name"].as_str().filter(|name| !name.is_empty()).ok_or(ReadingError::NoMeasurement)?;
    let is_page = matches!(test, "web_connectivity" | "urlgetter");
    if !is_page && !SERVICE_TESTS.contains(&test) {
        return Ok(Reading::NotImported(NotImported::OtherTest(value::short(test, 40))));
    }
    let keys = &value["test_keys"];
    if !keys.is_object() {
        return Ok(Reading::NotImported(NotImported::NoFacts));
    }
    let head = Head::read(value, keys)?;
    if !is_page {
        return Ok(read_service(&head, keys));
    }
    let target = match Target::new(text(&value["input"])) {
        Ok(target) => target,
        Err(error) => return Ok(Reading::NotImported(NotImported::Target(error))),
    };
    let Some(measurement) = head.measurement(target, keys, 0) else {
        return Ok(Reading::NotImported(NotImported::NoFacts));
    };
    let control = if test == "web_connectivity" { control::read(keys, &measurement) } else { None };
    Ok(Reading::Measurements(vec![Imported { measurement, control, origin: head.origin }]))
}

/// Reads a service's test: each host of it is a target.
fn read_service(head: &Head, keys: &Value) -> Reading {
    let mut hosts: BTreeSet<String> = BTreeSet::new();
    for (list, name) in [("queries", "hostname"), ("tls_handshakes", "server_name")] {
        hosts.extend(rows(keys, list).map(|row| text(&row[name]).to_ascii_lowercase()));
    }
    let mut all = Vec::new();
    for host in hosts.iter().take(MAX_HOSTS) {
        let Ok(target) = Target::new(&format!("https://{host}/")) else { continue };
        let Some(measurement) = head.measurement(target, keys, all.len()) else { continue };
        all.push(Imported { measurement, control: None, origin: head.origin.clone() });
    }
    if all.is_empty() { Reading::NotImported(NotImported::NoFacts) } else { Reading::Measurements(all) }
}

/// What a measurement says of itself.
struct Head {
    uid: String,
    at: Timestamp,
    duration: Duration,
    is_service: bool,
    origin: Origin,
}

impl Head {
    fn read(value: &Value, keys: &Value) -> Result<Self, ReadingError> {
        let field = "measurement_start_time";
        let at = moment(text(&value[field])).or_else(|| moment(text(&value["test_start_time"])));
        let test = value::short(text(&value["test_name"]), 40);
        let version = value::short(text(&value["test_version"]), 20);
        Ok(Self {
            uid: uid(value),
            at: at.ok_or(ReadingError::Field { field })?,
            duration: seconds(&value["test_runtime"]).unwrap_or_default(),
            is_service: SERVICE_TESTS.contains(&test.as_str()),
            origin: Origin {
                test: format!("{test} {version}").trim_end().to_owned(),
                country: text(&value["probe_cc"]).parse().ok(),
                asn: asn(text(&value["probe_asn"])),
                verdict: verdict(keys),
            },
        })
    }

    /// Makes the measurement of one target; `None` where no row is about it.
    fn measurement(&self, target: Target, keys: &Value, number: usize) -> Option<Measurement> {
        let scene = steps::Scene::new(&target, keys, self.is_service);
        let (check, observations) = scene.read()?;
        let id = if number == 0 { self.uid.clone() } else { format!("{}:{number}", self.uid) };
        Some(Measurement {
            id: MeasurementId::new(id).ok()?,
            check,
            target,
            depth: Depth::Full,
            why: Why::Routine,
            token: None,
            parent: None,
            list_version: 0,
            started_at: self.at,
            duration: self.duration,
            observations,
        })
    }
}

/// Returns the measurement's id; raw files, whose collector gave none, are told apart by what they say.
fn uid(value: &Value) -> String {
    let given = text(&value["measurement_uid"]);
    if given.len() <= 60 && MeasurementId::new(given).is_ok() {
        return given.to_owned();
    }
    let parts = [
        "measurement_uid",
        "report_id",
        "input",
        "test_name",
        "probe_asn",
        "measurement_start_time",
        "test_runtime",
    ];
    let said: Vec<String> = parts.iter().map(|part| value[*part].to_string()).collect();
    let hash = |seed: u64| {
        said.join("\n").bytes().fold(seed, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    format!("{:016x}{:016x}", hash(0xcbf2_9ce4_8422_2325), hash(0x9e37_79b9_7f4a_7c15))
}

fn asn(text: &str) -> Option<Asn> {
    Asn::recorded(text.trim().trim_start_matches("AS").parse().ok()?).ok()
}

/// Says what OONI's probe made of it.
fn verdict(keys: &Value) -> String {
    match &keys["blocking"] {
        Value::String(how) => value::short(how, 20),
        Value::Bool(false) if is_yes(&keys["accessible"]) => "accessible".to_owned(),
        Value::Bool(false) => "down".to_owned(),
        _ => "none".to_owned(),
    }
}

/// Says what check a set of handshakes belongs to.
fn check_of(is_quic: bool) -> CheckKind {
    if is_quic { CheckKind::Quic } else { CheckKind::Web }
}
