//! Who finds out which thing is blocked, while an incident is open.
//!
//! Agents that have just confirmed an incident may have no look at the target left for some minutes, so that what nobody
//! could be asked for is tried again until it is given, or until the incident ends.

use super::confirmations::hand_out_diagnoses;
use crate::coordinator::Coordinator;
use crate::planning::Group;
use crate::store::{StoreError, StoredMeasurement};
use faultline_model::{Asn, CheckKind, CountryCode, Incident, IncidentId, Target, Timestamp, Verdict};
use std::collections::BTreeMap;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(10);
/// More would be two a day for each of five hundred targets and families.
const MAX_DIAGNOSES: usize = 1000;

/// Open incidents in which something is blocked.
#[derive(Debug, Default)]
pub(super) struct Open {
    incidents: BTreeMap<IncidentId, (CountryCode, Vec<Target>, Vec<Asn>)>,
    tried_at: Timestamp,
}

impl Open {
    /// Notes an incident's newest state.
    pub(super) fn note(&mut self, incident: &Incident) {
        let is_block = matches!(
            incident.verdict,
            Verdict::IspBlock | Verdict::MultiIspBlock | Verdict::NationalBlock | Verdict::CategoryBlock
        );
        if is_block && incident.end.is_none() && !incident.retracted {
            let cells = (incident.country, incident.targets.clone(), incident.asns.clone());
            self.incidents.insert(incident.id.clone(), cells);
        } else {
            self.incidents.remove(&incident.id);
        }
    }

    /// Asks for what was not diagnosed yet.
    pub(super) fn ask(&mut self, coordinator: &Coordinator, now: Timestamp) {
        if self.incidents.is_empty() || now.since(self.tried_at) < PAUSE {
            return;
        }
        self.tried_at = now;
        for (country, targets, networks) in self.incidents.values() {
            for target in targets {
                for asn in networks {
                    let main = coordinator.countries.family(*country, *asn).asn;
                    hand_out_diagnoses(coordinator, *country, (target, main), now);
                }
            }
        }
    }
}

/// Counts the diagnoses of the last day, so that a restart does not begin anew with them.
pub(super) async fn remember(coordinator: &Coordinator, now: Timestamp) -> Result<(), StoreError> {
    for country in coordinator.countries.described() {
        let made = coordinator.archive.judged(CheckKind::Diagnose, country, now - DAY, MAX_DIAGNOSES);
        for StoredMeasurement { row, .. } in made.await? {
            let Some(asn) = row.asn else { continue };
            let group = Group::Family(country, coordinator.countries.family(country, asn).asn);
            coordinator.confirmations.remember_diagnosis(row.measurement.target, group, row.received_at);
        }
    }
    Ok(())
}
