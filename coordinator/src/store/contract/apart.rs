//! What every store must do with results that are held back, and with diagnoses.

use super::super::{Archive, Registry, Release};
use super::{at, measurement};
use faultline_model::{
    CheckKind, Class, Judgement, Layer, LayerStatus, MeasurementId, ProtocolClass, Target,
};
use std::path::Path;

fn judged(class: Class, rule: &str) -> Judgement {
    Judgement {
        class,
        layer: Layer::Tls,
        status: LayerStatus::Blocked,
        rule: rule.into(),
        hop: 0,
        evidence: vec![],
    }
}

pub(in super::super) async fn handshakes_and_diagnoses_are_told_apart_from_the_rest<S: Archive>(
    dir: &Path,
    open: impl Fn(&Path) -> S,
) {
    let store = open(dir);
    let far = Target::new("openvpn://relay.example.net").expect("valid");
    let of = |id: &str, check, received_at| {
        let mut row = measurement(id, received_at);
        row.measurement.check = check;
        if check == CheckKind::Openvpn {
            row.measurement.target = far.clone();
        }
        row
    };
    let mut diagnosis = of("d", CheckKind::Diagnose, 5_000);
    diagnosis.measurement.parent = MeasurementId::new("page").ok();
    let mut control = of("c", CheckKind::Openvpn, 5_000);
    control.control = true;
    let rows = vec![
        of("old", CheckKind::Openvpn, 1_000),
        of("page", CheckKind::Web, 4_000),
        of("one", CheckKind::Openvpn, 4_000),
        of("two", CheckKind::Openvpn, 6_000),
        diagnosis,
        control,
        of("unjudged", CheckKind::Openvpn, 7_000),
    ];
    store.append(rows).await.expect("stored");
    let rules = ["openvpn_udp.drop", "tls.reset.sni", "openvpn_udp.drop", "openvpn_udp.drop"];
    let rules = rules.into_iter().chain(["diagnose.sni", "openvpn_udp.drop"]);
    let notes = (1..).zip(rules.map(|rule| judged(Class::TlsReset, rule)));
    store.note_judgements(notes.collect()).await.expect("noted");
    drop(store);
    let store = open(dir);
    let country = "PK".parse().expect("valid");
    let found = store.handshakes(country, at(2_000)).await.expect("counted");
    let [one] = found.as_slice() else { panic!("one group: {found:?}") };
    assert_eq!((one.check, &one.target, one.count), (CheckKind::Openvpn, &far, 2));
    assert_eq!((one.hour, one.last_at, one.status), (at(0), at(6_000), LayerStatus::Blocked));
    let found = store.judged(CheckKind::Diagnose, country, at(2_000), 10).await.expect("read");
    let [one] = found.as_slice() else { panic!("one diagnosis: {found:?}") };
    let own = &one.row.measurement;
    assert_eq!((own.id.as_str(), own.parent.as_ref().map(MeasurementId::as_str)), ("d", Some("page")));
    assert_eq!(one.judgement.as_ref().map(|judged| judged.rule.as_str()), Some("diagnose.sni"));
    let other = "IR".parse().expect("valid");
    assert_eq!(store.handshakes(other, at(0)).await.expect("counted"), []);
    assert_eq!(store.judged(CheckKind::Diagnose, other, at(0), 10).await.expect("read"), []);
}

pub(in super::super) async fn a_release_survives_and_never_shrinks<S: Registry>(
    dir: &Path,
    open: impl Fn(&Path) -> S,
) {
    let release = |class, until| Release {
        class,
        country: "PK".parse().expect("valid"),
        until: at(until),
        released_at: at(until),
    };
    let store = open(dir);
    store.keep_release(release(ProtocolClass::Tor, 2_000)).await.expect("kept");
    store.keep_release(release(ProtocolClass::Tor, 1_000)).await.expect("kept");
    store.keep_release(release(ProtocolClass::OpenvpnUdp, 500)).await.expect("kept");
    drop(store);
    let found = open(dir).releases().await.expect("read");
    let untils: Vec<_> = found.iter().map(|release| (release.class, release.until)).collect();
    assert_eq!(untils, [(ProtocolClass::OpenvpnUdp, at(500)), (ProtocolClass::Tor, at(2_000))]);
}
