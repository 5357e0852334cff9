//! How OONI's measurements read: each engine's habits, and whatever strangers may write.

use super::{NotImported, Reading, ReadingError, read};
use crate::judge::judge;
use faultline_model::{Class, Engine, Failure, Layer, LayerStatus, Measurement};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use serde_json::{Value, json};

fn whole(test: &str, input: &Value, keys: &Value) -> Value {
    json!({
        "test_name": test, "test_version": "0.5.28", "input": input, "measurement_start_time": "2024-02-12 20:33:47",
        "test_runtime": 2.5, "probe_asn": "AS137", "probe_cc": "IT", "probe_ip": "198.51.100.7", "test_keys": keys
    })
}

fn all(value: &Value) -> Vec<super::Imported> {
    match read(value.to_string().as_bytes()).expect("a measurement") {
        Reading::Measurements(all) => all,
        Reading::NotImported(why) => panic!("{why}"),
    }
}

fn one(keys: &Value) -> super::Imported {
    all(&whole("web_connectivity", &json!("https://www.example.com/"), keys)).remove(0)
}

fn walk(measurement: &Measurement) -> Vec<(Layer, Engine, u8, Option<Failure>)> {
    let of = |step: &faultline_model::Observation| (step.layer, step.engine, step.hop, step.failure.clone());
    measurement.observations.iter().map(of).collect()
}

fn query(engine: &str, kind: &str, addresses: &[&str], failure: Option<&str>) -> Value {
    let answers: Vec<Value> =
        addresses.iter().map(|address| json!({"answer_type": "A", "ipv4": address})).collect();
    json!({"engine": engine, "hostname": "www.example.com", "query_type": kind, "answers": answers, "failure": failure,
           "resolver_address": "192.168.1.1:53"})
}

fn connection(ip: &str, failure: Option<&str>) -> Value {
    json!({"ip": ip, "port": 443, "status": {"success": failure.is_none(), "failure": failure}})
}

fn helper() -> Value {
    json!({"dns": {"failure": null, "addrs": ["93.184.216.34", "alias.example."]},
           "http_request": {"failure": null, "status_code": 200}})
}

#[test]
fn a_reset_handshake_is_read_in_the_order_of_the_steps_and_judged() {
    let found = one(&json!({
        "tls_handshakes": [{"address": "93.184.216.34:443", "server_name": "www.example.com", "failure": "connection_reset"}],
        "tcp_connect": [connection("93.184.216.34", None)],
        "queries": [query("getaddrinfo", "ANY", &["93.184.216.34"], None), query("udp", "AAAA", &[], Some("dns_no_answer")),
                    query("udp", "A", &["93.184.216.34"], None)],
        "requests": [], "control": helper(), "control_failure": null, "blocking": "http-failure", "accessible": false
    }));
    let steps = walk(&found.measurement);
    let reset = Some(Failure::ConnectionReset);
    let expected = [
        (Layer::Dns, Engine::System, 0, None),
        (Layer::Dns, Engine::Udp, 0, None),
        (Layer::Tcp, Engine::System, 0, None),
        (Layer::Tls, Engine::System, 0, reset),
    ];
    assert_eq!(steps, expected);
    let control = found.control.expect("the helper answered");
    assert_eq!((control.failed_at, control.http_status, control.addresses.len()), (None, 200, 1));
    let judgement = judge(&found.measurement, &[control]);
    assert_eq!((judgement.class, judgement.status), (Class::TlsReset, LayerStatus::Blocked));
    assert_eq!(judge(&found.measurement, &[]).status, LayerStatus::Insufficient);
    assert_eq!(
        (found.origin.verdict.as_str(), found.origin.asn.map(|asn| asn.get())),
        ("http-failure", Some(137))
    );
}

#[test]
fn addresses_of_the_probe_and_of_its_resolver_are_not_taken_over() {
    let found = one(&json!({"queries": [query("system", "A", &[], Some("dns_nxdomain_error"))],
                            "client_resolver": "198.51.100.53"}));
    let written = serde_json::to_string(&found.measurement).expect("written");
    assert!(!written.contains("198.51.100") && !written.contains("192.168.1.1"), "{written}");
}

#[test]
fn a_failure_that_is_known_for_the_request_alone_is_put_at_its_layer() {
    let keys = |failure: &str, connections: Value| {
        json!({"queries": [query("system", "A", &["93.184.216.34"], None)], "tcp_connect": connections,
               "requests": [{"failure": failure, "request": {"url": "https://www.example.com/"}, "response": {}}]})
    };
    let connected = json!([connection("93.184.216.34", None)]);
    let refused = json!([connection("93.184.216.34", Some("connection_refused"))]);
    for (failure, connections, layer, count) in [
        ("response_never_received", connected.clone(), Layer::Tls, 3),
        ("ssl_unknown_authority", connected.clone(), Layer::Tls, 3),
        ("http_invalid_redirect_location_host", connected, Layer::Http, 3),
        ("connection_refused_error", refused, Layer::Tcp, 2),
        ("generic_timeout_error", json!(null), Layer::Tcp, 2),
    ] {
        let found = one(&keys(failure, connections));
        let last = found.measurement.observations.last().expect("a step");
        assert_eq!((last.layer, found.measurement.observations.len()), (layer, count), "{failure}");
        assert!(last.failure.is_some());
    }
}

#[test]
fn redirects_are_hops_by_tag_or_by_name() {
    let request = |url: &str, location: &str| {
        json!({"failure": null, "request": {"url": url},
               "response": {"code": if location.is_empty() { 200 } else { 302 }, "headers": {"Location": location}}})
    };
    let found = one(&json!({
        "queries": [query("system", "A", &["93.184.216.34"], None),
            {"engine": "system", "hostname": "other.example", "query_type": "A", "answers": [{"ipv4": "93.184.216.99"}], "failure": null}],
        "tcp_connect": [connection("93.184.216.99", None), connection("93.184.216.34", None)],
        "requests": [request("https://other.example/", ""), request("https://www.example.com/", "https://other.example/")]
    }));
    let hops: Vec<(Layer, u8)> =
        found.measurement.observations.iter().map(|step| (step.layer, step.hop)).collect();
    let (dns, tcp, http) = (Layer::Dns, Layer::Tcp, Layer::Http);
    assert_eq!(hops, [(dns, 0), (tcp, 0), (http, 0), (dns, 1), (tcp, 1), (http, 1)]);
}

#[test]
fn a_measurement_that_just_ends_is_not_a_success() {
    let found = one(&json!({"queries": [query("system", "A", &["93.184.216.34"], None)], "requests": null,
                            "control": helper()}));
    let control = found.control.expect("a control");
    assert_eq!(judge(&found.measurement, &[control]).status, LayerStatus::Insufficient);
    let bogon = one(&json!({"queries": [query("system", "A", &["10.10.34.34"], None)], "control": helper()}));
    let control = bogon.control.expect("a control");
    assert_eq!(judge(&bogon.measurement, &[control]).class, Class::DnsBogon);
}

#[test]
fn a_helper_that_failed_or_said_nothing_is_no_control() {
    for keys in [
        json!({"control": helper(), "control_failure": "generic_timeout_error"}),
        json!({"control": null, "control_failure": null}),
        json!({"control": {"http_request": {"failure": null, "status_code": -1}}}),
    ] {
        let mut keys = keys;
        keys["queries"] = json!([query("system", "A", &[], Some("dns_nxdomain_error"))]);
        assert_eq!(one(&keys).control, None);
    }
}

#[test]
fn the_hosts_of_a_service_are_targets_and_unknown_tests_are_named() {
    let tls = |host: &str, failure: Option<&str>| json!({"address": "157.240.0.35:443", "server_name": host, "failure": failure});
    let value = whole(
        "whatsapp",
        &json!(null),
        &json!({"tls_handshakes": [tls("web.whatsapp.com", Some("connection_reset")), tls("v.whatsapp.net", None)]}),
    );
    let all = all(&value);
    let hosts: Vec<&str> = all.iter().map(|found| found.measurement.target.host()).collect();
    assert_eq!(hosts, ["v.whatsapp.net", "web.whatsapp.com"]);
    assert_ne!(all[0].measurement.id, all[1].measurement.id);
    assert_eq!(judge(&all[0].measurement, &[]).status, LayerStatus::Insufficient, "a handshake is no page");
    let other = whole("ndt", &json!(null), &json!({}));
    let Ok(Reading::NotImported(why)) = read(other.to_string().as_bytes()) else { panic!("imported") };
    assert_eq!(why, NotImported::OtherTest("ndt".into()));
}

#[test]
fn what_is_no_measurement_is_refused_with_the_reason() {
    assert!(matches!(read(b"{"), Err(ReadingError::Json(_))));
    assert!(matches!(read(b"[1]"), Err(ReadingError::NoMeasurement)));
    let undated = json!({"test_name": "web_connectivity", "test_keys": {}, "input": "https://x.com/"});
    assert!(matches!(read(undated.to_string().as_bytes()), Err(ReadingError::Field { .. })));
    let address = whole("web_connectivity", &json!("http://192.0.2.1/"), &json!({}));
    assert!(matches!(read(address.to_string().as_bytes()), Ok(Reading::NotImported(NotImported::Target(_)))));
    assert!(read("[".repeat(100_000).as_bytes()).is_err(), "depth is bounded");
}

/// Any JSON, with OONI's own words often enough to get somewhere.
fn json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "93.184.216.34",
        "www.example.com",
        "connection_reset",
        "classic",
        "depth=3",
        "depth=999",
        "A",
        "udp",
        "",
        "93.184.216.34:443",
        "https://www.example.com/",
        "\u{1b}[2J",
        "dns_no_answer",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "queries",
        "tcp_connect",
        "tls_handshakes",
        "requests",
        "control",
        "answers",
        "hostname",
        "ip",
        "port",
        "t",
        "status",
        "failure",
        "address",
        "tags",
        "response",
        "request",
        "url",
        "headers",
        "code",
        "body",
        "data",
        "transaction_id",
        "engine",
        "ipv4",
        "http_request",
        "dns",
        "addrs",
        "query_type",
        "server_name",
        "success",
    ]);
    leaf.prop_recursive(6, 200, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(keys.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_breaks_the_reader(mut keys in json(), lists in prop::collection::vec(json(), 4)) {
        if keys.is_object() {
            for (name, list) in ["queries", "tcp_connect", "tls_handshakes", "requests"].iter().zip(lists) {
                keys[*name] = Value::Array(vec![list.clone(), list]);
            }
        }
        let value = whole("web_connectivity", &json!("http://www.example.com/"), &keys);
        if let Ok(Reading::Measurements(all)) = read(value.to_string().as_bytes()) {
            for found in all {
                let _ = judge(&found.measurement, found.control.as_slice());
            }
        }
    }
}
