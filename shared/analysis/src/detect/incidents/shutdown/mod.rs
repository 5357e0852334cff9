//! Networks, regions and the country going off, and our own channel going away (method 3.5).
//!
//! Cuts that began within sixteen minutes of each other are one event and one incident. What the event is called may
//! change as more is known: agents that vanish may be a shutdown or may be kept from us, and only what controls see
//! from outside, or what agents deliver afterwards, tells which.

mod own;
mod verdict;
mod wording;

use super::super::cells::Cleared;
use super::super::changepoint::Change;
use super::super::core::Core;
use super::super::ms;
use super::super::posterior::Posterior;
use super::super::presence::{BURST_MS, Cause, Cut, Group, Outside};
use super::super::store::{Ms, hash};
use super::super::world::FamilyNo;
use super::statement::Statement;
use faultline_model::{Basis, Class, Incident, IncidentId, Status, Verdict};
use std::collections::BTreeMap;
use verdict::Finding;

/// Live: an event is first said so long after its first alarm: others may fall silent within the same beat.
const HOLD_MS: Ms = 12_000;
/// Live: controls that were asked have so long to answer.
const OUTSIDE_HOLD_MS: Ms = 22_000;
/// Live: how often an event is looked at while it lasts, in the half hour after, and later.
const OPEN_LOOK_MS: Ms = 1_000;
const ENDED_LOOK_MS: Ms = 5_000;
const OLD_LOOK_MS: Ms = 60_000;
const ENDED_MS: Ms = 1_800_000;
/// Live: connected agents that fail for so long confirm an outage.
const DEAD_SETTLED_MS: Ms = 60_000;

/// Cuts that are told as one incident.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Event {
    pub(in super::super) cuts: BTreeMap<Group, Cut>,
}

impl Event {
    /// Returns the families that are cut.
    fn families(&self) -> impl Iterator<Item = (FamilyNo, &Cut)> {
        self.cuts.iter().filter_map(|(group, cut)| match group {
            Group::Family(family) => Some((*family, cut)),
            _ => None,
        })
    }

    fn is_open(&self) -> bool {
        self.cuts.values().any(Cut::is_open)
    }

    /// Returns the last sign of life of the cut that began in the middle.
    fn low(&self) -> Ms {
        let mut lows: Vec<Ms> = self.cuts.values().map(|cut| cut.low).collect();
        lows.sort_unstable();
        lows.get(lows.len() / 2).copied().unwrap_or(0)
    }

    fn raised(&self) -> Ms {
        self.cuts.values().map(|cut| cut.raised).min().unwrap_or(0)
    }

    fn ended(&self) -> Option<Cleared> {
        if self.is_open() {
            return None;
        }
        self.cuts.values().filter_map(|cut| cut.ended).max_by_key(|ended| ended.end)
    }

    fn fingerprint(&self) -> u64 {
        let cut = |(group, cut): (&Group, &Cut)| format!("{group:?} {} {:?}", cut.raised, cut.ended);
        hash(&self.cuts.iter().map(cut).collect::<String>())
    }
}

impl Core {
    /// Tells anew what changed about cuts and our own side.
    pub(super) fn publish_shutdowns(&mut self) -> Vec<(IncidentId, Incident)> {
        let mut changed = self.publish_own();
        changed.extend(self.close_own());
        for event in self.events() {
            let id = self.event_id(&event);
            if self.was_looked_at(&event, id.is_some()) {
                continue;
            }
            let statement = self.state_event(&event, id.as_ref());
            // A region that explains nobody's silence best is no statement.
            let is_empty = statement.families.is_empty() && statement.verdict != Verdict::CoordinatorOutage;
            if id.is_none() && (is_empty || !self.is_event_due(&event)) {
                continue;
            }
            let (id, incident) = self.publish(id, &statement);
            for group in event.cuts.keys() {
                let Some(cut) = self.presences.cuts.get_mut(group) else { continue };
                let ours = [Verdict::ControlChannelBlock, Verdict::CoordinatorOutage];
                cut.is_channel = ours.contains(&statement.verdict);
                let former = cut.incident.replace(id.clone()).filter(|former| *former != id);
                let merged =
                    former.and_then(|former| Some((former.clone(), self.withdraw_merged(&former, &id)?)));
                changed.extend(merged);
            }
            changed.extend(incident.map(|incident| (id, incident)));
        }
        changed
    }

    /// Groups cuts of networks and regions by when they began.
    fn events(&self) -> Vec<Event> {
        let mut cuts: Vec<(&Group, &Cut)> =
            self.presences.cuts.iter().filter(|(group, _)| **group != Group::Country).collect();
        cuts.sort_by_key(|(group, cut)| (cut.low, (*group).clone()));
        let mut events: Vec<Event> = Vec::new();
        let mut last: Option<Ms> = None;
        for (group, cut) in cuts {
            if last.is_none_or(|last| cut.low - last > BURST_MS) {
                events.push(Event::default());
            }
            last = Some(cut.low);
            let event = events.last_mut().expect("an event was just made");
            event.cuts.insert(group.clone(), cut.clone());
        }
        events
    }

    /// Returns the oldest incident that an event's cuts belong to.
    fn event_id(&self, event: &Event) -> Option<IncidentId> {
        let tags = event.cuts.values().filter_map(|cut| cut.incident.as_ref());
        let known = tags.filter_map(|id| self.incidents.published.get(id));
        let oldest = known.min_by_key(|incident| (incident.detected_at, incident.id.clone()));
        let open =
            || self.presences.open_own.clone().filter(|(_, onset)| (event.low() - onset).abs() <= BURST_MS);
        oldest.map(|one| one.id.clone()).or_else(|| open().map(|(id, _)| id))
    }

    /// Live: says whether an event was looked at a moment ago and has the same cuts as then.
    fn was_looked_at(&mut self, event: &Event, is_told: bool) -> bool {
        if !self.is_live() {
            return false;
        }
        let pace = match event.ended() {
            None => OPEN_LOOK_MS,
            Some(ended) if self.now - ended.at < ENDED_MS => ENDED_LOOK_MS,
            Some(_) => OLD_LOOK_MS,
        };
        let (fingerprint, now) = (event.fingerprint(), self.now);
        if self.incidents.told.get(&fingerprint).is_some_and(|told| now - told < pace) {
            if event.is_open() || !is_told {
                self.wake_at(now + pace);
            }
            return true;
        }
        self.incidents.told.insert(fingerprint, now);
        false
    }

    /// Live: says whether those who may have something to add had time to.
    fn is_event_due(&mut self, event: &Event) -> bool {
        if !self.is_live() {
            return true;
        }
        let is_asking = event.families().any(|(family, cut)| {
            cut.cause == Cause::Silent
                && self.landmarks_of(family).next().is_some()
                && self.outside(family, cut) == Outside::Unknown
        });
        // Nobody abroad was heard since: it may be our own side.
        let high = event.cuts.values().map(|cut| cut.high).max().unwrap_or(self.now);
        let is_unsure = self.presences.is_outside_unsure(high);
        let due = event.raised() + if is_asking || is_unsure { OUTSIDE_HOLD_MS } else { HOLD_MS };
        if self.now < due {
            self.wake_at(due.min(self.now + OPEN_LOOK_MS));
        }
        self.now >= due
    }

    /// Says what an event amounts to.
    fn state_event(&self, event: &Event, id: Option<&IncidentId>) -> Statement {
        let finding = self.find(event);
        let former = id.and_then(|id| self.incidents.published.get(id));
        let ended = event.ended();
        let mut statement = Statement {
            verdict: finding.verdict,
            status: finding.status,
            confidence: confidence(&finding),
            targets: Vec::new(),
            families: finding.families.iter().copied().collect(),
            transit: self.transit_of(&finding),
            basis: finding.basis,
            reach: finding.reach,
            region: finding.region.clone(),
            stances: finding.stances.clone(),
            onsets: BTreeMap::new(),
            onset: event.cuts.values().map(Cut::onset).min().unwrap_or(self.now),
            ends: BTreeMap::new(),
            end: ended.map(|ended| ended.end),
            mechanisms: BTreeMap::new(),
            mechanism_by_family: BTreeMap::new(),
            posterior: Posterior::default(),
            evidence: Vec::new(),
            retraction: None,
            returns: event.cuts.values().map(|cut| cut.returns).max().unwrap_or(0),
        };
        self.time_event(event, &finding, &mut statement);
        if finding.basis.is_none() && self.is_settled_outage(event, former) {
            statement.status = Status::Confirmed;
        }
        statement.evidence = self.explain_event(event, &finding, &statement);
        statement
    }

    fn is_settled_outage(&self, event: &Event, former: Option<&Incident>) -> bool {
        let lasted = event.ended().map_or(self.now, |ended| ended.end) - event.low();
        let least = if self.is_live() { DEAD_SETTLED_MS } else { self.base_ms * 12 / 10 };
        lasted >= least || former.is_some_and(|former| former.status == Status::Confirmed)
    }

    /// Finds beginnings, ends and means, from beats, or from what was measured where that is known.
    fn time_event(&self, event: &Event, finding: &Finding, statement: &mut Statement) {
        for family in &finding.families {
            let group = Group::Family(*family);
            let region = finding.region.clone().map(Group::Region);
            let cut = event.cuts.get(&group).or_else(|| event.cuts.get(&region?));
            let Some(cut) = cut else { continue };
            let mut onset = Change { last_before: cut.low, first_after: cut.high };
            let mut end = cut.ended.map(|ended| ended.end);
            let is_measured = cut.cause == Cause::Dead
                || (finding.basis == Some(Basis::Spool) && finding.verdict != Verdict::ControlChannelBlock);
            if is_measured {
                let (first, last) = self.measured_span(*family, cut);
                onset = first.unwrap_or(onset);
                end = end.map(|end| last.map_or(end, |change| change.middle()).max(onset.first_after));
                self.count_means(*family, cut, statement);
            }
            statement.onsets.insert(*family, onset);
            statement.ends.extend(end.map(|end| (*family, end)));
        }
        statement.onset = self.first_onset(statement).unwrap_or(statement.onset);
        if !event.is_open() {
            statement.end = statement.ends.values().max().copied().or(statement.end);
        }
    }

    /// Counts by which means results of a cut failed.
    fn count_means(&self, family: FamilyNo, cut: &Cut, statement: &mut Statement) {
        let mut own: BTreeMap<Class, usize> = BTreeMap::new();
        for entry in self.foreign(family, cut.high, cut.until(self.now)) {
            if entry.class.is_anomaly() {
                *own.entry(entry.class).or_default() += 1;
            }
        }
        let most = own.iter().max_by_key(|(class, number)| (**number, std::cmp::Reverse(**class)));
        if let Some((class, _)) = most {
            statement.mechanism_by_family.insert(family, *class);
        }
        for (class, number) in own {
            *statement.mechanisms.entry(class).or_default() += number;
        }
    }

    /// Names the gateway behind which the networks are that went off together, if one explains them.
    fn transit_of(&self, finding: &Finding) -> Option<faultline_model::Asn> {
        (finding.verdict == Verdict::PartialShutdown).then(|| self.transit(&finding.stances)).flatten()
    }

    /// Takes a published event back after a restart.
    pub(super) fn restore_event(&mut self, incident: &Incident) {
        let is_silent = incident.basis.is_some() || incident.verdict == Verdict::CoordinatorOutage;
        let cause = if is_silent { Cause::Silent } else { Cause::Dead };
        for asn in &incident.asns {
            let family = self.world.family_of(*asn);
            let interval = incident.onset_interval_by_asn.get(asn);
            let [low, high] = interval.copied().unwrap_or([incident.onset; 2]).map(ms);
            let end = incident.end_by_asn.get(asn).copied().or(incident.end).map(ms);
            let cut = Cut {
                cause,
                low,
                high,
                raised: ms(incident.detected_at),
                ended: end.map(|end| Cleared { end, at: end }),
                incident: Some(incident.id.clone()),
                returns: 0,
                is_channel: incident.verdict == Verdict::ControlChannelBlock,
            };
            self.presences.cuts.insert(Group::Family(family), cut);
        }
    }
}

/// A model score, not a probability: what a statement rests on decides it.
fn confidence(finding: &Finding) -> f64 {
    match (finding.verdict, finding.basis) {
        (Verdict::InsufficientData, _) => 0.5,
        (_, Some(Basis::Spool)) => 0.97,
        (Verdict::ControlChannelBlock, _) => 0.8,
        (_, Some(Basis::OutsideIn)) => 0.92,
        (_, Some(Basis::Silence)) => 0.7,
        (_, None) => 0.95,
    }
}
