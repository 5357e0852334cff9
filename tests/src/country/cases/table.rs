//! The table of cases: what happens, what is true, what Faultline says, and what OONI's two programs say.

use super::{Case, Outcome};

/// The line of the document after which the table stands.
pub const MARK_BEGIN: &str = "<!-- written by `country cases --document`: begin -->";
/// The line of the document before which it ends.
pub const MARK_END: &str = "<!-- end -->";

const HEAD: &str =
    "| case | what happens | truth | Faultline | OONI probe | OONI v5 |\n|---|---|---|---|---|---|\n";

/// Writes the whole table, the equals of OONI's scenarios first.
#[must_use]
pub fn rows(cases: &[(Case, Vec<Outcome>)]) -> String {
    let mut text = HEAD.to_owned();
    for is_ooni in [true, false] {
        for (case, outcomes) in cases.iter().filter(|(case, _)| case.ooni.is_some() == is_ooni) {
            text.push_str(&row(case, outcomes));
        }
    }
    text
}

fn row(case: &Case, outcomes: &[Outcome]) -> String {
    let said: Vec<String> = outcomes.iter().map(|outcome| with_mark(case, outcome)).collect();
    let said = if said.is_empty() { "no measurement".to_owned() } else { said.join("; ") };
    let (first, last) = fixed_columns(case);
    format!("{first} {said} {last}\n")
}

/// Returns the columns before and after what Faultline says; they follow from the file alone.
#[must_use]
pub fn fixed_columns(case: &Case) -> (String, String) {
    let words = |expected: &super::Expected| named(case, &expected.provider, &expected.words());
    let truth: Vec<String> = case.expected.iter().map(words).collect();
    let (name, probe, v5) = match &case.ooni {
        Some(ooni) => (ooni.scenario.as_str(), ooni.probe.as_str(), ooni.v5.as_str()),
        None => (case.name.as_str(), "-", "-"),
    };
    (format!("| {name} | {} | {} |", case.about, truth.join("; ")), format!("| {probe} | {v5} |"))
}

fn with_mark(case: &Case, outcome: &Outcome) -> String {
    let mark = if outcome.is_right() { "" } else { "WRONG " };
    format!("{mark}{}", named(case, &outcome.expected.provider, &outcome.said()))
}

/// Names the provider where there are several.
fn named(case: &Case, provider: &str, words: &str) -> String {
    if case.scenario.providers.len() > 1 { format!("{provider}: {words}") } else { words.to_owned() }
}
