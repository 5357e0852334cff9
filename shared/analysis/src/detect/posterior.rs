//! Which explanation fits best: model comparison over structured hypotheses (method 3.6).
//!
//! ```text
//! s_g = (1/3) sum over agents of clip( mean over targets of sum of lambda(i), -2.4, 4.5 ),
//!       lambda = ln(.92/p0) for a failure, ln(.08/(1 - p0)) for a success
//! ln P(one ISP)  = ln .30 + max s_g - ln G
//! ln P(several)  = ln .15 + sum ln(.30 e^s_g + .70)
//! ln P(national) = ln .20 + sum ln(.95 e^s_g + .05)
//! ln P(target)   = ln .25 + sum ln(.97 e^s_g + .03) + s_ref
//! ln P(nothing)  = ln .10
//! ```
//! The divisor 3 tempers the score: agents of one network are not independent. Priors are conditional on an
//! alarm. The result is a model score, not a calibrated probability.

use super::anonymous::returning;
use super::core::Core;
use super::evidence::{CAP_AGAINST, CAP_FOR, count};
use super::null::{Nulls, Question};
use super::store::{Entry, Ms};
use super::world::{FamilyNo, TargetNo};
use std::collections::BTreeMap;

const TEMPER: f64 = 3.0;
const READ_MS: Ms = 3_600_000;

/// Scores of the explanations; they add up to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Posterior {
    pub(super) one: f64,
    pub(super) several: f64,
    pub(super) national: f64,
    pub(super) target: f64,
    pub(super) nothing: f64,
}

impl Posterior {
    /// Returns the score of there being anything at all.
    pub(super) fn exists(&self) -> f64 {
        1.0 - self.nothing
    }

    /// Weighs the explanations, given the score of each family and of the reference agents.
    pub(super) fn weigh(families: &[f64], reference: f64) -> Self {
        let best = families.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mix = |block: f64| -> f64 { families.iter().map(|s| (block * s.exp() + 1.0 - block).ln()).sum() };
        let scores = [
            0.30_f64.ln() + best - count(families.len().max(1)).ln(),
            0.15_f64.ln() + mix(0.30),
            0.20_f64.ln() + mix(0.95),
            0.25_f64.ln() + mix(0.97) + reference,
            0.10_f64.ln(),
        ];
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|score| (score - top).exp()).sum();
        let [one, several, national, target, nothing] = scores.map(|score| (score - top).exp() / sum);
        Self { one, several, national, target, nothing }
    }
}

impl Core {
    /// Weighs the explanations of failures of some targets in a span of time.
    ///
    /// Of a long span only the last hour is read: every agent's part is capped long before.
    pub(super) fn posterior(&self, nulls: &mut Nulls, targets: &[TargetNo], span: (Ms, Ms)) -> Posterior {
        let is_returning = self.heard_returning(targets);
        let read = if is_returning { self.reach_ms() } else { self.stretch(READ_MS) };
        let span = (span.0.max(span.1 - read), span.1);
        let mut scores = Vec::new();
        for family in self.world.heard() {
            let row = |target: &TargetNo| self.evidence_between(family, *target, span.0, span.1);
            let own = targets.iter().filter(|target| !self.is_standing(family, **target));
            let rows: Vec<(TargetNo, Vec<Entry>)> = own.map(|target| (*target, row(target))).collect();
            scores.push(self.score(nulls, Some(family), (&rows, is_returning)));
        }
        let row = |target: &TargetNo| {
            let outside = [self.store.reference(*target), self.store.control(*target)];
            outside.iter().flat_map(|series| series.between(span.0, span.1)).copied().collect::<Vec<Entry>>()
        };
        let rows: Vec<(TargetNo, Vec<Entry>)> = targets.iter().map(|target| (*target, row(target))).collect();
        Posterior::weigh(&scores, self.score(nulls, None, (&rows, is_returning)))
    }

    fn score(
        &self,
        nulls: &mut Nulls,
        family: Option<FamilyNo>,
        (rows, is_returning): (&[(TargetNo, Vec<Entry>)], bool),
    ) -> f64 {
        let mut agents: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
        for (target, entries) in rows {
            let mut own: BTreeMap<usize, f64> = BTreeMap::new();
            for entry in entries {
                let question = Question {
                    agent: entry.agent,
                    family,
                    target: *target,
                    start: entry.start,
                    since: None,
                    is_lazy: false,
                };
                let p0 = self.null_rate(nulls, question);
                let weight = if entry.class.is_anomaly() { 0.92 / p0 } else { 0.08 / (1.0 - p0) };
                let weight = if is_returning { returning(weight.ln()) } else { weight.ln() };
                *own.entry(entry.voice).or_default() += weight;
            }
            for (agent, sum) in own {
                let total = agents.entry(agent).or_default();
                *total = (total.0 + sum, total.1 + 1);
            }
        }
        let evidence = |(sum, targets): &(f64, usize)| (sum / count(*targets)).clamp(-CAP_AGAINST, CAP_FOR);
        agents.values().map(evidence).sum::<f64>() / TEMPER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failing_network_among_clear_ones_is_one_network() {
        let posterior = Posterior::weigh(&[4.5, -2.4, -2.4, -2.4, -2.4, -2.4, -2.4, -2.4], -2.0);
        assert!(posterior.one > 0.8 && posterior.exists() > 0.9, "{posterior:?}");
    }

    #[test]
    fn all_networks_failing_beside_fine_controls_is_the_country() {
        let posterior = Posterior::weigh(&[4.5; 8], -4.0);
        assert!(posterior.national > 0.9, "{posterior:?}");
        let down = Posterior::weigh(&[4.5; 8], 4.0);
        assert!(down.target > 0.9, "{down:?}");
    }

    #[test]
    fn no_evidence_is_nothing_much() {
        let posterior = Posterior::weigh(&[-2.0; 8], -2.0);
        assert!(posterior.nothing > posterior.one, "{posterior:?}");
    }
}
