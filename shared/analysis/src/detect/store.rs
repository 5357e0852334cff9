//! Results as detection reads them: per agent, and per cell in the order of corrected start times.
//!
//! Clean-up (method 3.0):
//! - *clock*: an agent's offset is the tenth percentile of received − started, less three seconds, where that
//!   exceeds a minute; starts are corrected by it, and never lie after the receipt;
//! - *schedule token*: of results that nobody asked for, one per agent and target counts in 0.7 base periods; of
//!   confirmations, two in five minutes. What does not count stays out of every cell;
//! - `local_network_down` concerns the agent only and is dropped.
//!
//! Nothing here depends on the order of arrival: every list is sorted by start and a hash of the id, and what
//! counts is a function of the list.

use super::null::Changes;
use super::world::{Place, TargetNo};
use faultline_model::{AgentId, Asn, Class};
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds since the Unix epoch.
pub(super) type Ms = i64;

/// How long results are kept.
pub(super) const RETENTION_MS: Ms = 26 * 3_600_000;
/// Confirmations of one target by one agent that count in [`ASKED_WINDOW_MS`].
pub(super) const ASKED_PER_TARGET: usize = 2;
/// See [`ASKED_PER_TARGET`].
pub(super) const ASKED_WINDOW_MS: Ms = 300_000;
/// Two results of one agent and target that are closer than this are one.
const SAME_MS: Ms = 1_000;
/// An agent's offset is believed from so many results on.
const MIN_LAGS: usize = 20;
/// Offsets below this are transport, not clocks.
const MIN_OFFSET_MS: Ms = 60_000;
/// The usual time from a measurement's start to its receipt.
const USUAL_LAG_MS: Ms = 3_000;
/// Offsets are rounded to this, so that an estimate that trembles moves nothing.
const OFFSET_GRID_MS: Ms = 30_000;

/// A result of one agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// Corrected start.
    pub(super) start: Ms,
    /// Start by the agent's clock.
    pub(super) raw: Ms,
    pub(super) received: Ms,
    /// A hash of the measurement's id, which decides between equal starts.
    pub(super) key: u64,
    pub(super) target: TargetNo,
    pub(super) class: Class,
    pub(super) asked: bool,
    pub(super) control_ok: Option<bool>,
    /// It counts.
    pub(super) kept: bool,
}

/// A vantage point in one network; an agent that roams is two.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) id: AgentId,
    pub(super) asn: Asn,
    pub(super) place: Place,
    /// The number of the agent for which it speaks: itself, or the first of its cohort on the same network.
    pub(super) voice: usize,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) changes: Changes,
    offset: Ms,
    lags: Vec<Ms>,
}

impl Agent {
    /// Returns the counting results with `from <= start <= to`.
    pub(super) fn between(&self, from: Ms, to: Ms) -> impl DoubleEndedIterator<Item = &Outcome> {
        self.all_between(from, to).iter().filter(|outcome| outcome.kept)
    }

    /// Returns what is added to its clock.
    pub(super) fn offset(&self) -> Ms {
        self.offset
    }

    /// Returns all results with `from <= start <= to`.
    pub(super) fn all_between(&self, from: Ms, to: Ms) -> &[Outcome] {
        let low = self.outcomes.partition_point(|outcome| outcome.start < from);
        let high = self.outcomes.partition_point(|outcome| outcome.start <= to);
        &self.outcomes[low..high.max(low)]
    }
}

/// A counting result in a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) start: Ms,
    pub(super) received: Ms,
    pub(super) key: u64,
    pub(super) agent: usize,
    /// Whose vote it is: agents of one cohort have one.
    pub(super) voice: usize,
    pub(super) class: Class,
    pub(super) asked: bool,
}

/// Counting results in the order of their starts.
#[derive(Clone, Debug, Default)]
pub(super) struct Series(Vec<Entry>);

impl Series {
    pub(super) fn all(&self) -> &[Entry] {
        &self.0
    }

    /// Returns the results with `from <= start <= to`.
    pub(super) fn between(&self, from: Ms, to: Ms) -> &[Entry] {
        let low = self.0.partition_point(|entry| entry.start < from);
        let high = self.0.partition_point(|entry| entry.start <= to);
        &self.0[low..high.max(low)]
    }

    fn insert(&mut self, entry: Entry) {
        let at = self.0.partition_point(|other| (other.start, other.key) < (entry.start, entry.key));
        self.0.insert(at, entry);
    }

    fn remove(&mut self, start: Ms, key: u64) {
        let at = self.0.partition_point(|other| (other.start, other.key) < (start, key));
        if self.0.get(at).is_some_and(|entry| (entry.start, entry.key) == (start, key)) {
            self.0.remove(at);
        }
    }

    fn forget(&mut self, before: Ms) {
        let keep = self.0.partition_point(|entry| entry.start < before);
        self.0.drain(..keep);
    }
}

/// All results, by agent and by cell.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) agents: Vec<Agent>,
    numbers: BTreeMap<(AgentId, Asn), usize>,
    cohorts: BTreeMap<AgentId, String>,
    voices: BTreeMap<(Place, String), usize>,
    /// By family and target.
    home: Vec<Vec<Series>>,
    /// By target.
    reference: Vec<Series>,
    /// By target.
    control: Vec<Series>,
    /// Minutes in which records said how their control went: successes and failures, by target.
    flags: Vec<BTreeMap<i64, (u32, u32)>>,
    /// Minutes in which most controls failed, by target.
    bad_minutes: Vec<BTreeSet<i64>>,
    /// How often a minute became such a one, or ceased to be.
    pub(super) flips: u64,
    token_ms: Ms,
    empty: Series,
}

impl Store {
    /// Makes an empty store for a base period.
    pub(super) fn new(base_period_ms: Ms) -> Self {
        Self { token_ms: base_period_ms * 7 / 10, ..Self::default() }
    }

    pub(super) fn cell(&self, family: usize, target: TargetNo) -> &Series {
        self.home.get(family).and_then(|targets| targets.get(target)).unwrap_or(&self.empty)
    }

    pub(super) fn reference(&self, target: TargetNo) -> &Series {
        self.reference.get(target).unwrap_or(&self.empty)
    }

    pub(super) fn control(&self, target: TargetNo) -> &Series {
        self.control.get(target).unwrap_or(&self.empty)
    }

    /// Returns the control flags of a target by minute.
    pub(super) fn flags(&self, target: TargetNo) -> Option<&BTreeMap<i64, (u32, u32)>> {
        self.flags.get(target)
    }

    /// Says whether most controls failed in one of these minutes, as records said.
    pub(super) fn has_bad_minute(&self, target: TargetNo, (from, to): (i64, i64)) -> bool {
        self.bad_minutes.get(target).is_some_and(|minutes| minutes.range(from..=to).next().is_some())
    }

    /// Returns the number of a vantage point, if it has one.
    pub(super) fn number(&self, id: &AgentId, asn: Asn) -> Option<usize> {
        self.numbers.get(&(id.clone(), asn)).copied()
    }

    /// Returns the number of a vantage point, making one at its first record.
    pub(super) fn agent(&mut self, id: &AgentId, asn: Asn, place: Place) -> usize {
        if let Some(number) = self.numbers.get(&(id.clone(), asn)) {
            return *number;
        }
        let voice = self.voice_of(id, place, self.agents.len());
        let agent = Agent {
            id: id.clone(),
            asn,
            place,
            voice,
            outcomes: Vec::new(),
            changes: Changes::default(),
            offset: 0,
            lags: Vec::new(),
        };
        self.agents.push(agent);
        self.numbers.insert((id.clone(), asn), self.agents.len() - 1);
        self.agents.len() - 1
    }

    /// Takes over who was invited together; it counts for agents that come from now on, and for all at the next
    /// [`Self::rearrange`].
    pub(super) fn set_cohorts(&mut self, cohorts: &BTreeMap<AgentId, String>) {
        self.cohorts.clone_from(cohorts);
    }

    /// Says whether any agents were invited together.
    pub(super) fn has_cohorts(&self) -> bool {
        !self.cohorts.is_empty()
    }

    fn voice_of(&mut self, id: &AgentId, place: Place, own: usize) -> usize {
        let Some(cohort) = self.cohorts.get(id) else { return own };
        *self.voices.entry((place, cohort.clone())).or_insert(own)
    }

    /// Adds a result of an agent; `start` and `kept` are decided here. Returns the corrected start, and whether
    /// other results of the agent moved because its clock is known better.
    pub(super) fn add(&mut self, number: usize, mut outcome: Outcome, now: Ms) -> (Ms, bool) {
        let agent = &mut self.agents[number];
        let lag = outcome.received - outcome.raw;
        let at = agent.lags.partition_point(|other| *other < lag);
        agent.lags.insert(at, lag);
        let offset = offset_of(&agent.lags);
        let has_moved = offset != agent.offset;
        if has_moved {
            agent.offset = offset;
            agent.changes.note_all();
            self.rebuild(number);
        }
        outcome.start = corrected(&outcome, offset);
        outcome.kept = false;
        self.agents[number].changes.note(outcome.start, now);
        self.insert(number, outcome);
        (outcome.start, has_moved)
    }

    /// Forgets results that started before a moment.
    pub(super) fn forget(&mut self, before: Ms) {
        for agent in &mut self.agents {
            let old = agent.outcomes.partition_point(|outcome| outcome.start < before);
            if old > 0 {
                agent.outcomes.drain(..old);
                agent.lags = agent.outcomes.iter().map(|outcome| outcome.received - outcome.raw).collect();
                agent.lags.sort_unstable();
            }
        }
        let rows = self.home.iter_mut().flatten();
        for series in rows.chain(&mut self.reference).chain(&mut self.control) {
            series.forget(before);
        }
        for minutes in &mut self.flags {
            *minutes = minutes.split_off(&(before / 60_000));
        }
        for minutes in &mut self.bad_minutes {
            *minutes = minutes.split_off(&(before / 60_000));
        }
    }

    /// Sorts every result anew, after the places of agents or the base period changed.
    pub(super) fn rearrange(&mut self, base_period_ms: Ms, place: impl Fn(&Agent) -> Place) {
        self.token_ms = base_period_ms * 7 / 10;
        for series in self.home.iter_mut().flatten().chain(&mut self.reference).chain(&mut self.control) {
            series.0.clear();
        }
        self.flags.clear();
        self.bad_minutes.clear();
        self.voices.clear();
        for number in 0..self.agents.len() {
            let place = place(&self.agents[number]);
            let id = self.agents[number].id.clone();
            self.agents[number].place = place;
            self.agents[number].voice = self.voice_of(&id, place, number);
            self.reinsert(number);
        }
    }

    fn rebuild(&mut self, number: usize) {
        for at in 0..self.agents[number].outcomes.len() {
            let outcome = self.agents[number].outcomes[at];
            self.count_flag(&outcome, false);
            if outcome.kept {
                self.series(number, outcome.target).remove(outcome.start, outcome.key);
            }
        }
        self.reinsert(number);
    }

    fn reinsert(&mut self, number: usize) {
        let offset = self.agents[number].offset;
        for mut outcome in std::mem::take(&mut self.agents[number].outcomes) {
            outcome.start = corrected(&outcome, offset);
            outcome.kept = false;
            self.insert(number, outcome);
        }
    }

    fn insert(&mut self, number: usize, outcome: Outcome) {
        self.count_flag(&outcome, true);
        let list = &mut self.agents[number].outcomes;
        let at = list.partition_point(|other| (other.start, other.key) < (outcome.start, outcome.key));
        list.insert(at, outcome);
        for later in at..self.agents[number].outcomes.len() {
            if self.agents[number].outcomes[later].target == outcome.target {
                self.decide(number, later);
            }
        }
    }

    /// Decides whether a result counts, from those of the same agent and target before it.
    fn decide(&mut self, number: usize, at: usize) {
        let list = &self.agents[number].outcomes;
        let it = list[at];
        let reach = self.token_ms.max(ASKED_WINDOW_MS);
        let before = list[..at].iter().rev().take_while(|other| it.start - other.start < reach);
        let mut asked = 0;
        let mut keeps = true;
        for other in before.filter(|other| other.kept && other.target == it.target) {
            let gap = it.start - other.start;
            let is_early = !it.asked && !other.asked && gap < self.token_ms;
            asked += usize::from(other.asked && gap < ASKED_WINDOW_MS);
            keeps &= gap >= SAME_MS && !is_early && !(it.asked && asked >= ASKED_PER_TARGET);
        }
        if keeps == it.kept {
            return;
        }
        self.agents[number].outcomes[at].kept = keeps;
        let (start, received, key) = (it.start, it.received, it.key);
        let voice = self.agents[number].voice;
        let series = self.series(number, it.target);
        if keeps {
            let (agent, class, asked) = (number, it.class, it.asked);
            series.insert(Entry { start, received, key, agent, voice, class, asked });
        } else {
            series.remove(start, key);
        }
    }

    fn series(&mut self, agent: usize, target: TargetNo) -> &mut Series {
        let row = match self.agents[agent].place {
            Place::Home(family) => {
                if self.home.len() <= family {
                    self.home.resize_with(family + 1, Vec::new);
                }
                &mut self.home[family]
            }
            Place::Reference => &mut self.reference,
            Place::Control => &mut self.control,
        };
        if row.len() <= target {
            row.resize_with(target + 1, Series::default);
        }
        &mut row[target]
    }

    fn count_flag(&mut self, outcome: &Outcome, adds: bool) {
        let Some(ok) = outcome.control_ok else { return };
        if self.flags.len() <= outcome.target {
            self.flags.resize_with(outcome.target + 1, BTreeMap::new);
        }
        let minute = outcome.start.div_euclid(60_000);
        let (good, bad) = self.flags[outcome.target].entry(minute).or_default();
        let count = if ok { &mut *good } else { &mut *bad };
        *count = if adds { *count + 1 } else { count.saturating_sub(1) };
        let is_bad = *bad > *good;
        if self.bad_minutes.len() <= outcome.target {
            self.bad_minutes.resize_with(outcome.target + 1, BTreeSet::new);
        }
        let minutes = &mut self.bad_minutes[outcome.target];
        let has_changed = if is_bad { minutes.insert(minute) } else { minutes.remove(&minute) };
        self.flips += u64::from(has_changed);
    }
}

fn corrected(outcome: &Outcome, offset: Ms) -> Ms {
    (outcome.raw + offset).min(outcome.received)
}

fn offset_of(lags: &[Ms]) -> Ms {
    if lags.len() < MIN_LAGS {
        return 0;
    }
    let offset = lags[lags.len() / 10] - USUAL_LAG_MS;
    if offset.abs() <= MIN_OFFSET_MS {
        0
    } else {
        (offset + OFFSET_GRID_MS / 2).div_euclid(OFFSET_GRID_MS) * OFFSET_GRID_MS
    }
}

/// Hashes an id (FNV-1a, 64 bits); it decides only between equal starts.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
