//! From a statement to a published incident with revisions.
//!
//! A revision is made when what a reader acts on changes: the verdict, the status, the networks, the targets, the
//! end, a withdrawal, or a beginning that moves noticeably. Live, changes of detail are collected for five
//! seconds, so that a block that spreads over a country within a minute is not told in a hundred revisions.

use super::super::changepoint::Change;
use super::super::core::Core;
use super::super::store::{Ms, hash};
use super::super::world::FamilyNo;
use super::statement::Statement;
use faultline_model::{
    Asn, Basis, Incident, IncidentId, Reach, Revision, Status, Target, Timestamp, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

/// Live: details are collected for so long, while an incident is young and later.
const YOUNG_PACE_MS: Ms = 3_000;
const PACE_MS: Ms = 6_000;
/// Live: an incident is young for so long.
const YOUNG_MS: Ms = 60_000;
/// A beginning or an end that moves by less is no news.
const MOVE_MS: Ms = 30_000;

/// How the withdrawal of an incident that became part of another begins.
pub(super) const MERGED: &str = "withdrawn: it is part of incident ";

impl Core {
    /// Publishes a statement as a new incident or as the next revision of one. Returns the incident if anything
    /// was published.
    pub(in super::super) fn publish(
        &mut self,
        id: Option<IncidentId>,
        statement: &Statement,
    ) -> (IncidentId, Option<Incident>) {
        let former = id.as_ref().and_then(|id| self.incidents.published.get(id)).cloned();
        let id = id.unwrap_or_else(|| self.new_id(statement));
        let mut incident = self.write(&id, statement, former.as_ref());
        let changes = match &former {
            None => vec!["first published".to_owned()],
            Some(former) => self.changes(former, &incident, statement),
        };
        if changes.is_empty() {
            return (id, None);
        }
        if let Some(former) = &former
            && self.is_too_soon(&id, former, &incident)
        {
            return (id, None);
        }
        incident.revision = former.as_ref().map_or(1, |former| former.revision + 1);
        incident.revisions.push(revision(&incident, self.now, changes.join("; ")));
        let marks = self.incidents.marks.entry(id.clone()).or_default();
        marks.revised = self.now;
        marks.closed = incident.end.is_some().then(|| marks.closed.unwrap_or(self.now));
        self.incidents.published.insert(id.clone(), incident.clone());
        (id, Some(incident))
    }

    /// Withdraws an incident that turned out to be part of another; nothing if it is withdrawn already.
    pub(in super::super) fn withdraw_merged(
        &mut self,
        id: &IncidentId,
        into: &IncidentId,
    ) -> Option<Incident> {
        let mut incident = self.incidents.published.get(id).filter(|incident| !incident.retracted)?.clone();
        incident.retracted = true;
        incident.revision += 1;
        incident.end = incident.end.or(Some(Timestamp::from_unix_ms(self.now)));
        let change = format!("{MERGED}{into}");
        incident.evidence.insert(0, change.clone());
        incident.revisions.push(revision(&incident, self.now, change));
        let marks = self.incidents.marks.entry(id.clone()).or_default();
        *marks = super::Marks { revised: self.now, closed: Some(self.now), is_merged: true };
        self.incidents.published.insert(id.clone(), incident.clone());
        Some(incident)
    }

    fn write(&self, id: &IncidentId, statement: &Statement, former: Option<&Incident>) -> Incident {
        let asn = |family: &FamilyNo| self.world.families[*family].asn;
        let at = Timestamp::from_unix_ms;
        let targets: BTreeSet<Target> =
            statement.targets.iter().map(|target| self.world.targets[*target].target.clone()).collect();
        let asns: BTreeSet<Asn> = statement.families.iter().map(asn).collect();
        let onsets = |of: &dyn Fn(&Change) -> Ms| -> BTreeMap<Asn, Timestamp> {
            statement.onsets.iter().map(|(family, change)| (asn(family), at(of(change)))).collect()
        };
        let mut onset_by_asn = onsets(&Change::middle);
        let mut intervals: BTreeMap<Asn, [Timestamp; 2]> = statement
            .onsets
            .iter()
            .map(|(family, change)| (asn(family), [at(change.last_before), at(change.first_after)]))
            .collect();
        let total: usize = statement.mechanisms.values().sum();
        let part = |number: usize| round(super::count(number) / super::count(total.max(1)));
        let mut mechanisms: BTreeMap<String, f64> =
            statement.mechanisms.iter().map(|(class, number)| (class.to_string(), part(*number))).collect();
        let mut by_asn: BTreeMap<Asn, String> = statement
            .mechanism_by_family
            .iter()
            .map(|(family, class)| (asn(family), class.to_string()))
            .collect();
        if let Some(former) = former {
            keep_old(&mut onset_by_asn, &former.onset_by_asn, &asns);
            keep_old(&mut intervals, &former.onset_interval_by_asn, &asns);
            keep_old(&mut by_asn, &former.mechanism_by_asn, &asns);
            if mechanisms.is_empty() {
                mechanisms.clone_from(&former.mechanisms);
            }
        }
        let mut services = Vec::new();
        for target in &statement.targets {
            let service = &self.world.targets[*target].service;
            if !services.contains(service) {
                services.push(service.clone());
            }
        }
        services.sort();
        let onset = if statement.onsets.is_empty() {
            former.map_or_else(|| at(statement.onset), |former| former.onset)
        } else {
            at(statement.onset)
        };
        Incident {
            id: id.clone(),
            country: self.world.country,
            revision: 0,
            status: statement.status,
            verdict: statement.verdict,
            confidence: round(statement.confidence),
            headline: self.headline(statement, onset),
            services,
            targets: targets.into_iter().collect(),
            asns: asns.into_iter().collect(),
            agents: Vec::new(),
            onset,
            end: statement.end.map(at),
            onset_by_asn,
            end_by_asn: statement.ends.iter().map(|(family, end)| (asn(family), at(*end))).collect(),
            onset_interval_by_asn: intervals,
            detected_at: former.map_or_else(|| at(self.now), |former| former.detected_at),
            transit: statement.transit,
            basis: statement.basis,
            reach: statement.reach,
            retracted: statement.retraction.is_some(),
            mechanisms,
            mechanism_by_asn: by_asn,
            user_share: self.user_share(&statement.stances).map(round),
            evidence: statement.evidence.clone(),
            revisions: former.map_or_else(Vec::new, |former| former.revisions.clone()),
        }
    }

    /// Says in sentences what a reader would want to know about the difference.
    fn changes(&self, old: &Incident, new: &Incident, statement: &Statement) -> Vec<String> {
        let mut changes = Vec::new();
        if new.retracted != old.retracted {
            changes.push(match &statement.retraction {
                Some(reason) => format!("withdrawn: {reason}"),
                None => "no longer withdrawn: it is seen again".to_owned(),
            });
        }
        if new.verdict != old.verdict {
            changes.push(format!("from {} to {}", old.verdict, new.verdict));
        }
        if new.transit != old.transit {
            changes.push(match new.transit {
                Some(gateway) => {
                    format!("it is compatible with filtering at or behind {}", self.gateway_name(gateway))
                }
                None => "no gateway explains it any more".to_owned(),
            });
        }
        if new.basis != old.basis {
            changes.extend(basis_change(new.basis));
        }
        if let Some(reach) = new.reach.filter(|_| new.reach != old.reach) {
            changes.push(match reach {
                Reach::All => "everything could be reached".to_owned(),
                Reach::DomesticOnly => "sites inside the country can be reached".to_owned(),
                Reach::None => "nothing at all can be reached".to_owned(),
            });
        }
        if new.status != old.status && !new.retracted {
            changes.push(match new.status {
                Status::Confirmed => "confirmed".to_owned(),
                Status::Suspected => "only suspected".to_owned(),
            });
        }
        let name = |asn: &Asn| self.family_name(*asn);
        list_change(&mut changes, ("joins", "join"), &added(&old.asns, &new.asns, name));
        list_change(
            &mut changes,
            ("is no longer named", "are no longer named"),
            &added(&new.asns, &old.asns, name),
        );
        let host = |target: &Target| target.host().to_owned();
        list_change(&mut changes, ("fails too", "fail too"), &added(&old.targets, &new.targets, host));
        list_change(
            &mut changes,
            ("is no longer part", "are no longer part"),
            &added(&new.targets, &old.targets, host),
        );
        let ended: Vec<Asn> =
            new.end_by_asn.keys().filter(|asn| !old.end_by_asn.contains_key(asn)).copied().collect();
        if new.end.is_none() {
            list_change(
                &mut changes,
                ("works again", "work again"),
                &ended.iter().map(name).collect::<Vec<_>>(),
            );
        }
        match (old.end, new.end) {
            (None, Some(end)) => changes.push(format!("over since {}", self.local_time(end))),
            (Some(_), None) => changes.push("it began again".to_owned()),
            (Some(a), Some(b)) if moved(a, b) => {
                changes.push(format!("the end moves to {}", self.local_time(b)));
            }
            _ => {}
        }
        if moved(old.onset, new.onset) {
            changes.push(format!("the beginning moves to {}", self.local_time(new.onset)));
        }
        changes
    }

    /// Live: says whether only details changed, and too shortly after the last revision.
    fn is_too_soon(&mut self, id: &IncidentId, old: &Incident, new: &Incident) -> bool {
        let revised = self.incidents.marks.get(id).map_or(0, |marks| marks.revised);
        let is_detail = old.verdict == new.verdict
            && old.retracted == new.retracted
            && old.basis == new.basis
            && old.end.is_some() == new.end.is_some()
            && old.services.len() >= new.services.len()
            && old.status == new.status;
        let is_young = self.now - old.detected_at.unix_ms() < YOUNG_MS;
        let pace = if is_young { YOUNG_PACE_MS } else { PACE_MS };
        let is_too_soon = self.is_live() && is_detail && self.now - revised < pace;
        if is_too_soon {
            self.wake_at(revised + pace);
        }
        is_too_soon
    }

    /// Derives an id from what is first said, so that a replay gives the same.
    fn new_id(&self, statement: &Statement) -> IncidentId {
        let family = match statement.verdict {
            Verdict::TargetOutage | Verdict::GeoBlock => "target",
            Verdict::CoordinatorOutage => "own",
            Verdict::Throttling => "slow",
            Verdict::InsufficientData => "insufficient",
            Verdict::TechnicalFailure => "failure",
            _ if statement.targets.is_empty() => "cut",
            _ => "block",
        };
        let targets: BTreeSet<&str> =
            statement.targets.iter().map(|target| self.world.targets[*target].target.as_str()).collect();
        let text =
            format!("{} {family} {targets:?} {}", self.world.country, statement.onset.div_euclid(1000));
        for attempt in 0_u32.. {
            let high = hash(&format!("{attempt} {text}")).to_be_bytes();
            let low = hash(&format!("{text} {attempt}")).to_be_bytes();
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&high);
            bytes[8..].copy_from_slice(&low);
            let id = IncidentId::from_bytes(bytes);
            if !self.incidents.published.contains_key(&id) {
                return id;
            }
        }
        unreachable!("there are more attempts than incidents")
    }
}

/// Says what a statement about a silence rests on by now.
fn basis_change(basis: Option<Basis>) -> Option<String> {
    let text = match basis? {
        Basis::Silence => "it rests on silence alone",
        Basis::Spool => "it rests on what agents delivered afterwards",
        Basis::OutsideIn => "it rests on what controls see from outside",
    };
    Some(text.to_owned())
}

fn revision(incident: &Incident, now: Ms, change: String) -> Revision {
    Revision {
        revision: incident.revision,
        published_at: Timestamp::from_unix_ms(now),
        verdict: incident.verdict,
        status: incident.status,
        asns: incident.asns.clone(),
        targets: incident.targets.clone(),
        confidence: incident.confidence,
        end: incident.end,
        retracted: incident.retracted,
        change,
    }
}

/// Keeps what was known of networks that are still named but of which no result is at hand any more.
fn keep_old<T: Clone>(new: &mut BTreeMap<Asn, T>, old: &BTreeMap<Asn, T>, named: &BTreeSet<Asn>) {
    for (asn, value) in old {
        if named.contains(asn) {
            new.entry(*asn).or_insert_with(|| value.clone());
        }
    }
}

fn added<T: PartialEq>(old: &[T], new: &[T], name: impl Fn(&T) -> String) -> Vec<String> {
    new.iter().filter(|item| !old.contains(item)).map(name).collect()
}

fn list_change(changes: &mut Vec<String>, (one, many): (&str, &str), names: &[String]) {
    match names.len() {
        0 => {}
        1 => changes.push(format!("{} {one}", names[0])),
        _ => changes.push(format!("{} {many}", super::wording::list(names))),
    }
}

fn moved(old: Timestamp, new: Timestamp) -> bool {
    (old.unix_ms() - new.unix_ms()).abs() >= MOVE_MS
}

/// Rounds a score, so that the last bits of a sum never show.
fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
