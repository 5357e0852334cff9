//! Our own side being down.

use super::super::super::core::Core;
use super::super::super::ms;
use super::super::super::posterior::Posterior;
use super::super::super::store::Ms;
use super::super::statement::Statement;
use faultline_model::{Incident, IncidentId, Status, Verdict};
use std::collections::BTreeMap;

/// Missed beats that are told.
const TOLD_BEATS: Ms = 3;

impl Core {
    /// Tells of times in which our own side was down.
    pub(super) fn publish_own(&mut self) -> Vec<(IncidentId, Incident)> {
        let least = self.beat_ms() * TOLD_BEATS;
        let told = &self.presences.told;
        let news =
            self.presences.own.iter().filter(|(from, to)| **to - **from > least && !told.contains(from));
        let news: Vec<(Ms, Ms)> =
            news.map(|(from, to)| (*from, *to)).filter(|(_, to)| *to <= self.now).collect();
        let mut changed = Vec::new();
        for (from, to) in news {
            self.presences.told.insert(from);
            let statement = own_statement(from, to);
            let (id, incident) = self.publish(None, &statement);
            changed.extend(incident.map(|incident| (id, incident)));
        }
        changed
    }

    /// Ends an outage of our own side that a restart found open, once somebody outside is heard again.
    pub(super) fn close_own(&mut self) -> Option<(IncidentId, Incident)> {
        let (id, onset) = self.presences.open_own.clone()?;
        let is_told = self.presences.cuts.values().any(|cut| cut.incident.as_ref() == Some(&id));
        if is_told {
            self.presences.open_own = None;
            return None;
        }
        let end = self.presences.heard_outside(onset)?;
        self.presences.open_own = None;
        let (id, incident) = self.publish(Some(id), &own_statement(onset, end));
        incident.map(|incident| (id, incident))
    }

    /// Takes back what was told of our own side.
    pub(in super::super) fn restore_own(&mut self, incident: &Incident) {
        let onset = ms(incident.onset);
        if let Some(end) = incident.end {
            self.presences.own.insert(onset, ms(end));
            self.presences.told.insert(onset);
        } else {
            self.presences.open_own = Some((incident.id.clone(), onset));
        }
    }
}

/// Says that our own side was down in a time that is over.
fn own_statement(from: Ms, to: Ms) -> Statement {
    Statement {
        verdict: Verdict::CoordinatorOutage,
        status: Status::Confirmed,
        confidence: 0.99,
        targets: Vec::new(),
        families: Vec::new(),
        transit: None,
        basis: None,
        reach: None,
        region: None,
        stances: BTreeMap::new(),
        onsets: BTreeMap::new(),
        onset: from,
        ends: BTreeMap::new(),
        end: Some(to),
        mechanisms: BTreeMap::new(),
        mechanism_by_family: BTreeMap::new(),
        posterior: Posterior::default(),
        evidence: vec![
            "the coordinator was not to be reached; nobody could be heard, and nobody's silence says anything"
                .to_owned(),
            "agents go on measuring meanwhile and deliver afterwards".to_owned(),
        ],
        retraction: None,
        returns: 0,
    }
}
