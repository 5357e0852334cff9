//! Measurement JSON lines: one measurement a line, read leniently, because every version of OONI's tools writes
//! other fields and leaves others out.

use super::{Head, Line, Subject, asn, host_of, moment, subject};
use faultline_analysis::replay::ooni::{Sign, Step, answer, sign};
use faultline_model::{Class, Failure, Layer, MeasurementId};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// Rows of one kind in a measurement that are looked at.
const MAX_ROWS: usize = 500;
const REFUSAL: std::ops::RangeInclusive<u64> = 400..=599;
const ANSWER: std::ops::RangeInclusive<u64> = 200..=399;

/// Reads a measurement.
pub(crate) fn read(line: &[u8]) -> Result<Line, String> {
    let value: Value = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let Some(subject) = subject(text("test_name"), text("input")) else { return Ok(Line::OtherTest) };
    let keys = &value["test_keys"];
    if !keys.is_object() {
        return Err("the measurement has no test_keys".to_owned());
    }
    let subject = subject?;
    let head = Head {
        uid: uid(&value)?,
        at: moment(text("measurement_start_time"))?,
        country: text("probe_cc").parse()?,
        asn: asn(text("probe_asn"))?,
        organisation: text("probe_network_name").chars().take(120).collect(),
        control_ok: control_ok(keys),
        subject,
    };
    let mut steps = Vec::new();
    read_queries(&head, keys, &mut steps);
    read_connections(&head, keys, &mut steps);
    read_handshakes(&head, keys, &mut steps);
    match head.subject {
        Subject::Page(_) => read_page(&head, keys, &mut steps),
        Subject::Service(_) => read_requests(&head, keys, &mut steps),
    }
    Ok(Line::Steps(steps))
}

/// Returns the measurement's id; raw files, whose collector gave none, are told apart by what they say.
fn uid(value: &Value) -> Result<MeasurementId, String> {
    let given = value["measurement_uid"].as_str().unwrap_or_default();
    if !given.is_empty() {
        return MeasurementId::new(given).map_err(|e| e.to_string());
    }
    let parts = ["report_id", "input", "test_name", "probe_asn", "measurement_start_time", "test_runtime"];
    let text: Vec<String> = parts.iter().map(|part| value[*part].to_string()).collect();
    let hash = |seed: u64| {
        text.join("\n").bytes().fold(seed, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    MeasurementId::new(format!("{:016x}{:016x}", hash(0xcbf2_9ce4_8422_2325), hash(0x9e37_79b9_7f4a_7c15)))
        .map_err(|e| e.to_string())
}

/// Did the control reach the page? A control that is missing is no failed one.
fn control_ok(keys: &Value) -> Option<bool> {
    let control = &keys["control"]["http_request"];
    if !control.is_object() || keys["control_failure"].is_string() {
        return None;
    }
    Some(!control["failure"].is_string())
}

fn rows<'a>(keys: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    keys[name].as_array().map_or(&[][..], Vec::as_slice).iter().take(MAX_ROWS)
}

fn failure(value: &Value) -> Option<Failure> {
    value.as_str().filter(|text| !text.is_empty()).map(Failure::parse)
}

/// What the system's resolver said; others are asked beside it for comparison only.
fn read_queries(head: &Head, keys: &Value, steps: &mut Vec<Step>) {
    for query in rows(keys, "queries") {
        let engine = query["engine"].as_str().unwrap_or("system");
        let kind = query["query_type"].as_str().unwrap_or("A");
        if !matches!(engine, "system" | "getaddrinfo" | "golang_net_resolver" | "go") || kind == "AAAA" {
            continue;
        }
        let addresses = query["answers"].as_array().map_or(&[][..], Vec::as_slice).iter().take(MAX_ROWS);
        let addresses = addresses.filter_map(|answer| {
            let text = answer["ipv4"].as_str().or_else(|| answer["ipv6"].as_str())?;
            text.parse::<IpAddr>().ok()
        });
        let addresses: Vec<IpAddr> = addresses.collect();
        let are_forged = !addresses.is_empty() && addresses.iter().all(|address| answer(*address).is_some());
        let own = sign(Layer::Dns, failure(&query["failure"]).as_ref(), false);
        let sign = if are_forged { answer(addresses[0]) } else { own };
        let host = query["hostname"].as_str().unwrap_or_default();
        steps.extend(sign.and_then(|sign| head.step(host, sign)));
    }
}

fn read_connections(head: &Head, keys: &Value, steps: &mut Vec<Step>) {
    for connection in rows(keys, "tcp_connect") {
        let address = connection["ip"].as_str().unwrap_or_default();
        let is_v6 = address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
        let failure = failure(&connection["status"]["failure"]);
        if failure.is_none() && connection["status"]["success"].as_bool() != Some(true) {
            continue;
        }
        let sign = sign(Layer::Tcp, failure.as_ref(), is_v6);
        steps.extend(sign.and_then(|sign| head.step("", sign)));
    }
}

fn read_handshakes(head: &Head, keys: &Value, steps: &mut Vec<Step>) {
    for handshake in rows(keys, "tls_handshakes") {
        let address = handshake["address"].as_str().unwrap_or_default();
        let is_v6 = address.parse::<SocketAddr>().is_ok_and(|address| address.is_ipv6());
        let host = handshake["server_name"].as_str().unwrap_or_default();
        let sign = sign(Layer::Tls, failure(&handshake["failure"]).as_ref(), is_v6);
        steps.extend(sign.and_then(|sign| head.step(host, sign)));
    }
}

/// How a page was met in the end: the last request of a chain of redirects, which OONI writes first.
fn read_page(head: &Head, keys: &Value, steps: &mut Vec<Step>) {
    if let Some(failure) = failure(&keys["dns_experiment_failure"]) {
        steps.extend(sign(Layer::Dns, Some(&failure), false).and_then(|sign| head.step("", sign)));
    }
    // The chain as a whole failed, although its first requests may have gone through.
    if let Some(failure) = failure(&keys["http_experiment_failure"]) {
        steps.extend(sign(Layer::Http, Some(&failure), false).and_then(|sign| head.step("", sign)));
        return;
    }
    let Some(last) = rows(keys, "requests").next() else { return };
    let found = match failure(&last["failure"]) {
        Some(failure) => sign(Layer::Http, Some(&failure), false),
        None => Some(page(keys, last)),
    };
    steps.extend(found.and_then(|sign| head.step("", sign)));
}

/// Compares a page with the control's.
fn page(keys: &Value, last: &Value) -> Sign {
    let code = last["response"]["code"].as_u64().unwrap_or(0);
    let expected = keys["control"]["http_request"]["status_code"].as_u64().unwrap_or(0);
    if REFUSAL.contains(&code) && ANSWER.contains(&expected) {
        Sign::Failed(Class::HttpStatusDiff)
    } else if keys["blocking"].as_str() == Some("http-diff") {
        Sign::Failed(Class::HttpBlockpage)
    } else {
        Sign::Fine(Layer::Http)
    }
}

fn read_requests(head: &Head, keys: &Value, steps: &mut Vec<Step>) {
    for request in rows(keys, "requests") {
        let host = host_of(request["request"]["url"].as_str().unwrap_or_default());
        let sign = sign(Layer::Http, failure(&request["failure"]).as_ref(), false);
        steps.extend(sign.and_then(|sign| head.step(&host, sign)));
    }
}
