//! When a block began or ended: one change point with unknown rates before and after (method 3.3).
//!
//! ```text
//! argmax_t  sum_{before} w ln Bern(y; p1) + sum_{after} w ln Bern(y; p2),   w_i = 1 / n_agent
//! ```
//! Every agent has the same total weight, so that a busy one does not decide alone. The moment itself lies
//! between the last result before the change and the first after it; the middle is what is said, the two are
//! the interval.

use super::store::Ms;
use std::collections::BTreeMap;

/// One result for a change point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) start: Ms,
    pub(super) agent: usize,
    pub(super) is_bad: bool,
}

/// Which way the rate changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Failures begin.
    Onset,
    /// Failures end.
    End,
}

/// A change point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The last result before the change; the first result's start where there is none before.
    pub(super) last_before: Ms,
    /// The first result after it.
    pub(super) first_after: Ms,
}

impl Change {
    /// Returns the most probable moment.
    pub(super) fn middle(&self) -> Ms {
        self.last_before + (self.first_after - self.last_before) / 2
    }
}

/// Finds the best change point in results that are sorted by start; nothing if no split fits the turn.
pub(super) fn find(points: &[Point], turn: Turn) -> Option<Change> {
    let mut numbers: BTreeMap<usize, f64> = BTreeMap::new();
    for point in points {
        *numbers.entry(point.agent).or_default() += 1.0;
    }
    let weight = |point: &Point| 1.0 / numbers[&point.agent];
    let worth = |point: &Point| if point.is_bad == (turn == Turn::Onset) { weight(point) } else { 0.0 };
    let total: (f64, f64) = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + worth(p), sum.1 + weight(p)));
    let mut before = (0.0, 0.0);
    let mut best: Option<(f64, usize)> = None;
    for (at, point) in points.iter().enumerate() {
        let after = (total.0 - before.0, total.1 - before.1);
        let rises = after.1 > 1e-9 && (before.1 < 1e-9 || after.0 / after.1 > before.0 / before.1);
        let fit = likelihood(before) + likelihood(after);
        if rises && worth(point) > 0.0 && best.is_none_or(|(known, _)| fit > known + 1e-9) {
            best = Some((fit, at));
        }
        before = (before.0 + worth(point), before.1 + weight(point));
    }
    let (_, at) = best?;
    let first_after = points[at].start;
    let last_before = if at == 0 { first_after } else { points[at - 1].start };
    Some(Change { last_before, first_after })
}

/// Log-likelihood of a weighted share at its own rate.
fn likelihood((hits, all): (f64, f64)) -> f64 {
    let part = |count: f64| if count > 1e-9 { count * (count / all).ln() } else { 0.0 };
    part(hits) + part(all - hits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(pattern: &str) -> Vec<Point> {
        let point = |(at, c): (usize, char)| Point {
            start: 10 * i64::try_from(at).expect("small"),
            agent: at % 3,
            is_bad: c == 'x',
        };
        pattern.chars().enumerate().map(point).collect()
    }

    #[test]
    fn a_clean_step_is_found_between_the_last_success_and_the_first_failure() {
        let change = find(&points("......xxxx"), Turn::Onset).expect("a change");
        assert_eq!((change.last_before, change.first_after, change.middle()), (50, 60, 55));
        let change = find(&points("xxxx......"), Turn::End).expect("a change");
        assert_eq!((change.last_before, change.first_after), (30, 40));
    }

    #[test]
    fn chance_failures_before_and_successes_after_do_not_move_it() {
        let change = find(&points("..x......xxxx.xxxxx"), Turn::Onset).expect("a change");
        assert_eq!(change.first_after, 90);
    }

    #[test]
    fn without_success_before_the_first_failure_is_all_that_is_known() {
        let change = find(&points("xxxx"), Turn::Onset).expect("a change");
        assert_eq!((change.last_before, change.first_after), (0, 0));
        assert_eq!(find(&points("...."), Turn::Onset), None);
    }
}
