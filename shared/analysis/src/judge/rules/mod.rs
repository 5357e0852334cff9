//! The rules, one file per layer of `web` and one per further check, first match wins.

mod diagnose;
mod dns;
mod http;
mod local;
mod quic;
mod tcp;
pub(super) mod throughput;
mod tls;
mod tunnel;

use super::{ControlFact, Evidence};
use faultline_model::{CheckKind, Class, Judgement, Layer, LayerStatus};
use std::borrow::Cow;

/// What a rule found: how the measurement ended, at which layer, and the rule's id.
#[derive(Debug)]
pub(super) struct Finding {
    class: Class,
    layer: Layer,
    rule: Cow<'static, str>,
}

impl Finding {
    pub(super) fn new(class: Class, rule: impl Into<Cow<'static, str>>) -> Self {
        Self::at(class, class.layer(), rule)
    }

    /// For classes that are used at another layer than their own.
    pub(super) fn at(class: Class, layer: Layer, rule: impl Into<Cow<'static, str>>) -> Self {
        Self { class, layer, rule: rule.into() }
    }

    fn judged(&self, status: LayerStatus) -> Judgement {
        Judgement { class: self.class, layer: self.layer, status, rule: self.rule.clone().into_owned() }
    }
}

/// Runs the rules of a measurement's check over it.
pub(super) fn apply(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Judgement {
    match evidence.check() {
        CheckKind::Web | CheckKind::VpnApi => apply_web(evidence, controls),
        CheckKind::Quic => quic::apply(evidence, controls),
        CheckKind::Throughput => throughput::apply(evidence, controls),
        CheckKind::Openvpn | CheckKind::Wireguard | CheckKind::Tor | CheckKind::Proxy => {
            tunnel::apply(evidence, controls)
        }
        CheckKind::Diagnose => diagnose::apply(evidence),
    }
}

fn apply_web(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Judgement {
    let controls: Vec<&ControlFact> =
        controls.iter().copied().filter(|control| control.check == evidence.check()).collect();
    let Some(finding) = local::find(evidence).or_else(|| by_layer(evidence, &controls)) else {
        return Finding::new(Class::Ok, "ok").judged(LayerStatus::Ok);
    };
    let status = match finding.class {
        Class::LocalNetworkDown => LayerStatus::Insufficient,
        _ => beside_controls(finding.layer, &controls),
    };
    finding.judged(status)
}

/// Finds how a way over TCP ended.
fn by_layer(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Option<Finding> {
    match evidence.failed.map(|step| step.layer) {
        Some(Layer::Dns) => dns::find(evidence),
        Some(Layer::Tcp) => dns::find_forged(evidence, controls).or_else(|| tcp::find(evidence)),
        Some(Layer::Tls) => dns::find_forged(evidence, controls).or_else(|| tls::find(evidence)),
        Some(Layer::Http) => dns::find_known(evidence, controls).or_else(|| http::find_failed(evidence)),
        // No way over TCP has such a step.
        Some(Layer::Quic | Layer::Tunnel) => None,
        None => dns::find_bogon(evidence)
            .or_else(|| dns::find_known(evidence, controls))
            .or_else(|| http::find(evidence, controls)),
    }
}

/// Reads a failure at a layer beside the controls: one control that got past the layer shows that the site was
/// fine there; controls that all failed there, or before, show that it was not.
fn beside_controls(layer: Layer, controls: &[&ControlFact]) -> LayerStatus {
    if controls.is_empty() {
        return LayerStatus::Insufficient;
    }
    if controls.iter().any(|control| got_past(control, layer)) {
        LayerStatus::Blocked
    } else {
        LayerStatus::Down
    }
}

fn got_past(control: &ControlFact, layer: Layer) -> bool {
    control.failed_at.is_none_or(|failed| failed > layer)
}
