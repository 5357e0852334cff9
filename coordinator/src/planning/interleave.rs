//! The order of targets within a period.
//!
//! A service with `k` targets wants to be looked at every `1/k` of the period. Its targets are placed on a circle at
//! `(i + u) / k`, with `u` from the golden-ratio sequence, which spreads the services' first targets evenly however many
//! there are. The rank on the circle is the place in the period.

use faultline_model::{CheckKind, ServiceId, Target, TaskList};
use std::collections::BTreeMap;

const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Returns each (check, target) of a list once, in the order in which a period goes through them.
pub(super) fn interleave(list: &TaskList) -> Vec<(CheckKind, &Target)> {
    let mut services: BTreeMap<&ServiceId, Vec<(CheckKind, &Target)>> = BTreeMap::new();
    for spec in &list.targets {
        let items = services.entry(&spec.service).or_default();
        items.extend(spec.checks.iter().map(|check| (*check, &spec.target)));
    }
    let mut by_size: Vec<_> = services.into_iter().collect();
    by_size.sort_by(|(a, a_items), (b, b_items)| b_items.len().cmp(&a_items.len()).then(a.cmp(b)));
    let mut circle: Vec<(f64, CheckKind, &Target)> = Vec::new();
    let mut start = 0.0_f64;
    for (_, items) in by_size {
        let count = float(items.len());
        for (index, (check, target)) in items.into_iter().enumerate() {
            circle.push(((float(index) + start) / count, check, target));
        }
        start = (start + GOLDEN).fract();
    }
    circle.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| (a.2, a.1).cmp(&(b.2, b.1))));
    circle.into_iter().map(|(_, check, target)| (check, target)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a list has at most thousands of targets")]
fn float(count: usize) -> f64 {
    count as f64
}
