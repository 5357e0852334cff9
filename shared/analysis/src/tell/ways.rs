//! Which ways around censorship passed while an incident lasted, by class and never by host.
//!
//! What passed is what a censor would like to know while it lasts, so that it is held back from the public: whoever runs
//! the coordinator gives it to researchers they know.

use super::Said;
use super::sight::{Sight, family};
use faultline_model::{CheckKind, CountryProfile, Incident, LayerStatus, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Who reads an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody.
    Public,
    /// Somebody whom the operators let in.
    Researcher,
}

/// How one class of ways fared on the affected networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// The class: `openvpn`, `wireguard`, `tor`, `proxy` or `vpn_api`.
    pub class: String,
    /// `passed`, `blocked`, `mixed` or `cannot_tell`.
    pub answer: String,
    /// Handshakes that came through.
    pub passed: usize,
    /// Handshakes that were interfered with, beside a control that came through.
    pub blocked: usize,
    /// Handshakes that say nothing: no control, or the far end was down.
    pub unclear: usize,
    /// Networks that they were made from.
    pub networks: usize,
}

/// Which ways passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ways {
    /// `measured`, `not_measured` or `held_back`, in words.
    #[serde(flatten)]
    pub said: Said,
    /// One row per class that was tried; empty where it is held back.
    pub classes: Vec<Way>,
}

/// Answers which ways passed.
pub(super) fn ways(
    incident: &Incident,
    profile: &CountryProfile,
    sights: &[Sight],
    (now, audience): (Timestamp, Audience),
) -> Ways {
    let against = "the far end itself being down: only a handshake beside a control's that came through counts as blocked";
    if audience == Audience::Public {
        let sentence =
            "what passes is held back from the public; operators give it to researchers they know".to_owned();
        return Ways { said: Said::new("held_back", sentence, against), classes: Vec::new() };
    }
    let (from, to) = (incident.onset, incident.end.unwrap_or(now));
    let is_own = |sight: &&Sight| {
        sight.check.is_circumvention()
            && !sight.control
            && (from..to).contains(&sight.at)
            && incident.asns.contains(&family(profile, sight.asn))
    };
    let mut groups: BTreeMap<CheckKind, Vec<&Sight>> = BTreeMap::new();
    for sight in sights.iter().filter(is_own) {
        groups.entry(sight.check).or_default().push(sight);
    }
    let classes: Vec<Way> = groups.into_iter().map(|(kind, own)| way(kind, &own, profile)).collect();
    let passed: Vec<&str> =
        classes.iter().filter(|way| way.answer == "passed").map(|way| way.class.as_str()).collect();
    let said = if classes.is_empty() {
        Said::new(
            "not_measured",
            "no way around was tried from the affected networks meanwhile".to_owned(),
            against,
        )
    } else if passed.is_empty() {
        Said::new("measured", "none of the ways that were tried passed everywhere".to_owned(), against)
    } else {
        Said::new("measured", format!("passed: {}", passed.join(", ")), against)
    };
    Ways { said, classes }
}

fn way(kind: CheckKind, own: &[&Sight], profile: &CountryProfile) -> Way {
    let count = |wanted: &[LayerStatus]| own.iter().filter(|sight| wanted.contains(&sight.status)).count();
    let passed = count(&[LayerStatus::Ok, LayerStatus::Tampered]);
    let blocked = count(&[LayerStatus::Blocked, LayerStatus::Throttled]);
    let networks: BTreeSet<_> = own.iter().map(|sight| family(profile, sight.asn)).collect();
    let answer = match (passed, blocked) {
        (0, 0) => "cannot_tell",
        (_, 0) => "passed",
        (0, _) => "blocked",
        _ => "mixed",
    };
    Way {
        class: kind.as_str().to_owned(),
        answer: answer.to_owned(),
        passed,
        blocked,
        unclear: own.len() - passed - blocked,
        networks: networks.len(),
    }
}
