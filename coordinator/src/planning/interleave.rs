//! The order of targets within a period.
//!
//! A service with `k` targets wants to be looked at every `1/k` of the period. Its targets are placed on a circle at
//! `(i + u) / k`, with `u` from the golden-ratio sequence, which spreads the services' first targets evenly however many
//! there are. The position on the circle is the moment in the period, so that a service is looked at evenly and an onset
//! is known to half of `1/k` of the period; the rank decides whose turn it is.

use faultline_model::{Category, CheckKind, ServiceId, Target, TargetSpec, TaskList};
use std::collections::BTreeMap;

const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// One check of one target, at its place in the period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) check: CheckKind,
    pub(super) target: &'a Target,
    /// The target's category; landmarks have none.
    pub(super) category: Option<&'a Category>,
    /// Part of the period, from 0 up to but not including 1.
    pub(super) position: f64,
}

/// Returns each (check, target) of a list once, in the order in which a period goes through them.
pub(super) fn interleave(list: &TaskList) -> Vec<Item<'_>> {
    let mut services: BTreeMap<&ServiceId, Vec<(CheckKind, &TargetSpec)>> = BTreeMap::new();
    for spec in &list.targets {
        let items = services.entry(&spec.service).or_default();
        let routine = spec.checks.iter().filter(|check| check.is_routine());
        items.extend(routine.map(|check| (*check, spec)));
    }
    let mut by_size: Vec<_> = services.into_iter().collect();
    by_size.sort_by(|(a, a_items), (b, b_items)| b_items.len().cmp(&a_items.len()).then(a.cmp(b)));
    let mut circle: Vec<Item<'_>> = Vec::new();
    let mut start = 0.0_f64;
    for (_, items) in by_size {
        let count = float(items.len());
        for (index, (check, spec)) in items.into_iter().enumerate() {
            let (target, category) = (&spec.target, Some(&spec.category));
            circle.push(Item { check, target, category, position: (float(index) + start) / count });
        }
        start = (start + GOLDEN).fract();
    }
    circle.sort_by(|a, b| {
        a.position.total_cmp(&b.position).then_with(|| (a.target, a.check).cmp(&(b.target, b.check)))
    });
    circle
}

/// Returns each landmark once, spread evenly over the period.
pub(super) fn landmarks(list: &TaskList) -> impl Iterator<Item = Item<'_>> {
    let count = float(list.landmarks.len());
    list.landmarks.iter().enumerate().map(move |(index, landmark)| Item {
        check: CheckKind::Web,
        target: &landmark.target,
        category: None,
        position: float(index) / count,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a list has at most thousands of targets")]
fn float(count: usize) -> f64 {
    count as f64
}
