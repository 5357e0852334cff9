//! OONI's measurements, judged by our own rules beside their own controls.

use super::{Clock, Point, Stand};
use faultline_model::{Asn, Class, LayerStatus, Target, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What failed within a day before fails anyway.
const BEFORE: Duration = Duration::from_secs(86_400);

/// One of OONI's measurements with what was judged of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OoniResult {
    /// The network.
    pub asn: Asn,
    /// What was measured.
    pub target: Target,
    /// When.
    pub at: Timestamp,
    /// How it ended.
    pub class: Class,
    /// What was judged.
    pub status: LayerStatus,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    bad: usize,
    good: usize,
    before_bad: usize,
    before_good: usize,
}

pub(super) fn points(clock: &Clock<'_>, results: &[OoniResult]) -> Vec<Point> {
    let hosts: BTreeSet<&str> = clock.incident.targets.iter().map(|target| bare(target.host())).collect();
    let mut groups: BTreeMap<(Asn, String), Counts> = BTreeMap::new();
    for result in results {
        let host = bare(result.target.host());
        let is_bad = match result.status {
            LayerStatus::Insufficient => continue,
            LayerStatus::Ok | LayerStatus::Tampered => false,
            _ => true,
        };
        let is_relevant = hosts.is_empty() || hosts.contains(host);
        let asn = super::family(clock.profile, result.asn);
        if !is_relevant || result.at + BEFORE < clock.from || result.at > clock.to {
            continue;
        }
        let about = if hosts.is_empty() { String::new() } else { host.to_owned() };
        let counts = groups.entry((asn, about)).or_default();
        match (result.at < clock.from, is_bad) {
            (true, true) => counts.before_bad += 1,
            (true, false) => counts.before_good += 1,
            (false, true) => counts.bad += 1,
            (false, false) => counts.good += 1,
        }
    }
    let mut points: Vec<Point> =
        groups.iter().map(|((asn, host), counts)| point(clock, (*asn, host), *counts)).collect();
    let seen: BTreeSet<Asn> = groups.keys().map(|(asn, _)| *asn).collect();
    let unseen: Vec<String> =
        clock.incident.asns.iter().filter(|asn| !seen.contains(asn)).map(|asn| clock.name(*asn)).collect();
    if !unseen.is_empty() {
        let sentence = "no measurement of what is affected, in its time or the day before".to_owned();
        points.push(make(Stand::Blind, unseen.join(", "), sentence));
    }
    points
}

fn point(clock: &Clock<'_>, (asn, host): (Asn, &str), counts: Counts) -> Point {
    let about = format!("{} {host}", clock.name(asn)).trim_end().to_owned();
    let Counts { bad, good, before_bad, before_good } = counts;
    let during = format!("{bad} of {} failed meanwhile", bad + good);
    let before = format!("{before_bad} of {} in the day before", before_bad + before_good);
    if bad + good == 0 {
        return make(Stand::Blind, about, format!("not measured meanwhile; {before} failed"));
    }
    // Where a part of everything suffers, a part of it shows.
    let enough = if clock.is_about_services() || clock.is_silence() {
        2 * bad > bad + good
    } else {
        5 * bad > bad + good
    };
    match (clock.is_affected(asn), enough) {
        (true, true) if before_bad > before_good && before_bad > 0 => make(
            Stand::Disagrees,
            about,
            format!("{during}, but {before} failed too: it may have begun before"),
        ),
        (true, true) | (false, false) => make(Stand::Agrees, about, format!("{during}; {before}")),
        (true, false) => {
            make(Stand::Disagrees, about, format!("{during}, where we say that it was affected"))
        }
        (false, true) => {
            make(Stand::Disagrees, about, format!("{during}, where we do not say that it was affected"))
        }
    }
}

fn make(stand: Stand, about: String, sentence: String) -> Point {
    Point { stand, source: "ooni".to_owned(), about, sentence, lag_s: None }
}

fn bare(host: &str) -> &str {
    host.strip_prefix("www.").unwrap_or(host)
}
