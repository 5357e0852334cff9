//! Networks whose agents are connected while nothing abroad works for them (method 3.4, "dead").
//!
//! ```text
//! neutral targets: canaries and culture served abroad, the most damaged one left out
//! Lambda_a = clip( sum of lambda, -4, 4 ),  lambda = ln(.93/p0) for a failure, ln(.07/(1 - p0)) for a success,
//!            p0 = max(.22, 1.5 hist + .05)
//! alarm: votes >= 60 % of the active agents and at least two, three active agents, e-BH at one percent over networks
//! ```
//! A gate of our own: of everything else that the agents try abroad, six in seven fail as well; a line that carries a part of it is degraded, not dead. Sites inside the
//! country take no part: whether they work tells how far people still reach.

use super::super::cells::Cleared;
use super::super::changepoint::{self, Point, Turn};
use super::super::core::Core;
use super::super::evidence::{count, vote};
use super::super::null::share;
use super::super::store::{Entry, Ms};
use super::super::world::{FamilyNo, TargetNo};
use super::{Cause, Group};
use std::collections::BTreeMap;

const FAILS: f64 = 0.93;
const LEAST_NULL: f64 = 0.22;
const CAP: f64 = 4.0;
const VOTES: f64 = 0.6;
const LEAST_ACTIVE: usize = 3;
/// Of everything else so much must fail.
const REST_FAILS: f64 = 0.85;
/// Live: windows, of which each has an equal part of the evidence.
const LIVE_WINDOWS_MS: [Ms; 4] = [60_000, 120_000, 240_000, 840_000];
/// Recorded data: the one window.
const WINDOW_MS: Ms = 840_000;
/// Live: how often everything is looked at.
const PACE_MS: Ms = 1_000;
/// How far back the beginning is looked for.
const ONSET_REACH_MS: Ms = 4_200_000;
/// Live: the time over which agents must agree that it is over.
const LIVE_END_MS: Ms = 90_000;
const END_MS: Ms = 600_000;

impl Core {
    /// Finds networks that go dead and come back.
    pub(in super::super) fn update_dead(&mut self) {
        if self.is_live() && self.now - self.presences.dead_looked < PACE_MS {
            return;
        }
        self.presences.dead_looked = self.now;
        self.end_dead();
        let neutral: Vec<TargetNo> =
            (0..self.world.targets.len()).filter(|target| self.world.is_neutral(*target)).collect();
        let heard: Vec<FamilyNo> = self.world.heard().collect();
        let mut order: Vec<(f64, FamilyNo)> = Vec::new();
        for family in &heard {
            let ln_e = self.read_dead(*family, &neutral);
            order.extend(ln_e.map(|ln_e| (ln_e, *family)));
        }
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let threshold = (count(heard.len().max(1)) / super::super::alarm::ALPHA).ln();
        let kept = (1..=order.len()).rev().find(|k| order[k - 1].0 >= threshold - count(*k).ln());
        for (_, family) in order.into_iter().take(kept.unwrap_or(0)) {
            let span = self.dead_since(family);
            self.raise_cut(Group::Family(family), Cause::Dead, span);
        }
    }

    /// Returns ln of the e-value of a network being dead; nothing where its agents do not agree.
    fn read_dead(&self, family: FamilyNo, neutral: &[TargetNo]) -> Option<f64> {
        let active = self.active_in(family);
        let recent = self.now - WINDOW_MS;
        let is_recent =
            |target: &&TargetNo| self.cells.get(family, **target).is_some_and(|cell| cell.last_bad >= recent);
        if active < LEAST_ACTIVE || neutral.iter().filter(is_recent).count() < 2.min(neutral.len()) {
            return None;
        }
        if self.presences.cuts.get(&Group::Family(family)).is_some_and(super::Cut::is_open) {
            return None;
        }
        let windows: &[Ms] = if self.is_live() { &LIVE_WINDOWS_MS } else { &[WINDOW_MS] };
        if !self.is_mostly_failing(family, windows) {
            return None;
        }
        let (mut mean, mut agree) = (0.0, false);
        for window in windows {
            let from = self.now - window;
            let rows = self.spared(family, neutral, from);
            let votes = vote(&rows.iter().map(|(_, entry)| *entry).collect::<Vec<Entry>>());
            let (cut, back) = self.cut_span(family);
            let mut all = self.foreign(family, from, self.now);
            all.retain(|entry| !(cut..=back).contains(&entry.start));
            agree |= votes.bad >= 2.0
                && votes.bad >= VOTES * count(active)
                && share(all.iter().map(|entry| entry.class.is_anomaly())) >= REST_FAILS;
            mean += self.dead_evidence(family, &rows).exp();
        }
        agree.then(|| (mean / count(windows.len())).ln())
    }

    /// Says whether in any of these windows so much fails that a network may be dead; of most there is no need to know
    /// more.
    fn is_mostly_failing(&self, family: FamilyNo, windows: &[Ms]) -> bool {
        let (cut, back) = self.cut_span(family);
        let longest = windows.iter().copied().max().unwrap_or(WINDOW_MS);
        let mut counts = vec![(0_usize, 0_usize); windows.len()];
        for target in 0..self.world.targets.len() {
            if self.world.targets[target].domestic || self.is_standing(family, target) {
                continue;
            }
            for entry in self.store.cell(family, target).between(self.now - longest, self.now) {
                if (cut..=back).contains(&entry.start) {
                    continue;
                }
                for ((bad, all), window) in counts.iter_mut().zip(windows) {
                    let is_in = entry.start >= self.now - window;
                    *all += usize::from(is_in);
                    *bad += usize::from(is_in && entry.class.is_anomaly());
                }
            }
        }
        counts.into_iter().any(|(bad, all)| bad > 0 && count(bad) >= REST_FAILS * count(all))
    }

    /// Returns a network's results on neutral targets without the most damaged one: one site must not look like a line.
    fn spared(&self, family: FamilyNo, neutral: &[TargetNo], from: Ms) -> Vec<(TargetNo, Entry)> {
        // What agents deliver of a cut that is known already is no second one.
        let (cut, back) = self.cut_span(family);
        let mut rows: Vec<(TargetNo, Entry)> = Vec::new();
        let mut worst: Option<(f64, TargetNo)> = None;
        for target in neutral {
            let entries = self.store.cell(family, *target).between(from, self.now).iter();
            let entries: Vec<Entry> =
                entries.filter(|entry| !(cut..=back).contains(&entry.start)).copied().collect();
            let bad = share(entries.iter().map(|entry| entry.class.is_anomaly()));
            if !entries.is_empty() && worst.is_none_or(|(known, _)| bad > known) {
                worst = Some((bad, *target));
            }
            rows.extend(entries.iter().map(|entry| (*target, *entry)));
        }
        let measured: std::collections::BTreeSet<TargetNo> = rows.iter().map(|(target, _)| *target).collect();
        if let Some((_, worst)) = worst.filter(|_| measured.len() >= 3) {
            rows.retain(|(target, _)| *target != worst);
        }
        rows
    }

    fn dead_evidence(&self, family: FamilyNo, rows: &[(TargetNo, Entry)]) -> f64 {
        let mut agents: BTreeMap<usize, f64> = BTreeMap::new();
        for (target, entry) in rows {
            let p0 = (1.5 * self.history_rate(family, *target, entry.start) + 0.05).clamp(LEAST_NULL, 0.9);
            let ratio = if entry.class.is_anomaly() { FAILS / p0 } else { (1.0 - FAILS) / (1.0 - p0) };
            *agents.entry(entry.voice).or_default() += ratio.ln();
        }
        let price = (-CAP).exp().ln_1p();
        agents.values().map(|sum| sum.clamp(-CAP, CAP) - price).sum()
    }

    /// Returns a network's results on everything that is served abroad, in the order of their starts.
    pub(in super::super) fn foreign(&self, family: FamilyNo, from: Ms, to: Ms) -> Vec<Entry> {
        self.results_on(family, (from, to), |target| !self.world.targets[target].domestic)
    }

    /// Returns a network's results on canaries inside the country.
    pub(in super::super) fn domestic(&self, family: FamilyNo, from: Ms, to: Ms) -> Vec<Entry> {
        let is_domestic =
            |target: TargetNo| self.world.targets[target].domestic && self.world.is_canary(target);
        self.results_on(family, (from, to), is_domestic)
    }

    fn results_on(
        &self,
        family: FamilyNo,
        (from, to): (Ms, Ms),
        wanted: impl Fn(TargetNo) -> bool,
    ) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let targets = (0..self.world.targets.len())
            .filter(|target| wanted(*target) && !self.is_standing(family, *target));
        for target in targets {
            entries.extend(self.store.cell(family, target).between(from, to));
        }
        entries.sort_by_key(|entry| (entry.start, entry.key));
        entries
    }

    fn dead_since(&self, family: FamilyNo) -> (Ms, Ms) {
        let entries = self.foreign(family, self.now - ONSET_REACH_MS, self.now);
        let change = changepoint::find(&as_points(&entries), Turn::Onset);
        change.map_or((self.now, self.now), |change| (change.last_before, change.first_after))
    }

    fn end_dead(&mut self) {
        let reach = if self.is_live() { LIVE_END_MS } else { END_MS };
        let mut ends = Vec::new();
        for (group, cut) in &self.presences.cuts {
            let Group::Family(family) = group else { continue };
            if !cut.is_open() || cut.cause != Cause::Dead {
                continue;
            }
            let votes = vote(&self.foreign(*family, (self.now - reach).max(cut.high), self.now));
            if votes.agents >= 2 && votes.is_clear() {
                let entries = self.foreign(*family, cut.high, self.now);
                let change = changepoint::find(&as_points(&entries), Turn::End);
                ends.push((group.clone(), change.map_or(self.now, |change| change.middle())));
            }
        }
        let at = self.now;
        for (group, end) in ends {
            if let Some(cut) = self.presences.cuts.get_mut(&group) {
                cut.ended = Some(Cleared { end: end.max(cut.high), at });
            }
        }
    }
}

/// Turns results into points of a change.
pub(super) fn as_points(entries: &[Entry]) -> Vec<Point> {
    super::super::alarm::points(entries)
}
