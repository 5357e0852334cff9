//! Throttling: downloads that are slow beside what the same line fetched right after them (method 3.4).
//!
//! ```text
//! lambda(i) = slow: ln(.85 / p0)    not slow: ln(.15 / (1 - p0))
//! p0        = max( 1.6 hist_throttled(family, hour) + .02,
//!                  the network's slow share on downloads of other categories in the last hour,
//!                  the agent's own share on them )
//! Lambda_a  = clip( sum of lambda over the agent's downloads in the window, -2.4, 3.5 )
//! E         = mean over windows of 20, 40 and 60 minutes of e^( sum of [ Lambda_a - ln(1 + e^-2.4) ] )
//! alarm: votes >= 3 and >= half of the agents with downloads, e-BH at one percent over the cells with downloads
//! ```
//! Evening congestion slows the other downloads too and raises the null of exactly the lines that it spoils. The
//! network's share is a mean over agents, so that one that floods us is one voice. A download that failed says
//! nothing here: whether a target is reached is the chain's to tell.
//!
//! Downloads are rarer than light checks by an order of magnitude; live, the first slow one asks others (`ask`).

mod ask;
mod tell;

use super::cells::{Alarm, Cleared, Strength};
use super::changepoint::{self, Point, Turn};
use super::core::Core;
use super::evidence::{Votes, count};
use super::ms;
use super::null::share;
use super::store::{Ms, hash};
use super::world::{FamilyNo, Place, TargetNo};
use faultline_model::{Class, IncidentId, Record, Why};
use std::collections::{BTreeMap, BTreeSet};

const WINDOWS_MS: [Ms; 3] = [1_200_000, 2_400_000, 3_600_000];
const SLOW_RATE: f64 = 0.85;
const CAP_FOR: f64 = 3.5;
const CAP_AGAINST: f64 = 2.4;
/// Downloads that need not be explained: the rate of ordinary days is multiplied and lifted by these.
const HISTORY_FACTOR: f64 = 1.6;
const HISTORY_LIFT: f64 = 0.02;
/// The rate and weight of somebody of whom no download of other categories is known.
const PRIOR_RATE: f64 = 0.03;
/// Siblings with this much evidence lower the quorum from three votes to two.
const SIBLING_LN_E: f64 = 3.0;
const CLEAR_SHARE: f64 = 0.35;
/// How far back a beginning is looked for.
const ONSET_REACH_MS: Ms = 4 * 3_600_000;
/// Recorded data: downloads that a cell must have had before it slowed, and the share that may have been slow.
const FINE_BEFORE: (usize, f64) = (3, 0.35);
/// Recorded data: the time over which agents must agree that it is over.
const END_MS: Ms = 2_700_000;
/// Live: agents that must agree on it.
const END_AGENTS: usize = 3;
/// A cell that slows again within this time goes on with the same incident, and is forgotten after the other.
const REOPEN_MS: Ms = 3_600_000;
const FORGET_MS: Ms = 2 * 3_600_000;
/// Downloads are kept so long.
const KEPT_MS: Ms = 12 * 3_600_000;
/// Live: nothing changes faster than this while no download comes in.
const PACE_MS: Ms = 30_000;
/// Of agents outside the country so many must be slow too for the site to be what is slow.
const OUTSIDE_LEAST: f64 = 2.0;

/// One download.
#[derive(Clone, Copy, Debug)]
struct Download {
    /// Start by the agent's clock.
    raw: Ms,
    received: Ms,
    key: u64,
    agent: usize,
    is_slow: bool,
    asked: bool,
}

/// A download with its corrected start.
#[derive(Clone, Copy, Debug)]
struct Sample {
    start: Ms,
    agent: usize,
    /// Whose vote it is.
    voice: usize,
    is_slow: bool,
    asked: bool,
}

/// What is known of downloads.
#[derive(Debug, Default)]
pub(super) struct Slow {
    /// By target, in the order of receipt.
    downloads: Vec<Vec<Download>>,
    /// Cells that are slowed, or were a moment ago.
    pub(super) alarms: BTreeMap<(FamilyNo, TargetNo), Alarm>,
    /// Live: what was asked, and when.
    asked: BTreeMap<(FamilyNo, TargetNo), Ms>,
    evidence: BTreeMap<(FamilyNo, TargetNo), f64>,
    looked: Ms,
    is_fresh: bool,
}

/// Downloads by target and family.
type Hour = BTreeMap<(TargetNo, FamilyNo), Vec<Sample>>;

/// What a cell's downloads say.
#[derive(Clone, Copy, Debug)]
struct Reading {
    cell: (FamilyNo, TargetNo),
    ln_e: f64,
    votes: [Votes; 3],
}

impl Core {
    /// Takes a paired download.
    pub(super) fn take_download(&mut self, record: &Record) {
        let is_slow = match record.class {
            Class::Throttled => true,
            Class::Ok => false,
            _ => return,
        };
        let Some(place) = self.world.place_of(record) else { return };
        let received = ms(record.received_at);
        self.hear_upload(&record.agent, record.asn, received);
        let Some(target) = self.world.target_of(record) else { return };
        if let Place::Home(family) = place {
            self.world.families[family].is_heard = true;
        }
        if record.control_ok == Some(false) {
            return;
        }
        let agent = self.store.agent(&record.agent, record.asn, place);
        let slow = &mut self.slow;
        if slow.downloads.len() <= target {
            slow.downloads.resize_with(target + 1, Vec::new);
        }
        let download = Download {
            raw: ms(record.started_at),
            received,
            key: hash(record.id.as_str()),
            agent,
            is_slow,
            asked: record.why == Why::Confirmation,
        };
        let row = &mut slow.downloads[target];
        let at = row.partition_point(|other| (other.received, other.key) < (received, download.key));
        row.insert(at, download);
        slow.is_fresh = true;
    }

    /// Reads every target with slow downloads, raises alarms and clears them.
    pub(super) fn update_slow(&mut self) {
        let is_due = self.slow.is_fresh || self.now - self.slow.looked >= PACE_MS;
        if self.slow.downloads.is_empty() || (self.is_live() && !is_due) {
            return;
        }
        (self.slow.looked, self.slow.is_fresh) = (self.now, false);
        self.clear_slow();
        let mut readings = Vec::new();
        let hour = self.last_hour();
        let mut nulls = BTreeMap::new();
        for target in 0..self.slow.downloads.len() {
            let is_named = !self.world.is_canary(target) && !self.incidents.is_down(target);
            if is_named && self.has_slow(target) && !self.is_slow_outside(target) {
                self.read_target((target, &hour), &mut nulls, &mut readings);
            }
        }
        readings.sort_by(|a: &Reading, b| b.ln_e.total_cmp(&a.ln_e).then(a.cell.cmp(&b.cell)));
        let measured = self.slow.downloads.iter().filter(|row| !row.is_empty()).count();
        let cells = count((measured * self.world.heard().count()).max(1));
        let threshold = (cells / super::alarm::ALPHA).ln();
        let kept = (1..=readings.len()).rev().find(|k| readings[k - 1].ln_e >= threshold - count(*k).ln());
        self.slow.evidence = readings.iter().map(|reading| (reading.cell, reading.ln_e)).collect();
        let strong: BTreeSet<(FamilyNo, TargetNo)> = readings
            .iter()
            .filter(|reading| reading.ln_e > SIBLING_LN_E)
            .map(|reading| reading.cell)
            .collect();
        let rejected: Vec<Reading> = readings.into_iter().take(kept.unwrap_or(0)).collect();
        for reading in rejected {
            let (family, target) = reading.cell;
            let siblings = strong.iter().filter(|(f, t)| *t == target && *f != family).count();
            let least = if siblings >= 3 { 2.0 } else { 3.0 };
            let suffices = |votes: &Votes| votes.bad >= least && votes.bad >= 0.5 * count(votes.agents);
            if reading.votes.iter().any(suffices) {
                self.raise_slow(reading.cell);
            }
        }
    }

    /// Forgets old downloads, once an hour.
    pub(super) fn forget_slow(&mut self) {
        let before = self.now - KEPT_MS;
        for row in &mut self.slow.downloads {
            let old = row.partition_point(|download| download.received < before);
            row.drain(..old);
        }
    }

    /// Returns a target's downloads by agents of some place that started in a span, in the order of their starts.
    fn samples(&self, target: TargetNo, (from, to): (Ms, Ms), wanted: impl Fn(Place) -> bool) -> Vec<Sample> {
        let Some(row) = self.slow.downloads.get(target) else { return Vec::new() };
        // Nothing is received before it starts.
        let first = row.partition_point(|download| download.received < from);
        let own = row[first..].iter().filter(|download| wanted(self.store.agents[download.agent].place));
        let mut samples: Vec<(Ms, u64, Sample)> = own
            .map(|download| {
                let offset = self.store.agents[download.agent].offset();
                let start = (download.raw + offset).min(download.received);
                let Download { agent, is_slow, asked, .. } = *download;
                let voice = self.store.agents[agent].voice;
                (start, download.key, Sample { start, agent, voice, is_slow, asked })
            })
            .filter(|(start, _, _)| *start >= from && *start <= to)
            .collect();
        samples.sort_by_key(|(start, key, _)| (*start, *key));
        samples.into_iter().map(|(_, _, sample)| sample).collect()
    }

    /// Returns the last hour's downloads of every home network.
    fn last_hour(&self) -> Hour {
        let mut hour = Hour::new();
        for target in 0..self.slow.downloads.len() {
            let span = (self.now - WINDOWS_MS[2], self.now);
            for sample in self.samples(target, span, |place| matches!(place, Place::Home(_))) {
                if let Place::Home(family) = self.store.agents[sample.agent].place {
                    hour.entry((target, family)).or_default().push(sample);
                }
            }
        }
        hour
    }

    fn samples_of(&self, (family, target): (FamilyNo, TargetNo), span: (Ms, Ms)) -> Vec<Sample> {
        self.samples(target, span, |place| place == Place::Home(family))
    }

    fn has_slow(&self, target: TargetNo) -> bool {
        let from = self.now - WINDOWS_MS[2];
        let row = &self.slow.downloads[target];
        row[row.partition_point(|download| download.received < from)..]
            .iter()
            .any(|download| download.is_slow)
    }

    /// Says whether agents outside the country are slowed as well: then it is the site.
    fn is_slow_outside(&self, target: TargetNo) -> bool {
        let outside = |place| !matches!(place, Place::Home(_));
        let votes = vote(&self.samples(target, (self.now - WINDOWS_MS[2], self.now), outside));
        votes.bad >= OUTSIDE_LEAST && votes.bad >= 0.5 * count(votes.agents)
    }

    fn read_target(
        &self,
        (target, hour): (TargetNo, &Hour),
        nulls: &mut BTreeMap<(FamilyNo, usize), Null>,
        readings: &mut Vec<Reading>,
    ) {
        let category = self.world.category(target);
        for ((_, family), samples) in hour.range((target, 0)..=(target, FamilyNo::MAX)) {
            let family = *family;
            if samples.iter().all(|sample| !sample.is_slow) {
                continue;
            }
            let null =
                nulls.entry((family, category)).or_insert_with(|| self.slow_null(family, category, hour));
            let usual = HISTORY_FACTOR * self.usual_slow(family) + HISTORY_LIFT;
            let p0 = |agent: usize| {
                let own = null.agents.get(&agent).copied().unwrap_or(PRIOR_RATE);
                usual.max(null.network).max(own).clamp(0.01, 0.97)
            };
            let (mut mean, mut votes) = (0.0, [Votes::default(); 3]);
            for (window, votes) in WINDOWS_MS.iter().zip(&mut votes) {
                let from = samples.partition_point(|sample| sample.start <= self.now - window);
                mean += evidence(&samples[from..], p0).exp() / count(WINDOWS_MS.len());
                *votes = vote(&samples[from..]);
            }
            readings.push(Reading { cell: (family, target), ln_e: mean.ln(), votes });
        }
    }

    /// Learns how slow a network and its agents are on other categories in the last hour.
    fn slow_null(&self, family: FamilyNo, category: usize, hour: &Hour) -> Null {
        let (mut counts, mut voices) = (BTreeMap::new(), BTreeMap::new());
        let others = (0..self.slow.downloads.len())
            .filter(|other| self.world.category(*other) != category && !self.is_slowed((family, *other)));
        for sample in others.filter_map(|other| hour.get(&(other, family))).flatten() {
            for (counts, who) in [(&mut counts, sample.agent), (&mut voices, sample.voice)] {
                let own: &mut (f64, f64) = counts.entry(who).or_default();
                *own = (own.0 + f64::from(u8::from(sample.is_slow)), own.1 + 1.0);
            }
        }
        let rates = voices.values().map(|(slow, all)| slow / all).sum::<f64>();
        Null {
            network: (rates + PRIOR_RATE) / (count(voices.len()) + 1.0),
            agents: counts
                .into_iter()
                .map(|(agent, (slow, all))| (agent, (slow + PRIOR_RATE) / (all + 1.0)))
                .collect(),
        }
    }

    fn usual_slow(&self, family: FamilyNo) -> f64 {
        let Some(hours) = self.usual_slow.get(&family) else { return 0.0 };
        let local_hour = (self.now + self.utc_offset_ms).div_euclid(3_600_000).rem_euclid(24);
        hours[usize::try_from(local_hour).unwrap_or(0)]
    }

    fn is_slowed(&self, cell: (FamilyNo, TargetNo)) -> bool {
        self.slow.alarms.get(&cell).is_some_and(Alarm::is_open)
    }

    fn raise_slow(&mut self, cell: (FamilyNo, TargetNo)) {
        // Where everything suffers, downloads do too, and by chance one more than others.
        if self.is_slowed(cell) || self.degraded.alarms.get(&cell.0).is_some_and(Alarm::is_open) {
            return;
        }
        let ended = self.slow.alarms.get(&cell).and_then(|alarm| alarm.cleared);
        let floor = ended.map_or(Ms::MIN / 2, |ended| ended.end);
        let points = points(&self.samples_of(cell, (floor.max(self.now - ONSET_REACH_MS), self.now)));
        let Some(change) = changepoint::find(&points, Turn::Onset) else { return };
        let before = points.iter().take_while(|point| point.start < change.first_after);
        let before: Vec<bool> = before.map(|point| point.is_bad).collect();
        let (least, most) = FINE_BEFORE;
        let was_fine = before.len() >= least && share(before.iter().copied()) <= most;
        if !self.is_live() && !was_fine && ended.is_none() {
            return;
        }
        let now = self.now;
        self.cells.note_change();
        match self.slow.alarms.get_mut(&cell) {
            Some(alarm) if ended.is_some_and(|ended| now - ended.at <= REOPEN_MS) => {
                alarm.cleared = None;
                alarm.returns += 1;
            }
            _ => {
                let alarm = Alarm::new(change.middle(), now, Strength::Firm);
                self.slow.alarms.insert(cell, alarm);
            }
        }
    }

    fn clear_slow(&mut self) {
        let open = self.slow.alarms.iter().filter(|(_, alarm)| alarm.is_open());
        let ends: Vec<((FamilyNo, TargetNo), Ms)> =
            open.filter_map(|(cell, alarm)| Some((*cell, self.end_of_slow(*cell, alarm)?))).collect();
        for (cell, end) in ends {
            self.cells.note_change();
            if let Some(alarm) = self.slow.alarms.get_mut(&cell) {
                alarm.cleared = Some(Cleared { end: end.max(alarm.onset), at: self.now });
            }
        }
        let now = self.now;
        let open = open_incidents(self.slow.alarms.values());
        self.slow.alarms.retain(|_, alarm| {
            let is_part = alarm.incident.as_ref().is_some_and(|id| open.contains(id));
            is_part || alarm.cleared.is_none_or(|cleared| now - cleared.at <= FORGET_MS)
        });
    }

    /// Returns when a cell's slowness ended, if its agents agree that it did.
    fn end_of_slow(&self, cell: (FamilyNo, TargetNo), alarm: &Alarm) -> Option<Ms> {
        let samples = self.samples_of(cell, (alarm.onset, self.now));
        let agents: BTreeSet<usize> = samples.iter().map(|sample| sample.voice).collect();
        let is_over = if self.is_live() {
            let from = (0..samples.len()).filter(|at| !samples[*at].is_slow);
            let mut votes = from.map(|at| vote(&samples[at..]));
            votes.any(|votes| is_clear(votes) && votes.agents >= agents.len().clamp(2, END_AGENTS))
        } else {
            let from = samples.partition_point(|sample| sample.start <= self.now - END_MS);
            let votes = vote(&samples[from..]);
            let is_weak = self.slow.evidence.get(&cell).is_none_or(|ln_e| *ln_e < SIBLING_LN_E);
            votes.agents >= 2 && is_clear(votes) && is_weak
        };
        if !is_over {
            return None;
        }
        let change = changepoint::find(&points(&samples), Turn::End);
        Some(change.map_or(self.now, |change| change.middle()))
    }
}

/// The slow shares of downloads of other categories.
#[derive(Debug, Default)]
struct Null {
    network: f64,
    agents: BTreeMap<usize, f64>,
}

/// Returns the incidents that some alarm keeps open: what is over elsewhere stays a part of them.
pub(super) fn open_incidents<'a>(alarms: impl Iterator<Item = &'a Alarm>) -> BTreeSet<IncidentId> {
    alarms.filter(|alarm| alarm.is_open()).filter_map(|alarm| alarm.incident.clone()).collect()
}

fn is_clear(votes: Votes) -> bool {
    votes.bad <= CLEAR_SHARE * count(votes.agents)
}

fn evidence(samples: &[Sample], p0: impl Fn(usize) -> f64) -> f64 {
    let mut agents: BTreeMap<usize, f64> = BTreeMap::new();
    for sample in samples {
        let p0 = p0(sample.agent);
        let ratio = if sample.is_slow { SLOW_RATE / p0 } else { (1.0 - SLOW_RATE) / (1.0 - p0) };
        *agents.entry(sample.voice).or_default() += ratio.ln();
    }
    let price = (-CAP_AGAINST).exp().ln_1p();
    agents.values().map(|sum| sum.clamp(-CAP_AGAINST, CAP_FOR) - price).sum()
}

fn vote(samples: &[Sample]) -> Votes {
    let mut tallies: BTreeMap<usize, (i32, bool)> = BTreeMap::new();
    for sample in samples {
        let (tally, failing) = tallies.entry(sample.voice).or_default();
        *tally += if sample.is_slow { 1 } else { -1 };
        *failing |= sample.is_slow;
    }
    let worth = |(tally, _): &(i32, bool)| match tally {
        0 => 0.5,
        more if *more > 0 => 1.0,
        _ => 0.0,
    };
    Votes {
        bad: tallies.values().map(worth).sum(),
        agents: tallies.len(),
        failing: tallies.values().filter(|(_, failing)| *failing).count(),
    }
}

fn points(samples: &[Sample]) -> Vec<Point> {
    samples.iter().map(|s| Point { start: s.start, agent: s.voice, is_bad: s.is_slow }).collect()
}
