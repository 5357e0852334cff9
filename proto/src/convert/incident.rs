//! Incidents, written for researchers and read back by their programs.

use super::{WireError, invalid};
use crate::research as wire;
use faultline_model::{
    Asn, Basis, Incident, IncidentId, Reach, Revision, ServiceId, Status, Target, Timestamp,
};
use std::collections::BTreeMap;
use std::str::FromStr;

fn ms(moment: Option<Timestamp>) -> i64 {
    moment.map_or(0, Timestamp::unix_ms)
}

fn numbers(asns: &[Asn]) -> Vec<u32> {
    asns.iter().map(|asn| asn.get()).collect()
}

fn texts(targets: &[Target]) -> Vec<String> {
    targets.iter().map(ToString::to_string).collect()
}

/// Writes an incident. Agents' pseudonyms stay behind.
#[must_use]
pub fn incident_to_wire(incident: &Incident) -> wire::Incident {
    let network = |asn: &Asn| wire::IncidentNetwork {
        asn: asn.get(),
        onset_ms: ms(incident.onset_by_asn.get(asn).copied()),
        onset_after_ms: ms(incident.onset_interval_by_asn.get(asn).map(|interval| interval[0])),
        onset_before_ms: ms(incident.onset_interval_by_asn.get(asn).map(|interval| interval[1])),
        end_ms: ms(incident.end_by_asn.get(asn).copied()),
        mechanism: incident.mechanism_by_asn.get(asn).cloned().unwrap_or_default(),
    };
    wire::Incident {
        id: incident.id.to_string(),
        country: incident.country.to_string(),
        revision: incident.revision,
        status: incident.status.as_str().to_owned(),
        verdict: incident.verdict.to_string(),
        confidence: incident.confidence,
        headline: incident.headline.clone(),
        services: incident.services.iter().map(ToString::to_string).collect(),
        targets: texts(&incident.targets),
        asns: numbers(&incident.asns),
        onset_ms: incident.onset.unix_ms(),
        end_ms: ms(incident.end),
        networks: incident.asns.iter().map(network).collect(),
        detected_at_ms: incident.detected_at.unix_ms(),
        transit: incident.transit.map_or(0, Asn::get),
        basis: incident.basis.map_or("", Basis::as_str).to_owned(),
        reach: incident.reach.map_or("", Reach::as_str).to_owned(),
        retracted: incident.retracted,
        mechanisms: incident.mechanisms.iter().map(|(name, share)| (name.clone(), *share)).collect(),
        affected_share: incident.user_share[0],
        cleared_share: incident.user_share[1],
        evidence: incident.evidence.clone(),
        revisions: incident.revisions.iter().map(revision_to_wire).collect(),
    }
}

fn revision_to_wire(revision: &Revision) -> wire::IncidentRevision {
    wire::IncidentRevision {
        revision: revision.revision,
        published_at_ms: revision.published_at.unix_ms(),
        verdict: revision.verdict.to_string(),
        status: revision.status.as_str().to_owned(),
        asns: numbers(&revision.asns),
        targets: texts(&revision.targets),
        confidence: revision.confidence,
        end_ms: ms(revision.end),
        retracted: revision.retracted,
        change: revision.change.clone(),
    }
}

fn moment(ms: i64) -> Option<Timestamp> {
    (ms != 0).then(|| Timestamp::from_unix_ms(ms))
}

fn status(text: &str) -> Result<Status, WireError> {
    let known = [Status::Suspected, Status::Confirmed].into_iter().find(|status| status.as_str() == text);
    known.ok_or_else(|| invalid("status", text))
}

/// Reads a word that may be missing.
fn optional<T: FromStr<Err = String>>(field: &'static str, text: &str) -> Result<Option<T>, WireError> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|e: String| invalid(field, e)) }
}

fn networks(numbers: &[u32]) -> Result<Vec<Asn>, WireError> {
    numbers.iter().map(|number| Asn::recorded(*number).map_err(|e| invalid("asns", e))).collect()
}

fn targets(texts: &[String]) -> Result<Vec<Target>, WireError> {
    texts.iter().map(|text| Target::new(text).map_err(|e| invalid("targets", e))).collect()
}

/// Reads an incident; what the wire leaves out (agents' pseudonyms) stays empty.
///
/// # Errors
/// Names the first field that does not hold what it must.
pub fn incident_from_wire(incident: &wire::Incident) -> Result<Incident, WireError> {
    let service = |text: &String| ServiceId::new(text).map_err(|e| invalid("services", e));
    let mut onset_by_asn = BTreeMap::new();
    let mut end_by_asn = BTreeMap::new();
    let mut intervals = BTreeMap::new();
    let mut mechanism_by_asn = BTreeMap::new();
    for network in &incident.networks {
        let asn = Asn::recorded(network.asn).map_err(|e| invalid("networks", e))?;
        onset_by_asn.extend(moment(network.onset_ms).map(|at| (asn, at)));
        end_by_asn.extend(moment(network.end_ms).map(|at| (asn, at)));
        let interval = moment(network.onset_after_ms).zip(moment(network.onset_before_ms));
        intervals.extend(interval.map(|(after, before)| (asn, [after, before])));
        if !network.mechanism.is_empty() {
            mechanism_by_asn.insert(asn, network.mechanism.clone());
        }
    }
    let (affected, cleared) = (incident.affected_share, incident.cleared_share);
    Ok(Incident {
        id: IncidentId::new(incident.id.as_str()).map_err(|e| invalid("id", e))?,
        country: incident.country.parse().map_err(|e: String| invalid("country", e))?,
        revision: incident.revision,
        status: status(&incident.status)?,
        verdict: incident.verdict.parse().map_err(|e| invalid("verdict", e))?,
        confidence: incident.confidence,
        headline: incident.headline.clone(),
        services: incident.services.iter().map(service).collect::<Result<_, _>>()?,
        targets: targets(&incident.targets)?,
        asns: networks(&incident.asns)?,
        agents: Vec::new(),
        onset: Timestamp::from_unix_ms(incident.onset_ms),
        end: moment(incident.end_ms),
        onset_by_asn,
        end_by_asn,
        onset_interval_by_asn: intervals,
        detected_at: Timestamp::from_unix_ms(incident.detected_at_ms),
        transit: networks(&[incident.transit]).ok().and_then(|transit| transit.first().copied()),
        basis: optional("basis", &incident.basis)?,
        reach: optional("reach", &incident.reach)?,
        retracted: incident.retracted,
        mechanisms: incident.mechanisms.iter().map(|(name, share)| (name.clone(), *share)).collect(),
        mechanism_by_asn,
        user_share: [affected, cleared, (1.0 - affected - cleared).clamp(0.0, 1.0)],
        evidence: incident.evidence.clone(),
        revisions: incident.revisions.iter().map(revision_from_wire).collect::<Result<_, _>>()?,
    })
}

fn revision_from_wire(revision: &wire::IncidentRevision) -> Result<Revision, WireError> {
    Ok(Revision {
        revision: revision.revision,
        published_at: Timestamp::from_unix_ms(revision.published_at_ms),
        verdict: revision.verdict.parse().map_err(|e| invalid("verdict", e))?,
        status: status(&revision.status)?,
        asns: networks(&revision.asns)?,
        targets: targets(&revision.targets)?,
        confidence: revision.confidence,
        end: moment(revision.end_ms),
        retracted: revision.retracted,
        change: revision.change.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_model::Verdict;

    #[test]
    fn an_incident_survives_the_wire_but_for_the_agents() {
        let asn = Asn::new(23674).expect("valid");
        let at = Timestamp::from_unix_ms(1_705_758_033_000);
        let revision = Revision {
            revision: 1,
            published_at: at,
            verdict: Verdict::IspBlock,
            status: Status::Suspected,
            asns: vec![asn],
            targets: vec![Target::new("https://x.com/").expect("valid")],
            confidence: 0.5,
            end: None,
            retracted: false,
            change: "first published".into(),
        };
        let incident = Incident {
            id: IncidentId::new("i1").expect("valid"),
            country: "PK".parse().expect("valid"),
            revision: 1,
            status: Status::Suspected,
            verdict: Verdict::IspBlock,
            confidence: 0.5,
            headline: "X is blocked on Nayatel".into(),
            services: vec![ServiceId::new("x").expect("valid")],
            targets: revision.targets.clone(),
            asns: vec![asn],
            agents: Vec::new(),
            onset: at,
            end: Some(at),
            onset_by_asn: BTreeMap::from([(asn, at)]),
            end_by_asn: BTreeMap::from([(asn, at)]),
            onset_interval_by_asn: BTreeMap::from([(asn, [at, at])]),
            detected_at: at,
            transit: Some(asn),
            basis: Some(Basis::OutsideIn),
            reach: Some(Reach::DomesticOnly),
            retracted: false,
            mechanisms: BTreeMap::from([("tls_reset".to_owned(), 1.0)]),
            mechanism_by_asn: BTreeMap::from([(asn, "tls_reset".to_owned())]),
            user_share: [0.25, 0.5, 0.25],
            evidence: vec!["3 of 3 agents failed".into()],
            revisions: vec![revision],
        };
        assert_eq!(incident_from_wire(&incident_to_wire(&incident)).expect("readable"), incident);
        let odd = wire::Incident { status: "certain".into(), ..incident_to_wire(&incident) };
        assert!(incident_from_wire(&odd).is_err());
    }
}
