//! Incidents, written for researchers.

use crate::research as wire;
use faultline_model::{Asn, Incident, Revision, Target, Timestamp};

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
