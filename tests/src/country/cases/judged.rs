//! What the coordinator's judgement makes of a case's measurements, beside what is true.

use super::{Case, Expected, Place, Seen, Vantage};
use faultline_analysis::judge::{ControlFact, judge};
use faultline_model::{CheckKind, Judgement, Layer, LayerStatus, Measurement};

/// How one line of a case was judged.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What is true.
    pub expected: Expected,
    /// What was judged.
    pub judgement: Judgement,
    /// The highest layer above the deciding one that the evidence includes.
    pub also: Option<Layer>,
    /// The router that a `path` measurement shows.
    pub place: Option<Place>,
}

/// Judges every line of a case; a line without a measurement has no outcome.
#[must_use]
pub fn judge_case(case: &Case, seen: &[Seen]) -> Vec<Outcome> {
    let is_control = |seen: &&Seen| matches!(seen.at, Vantage::Control(_));
    let controls: Vec<ControlFact> =
        seen.iter().filter(is_control).map(|seen| ControlFact::of(&seen.measurement)).collect();
    let outcome = |expected: &Expected| {
        let own = find(seen, expected)?;
        let judgement = judge(own, &controls);
        let also = also(own, &judgement);
        let place = Place::of(case, own);
        Some(Outcome { expected: expected.clone(), judgement, also, place })
    };
    case.expected.iter().filter_map(outcome).collect()
}

fn find<'a>(seen: &'a [Seen], expected: &Expected) -> Option<&'a Measurement> {
    let is_meant = |seen: &&Seen| {
        seen.at == Vantage::Subscriber(expected.asn) && seen.measurement.check == expected.check
    };
    seen.iter().find(is_meant).map(|seen| &seen.measurement)
}

/// Returns the highest layer of the evidence, where it lies above the one that decided.
fn also(measurement: &Measurement, judgement: &Judgement) -> Option<Layer> {
    let steps = judgement.evidence.iter().filter_map(|at| measurement.observations.get(usize::from(*at)));
    steps.map(|step| step.layer).max().filter(|layer| *layer > judgement.layer)
}

impl Outcome {
    /// Says whether the judgement is what is true: the status, and where something is done, its layer and hop too.
    #[must_use]
    pub fn is_right(&self) -> bool {
        let Self { expected, judgement, also, place } = self;
        let is_there = |at| place.as_ref().is_some_and(|place| place.is(at));
        judgement.status == expected.status
            && expected.layer.is_none_or(|layer| layer == judgement.layer)
            && (expected.layer.is_none() || expected.hop == judgement.hop)
            && expected.also.is_none_or(|layer| *also == Some(layer))
            && expected.rule.as_ref().is_none_or(|rule| *rule == judgement.rule)
            && expected.at.as_ref().is_none_or(is_there)
    }

    /// Says whether interference is claimed where there is none.
    #[must_use]
    pub fn is_false_alarm(&self) -> bool {
        is_alarm(self.judgement.status) && !is_alarm(self.expected.status)
    }

    /// Returns what was judged, in a few words.
    #[must_use]
    pub fn said(&self) -> String {
        let Judgement { status, layer, hop, rule, .. } = &self.judgement;
        let place = if is_alarm(*status) {
            place(*layer, *hop, self.also.filter(|_| self.expected.also.is_some()))
        } else {
            String::new()
        };
        let router = self.place.as_ref().map(|place| format!(" {place}")).unwrap_or_default();
        format!("{}{}{place}{router}: `{rule}`", self.expected.check_words(), status.as_str())
    }
}

impl Expected {
    /// Returns what is true, in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        let place = self.layer.map(|layer| place(layer, self.hop, self.also)).unwrap_or_default();
        let router = self.at.as_ref().map(|at| format!(" {at}")).unwrap_or_default();
        format!("{}{}{place}{router}", self.check_words(), self.status.as_str())
    }

    /// Names the check, unless it is the one that everybody expects.
    fn check_words(&self) -> String {
        if self.check == CheckKind::Web { String::new() } else { format!("{}: ", self.check) }
    }
}

const fn is_alarm(status: LayerStatus) -> bool {
    matches!(status, LayerStatus::Blocked | LayerStatus::Throttled | LayerStatus::Tampered)
}

fn place(layer: Layer, hop: u8, also: Option<Layer>) -> String {
    let hop = if hop == 0 { String::new() } else { format!(", hop {hop}") };
    let also = also.map(|layer| format!(", then {}", layer.as_str())).unwrap_or_default();
    format!(" ({}{hop}{also})", layer.as_str())
}
