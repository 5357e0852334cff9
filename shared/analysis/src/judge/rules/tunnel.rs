//! Rules about circumvention handshakes: `openvpn.drop`, `tor.tls.reset`, and so on.
//!
//! A rule's id begins with the protocol class (`openvpn_tcp.reset`), then the layer unless it is the protocol's own, then what
//! happened. Silence at a UDP handshake is judged like any other failure, for a control that shakes hands with the same
//! endpoint in the same minutes shows that the endpoint was up and that the list's keys are right. So a failure counts
//! only beside such a control: with none it is `insufficient`, and where every control fails, the endpoint is down.

use super::super::{ControlFact, Evidence};
use super::{Finding, dns, got_past, local};
use faultline_model::{CheckKind, Class, Failure, Judgement, Layer, LayerStatus, ProtocolClass, TunnelStage};

/// Judges a measurement of an endpoint.
pub(super) fn apply(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Judgement {
    let check = evidence.check();
    let controls: Vec<&ControlFact> =
        controls.iter().copied().filter(|control| control.check == check).collect();
    let class = evidence.protocol_class().unwrap_or_default();
    let by_layer = || match evidence.failed?.layer {
        Layer::Dns => dns::find(evidence),
        Layer::Tcp => dns::find_forged(evidence, &controls).or_else(|| find_tcp(class, evidence.failure()?)),
        Layer::Tls => find_tls(class, evidence),
        // An endpoint's name stands for one host, so wholly different addresses elsewhere mean a forged one.
        _ => dns::find_forged(evidence, &controls).or_else(|| find_handshake(class, evidence)),
    };
    let Some(finding) = local::find(evidence).or_else(by_layer) else {
        return complete(evidence, check);
    };
    let status = match finding.class {
        Class::LocalNetworkDown => LayerStatus::Insufficient,
        _ => beside_controls(finding.layer, &controls),
    };
    finding.judged(status)
}

/// Nothing failed: that is only worth something if the handshake was brought to its end.
fn complete(evidence: &Evidence<'_>, check: CheckKind) -> Judgement {
    let is_complete = evidence.tunnels().any(|fact| fact.stage == TunnelStage::Complete);
    if is_complete {
        Finding::at(Class::Ok, Layer::Tunnel, "ok").judged(LayerStatus::Ok)
    } else {
        let rule = format!("{check}.incomplete");
        Finding::at(Class::Ok, Layer::Tunnel, rule).judged(LayerStatus::Insufficient)
    }
}

fn find_tcp(class: ProtocolClass, failure: &Failure) -> Option<Finding> {
    let (found, what) = match failure {
        Failure::ConnectionRefused => (Class::TcpRefused, "refused"),
        Failure::HostUnreachable | Failure::NetworkUnreachable => (Class::TcpRefused, "unreachable"),
        Failure::ConnectionReset | Failure::Eof => (Class::TcpReset, "reset"),
        Failure::Timeout => (Class::TcpTimeout, "timeout"),
        _ => (Class::TcpTimeout, "failure"),
    };
    Some(Finding::at(found, Layer::Tcp, format!("{class}.tcp.{what}")))
}

/// The TLS handshake of an OR port or a proxy, or the one through it.
fn find_tls(class: ProtocolClass, evidence: &Evidence<'_>) -> Option<Finding> {
    let (found, what) = match evidence.failure()? {
        Failure::ConnectionReset => (Class::TlsReset, "reset"),
        Failure::Eof => (Class::TlsReset, "close"),
        Failure::Timeout => (Class::TlsTimeout, "timeout"),
        Failure::SslInvalidHostname | Failure::SslUnknownAuthority | Failure::SslInvalidCertificate => {
            (Class::TlsCertMismatch, "certificate")
        }
        Failure::SslFailedHandshake => (Class::TlsCertMismatch, "alert"),
        _ => (Class::TlsTimeout, "failure"),
    };
    let place = if evidence.hop() == 0 { "tls" } else { "inner_tls" };
    Some(Finding::at(found, Layer::Tls, format!("{class}.{place}.{what}")))
}

fn find_handshake(class: ProtocolClass, evidence: &Evidence<'_>) -> Option<Finding> {
    let stage = evidence.tunnels().last().map_or(TunnelStage::Sent, |fact| fact.stage);
    let (found, what) = match evidence.failure()? {
        Failure::Timeout if stage > TunnelStage::Sent => (Class::TlsTimeout, "stall"),
        Failure::Timeout => (Class::TlsTimeout, "drop"),
        Failure::ConnectionRefused => (Class::TcpRefused, "refused"),
        Failure::HostUnreachable | Failure::NetworkUnreachable => (Class::TcpRefused, "unreachable"),
        Failure::ConnectionReset => (Class::TlsReset, "reset"),
        Failure::Eof => (Class::TlsReset, "close"),
        Failure::TunnelInvalidReply => (Class::TlsReset, "invalid_reply"),
        Failure::TunnelWrongPeer => (Class::TlsCertMismatch, "wrong_peer"),
        Failure::TunnelDenied => (Class::TlsReset, "denied"),
        _ => (Class::TlsTimeout, "failure"),
    };
    Some(Finding::at(found, Layer::Tunnel, format!("{class}.{what}")))
}

/// Above TCP the order of layers differs from protocol to protocol, so that only a whole handshake counts there.
fn beside_controls(layer: Layer, controls: &[&ControlFact]) -> LayerStatus {
    let is_fine = |control: &&&ControlFact| match layer {
        Layer::Dns | Layer::Tcp => got_past(control, layer),
        _ => control.failed_at.is_none(),
    };
    if controls.is_empty() {
        LayerStatus::Insufficient
    } else if controls.iter().any(|control| is_fine(&control)) {
        LayerStatus::Blocked
    } else {
        LayerStatus::Down
    }
}
