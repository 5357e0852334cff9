//! Probabilities as readers get them, and the few distributions behind them.
//!
//! A model's tail is not known to be right beyond some point, so that no odds are ever given below one in ten
//! thousand, neither in words nor in numbers.

use serde::{Deserialize, Serialize};

/// Below this nothing is told apart.
const LEAST: f64 = 1e-4;

/// A probability under an explanation that was tested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Odds {
    /// The probability, never below 0.0001.
    pub p: f64,
    /// The true value lies below `p`.
    pub is_bound: bool,
    /// The same for people.
    pub words: String,
}

impl Odds {
    /// Takes a probability; what is no number is taken for 1, which says nothing against anything.
    #[must_use]
    pub fn of(p: f64) -> Self {
        let p = if p.is_finite() { p.clamp(0.0, 1.0) } else { 1.0 };
        if p < LEAST {
            return Self { p: LEAST, is_bound: true, words: "below 1 in 10,000".to_owned() };
        }
        let words = if p > 0.05 {
            format!("{:.0} %", 100.0 * p)
        } else {
            format!("about 1 in {}", grouped((1.0 / p).round()))
        };
        Self { p: (p * 10_000.0).round() / 10_000.0, is_bound: false, words }
    }
}

fn grouped(number: f64) -> String {
    let text = format!("{number:.0}");
    match text.len() {
        0..=3 => text,
        length => format!("{},{}", &text[..length - 3], &text[length - 3..]),
    }
}

/// Returns the probability of a range of at most `range` among `n` moments that fall independently into a window.
#[must_use]
pub(super) fn range_by_chance(n: usize, range: f64, window: f64) -> f64 {
    if n < 2 || window <= 0.0 {
        return 1.0;
    }
    let (r, n) = ((range / window).clamp(0.0, 1.0), float(n));
    n * r.powf(n - 1.0) - (n - 1.0) * r.powf(n)
}

/// Returns the probability of a chi-square of at least `x` with `k` degrees of freedom.
#[must_use]
pub(super) fn chi_square_tail(x: f64, k: usize) -> f64 {
    if k == 0 || x <= 0.0 {
        return 1.0;
    }
    upper_gamma(float(k) / 2.0, x / 2.0).clamp(0.0, 1.0)
}

/// Returns the probability of at least `k` of `n`, each with probability `q`.
#[must_use]
pub(super) fn binomial_tail(k: usize, n: usize, q: f64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    let q = q.clamp(0.0, 1.0);
    if q == 0.0 || q >= 1.0 {
        return if q == 0.0 || k > n { 0.0 } else { 1.0 };
    }
    let term = |i: usize| (ln_choose(n, i) + float(i) * q.ln() + float(n - i) * (1.0 - q).ln()).exp();
    (k..=n).map(term).sum::<f64>().min(1.0)
}

/// Returns the probability that `failing` of `all` targets hold at least `hits` of a kind of which there are `kind`.
#[must_use]
pub(super) fn hypergeometric_tail(hits: usize, failing: usize, kind: usize, all: usize) -> f64 {
    if failing > all || kind > all {
        return 1.0;
    }
    let total = ln_choose(all, failing);
    let term = |x: usize| {
        if failing - x > all - kind {
            0.0
        } else {
            (ln_choose(kind, x) + ln_choose(all - kind, failing - x) - total).exp()
        }
    };
    (hits..=failing.min(kind)).map(term).sum::<f64>().min(1.0)
}

pub(super) fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn ln_choose(n: usize, k: usize) -> f64 {
    ln_gamma(float(n) + 1.0) - ln_gamma(float(k) + 1.0) - ln_gamma(float(n.saturating_sub(k)) + 1.0)
}

/// The logarithm of the gamma function for arguments from one half on (Lanczos, g = 7).
fn ln_gamma(x: f64) -> f64 {
    const FIRST: f64 = 0.999_999_999_999_809_9;
    const REST: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let t = x + 7.5;
    let sum = REST.iter().zip(1_u32..).fold(FIRST, |sum, (part, i)| sum + part / (x + f64::from(i)));
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The regularised upper incomplete gamma function: a series below, a continued fraction above.
fn upper_gamma(a: f64, x: f64) -> f64 {
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        for _ in 0..500 {
            n += 1.0;
            term *= x / n;
            sum += term;
            if term < sum * 1e-15 {
                break;
            }
        }
        return 1.0 - sum * scale;
    }
    // Lentz's way of reading a continued fraction from the front.
    let tiny = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / tiny;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..500_u32 {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = an * d + b;
        d = 1.0 / if d.abs() < tiny { tiny } else { d };
        c = b + an / c;
        if c.abs() < tiny {
            c = tiny;
        }
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    h * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 2e-3 * b.abs()
    }

    #[test]
    fn odds_are_never_printed_beyond_one_in_ten_thousand() {
        assert_eq!(Odds::of(3e-23), Odds { p: 1e-4, is_bound: true, words: "below 1 in 10,000".into() });
        assert_eq!(Odds::of(1.0 / 1820.0).words, "about 1 in 1,820");
        assert_eq!((Odds::of(0.3).words.as_str(), Odds::of(f64::NAN).p), ("30 %", 1.0));
    }

    #[test]
    fn the_distributions_give_published_values() {
        // The method's sample: ten networks within three and a half minutes of a day.
        let sample = range_by_chance(10, 210.0, 86_400.0);
        assert!((2e-23..4e-23).contains(&sample), "{sample}");
        // Quantiles of the usual tables.
        for (x, k, p) in [(3.841, 1, 0.05), (18.307, 10, 0.05), (23.209, 10, 0.01), (2.558, 10, 0.99)] {
            assert!(near(chi_square_tail(x, k), p), "{x} {k}: {}", chi_square_tail(x, k));
        }
        assert!(near(hypergeometric_tail(4, 4, 4, 16), 1.0 / 1820.0));
        assert!(near(binomial_tail(3, 3, 0.1), 1e-3) && near(binomial_tail(1, 2, 0.5), 0.75));
        assert_eq!((binomial_tail(0, 3, 0.2), binomial_tail(1, 3, 0.0)), (1.0, 0.0));
    }
}
