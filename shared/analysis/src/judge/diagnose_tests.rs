//! Which thing a diagnosis names, and what it must not mistake for one.

use super::tests::Builder;
use super::{ControlFact, judge};
use faultline_model::{
    CheckKind, Class, Engine, Fact, Failure, HttpFact, Judgement, Layer, LayerStatus, QuicFact, TlsFact,
    Variant,
};

const SITE: &str = "157.240.0.35";
const FORGED: &str = "203.82.50.1";
const RESET: Option<Failure> = Some(Failure::ConnectionReset);
const TIMEOUT: Option<Failure> = Some(Failure::Timeout);
const OTHER_NAME: Option<Failure> = Some(Failure::SslInvalidHostname);

fn https() -> Builder {
    let mut builder = Builder::new("https://x.com/").dns(Engine::System, &[SITE], None);
    builder.0.check = CheckKind::Diagnose;
    builder.dns(Engine::Doh, &[SITE], None)
}

fn http() -> Builder {
    let mut builder = Builder::new("http://x.com/").dns(Engine::System, &[SITE], None);
    builder.0.check = CheckKind::Diagnose;
    builder
}

/// A retry that ended at the TLS handshake.
fn tls(builder: Builder, variant: Variant, failure: Option<Failure>) -> Builder {
    let planned = TlsFact { variant: Some(variant), ..TlsFact::default() };
    let has_spoken = matches!(failure, None | OTHER_NAME);
    let sha256 = if has_spoken { "7".repeat(64) } else { String::new() };
    let seen = TlsFact { certificate_sha256: sha256, ..planned.clone() };
    builder.step(Layer::Tcp, Engine::Retry, Fact::Tls(planned), None).step(
        Layer::Tls,
        Engine::Retry,
        Fact::Tls(seen),
        failure,
    )
}

fn unreached(builder: Builder, variant: Variant, failure: Option<Failure>) -> Builder {
    let planned = TlsFact { variant: Some(variant), ..TlsFact::default() };
    builder.step(Layer::Tcp, Engine::Retry, Fact::Tls(planned), failure)
}

/// A retry that ended at the exchange, with a page if it has a status.
fn page(builder: Builder, variant: Variant, (status, title, location): (u16, &str, &str)) -> Builder {
    let page = HttpFact {
        variant: Some(variant),
        status,
        title: title.into(),
        location: location.into(),
        ..HttpFact::default()
    };
    let failure = if status == 0 { RESET } else { None };
    builder.step(Layer::Http, Engine::Retry, Fact::Http(page), failure)
}

fn judged(builder: &Builder) -> Judgement {
    let control = |check| ControlFact { check, ..ControlFact::default() };
    judge(&builder.0, &[control(CheckKind::Web), control(CheckKind::Quic)])
}

fn rule(builder: &Builder) -> String {
    judged(builder).rule
}

#[test]
fn a_name_that_is_cut_at_an_unrelated_address_too_is_blocked_by_the_hello() {
    let builder = tls(https(), Variant::InnocentSni, OTHER_NAME);
    let builder = tls(tls(builder, Variant::InnocentAddress, RESET), Variant::Same, RESET);
    let judgement = judged(&builder);
    assert_eq!((judgement.rule.as_str(), judgement.class), ("diagnose.sni", Class::TlsReset));
    assert_eq!((judgement.layer, judgement.status), (Layer::Tls, LayerStatus::Blocked));
    assert_eq!(judge(&builder.0, &[]).status, LayerStatus::Insufficient, "no control");
    let down = ControlFact { failed_at: Some(Layer::Tcp), ..ControlFact::default() };
    assert_eq!(judge(&builder.0, &[down]).status, LayerStatus::Down);
}

#[test]
fn a_name_that_passes_in_halves_is_blocked_by_the_hello() {
    let builder = tls(tls(https(), Variant::InnocentSni, OTHER_NAME), Variant::SplitHello, None);
    assert_eq!(judged(&tls(builder, Variant::Same, TIMEOUT)).class, Class::TlsTimeout);
}

#[test]
fn a_server_that_hangs_up_by_itself_is_not_blocked_by_its_name() {
    // The site resets its own name, unrelated servers answer it.
    let builder = tls(tls(https(), Variant::InnocentSni, OTHER_NAME), Variant::InnocentAddress, OTHER_NAME);
    let builder = tls(tls(builder, Variant::SplitHello, RESET), Variant::Same, RESET);
    assert_eq!(rule(&builder), "diagnose.inconclusive");
    // An unrelated server closes on every foreign name, and the site is dead under any name: no filter by name.
    let builder = tls(tls(https(), Variant::InnocentSni, RESET), Variant::InnocentAddress, RESET);
    assert_eq!(rule(&tls(builder, Variant::Same, RESET)), "diagnose.inconclusive");
}

#[test]
fn an_address_that_answers_to_no_name_is_blocked_if_the_name_passes_elsewhere() {
    let builder = unreached(https(), Variant::InnocentSni, TIMEOUT);
    let builder = unreached(tls(builder, Variant::InnocentAddress, OTHER_NAME), Variant::Same, TIMEOUT);
    let judgement = judged(&builder);
    assert_eq!((judgement.rule.as_str(), judgement.class), ("diagnose.address", Class::TcpTimeout));
    let builder = unreached(https(), Variant::InnocentSni, TIMEOUT);
    let builder = unreached(unreached(builder, Variant::InnocentAddress, TIMEOUT), Variant::Same, TIMEOUT);
    assert_eq!(rule(&builder), "diagnose.inconclusive", "the line may be down");
}

#[test]
fn a_name_that_only_others_resolve_rightly_is_blocked_in_dns() {
    let mut denied = Builder::new("https://x.com/").dns(Engine::System, &[], Some(Failure::DnsNxdomain));
    denied.0.check = CheckKind::Diagnose;
    let denied = tls(denied.dns(Engine::Doh, &[SITE], None), Variant::Same, None);
    let judgement = judged(&denied);
    assert_eq!((judgement.rule.as_str(), judgement.class), ("diagnose.dns", Class::DnsNxdomain));
    let mut forged = Builder::new("https://x.com/").dns(Engine::System, &[FORGED], None);
    forged.0.check = CheckKind::Diagnose;
    let forged = tls(forged.dns(Engine::Doh, &[SITE], None), Variant::OtherAddress, None);
    let judgement = judged(&tls(forged, Variant::Same, OTHER_NAME));
    assert_eq!((judgement.rule.as_str(), judgement.layer), ("diagnose.dns", Layer::Dns));
}

#[test]
fn a_request_that_is_cut_or_answered_alike_at_an_unrelated_address_is_blocked_by_its_host() {
    let builder = page(http(), Variant::InnocentHost, (404, "Not Found", ""));
    let builder = page(page(builder, Variant::InnocentAddress, (0, "", "")), Variant::Same, (0, "", ""));
    assert_eq!(rule(&builder), "diagnose.host");
    let blocked = (200, "Surf Safely!", "");
    let builder = page(http(), Variant::InnocentHost, (301, "", "https://innocent.org/"));
    let builder = page(page(builder, Variant::InnocentAddress, blocked), Variant::Same, blocked);
    assert_eq!(judged(&builder).class, Class::HttpBlockpage);
}

#[test]
fn servers_that_send_any_name_to_tls_block_nobody() {
    let home = (301, "", "https://x.com/");
    let builder = page(http(), Variant::InnocentHost, (301, "", "https://innocent.org/"));
    let builder = page(page(builder, Variant::InnocentAddress, home), Variant::Same, home);
    assert_eq!(rule(&builder), "diagnose.inconclusive");
    let missing = (404, "404 Not Found", "");
    let builder = page(http(), Variant::InnocentHost, (200, "Hello", ""));
    let builder = page(page(builder, Variant::InnocentAddress, missing), Variant::Same, missing);
    assert_eq!(rule(&builder), "diagnose.inconclusive");
}

#[test]
fn quic_alone_is_named_where_controls_reach_it() {
    let lost =
        |builder: Builder| builder.step(Layer::Quic, Engine::Retry, Fact::Quic(QuicFact::default()), TIMEOUT);
    let builder = tls(lost(https()), Variant::Same, None);
    let judgement = judged(&builder);
    assert_eq!((judgement.rule.as_str(), judgement.status), ("diagnose.quic", LayerStatus::Blocked));
    let unserved =
        ControlFact { check: CheckKind::Quic, failed_at: Some(Layer::Quic), ..ControlFact::default() };
    assert_eq!(judge(&builder.0, &[unserved]).status, LayerStatus::Down, "the site serves none");
}

#[test]
fn what_passes_by_now_or_was_not_tried_is_inconclusive() {
    for builder in [
        https(),
        tls(https(), Variant::Same, None),
        unreached(https(), Variant::Same, Some(Failure::NetworkUnreachable)),
    ] {
        let judgement = judged(&builder);
        assert_eq!(
            (judgement.rule.as_str(), judgement.status),
            ("diagnose.inconclusive", LayerStatus::Insufficient)
        );
    }
}
