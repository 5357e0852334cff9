//! Claims about an incident, part by part: supported, contradicted, or not to be told.
//!
//! A claim's words are cut into clauses, and each clause is read for the few things that measurements can answer. What
//! nobody can measure is `cannot_tell`, and intent always is. What is not understood is said to be so, and never guessed.

use super::Explanation;
use faultline_model::{Access, Claim, Incident, NoteId, Status, Verdict};
use serde::{Deserialize, Serialize};

/// From this share of users on something holds for the country, and this share known to be fine refutes it.
const COUNTRY: f64 = 0.7;

/// What becomes of one part of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartAnswer {
    /// What is claimed, as a question of ours: `technical_failure`, `nationwide`, `intent`, ...
    pub part: String,
    /// The words that claim it; empty for intent, which is answered always.
    pub words: String,
    /// `supported`, `contradicted` or `cannot_tell`.
    pub answer: String,
    /// Why.
    pub evidence: Vec<String>,
}

/// What becomes of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAnswer {
    /// The note's id.
    pub id: NoteId,
    /// The claim.
    pub claim: Claim,
    /// Its parts.
    pub parts: Vec<PartAnswer>,
}

/// A thing that can be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Technical,
    Nationwide,
    Partial,
    Mobile,
    Nothing,
    Restored,
    Site,
    Intent,
    Usage,
}

impl Part {
    const ALL: [Self; 9] = [
        Self::Technical,
        Self::Nationwide,
        Self::Partial,
        Self::Mobile,
        Self::Nothing,
        Self::Restored,
        Self::Site,
        Self::Intent,
        Self::Usage,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Technical => "technical_failure",
            Self::Nationwide => "nationwide",
            Self::Partial => "not_everywhere",
            Self::Mobile => "mobile_only",
            Self::Nothing => "no_disruption",
            Self::Restored => "restored",
            Self::Site => "the_site_itself",
            Self::Intent => "intent",
            Self::Usage => "users_own_doing",
        }
    }

    /// Returns words that claim it.
    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Technical => &[
                "technical",
                "fault",
                "glitch",
                "cable",
                "congestion",
                "malfunction",
                "equipment",
                "upgrade",
                "failure",
            ],
            Self::Nationwide => &[
                "nationwide",
                "nation-wide",
                "countrywide",
                "country-wide",
                "across the country",
                "whole country",
                "all over",
            ],
            Self::Partial => {
                &["some users", "some areas", "partial", "limited", "few users", "certain areas"]
            }
            Self::Mobile => &["mobile"],
            Self::Nothing => &[
                "no disruption",
                "no blocking",
                "not blocked",
                "no block",
                "fully operational",
                "working normally",
                "no restriction",
                "no outage",
                "normal operation",
            ],
            Self::Restored => &["restored", "resolved", "back to normal", "fixed", "available again"],
            Self::Site => &[
                "platform itself",
                "company's",
                "provider of the service",
                "website is down",
                "meta's",
                "servers of",
            ],
            Self::Intent => &[
                "deliberate",
                "intention",
                "ordered",
                "on orders",
                "directed",
                "security",
                "law and order",
                "to protect",
                "to prevent",
                "public safety",
                "censor",
            ],
            Self::Usage => &["vpn", "overload", "heavy use"],
        }
    }
}

/// Answers a claim's parts.
#[must_use]
pub fn answer_claim(
    id: NoteId,
    claim: &Claim,
    incident: &Incident,
    explanation: &Explanation,
) -> ClaimAnswer {
    let mut parts: Vec<PartAnswer> = Vec::new();
    for clause in clauses(&claim.words) {
        let found = read(&clause);
        if found.is_empty() {
            parts.push(PartAnswer {
                part: "not_understood".to_owned(),
                words: clause,
                answer: "cannot_tell".to_owned(),
                evidence: vec!["nothing in it is something that measurements answer".to_owned()],
            });
            continue;
        }
        for (part, is_denied) in found {
            let (answer, evidence) = test(part, incident, explanation);
            let answer = if is_denied { turned(answer) } else { answer };
            if parts.iter().all(|known| known.part != part.as_str()) {
                let words = clause.clone();
                let (part, answer) = (part.as_str().to_owned(), answer.to_owned());
                parts.push(PartAnswer { part, words, answer, evidence });
            }
        }
    }
    if parts.iter().all(|part| part.part != Part::Intent.as_str()) {
        let (answer, evidence) = test(Part::Intent, incident, explanation);
        let part = Part::Intent.as_str().to_owned();
        parts.push(PartAnswer { part, words: String::new(), answer: answer.to_owned(), evidence });
    }
    ClaimAnswer { id, claim: claim.clone(), parts }
}

fn clauses(words: &str) -> Vec<String> {
    let parts = words.split([',', ';', '.', '(', ')']).flat_map(|part| part.split(" and "));
    parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Returns what a clause claims, and whether it denies it.
fn read(clause: &str) -> Vec<(Part, bool)> {
    let text = clause.to_lowercase();
    // "No blocking" is a claim of its own, and what stands in it is not claimed besides.
    if Part::Nothing.words().iter().any(|word| text.contains(word)) {
        return vec![(Part::Nothing, false)];
    }
    let mut found = Vec::new();
    for part in Part::ALL {
        let Some(place) = part.words().iter().filter_map(|word| text.find(word)).min() else { continue };
        let before = format!(" {}", &text[..place]);
        let is_denied =
            [" not ", " no ", " never ", "n't ", " without "].iter().any(|word| before.contains(word));
        found.push((part, is_denied));
    }
    // "Mobile network failure" is no claim that it was mobile alone.
    if !text.contains("only") {
        found.retain(|(part, _)| *part != Part::Mobile);
    }
    found
}

fn turned(answer: &'static str) -> &'static str {
    match answer {
        "supported" => "contradicted",
        "contradicted" => "supported",
        other => other,
    }
}

fn test(part: Part, incident: &Incident, said: &Explanation) -> (&'static str, Vec<String>) {
    let is_confirmed = incident.status == Status::Confirmed && !incident.retracted;
    match part {
        Part::Technical => technical(said),
        Part::Nationwide => nationwide(said),
        Part::Partial => {
            let (answer, evidence) = nationwide(said);
            (turned(answer), evidence)
        }
        Part::Mobile => mobile(said),
        Part::Nothing => {
            let evidence = vec![format!("published: {}", incident.headline)];
            match (incident.retracted, is_confirmed) {
                (true, _) => ("supported", vec!["what was published was withdrawn".to_owned()]),
                (false, true) => ("contradicted", evidence),
                (false, false) => ("cannot_tell", evidence),
            }
        }
        Part::Restored => match incident.end {
            Some(end) => ("supported", vec![format!("measurements succeed again since {end}")]),
            None => ("contradicted", vec!["it is still open: measurements go on failing".to_owned()]),
        },
        Part::Site => match incident.verdict {
            Verdict::TargetOutage | Verdict::GeoBlock => {
                ("supported", vec![said.nature.said.sentence.clone()])
            }
            _ => match said.selectivity.control_rate {
                Some(rate) if rate < 0.2 => (
                    "contradicted",
                    vec![format!("{:.0} % of controls abroad failed meanwhile", 100.0 * rate)],
                ),
                _ => ("cannot_tell", vec!["no control looked at it meanwhile".to_owned()]),
            },
        },
        Part::Intent => (
            "cannot_tell",
            vec!["packets never show whether anybody wanted it, ordered it, or why".to_owned()],
        ),
        Part::Usage => ("cannot_tell", vec!["how people used their lines is not measured".to_owned()]),
    }
}

fn technical(said: &Explanation) -> (&'static str, Vec<String>) {
    let mut evidence = vec![said.nature.said.sentence.clone(), said.selectivity.said.sentence.clone()];
    match said.nature.said.answer.as_str() {
        "fault" => ("supported", evidence),
        "filtering" => {
            if said.onsets.said.answer != "cannot_tell" {
                evidence.push(said.onsets.said.sentence.clone());
            }
            ("contradicted", evidence)
        }
        _ => ("cannot_tell", evidence),
    }
}

fn nationwide(said: &Explanation) -> (&'static str, Vec<String>) {
    let users = &said.users;
    let evidence = vec![users.said.sentence.clone()];
    if users.affected >= COUNTRY {
        ("supported", evidence)
    } else if users.cleared > 1.0 - COUNTRY {
        ("contradicted", evidence)
    } else {
        ("cannot_tell", evidence)
    }
}

fn mobile(said: &Explanation) -> (&'static str, Vec<String>) {
    let names = |access: Access, stance: &str| -> Vec<&str> {
        let own = said.users.providers.iter().filter(|one| one.access == access && one.stance == stance);
        own.map(|one| one.name.as_str()).collect()
    };
    let (fixed, fine) = (names(Access::Fixed, "affected"), names(Access::Fixed, "cleared"));
    if !fixed.is_empty() {
        return ("contradicted", vec![format!("fixed lines are affected too: {}", fixed.join(", "))]);
    }
    if fine.is_empty() {
        return ("cannot_tell", vec!["nothing is known of fixed lines".to_owned()]);
    }
    ("supported", vec![format!("fixed lines known to be fine: {}", fine.join(", "))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(words: &str) -> Vec<(&'static str, bool)> {
        clauses(words)
            .iter()
            .flat_map(|clause| read(clause))
            .map(|(part, denied)| (part.as_str(), denied))
            .collect()
    }

    #[test]
    fn a_claim_is_cut_into_what_can_be_tested() {
        assert_eq!(
            parts("technical failure, nationwide"),
            [("technical_failure", false), ("nationwide", false)]
        );
        assert_eq!(parts("It was not a technical fault."), [("technical_failure", true)]);
        assert_eq!(
            parts("Internet is fully operational; no blocking"),
            [("no_disruption", false), ("no_disruption", false)]
        );
        assert_eq!(parts("ordered for public safety"), [("intent", false)]);
        assert_eq!(parts("only mobile services"), [("mobile_only", false)]);
        assert_eq!(parts("people are imagining things"), []);
    }
}
