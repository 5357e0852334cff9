//! The rules, one file per layer of `web` and one per further check, first match wins.

mod diagnose;
mod dns;
mod dns_flags;
mod http;
mod local;
pub(super) mod messaging;
pub(super) mod path;
mod quic;
mod selfcheck;
mod tcp;
pub(super) mod throughput;
mod tls;
mod tunnel;

use super::{ControlFact, Evidence, View, views};
use faultline_model::{CheckKind, Class, Judgement, Layer, LayerStatus};
use std::borrow::Cow;

/// What a rule found: how the measurement ended, at which layer, and the rule's id.
#[derive(Debug)]
pub(super) struct Finding {
    class: Class,
    layer: Layer,
    rule: Cow<'static, str>,
    /// The hop, where it is not the one at which the measurement failed.
    hop: Option<u8>,
    /// The status, where it does not follow from the controls.
    status: Option<LayerStatus>,
}

impl Finding {
    pub(super) fn new(class: Class, rule: impl Into<Cow<'static, str>>) -> Self {
        Self::at(class, class.layer(), rule)
    }

    /// For classes that are used at another layer than their own.
    pub(super) fn at(class: Class, layer: Layer, rule: impl Into<Cow<'static, str>>) -> Self {
        Self { class, layer, rule: rule.into(), hop: None, status: None }
    }

    /// Something interferes at a layer, and the site is reached all the same.
    fn tampered(layer: Layer, rule: &'static str) -> Self {
        Self { status: Some(LayerStatus::Tampered), ..Self::at(Class::Ok, layer, rule) }
    }

    /// Says at which hop it was found.
    fn on(self, hop: u8) -> Self {
        Self { hop: Some(hop), ..self }
    }

    /// Says what follows, whatever the controls say besides.
    fn with(self, status: LayerStatus) -> Self {
        Self { status: Some(status), ..self }
    }

    fn judged(&self, status: LayerStatus) -> Judgement {
        let hop = self.hop.unwrap_or(0);
        Judgement {
            class: self.class,
            layer: self.layer,
            status,
            rule: self.rule.clone().into_owned(),
            hop,
            evidence: vec![],
        }
    }
}

/// Runs the rules of a measurement's check over it.
pub(super) fn apply(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Judgement {
    let mut judgement = match evidence.check() {
        CheckKind::Web | CheckKind::VpnApi => apply_web(evidence, controls),
        CheckKind::Quic => quic::apply(evidence, controls),
        CheckKind::Throughput => throughput::apply(evidence, controls),
        CheckKind::Whatsapp | CheckKind::Telegram | CheckKind::Signal | CheckKind::Messenger => {
            messaging::apply(evidence, controls)
        }
        CheckKind::Path => path::apply(evidence, controls),
        CheckKind::Openvpn | CheckKind::Wireguard | CheckKind::Tor | CheckKind::Proxy => {
            tunnel::apply(evidence, controls)
        }
        CheckKind::Diagnose => diagnose::apply(evidence, controls),
        CheckKind::Selfcheck => selfcheck::apply(evidence),
    };
    if is_news(judgement.status) && local::has_filter(evidence) {
        judgement = Finding::new(Class::LocalNetworkDown, local::FILTER).judged(LayerStatus::Insufficient);
    }
    if judgement.hop == 0 {
        judgement.hop = evidence.hop();
    }
    if judgement.rule != OK {
        judgement.evidence = evidence.supporting(judgement.layer, judgement.hop);
    }
    judgement
}

const fn is_news(status: LayerStatus) -> bool {
    !matches!(status, LayerStatus::Ok | LayerStatus::Insufficient)
}

/// The id of what is said where no rule finds anything.
const OK: &str = "ok";

fn apply_web(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Judgement {
    let controls: Vec<&ControlFact> =
        controls.iter().copied().filter(|control| control.check == evidence.check()).collect();
    let Some(finding) = local::find(evidence).or_else(|| by_layer(evidence, &controls)) else {
        return Finding::new(Class::Ok, OK).judged(LayerStatus::Ok);
    };
    let status = match (finding.status, finding.class) {
        (Some(status), _) => status,
        (None, Class::LocalNetworkDown) => LayerStatus::Insufficient,
        (None, _) => {
            let hop = finding.hop.unwrap_or_else(|| evidence.hop());
            match beside_controls(finding.layer, &views_at(evidence, &controls, hop)) {
                LayerStatus::Blocked if finding.rule == http::NOWHERE => LayerStatus::Insufficient,
                status => status,
            }
        }
    };
    finding.judged(status)
}

/// Lists what controls say about a hop of a measurement.
fn views_at<'a>(evidence: &Evidence<'_>, controls: &[&'a ControlFact], hop: u8) -> Vec<View<'a>> {
    views(controls, (hop, evidence.name_at(hop).unwrap_or_default()))
}

/// Finds how a way over TCP ended.
fn by_layer(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Option<Finding> {
    if let Some(ghost) = dns::find_ghost(evidence, controls) {
        return Some(ghost);
    }
    match evidence.failed.map(|step| step.layer) {
        Some(Layer::Dns) => dns::find(evidence),
        Some(Layer::Tcp) => dns::find_forged(evidence, controls).or_else(|| tcp::find(evidence)),
        Some(Layer::Tls) => dns::find_forged(evidence, controls).or_else(|| tls::find(evidence)),
        Some(Layer::Http) => dns::find_known(evidence, controls)
            .or_else(|| dns::find_proven(evidence, controls))
            .or_else(|| http::find_failed(evidence)),
        // No way over TCP has such a step.
        Some(Layer::Quic | Layer::Tunnel) => None,
        None => dns::find_bogon(evidence)
            .or_else(|| dns::find_known(evidence, controls))
            .or_else(|| http::find(evidence, controls))
            .or_else(|| tls::find_intercepted(evidence, controls))
            .or_else(|| http::find_alone(evidence, controls))
            .or_else(|| dns::find_misled(evidence, controls))
            .or_else(|| dns_flags::find_provider(evidence, controls)),
    }
}

/// Reads a failure at a layer beside the controls: one control that got past the layer shows that the site was
/// fine there; controls that all failed there, or before, show that it was not.
fn beside_controls(layer: Layer, controls: &[View<'_>]) -> LayerStatus {
    if controls.is_empty() {
        return LayerStatus::Insufficient;
    }
    if controls.iter().any(|control| control.got_past(layer)) {
        LayerStatus::Blocked
    } else {
        LayerStatus::Down
    }
}

fn got_past(control: &ControlFact, layer: Layer) -> bool {
    control.failed_at.is_none_or(|failed| failed > layer)
}
