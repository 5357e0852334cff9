//! The rules, one file per layer, first match wins.

mod dns;
mod fingerprint;
mod http;
mod local;
mod tcp;
mod tls;

use super::{ControlFact, Evidence};
use faultline_model::{Class, Judgement, Layer, LayerStatus};

/// What a rule found: how the measurement ended, at which layer, and the rule's id.
#[derive(Debug)]
pub(super) struct Finding {
    class: Class,
    layer: Layer,
    rule: &'static str,
}

impl Finding {
    pub(super) fn new(class: Class, rule: &'static str) -> Self {
        Self { class, layer: class.layer(), rule }
    }
}

/// Runs the rules over one measurement.
pub(super) fn apply(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Judgement {
    let by_layer = || match evidence.failed.map(|step| step.layer) {
        Some(Layer::Dns) => dns::find(evidence),
        Some(Layer::Tcp) => dns::find_forged(evidence, controls).or_else(|| tcp::find(evidence)),
        Some(Layer::Tls) => dns::find_forged(evidence, controls).or_else(|| tls::find(evidence)),
        Some(Layer::Http) => http::find_failed(evidence),
        None => dns::find_bogon(evidence).or_else(|| http::find(evidence, controls)),
    };
    let Some(finding) = local::find(evidence).or_else(by_layer) else {
        return judgement(&Finding::new(Class::Ok, "ok"), LayerStatus::Ok);
    };
    let status = match finding.class {
        Class::LocalNetworkDown => LayerStatus::Insufficient,
        _ => beside_controls(finding.layer, controls),
    };
    judgement(&finding, status)
}

fn judgement(finding: &Finding, status: LayerStatus) -> Judgement {
    Judgement { class: finding.class, layer: finding.layer, status, rule: finding.rule.to_owned() }
}

/// Reads a failure at a layer beside the controls: one control that got past the layer shows that the site was
/// fine there; controls that all failed there, or before, show that it was not.
fn beside_controls(layer: Layer, controls: &[&ControlFact]) -> LayerStatus {
    if controls.is_empty() {
        return LayerStatus::Insufficient;
    }
    let got_past = |control: &&&ControlFact| control.failed_at.is_none_or(|failed| failed > layer);
    if controls.iter().any(|control| got_past(&control)) { LayerStatus::Blocked } else { LayerStatus::Down }
}
