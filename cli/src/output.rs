//! Standard output: colours where a terminal wants them, and nothing that could steer the terminal.

use anyhow::{Context, Result};
use faultline_model::Timestamp;
use serde::Serialize;
use std::io::Write;

/// Prints text as it is; colours are stripped when piped, or when `NO_COLOR` is set.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = anstream::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("writing to standard output")
}

/// Prints a value as indented JSON with a final line feed.
pub(crate) fn print_json<T: Serialize>(value: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(value).context("writing JSON")?;
    print(&format!("{text}\n"))
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json_line<T: Serialize>(value: &T) -> Result<()> {
    let text = serde_json::to_string(value).context("writing JSON")?;
    print(&format!("{text}\n"))
}

/// Returns how wide a text may be: the terminal's width, `COLUMNS`, or 100.
pub(crate) fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let terminal = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into());
    terminal.or(columns).unwrap_or(100).clamp(60, 200)
}

/// Returns a peer's text without control characters, so that it cannot steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Writes a moment for people, to the second.
pub(crate) fn moment(at: Timestamp) -> String {
    let whole = Timestamp::from_unix_ms(at.unix_ms().div_euclid(1000) * 1000).to_string();
    whole.replace('T', " ").replace('Z', " UTC")
}

/// Writes the time of day of a moment, to the second.
pub(crate) fn time_of_day(at: Timestamp) -> String {
    moment(at).get(11..19).unwrap_or("--:--:--").to_owned()
}

/// Writes a length of time in the largest two units.
pub(crate) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds % 86_400 / 3600, seconds % 3600 / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Writes a number with thin groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a number with its noun, `1 agent` or `3 agents`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_moments_and_spans_without_fractions() {
        let at: Timestamp = "2024-01-20T13:40:33.25Z".parse().expect("valid");
        assert_eq!(moment(at), "2024-01-20 13:40:33 UTC");
        assert_eq!(time_of_day(at), "13:40:33");
        assert_eq!(
            [span(9), span(70), span(7300), span(90_000)],
            ["9 s", "1 min 10 s", "2 h 1 min", "1 d 1 h"]
        );
        assert_eq!([grouped(7), grouped(6048), grouped(1_234_567)], ["7", "6,048", "1,234,567"]);
        assert_eq!([counted(1, "agent"), counted(3, "agent")], ["1 agent", "3 agents"]);
    }
}
