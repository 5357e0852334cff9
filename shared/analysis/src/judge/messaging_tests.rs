//! Cases of the messaging checks: OONI's own, and what must not be said.

use super::tests::{Builder, assert_judged};
use super::{ControlFact, judge};
use faultline_model::{
    CheckKind, Class, DnsAnswer, EndpointFact, Engine, Fact, Failure, HttpFact, Layer, LayerStatus, TlsFact,
};

/// Goes to an endpoint until a layer fails, or as far as `last`.
fn go(builder: Builder, host: &str, last: Layer, failed: Option<(Layer, Failure)>) -> Builder {
    let (mut builder, (at, failure)) = (builder, failed.unzip());
    for layer in [Layer::Dns, Layer::Tcp, Layer::Tls, Layer::Http] {
        let is_address = host.starts_with("149.");
        if layer > last || is_address && matches!(layer, Layer::Dns | Layer::Tls) {
            continue;
        }
        let fact = match layer {
            Layer::Dns => Fact::Dns(DnsAnswer { hostname: host.into(), ..DnsAnswer::default() }),
            Layer::Tcp => Fact::Endpoint(EndpointFact { name: format!("{host}:443") }),
            Layer::Tls => {
                let certificate_issuer = "CN=Signal Messenger".to_owned();
                Fact::Tls(TlsFact { server_name: host.into(), certificate_issuer, ..TlsFact::default() })
            }
            _ => Fact::Http(HttpFact { url: format!("https://{host}/"), ..HttpFact::default() }),
        };
        let failure = failure.clone().filter(|_| at == Some(layer));
        let has_failed = failure.is_some();
        builder = builder.step(layer, Engine::System, fact, failure);
        if has_failed {
            break;
        }
    }
    builder
}

type Failed = Option<(Layer, Failure)>;

fn service(check: CheckKind, web: &str, points: &[(&str, Layer, Failed)], page: Failed) -> Builder {
    let mut builder = Builder::new(&format!("https://{web}/"));
    builder.0.check = check;
    for (host, last, failed) in points {
        builder = go(builder, host, *last, failed.clone());
    }
    go(builder, web, Layer::Http, page)
}

fn telegram(points: [Failed; 2], page: Failed) -> Builder {
    let [one, other] = points;
    let points = [("149.154.175.50", Layer::Http, one), ("149.154.167.51", Layer::Http, other)];
    service(CheckKind::Telegram, "web.telegram.org", &points, page)
}

fn whatsapp(endpoints: [Failed; 2], registration: Failed, page: Failed) -> Builder {
    let [one, other] = endpoints;
    let points = [
        ("e1.whatsapp.net", Layer::Tcp, one),
        ("e9.whatsapp.net", Layer::Tcp, other),
        ("v.whatsapp.net", Layer::Http, registration),
    ];
    service(CheckKind::Whatsapp, "web.whatsapp.com", &points, page)
}

fn says(builder: &Builder, class: Class, rule: &str) {
    let fine = ControlFact { check: builder.0.check, ..ControlFact::default() };
    assert_judged(builder, &[fine], class, LayerStatus::Blocked, rule);
    assert_judged(builder, &[], class, LayerStatus::Insufficient, rule);
    let down = ControlFact::of(&builder.0);
    assert_judged(builder, &[down], class, LayerStatus::Down, rule);
    let web = ControlFact::default();
    assert_eq!(judge(&builder.0, &[web]).status, LayerStatus::Insufficient, "a page is no service");
}

fn dropped(layer: Layer) -> Failed {
    Some((layer, Failure::Timeout))
}

fn poisoned() -> Failed {
    Some((Layer::Dns, Failure::DnsBogon))
}

#[test]
fn telegram_fails_by_its_access_points_or_its_page() {
    let tcp = || dropped(Layer::Tcp);
    says(&telegram([tcp(), tcp()], None), Class::TcpTimeout, "telegram.access_points.blocked");
    says(&telegram([None, None], dropped(Layer::Tls)), Class::TlsTimeout, "telegram.web.blocked");
    says(&telegram([None, None], poisoned()), Class::DnsBogon, "telegram.web.blocked");
    assert_judged(&telegram([tcp(), None], None), &[], Class::Ok, LayerStatus::Ok, "ok");
}

#[test]
fn whatsapp_fails_by_its_endpoints_its_registration_or_its_page() {
    let tcp = || dropped(Layer::Tcp);
    says(&whatsapp([tcp(), tcp()], None, None), Class::TcpTimeout, "whatsapp.endpoints.blocked");
    says(&whatsapp([poisoned(), poisoned()], None, None), Class::DnsBogon, "whatsapp.endpoints.blocked");
    let reset = Some((Layer::Tls, Failure::ConnectionReset));
    says(&whatsapp([None, None], reset, None), Class::TlsReset, "whatsapp.registration.blocked");
    says(&whatsapp([None, None], None, dropped(Layer::Tls)), Class::TlsTimeout, "whatsapp.web.blocked");
    assert_judged(&whatsapp([None, tcp()], None, None), &[], Class::Ok, LayerStatus::Ok, "ok");
}

#[test]
fn a_control_that_missed_one_endpoint_of_many_is_still_a_control() {
    let partly = ControlFact::of(&telegram([dropped(Layer::Tcp), None], None).0);
    assert_eq!(partly.failed_at, None);
    let blocked = telegram([dropped(Layer::Tcp), dropped(Layer::Tcp)], None);
    assert_eq!(judge(&blocked.0, &[partly]).status, LayerStatus::Blocked);
}

#[test]
fn messenger_fails_by_its_names_or_its_connections() {
    let messenger = |failed: Failed| {
        let points = [
            ("edge-mqtt.facebook.com", Layer::Tcp, failed),
            ("star.c10r.facebook.com", Layer::Tcp, None),
            ("stun.fbsbx.com", Layer::Dns, None),
        ];
        service(CheckKind::Messenger, "www.messenger.com", &points, None)
    };
    says(&messenger(dropped(Layer::Tcp)), Class::TcpTimeout, "messenger.tcp.blocked");
    says(&messenger(poisoned()), Class::DnsBogon, "messenger.dns.blocked");
    assert_judged(&messenger(None), &[], Class::Ok, LayerStatus::Ok, "ok");
}

#[test]
fn signal_fails_by_any_of_its_backends_or_by_a_strangers_certificate() {
    let signal = |failed: Failed| {
        let points = [("chat.signal.org", Layer::Tls, failed), ("cdsi.signal.org", Layer::Tls, None)];
        service(CheckKind::Signal, "signal.org", &points, None)
    };
    says(&signal(dropped(Layer::Tls)), Class::TlsTimeout, "signal.backend.blocked");
    assert_judged(&signal(None), &[], Class::Ok, LayerStatus::Ok, "ok");
    let mut forged = signal(None);
    for step in &mut forged.0.observations {
        if let Fact::Tls(fact) = &mut step.fact {
            fact.certificate_issuer = "CN=Ministry".into();
        }
    }
    let fine = ControlFact { check: CheckKind::Signal, ..ControlFact::default() };
    assert_judged(&forged, &[fine], Class::TlsCertMismatch, LayerStatus::Blocked, "signal.certificate");
}

#[test]
fn what_was_not_tried_is_not_ok() {
    let mut builder = Builder::new("https://signal.org/");
    builder.0.check = CheckKind::Signal;
    assert_eq!(judge(&builder.0, &[]).status, LayerStatus::Insufficient);
}
