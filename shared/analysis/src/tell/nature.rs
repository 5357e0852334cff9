//! A fault, filtering, or the site itself: by how connections failed, and by what was singled out.
//!
//! ```text
//! each network votes once, with its most frequent failure class c_g; emissions q_m and q_0 given an anomaly (method 3.2)
//! BF = ( mean over m of prod_g q_m(c_g)/q_0(c_g)  +  prod_g mean over m of q_m(c_g)/q_0(c_g) ) / 2
//! ```
//! The first half is one mechanism everywhere, the second one of its own on each network. Timeouts are what ordinary
//! failures look like, so that packets dropped by a filter are told from a fault only by what they spare.

use super::Said;
use super::selectivity::Selectivity;
use super::sight::Scene;
use super::synchrony::round;
use faultline_model::{Asn, Class, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const CLASSES: usize = 6;
/// Of timeout, reset, dns, page, diff, nxdomain, given an anomaly: what filtering by each mechanism shows.
const EMISSION: [[f64; CLASSES]; 5] = [
    [0.860, 0.025, 0.005, 0.005, 0.015, 0.010],
    [0.060, 0.830, 0.005, 0.005, 0.010, 0.010],
    [0.050, 0.015, 0.640, 0.020, 0.015, 0.180],
    [0.045, 0.020, 0.005, 0.680, 0.160, 0.010],
    [0.030, 0.010, 0.005, 0.005, 0.865, 0.005],
];
/// A filter lets this share pass, which the rows above leave out.
const PASSES: f64 = 0.08;
/// What ordinary failures of lines and sites show.
const NULL: [f64; CLASSES] = [0.780, 0.100, 0.003, 0.007, 0.060, 0.050];
/// From this ratio on failures themselves speak for a filter.
const SPEAKS: f64 = 10.0;
/// Nothing is said beyond this ratio.
const MOST: f64 = 10_000.0;

/// What kind of thing it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nature {
    /// `filtering`, `fault`, `site` or `cannot_tell`, in words, and what it was tested against.
    #[serde(flatten)]
    pub said: Said,
    /// How many times likelier the failures are if something filters than if lines merely fail; at most 10,000.
    pub mechanism_ratio: Option<f64>,
    /// Each network's most frequent failure class.
    pub mechanism_by_network: BTreeMap<Asn, String>,
}

/// Answers what kind of thing it was.
pub(super) fn nature(scene: &Scene<'_>, selectivity: &Selectivity) -> Nature {
    let mechanisms = mechanisms(scene);
    let ratio = ratio(mechanisms.values().filter_map(|class| class.parse().ok()));
    let by_packets = ratio.is_some_and(|ratio| ratio >= SPEAKS);
    let against =
        "ordinary failures of lines, of which 78 % are timeouts, 10 % resets and 1 % forged answers or pages";
    let named = list(&mechanisms, scene);
    let (answer, sentence) = match (scene.incident.verdict, selectivity.said.answer.as_str()) {
        (Verdict::TargetOutage | Verdict::GeoBlock, _) => (
            "site",
            "the site answers so to everybody, or to the whole country: no network on the way is at work"
                .to_owned(),
        ),
        (Verdict::InsufficientData, _) => ("cannot_tell", "too few vantage points saw it".to_owned()),
        (verdict, _) if is_silence(verdict) => (
            "cannot_tell",
            "everything is off: a cut by hand, a power cut and a broken cable look alike from here"
                .to_owned(),
        ),
        (_, "not_selective") if !by_packets => {
            ("fault", format!("nothing is singled out, and failures are those of bad lines ({named})"))
        }
        (_, _) if by_packets => {
            let how =
                if selectivity.said.answer == "selective" { ", and services are singled out" } else { "" };
            (
                "filtering",
                format!("connections fail in ways that lines do not fail by themselves ({named}){how}"),
            )
        }
        (_, "selective") => (
            "filtering",
            format!(
                "the failures alone ({named}) could be a fault's, but a fault spares nothing, and here canaries were fine"
            ),
        ),
        _ => ("cannot_tell", format!("neither the failures ({named}) nor what they spare decides")),
    };
    Nature {
        said: Said::new(answer, sentence, against),
        mechanism_ratio: ratio.map(round),
        mechanism_by_network: mechanisms,
    }
}

/// Says whether a verdict is about silence, where nothing was measured meanwhile.
pub(super) const fn is_silence(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::IspOutage
            | Verdict::PartialShutdown
            | Verdict::RegionalOutage
            | Verdict::NationalShutdown
            | Verdict::CoordinatorOutage
            | Verdict::ControlChannelBlock
    )
}

/// Returns each network's most frequent class: what was published, or what its sights say.
fn mechanisms(scene: &Scene<'_>) -> BTreeMap<Asn, String> {
    let mut found = scene.incident.mechanism_by_asn.clone();
    for asn in &scene.incident.asns {
        if !found.contains_key(asn)
            && let Some(class) = most_frequent(scene, *asn)
        {
            found.insert(*asn, class.to_string());
        }
    }
    found
}

/// Returns a network's most frequent failure class on what is affected.
pub(super) fn most_frequent(scene: &Scene<'_>, asn: Asn) -> Option<Class> {
    let mut classes: BTreeMap<Class, usize> = BTreeMap::new();
    for sight in scene.during(asn) {
        if sight.class.is_anomaly() && scene.is_affected(&sight.target) {
            *classes.entry(sight.class).or_default() += 1;
        }
    }
    classes
        .into_iter()
        .max_by_key(|(class, number)| (*number, std::cmp::Reverse(*class)))
        .map(|(class, _)| class)
}

fn ratio(classes: impl Iterator<Item = Class>) -> Option<f64> {
    let columns: Vec<usize> = classes.filter_map(column).collect();
    if columns.is_empty() {
        return None;
    }
    let parts = |column: usize| EMISSION.map(|row| row[column] / (1.0 - PASSES) / NULL[column]);
    let mean = |values: [f64; 5]| values.iter().sum::<f64>() / 5.0;
    let mut common = [1.0_f64; 5];
    let mut each = 1.0;
    for column in columns {
        let own = parts(column);
        common.iter_mut().zip(own).for_each(|(total, part)| *total *= part);
        each *= mean(own);
    }
    Some(f64::midpoint(mean(common), each).min(MOST))
}

/// The columns of the tables: what kind of failure a class is.
pub(super) const fn column(class: Class) -> Option<usize> {
    match class {
        Class::TcpTimeout | Class::TlsTimeout | Class::HttpTimeout | Class::DnsTimeout => Some(0),
        Class::TcpRefused | Class::TcpReset | Class::TlsReset | Class::HttpReset => Some(1),
        Class::DnsBogon | Class::DnsInjected => Some(2),
        Class::HttpBlockpage | Class::TlsCertMismatch => Some(3),
        Class::HttpStatusDiff => Some(4),
        Class::DnsNxdomain => Some(5),
        Class::Ok | Class::Throttled | Class::LocalNetworkDown => None,
    }
}

fn list(mechanisms: &BTreeMap<Asn, String>, scene: &Scene<'_>) -> String {
    let mut counts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (asn, class) in mechanisms {
        counts.entry(class).or_default().push(scene.name(*asn));
    }
    let mut parts: Vec<(usize, String)> = counts
        .into_iter()
        .map(|(class, names)| {
            let where_to = match names.as_slice() {
                [one] => format!("on {one}"),
                more => format!("on {} networks", more.len()),
            };
            (names.len(), format!("{class} {where_to}"))
        })
        .collect();
    parts.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let texts: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
    if texts.is_empty() { "of unknown kind".to_owned() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_and_forged_answers_speak_for_a_filter_and_timeouts_do_not() {
        let of = |class: Class, n: usize| ratio(std::iter::repeat_n(class, n)).expect("a ratio");
        assert!(of(Class::TlsReset, 4) > SPEAKS && of(Class::DnsInjected, 1) > SPEAKS);
        assert!(of(Class::TcpTimeout, 8) < SPEAKS, "{}", of(Class::TcpTimeout, 8));
        let mixed = [Class::TlsReset, Class::TlsReset, Class::DnsInjected, Class::TcpTimeout];
        assert!(ratio(mixed.into_iter()).expect("a ratio") > SPEAKS);
        assert!(of(Class::TlsReset, 100) <= MOST && ratio(std::iter::empty()).is_none());
    }
}
