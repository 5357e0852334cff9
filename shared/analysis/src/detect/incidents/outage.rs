//! Sites that fail for everybody (method 3.4, "target down").
//!
//! Recorded data: at least six of the last eight minutes with control results failed, and so do at least half
//! of the agents in the country. Live: the newest results of controls in two different networks failed, none
//! succeeded since, and agents in the country fail too. While it lasts, nothing is said about networks: results
//! beside a failing control are excused, and alarms on the target that began with it become part of it.

use super::super::alarm::points;
use super::super::cells::{Alarm, Cleared};
use super::super::changepoint::{self, Change, Turn};
use super::super::core::Core;
use super::super::evidence::{Votes, count, vote};
use super::super::posterior::Posterior;
use super::super::store::{Entry, Ms};
use super::super::world::{FamilyNo, TargetNo};
use super::statement::{Stance, Statement};
use faultline_model::{Incident, IncidentId, Status, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// Minutes of the last eight that must have failed, and at most may have failed for the end.
const BAD_MINUTES: usize = 6;
const GOOD_MINUTES: usize = 2;
/// Recorded data: told after this (method 3.4).
const CONFIRM_MS: Ms = 840_000;
/// Agents in the country that must fail, on at least so many networks: two controls and two agents may lose a
/// packet each within a month of minutes, three agents beside them do not.
const HOME_AGENTS: f64 = 3.0;
const HOME_NETWORKS: usize = 2;
/// How far back agents and controls are looked at.
const REACH_MS: Ms = 600_000;
/// How far back the beginning is looked for.
const ONSET_REACH_MS: Ms = 4_200_000;
/// Alarms that began this near to an outage are part of it; outages this near to each other are one.
const NEAR_MS: Ms = 900_000;
/// Live: agents may have failed so long before the first control did.
const SLACK_MS: Ms = 60_000;
/// Live: networks of controls that must agree.
const CONTROL_NETWORKS: usize = 2;
/// Ended outages are remembered so long.
const FORGET_MS: Ms = 2 * 3_600_000;

/// One failing target.
#[derive(Clone, Debug)]
pub(in super::super) struct Outage {
    pub(in super::super) onset: Ms,
    pub(in super::super) cleared: Option<Cleared>,
    pub(in super::super) incident: Option<IncidentId>,
}

impl Outage {
    /// Says whether an alarm that began at this moment is part of the outage.
    pub(super) fn covers(&self, onset: Ms) -> bool {
        onset >= self.onset - NEAR_MS && self.cleared.is_none_or(|cleared| onset <= cleared.end + NEAR_MS)
    }
}

impl Core {
    /// Finds targets that begin or cease to fail for everybody.
    pub(in super::super) fn update_outages(&mut self) {
        let now = self.now;
        self.incidents.outages.retain(|_, outage| outage.cleared.is_none_or(|c| now - c.at <= FORGET_MS));
        for target in 0..self.world.targets.len() {
            match self.incidents.outages.get(&target).map(|outage| (outage.cleared, outage.onset)) {
                Some((None, onset)) => {
                    if let Some(end) = self.outage_end(target, onset)
                        && let Some(outage) = self.incidents.outages.get_mut(&target)
                    {
                        outage.cleared = Some(Cleared { end, at: now });
                    }
                }
                _ if self.is_down(target) => self.raise_outage(target),
                _ => {}
            }
        }
    }

    fn is_down(&self, target: TargetNo) -> bool {
        let since = if self.is_live() { self.down_since(target) } else { self.down_by_minutes(target) };
        let Some(since) = since else { return false };
        let heard = self.world.heard();
        let failing =
            heard.filter(|family| vote(self.store.cell(*family, target).between(since, self.now)).bad >= 1.0);
        let is_spread = failing.count() >= HOME_NETWORKS.min(self.world.heard().count());
        let votes = self.home_votes(target, since);
        is_spread && votes.bad >= HOME_AGENTS && votes.bad >= 0.5 * count(votes.agents)
    }

    /// Recorded data: returns since when agents are looked at, if the controls failed in most of the last minutes.
    fn down_by_minutes(&self, target: TargetNo) -> Option<Ms> {
        (self.store.flagged_minutes(target, self.now).0 >= BAD_MINUTES).then_some(self.now - REACH_MS)
    }

    /// Live: returns since when agents are looked at, if the newest results of controls in two networks failed.
    fn down_since(&self, target: TargetNo) -> Option<Ms> {
        let since = self.now - REACH_MS;
        let entries = self.store.control(target).between(since, self.now);
        let last_fine = entries.iter().rposition(|entry| !entry.class.is_anomaly());
        let failing = &entries[last_fine.map_or(0, |at| at + 1)..];
        let networks: BTreeSet<u32> =
            failing.iter().map(|entry| self.store.agents[entry.agent].asn.get()).collect();
        (networks.len() >= CONTROL_NETWORKS).then(|| failing[0].start - SLACK_MS)
    }

    /// Counts the votes of all agents in the country, excused or not.
    fn home_votes(&self, target: TargetNo, since: Ms) -> Votes {
        vote(&self.home_entries(target, since))
    }

    fn home_entries(&self, target: TargetNo, since: Ms) -> Vec<Entry> {
        let cells = self.world.heard().map(|family| self.store.cell(family, target).between(since, self.now));
        let mut entries: Vec<Entry> = cells.flatten().copied().collect();
        entries.sort_by_key(|entry| (entry.start, entry.key));
        entries
    }

    /// Returns everybody's results: agents, reference agents and controls.
    fn all_entries(&self, target: TargetNo, since: Ms) -> Vec<Entry> {
        let mut entries = self.home_entries(target, since);
        for series in [self.store.reference(target), self.store.control(target)] {
            entries.extend(series.between(since, self.now));
        }
        entries.sort_by_key(|entry| (entry.start, entry.key));
        entries
    }

    fn raise_outage(&mut self, target: TargetNo) {
        let entries = self.all_entries(target, self.now - ONSET_REACH_MS);
        let change = changepoint::find(&points(&entries), Turn::Onset);
        let onset = change.map_or(self.now, |change| change.middle());
        let mut incident = None;
        self.cells.note_change();
        self.readings.note_target(target);
        let families: Vec<FamilyNo> = self.world.heard().collect();
        for family in families {
            let is_near = |alarm: &Alarm| (alarm.onset - onset).abs() <= NEAR_MS;
            if let Some(alarm) = self.cells.take_alarm_if((family, target), is_near) {
                incident = incident.or(alarm.incident);
            }
        }
        let outage = Outage { onset, cleared: None, incident };
        self.incidents.outages.insert(target, outage);
    }

    fn outage_end(&self, target: TargetNo, onset: Ms) -> Option<Ms> {
        if self.is_live() {
            let controls = self.store.control(target).between(onset, self.now);
            let after_last_bad =
                controls.iter().rposition(|entry| entry.class.is_anomaly()).map_or(0, |at| at + 1);
            let first = controls.get(after_last_bad)?;
            let votes = self.home_votes(target, first.start);
            if votes.agents < 2 || !votes.is_clear() {
                return None;
            }
        } else {
            let (bad, all) = self.store.flagged_minutes(target, self.now);
            let votes = self.home_votes(target, self.now - REACH_MS);
            if all < BAD_MINUTES || bad > GOOD_MINUTES || !votes.is_clear() {
                return None;
            }
        }
        let entries = self.all_entries(target, onset);
        let first_fine =
            entries.iter().find(|entry| !entry.class.is_anomaly()).map_or(self.now, |entry| entry.start);
        Some(changepoint::find(&points(&entries), Turn::End).map_or(first_fine, |change| change.middle()))
    }

    /// Publishes what changed about failing sites.
    pub(super) fn publish_outages(&mut self) -> Vec<(IncidentId, Incident)> {
        let mut groups: Vec<BTreeMap<TargetNo, Outage>> = Vec::new();
        let mut outages: Vec<(TargetNo, Outage)> =
            self.incidents.outages.iter().map(|(target, outage)| (*target, outage.clone())).collect();
        outages.sort_by_key(|(target, outage)| (outage.onset, *target));
        for (target, outage) in outages {
            let fits = |group: &&mut BTreeMap<TargetNo, Outage>| {
                group.values().any(|other| (other.onset - outage.onset).abs() <= NEAR_MS)
            };
            match groups.iter_mut().find(fits) {
                Some(group) => {
                    group.insert(target, outage);
                }
                None => groups.push(BTreeMap::from([(target, outage)])),
            }
        }
        let mut changed = Vec::new();
        for group in groups {
            let id = group.values().find_map(|outage| outage.incident.clone());
            if id.as_ref().is_some_and(|id| self.is_long_closed(id)) {
                continue;
            }
            let statement = self.state_outage(&group);
            // Recorded data cannot ask anybody: sites that blink are awaited out.
            if id.is_none() && statement.status == Status::Suspected {
                continue;
            }
            let (id, incident) = self.publish(id, &statement);
            for target in group.keys() {
                if let Some(outage) = self.incidents.outages.get_mut(target) {
                    outage.incident = Some(id.clone());
                }
            }
            changed.extend(incident.map(|incident| (id, incident)));
        }
        changed
    }

    fn state_outage(&self, group: &BTreeMap<TargetNo, Outage>) -> Statement {
        let onset = group.values().map(|outage| outage.onset).min().unwrap_or(self.now);
        let is_open = group.values().any(|outage| outage.cleared.is_none());
        let end = group.values().filter_map(|outage| outage.cleared).map(|cleared| cleared.end).max();
        let end = if is_open { None } else { end };
        let targets: Vec<TargetNo> = group.keys().copied().collect();
        let stances: BTreeMap<FamilyNo, Stance> = self
            .world
            .heard()
            .map(|family| (family, self.outage_stance(family, &targets, (onset, end))))
            .collect();
        let families: Vec<FamilyNo> =
            stances.iter().filter(|(_, s)| **s != Stance::Cleared).map(|(family, _)| *family).collect();
        let lasted = end.unwrap_or(self.now) - onset;
        let is_firm = self.is_live() || lasted >= CONFIRM_MS;
        let posterior = Posterior { target: 0.95, nothing: 0.05, ..Posterior::default() };
        let change = Change { last_before: onset, first_after: onset };
        let mut statement = Statement {
            verdict: Verdict::TargetOutage,
            status: if is_firm { Status::Confirmed } else { Status::Suspected },
            confidence: posterior.target,
            onsets: families.iter().map(|family| (*family, change)).collect(),
            onset,
            ends: end
                .map_or_else(BTreeMap::new, |end| families.iter().map(|family| (*family, end)).collect()),
            end,
            mechanisms: BTreeMap::new(),
            mechanism_by_family: BTreeMap::new(),
            posterior,
            evidence: Vec::new(),
            retraction: None,
            transit: None,
            basis: None,
            reach: None,
            region: None,
            returns: 0,
            targets,
            stances,
            families,
        };
        self.count_classes(&mut statement);
        statement.evidence = self.explain_outage(&statement);
        statement
    }

    fn outage_stance(&self, family: FamilyNo, targets: &[TargetNo], span: (Ms, Option<Ms>)) -> Stance {
        let mut entries: Vec<Entry> = Vec::new();
        for target in targets {
            entries.extend(self.store.cell(family, *target).between(span.0, span.1.unwrap_or(self.now)));
        }
        let votes = vote(&entries);
        match votes.agents {
            0 => Stance::Unknown,
            _ if votes.is_clear() && votes.agents >= 2 => Stance::Cleared,
            _ if votes.bad >= 0.5 * count(votes.agents) => Stance::Blocked,
            _ => Stance::Unknown,
        }
    }

    fn count_classes(&self, statement: &mut Statement) {
        for family in &statement.families {
            let mut own = BTreeMap::new();
            for target in &statement.targets {
                let to = statement.end.unwrap_or(self.now);
                for entry in self.store.cell(*family, *target).between(statement.onset, to) {
                    if entry.class.is_anomaly() {
                        *own.entry(entry.class).or_insert(0) += 1;
                        *statement.mechanisms.entry(entry.class).or_insert(0) += 1;
                    }
                }
            }
            let most = own.into_iter().max_by_key(|(class, number)| (*number, std::cmp::Reverse(*class)));
            statement.mechanism_by_family.extend(most.map(|(class, _)| (*family, class)));
        }
    }
}
