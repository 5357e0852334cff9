//! Rules about QUIC: the handshake, the HTTP/3 exchange on it, and how both are read beside the controls.
//!
//! Most sites answer over TCP whether or not QUIC works, and not every site serves QUIC. So a failure counts only where
//! controls reached the same host both ways: over QUIC, which shows that the site serves it, and over TCP, which
//! shows that the site was up and its name was right.

use super::super::{ControlFact, Evidence};
use super::{Finding, dns, got_past, local};
use faultline_model::{CheckKind, Class, Failure, Judgement, Layer, LayerStatus};

/// Judges a `quic` measurement.
pub(super) fn apply(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Judgement {
    let by_layer = || match evidence.failed.map(|step| step.layer) {
        Some(Layer::Dns) => dns::find(evidence),
        Some(Layer::Http) => find_exchange(evidence),
        Some(_) => find_forged(evidence, controls).or_else(|| find_handshake(evidence)),
        None => dns::find_bogon(evidence),
    };
    let Some(finding) = local::find(evidence).or_else(by_layer) else {
        return Finding::new(Class::Ok, "ok").judged(LayerStatus::Ok);
    };
    let status = match finding.class {
        Class::LocalNetworkDown => LayerStatus::Insufficient,
        _ => beside_controls(finding.layer, controls),
    };
    finding.judged(status)
}

/// A certificate that is not the site's can come from a forged address; silence over QUIC says nothing about an address.
fn find_forged(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Option<Finding> {
    let is_certificate = matches!(
        evidence.failure()?,
        Failure::SslInvalidHostname | Failure::SslUnknownAuthority | Failure::SslInvalidCertificate
    );
    if is_certificate { dns::find_forged(evidence, controls) } else { None }
}

fn find_handshake(evidence: &Evidence<'_>) -> Option<Finding> {
    let is_answered = evidence.quic().is_some_and(|fact| fact.datagrams_received > 0);
    let (class, rule) = match evidence.failure()? {
        Failure::Timeout if is_answered => (Class::TlsTimeout, "quic.stall"),
        Failure::Timeout => (Class::TlsTimeout, "quic.drop"),
        Failure::QuicIncompatibleVersion => (Class::TlsReset, "quic.version_negotiation"),
        Failure::ConnectionRefused => (Class::TcpRefused, "quic.refused"),
        Failure::HostUnreachable | Failure::NetworkUnreachable => (Class::TcpRefused, "quic.unreachable"),
        Failure::ConnectionReset | Failure::Eof => (Class::TlsReset, "quic.close"),
        Failure::SslInvalidHostname | Failure::SslUnknownAuthority | Failure::SslInvalidCertificate => {
            (Class::TlsCertMismatch, "quic.certificate")
        }
        Failure::SslFailedHandshake => (Class::TlsCertMismatch, "quic.alert"),
        _ => (Class::TlsTimeout, "quic.failure"),
    };
    Some(Finding::at(class, Layer::Quic, rule))
}

fn find_exchange(evidence: &Evidence<'_>) -> Option<Finding> {
    let finding = match evidence.failure()? {
        Failure::ConnectionReset | Failure::Eof => Finding::new(Class::HttpReset, "http3.reset"),
        Failure::HttpInvalidResponse => Finding::new(Class::HttpReset, "http3.invalid_response"),
        Failure::Timeout => Finding::new(Class::HttpTimeout, "http3.timeout"),
        _ => Finding::new(Class::HttpTimeout, "http3.failure"),
    };
    Some(finding)
}

fn beside_controls(layer: Layer, controls: &[&ControlFact]) -> LayerStatus {
    let of = |check: CheckKind| controls.iter().copied().filter(move |control| control.check == check);
    if of(CheckKind::Quic).next().is_none() {
        return LayerStatus::Insufficient;
    }
    if !of(CheckKind::Quic).any(|control| got_past(control, layer)) {
        return LayerStatus::Down;
    }
    let is_up = of(CheckKind::Web).any(|control| control.failed_at.is_none());
    if is_up { LayerStatus::Blocked } else { LayerStatus::Insufficient }
}
