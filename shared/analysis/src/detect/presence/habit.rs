//! How likely it is that so many agents fall silent together by chance (method 3.5).
//!
//! ```text
//! H0 churn:   k ~ BetaBinomial(n, mu, rho = .06),  mu_g = (falls_g + 20 mu) / (windows_g + 20),  mu = 1 - e^(-h w)
//! H1 outage:  k ~ Binomial(n, .88)
//! E = mean over burst widths w of P(k_w | H1) / P(k_w | H0)
//! ```
//! `k_w` counts only falls within one burst of width `w`: a line that is cut takes everybody within one beat, an
//! evening on which people switch off takes hours. The hazard `h` is the country's own, learnt from the day before; an
//! hour in which many fell on *other* networks raises it for all.

use super::super::evidence::count;
use super::super::store::Ms;

/// Correlation of falls within a group.
const RHO: f64 = 0.06;
/// The share of agents that an outage takes.
const TAKEN: f64 = 0.88;
/// Weight of the country's habit in a group's, in windows.
const SHRINK: f64 = 20.0;
/// The hazard before anything is known, falls per agent-hour, and its weight in agent-hours.
const PRIOR_HAZARD: f64 = 0.1;
const PRIOR_HOURS: f64 = 20.0;
/// Bounds of the churn rate.
const LEAST: f64 = 0.005;
const MOST: f64 = 0.5;
const HOUR_MS: f64 = 3_600_000.0;

/// Falls, and the time over which agents were heard.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Habit {
    pub(super) falls: f64,
    pub(super) hours: f64,
}

impl Habit {
    /// Adds what was seen of one agent.
    pub(super) fn add(&mut self, falls: usize, heard: Ms) {
        self.falls += count(falls);
        self.hours += float(heard) / HOUR_MS;
    }

    /// Returns falls per agent-hour, drawn towards another hazard.
    fn hazard(self, prior: f64) -> f64 {
        (self.falls + prior * PRIOR_HOURS) / (self.hours + PRIOR_HOURS)
    }
}

/// What is known of a group's habit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Habits {
    /// The whole country's.
    pub(super) country: Habit,
    /// The group's own.
    pub(super) own: Habit,
    /// That of the other networks in the hour before.
    pub(super) recent: Habit,
}

impl Habits {
    /// Returns the probability that one agent falls silent in a window.
    pub(super) fn churn(&self, window: Ms) -> f64 {
        let window = float(window) / HOUR_MS;
        let part = |hazard: f64| 1.0 - (-hazard * window).exp();
        let country = self.country.hazard(PRIOR_HAZARD);
        let own = (self.own.falls + SHRINK * part(country)) / (self.own.hours / window + SHRINK);
        own.max(part(self.recent.hazard(country))).clamp(LEAST, MOST)
    }
}

/// Returns ln of the likelihood ratio of `k` silent among `n`.
pub(super) fn ln_ratio(n: usize, k: usize, churn: f64) -> f64 {
    let scale = (1.0 - RHO) / RHO;
    let (a, b) = (churn * scale, (1.0 - churn) * scale);
    let rising = |from: f64, steps: usize| (0..steps).map(|step| (from + count(step)).ln()).sum::<f64>();
    let null = rising(a, k) + rising(b, n - k) - rising(a + b, n);
    count(k) * TAKEN.ln() + count(n - k) * (1.0 - TAKEN).ln() - null
}

/// Finds the burst of a width that holds most falls; returns how many it holds and where it begins.
pub(super) fn burst(falls: &[Ms], width: Ms) -> (usize, Ms) {
    let mut best = (0, Ms::MIN);
    for (first, from) in falls.iter().enumerate() {
        let held = falls[first..].partition_point(|at| *at <= from + width);
        if held >= best.0 {
            best = (held, *from);
        }
    }
    best
}

#[expect(clippy::cast_precision_loss, reason = "spans of time are far below 2^52 ms")]
fn float(ms: Ms) -> f64 {
    ms as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_of_three_suffice_and_two_of_two_never_do() {
        assert!((ln_ratio(3, 3, 0.03) - 7.5).abs() < 0.1, "{}", ln_ratio(3, 3, 0.03));
        let threshold = (12.0_f64 / 0.01).ln();
        assert!(ln_ratio(3, 3, 0.03) > threshold && ln_ratio(2, 2, 0.03) < threshold);
        assert!(ln_ratio(3, 2, 0.03) < threshold, "one that is still heard speaks against it");
    }

    #[test]
    fn a_wave_of_people_who_switch_off_raises_the_null() {
        let quiet = Habits::default();
        let evening = Habits { recent: Habit { falls: 12.0, hours: 18.0 }, ..quiet };
        let width = 960_000;
        assert!(ln_ratio(3, 3, quiet.churn(width)) > ln_ratio(3, 3, evening.churn(width)) + 1.5);
        assert!(evening.churn(45_000) < 0.01, "within one beat it is still no habit");
    }

    #[test]
    fn a_burst_holds_what_fell_together() {
        assert_eq!(burst(&[0, 5, 9, 100], 10), (3, 0));
        assert_eq!(burst(&[0, 100, 101], 10), (2, 100));
        assert_eq!(burst(&[], 10).0, 0);
    }
}
