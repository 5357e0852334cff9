//! Cases of circumvention handshakes.

use super::tests::{Builder, assert_judged};
use super::{ControlFact, judge};
use faultline_model::{
    CheckKind, Class, Engine, Fact, Failure, Layer, LayerStatus, ProtocolClass, Target, TlsFact, Transport,
    TunnelFact, TunnelStage,
};
use std::time::Duration;

const HOST: &str = "157.240.0.35";
const WIREGUARD: &str = "wireguard://r.example.net?public_key=jNXHt1yRo0vDuchQlIP6Z0ZvjT3KtzVI1LkJGLH3oGU=\
                         &client_key=jNXHt1yRo0vDuchQlIP6Z0ZvjT3KtzVI1LkJGLH3oGU=";

fn endpoint(check: CheckKind, target: &str) -> Builder {
    let mut builder = Builder::new("https://r.example.net/").dns(Engine::System, &[HOST], None);
    builder.0.target = Target::new(target).expect("an endpoint");
    builder.0.check = check;
    builder
}

fn udp() -> Builder {
    endpoint(CheckKind::Openvpn, "openvpn://r.example.net")
}

fn tor() -> Builder {
    endpoint(CheckKind::Tor, "tor://r.example.net")
}

fn fact(stage: TunnelStage) -> Fact {
    Fact::Tunnel(TunnelFact { stage, transport: Transport::Udp, ..TunnelFact::default() })
}

fn shaken(builder: Builder, stage: TunnelStage, failure: Option<Failure>) -> Builder {
    builder.step(Layer::Tunnel, Engine::System, fact(stage), failure)
}

fn control(check: CheckKind, failed_at: Option<Layer>) -> ControlFact {
    ControlFact { check, failed_at, ..ControlFact::default() }
}

#[test]
fn each_end_of_a_handshake_has_its_rule() {
    let (sent, first) = (TunnelStage::Sent, TunnelStage::FirstReply);
    let tcp = || endpoint(CheckKind::Openvpn, "openvpn://r.example.net?transport=tcp");
    let inner = |failure| {
        let mut builder = shaken(
            endpoint(CheckKind::Proxy, "socks5://r.example.net?to=example.org").tcp(None),
            TunnelStage::Complete,
            None,
        )
        .step(Layer::Tls, Engine::System, Fact::Tls(TlsFact::default()), Some(failure));
        builder.0.observations.last_mut().expect("a step").hop = 1;
        builder
    };
    let cases = [
        (shaken(udp(), sent, Some(Failure::Timeout)), Class::TlsTimeout, "openvpn_udp.drop"),
        (shaken(udp(), first, Some(Failure::Timeout)), Class::TlsTimeout, "openvpn_udp.stall"),
        (shaken(udp(), sent, Some(Failure::ConnectionRefused)), Class::TcpRefused, "openvpn_udp.refused"),
        (tcp().tcp(Some(Failure::Timeout)), Class::TcpTimeout, "openvpn_tcp.tcp.timeout"),
        (shaken(tcp().tcp(None), sent, Some(Failure::ConnectionReset)), Class::TlsReset, "openvpn_tcp.reset"),
        (
            shaken(endpoint(CheckKind::Wireguard, WIREGUARD), sent, Some(Failure::Timeout)),
            Class::TlsTimeout,
            "wireguard.drop",
        ),
        (
            shaken(endpoint(CheckKind::Wireguard, WIREGUARD), first, Some(Failure::TunnelWrongPeer)),
            Class::TlsCertMismatch,
            "wireguard.wrong_peer",
        ),
        (
            tor().tcp(None).tls(Engine::System, Some(Failure::ConnectionReset)),
            Class::TlsReset,
            "tor.tls.reset",
        ),
        (
            shaken(tor().tcp(None).tls(Engine::System, None), sent, Some(Failure::TunnelInvalidReply)),
            Class::TlsReset,
            "tor.invalid_reply",
        ),
        (inner(Failure::ConnectionReset), Class::TlsReset, "socks5.inner_tls.reset"),
    ];
    for (builder, class, rule) in cases {
        let check = builder.0.check;
        assert_judged(&builder, &[control(check, None)], class, LayerStatus::Blocked, rule);
        assert_judged(&builder, &[], class, LayerStatus::Insufficient, rule);
    }
}

#[test]
fn silence_at_a_udp_handshake_is_read_beside_whole_handshakes_of_controls_only() {
    let dropped = shaken(udp(), TunnelStage::Sent, Some(Failure::Timeout));
    let says = |controls: &[ControlFact], status| {
        assert_judged(&dropped, controls, Class::TlsTimeout, status, "openvpn_udp.drop");
    };
    let (fine, failing) =
        (control(CheckKind::Openvpn, None), control(CheckKind::Openvpn, Some(Layer::Tunnel)));
    says(std::slice::from_ref(&failing), LayerStatus::Down);
    says(&[failing, fine.clone()], LayerStatus::Blocked);
    says(&[control(CheckKind::Web, None)], LayerStatus::Insufficient);
    says(&[ControlFact { age: Duration::from_secs(1501), ..fine }], LayerStatus::Insufficient);
    // A control that fails later than the vantage point shows that the host is up, not that the endpoint is.
    let timeout = tor().tcp(Some(Failure::Timeout));
    let later = [control(CheckKind::Tor, Some(Layer::Tls))];
    assert_judged(&timeout, &later, Class::TcpTimeout, LayerStatus::Blocked, "tor.tcp.timeout");
    let reset = tor().tcp(None).tls(Engine::System, Some(Failure::ConnectionReset));
    let later = [control(CheckKind::Tor, Some(Layer::Tunnel))];
    assert_judged(&reset, &later, Class::TlsReset, LayerStatus::Down, "tor.tls.reset");
}

#[test]
fn a_passed_handshake_is_ok_and_one_that_was_not_brought_to_its_end_says_nothing() {
    let passed = shaken(udp(), TunnelStage::Complete, None);
    assert_judged(&passed, &[], Class::Ok, LayerStatus::Ok, "ok");
    assert_eq!(judge(&passed.0, &[]).layer, Layer::Tunnel);
    let half = shaken(udp(), TunnelStage::FirstReply, None);
    let fine = [control(CheckKind::Openvpn, None)];
    assert_judged(&half, &fine, Class::Ok, LayerStatus::Insufficient, "openvpn.incomplete");
    assert_eq!(CheckKind::Openvpn.protocol_class(&half.0.target), Some(ProtocolClass::OpenvpnUdp));
}

#[test]
fn a_forged_name_is_told_from_a_blocked_protocol() {
    let forged = shaken(
        endpoint(CheckKind::Openvpn, "openvpn://r.example.net"),
        TunnelStage::Sent,
        Some(Failure::Timeout),
    )
    .dns(Engine::Doh, &["203.82.50.1"], None);
    let fine = [control(CheckKind::Openvpn, None)];
    assert_judged(&forged, &fine, Class::DnsInjected, LayerStatus::Blocked, "dns.forged");
    let denied = endpoint(CheckKind::Tor, "tor://r.example.net");
    assert_eq!(judge(&denied.0, &[]).status, LayerStatus::Insufficient, "nothing was tried");
}

#[test]
fn a_providers_interface_is_judged_like_a_page_beside_its_own_controls() {
    let mut reset = Builder::new("https://api.vpn.example/")
        .dns(Engine::System, &[HOST], None)
        .tcp(None)
        .tls(Engine::System, Some(Failure::ConnectionReset));
    reset.0.check = CheckKind::VpnApi;
    let own = [control(CheckKind::VpnApi, None)];
    assert_judged(&reset, &own, Class::TlsReset, LayerStatus::Blocked, "tls.reset.sni");
    let web = [control(CheckKind::Web, None)];
    assert_judged(&reset, &web, Class::TlsReset, LayerStatus::Insufficient, "tls.reset.sni");
}
