//! Alarms on cells: quorum, false discovery control, selectivity and control (method 3.3).
//!
//! ```text
//! Quorum: in one window, or in the suspicion's stream: sum v >= 3, >= half of the agents with data,
//!         >= .34 of the agents active in 20 minutes; sum v >= 2 suffices where three other networks have
//!         ln E > 3 on the same target
//! Alarm:  e-BH over all N home cells, alpha = .01: reject the k largest with E_(k) >= N / (alpha k)
//!         (false discovery rate <= alpha under any dependence, given valid nulls)
//! ```
//! The way back is in `ends`.
//! Two gates of our own stand before an alarm. *Selectivity*: half of the failing agents reached something
//! unrelated after the first failure, canaries first; a dead line is no block. *Control*: a control succeeded
//! that started after the first failure; live, nothing is said about a site that nobody outside reached.

use super::anonymous::RETURNS;
use super::cells::{Alarm, Strength};
use super::changepoint::{self, Point, Turn};
use super::core::Core;
use super::evidence::{Reading, Votes, count};
use super::null::share;
use super::store::{Entry, Ms};
use super::world::{FamilyNo, Place, TargetNo};
use std::collections::{BTreeMap, BTreeSet};

/// The false discovery rate.
pub(super) const ALPHA: f64 = 0.01;
/// How far before an alarm its beginning is looked for.
const ONSET_REACH_MS: Ms = 4_200_000;
/// A cell that fails again within this time goes on with the same block.
pub(super) const REOPEN_MS: Ms = 1_800_000;
/// Live: a control's result is awaited so long before it is said that there is none.
const CONTROL_PATIENCE_MS: Ms = 60_000;
/// Live: agents, or failures with at most two of each, that must agree on timeouts.
const TIMEOUT_AGENTS: f64 = 4.0;
const TIMEOUT_FAILURES: usize = 5;
/// Live: active agents are counted this often, and when one comes back.
const COUNT_MS: Ms = 1_000;
/// Recorded data: results that a cell must have had before it failed, and the share that may have failed; more
/// while standing blocks are not known yet.
const FINE_BEFORE: (usize, f64) = (3, 0.35);
const FINE_BEFORE_WARM_UP: (usize, f64) = (8, 0.2);

impl Core {
    /// Reads every cell with recent failures, raises alarms and clears them.
    pub(super) fn update_alarms(&mut self) {
        self.count_active();
        self.read_cells();
        let rejected = self.rejected();
        let strong = if rejected.is_empty() { BTreeMap::new() } else { self.strong_families() };
        let (mut raised, mut uncontrolled) = (Vec::new(), Vec::new());
        for cell in &rejected {
            let cell = *cell;
            let Some(reading) = self.readings.get(cell) else { continue };
            if self.is_news(cell) && self.has_quorum(reading, &strong) {
                let since = reading.stream.map_or(reading.first_failure, |stream| stream.since);
                let control_since = self.control_since(reading.target, since);
                let is_controlled = self.store.is_control_fine(reading.target, control_since, self.now)
                    || self.is_fine_elsewhere(cell, control_since);
                if !self.is_selective(cell, since) {
                    continue;
                }
                if is_controlled {
                    raised.push(cell);
                } else if self.is_uncontrolled(cell, control_since) {
                    uncontrolled.push((cell, since));
                }
            }
        }
        for cell in raised {
            self.raise(cell);
        }
        for (cell, since) in uncontrolled {
            self.raise_weak(cell, since, Strength::Uncontrolled);
        }
        self.clear_alarms(&rejected);
    }

    /// Says whether no control measured a failing target although there was time enough.
    fn is_uncontrolled(&self, (family, target): (FamilyNo, TargetNo), since: Ms) -> bool {
        let patience = if self.is_live() { CONTROL_PATIENCE_MS } else { self.base_ms };
        !self.cells.has_open_alarm(family, target)
            && self.now - since >= patience
            && !self.store.has_control(target, since, self.now)
    }

    /// Counts the agents of each family with a result in the last 20 minutes.
    fn count_active(&mut self) {
        if self.is_live() && self.now - self.counted < COUNT_MS {
            return;
        }
        self.counted = self.now;
        let from = self.now - self.window_ms(2);
        let mut active = vec![Vec::new(); self.world.families.len()];
        for (number, agent) in self.store.agents.iter().enumerate() {
            if let Place::Home(family) = agent.place
                && agent.between(from, self.now).next().is_some()
            {
                active[family].push(number);
            }
        }
        let voices = |agents: &Vec<usize>| {
            agents.iter().map(|agent| self.store.agents[*agent].voice).collect::<BTreeSet<usize>>().len()
        };
        self.voices = active.iter().map(voices).collect();
        self.active = active;
    }

    /// Has the agents counted again when one delivers that was not active.
    pub(super) fn note_active(&mut self, agent: usize, place: Place) {
        if let Place::Home(family) = place
            && self.active.get(family).is_none_or(|active| active.binary_search(&agent).is_err())
        {
            self.counted = 0;
        }
    }

    /// Returns how many voices of a family were heard in the last 20 minutes: agents, of which those of one cohort
    /// are one.
    pub(super) fn active_in(&self, family: FamilyNo) -> usize {
        self.voices.get(family).copied().unwrap_or(0)
    }

    /// Returns the cells that e-BH rejects.
    fn rejected(&self) -> BTreeSet<(FamilyNo, TargetNo)> {
        // Nothing weaker can be rejected, however many there are.
        let mut order: Vec<&Reading> = self.readings.strong().collect();
        order.sort_by(|a, b| b.ln_e.total_cmp(&a.ln_e));
        let alone = self.alarm_threshold();
        let threshold = |k: usize| alone - count(k).ln();
        let kept = (1..=order.len()).rev().find(|k| order[k - 1].ln_e >= threshold(*k)).unwrap_or(0);
        order[..kept].iter().map(|reading| (reading.family, reading.target)).collect()
    }

    /// Returns what ln E of one cell alone must reach.
    pub(super) fn alarm_threshold(&self) -> f64 {
        (count(self.world.cell_count().max(1)) / ALPHA).ln()
    }

    /// Returns by target the families with strong evidence.
    fn strong_families(&self) -> BTreeMap<TargetNo, BTreeSet<FamilyNo>> {
        let mut strong: BTreeMap<TargetNo, BTreeSet<FamilyNo>> = BTreeMap::new();
        for reading in self.readings.strong() {
            strong.entry(reading.target).or_default().insert(reading.family);
        }
        for (family, target, _) in self.cells.alarms().filter(|(_, _, alarm)| alarm.is_open()) {
            if self.readings.get((family, target)).is_some() {
                strong.entry(target).or_default().insert(family);
            }
        }
        strong
    }

    fn has_quorum(&self, reading: &Reading, strong: &BTreeMap<TargetNo, BTreeSet<FamilyNo>>) -> bool {
        let siblings = strong
            .get(&reading.target)
            .map_or(0, |families| families.iter().filter(|family| **family != reading.family).count());
        let least = if siblings >= 3 { 2.0 } else { 3.0 };
        // Chance makes timeouts: one provider alone needs four agents, or three that were asked twice (method 4).
        if let Some(stream) = reading.stream.filter(|stream| stream.is_of_timeouts && siblings < 3)
            && stream.votes.bad < TIMEOUT_AGENTS
            && stream.failures < TIMEOUT_FAILURES
        {
            return false;
        }
        let active = count(self.active_in(reading.family));
        let suffices = |votes: &Votes| {
            votes.bad >= least && votes.bad >= 0.5 * count(votes.agents) && votes.bad >= 0.34 * active
        };
        reading.votes[..3].iter().any(suffices)
            || reading.bad_days >= RETURNS
            || reading.stream.is_some_and(|stream| suffices(&stream.votes))
    }

    /// Says whether an alarm on a cell would be news: no standing block, no open alarm, and, in recorded data,
    /// fine before it failed.
    fn is_news(&self, (family, target): (FamilyNo, TargetNo)) -> bool {
        let Some(cell) = self.cells.get(family, target) else { return false };
        // Nobody has a reason to block a canary; what fails there is a line, or the canary itself.
        if self.world.is_canary(target) {
            return false;
        }
        if cell.is_standing || self.open_strength(family, target) == Some(Strength::Firm) {
            return false;
        }
        if self.is_live() {
            return true;
        }
        let points = self.onset_points(family, target);
        let Some(change) = changepoint::find(&points, Turn::Onset) else { return false };
        let before: Vec<bool> = points
            .iter()
            .take_while(|point| point.start < change.first_after)
            .map(|point| point.is_bad)
            .collect();
        let (least, most) = if self.is_warm { FINE_BEFORE } else { FINE_BEFORE_WARM_UP };
        before.len() >= least && share(before.iter().copied()) <= most
    }

    /// Says whether half of the failing agents reach something unrelated: canaries, or other categories.
    pub(super) fn is_selective(&self, (family, target): (FamilyNo, TargetNo), since: Ms) -> bool {
        if self.is_anonymous() {
            return self.is_network_selective((family, target), since);
        }
        let entries = self.evidence_between(family, target, since, self.now);
        let mut failing: BTreeMap<usize, bool> = BTreeMap::new();
        for agent in failing_agents(&entries) {
            let voice = failing.entry(self.store.agents[agent].voice).or_default();
            *voice = *voice || self.is_witness(agent, target, since);
        }
        let witnesses = failing.values().filter(|is_witness| **is_witness).count();
        witnesses >= 1 && 2 * witnesses >= failing.len()
    }

    /// Says whether an agent reached something unrelated since a moment.
    pub(super) fn is_witness(&self, agent: usize, target: TargetNo, since: Ms) -> bool {
        let category = self.world.category(target);
        let (mut canaries, mut others) = (Vec::new(), Vec::new());
        for outcome in self.store.agents[agent].between(since, self.now) {
            if self.world.category(outcome.target) == category {
                continue;
            }
            if self.world.targets[outcome.target].domestic {
                continue;
            }
            let list = if self.world.is_canary(outcome.target) { &mut canaries } else { &mut others };
            list.push(outcome.class.is_anomaly());
        }
        let results = if canaries.is_empty() { others } else { canaries };
        !results.is_empty() && share(results.iter().copied()) < 0.5
    }

    fn raise(&mut self, (family, target): (FamilyNo, TargetNo)) {
        let Some(reading) = self.readings.get((family, target)) else { return };
        let first = reading.stream.map_or(reading.first_failure, |stream| stream.since);
        let change = changepoint::find(&self.onset_points(family, target), Turn::Onset);
        let onset = change.map_or(first, |change| change.middle());
        let (now, reopen) = (self.now, self.stretch(REOPEN_MS));
        self.note_alarm(family);
        match self.cells.alarm_mut(family, target) {
            Some(alarm) if alarm.is_open() => alarm.strength = Strength::Firm,
            Some(alarm) if alarm.cleared.is_some_and(|cleared| now - cleared.at <= reopen) => {
                alarm.cleared = None;
                alarm.strength = Strength::Firm;
                alarm.returns += 1;
            }
            _ => self.cells.set_alarm(family, target, Alarm::new(onset, now, Strength::Firm)),
        }
    }

    /// Returns the results in which a cell's beginning is looked for.
    pub(super) fn onset_points(&self, family: FamilyNo, target: TargetNo) -> Vec<Point> {
        let usual = self.now - self.stretch(ONSET_REACH_MS);
        let from = self.floor_of(family, target).max(self.onset_from((family, &[target]), usual));
        points(&self.evidence_between(family, target, from, self.now))
    }
}

/// Returns the agents most of whose results failed.
pub(super) fn failing_agents(entries: &[Entry]) -> BTreeSet<usize> {
    let mut tallies: BTreeMap<usize, i32> = BTreeMap::new();
    for entry in entries {
        *tallies.entry(entry.agent).or_default() += if entry.class.is_anomaly() { 1 } else { -1 };
    }
    tallies.into_iter().filter(|(_, tally)| *tally > 0).map(|(agent, _)| agent).collect()
}

/// Turns results into points of a change.
pub(super) fn points(entries: &[Entry]) -> Vec<Point> {
    let point =
        |entry: &Entry| Point { start: entry.start, agent: entry.voice, is_bad: entry.class.is_anomaly() };
    entries.iter().map(point).collect()
}
