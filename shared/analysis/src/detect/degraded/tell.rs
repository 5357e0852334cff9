//! Networks that suffer, told as one incident where they began within an hour of each other.

use super::super::cells::Alarm;
use super::super::changepoint::Change;
use super::super::core::Core;
use super::super::evidence::count;
use super::super::incidents::{Stance, Statement};
use super::super::null::share;
use super::super::posterior::Posterior;
use super::super::store::Ms;
use super::super::world::FamilyNo;
use faultline_model::{Class, Incident, IncidentId, Status, Verdict};
use std::collections::{BTreeMap, BTreeSet};

const JOIN_MS: Ms = 3_600_000;
/// Several networks are said to suffer after this; live, agents answer faster than in recorded data.
const SEVERAL_MS: Ms = 1_200_000;
const LIVE_SEVERAL_MS: Ms = 600_000;
/// One network alone after this.
const ALONE_MS: Ms = 3_600_000;
const CONFIRM_MS: Ms = 2_400_000;
const DESCRIBED: usize = 12;

impl Core {
    /// Publishes what changed about networks that suffer.
    pub(in super::super) fn publish_degraded(&mut self) -> Vec<(IncidentId, Incident)> {
        let mut changed = Vec::new();
        let mut order: Vec<(Ms, FamilyNo)> =
            self.degraded.alarms.iter().map(|(family, alarm)| (alarm.onset, *family)).collect();
        order.sort_unstable();
        let mut groups: Vec<BTreeMap<FamilyNo, Alarm>> = Vec::new();
        let mut last: Option<Ms> = None;
        for (onset, family) in order {
            if last.is_none_or(|last| onset - last > JOIN_MS) {
                groups.push(BTreeMap::new());
            }
            last = Some(onset);
            if let Some(group) = groups.last_mut() {
                group.insert(family, self.degraded.alarms[&family].clone());
            }
        }
        for group in groups {
            let tags: BTreeSet<&IncidentId> =
                group.values().filter_map(|alarm| alarm.incident.as_ref()).collect();
            let known = tags.into_iter().filter_map(|id| self.incidents.published.get(id));
            let id = known.min_by_key(|one| (one.detected_at, one.id.clone())).map(|one| one.id.clone());
            let is_open = group.values().any(Alarm::is_open);
            let is_old = !is_open && id.as_ref().is_some_and(|id| self.is_long_closed(id));
            if is_old || id.is_none() && !self.is_failure_due(&group) {
                continue;
            }
            let statement = self.state_failure(&group, id.as_ref());
            let (id, incident) = self.publish(id, &statement);
            for family in group.keys() {
                let Some(alarm) = self.degraded.alarms.get_mut(family) else { continue };
                let former = alarm.incident.replace(id.clone()).filter(|former| *former != id);
                let merged =
                    former.and_then(|former| Some((former.clone(), self.withdraw_merged(&former, &id)?)));
                changed.extend(merged);
            }
            changed.extend(incident.map(|incident| (id, incident)));
        }
        changed
    }

    fn is_failure_due(&self, group: &BTreeMap<FamilyNo, Alarm>) -> bool {
        let open: Vec<&Alarm> = group.values().filter(|alarm| alarm.is_open()).collect();
        let lasted = open.iter().map(|alarm| self.now - alarm.onset).max().unwrap_or(0);
        let several = if self.is_live() { LIVE_SEVERAL_MS } else { SEVERAL_MS };
        lasted >= if open.len() >= 2 { several } else { ALONE_MS } && !open.is_empty()
    }

    fn state_failure(&self, group: &BTreeMap<FamilyNo, Alarm>, id: Option<&IncidentId>) -> Statement {
        let onset = group.values().map(|alarm| alarm.onset).min().unwrap_or(self.now);
        let is_open = group.values().any(Alarm::is_open);
        let end = group.values().filter_map(|alarm| alarm.cleared).map(|cleared| cleared.end).max();
        let end = if is_open { None } else { end };
        let to = end.unwrap_or(self.now);
        let former = id.and_then(|id| self.incidents.published.get(id));
        let was_confirmed = former.is_some_and(|incident| incident.status == Status::Confirmed);
        let is_confirmed = was_confirmed || to - onset >= CONFIRM_MS;
        let retraction =
            (!is_confirmed && end.is_some()).then(|| "it cleared before it could be confirmed".to_owned());
        let stance = |family: FamilyNo| match group.contains_key(&family) {
            true => Stance::Blocked,
            false if self.active_in(family) >= 2 => Stance::Cleared,
            false => Stance::Unknown,
        };
        let families: Vec<FamilyNo> = group.keys().copied().collect();
        let change = |alarm: &Alarm| Change { last_before: alarm.onset, first_after: alarm.onset };
        let mut statement = Statement {
            verdict: Verdict::TechnicalFailure,
            status: if is_confirmed { Status::Confirmed } else { Status::Suspected },
            confidence: 0.9,
            targets: Vec::new(),
            transit: None,
            basis: None,
            reach: None,
            region: None,
            stances: self.world.heard().map(|family| (family, stance(family))).collect(),
            onsets: group.iter().map(|(family, alarm)| (*family, change(alarm))).collect(),
            onset,
            ends: group.iter().filter_map(|(family, alarm)| Some((*family, alarm.cleared?.end))).collect(),
            end,
            mechanisms: BTreeMap::new(),
            mechanism_by_family: BTreeMap::new(),
            posterior: Posterior { nothing: 0.1, ..Posterior::default() },
            evidence: Vec::new(),
            retraction,
            returns: group.values().map(|alarm| alarm.returns).max().unwrap_or(0),
            families,
        };
        self.explain_failure(&mut statement, to);
        statement
    }

    fn explain_failure(&self, statement: &mut Statement, to: Ms) {
        let mut reasons = Vec::new();
        for family in statement.families.iter().take(DESCRIBED) {
            let from = statement.onsets.get(family).map_or(statement.onset, |change| change.first_after);
            let to = statement.ends.get(family).copied().unwrap_or(to);
            let entries = self.foreign(*family, from, to);
            let mut classes: BTreeMap<Class, usize> = BTreeMap::new();
            for entry in entries.iter().filter(|entry| entry.class.is_anomaly()) {
                *classes.entry(entry.class).or_default() += 1;
            }
            let bad: usize = classes.values().sum();
            let home = self.domestic(*family, from, to);
            let fine = 1.0 - share(home.iter().map(|entry| entry.class.is_anomaly()));
            let inside = if home.is_empty() {
                String::new()
            } else {
                format!("; {:.0} % of results inside the country were fine", 100.0 * fine)
            };
            reasons.push(format!(
                "{}: {bad} of {} results on everything abroad failed, canaries too{inside}",
                self.family_name(self.world.families[*family].asn),
                entries.len()
            ));
            let most = classes.iter().max_by_key(|(class, number)| (**number, std::cmp::Reverse(**class)));
            statement.mechanism_by_family.extend(most.map(|(class, _)| (*family, *class)));
            for (class, number) in classes {
                *statement.mechanisms.entry(class).or_default() += number;
            }
        }
        if count(statement.families.len()) > count(DESCRIBED) {
            reasons.push(format!("{} more providers show the same", statement.families.len() - DESCRIBED));
        }
        reasons.push("nothing is singled out: what fails, fails for everything alike".to_owned());
        statement.evidence = reasons;
    }
}
