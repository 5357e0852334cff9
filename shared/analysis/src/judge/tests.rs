//! The field's own acceptance cases (OONI's QA scenarios), and the traps known from Pakistan.

use super::{ControlFact, judge};
use faultline_model::{
    CheckKind, Class, Depth, DnsAnswer, Engine, Fact, Failure, HttpFact, Layer, LayerStatus, Measurement,
    MeasurementId, Observation, Target, Timestamp, TlsFact, Why,
};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const SITE: &str = "157.240.0.35";
const NEAR: &str = "157.240.0.70";
const FORGED: &str = "203.82.50.1";

pub(super) struct Builder(pub(super) Measurement);

impl Builder {
    pub(super) fn new(url: &str) -> Self {
        Self(Measurement {
            id: MeasurementId::new("m").expect("valid"),
            check: CheckKind::Web,
            target: Target::new(url).expect("valid"),
            depth: Depth::Full,
            why: Why::Routine,
            token: None,
            list_version: 1,
            started_at: Timestamp::from_unix_ms(0),
            duration: Duration::from_secs(1),
            parent: None,
            observations: vec![],
        })
    }

    pub(super) fn step(mut self, layer: Layer, engine: Engine, fact: Fact, failure: Option<Failure>) -> Self {
        self.0.observations.push(Observation {
            layer,
            engine,
            hop: 0,
            peer: None,
            at: Duration::ZERO,
            took: Duration::ZERO,
            failure,
            fact,
        });
        self
    }

    pub(super) fn dns(self, engine: Engine, addresses: &[&str], failure: Option<Failure>) -> Self {
        let hostname = self.0.target.host().to_owned();
        let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        let answer = DnsAnswer { hostname, addresses, ..DnsAnswer::default() };
        self.step(Layer::Dns, engine, Fact::Dns(answer), failure)
    }

    pub(super) fn tcp(self, failure: Option<Failure>) -> Self {
        self.step(Layer::Tcp, Engine::System, Fact::None, failure)
    }

    pub(super) fn tls(self, engine: Engine, failure: Option<Failure>) -> Self {
        let server_name = self.0.target.host().to_owned();
        self.step(Layer::Tls, engine, Fact::Tls(TlsFact { server_name, ..TlsFact::default() }), failure)
    }

    fn http(self, status: u16, location: &str) -> Self {
        let fact = HttpFact { status, location: location.to_owned(), ..HttpFact::default() };
        self.step(Layer::Http, Engine::System, Fact::Http(fact), None)
    }

    fn via(mut self, address: &str) -> Self {
        let ip: IpAddr = address.parse().expect("an address");
        if let Some(step) = self.0.observations.last_mut() {
            step.peer = Some(SocketAddr::new(ip, 443));
        }
        self
    }
}

fn page() -> Builder {
    Builder::new("https://www.facebook.com/")
}

fn at_site() -> Builder {
    page().dns(Engine::System, &[SITE], None).tcp(None)
}

fn control() -> ControlFact {
    ControlFact {
        addresses: vec![SITE.parse().expect("an address")],
        http_status: 200,
        ..ControlFact::default()
    }
}

fn failing(layer: Layer) -> ControlFact {
    ControlFact { failed_at: Some(layer), ..ControlFact::default() }
}

pub(super) fn assert_judged(
    builder: &Builder,
    controls: &[ControlFact],
    class: Class,
    status: LayerStatus,
    rule: &str,
) {
    let judgement = judge(&builder.0, controls);
    assert_eq!((judgement.class, judgement.status, judgement.rule.as_str()), (class, status, rule));
}

#[test]
fn success_is_ok_with_and_without_a_control() {
    let fine = at_site().tls(Engine::System, None).http(200, "");
    assert_judged(&fine, &[control()], Class::Ok, LayerStatus::Ok, "ok");
    assert_judged(&fine, &[], Class::Ok, LayerStatus::Ok, "ok");
    assert_judged(&fine, &[failing(Layer::Tls)], Class::Ok, LayerStatus::Ok, "ok");
}

#[test]
fn a_name_served_by_a_content_network_is_judged_by_its_handshake() {
    let elsewhere = page()
        .dns(Engine::System, &["23.1.2.3"], None)
        .dns(Engine::Doh, &[SITE], None)
        .tcp(None)
        .tls(Engine::System, None)
        .http(200, "");
    assert_judged(&elsewhere, &[control()], Class::Ok, LayerStatus::Ok, "ok");
}

#[test]
fn each_layer_has_its_rule() {
    let cases = [
        (page().dns(Engine::System, &[], Some(Failure::DnsNxdomain)), Class::DnsNxdomain, "dns.nxdomain"),
        (page().dns(Engine::System, &[], Some(Failure::DnsNoAnswer)), Class::DnsNxdomain, "dns.no_answer"),
        (page().dns(Engine::System, &[], Some(Failure::Timeout)), Class::DnsTimeout, "dns.timeout"),
        (page().dns(Engine::System, &[], Some(Failure::DnsServfail)), Class::DnsTimeout, "dns.servfail"),
        (page().dns(Engine::System, &["10.10.34.35"], None), Class::DnsBogon, "dns.injection.bogon"),
        (
            page().dns(Engine::System, &["10.10.34.35"], Some(Failure::DnsBogon)),
            Class::DnsBogon,
            "dns.injection.bogon",
        ),
        (
            page().dns(Engine::System, &["127.0.0.1"], None).tcp(Some(Failure::AddressDenied)),
            Class::DnsBogon,
            "dns.injection.bogon",
        ),
        (
            page().dns(Engine::System, &[SITE], None).tcp(Some(Failure::ConnectionRefused)),
            Class::TcpRefused,
            "tcp.refused",
        ),
        (
            page().dns(Engine::System, &[SITE], None).tcp(Some(Failure::Timeout)),
            Class::TcpTimeout,
            "tcp.timeout",
        ),
        (at_site().tls(Engine::System, Some(Failure::ConnectionReset)), Class::TlsReset, "tls.reset.sni"),
        (at_site().tls(Engine::System, Some(Failure::Eof)), Class::TlsReset, "tls.close.sni"),
        (at_site().tls(Engine::System, Some(Failure::Timeout)), Class::TlsTimeout, "tls.timeout.sni"),
        (
            at_site().tls(Engine::System, Some(Failure::SslUnknownAuthority)),
            Class::TlsCertMismatch,
            "tls.certificate",
        ),
    ];
    for (builder, class, rule) in cases {
        assert_judged(&builder, &[control()], class, LayerStatus::Blocked, rule);
        assert_judged(&builder, &[], class, LayerStatus::Insufficient, rule);
        assert_judged(&builder, &[failing(Layer::Dns)], class, LayerStatus::Down, rule);
    }
}

#[test]
fn controls_of_other_checks_say_nothing_about_a_page() {
    let reset = at_site().tls(Engine::System, Some(Failure::ConnectionReset));
    for check in [CheckKind::Quic, CheckKind::Throughput] {
        let other = ControlFact { check, ..control() };
        let status = LayerStatus::Insufficient;
        assert_judged(&reset, &[other], Class::TlsReset, status, "tls.reset.sni");
    }
}

#[test]
fn a_failing_control_beside_a_succeeding_one_does_not_excuse_the_network() {
    let reset = at_site().tls(Engine::System, Some(Failure::ConnectionReset));
    let controls = [failing(Layer::Tls), control()];
    assert_judged(&reset, &controls, Class::TlsReset, LayerStatus::Blocked, "tls.reset.sni");
    let stale = ControlFact { age: Duration::from_secs(601), ..control() };
    assert_judged(&reset, &[stale], Class::TlsReset, LayerStatus::Insufficient, "tls.reset.sni");
}

#[test]
fn forged_answers_need_a_public_resolver_and_an_address_that_is_not_the_sites() {
    let forged = |failure: Failure| {
        page()
            .dns(Engine::System, &[FORGED], None)
            .dns(Engine::Udp, &[SITE], None)
            .dns(Engine::Doh, &[SITE], None)
            .tcp(None)
            .tls(Engine::System, Some(failure))
    };
    for failure in [Failure::SslInvalidHostname, Failure::SslFailedHandshake, Failure::Timeout] {
        assert_judged(&forged(failure), &[control()], Class::DnsInjected, LayerStatus::Blocked, "dns.forged");
    }
    let reset = forged(Failure::ConnectionReset);
    assert_judged(&reset, &[control()], Class::TlsReset, LayerStatus::Blocked, "tls.reset.sni");
    let refused = page()
        .dns(Engine::System, &[FORGED], None)
        .dns(Engine::Doh, &[SITE], None)
        .tcp(Some(Failure::ConnectionRefused));
    assert_judged(&refused, &[control()], Class::DnsInjected, LayerStatus::Blocked, "dns.forged");
    let seen = ControlFact { addresses: vec![FORGED.parse().expect("an address")], ..control() };
    let wrong = forged(Failure::SslInvalidHostname);
    assert_judged(&wrong, &[seen], Class::TlsCertMismatch, LayerStatus::Blocked, "tls.certificate");
    let light = page().dns(Engine::System, &[FORGED], None).tcp(None);
    let light = light.tls(Engine::System, Some(Failure::SslInvalidHostname));
    assert_judged(&light, &[control()], Class::TlsCertMismatch, LayerStatus::Blocked, "tls.certificate");
}

#[test]
fn an_answer_over_https_outweighs_a_forged_one_over_udp() {
    let both = page()
        .dns(Engine::System, &[FORGED], None)
        .dns(Engine::Udp, &[FORGED], None)
        .dns(Engine::Doh, &[SITE], None)
        .tcp(None)
        .tls(Engine::System, Some(Failure::SslInvalidHostname));
    assert_judged(&both, &[control()], Class::DnsInjected, LayerStatus::Blocked, "dns.forged");
}

#[test]
fn silence_at_every_address_is_a_block_by_name_and_not_a_forged_answer() {
    let apart = page()
        .dns(Engine::System, &["23.1.2.3"], None)
        .dns(Engine::Doh, &[NEAR], None)
        .tcp(None)
        .tls(Engine::System, Some(Failure::Timeout))
        .tls(Engine::Doh, Some(Failure::Timeout));
    assert_judged(&apart, &[control()], Class::TlsTimeout, LayerStatus::Blocked, "tls.timeout.sni");
}

#[test]
fn addresses_of_one_small_network_are_no_forgery() {
    let near = page()
        .dns(Engine::System, &[NEAR], None)
        .dns(Engine::Doh, &[SITE], None)
        .tcp(None)
        .tls(Engine::System, Some(Failure::SslInvalidCertificate));
    assert_judged(&near, &[control()], Class::TlsCertMismatch, LayerStatus::Blocked, "tls.certificate");
}

#[test]
fn statuses_count_only_beside_a_control_that_was_served() {
    let refused = |status| at_site().tls(Engine::System, None).http(status, "");
    assert_judged(
        &refused(451),
        &[control()],
        Class::HttpStatusDiff,
        LayerStatus::Blocked,
        "http.status.451",
    );
    assert_judged(
        &refused(503),
        &[control()],
        Class::HttpStatusDiff,
        LayerStatus::Blocked,
        "http.status.5xx",
    );
    assert_judged(&refused(429), &[control()], Class::Ok, LayerStatus::Ok, "ok");
    assert_judged(&refused(403), &[], Class::Ok, LayerStatus::Ok, "ok");
    let same = ControlFact { http_status: 403, ..control() };
    assert_judged(&refused(403), &[same], Class::Ok, LayerStatus::Ok, "ok");
    let login = at_site().tls(Engine::System, None).http(302, "https://www.facebook.com/login/");
    assert_judged(&login, &[control()], Class::Ok, LayerStatus::Ok, "ok");
}

#[test]
fn plain_http_that_leads_to_somebody_else_is_a_block_page() {
    let plain = |location| {
        Builder::new("http://news.example.com.pk/")
            .dns(Engine::System, &[SITE], None)
            .tcp(None)
            .http(302, location)
    };
    let stop = plain("http://stop.example.net/why");
    assert_judged(&stop, &[control()], Class::HttpBlockpage, LayerStatus::Blocked, "http.blockpage.redirect");
    for own in ["https://news.example.com.pk/", "https://www.example.com.pk/login", "/login"] {
        assert_judged(&plain(own), &[control()], Class::Ok, LayerStatus::Ok, "ok");
    }
    let known = plain("http://119.73.65.87:8080/redirect.html?accessurl=x");
    assert_judged(&known, &[control()], Class::HttpBlockpage, LayerStatus::Blocked, "http.blockpage.known");
}

#[test]
fn the_vantage_points_own_trouble_is_no_ones_fault() {
    let none = page();
    assert_judged(&none, &[control()], Class::LocalNetworkDown, LayerStatus::Insufficient, "local.not_run");
    let down = page().dns(Engine::System, &[], Some(Failure::NetworkDown));
    assert_judged(
        &down,
        &[control()],
        Class::LocalNetworkDown,
        LayerStatus::Insufficient,
        "local.network_down",
    );
    let safeweb = page().dns(Engine::System, &["203.82.48.86"], None).tcp(None);
    let safeweb = safeweb.tls(Engine::System, Some(Failure::SslInvalidHostname));
    let rule = "local.subscriber_filter";
    assert_judged(&safeweb, &[control()], Class::LocalNetworkDown, LayerStatus::Insufficient, rule);
    let v6 = page().dns(Engine::System, &["2a03:2880::1"], None);
    let v6 = v6.tcp(Some(Failure::NetworkUnreachable)).via("2a03:2880::1");
    assert_judged(&v6, &[control()], Class::LocalNetworkDown, LayerStatus::Insufficient, "local.no_ipv6");
}

#[test]
fn an_address_that_answers_after_another_failed_makes_it_good() {
    let second = page()
        .dns(Engine::System, &["2a03:2880::1", SITE], None)
        .tcp(Some(Failure::NetworkUnreachable))
        .tcp(None)
        .tls(Engine::System, None)
        .http(200, "");
    assert_judged(&second, &[control()], Class::Ok, LayerStatus::Ok, "ok");
}
