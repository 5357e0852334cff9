//! How much together a thing began, and ended, over the networks (method 3.7).
//!
//! ```text
//! one switch:          X2 = sum (o_g - o)^2 / s_g^2 ~ chi-square with n - 1 degrees, o weighted by 1/s_g^2
//! independent causes:  P(range <= R) = n (R/L)^(n-1) - (n-1) (R/L)^n,   L = 24 h
//! s_g = width of (last success, first failure) / sqrt(12), or T / (m_g r_g sqrt 2) where no such interval is known
//! ```
//! `T` is the period of a cell, `m_g` the agents that were heard, `r_g` the share of results that failed. No error is
//! taken for smaller than two seconds: so much remains of agents' clocks after they were corrected.

use super::Said;
use super::odds::{Odds, chi_square_tail, float, range_by_chance};
use super::sight::{Scene, rate};
use faultline_model::{Asn, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Below this error nothing is believed.
const LEAST_ERROR_S: f64 = 2.0;
/// The window of independent causes.
const WINDOW_S: f64 = 86_400.0;
/// From this probability on one switch is not rejected.
const NOT_REJECTED: f64 = 0.01;
/// Below this probability independent causes are rejected.
const REJECTED: f64 = 0.001;

/// One network's moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// The network.
    pub asn: Asn,
    /// Its name.
    pub name: String,
    /// When.
    pub at: Timestamp,
    /// The standard error of that, in seconds.
    pub error_s: f64,
}

/// How much together the networks' moments lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Synchrony {
    /// `one_switch`, `together`, `apart` or `cannot_tell`, in words, and what it was tested against.
    #[serde(flatten)]
    pub said: Said,
    /// The networks' moments, the earliest first.
    pub moments: Vec<Moment>,
    /// From the first to the last, in seconds.
    pub range_s: Option<f64>,
    /// The statistic of the test of one moment for all.
    pub chi_square: Option<f64>,
    /// Its degrees of freedom.
    pub degrees: usize,
    /// How often one moment for all would look less together than this.
    pub one_switch: Option<Odds>,
    /// How often independent causes within a day would lie as close.
    pub independent: Option<Odds>,
}

/// Which moments are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Onset,
    End,
}

/// Answers for the beginnings or the ends of an incident.
pub(super) fn synchrony(scene: &Scene<'_>, turn: Turn) -> Synchrony {
    let moments = moments(scene, turn);
    let what = if turn == Turn::Onset { "beginnings" } else { "restorations" };
    let n = moments.len();
    let against = "networks that each began or ended by themselves, at independent moments of one day";
    if n < 2 {
        let sentence = match (n, turn) {
            (0, Turn::End) => "no network is known to have been restored yet".to_owned(),
            (0, Turn::Onset) => "no network's beginning is known".to_owned(),
            _ => format!("only {} has a known moment, so that nothing can be compared", moments[0].name),
        };
        let said = Said::new("cannot_tell", sentence, against);
        return Synchrony {
            said,
            moments,
            range_s: None,
            chi_square: None,
            degrees: 0,
            one_switch: None,
            independent: None,
        };
    }
    let range = moments[n - 1].at.seconds_after(moments[0].at);
    let x = statistic(&moments);
    let (p_one, p_apart) = (chi_square_tail(x, n - 1), range_by_chance(n, range, WINDOW_S));
    let (one, apart) = (Odds::of(p_one), Odds::of(p_apart));
    let error = moments.iter().map(|moment| moment.error_s).sum::<f64>() / float(n);
    let spread = format!("the {what} of {n} networks lie within {}", seconds(range));
    let (answer, sentence) = if p_apart >= REJECTED {
        ("apart", format!("{spread}; independent causes would do so with probability {}", apart.words))
    } else if p_one >= NOT_REJECTED {
        (
            "one_switch",
            format!(
                "{spread}, no wider than the error of measuring each (about {}): one moment for all is not rejected; \
                 independent causes within a day would lie so close with odds {}",
                seconds(error),
                apart.words
            ),
        )
    } else {
        (
            "together",
            format!(
                "{spread}: far closer than independent causes (odds {}), but not at one and the same moment",
                apart.words
            ),
        )
    };
    Synchrony {
        said: Said::new(answer, sentence, against),
        range_s: Some(round(range)),
        chi_square: Some(round(x)),
        degrees: n - 1,
        one_switch: Some(one),
        independent: Some(apart),
        moments,
    }
}

/// Returns the networks' moments with their errors, the earliest first.
pub(super) fn moments(scene: &Scene<'_>, turn: Turn) -> Vec<Moment> {
    let known = match turn {
        Turn::Onset => &scene.incident.onset_by_asn,
        Turn::End => &scene.incident.end_by_asn,
    };
    let named: BTreeSet<Asn> = scene.incident.asns.iter().copied().collect();
    let mut moments: Vec<Moment> = known
        .iter()
        .filter(|(asn, _)| named.contains(asn))
        .map(|(asn, at)| Moment {
            asn: *asn,
            name: scene.name(*asn),
            at: *at,
            error_s: round(error(scene, *asn, *at, turn)),
        })
        .collect();
    moments.sort_by_key(|moment| (moment.at, moment.asn));
    moments
}

fn error(scene: &Scene<'_>, asn: Asn, at: Timestamp, turn: Turn) -> f64 {
    let interval = match turn {
        Turn::Onset => scene.incident.onset_interval_by_asn.get(&asn).map(|[a, b]| b.seconds_after(*a)),
        Turn::End => end_interval(scene, asn, at),
    };
    let by_interval = interval.filter(|width| *width > 0.0).map(|width| width / 12.0_f64.sqrt());
    by_interval.unwrap_or_else(|| by_density(scene, asn)).max(LEAST_ERROR_S)
}

/// The error of a moment between results that come by chance: seldom where few agents look, or few results fail.
fn by_density(scene: &Scene<'_>, asn: Asn) -> f64 {
    let own = scene.during(asn).into_iter().filter(|sight| scene.is_affected(&sight.target));
    let seen = rate(own);
    scene.period_s / (float(seen.agents.max(1)) * seen.share.max(0.1) * std::f64::consts::SQRT_2)
}

/// Returns the time between the last failure before an end and the first success after it.
fn end_interval(scene: &Scene<'_>, asn: Asn, at: Timestamp) -> Option<f64> {
    if scene.incident.targets.is_empty() {
        // Where only a part of the results failed, a success says nothing about the end.
        return None;
    }
    let own = scene.of(asn, (scene.incident.onset, scene.now));
    let own = || own.iter().filter(|sight| scene.is_affected(&sight.target));
    let last_bad =
        own().filter(|sight| sight.class.is_anomaly() && sight.at <= at).map(|sight| sight.at).max()?;
    let first_good =
        own().filter(|sight| !sight.class.is_anomaly() && sight.at >= at).map(|sight| sight.at).min()?;
    Some(first_good.seconds_after(last_bad))
}

fn statistic(moments: &[Moment]) -> f64 {
    let zero = moments[0].at;
    let weight = |moment: &Moment| 1.0 / (moment.error_s * moment.error_s);
    let total: f64 = moments.iter().map(weight).sum();
    let mean: f64 =
        moments.iter().map(|moment| weight(moment) * moment.at.seconds_after(zero)).sum::<f64>() / total;
    moments.iter().map(|moment| weight(moment) * (moment.at.seconds_after(zero) - mean).powi(2)).sum()
}

/// Writes a length of time for people.
pub(super) fn seconds(seconds: f64) -> String {
    let seconds = seconds.abs();
    if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else if seconds < 7_200.0 {
        format!("{:.1} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

/// Rounds a number to three places, so that the last bits of a sum never show.
pub(super) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
