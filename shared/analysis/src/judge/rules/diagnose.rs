//! Rules about `diagnose`: which thing is blocked.

use super::super::Evidence;
use super::Finding;
use faultline_model::{Class, Judgement, LayerStatus};

pub(super) fn apply(_evidence: &Evidence<'_>) -> Judgement {
    Finding::new(Class::Ok, "diagnose.inconclusive").judged(LayerStatus::Insufficient)
}
