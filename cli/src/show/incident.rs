//! Incidents for people.

use crate::output::{moment, printable, span, time_of_day};
use faultline_model::{Asn, Basis, Incident, Reach, Status, Timestamp};
use owo_colors::OwoColorize;
use std::fmt::Write;

/// Turns the wire's milliseconds into a moment; 0 is none.
pub(super) fn moment_ms(ms: i64) -> Option<Timestamp> {
    (ms != 0).then(|| Timestamp::from_unix_ms(ms))
}

fn status(incident: &Incident) -> String {
    match (incident.retracted, incident.status) {
        (true, _) => "withdrawn".dimmed().to_string(),
        (false, Status::Confirmed) => "confirmed".red().bold().to_string(),
        (false, Status::Suspected) => "suspected".yellow().to_string(),
    }
}

/// Writes one incident in a line, as under the matrix.
pub(crate) fn headline_line(incident: &Incident) -> String {
    format!("{}  {}  {}\n", status(incident), printable(&incident.headline), incident.id.dimmed())
}

/// Writes one revision in a line, as `watch` shows it.
pub(crate) fn watch_line(incident: &Incident) -> String {
    let said = incident.revisions.last();
    let at = said.map_or(incident.detected_at, |revision| revision.published_at);
    let change = said.map(|revision| printable(&revision.change)).unwrap_or_default();
    let change = if change.is_empty() { String::new() } else { format!(": {change}").dimmed().to_string() };
    let end = incident.end.map(|end| format!(" (over since {} UTC)", time_of_day(end))).unwrap_or_default();
    format!(
        "{}  {}  {}  {}{end}  [{} r{}]{change}\n",
        moment(at),
        status(incident),
        incident.verdict.as_str().bold(),
        printable(&incident.headline),
        incident.id,
        incident.revision,
    )
}

/// Writes one incident in full.
pub(crate) fn incident_text(incident: &Incident, now: Timestamp) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}  {}", status(incident), printable(&incident.headline).bold());
    let _ = writeln!(
        text,
        "  {}, score {:.2} (a model score, not a probability), {}, id {}, revision {}",
        incident.verdict, incident.confidence, incident.country, incident.id, incident.revision
    );
    let lasted = incident
        .end
        .map(|end| format!("{} (after {})", moment(end), span(end.since(incident.onset).as_secs())));
    let open = || format!("still open (for {})", span(now.since(incident.onset).as_secs()));
    let _ = writeln!(text, "  began      {}", moment(incident.onset));
    let _ = writeln!(text, "  ended      {}", lasted.unwrap_or_else(open));
    let delay = incident.detected_at.since(incident.onset).as_secs();
    let _ =
        writeln!(text, "  published  {} ({} after the beginning)", moment(incident.detected_at), span(delay));
    if !incident.services.is_empty() {
        let names: Vec<&str> = incident.services.iter().map(faultline_model::ServiceId::as_str).collect();
        let _ = writeln!(text, "  services   {} ({} targets)", names.join(", "), incident.targets.len());
    }
    for asn in &incident.asns {
        let _ = writeln!(text, "  network    {}", network(incident, *asn));
    }
    if let Some(transit) = incident.transit {
        let _ = writeln!(text, "  gateway    {transit}");
    }
    if let Some(basis) = incident.basis {
        let _ = writeln!(text, "  rests on   {}", basis_words(basis));
    }
    if let Some(reach) = incident.reach {
        let _ = writeln!(text, "  reach      {}", reach_words(reach));
    }
    let [affected, cleared, unknown] = incident.user_share.map(|share| share * 100.0);
    if affected + cleared + unknown > 0.0 {
        let _ = writeln!(
            text,
            "  users      {affected:.0} % affected, {cleared:.0} % known to be fine, {unknown:.0} % unknown"
        );
    }
    for reason in &incident.evidence {
        let _ = writeln!(text, "  because    {}", printable(reason));
    }
    text
}

const fn basis_words(basis: Basis) -> &'static str {
    match basis {
        Basis::Silence => "silence alone; our channel may be blocked instead",
        Basis::Spool => "what agents measured meanwhile and delivered afterwards",
        Basis::OutsideIn => "what controls see of hosts inside the networks",
    }
}

const fn reach_words(reach: Reach) -> &'static str {
    match reach {
        Reach::All => "everything that was tried",
        Reach::DomesticOnly => "sites inside the country only",
        Reach::None => "nothing",
    }
}

fn network(incident: &Incident, asn: Asn) -> String {
    let onset = incident.onset_by_asn.get(&asn).map(|at| format!("since {} UTC", time_of_day(*at)));
    let end = incident.end_by_asn.get(&asn).map(|at| format!("until {} UTC", time_of_day(*at)));
    let mechanism = incident.mechanism_by_asn.get(&asn).map(|name| printable(name));
    let parts: Vec<String> =
        [Some(format!("{:<9}", asn.to_string())), onset, end, mechanism].into_iter().flatten().collect();
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_model::{IncidentId, Verdict};
    use std::collections::BTreeMap;

    fn incident() -> Incident {
        let at = |text: &str| text.parse::<Timestamp>().expect("valid");
        let asn = Asn::new(23674).expect("valid");
        Incident {
            id: IncidentId::new("i1").expect("valid"),
            country: "PK".parse().expect("valid"),
            revision: 2,
            status: Status::Confirmed,
            verdict: Verdict::IspBlock,
            confidence: 0.97,
            headline: "X is blocked on Nayatel".into(),
            services: vec![],
            targets: vec![],
            asns: vec![asn],
            agents: vec![],
            onset: at("2024-01-20T13:40:33Z"),
            end: None,
            onset_by_asn: BTreeMap::from([(asn, at("2024-01-20T13:40:33Z"))]),
            end_by_asn: BTreeMap::new(),
            onset_interval_by_asn: BTreeMap::new(),
            detected_at: at("2024-01-20T13:41:10Z"),
            transit: None,
            basis: None,
            reach: None,
            retracted: false,
            mechanisms: BTreeMap::new(),
            mechanism_by_asn: BTreeMap::from([(asn, "tls_reset".into())]),
            user_share: [0.02, 0.98, 0.0],
            evidence: vec!["3 of 3 agents failed".into()],
            revisions: vec![],
        }
    }

    #[test]
    fn an_incident_says_what_where_since_when_and_why() {
        let now = "2024-01-20T13:50:33Z".parse().expect("valid");
        let text = anstream::adapter::strip_str(&incident_text(&incident(), now)).to_string();
        for part in [
            "confirmed  X is blocked on Nayatel",
            "still open (for 10 min 0 s)",
            "published  2024-01-20 13:41:10 UTC (37 s after the beginning)",
            "AS23674    since 13:40:33 UTC  tls_reset",
            "2 % affected, 98 % known to be fine",
            "because    3 of 3 agents failed",
        ] {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
    }

    #[test]
    fn a_withdrawn_incident_is_called_so() {
        let withdrawn = Incident { retracted: true, ..incident() };
        assert!(watch_line(&withdrawn).contains("withdrawn"));
    }
}
