//! Recorded data whose vantage points have no identity.
//!
//! Where rows carry no agent, one measurement is one vote, and the caller caps the votes of a network and hour
//! by giving them the names of a few vantage points ([`crate::replay::ooni`]). What follows from that:
//! - *spans*: such data are sparse, so every span of the method stretches with the base period, which the
//!   caller derives from the density of the data;
//! - *selectivity*: that a vantage point reached something unrelated can only be asked of its network. Where a
//!   network's data hold nothing unrelated at all, it cannot be asked; that a measurement was delivered shows
//!   that its line carried it;
//! - *control*: where none ran, a success on another provider since the first failure shows that the site was
//!   up;
//! - *schedule*: a block that is on for some hours of some days may show one or two votes each time, which no
//!   window of the method holds together. Windows of days are added, in which a block is on for half or a quarter
//!   of the time ([`mixed`]); failures on three days stand for the quorum, and it is over after three quiet days, one
//!   more than a weekend;
//! - *country*: nobody can be asked again, so that a provider of which too little is known counts against a
//!   national verdict.

use super::core::Core;
use super::evidence::{MECHANISMS, Votes, count, e_value, vote};
use super::null::share;
use super::store::{Entry, Ms, RETENTION_MS};
use super::world::{FamilyNo, TargetNo};
use std::collections::BTreeSet;

/// The base period for which the spans of the method are written.
const WRITTEN_FOR_MS: Ms = 600_000;
/// A beginning is looked for among at least so many successes before it.
const FINE_BEFORE: usize = 8;
/// Votes of one other provider that show that a site was up.
const ELSEWHERE: usize = 2;
const HOUR_MS: Ms = 3_600_000;
const DAY_MS: Ms = 86_400_000;
/// Windows in which a block may come and go; schedules follow days and weeks, so that these do not stretch.
const RETURN_WINDOWS_MS: [Ms; 3] = [2 * DAY_MS, 7 * DAY_MS, 14 * DAY_MS];
/// Shares of the time in which such a block is on.
const ON_SHARES: [f64; 2] = [0.5, 0.25];
/// Days with failures from which a block is one that returns.
pub(super) const RETURNS: usize = 3;
/// Such a block is over after this: a weekend and a night.
const QUIET_MS: Ms = 3 * DAY_MS;

impl Core {
    /// Stretches a span of the method to the density of anonymous data.
    pub(super) fn stretch(&self, span: Ms) -> Ms {
        if self.is_anonymous() { span * self.base_ms.max(WRITTEN_FOR_MS) / WRITTEN_FOR_MS } else { span }
    }

    /// Returns how long results are kept.
    pub(super) fn retention_ms(&self) -> Ms {
        self.stretch(RETENTION_MS)
    }

    /// Returns from when on a beginning is looked for, given the usual reach. Anonymous data may be silent for
    /// days: there it reaches back until enough successes lie before the failures.
    pub(super) fn onset_from(&self, (family, targets): (FamilyNo, &[TargetNo]), usual: Ms) -> Ms {
        if !self.is_anonymous() {
            return usual;
        }
        let earlier = self.pooled(family, targets, (Ms::MIN / 4, usual));
        let fine = earlier.iter().rev().filter(|entry| !entry.class.is_anomaly());
        fine.take(FINE_BEFORE).last().map_or(usual, |entry| entry.start)
    }

    /// Says whether another provider reached a target since a moment, so that the site itself was up.
    pub(super) fn is_fine_elsewhere(&self, (family, target): (FamilyNo, TargetNo), since: Ms) -> bool {
        let is_fine = |other: FamilyNo| {
            let votes: Votes = vote(&self.evidence_between(other, target, since, self.now));
            votes.agents >= ELSEWHERE && votes.is_clear()
        };
        self.is_anonymous() && self.world.heard().any(|other| other != family && is_fine(other))
    }

    /// Says whether a network reached something unrelated since a moment, or measured nothing unrelated.
    pub(super) fn is_network_selective(&self, (family, target): (FamilyNo, TargetNo), since: Ms) -> bool {
        let category = self.world.category(target);
        let others = (0..self.world.targets.len()).filter(|other| self.world.category(*other) != category);
        let entries = others.flat_map(|other| self.store.cell(family, other).between(since, self.now));
        share(entries.map(|entry| entry.class.is_anomaly())) < 0.5
    }

    /// Returns the windows of days; none where data are dense enough to show every switch, or not kept so long.
    fn return_windows(&self) -> &'static [Ms] {
        let is_kept = self.retention_ms() >= RETURN_WINDOWS_MS[2];
        if self.is_anonymous() && is_kept { &RETURN_WINDOWS_MS } else { &[] }
    }

    /// Says whether blocks that come and go over days are looked for.
    pub(super) fn has_return_windows(&self) -> bool {
        !self.return_windows().is_empty()
    }

    /// Returns how long a finished hour waits before it enters the past: what a window of days may still tell as
    /// a block is no measure of how often the cell fails without one.
    pub(super) fn past_grace_ms(&self, usual: Ms) -> Ms {
        let last = self.return_windows().last().copied().unwrap_or(0);
        self.stretch(usual).max(last)
    }

    /// Returns the length of the longest window.
    pub(super) fn reach_ms(&self) -> Ms {
        let last = self.return_windows().last().copied().unwrap_or(0);
        self.window_ms(3).max(last)
    }

    /// Returns the sum of the e-values of the windows of days, and their number.
    pub(super) fn returning_e(
        &self,
        entries: &[Entry],
        weights: &[[f64; MECHANISMS]],
        now: Ms,
    ) -> (f64, f64) {
        let windows = self.return_windows();
        if windows.is_empty() {
            return (0.0, 0.0);
        }
        let from = |window: &Ms| entries.partition_point(|entry| entry.start <= now - window);
        let mut sum = 0.0;
        for on in ON_SHARES {
            let weights: Vec<[f64; MECHANISMS]> =
                weights.iter().map(|row| row.map(|weight| mixed(weight, on))).collect();
            let e = |window: &Ms| e_value(&entries[from(window)..], &weights[from(window)..]);
            sum += windows.iter().map(e).sum::<f64>() / count(ON_SHARES.len());
        }
        (sum, count(windows.len()))
    }

    /// Says whether a cell's failures came back on several days since its block began.
    pub(super) fn is_returning(&self, family: FamilyNo, target: TargetNo) -> bool {
        let Some(alarm) = self.cells.alarm(family, target) else { return false };
        if self.return_windows().is_empty() {
            return false;
        }
        let from = alarm.onset.max(self.now - self.reach_ms());
        bad_days(&self.evidence_between(family, target, from, self.now)) >= RETURNS
    }

    /// Sparse votes cannot show how long a short block lasted: instead of its length, failures in three different
    /// hours on each of its networks confirm it.
    pub(super) fn is_seen_again(&self, families: &[FamilyNo], targets: &[TargetNo], since: Ms) -> bool {
        let is_seen = |family: &FamilyNo| {
            let entries = self.pooled(*family, targets, (since, self.now));
            spans_with_failures(&entries, HOUR_MS) >= RETURNS
        };
        self.is_anonymous() && !families.is_empty() && families.iter().all(is_seen)
    }

    /// Says whether any network's failures on these targets came back on several days.
    pub(super) fn heard_returning(&self, targets: &[TargetNo]) -> bool {
        self.world.heard().any(|family| targets.iter().any(|target| self.is_returning(family, *target)))
    }

    /// Returns how long a blocked cell must be fine to be over.
    pub(super) fn quiet_ms(&self, family: FamilyNo, target: TargetNo) -> Ms {
        let usual = self.window_ms(2);
        if self.is_returning(family, target) { usual.max(QUIET_MS) } else { usual }
    }
}

/// The weight of a result when the block is on for a share of the time: `ln(h e^w + 1 - h)`, whose mean without
/// any block is 1 as that of `e^w` is.
fn mixed(weight: f64, on: f64) -> f64 {
    (on * weight.exp() + 1.0 - on).ln()
}

/// The weight of a result when the block is on for half of the time.
pub(super) fn returning(weight: f64) -> f64 {
    mixed(weight, ON_SHARES[0])
}

/// Counts the days with failures.
pub(super) fn bad_days(entries: &[Entry]) -> usize {
    spans_with_failures(entries, DAY_MS)
}

fn spans_with_failures(entries: &[Entry], span: Ms) -> usize {
    let bad = entries.iter().filter(|entry| entry.class.is_anomaly());
    bad.map(|entry| entry.start.div_euclid(span)).collect::<BTreeSet<Ms>>().len()
}

#[cfg(test)]
mod tests {
    use super::super::evidence::weigh;
    use super::*;
    use faultline_model::Class;

    #[test]
    fn the_null_is_an_e_value_when_the_block_comes_and_goes() {
        for on in ON_SHARES {
            let (bad, fine) = (weigh(Class::TlsTimeout, 0.05)[0], weigh(Class::Ok, 0.05)[0]);
            let mean = |of: &dyn Fn(f64) -> f64| 0.05 * 0.78 * of(bad).exp() + 0.95 * of(fine).exp();
            let (plain, half) = (mean(&|weight| weight), mean(&|weight| mixed(weight, on)));
            assert!(half <= on * plain + 1.0 - on + 1e-9, "{half}");
            assert!(mixed(bad, on) > 1.0 && mixed(fine, on) > -0.7, "a success weighs little");
        }
    }

    #[test]
    fn failures_of_one_day_are_one_day() {
        let entry = |start: Ms, class| Entry {
            start,
            received: start,
            key: 0,
            agent: 0,
            voice: 0,
            class,
            asked: false,
        };
        let bad = |start| entry(start, Class::TlsTimeout);
        let entries = [bad(0), bad(1), entry(DAY_MS, Class::Ok), bad(2 * DAY_MS)];
        assert_eq!(bad_days(&entries), 2);
    }
}
