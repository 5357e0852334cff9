//! Writing a measurement as OONI writes it (data format 0.2.0), so that OONI's own tools read it.
//!
//! | check | OONI's test |
//! | --- | --- |
//! | `web` | `web_connectivity` |
//! | `quic`, `throughput`, `vpn_api` | `urlgetter`, which holds the same rows and no verdict |
//! | `whatsapp`, `telegram`, `signal`, `messenger` | `whatsapp`, `telegram`, `signal`, `facebook_messenger` |
//! | `tor` | `tor`, one target |
//!
//! The others have no equal there. `path` has no rows that OONI's tools read; they would take the retries of `diagnose` and
//! the canaries of `selfcheck` for the way of ordinary programs; their package knows neither OpenVPN nor WireGuard, nor a
//! handshake through a proxy. Checks of ways around censorship are written only where the caller says that they may
//! leave ([`About::is_restricted`]): which host was tried, and where, is nothing for the public.
//!
//! Nothing points to the volunteer: `probe_ip` is the loopback address, as in OONI's own files, the system resolver's
//! address is not known here, and ids are hashes. The verdict keys are filled from our judgement beside the given
//! controls; without any, they are null.

mod control;
mod messaging;
mod rows;

#[cfg(test)]
mod tests;

use crate::judge::{ControlFact, deciding_step, judge};
use faultline_model::{
    Asn, CheckKind, Class, CountryCode, Failure, Judgement, Layer, LayerStatus, Measurement, ProtocolClass,
    Timestamp,
};
use serde_json::{Value, json};

/// The names of OONI's tests, with the version whose keys are followed.
const fn test_of(check: CheckKind) -> Option<(&'static str, &'static str)> {
    match check {
        CheckKind::Web => Some(("web_connectivity", "0.5.0")),
        CheckKind::Quic | CheckKind::Throughput | CheckKind::VpnApi => Some(("urlgetter", "0.2.0")),
        CheckKind::Whatsapp => Some(("whatsapp", "0.11.0")),
        CheckKind::Telegram => Some(("telegram", "0.3.1")),
        CheckKind::Signal => Some(("signal", "0.2.5")),
        CheckKind::Messenger => Some(("facebook_messenger", "0.2.1")),
        CheckKind::Tor => Some(("tor", "0.4.0")),
        _ => None,
    }
}

/// Says whether OONI's data has an equal of a check.
#[must_use]
pub const fn has_equal(check: CheckKind) -> bool {
    test_of(check).is_some()
}

/// What is known of a measurement beside its facts.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// The country, where it is known.
    pub country: Option<CountryCode>,
    /// The network, where it is known.
    pub asn: Option<Asn>,
    /// The network's name, empty where it is not known.
    pub network_name: &'a str,
    /// The program's version.
    pub version: &'a str,
    /// Controls' measurements of the same target in the same minutes; the first is written as the test helper.
    pub controls: &'a [&'a Measurement],
    /// Checks of ways around censorship may be written too: whoever reads may know which host was tried.
    pub is_restricted: bool,
}

/// Writes a measurement; `None` for a check that has no equal in OONI's data, or that must not be published.
#[must_use]
pub fn write(measurement: &Measurement, about: &About<'_>) -> Option<Value> {
    let (test, version) = test_of(measurement.check)?;
    if measurement.check.is_circumvention() && !about.is_restricted {
        return None;
    }
    let keys = match measurement.check {
        CheckKind::Web => web(measurement, about),
        CheckKind::Tor => tor(measurement),
        CheckKind::Whatsapp | CheckKind::Telegram | CheckKind::Signal | CheckKind::Messenger => {
            messaging::write(measurement, about)
        }
        _ => urlgetter(measurement),
    };
    let at = moment(measurement.started_at);
    let country = about.country.map_or_else(|| "ZZ".to_owned(), |country| country.to_string());
    let asn = about.asn.map_or(0, Asn::get);
    let name = test.replace('_', "");
    let digits: String = at.chars().filter(char::is_ascii_digit).collect();
    let hash = hash(measurement.id.as_str());
    Some(json!({
        "data_format_version": "0.2.0",
        "extensions": {"dnst": 0, "httpt": 0, "netevents": 0, "tcpconnect": 0, "tlshandshake": 0},
        "annotations": {
            "engine_name": "faultline",
            "engine_version": about.version,
            "platform": "unknown",
            "faultline_check": measurement.check.as_str(),
        },
        "input": measurement.target.as_str(),
        "measurement_start_time": at,
        "test_start_time": at,
        "test_runtime": measurement.duration.as_secs_f64(),
        "probe_asn": format!("AS{asn}"),
        "probe_cc": country,
        "probe_ip": "127.0.0.1",
        "probe_network_name": about.network_name,
        "report_id": format!("{}T{}Z_{name}_{country}_{asn}_n1_{hash:016x}", &digits[..8], &digits[8..]),
        "measurement_uid": format!("{digits}.000000_{country}_{name}_{hash:016x}"),
        "software_name": "faultline",
        "software_version": about.version,
        "test_name": test,
        "test_version": version,
        "test_keys": keys,
    }))
}

fn web(measurement: &Measurement, about: &About<'_>) -> Value {
    let facts: Vec<ControlFact> = about.controls.iter().map(|control| ControlFact::of(control)).collect();
    let judgement = judge(measurement, &facts);
    let failed = deciding_step(measurement);
    let failure_at = |wanted: fn(Layer) -> bool| {
        let failed = failed.filter(|step| wanted(step.layer));
        failed.and_then(|step| step.failure.as_ref()).map(failure)
    };
    let mut keys = rows::write(measurement);
    let (blocking, accessible) = verdict(&judgement);
    keys["control"] = about.controls.first().map_or(Value::Null, |control| control::write(control));
    keys["control_failure"] = match about.controls {
        [] => Value::from("unknown_failure: no control"),
        _ => Value::Null,
    };
    keys["dns_experiment_failure"] = Value::from(failure_at(|layer| layer == Layer::Dns));
    keys["http_experiment_failure"] = Value::from(failure_at(|layer| layer != Layer::Dns));
    keys["dns_consistency"] = match (about.controls, judgement.layer, judgement.status) {
        ([], ..) => Value::Null,
        (_, Layer::Dns, LayerStatus::Blocked) => Value::from("inconsistent"),
        _ => Value::from("consistent"),
    };
    keys["blocking"] = blocking;
    keys["accessible"] = accessible;
    for unknown in ["body_length_match", "headers_match", "status_code_match", "title_match"] {
        keys[unknown] = Value::Null;
    }
    keys["body_proportion"] = Value::from(0.0);
    keys
}

fn urlgetter(measurement: &Measurement) -> Value {
    let mut keys = rows::write(measurement);
    let failed = deciding_step(measurement);
    keys["agent"] = Value::from("agent");
    keys["failure"] = Value::from(failed.and_then(|step| step.failure.as_ref()).map(failure));
    keys["failed_operation"] = Value::from(failed.map(|step| match step.layer {
        Layer::Dns => "resolve",
        Layer::Tcp => "connect",
        Layer::Tls => "tls_handshake",
        Layer::Quic => "quic_handshake",
        _ => "http_round_trip",
    }));
    keys
}

/// Writes the one relay or bridge that was tried.
fn tor(measurement: &Measurement) -> Value {
    let failed = deciding_step(measurement).and_then(|step| step.failure.as_ref());
    let is_obfs4 = measurement.check.protocol_class(&measurement.target) == Some(ProtocolClass::Obfs4);
    let mut target = rows::write(measurement);
    let peer = measurement.observations.iter().find_map(|step| step.peer);
    let name = measurement.target.host();
    target["target_address"] = Value::from(peer.map_or_else(|| name.to_owned(), |peer| peer.to_string()));
    target["target_name"] = Value::from(name);
    target["target_protocol"] = Value::from(if is_obfs4 { "obfs4" } else { "or_port" });
    target["failure"] = Value::from(failed.map(failure));
    json!({ "targets": { name: target } })
}

/// Returns OONI's `blocking` and `accessible`.
fn verdict(judgement: &Judgement) -> (Value, Value) {
    let how = match (judgement.layer, judgement.class) {
        (Layer::Dns, _) => "dns",
        (Layer::Tcp, _) => "tcp_ip",
        (_, Class::HttpBlockpage | Class::HttpStatusDiff) => "http-diff",
        _ => "http-failure",
    };
    match judgement.status {
        LayerStatus::Blocked | LayerStatus::Throttled => (Value::from(how), Value::from(false)),
        LayerStatus::Down => (Value::from(false), Value::from(false)),
        LayerStatus::Insufficient => (Value::Null, Value::Null),
        // Tampered with, and reached all the same.
        LayerStatus::Ok | LayerStatus::Tampered => (Value::from(false), Value::from(true)),
    }
}

/// Writes a failure as OONI names it; what OONI has no name for becomes an unknown failure that names ours.
fn failure(failure: &Failure) -> String {
    match failure {
        Failure::TooManyRedirects => "unknown_failure: stopped after too many redirects".to_owned(),
        Failure::HttpInvalidResponse
        | Failure::RedirectDenied
        | Failure::AddressDenied
        | Failure::TunnelInvalidReply
        | Failure::TunnelWrongPeer
        | Failure::TunnelDenied => format!("unknown_failure: {}", failure.code()),
        known => known.to_string(),
    }
}

/// Writes a moment to the second, as OONI's tools insist.
fn moment(at: Timestamp) -> String {
    let whole = Timestamp::from_unix_ms(at.unix_ms().div_euclid(1000) * 1000).to_string();
    let text = whole.get(..19).unwrap_or("1970-01-01T00:00:00");
    text.replace('T', " ")
}

fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
