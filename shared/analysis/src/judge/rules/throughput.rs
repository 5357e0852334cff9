//! Rules about speed: a download beside the one that was made through the same line right after it.
//!
//! A target is slowed if its goodput is a tenth of the paired control's or less and below 300 kbit/s, as in the throttling
//! that was measured in the field (Twitter in Russia, 130 to 150 kbit/s on every line). Slow like the control is a slow
//! line. Slow for the controls outside too is a slow site.

use super::super::{ControlFact, Evidence};
use super::{Finding, by_layer, got_past, local};
use faultline_model::{CheckKind, Class, DownloadEnd, Engine, Judgement, Layer, LayerStatus, ThroughputFact};

/// What a slowed download stays below, in bits per second.
const SLOW_BPS: u64 = 300_000;
/// How many times faster the paired control is.
const FACTOR: u64 = 10;
/// A shorter body says nothing: it is over before TCP has found its pace, or within what a throttle lets by.
const LEAST_BODY_BYTES: u64 = 64 * 1024;

/// Judges a `throughput` measurement.
pub(super) fn apply(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Judgement {
    let paired: Vec<&ControlFact> =
        controls.iter().copied().filter(|control| control.check == CheckKind::Throughput).collect();
    if let Some(finding) = local::find(evidence) {
        return finding.judged(LayerStatus::Insufficient);
    }
    if evidence.failed.is_some()
        && let Some(finding) = by_layer(evidence, &paired)
    {
        let status =
            beside_controls(&paired, |control| got_past(control, finding.layer), LayerStatus::Blocked);
        return finding.judged(status);
    }
    compare(evidence, &paired)
}

fn compare(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Judgement {
    let unknown = |rule| Finding::new(Class::Ok, rule).judged(LayerStatus::Insufficient);
    let Some(target) = evidence.download(Engine::System) else { return unknown("throughput.no_answer") };
    let Some(goodput) = goodput(target) else { return unknown("throughput.too_small") };
    if goodput >= SLOW_BPS {
        return Finding::new(Class::Ok, "ok").judged(LayerStatus::Ok);
    }
    let control = evidence.download(Engine::Control).filter(|control| control.end != DownloadEnd::Broken);
    let Some(control) = control.and_then(self::goodput) else { return unknown("throughput.no_pair") };
    if control < SLOW_BPS || control < goodput.saturating_mul(FACTOR) {
        return unknown("throughput.line_slow");
    }
    let is_fast = |fact: &ControlFact| fact.goodput_bps.is_some_and(|goodput| goodput >= SLOW_BPS);
    let measured: Vec<&ControlFact> =
        controls.iter().copied().filter(|control| control.goodput_bps.is_some()).collect();
    let status = beside_controls(&measured, is_fast, LayerStatus::Throttled);
    Finding::at(Class::Throttled, Layer::Http, "throttling.goodput").judged(status)
}

/// Returns a download's goodput in bits per second, if enough of a page was read to speak of one. A body that was still
/// coming when the time was up counts however short it is.
pub(in super::super) fn goodput(download: &ThroughputFact) -> Option<u64> {
    let is_page = (200..300).contains(&download.status);
    let is_enough = download.body_bytes >= LEAST_BODY_BYTES || download.end == DownloadEnd::TimeCap;
    (is_page && is_enough).then(|| download.goodput_bps())
}

fn beside_controls(
    controls: &[&ControlFact],
    is_fine: impl Fn(&ControlFact) -> bool,
    otherwise: LayerStatus,
) -> LayerStatus {
    match controls {
        [] => LayerStatus::Insufficient,
        some if some.iter().any(|control| is_fine(control)) => otherwise,
        _ => LayerStatus::Down,
    }
}
