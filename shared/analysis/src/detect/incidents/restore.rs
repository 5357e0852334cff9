//! Taking up published incidents after a restart.

use super::super::cells::{Alarm, Cleared, Strength};
use super::super::core::Core;
use super::super::ms;
use super::Marks;
use super::outage::Outage;
use super::publish::MERGED;
use faultline_model::{Incident, Revision, Verdict};

impl Core {
    /// Takes published incidents back: open ones raise their cells' alarms again.
    pub(in super::super) fn restore(&mut self, incidents: Vec<Incident>) {
        for incident in incidents {
            let closed = incident.end.map(|end| {
                let last = incident.revisions.last().map_or(end, |revision| revision.published_at);
                ms(last.max(end))
            });
            let revised = incident.revisions.last().map_or(incident.detected_at, |last| last.published_at);
            let is_merged = incident.retracted && incident.revisions.last().is_some_and(is_merger);
            let marks = Marks { revised: ms(revised), closed, is_merged };
            self.incidents.marks.insert(incident.id.clone(), marks);
            if !incident.retracted && incident.verdict == Verdict::TechnicalFailure {
                self.restore_failure(&incident);
            } else if !incident.retracted && incident.targets.is_empty() {
                self.restore_cut(&incident);
            } else if !incident.retracted {
                self.restore_cells(&incident);
            }
            self.incidents.published.insert(incident.id.clone(), incident);
        }
    }

    fn restore_failure(&mut self, incident: &Incident) {
        for asn in &incident.asns {
            let family = self.world.family_of(*asn);
            let onset = incident.onset_by_asn.get(asn).copied().unwrap_or(incident.onset);
            let end = incident.end_by_asn.get(asn).copied().or(incident.end);
            let mut alarm = Alarm::new(ms(onset), ms(incident.detected_at), Strength::Firm);
            alarm.cleared = end.map(|end| Cleared { end: ms(end), at: ms(end) });
            alarm.incident = Some(incident.id.clone());
            self.degraded.alarms.insert(family, alarm);
        }
    }

    fn restore_cut(&mut self, incident: &Incident) {
        // Only our own downtime is told as ended at once, and names nobody.
        if incident.verdict == Verdict::CoordinatorOutage && incident.asns.is_empty() {
            self.restore_own(incident);
        } else {
            self.restore_event(incident);
        }
    }

    fn restore_cells(&mut self, incident: &Incident) {
        self.cells.note_change();
        let cleared = incident.end.map(|end| Cleared { end: ms(end), at: ms(end) });
        let targets: Vec<usize> =
            incident.targets.iter().filter_map(|target| self.world.target(target)).collect();
        for target in &targets {
            if incident.verdict == Verdict::TargetOutage {
                let outage =
                    Outage { onset: ms(incident.onset), cleared, incident: Some(incident.id.clone()) };
                self.incidents.outages.insert(*target, outage);
                continue;
            }
            for asn in &incident.asns {
                let family = self.world.family_of(*asn);
                let onset = incident.onset_by_asn.get(asn).copied().unwrap_or(incident.onset);
                let end = incident.end_by_asn.get(asn).map(|end| Cleared { end: ms(*end), at: ms(*end) });
                let is_weak = incident.verdict == Verdict::InsufficientData;
                let alarm = Alarm {
                    onset: ms(onset),
                    at: ms(incident.detected_at),
                    cleared: end.or(cleared),
                    incident: Some(incident.id.clone()),
                    strength: if is_weak { Strength::Sparse } else { Strength::Firm },
                    returns: 0,
                };
                if incident.verdict == Verdict::Throttling {
                    self.slow.alarms.insert((family, *target), alarm);
                    continue;
                }
                self.note_alarm(family);
                self.cells.set_alarm(family, *target, alarm);
            }
        }
    }
}

/// Says whether a withdrawal points to another incident.
fn is_merger(revision: &Revision) -> bool {
    revision.change.starts_with(MERGED)
}
