//! Plain words for what the detector says. No word here says more than the verdict does.

use super::Front;
use crate::api::MatrixState;
use faultline_model::{Basis, Incident, Reach, Verdict};
use std::time::Duration;

/// Returns an incident's title. Silence alone never says that anybody is offline.
pub(super) fn title(incident: &Incident) -> &'static str {
    match incident.basis {
        Some(Basis::Silence) => "Vantage points went silent",
        _ => verdict(incident.verdict),
    }
}

/// Returns a verdict in plain words.
pub(super) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::IspBlock => "Blocked by one provider",
        Verdict::MultiIspBlock => "Blocked by several providers",
        Verdict::NationalBlock => "Blocked across the country",
        Verdict::CategoryBlock => "One kind of service is blocked across the country",
        Verdict::Throttling => "Slowed down",
        Verdict::IspOutage => "A provider is offline",
        Verdict::PartialShutdown => "Part of the country’s access is cut",
        Verdict::RegionalOutage => "A region is offline",
        Verdict::NationalShutdown => "The country is offline",
        Verdict::TechnicalFailure => "Technical failure: everything suffers, nothing is singled out",
        Verdict::TargetOutage => "The site itself is down, here and abroad",
        Verdict::GeoBlock => "The site itself refuses the country",
        Verdict::AgentLocal => "One vantage point’s own trouble",
        Verdict::CoordinatorOutage => "Our own outage",
        Verdict::ControlChannelBlock => "Our own channel is blocked; the internet may be fine",
        Verdict::InsufficientData => "Too little data to say",
    }
}

/// Says in plain words what a statement about a silence rests on.
pub(super) const fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Silence => "Silence alone: our channel may be blocked instead",
        Basis::Spool => "What agents measured meanwhile and delivered afterwards",
        Basis::OutsideIn => "What controls see of hosts inside the networks",
    }
}

/// Says in plain words what can still be reached.
pub(super) const fn reach(reach: Reach) -> &'static str {
    match reach {
        Reach::All => "Everything that was tried",
        Reach::DomesticOnly => "Sites inside the country only",
        Reach::None => "Nothing",
    }
}

/// Returns a failure class in two or three words.
pub(super) fn mechanism(class: &str) -> &str {
    match class {
        "dns_nxdomain" => "DNS denies it",
        "dns_bogon" => "bogus DNS",
        "dns_injected" => "forged DNS",
        "dns_timeout" => "DNS silent",
        "tcp_refused" => "refused",
        "tcp_reset" => "TCP reset",
        "tcp_timeout" => "no answer",
        "tls_reset" => "TLS reset",
        "tls_timeout" => "TLS silent",
        "tls_cert_mismatch" => "false certificate",
        "http_blockpage" => "block page",
        "http_reset" => "HTTP reset",
        "http_timeout" => "HTTP silent",
        "http_status_diff" => "other status",
        "throttled" => "slowed",
        "local_network_down" => "line down",
        other => other,
    }
}

/// Returns a state's symbol, short word, and sentence part.
pub(super) const fn state(state: MatrixState) -> (&'static str, &'static str, &'static str) {
    match state {
        MatrixState::Ok => ("✓", "works", "works"),
        MatrixState::Suspected => ("?", "suspected", "fails; evidence is being gathered"),
        MatrixState::Blocked => ("✕", "blocked", "is blocked"),
        MatrixState::PartlyBlocked => ("◐", "partly", "is partly blocked: some of its addresses work"),
        MatrixState::Down => ("▼", "site down", "is down itself, abroad too"),
        MatrixState::Insufficient => ("…", "too few", "fails, with too few vantage points to say more"),
        MatrixState::NoData => ("–", "no data", "was not measured lately"),
    }
}

/// Returns a state's class in the style sheet.
pub(super) const fn state_class(state: MatrixState) -> &'static str {
    match state {
        MatrixState::Ok => "ok",
        MatrixState::Suspected => "suspected",
        MatrixState::Blocked => "blocked",
        MatrixState::PartlyBlocked => "partly",
        MatrixState::Down => "down",
        MatrixState::Insufficient => "few",
        MatrixState::NoData => "none",
    }
}

/// Joins names: `a`, `a and b`, `a, b and c`; more than `most` become `a, b and 3 more`.
pub(super) fn join(names: &[String], most: usize) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        many if many.len() > most => {
            format!("{} and {} more", many[..most - 1].join(", "), many.len() - most + 1)
        }
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Returns a number with its noun.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// Returns a length of time in two units at most.
pub(super) fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) if minutes < 10 => format!("{minutes} min {} s", seconds % 60),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes:02} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Says how long an incident lasted, or lasts.
pub(super) fn lasted(incident: &Incident, front: &Front) -> String {
    let until = incident.end.unwrap_or(front.now);
    let length = duration(until.since(incident.onset));
    if incident.end.is_some() { length } else { format!("{length} so far") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_joined_as_people_write_them() {
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(join(&names("X"), 4), "X");
        assert_eq!(join(&names("X YouTube"), 4), "X and YouTube");
        assert_eq!(join(&names("A B C D"), 4), "A, B, C and D");
        assert_eq!(join(&names("A B C D E F"), 4), "A, B, C and 3 more");
    }

    #[test]
    fn lengths_have_two_units_at_most() {
        for (seconds, text) in
            [(5, "5 s"), (65, "1 min 5 s"), (1200, "20 min"), (3720, "1 h 02 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }
}
