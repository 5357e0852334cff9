//! Slowed cells, told as incidents.
//!
//! Cells that share a network or a target and began within an hour of each other are one incident: downloads are
//! rare, so that beginnings are known no better.

use super::super::cells::Alarm;
use super::super::changepoint::{self, Turn};
use super::super::core::Core;
use super::super::evidence::count;
use super::super::incidents::{Stance, Statement};
use super::super::posterior::Posterior;
use super::super::store::Ms;
use super::super::world::{FamilyNo, TargetNo};
use super::{is_clear, points, vote};
use faultline_model::{Class, Incident, IncidentId, Status, Verdict};
use std::collections::{BTreeMap, BTreeSet};

const JOIN_MS: Ms = 3_600_000;
/// A slowness that lasted so long is confirmed; live, so long after its alarm.
const CONFIRM_MS: Ms = 1_800_000;
const LIVE_CONFIRM_MS: Ms = 60_000;
/// Confidence: evidence is tempered, as in the comparison of explanations.
const TEMPER: f64 = 3.0;
const PRIOR_ODDS: f64 = 9.0;
const DESCRIBED: usize = 12;

type Group = BTreeMap<(FamilyNo, TargetNo), Alarm>;

impl Core {
    /// Publishes what changed about slowed cells.
    pub(in super::super) fn publish_slow(&mut self) -> Vec<(IncidentId, Incident)> {
        let mut changed = Vec::new();
        for group in self.slow_groups() {
            let tags: BTreeSet<&IncidentId> =
                group.values().filter_map(|alarm| alarm.incident.as_ref()).collect();
            let known = tags.into_iter().filter_map(|id| self.incidents.published.get(id));
            let id = known.min_by_key(|one| (one.detected_at, one.id.clone())).map(|one| one.id.clone());
            let is_open = group.values().any(Alarm::is_open);
            let is_old = !is_open && id.as_ref().is_some_and(|id| self.is_long_closed(id));
            if is_old || id.is_none() && !is_open {
                continue;
            }
            let statement = self.state_slow(&group, id.as_ref());
            let (id, incident) = self.publish(id, &statement);
            for cell in group.keys() {
                let Some(alarm) = self.slow.alarms.get_mut(cell) else { continue };
                let former = alarm.incident.replace(id.clone()).filter(|former| *former != id);
                let merged =
                    former.and_then(|former| Some((former.clone(), self.withdraw_merged(&former, &id)?)));
                changed.extend(merged);
            }
            changed.extend(incident.map(|incident| (id, incident)));
        }
        changed
    }

    fn slow_groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (cell, alarm) in &self.slow.alarms {
            let fits = |group: &Group| {
                group.iter().any(|(other, known)| {
                    (other.0 == cell.0 || other.1 == cell.1) && (known.onset - alarm.onset).abs() <= JOIN_MS
                })
            };
            let mut joined = Group::from([(*cell, alarm.clone())]);
            let (fitting, rest): (Vec<Group>, Vec<Group>) = groups.into_iter().partition(fits);
            joined.extend(fitting.into_iter().flatten());
            groups = rest;
            groups.push(joined);
        }
        groups
    }

    fn state_slow(&self, group: &Group, id: Option<&IncidentId>) -> Statement {
        let now = self.now;
        let mut onsets: Vec<Ms> = group.values().map(|alarm| alarm.onset).collect();
        onsets.sort_unstable();
        let onset = onsets[onsets.len() / 2];
        let is_open = group.values().any(Alarm::is_open);
        let end = group.values().filter_map(|alarm| alarm.cleared).map(|cleared| cleared.end).max();
        let end = if is_open { None } else { end };
        let targets: BTreeSet<TargetNo> = group.keys().map(|(_, target)| *target).collect();
        let targets: Vec<TargetNo> = targets.into_iter().collect();
        let heard = self.world.heard();
        let stances: BTreeMap<FamilyNo, Stance> = heard
            .map(|family| (family, self.slow_stance(family, group, (onset, end.unwrap_or(now)))))
            .collect();
        let families: Vec<FamilyNo> =
            stances.iter().filter(|(_, s)| **s == Stance::Blocked).map(|(family, _)| *family).collect();
        let raised = group.values().map(|alarm| alarm.at).min().unwrap_or(now);
        let former = id.and_then(|id| self.incidents.published.get(id));
        let was_confirmed = former.is_some_and(|incident| incident.status == Status::Confirmed);
        let has_lasted = if self.is_live() {
            end.unwrap_or(now) - raised >= LIVE_CONFIRM_MS
        } else {
            end.unwrap_or(now) - onset >= CONFIRM_MS
        };
        let is_confirmed = was_confirmed || has_lasted;
        let retraction =
            (!is_confirmed && end.is_some()).then(|| "it cleared before it could be confirmed".to_owned());
        let best = group.keys().filter_map(|cell| self.slow.evidence.get(cell));
        let best = best.copied().max_by(f64::total_cmp);
        let odds = best.map(|ln_e| PRIOR_ODDS * (ln_e / TEMPER).exp());
        let known = former.map(|former| former.confidence);
        let exists = odds.map(|odds| odds / (1.0 + odds)).filter(|_| is_open).or(known).unwrap_or(0.9);
        let mut statement = Statement {
            verdict: Verdict::Throttling,
            status: if is_confirmed { Status::Confirmed } else { Status::Suspected },
            confidence: exists,
            transit: None,
            basis: None,
            reach: None,
            region: None,
            onsets: BTreeMap::new(),
            onset,
            ends: BTreeMap::new(),
            end,
            mechanisms: BTreeMap::from([(Class::Throttled, 1)]),
            mechanism_by_family: families.iter().map(|family| (*family, Class::Throttled)).collect(),
            posterior: Posterior { nothing: 1.0 - exists, ..Posterior::default() },
            evidence: Vec::new(),
            retraction,
            returns: group.values().map(|alarm| alarm.returns).max().unwrap_or(0),
            targets,
            stances,
            families,
        };
        self.time_slow(&mut statement, group);
        statement.evidence = self.explain_slow(&statement);
        statement
    }

    /// A network with an alarm is slowed; another joins if two of its agents, and half of them, are slow too.
    fn slow_stance(&self, family: FamilyNo, group: &Group, span: (Ms, Ms)) -> Stance {
        if group.keys().any(|(own, _)| *own == family) {
            return Stance::Blocked;
        }
        let targets: BTreeSet<TargetNo> = group.keys().map(|(_, target)| *target).collect();
        let samples = targets.iter().flat_map(|target| self.samples_of((family, *target), span));
        let votes = vote(&samples.collect::<Vec<_>>());
        match votes.agents {
            0 | 1 => Stance::Unknown,
            agents if votes.bad >= 2.0 && votes.bad >= 0.5 * count(agents) => Stance::Blocked,
            _ if is_clear(votes) => Stance::Cleared,
            _ => Stance::Unknown,
        }
    }

    fn time_slow(&self, statement: &mut Statement, group: &Group) {
        for family in &statement.families {
            let own: Vec<(&(FamilyNo, TargetNo), &Alarm)> =
                group.iter().filter(|((other, _), _)| other == family).collect();
            let at = own.iter().map(|(_, alarm)| alarm.at).min().unwrap_or(self.now);
            let span = (at - super::ONSET_REACH_MS, at + super::WINDOWS_MS[0]);
            let change = own.first().and_then(|(cell, _)| {
                changepoint::find(&points(&self.samples_of(**cell, span)), Turn::Onset)
            });
            if let Some(change) = change {
                statement.onsets.insert(*family, change);
            }
            let is_over = !own.is_empty() && own.iter().all(|(_, alarm)| !alarm.is_open());
            let last = own.iter().filter_map(|(_, alarm)| alarm.cleared).map(|cleared| cleared.end).max();
            statement.ends.extend(last.or(statement.end).filter(|_| is_over).map(|end| (*family, end)));
        }
        statement.onset = self.first_onset(statement).unwrap_or(statement.onset);
    }

    fn explain_slow(&self, statement: &Statement) -> Vec<String> {
        let span = (statement.onset, statement.end.unwrap_or(self.now));
        let mut reasons = Vec::new();
        for family in statement.families.iter().take(DESCRIBED) {
            let name = self.family_name(self.world.families[*family].asn);
            let own: Vec<_> = statement
                .targets
                .iter()
                .flat_map(|target| self.samples_of((*family, *target), span))
                .collect();
            let slow = own.iter().filter(|sample| sample.is_slow).count();
            let votes = vote(&own);
            let others = (0..self.slow.downloads.len()).filter(|other| !statement.targets.contains(other));
            let others: Vec<_> = others.flat_map(|other| self.samples_of((*family, other), span)).collect();
            let fine = others.iter().filter(|sample| !sample.is_slow).count();
            reasons.push(format!(
                "{name}: {slow} of {} downloads were slow beside their pair, for {} of {} agents; {fine} of {} other downloads on the same lines were not",
                own.len(), votes.bad, votes.agents, others.len()
            ));
        }
        if statement.families.len() > DESCRIBED {
            reasons.push(format!("{} more providers show the same", statement.families.len() - DESCRIBED));
        }
        reasons.push("the targets are reached: they are slowed, not cut".to_owned());
        reasons
    }
}
