//! Networks on which everything suffers and nothing is singled out (method 3.4, "degraded").
//!
//! ```text
//! neutral targets: canaries and culture served abroad, the most damaged one left out
//! lambda(i) = ln(p1/p0) for a failure, ln((1 - p1)/(1 - p0)) for a success, p1 = p0 + .31
//! p0        = clip( max(1.6 hist + .04, 1.2 own + .03), .11, .6 )
//!             hist: the network's usual rate at this hour, or its past on neutral targets
//!             own:  the agent's rate over the hours before
//! Lambda_a  = clip( sum over 30 minutes, -4, 4 );  a vote is a Lambda above 0
//! alarm: votes >= 60 % of the agents with results and >= 2, three agents, e-BH at one percent over networks
//! ```
//! A network that is off altogether is told as that (`presence`), and cells with a block of their own take no part. One
//! network must suffer for an hour before it is said, two together for twenty minutes: a line that dies is found out
//! before that.

mod tell;

use super::cells::{Alarm, Cleared, Strength};
use super::changepoint::{self, Turn};
use super::core::Core;
use super::evidence::count;
use super::null::share;
use super::presence::{Cause, Group};
use super::store::{Entry, Ms};
use super::world::{FamilyNo, TargetNo};
use std::collections::BTreeMap;

const WINDOW_MS: Ms = 1_800_000;
const RISE: f64 = 0.31;
const NULL: (f64, f64) = (0.11, 0.6);
const HISTORY: (f64, f64) = (1.6, 0.04);
const OWN: (f64, f64) = (1.2, 0.03);
const CAP: f64 = 4.0;
const VOTES: f64 = 0.6;
const CLEAR_VOTES: f64 = 0.35;
const LEAST_AGENTS: usize = 3;
const SIBLING_LN_E: f64 = 3.0;
/// An agent's own rate is learnt over so long, until so long ago.
const OWN_REACH_MS: Ms = 6 * 3_600_000;
const OWN_UNTIL_MS: Ms = 3_600_000;
const OWN_WEIGHT: f64 = 10.0;
const PRIOR_RATE: f64 = 0.03;
const ONSET_REACH_MS: Ms = 3 * 3_600_000;
const REOPEN_MS: Ms = 1_800_000;
const FORGET_MS: Ms = 2 * 3_600_000;
/// Live: how often it is looked at.
const PACE_MS: Ms = 15_000;

/// Networks that suffer, or did a moment ago.
#[derive(Debug, Default)]
pub(super) struct Degraded {
    pub(super) alarms: BTreeMap<FamilyNo, Alarm>,
    looked: Ms,
}

/// What the neutral results of a network say.
#[derive(Clone, Copy, Debug)]
struct Reading {
    family: FamilyNo,
    ln_e: f64,
    votes: usize,
    agents: usize,
}

impl Core {
    /// Finds networks that suffer and those that recovered.
    pub(super) fn update_degraded(&mut self) {
        if self.is_anonymous() || (self.is_live() && self.now - self.degraded.looked < PACE_MS) {
            return;
        }
        self.degraded.looked = self.now;
        let neutral: Vec<TargetNo> =
            (0..self.world.targets.len()).filter(|target| self.world.is_neutral(*target)).collect();
        if neutral.len() < 2 {
            return;
        }
        let heard: Vec<FamilyNo> = self.world.heard().collect();
        let mut readings: Vec<Reading> =
            heard.iter().filter_map(|family| self.read_degraded(*family, &neutral)).collect();
        self.clear_degraded(&readings);
        readings.sort_by(|a, b| b.ln_e.total_cmp(&a.ln_e).then(a.family.cmp(&b.family)));
        let threshold = (count(heard.len().max(1)) / super::alarm::ALPHA).ln();
        let kept = (1..=readings.len()).rev().find(|k| readings[k - 1].ln_e >= threshold - count(*k).ln());
        let open = self.degraded.alarms.iter().filter(|(_, alarm)| alarm.is_open()).count();
        let kept = kept.unwrap_or(0);
        for (place, reading) in readings.into_iter().enumerate() {
            // Beside a network that suffers, less is needed: cables carry several.
            if place >= kept && (open == 0 || reading.ln_e < SIBLING_LN_E) {
                continue;
            }
            if self.degraded.alarms.get(&reading.family).is_some_and(Alarm::is_open) {
                continue;
            }
            let is_agreed = reading.votes >= 2
                && count(reading.votes) >= VOTES * count(reading.agents.max(self.active_in(reading.family)));
            if is_agreed && reading.agents >= LEAST_AGENTS {
                self.raise_degraded(reading.family, &neutral);
            }
        }
    }

    /// Says whether a network is known to be off around now: then it is no matter of quality.
    fn is_off(&self, family: FamilyNo) -> bool {
        let cuts = [Group::Family(family), Group::Country];
        cuts.iter()
            .filter_map(|group| self.presences.cuts.get(group))
            .any(|cut| !cut.is_channel && (cut.is_open() || cut.until(self.now) > self.now - WINDOW_MS))
    }

    fn read_degraded(&self, family: FamilyNo, neutral: &[TargetNo]) -> Option<Reading> {
        if self.active_in(family) < LEAST_AGENTS || self.is_off(family) {
            return None;
        }
        let from = self.now - WINDOW_MS;
        let is_known = self.degraded.alarms.get(&family).is_some_and(Alarm::is_open);
        let is_recent =
            |target: &&TargetNo| self.cells.get(family, **target).is_some_and(|cell| cell.last_bad >= from);
        if !is_known && neutral.iter().filter(is_recent).count() < 2 {
            return None;
        }
        let entries = self.neutral_entries(family, neutral, (from, self.now));
        let usual = self.usual_neutral(family, neutral);
        let mut agents: BTreeMap<usize, f64> = BTreeMap::new();
        let mut nulls: BTreeMap<usize, f64> = BTreeMap::new();
        for entry in &entries {
            let p0 = *nulls.entry(entry.agent).or_insert_with(|| {
                let own = OWN.0 * self.own_rate(entry.agent, neutral) + OWN.1;
                (HISTORY.0 * usual + HISTORY.1).max(own).clamp(NULL.0, NULL.1)
            });
            let p1 = p0 + RISE;
            let ratio = if entry.class.is_anomaly() { p1 / p0 } else { (1.0 - p1) / (1.0 - p0) };
            *agents.entry(entry.voice).or_default() += ratio.ln();
        }
        let price = (-CAP).exp().ln_1p();
        Some(Reading {
            family,
            ln_e: agents.values().map(|sum| sum.clamp(-CAP, CAP) - price).sum(),
            votes: agents.values().filter(|sum| **sum > 0.0).count(),
            agents: agents.len(),
        })
    }

    /// Returns a network's results on neutral targets without the most damaged one, in the order of their starts.
    fn neutral_entries(&self, family: FamilyNo, neutral: &[TargetNo], (from, to): (Ms, Ms)) -> Vec<Entry> {
        let mut rows: Vec<(f64, Vec<Entry>)> = Vec::new();
        for target in neutral.iter().filter(|target| !self.is_standing(family, **target)) {
            if self.cells.has_open_alarm(family, *target) {
                continue;
            }
            let entries = self.store.cell(family, *target).between(from, to);
            let own: Vec<Entry> = entries
                .iter()
                .filter(|entry| !self.store.is_excused(*target, entry.start))
                .copied()
                .collect();
            if !own.is_empty() {
                rows.push((share(own.iter().map(|entry| entry.class.is_anomaly())), own));
            }
        }
        if rows.len() >= 2 {
            let worst = (0..rows.len()).max_by(|a, b| rows[*a].0.total_cmp(&rows[*b].0)).unwrap_or(0);
            rows.remove(worst);
        }
        let mut entries: Vec<Entry> = rows.into_iter().flat_map(|(_, own)| own).collect();
        entries.sort_by_key(|entry| (entry.start, entry.key));
        entries
    }

    fn usual_neutral(&self, family: FamilyNo, neutral: &[TargetNo]) -> f64 {
        let (mut bad, mut all) = (PRIOR_RATE * 30.0, 30.0);
        for target in neutral {
            let past = self.cells.past(family, *target);
            (bad, all) = (bad + past.anomalies, all + past.results);
        }
        self.usual_rate(family, self.now).max(bad / all)
    }

    fn own_rate(&self, agent: usize, neutral: &[TargetNo]) -> f64 {
        let (mut bad, mut all) = (PRIOR_RATE * OWN_WEIGHT, OWN_WEIGHT);
        let family = match self.store.agents[agent].place {
            super::world::Place::Home(family) => Some(family),
            _ => None,
        };
        // While its network suffers, what it saw since says nothing of its own line.
        let since =
            family.and_then(|family| self.degraded.alarms.get(&family)).filter(|alarm| alarm.is_open());
        let until = since.map_or(self.now - OWN_UNTIL_MS, |alarm| alarm.onset.min(self.now - OWN_UNTIL_MS));
        for outcome in self.store.agents[agent].between(until - OWN_REACH_MS, until) {
            if neutral.contains(&outcome.target) {
                (bad, all) = (bad + f64::from(u8::from(outcome.class.is_anomaly())), all + 1.0);
            }
        }
        bad / all
    }

    fn raise_degraded(&mut self, family: FamilyNo, neutral: &[TargetNo]) {
        let known = self.degraded.alarms.get(&family);
        if known.is_some_and(Alarm::is_open) {
            return;
        }
        let floor = known.and_then(|alarm| alarm.cleared).map_or(Ms::MIN / 2, |cleared| cleared.end);
        let span = (floor.max(self.now - ONSET_REACH_MS), self.now);
        let points = super::alarm::points(&self.neutral_entries(family, neutral, span));
        let onset = changepoint::find(&points, Turn::Onset).map_or(self.now, |change| change.middle());
        let now = self.now;
        self.cells.note_change();
        match self.degraded.alarms.get_mut(&family) {
            Some(alarm) if alarm.cleared.is_some_and(|cleared| now - cleared.at <= REOPEN_MS) => {
                alarm.cleared = None;
                alarm.returns += 1;
            }
            _ => {
                self.degraded.alarms.insert(family, Alarm::new(onset, now, Strength::Firm));
            }
        }
    }

    fn clear_degraded(&mut self, readings: &[Reading]) {
        let open = self.degraded.alarms.iter().filter(|(_, alarm)| alarm.is_open());
        let mut ends: Vec<(FamilyNo, Ms)> = Vec::new();
        let mut dead = Vec::new();
        for (family, alarm) in open {
            let reading = readings.iter().find(|reading| reading.family == *family);
            let is_over = |reading: &Reading| {
                reading.agents >= 2 && count(reading.votes) <= CLEAR_VOTES * count(reading.agents)
            };
            if reading.is_some_and(is_over) {
                let neutral = self.foreign(*family, alarm.onset, self.now);
                let change = changepoint::find(&super::alarm::points(&neutral), Turn::End);
                ends.push((*family, change.map_or(self.now, |change| change.middle())));
            } else if let Some(cut) = self.presences.cuts.get(&Group::Family(*family))
                && cut.cause == Cause::Dead
                && (cut.low - alarm.onset).abs() <= WINDOW_MS
            {
                dead.push(*family);
            }
        }
        let now = self.now;
        for (family, end) in ends {
            self.cells.note_change();
            if let Some(alarm) = self.degraded.alarms.get_mut(&family) {
                alarm.cleared = Some(Cleared { end: end.max(alarm.onset), at: now });
            }
        }
        // What turned out to be off from the beginning is told as that.
        let open = super::slow::open_incidents(self.degraded.alarms.values());
        self.degraded.alarms.retain(|family, alarm| {
            let is_part = alarm.incident.as_ref().is_some_and(|id| open.contains(id));
            !(dead.contains(family) && alarm.incident.is_none())
                && (is_part || alarm.cleared.is_none_or(|cleared| now - cleared.at <= FORGET_MS))
        });
    }
}
