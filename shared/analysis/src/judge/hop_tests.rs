//! Cases of redirect hops, of ways that are tampered with, and of controls that say more than yes or no.

use super::tests::{Builder, assert_judged};
use super::{ControlFact, judge};
use faultline_model::{
    Class, DnsAnswer, Engine, Fact, Failure, HttpFact, LaterReply, Layer, LayerStatus, TlsFact,
};
use std::net::IpAddr;

const SITE: &str = "157.240.0.35";
const OTHER: &str = "203.82.50.1";

fn addresses(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|text| text.parse().expect("an address")).collect()
}

impl Builder {
    /// Puts the last step at a hop.
    fn at(mut self, hop: u8) -> Self {
        if let Some(step) = self.0.observations.last_mut() {
            step.hop = hop;
        }
        self
    }

    fn named(self, engine: Engine, (hop, host): (u8, &str), list: &[&str]) -> Self {
        let answer =
            DnsAnswer { hostname: host.to_owned(), addresses: addresses(list), ..DnsAnswer::default() };
        self.step(Layer::Dns, engine, Fact::Dns(answer), None).at(hop)
    }

    fn page(self, fact: HttpFact) -> Self {
        self.step(Layer::Http, Engine::System, Fact::Http(fact), None)
    }

    fn handshake(self, (hop, host): (u8, &str), issuer: &str, failure: Option<Failure>) -> Self {
        let fact = TlsFact {
            server_name: host.to_owned(),
            certificate_issuer: issuer.to_owned(),
            certificate_sha256: format!("sha of {issuer}"),
            ..TlsFact::default()
        };
        self.step(Layer::Tls, Engine::System, Fact::Tls(fact), failure).at(hop)
    }
}

fn clear(title: &str, body_bytes: u64) -> HttpFact {
    HttpFact {
        url: "http://site.example/".to_owned(),
        status: 200,
        title: title.to_owned(),
        body_bytes,
        body_sha256: format!("sha of {title} {body_bytes}"),
        ..HttpFact::default()
    }
}

fn plain(list: &[&str], page: HttpFact) -> Builder {
    Builder::new("http://site.example/").dns(Engine::System, list, None).tcp(None).page(page)
}

fn redirected(failure: Option<Failure>) -> Builder {
    let moved = HttpFact { status: 301, location: "https://other.example/".to_owned(), ..clear("", 6) };
    Builder::new("https://site.example/")
        .dns(Engine::System, &[SITE], None)
        .tcp(None)
        .handshake((0, "site.example"), "CN=R1", None)
        .page(moved)
        .named(Engine::System, (1, "other.example"), &[OTHER])
        .tcp(None)
        .at(1)
        .handshake((1, "other.example"), "CN=R1", failure)
}

#[test]
fn a_hop_is_judged_beside_controls_that_came_to_its_host() {
    let reset = redirected(Some(Failure::ConnectionReset));
    let fine = ControlFact::of(&redirected(None).0);
    let judgement = judge(&reset.0, std::slice::from_ref(&fine));
    let said = (judgement.status, judgement.layer, judgement.hop, judgement.rule.as_str());
    assert_eq!(said, (LayerStatus::Blocked, Layer::Tls, 1, "tls.reset.sni"));
    assert_eq!(judgement.evidence, [6], "the handshake that was reset");
    let only_first = ControlFact { hops: fine.hops[..1].to_vec(), ..fine };
    let (class, status) = (Class::TlsReset, LayerStatus::Insufficient);
    assert_judged(&reset, &[only_first], class, status, "tls.reset.sni");
    let same = ControlFact::of(&reset.0);
    assert_judged(&reset, &[same], Class::TlsReset, LayerStatus::Down, "tls.reset.sni");
}

#[test]
fn a_control_that_nobody_answered_is_none() {
    let silent = Builder::new("https://site.example/").dns(Engine::System, &[], Some(Failure::Timeout)).dns(
        Engine::Doh,
        &[],
        Some(Failure::NetworkUnreachable),
    );
    let silent = ControlFact::of(&silent.0);
    assert!(silent.is_line_broken);
    let reset = redirected(Some(Failure::ConnectionReset));
    let (class, rule) = (Class::TlsReset, "tls.reset.sni");
    assert_judged(&reset, std::slice::from_ref(&silent), class, LayerStatus::Insufficient, rule);
    let fine = ControlFact::of(&redirected(None).0);
    assert_judged(&reset, &[silent, fine], class, LayerStatus::Blocked, rule);
}

#[test]
fn a_page_in_the_clear_without_anything_in_common_with_the_control_s_is_another_page() {
    let control = |title: &str, bytes| ControlFact::of(&plain(&[SITE], clear(title, bytes)).0);
    let real = control("News of the day", 9_000);
    let other = plain(&[SITE], clear("Not available", 300));
    let (class, status) = (Class::HttpBlockpage, LayerStatus::Blocked);
    assert_judged(&other, std::slice::from_ref(&real), class, status, "http.diff");
    for regional in [clear("Nachrichten", 8_000), clear("News of the day", 200)] {
        assert_judged(
            &plain(&[SITE], regional),
            std::slice::from_ref(&real),
            Class::Ok,
            LayerStatus::Ok,
            "ok",
        );
    }
    let odd = control("Never the same", 100_000);
    assert_judged(&other, &[real, odd], Class::Ok, LayerStatus::Ok, "ok");
    assert_judged(&other, &[], Class::Ok, LayerStatus::Insufficient, "http.no_control");
}

#[test]
fn a_page_that_was_cut_may_be_as_long_as_the_control_s() {
    let control = ControlFact::of(&plain(&[SITE], clear("", 16_000_000)).0);
    let cut = HttpFact { is_truncated: true, ..clear("", 500) };
    assert_judged(&plain(&[SITE], cut), std::slice::from_ref(&control), Class::Ok, LayerStatus::Ok, "ok");
    let whole = plain(&[SITE], clear("", 500));
    assert_judged(&whole, &[control], Class::HttpBlockpage, LayerStatus::Blocked, "http.diff");
}

#[test]
fn a_redirect_to_nowhere_is_nobody_s_block() {
    let control = ControlFact::of(&plain(&[SITE], clear("News", 9_000)).0);
    let mut nowhere = plain(&[SITE], HttpFact { status: 302, ..clear("", 0) });
    if let Some(step) = nowhere.0.observations.last_mut() {
        step.failure = Some(Failure::HttpInvalidRedirect);
    }
    let (class, rule) = (Class::HttpStatusDiff, "http.redirect.invalid");
    assert_judged(&nowhere, &[control], class, LayerStatus::Insufficient, rule);
    let same = ControlFact::of(&nowhere.0);
    assert_judged(&nowhere, &[same], class, LayerStatus::Down, rule);
}

#[test]
fn a_challenge_to_robots_is_no_refusal() {
    let control = ControlFact::of(&plain(&[SITE], clear("News", 9_000)).0);
    let challenge = HttpFact { status: 503, ..clear("Just a moment...", 300) };
    assert_judged(
        &plain(&[SITE], challenge),
        std::slice::from_ref(&control),
        Class::Ok,
        LayerStatus::Ok,
        "ok",
    );
    let refusal = HttpFact { status: 503, ..clear("Sorry", 300) };
    let (class, status) = (Class::HttpStatusDiff, LayerStatus::Blocked);
    assert_judged(&plain(&[SITE], refusal), &[control], class, status, "http.status.5xx");
}

#[test]
fn a_dead_name_that_has_an_address_here_only_is_forged() {
    let dead = Builder::new("http://site.example/").dns(Engine::System, &[], Some(Failure::DnsNxdomain)).dns(
        Engine::Doh,
        &[],
        Some(Failure::DnsNxdomain),
    );
    let dead = ControlFact::of(&dead.0);
    let page = || plain(&[OTHER], clear("By order", 300));
    let ghost = page().dns(Engine::Doh, &[], Some(Failure::DnsNxdomain));
    let (class, rule) = (Class::DnsInjected, "dns.injection.ghost");
    assert_judged(&ghost, std::slice::from_ref(&dead), class, LayerStatus::Blocked, rule);
    let alive = page().dns(Engine::Doh, &[OTHER], None);
    assert_judged(&alive, &[dead], Class::Ok, LayerStatus::Ok, "ok");
}

#[test]
fn a_way_through_a_stranger_s_address_is_tampered_with_and_reachable() {
    let control = ControlFact::of(&plain(&[SITE], clear("News", 9_000)).0);
    let through = || plain(&[OTHER], clear("News", 9_000));
    let (class, status) = (Class::Ok, LayerStatus::Tampered);
    let both = through().dns(Engine::Udp, &[OTHER], None).dns(Engine::Doh, &[SITE], None);
    assert_judged(&both, std::slice::from_ref(&control), class, status, "dns.forged.reachable");
    let content_network = through().dns(Engine::Udp, &[SITE], None).dns(Engine::Doh, &[SITE], None);
    assert_judged(&content_network, std::slice::from_ref(&control), class, LayerStatus::Ok, "ok");
    let raced = |sent| {
        let mut builder = through();
        if let Fact::Dns(answer) = &mut builder.0.observations[0].fact {
            let truth = LaterReply { addresses: addresses(&[SITE]), failure: None, delay_ms: 9 };
            (answer.later, answer.questions_sent) = (vec![truth], sent);
        }
        builder
    };
    assert_judged(&raced(2), std::slice::from_ref(&control), class, status, "dns.injection.race");
    assert_judged(&raced(4), std::slice::from_ref(&control), class, LayerStatus::Ok, "ok");
    let mirror = ControlFact::of(&through().0);
    assert_judged(&raced(2), &[control, mirror], class, LayerStatus::Ok, "ok");
}

#[test]
fn a_reset_behind_a_proven_forgery_is_blocked_at_dns() {
    let control = ControlFact::of(&redirected(None).0);
    let reset = Builder::new("https://site.example/")
        .dns(Engine::System, &[OTHER], None)
        .dns(Engine::Udp, &[OTHER], None)
        .dns(Engine::Doh, &[SITE], None)
        .tcp(None)
        .handshake((0, "site.example"), "", Some(Failure::ConnectionReset));
    assert_judged(
        &reset,
        std::slice::from_ref(&control),
        Class::DnsInjected,
        LayerStatus::Blocked,
        "dns.forged",
    );
    assert_eq!(judge(&reset.0, &[control]).evidence, [0, 1, 2, 4]);
}

#[test]
fn a_private_authority_that_controls_were_not_shown_intercepts() {
    let shown = |issuer: &str| {
        Builder::new("https://site.example/")
            .dns(Engine::System, &[SITE], None)
            .tcp(None)
            .handshake((0, "site.example"), issuer, None)
            .page(HttpFact { url: "https://site.example/".to_owned(), ..clear("News", 9_000) })
    };
    let control = ControlFact::of(&shown("CN=R1, O=Let's Encrypt").0);
    let says = |issuer: &str, status, rule: &str| {
        assert_judged(&shown(issuer), std::slice::from_ref(&control), Class::Ok, status, rule);
    };
    says("CN=National Trust Network", LayerStatus::Tampered, "tls.mitm");
    says("CN=R1, O=Let's Encrypt", LayerStatus::Ok, "ok");
    says("CN=WE1, O=Google Trust Services", LayerStatus::Ok, "ok");
    assert_judged(&shown("CN=National Trust Network"), &[], Class::Ok, LayerStatus::Ok, "ok");
}

#[test]
fn whoever_answers_for_the_encrypted_resolver_too_is_a_portal() {
    let control = ControlFact::of(&plain(&[SITE], clear("News", 9_000)).0);
    let portal = plain(&[OTHER], clear("Sign in", 300)).dns(Engine::Udp, &[OTHER], None);
    let portal = portal.dns(Engine::Doh, &[], Some(Failure::SslInvalidHostname));
    let (class, status) = (Class::LocalNetworkDown, LayerStatus::Insufficient);
    assert_judged(&portal, &[control], class, status, "local.captive_portal");
}
