//! Cases of `quic` and `throughput`: what counts, beside whom, and what never does.

use super::tests::{Builder, assert_judged};
use super::{ControlFact, judge};
use faultline_model::{
    CheckKind, Class, DownloadEnd, Engine, Fact, Failure, HttpFact, Layer, LayerStatus, QuicFact,
    ThroughputFact,
};
use std::time::Duration;

const SITE: &str = "157.240.0.35";
const OTHER: &str = "203.82.50.1";

fn quic() -> Builder {
    let mut builder = Builder::new("https://www.facebook.com/").dns(Engine::System, &[SITE], None);
    builder.0.check = CheckKind::Quic;
    builder
}

fn shaken(received: u32, failure: Option<Failure>) -> Builder {
    let fact = QuicFact { datagrams_sent: 8, datagrams_received: received, ..QuicFact::default() };
    quic().step(Layer::Quic, Engine::System, Fact::Quic(fact), failure)
}

fn exchanged(failure: Option<Failure>) -> Builder {
    let page = HttpFact { status: if failure.is_none() { 200 } else { 0 }, ..HttpFact::default() };
    shaken(5, None).step(Layer::Http, Engine::System, Fact::Http(page), failure)
}

fn control(check: CheckKind, failed_at: Option<Layer>) -> ControlFact {
    ControlFact { check, failed_at, http_status: 200, ..ControlFact::default() }
}

fn both_fine() -> [ControlFact; 2] {
    [control(CheckKind::Quic, None), control(CheckKind::Web, None)]
}

#[test]
fn each_end_of_a_quic_handshake_has_its_rule() {
    let cases = [
        (shaken(0, Some(Failure::Timeout)), Class::TlsTimeout, "quic.drop"),
        (shaken(3, Some(Failure::Timeout)), Class::TlsTimeout, "quic.stall"),
        (shaken(1, Some(Failure::QuicIncompatibleVersion)), Class::TlsReset, "quic.version_negotiation"),
        (shaken(0, Some(Failure::ConnectionRefused)), Class::TcpRefused, "quic.refused"),
        (shaken(0, Some(Failure::HostUnreachable)), Class::TcpRefused, "quic.unreachable"),
        (shaken(1, Some(Failure::Eof)), Class::TlsReset, "quic.close"),
        (shaken(3, Some(Failure::SslUnknownAuthority)), Class::TlsCertMismatch, "quic.certificate"),
        (shaken(3, Some(Failure::SslFailedHandshake)), Class::TlsCertMismatch, "quic.alert"),
        (exchanged(Some(Failure::ConnectionReset)), Class::HttpReset, "http3.reset"),
        (exchanged(Some(Failure::Timeout)), Class::HttpTimeout, "http3.timeout"),
    ];
    for (builder, class, rule) in cases {
        assert_judged(&builder, &both_fine(), class, LayerStatus::Blocked, rule);
        assert_judged(&builder, &[], class, LayerStatus::Insufficient, rule);
    }
    assert_judged(&exchanged(None), &[], Class::Ok, LayerStatus::Ok, "ok");
    assert_eq!(judge(&shaken(0, Some(Failure::Timeout)).0, &[]).layer, Layer::Quic);
}

#[test]
fn a_quic_failure_counts_only_where_controls_reach_the_host_both_ways() {
    let dropped = shaken(0, Some(Failure::Timeout));
    let says = |controls: &[ControlFact], status| {
        assert_judged(&dropped, controls, Class::TlsTimeout, status, "quic.drop");
    };
    let (fine, fine_web) = (control(CheckKind::Quic, None), control(CheckKind::Web, None));
    let (failing, failing_web) =
        (control(CheckKind::Quic, Some(Layer::Quic)), control(CheckKind::Web, Some(Layer::Tcp)));
    says(std::slice::from_ref(&fine), LayerStatus::Insufficient);
    says(std::slice::from_ref(&fine_web), LayerStatus::Insufficient);
    says(&[fine.clone(), failing_web], LayerStatus::Insufficient);
    says(&[failing.clone(), fine_web.clone()], LayerStatus::Down);
    says(&[failing, fine, fine_web.clone()], LayerStatus::Blocked);
    says(&[control(CheckKind::Quic, Some(Layer::Http)), fine_web], LayerStatus::Blocked);
}

#[test]
fn only_a_wrong_certificate_makes_an_address_a_forged_one() {
    let elsewhere = |failure: Failure| {
        let mut builder = Builder::new("https://www.facebook.com/")
            .dns(Engine::System, &[OTHER], None)
            .step(Layer::Quic, Engine::System, Fact::Quic(QuicFact::default()), Some(failure))
            .dns(Engine::Doh, &[SITE], None);
        builder.0.check = CheckKind::Quic;
        builder
    };
    let (class, status) = (Class::TlsTimeout, LayerStatus::Blocked);
    assert_judged(&elsewhere(Failure::Timeout), &both_fine(), class, status, "quic.drop");
    let wrong = elsewhere(Failure::SslInvalidHostname);
    assert_judged(&wrong, &both_fine(), Class::DnsInjected, LayerStatus::Blocked, "dns.forged");
    let bogon = Builder::new("https://x.com/").dns(Engine::System, &["10.1.1.1"], Some(Failure::DnsBogon));
    assert_judged(&bogon, &[], Class::DnsBogon, LayerStatus::Insufficient, "dns.injection.bogon");
}

const KIB: u64 = 1024;

fn download(body_bytes: u64, body_ms: u32, end: DownloadEnd) -> ThroughputFact {
    ThroughputFact { status: 200, body_bytes, body_ms, end, ..ThroughputFact::default() }
}

/// As much as the cap lets by, in so many milliseconds.
fn whole(body_ms: u32) -> ThroughputFact {
    download(256 * KIB, body_ms, DownloadEnd::BytesCap)
}

/// So many kbit/s until the time was up.
fn slow(kbps: u64) -> ThroughputFact {
    download(kbps * 1000 / 8 * 10, 10_000, DownloadEnd::TimeCap)
}

fn pair(target: ThroughputFact, control: Option<ThroughputFact>) -> Builder {
    let mut builder = Builder::new("https://video.example.com/big")
        .dns(Engine::System, &[SITE], None)
        .tcp(None)
        .tls(Engine::System, None)
        .step(Layer::Http, Engine::System, Fact::Throughput(target), None);
    if let Some(control) = control {
        builder = builder.step(Layer::Http, Engine::Control, Fact::Throughput(control), None);
    }
    builder.0.check = CheckKind::Throughput;
    builder
}

fn outside(goodput_bps: u64) -> ControlFact {
    ControlFact { goodput_bps: Some(goodput_bps), ..control(CheckKind::Throughput, None) }
}

#[test]
fn a_target_at_150_kbits_beside_a_fast_control_is_throttled() {
    let pair = pair(slow(150), Some(whole(500)));
    let says = |controls: &[ControlFact], status| {
        assert_judged(&pair, controls, Class::Throttled, status, "throttling.goodput");
    };
    says(&[outside(4_000_000)], LayerStatus::Throttled);
    says(&[outside(150_000), outside(4_000_000)], LayerStatus::Throttled);
    says(&[outside(150_000)], LayerStatus::Down);
    says(&[], LayerStatus::Insufficient);
    says(&[control(CheckKind::Web, None)], LayerStatus::Insufficient);
    says(&[control(CheckKind::Throughput, Some(Layer::Tcp))], LayerStatus::Insufficient);
}

#[test]
fn a_download_by_a_control_counts_for_somewhat_more_than_the_hour_between_two() {
    let pair = pair(slow(150), Some(whole(500)));
    let old = |minutes: u64| ControlFact { age: Duration::from_secs(minutes * 60), ..outside(4_000_000) };
    let says = |fact: ControlFact, status| {
        assert_judged(&pair, &[fact], Class::Throttled, status, "throttling.goodput");
    };
    says(old(61), LayerStatus::Throttled);
    says(old(76), LayerStatus::Insufficient);
    let dropped = shaken(0, Some(Failure::Timeout));
    let stale = both_fine().map(|fact| ControlFact { age: Duration::from_secs(601), ..fact });
    assert_judged(&dropped, &stale, Class::TlsTimeout, LayerStatus::Insufficient, "quic.drop");
}

#[test]
fn a_slow_line_a_small_page_and_a_missing_pair_are_no_throttling() {
    let cases = [
        (pair(slow(150), Some(slow(200))), "throughput.line_slow"),
        (pair(slow(150), Some(whole(1_500))), "throughput.line_slow"),
        (pair(slow(0), Some(slow(20))), "throughput.line_slow"),
        (pair(slow(150), None), "throughput.no_pair"),
        (pair(slow(150), Some(download(8 * KIB, 3, DownloadEnd::Complete))), "throughput.no_pair"),
        (pair(download(20 * KIB, 1_000, DownloadEnd::Complete), Some(whole(500))), "throughput.too_small"),
        (pair(ThroughputFact { status: 302, ..slow(150) }, Some(whole(500))), "throughput.too_small"),
    ];
    for (builder, rule) in cases {
        assert_judged(&builder, &[outside(4_000_000)], Class::Ok, LayerStatus::Insufficient, rule);
    }
    for fast in [whole(500), whole(6_900), slow(300)] {
        assert_judged(&pair(fast, None), &[], Class::Ok, LayerStatus::Ok, "ok");
    }
}

#[test]
fn a_download_that_never_came_is_judged_by_the_layer_that_failed() {
    let mut reset = Builder::new("https://video.example.com/big")
        .dns(Engine::System, &[SITE], None)
        .tcp(None)
        .tls(Engine::System, Some(Failure::ConnectionReset));
    reset.0.check = CheckKind::Throughput;
    assert_judged(&reset, &[outside(4_000_000)], Class::TlsReset, LayerStatus::Blocked, "tls.reset.sni");
    let web = control(CheckKind::Web, None);
    assert_judged(&reset, &[web], Class::TlsReset, LayerStatus::Insufficient, "tls.reset.sni");
}

#[test]
fn the_controls_own_side_never_decides_about_the_target() {
    let builder = pair(whole(500), None).step(
        Layer::Http,
        Engine::Control,
        Fact::Throughput(ThroughputFact::default()),
        Some(Failure::ConnectionReset),
    );
    assert_judged(&builder, &[], Class::Ok, LayerStatus::Ok, "ok");
    let fact = ControlFact::of(&pair(whole(500), Some(slow(20))).0);
    assert_eq!((fact.failed_at, fact.goodput_bps), (None, Some(4_194_304)));
    assert_eq!(ControlFact::of(&shaken(0, Some(Failure::Timeout)).0).failed_at, Some(Layer::Quic));
}
