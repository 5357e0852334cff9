//! OONI's data, read from files: measurement JSON lines, and observation CSV.
//!
//! Both are parsed line by line into the steps that [`faultline_analysis::replay::ooni`] gathers; what a line
//! says is taken as a fact, OONI's own verdict is not. A line that cannot be read is the caller's to count, as
//! is a measurement of a kind that says nothing about targets.

mod json;
mod table;

pub(crate) use json::read as read_json;
pub(crate) use table::Table;

use faultline_analysis::replay::ooni::{Sign, Step};
use faultline_model::{Asn, CountryCode, MeasurementId, Target, Timestamp};
use url::{Host, Url};

/// Tests of one service each, whose rows name hosts and addresses of that service.
const SERVICE_TESTS: [&str; 4] = ["telegram", "whatsapp", "facebook_messenger", "signal"];

/// What one line holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Steps of a measurement.
    Steps(Vec<Step>),
    /// A test that says nothing about targets.
    OtherTest,
}

/// What every row of a measurement says of it.
#[derive(Clone, Debug)]
struct Head {
    uid: MeasurementId,
    at: Timestamp,
    country: CountryCode,
    asn: Asn,
    organisation: String,
    subject: Subject,
    control_ok: Option<bool>,
}

/// What a test is about.
#[derive(Clone, Debug)]
enum Subject {
    /// One page.
    Page(Target),
    /// A service with its hosts and addresses.
    Service(String),
}

impl Head {
    /// Makes a step about a host; nothing where the host is no name that a target could be.
    fn step(&self, host: &str, sign: Sign) -> Option<Step> {
        let (target, service) = match &self.subject {
            Subject::Page(target) => (target.clone(), None),
            Subject::Service(service) => (service_target(service, host)?, Some(service.clone())),
        };
        Some(Step {
            uid: self.uid.clone(),
            at: self.at,
            country: self.country,
            asn: self.asn,
            organisation: self.organisation.clone(),
            service,
            target,
            sign,
            control_ok: self.control_ok,
        })
    }
}

/// Says what a test is about; nothing for tests of other things.
fn subject(test: &str, input: &str) -> Option<Result<Subject, String>> {
    if SERVICE_TESTS.contains(&test) {
        return Some(Ok(Subject::Service(test.to_owned())));
    }
    let page = || Target::new(input).map(Subject::Page).map_err(|e| e.to_string());
    (test == "web_connectivity").then(page)
}

/// Names a host of a service; its addresses together are one target, which works as long as one of them does.
fn service_target(service: &str, host: &str) -> Option<Target> {
    let is_address =
        host.is_empty() || matches!(Host::parse(host), Ok(Host::Ipv4(_) | Host::Ipv6(_)) | Err(_));
    let url = if is_address {
        format!("http://{}.app-endpoints.invalid/", service.replace('_', "-"))
    } else {
        format!("https://{host}/")
    };
    Target::new(&url).ok()
}

/// Returns the host of a URL as it is written, without brackets.
fn host_of(url: &str) -> String {
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    host.trim_matches(['[', ']']).to_owned()
}

/// Reads `AS33771`, `33771` and `33771.0`.
fn asn(text: &str) -> Result<Asn, String> {
    let digits = text.trim().trim_start_matches("AS");
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    let number =
        digits.parse().map_err(|_| format!("{:?} is no ASN", text.chars().take(20).collect::<String>()))?;
    Asn::recorded(number).map_err(|e| e.to_string())
}

/// Reads OONI's times: `2023-10-15 00:30:52`, with or without a fraction and `+00:00`; all are UTC.
fn moment(text: &str) -> Result<Timestamp, String> {
    let mut text = text.trim().chars().take(40).collect::<String>().replacen(' ', "T", 1);
    if !text.ends_with('Z') && !text.contains('+') {
        text.push('Z');
    }
    text.parse().map_err(|e: faultline_model::TimestampError| e.to_string())
}

#[cfg(test)]
mod tests;
