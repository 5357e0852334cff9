//! What is written reads back as the same facts, and says nothing of the volunteer.

use super::super::{Reading, read};
use super::{About, has_equal, write};
use crate::judge::{ControlFact, judge};
use faultline_model::{
    CheckKind, Depth, DnsAnswer, DownloadEnd, EndpointFact, Engine, Fact, Failure, HttpFact, Layer,
    LayerStatus, Measurement, MeasurementId, Observation, QuicFact, Target, ThroughputFact, Timestamp,
    TlsFact, Why,
};
use serde_json::Value;
use std::time::Duration;

const HOST: &str = "www.facebook.com";
const SITE: &str = "157.240.0.35";

fn step(layer: Layer, failure: Option<Failure>, fact: Fact) -> Observation {
    let peer = (layer != Layer::Dns).then(|| format!("{SITE}:443").parse().expect("an endpoint"));
    let (at, took) = (Duration::from_millis(10), Duration::from_millis(31));
    Observation { layer, engine: Engine::System, hop: 0, peer, at, took, failure, fact }
}

fn dns() -> Observation {
    let addresses = vec![SITE.parse().expect("an address"), "2a03:2880::1".parse().expect("an address")];
    step(Layer::Dns, None, Fact::Dns(DnsAnswer { hostname: HOST.into(), addresses, ..DnsAnswer::default() }))
}

fn tls(failure: Option<Failure>) -> Observation {
    step(Layer::Tls, failure, Fact::Tls(TlsFact { server_name: HOST.into(), ..TlsFact::default() }))
}

fn page() -> Observation {
    let url = format!("https://{HOST}/");
    let fact = HttpFact { url, status: 200, body_bytes: 90, title: "Facebook".into(), ..HttpFact::default() };
    step(Layer::Http, None, Fact::Http(fact))
}

fn measurement(check: CheckKind, observations: Vec<Observation>) -> Measurement {
    Measurement {
        id: MeasurementId::new("m1").expect("valid"),
        check,
        target: Target::new(&format!("https://{HOST}/")).expect("valid"),
        depth: Depth::Light,
        why: Why::Routine,
        token: None,
        parent: None,
        list_version: 1,
        started_at: "2026-11-20T10:00:05.250Z".parse::<Timestamp>().expect("valid"),
        duration: Duration::from_millis(2500),
        observations,
    }
}

fn blocked() -> Measurement {
    let reset = Some(Failure::ConnectionReset);
    measurement(CheckKind::Web, vec![dns(), step(Layer::Tcp, None, Fact::None), tls(reset)])
}

fn fine() -> Measurement {
    measurement(CheckKind::Web, vec![dns(), step(Layer::Tcp, None, Fact::None), tls(None), page()])
}

fn about<'a>(controls: &'a [&'a Measurement]) -> About<'a> {
    let asn = Some(faultline_model::Asn::recorded(23674).expect("valid"));
    About {
        country: "PK".parse().ok(),
        asn,
        network_name: "Nayatel",
        version: "0.1.0",
        controls,
        is_restricted: false,
    }
}

fn back(value: &Value) -> super::super::Imported {
    match read(value.to_string().as_bytes()).expect("a measurement") {
        Reading::Measurements(mut all) => all.remove(0),
        Reading::NotImported(why) => panic!("{why}"),
    }
}

#[test]
fn what_is_written_reads_back_as_the_same_steps_and_judgement() {
    let control = fine();
    for (measured, status) in [(blocked(), LayerStatus::Blocked), (fine(), LayerStatus::Ok)] {
        let value = write(&measured, &about(&[&control])).expect("written");
        let found = back(&value);
        let outline = |measurement: &Measurement| -> Vec<_> {
            let steps = measurement.observations.iter();
            steps.map(|step| (step.layer, step.engine, step.peer, step.failure.clone())).collect()
        };
        assert_eq!(outline(&found.measurement), outline(&measured));
        let own = judge(&measured, &[ControlFact::of(&control)]);
        let theirs = judge(&found.measurement, found.control.as_slice());
        assert_eq!((own.status, own.rule.as_str()), (status, theirs.rule.as_str()));
        assert_eq!(own.status, theirs.status);
    }
}

#[test]
fn the_head_is_what_oonis_tools_insist_on() {
    let value = write(&blocked(), &about(&[])).expect("written");
    assert_eq!(value["measurement_start_time"], "2026-11-20 10:00:05");
    assert_eq!((&value["probe_asn"], &value["probe_ip"]), (&"AS23674".into(), &"127.0.0.1".into()));
    let uid = value["measurement_uid"].as_str().expect("a text");
    assert!(uid.starts_with("20261120100005.000000_PK_webconnectivity_"), "{uid}");
    let report = value["report_id"].as_str().expect("a text");
    assert!(report.starts_with("20261120T100005Z_webconnectivity_PK_23674_n1_"), "{report}");
    let keys = &value["test_keys"];
    assert_eq!((&keys["control"], &keys["blocking"]), (&Value::Null, &Value::Null), "no control, no verdict");
    assert!(!value.to_string().contains("\"m1\""), "ids are hashes");
}

#[test]
fn verdict_keys_follow_our_judgement() {
    let control = fine();
    let keys = write(&blocked(), &about(&[&control])).expect("written")["test_keys"].clone();
    assert_eq!((&keys["blocking"], &keys["accessible"]), (&"http-failure".into(), &false.into()));
    assert_eq!(keys["http_experiment_failure"], "connection_reset");
    assert_eq!(keys["tls_handshakes"][0]["transaction_id"], keys["tcp_connect"][0]["transaction_id"]);
    assert_eq!(keys["control"]["tls_handshake"][format!("{SITE}:443")]["status"], true);
    let down = blocked();
    let keys = write(&blocked(), &about(&[&down])).expect("written")["test_keys"].clone();
    assert_eq!((&keys["blocking"], &keys["accessible"]), (&false.into(), &false.into()));
}

#[test]
fn quic_and_downloads_become_urlgetter_and_others_stay_here() {
    let fact = QuicFact { server_name: HOST.into(), alpn: "h3".into(), ..QuicFact::default() };
    let quic = measurement(
        CheckKind::Quic,
        vec![dns(), step(Layer::Quic, Some(Failure::Timeout), Fact::Quic(fact))],
    );
    let value = write(&quic, &about(&[])).expect("written");
    assert_eq!(
        (&value["test_name"], &value["test_keys"]["failed_operation"]),
        (&"urlgetter".into(), &"quic_handshake".into())
    );
    let found = back(&value);
    assert_eq!(found.measurement.check, CheckKind::Quic);
    assert_eq!(found.measurement.observations.last().map(|step| step.layer), Some(Layer::Quic));
    let download = ThroughputFact {
        url: format!("https://{HOST}/"),
        status: 200,
        body_bytes: 300,
        bin_ms: 100,
        bins: vec![100, 200],
        end: DownloadEnd::Complete,
        ..ThroughputFact::default()
    };
    let slow =
        measurement(CheckKind::Throughput, vec![dns(), step(Layer::Http, None, Fact::Throughput(download))]);
    let keys = write(&slow, &about(&[])).expect("written")["test_keys"].clone();
    assert_eq!(keys["network_events"][1]["num_bytes"], 300);
    for kind in [CheckKind::Path, CheckKind::Openvpn, CheckKind::Diagnose, CheckKind::Selfcheck] {
        let released = About { is_restricted: true, ..about(&[]) };
        assert_eq!(write(&measurement(kind, vec![dns()]), &released), None, "{kind}");
        assert!(!has_equal(kind), "{kind}");
    }
}

#[test]
fn ways_around_censorship_are_written_only_for_those_who_may_know_them() {
    for kind in [CheckKind::Tor, CheckKind::VpnApi] {
        let measured = measurement(kind, vec![dns(), step(Layer::Tcp, None, Fact::None)]);
        assert_eq!(write(&measured, &about(&[])), None, "{kind}");
        let released = About { is_restricted: true, ..about(&[]) };
        assert!(write(&measured, &released).is_some(), "{kind}");
    }
    let released = About { is_restricted: true, ..about(&[]) };
    let tor = write(&measurement(CheckKind::Tor, vec![dns()]), &released).expect("written");
    assert_eq!(tor["test_keys"]["targets"][HOST]["target_protocol"], "or_port");
}

#[test]
fn endpoints_of_one_service_keep_connections_of_their_own() {
    let endpoint = |host: &str, address: &str, failure: Option<Failure>| {
        let mut step =
            step(Layer::Tcp, failure, Fact::Endpoint(EndpointFact { name: format!("{host}:443") }));
        step.peer = format!("{address}:443").parse().ok();
        step
    };
    let mut hello = step(
        Layer::Tls,
        None,
        Fact::Tls(TlsFact { server_name: "v.whatsapp.net".into(), ..TlsFact::default() }),
    );
    hello.peer = "157.240.0.60:443".parse().ok();
    let reset = || Some(Failure::ConnectionReset);
    let steps = vec![
        endpoint("v.whatsapp.net", "157.240.0.60", None),
        endpoint("e1.whatsapp.net", "157.240.0.61", reset()),
        endpoint("e5.whatsapp.net", "157.240.0.62", reset()),
        hello,
    ];
    let measured = measurement(CheckKind::Whatsapp, steps);
    let fine = measurement(
        CheckKind::Whatsapp,
        vec![
            endpoint("e1.whatsapp.net", "157.240.0.61", None),
            endpoint("v.whatsapp.net", "157.240.0.60", None),
        ],
    );
    let value = write(&measured, &about(&[&fine])).expect("written");
    let keys = &value["test_keys"];
    assert_eq!(value["test_name"], "whatsapp");
    assert_eq!(keys["tls_handshakes"][0]["transaction_id"], keys["tcp_connect"][0]["transaction_id"]);
    assert_eq!(keys["whatsapp_endpoints_status"], "blocked");
    assert_eq!(keys["whatsapp_web_status"], Value::Null, "it was not tried");
    let alone = write(&measured, &about(&[])).expect("written");
    assert_eq!(alone["test_keys"]["whatsapp_endpoints_status"], Value::Null, "no control, no verdict");
}
