//! Rows as OONI's tools write them, made up, and garbage.

use super::*;
use faultline_model::{Class, Layer};
use proptest::prelude::*;
use serde_json::json;

const HEADER: &str = "measurement_start_time,measurement_uid,probe_cc,probe_asn,probe_as_org_name,test_name,input,\
hostname,ip,dns_engine,dns_failure,dns_answer,tcp_success,tcp_failure,tls_success,tls_failure,http_request_url,\
http_failure";

fn table() -> Table {
    Table::new(HEADER.as_bytes()).expect("a header")
}

/// Reads one row and returns its targets and signs.
fn row(rest: &str) -> Vec<(String, Sign)> {
    let line = format!("2023-10-15 00:30:52+00:00,20231015_XZ_1,XZ,64501.0,\"Net, Ltd\",{rest}");
    let Line::Steps(steps) = table().read(line.as_bytes()).expect("a row") else { return Vec::new() };
    assert!(steps.iter().all(|step| step.organisation == "Net, Ltd" && step.asn.get() == 64_501));
    steps.into_iter().map(|step| (step.target.to_string(), step.sign)).collect()
}

#[test]
fn a_row_of_a_page_says_what_its_layers_did() {
    let signs = row(
        "web_connectivity,https://x.example/,x.example,203.0.114.9,system,,203.0.114.9,1.0,,1,connection_reset,,",
    );
    let page = "https://x.example/".to_owned();
    let expected = [
        (page.clone(), Sign::Fine(Layer::Dns)),
        (page.clone(), Sign::Fine(Layer::Tcp)),
        (page.clone(), Sign::Failed(Class::TlsReset)),
    ];
    assert_eq!(signs, expected);
    let timeout = row("web_connectivity,https://x.example/,x.example,,,,,,,0,,https://x.example/,timed_out");
    assert_eq!(timeout, [(page, Sign::Failed(Class::HttpTimeout))]);
}

#[test]
fn an_address_that_cannot_be_a_site_is_an_answer_of_its_own() {
    let signs =
        row("telegram,,web.telegram.org,192.168.7.222,system,,192.168.7.222,0.0,generic_timeout_error,0,,,");
    let web = "https://web.telegram.org/".to_owned();
    let expected = [(web.clone(), Sign::Failed(Class::DnsBogon)), (web, Sign::Failed(Class::TcpTimeout))];
    assert_eq!(signs, expected);
}

#[test]
fn addresses_of_a_service_are_one_target_and_ipv6_that_a_line_lacks_is_none() {
    let signs = row("telegram,,,149.154.167.51,,,,1.0,,0,,,");
    assert_eq!(signs, [("http://telegram.app-endpoints.invalid/".to_owned(), Sign::Fine(Layer::Tcp))]);
    let request = row("telegram,,149.154.167.51,,,,,,,0,,http://149.154.167.51:443/,connection_reset");
    assert_eq!(
        request[0],
        ("http://telegram.app-endpoints.invalid/".to_owned(), Sign::Failed(Class::HttpReset))
    );
    let v6 = row("web_connectivity,https://x.example/,x.example,2001:db8::1,,,,0.0,network_unreachable,0,,,");
    assert_eq!(v6, []);
    assert_eq!(row("ndt,,,,,,,,,,,,"), [], "another kind of test");
}

#[test]
fn a_file_without_the_needed_columns_is_refused_and_names_the_missing_one() {
    let error = Table::new(b"measurement_uid,probe_cc").expect_err("incomplete");
    assert!(error.contains("measurement_start_time"), "{error}");
}

fn measurement(test: &str, keys: &serde_json::Value) -> serde_json::Value {
    json!({
        "input": if test == "web_connectivity" { "https://x.example/" } else { "" },
        "measurement_start_time": "2024-02-12 20:33:47", "measurement_uid": "20240212_XZ_1", "probe_cc": "XZ",
        "probe_asn": "AS64501", "probe_network_name": "Net", "test_name": test, "test_keys": keys,
    })
}

fn steps(value: &serde_json::Value) -> Vec<Step> {
    match read_json(value.to_string().as_bytes()).expect("a measurement") {
        Line::Steps(steps) => steps,
        Line::OtherTest => Vec::new(),
    }
}

#[test]
fn a_measurement_tells_its_steps_and_how_the_control_went() {
    let keys = json!({
        "queries": [
            {"engine": "getaddrinfo", "hostname": "x.example", "failure": null, "answers": [{"ipv4": "203.0.114.9"}]},
            {"engine": "doh", "hostname": "x.example", "failure": "dns_nxdomain_error"},
        ],
        "tcp_connect": [{"ip": "203.0.114.9", "port": 443, "status": {"success": true, "failure": null}}],
        "tls_handshakes": [{"address": "203.0.114.9:443", "server_name": "x.example", "failure": "connection_reset"}],
        "requests": [], "http_experiment_failure": "connection_reset",
        "control": {"http_request": {"failure": null, "status_code": 200}}, "control_failure": null,
    });
    let steps = steps(&measurement("web_connectivity", &keys));
    let signs: Vec<Sign> = steps.iter().map(|step| step.sign).collect();
    let expected = [
        Sign::Fine(Layer::Dns),
        Sign::Fine(Layer::Tcp),
        Sign::Failed(Class::TlsReset),
        Sign::Failed(Class::HttpReset),
    ];
    assert_eq!(signs, expected);
    assert!(steps.iter().all(|step| step.control_ok == Some(true)));
}

#[test]
fn the_last_request_of_a_chain_decides_and_a_refusal_is_compared_with_the_control() {
    let page = |code: u64, blocking: serde_json::Value| {
        let keys = json!({
            "requests": [
                {"failure": null, "request": {"url": "https://x.example/"}, "response": {"code": code}},
                {"failure": null, "request": {"url": "http://x.example/"}, "response": {"code": 301}},
            ],
            "blocking": blocking, "control": {"http_request": {"failure": null, "status_code": 200}},
        });
        steps(&measurement("web_connectivity", &keys))[0].sign
    };
    assert_eq!(page(200, json!(false)), Sign::Fine(Layer::Http));
    assert_eq!(page(403, json!("http-diff")), Sign::Failed(Class::HttpStatusDiff));
    assert_eq!(page(200, json!("http-diff")), Sign::Failed(Class::HttpBlockpage));
}

#[test]
fn a_missing_control_is_no_failed_one() {
    let control = |keys: serde_json::Value| {
        let mut keys = keys;
        keys["requests"] = json!([{"failure": null, "response": {"code": 200}}]);
        steps(&measurement("web_connectivity", &keys))[0].control_ok
    };
    assert_eq!(control(json!({"control": null, "control_failure": "generic_timeout_error"})), None);
    assert_eq!(control(json!({})), None);
    let failed = json!({"control": {"http_request": {"failure": "connection_refused"}}});
    assert_eq!(control(failed), Some(false));
}

#[test]
fn a_raw_measurement_without_an_id_is_still_the_same_one_twice() {
    let mut value = measurement("web_connectivity", &json!({"requests": [{"failure": null}]}));
    value["measurement_uid"] = json!(null);
    let once = steps(&value);
    value["probe_asn"] = json!("AS64502");
    assert_eq!(once[0].uid, once[0].uid);
    assert_ne!(once[0].uid, steps(&value)[0].uid);
}

#[test]
fn what_is_null_or_of_another_type_is_refused_or_skipped() {
    for keys in [json!(null), json!("x"), json!([])] {
        assert!(read_json(measurement("web_connectivity", &keys).to_string().as_bytes()).is_err());
    }
    let odd = json!({"queries": {"a": 1}, "tcp_connect": [null, 3, {"status": null}], "requests": [null, {"request": 7}]});
    assert_eq!(steps(&measurement("telegram", &odd)).len(), 2, "two requests that name no failure");
    assert!(read_json(b"[1,2]").is_ok_and(|line| line == Line::OtherTest));
    assert!(read_json(b"{").is_err());
}

proptest! {
    #[test]
    fn no_row_of_a_table_panics(line in "\\PC{0,300}") {
        let _ = table().read(line.as_bytes());
        let _ = Table::new(line.as_bytes());
    }

    #[test]
    fn no_bytes_panic(line in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = table().read(&line);
        let _ = Table::new(&line);
        let _ = read_json(&line);
    }

    #[test]
    fn no_measurement_panics_whatever_its_fields_hold(
        name in prop::sample::select(vec!["queries", "tcp_connect", "tls_handshakes", "requests", "control"]),
        field in prop::sample::select(vec!["failure", "status", "answers", "ip", "address", "request", "http_request"]),
        text in "\\PC{0,40}",
        number in any::<i64>(),
        shape in 0_u8..6,
    ) {
        let inner = match shape {
            0 => json!(text),
            1 => json!(number),
            2 => json!({ "failure": text, "url": text, "code": number }),
            3 => json!([{ "ipv4": text }, number]),
            4 => json!(null),
            _ => json!({ "success": true, "failure": text }),
        };
        let mut row = serde_json::Map::new();
        row.insert(field.to_owned(), inner);
        for test in ["web_connectivity", "telegram"] {
            let keys = json!({ name: [row.clone()] });
            let _ = read_json(measurement(test, &keys).to_string().as_bytes());
        }
    }
}
