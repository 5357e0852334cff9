//! Reads `[[rule]]` blocks: who does what to whom, when and how.

mod fit;
pub(super) mod how;
mod names;

use super::check::Notes;
use super::{Event, Rule, Scenario, raw};
use std::time::Duration;
use toml::Spanned;

/// Reads one block; `None` when it has problems, which are noted.
pub(super) fn rule(notes: &mut Notes<'_>, scenario: &Scenario, raw: &raw::Rule) -> Option<Rule> {
    let who = names::who(notes, scenario, raw);
    let how = how::how(notes, scenario, raw);
    let whom = names::whom(notes, scenario, raw);
    let span = times(notes, scenario, raw);
    let rule = Rule { who: who?, whom: whom?, from: span?.0, to: span?.1, how: how? };
    fit::fit(notes, scenario, raw, &rule);
    Some(rule)
}

/// Reads an announced event; it may lie beyond the end of the run.
pub(super) fn event(notes: &mut Notes<'_>, raw: &raw::Event) -> Option<Event> {
    let from = moment(notes, Some(&raw.from), "from", Duration::ZERO)?;
    let to = moment(notes, Some(&raw.to), "to", Duration::ZERO)?;
    if from >= to {
        notes.add(raw.from.span().start, "from", "must lie before to");
        return None;
    }
    Some(Event { name: raw.name.clone(), from, to })
}

fn times(notes: &mut Notes<'_>, scenario: &Scenario, raw: &raw::Rule) -> Option<(Duration, Duration)> {
    let from = moment(notes, raw.from.as_ref(), "from", Duration::ZERO)?;
    let to = moment(notes, raw.to.as_ref(), "to", scenario.length)?;
    if let Some(late) = raw.to.as_ref().filter(|_| to > scenario.length) {
        let message = format!("lies after the end of the run ({} s)", scenario.length.as_secs());
        notes.add(late.span().start, "to", message);
        return None;
    }
    if from >= to {
        let at = raw.from.as_ref().or(raw.to.as_ref()).map_or(raw.how.span().start, |text| text.span().start);
        notes.add(at, "from", format!("must lie before to ({} s)", to.as_secs()));
        return None;
    }
    Some((from, to))
}

fn moment(
    notes: &mut Notes<'_>,
    text: Option<&Spanned<String>>,
    key: &str,
    or: Duration,
) -> Option<Duration> {
    let Some(text) = text else { return Some(or) };
    let read = seconds(text.get_ref());
    if read.is_none() {
        let message = format!("{:?} is not a moment; write it as \"90s\" or \"2m\"", text.get_ref());
        notes.add(text.span().start, key, message);
    }
    read
}

fn seconds(text: &str) -> Option<Duration> {
    let (digits, factor) = match text.strip_suffix('s') {
        Some(digits) => (digits, 1.0),
        None => (text.strip_suffix('m')?, 60.0),
    };
    let number: f64 = digits.parse().ok()?;
    Duration::try_from_secs_f64(number * factor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_seconds_or_minutes() {
        assert_eq!(seconds("90s"), Some(Duration::from_secs(90)));
        assert_eq!(seconds("1.5m"), Some(Duration::from_secs(90)));
        for bad in ["", "90", "s", "-1s", "1h", "NaNs"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
