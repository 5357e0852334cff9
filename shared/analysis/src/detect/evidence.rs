//! The evidence of one cell: capped votes of agents, summed to an e-value (method 3.2, 3.3).
//!
//! ```text
//! lambda_m(i) = ln q_m(f_i) - ln( f_i = ok ? 1 - p0(i) : p0(i) q_0(f_i) )
//! Lambda_a    = clip( sum of lambda_m(i) over the agent's results in the window, -2.4, +4.5 )
//! S           = sum over agents of [ Lambda_a - ln(1 + e^-2.4) ]
//! E           = mean over mechanisms and windows of e^S;  live: (E_windows + E_stream) / 2
//! ```
//! An agent here is a voice: those who were invited together (a cohort) are one on each network, because a hundred
//! agents of one invitation are no hundred witnesses. The subtraction keeps e^S an e-value, because E[clip] <= 1 + e^-2.4; a mean of e-values is one. However many
//! results an agent delivers, it is worth at most 4.5 nats.

use super::anonymous::bad_days;
use super::cells::Cleared;
use super::core::Core;
use super::null::{Nulls, Question, share};
use super::store::{Entry, Ms};
use super::world::{FamilyNo, TargetNo};
use faultline_model::Class;
use std::collections::BTreeMap;

/// Mechanisms that are told apart.
pub(super) const MECHANISMS: usize = 5;
const OUTCOMES: usize = 7;
/// The place of timeouts among them.
const TIMEOUT: usize = 1;

/// Emissions by mechanism (timeout, reset, dns, page, diff) of ok, timeout, reset, dns, page, diff, nxdomain.
const EMISSION: [[f64; OUTCOMES]; MECHANISMS] = [
    [0.08, 0.860, 0.025, 0.005, 0.005, 0.015, 0.010],
    [0.08, 0.060, 0.830, 0.005, 0.005, 0.010, 0.010],
    [0.08, 0.050, 0.015, 0.640, 0.020, 0.015, 0.180],
    [0.08, 0.045, 0.020, 0.005, 0.680, 0.160, 0.010],
    [0.08, 0.030, 0.010, 0.005, 0.005, 0.865, 0.005],
];
/// What an anomaly without any block looks like; the first place is not used.
const NULL_EMISSION: [f64; OUTCOMES] = [1.0, 0.780, 0.100, 0.003, 0.007, 0.060, 0.050];

/// An agent is worth at most this for a block, and at most [`CAP_AGAINST`] against one.
pub(super) const CAP_FOR: f64 = 4.5;
/// See [`CAP_FOR`].
pub(super) const CAP_AGAINST: f64 = 2.4;
/// Windows of the evidence at a base period of ten minutes; longer periods stretch them.
pub(super) const WINDOWS_MS: [Ms; 4] = [240_000, 600_000, 1_200_000, 2_400_000];
/// A suspicion without a new failure is forgotten after this.
const STREAM_REACH_MS: Ms = 900_000;
/// Siblings with this much evidence lower the quorum.
pub(super) const SIBLING_LN_E: f64 = 3.0;
/// Votes at or below this share of agents clear a suspicion or a block.
pub(super) const CLEAR_SHARE: f64 = 0.35;

/// The majority votes of a set of results.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Votes {
    /// Sum of the votes: 1 where most of an agent's results failed, one half for a tie.
    pub(super) bad: f64,
    /// Agents with results.
    pub(super) agents: usize,
    /// Agents with any failure.
    pub(super) failing: usize,
}

impl Votes {
    /// Says whether nearly nobody votes for a block.
    pub(super) fn is_clear(&self) -> bool {
        self.bad <= CLEAR_SHARE * count(self.agents)
    }

    /// Says whether so few agents saw any failure that the capped sum of all is negative: an agent without one
    /// takes away 2.4 nats and one with failures adds at most 4.5.
    fn is_faint(&self) -> bool {
        count(self.failing) * (CAP_FOR + CAP_AGAINST) <= CAP_AGAINST * count(self.agents)
    }
}

/// A suspicion: the first failure, and everything that started after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stream {
    /// Start of the first failure.
    pub(super) since: Ms,
    /// When the first failure was received.
    pub(super) received: Ms,
    pub(super) votes: Votes,
    /// Failing answers, at most two of each agent.
    pub(super) failures: usize,
    /// Most failures are timeouts, which chance makes too.
    pub(super) is_of_timeouts: bool,
    /// ln of the e-value of the stream alone.
    pub(super) ln_e: f64,
}

/// Everything that the alarm and the planner need to know of a cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) family: FamilyNo,
    pub(super) target: TargetNo,
    pub(super) ln_e: f64,
    /// Votes in the four windows.
    pub(super) votes: [Votes; 4],
    pub(super) stream: Option<Stream>,
    /// Start of the first failure in the longest window.
    pub(super) first_failure: Ms,
    /// Sparse anonymous data: days with failures in the longest window.
    pub(super) bad_days: usize,
}

impl Reading {
    /// Says whether two agents see failures in some window: alone, one is never more than a suspicion.
    pub(super) fn is_agreed(&self) -> bool {
        let stream = self.stream.iter().map(|stream| &stream.votes);
        self.votes.iter().chain(stream).any(|votes| votes.bad > 1.0)
    }
}

impl Core {
    /// Returns the results of a cell in a span that are not excused by a failing control, nor by everything having
    /// failed on that network at the time.
    pub(super) fn evidence_between(
        &self,
        family: FamilyNo,
        target: TargetNo,
        from: Ms,
        to: Ms,
    ) -> Vec<Entry> {
        let entries = self.store.cell(family, target).between(from, to);
        let (cut, back) = self.cut_span(family);
        let is_cut = |entry: &&Entry| (cut..=back).contains(&entry.start);
        let counting = entries.iter().filter(|entry| !is_cut(entry));
        counting.filter(|entry| !self.store.is_excused(target, entry.start)).copied().collect()
    }

    /// Reads a cell; nothing where no result of the longest window failed.
    ///
    /// Where so few agents see failures that no window can speak for a block, the evidence is not worked out and given
    /// as none (ln E = 0): that is nearly every cell at nearly every moment.
    pub(super) fn read_cell(&self, nulls: &mut Nulls, family: FamilyNo, target: TargetNo) -> Option<Reading> {
        let now = self.rounded_now();
        let from = self.floor_of(family, target).max(now - self.reach_ms());
        let entries = self.evidence_between(family, target, from, now);
        let first_failure = entries.iter().find(|entry| entry.class.is_anomaly())?.start;
        let parts: [&[Entry]; 4] = std::array::from_fn(|number| {
            &entries[entries.partition_point(|entry| entry.start <= now - self.window_ms(number))..]
        });
        let votes = parts.map(vote);
        let mut stream = if self.is_live() { find_stream(&entries, now) } else { None };
        let alone = stream.map(|stream| {
            let from = entries.partition_point(|entry| entry.start < stream.since);
            &entries[from..]
        });
        if let Some((stream, alone)) = stream.as_mut().zip(alone) {
            stream.votes = vote(alone);
            stream.failures = failures(alone);
            let bad = alone.iter().filter(|entry| entry.class.is_anomaly());
            stream.is_of_timeouts = share(bad.map(|entry| column(entry.class) == TIMEOUT)) > 0.5;
        }
        let has_windows = self.has_return_windows();
        let bad_days = if has_windows { bad_days(&entries) } else { 0 };
        let mut reading = Reading { family, target, ln_e: 0.0, votes, stream, first_failure, bad_days };
        let is_faint = votes.iter().chain(stream.iter().map(|stream| &stream.votes)).all(Votes::is_faint);
        if !is_faint || has_windows {
            self.weigh_cell(nulls, &mut reading, &entries);
        }
        Some(reading)
    }

    /// Works out the evidence of a reading.
    fn weigh_cell(&self, nulls: &mut Nulls, reading: &mut Reading, entries: &[Entry]) {
        let now = self.rounded_now();
        let since = reading.stream.map(|stream| stream.since);
        let is_lazy = self.is_live() && !reading.is_agreed();
        let (family, target) = (Some(reading.family), reading.target);
        let weights = entries.iter().map(|entry| {
            let (agent, start) = (entry.agent, entry.start);
            let question = Question { agent, family, target, start, since, is_lazy };
            weigh(entry.class, self.null_rate(nulls, question))
        });
        let weights: Vec<[f64; MECHANISMS]> = weights.collect();
        let mut total = 0.0;
        for number in 0..WINDOWS_MS.len() {
            let from = entries.partition_point(|entry| entry.start <= now - self.window_ms(number));
            total += e_value(&entries[from..], &weights[from..]);
        }
        let (returning, windows) = self.returning_e(entries, &weights, now);
        let mut e = (total + returning) / (4.0 + windows);
        if let Some(stream) = &mut reading.stream {
            let from = entries.partition_point(|entry| entry.start < stream.since);
            let alone = e_value(&entries[from..], &weights[from..]);
            stream.ln_e = alone.ln();
            e = f64::midpoint(e, alone);
        } else if self.is_live() {
            // Without a suspicion the stream's share is that of an empty one, which is 1.
            e = f64::midpoint(e, 1.0);
        }
        reading.ln_e = e.ln();
    }

    /// Returns the end of a cell's last block, or of its target's last outage, before which nothing counts for a
    /// new block. While an outage lasts, nothing counts at all.
    pub(super) fn floor_of(&self, family: FamilyNo, target: TargetNo) -> Ms {
        // Live, an end is noticed within seconds, and failures of its last moments are no new block.
        let floor = |cleared: Cleared| if self.is_live() { cleared.at } else { cleared.end };
        let block = self.cells.alarm(family, target).and_then(|alarm| alarm.cleared).map(floor);
        let outage = self.incidents.outages.get(&target).map(|outage| outage.cleared.map_or(self.now, floor));
        block.max(outage).unwrap_or(Ms::MIN / 2)
    }

    /// Returns the length of a window at this base period.
    pub(super) fn window_ms(&self, number: usize) -> Ms {
        WINDOWS_MS[number] * self.base_ms.max(600_000) / 600_000
    }
}

/// Finds the suspicion that is open: a walk over the results that opens one at a failure and closes it when
/// at least three results say that nearly nobody else sees it. A pure function of the results, so that a
/// restart finds the same.
fn find_stream(entries: &[Entry], now: Ms) -> Option<Stream> {
    let from = entries.partition_point(|entry| entry.start < now - STREAM_REACH_MS);
    let mut open: Option<usize> = None;
    for at in from..entries.len() {
        let Some(first) = open else {
            open = entries[at].class.is_anomaly().then_some(at);
            continue;
        };
        let is_ok = !entries[at].class.is_anomaly();
        if is_ok && at - first >= 2 && vote(&entries[first..=at]).is_clear() {
            open = None;
        }
    }
    let first = &entries[open?];
    let (since, received, votes) = (first.start, first.received, Votes::default());
    Some(Stream { since, received, votes, failures: 0, is_of_timeouts: false, ln_e: 0.0 })
}
/// Counts the majority votes of agents; independent of the order of agents.
pub(super) fn vote(entries: &[Entry]) -> Votes {
    let mut slots = Slots::new(entries);
    let mut tallies: Vec<(i32, bool)> = Vec::new();
    for entry in entries {
        let slot = slots.of(entry.voice);
        if slot == tallies.len() {
            tallies.push((0, false));
        }
        let is_bad = entry.class.is_anomaly();
        let (tally, failing) = &mut tallies[slot];
        *tally += if is_bad { 1 } else { -1 };
        *failing |= is_bad;
    }
    let worth = |(tally, _): &(i32, bool)| match tally {
        0 => 0.5,
        more if *more > 0 => 1.0,
        _ => 0.0,
    };
    Votes {
        bad: tallies.iter().map(worth).sum(),
        agents: tallies.len(),
        failing: tallies.iter().filter(|(_, failing)| *failing).count(),
    }
}

/// Small numbers for the agents of some results, in the order in which they come first.
struct Slots {
    low: usize,
    known: Vec<u32>,
    next: u32,
}

impl Slots {
    fn new(entries: &[Entry]) -> Self {
        let low = entries.iter().map(|entry| entry.voice).min().unwrap_or(0);
        let high = entries.iter().map(|entry| entry.voice).max().unwrap_or(0);
        Self { low, known: vec![u32::MAX; high - low + 1], next: 0 }
    }

    fn of(&mut self, agent: usize) -> usize {
        let slot = &mut self.known[agent - self.low];
        if *slot == u32::MAX {
            *slot = self.next;
            self.next += 1;
        }
        usize::try_from(*slot).unwrap_or(usize::MAX)
    }
}

/// Counts failures, at most two of each agent.
fn failures(entries: &[Entry]) -> usize {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.class.is_anomaly()) {
        *counts.entry(entry.voice).or_default() += 1;
    }
    counts.into_values().map(|count| count.min(2)).sum()
}

/// Returns the mean over mechanisms of e^S; 1 for no results.
pub(super) fn e_value(entries: &[Entry], weights: &[[f64; MECHANISMS]]) -> f64 {
    let mut slots = Slots::new(entries);
    let mut sums: Vec<[f64; MECHANISMS]> = Vec::new();
    for (entry, weight) in entries.iter().zip(weights) {
        let slot = slots.of(entry.voice);
        if slot == sums.len() {
            sums.push([0.0; MECHANISMS]);
        }
        for (total, part) in sums[slot].iter_mut().zip(weight) {
            *total += part;
        }
    }
    let price = (-CAP_AGAINST).exp().ln_1p();
    let mut mean = 0.0;
    for mechanism in 0..MECHANISMS {
        let evidence = |sum: &[f64; MECHANISMS]| sum[mechanism].clamp(-CAP_AGAINST, CAP_FOR) - price;
        mean += sums.iter().map(evidence).sum::<f64>().exp();
    }
    mean / count(MECHANISMS)
}

/// Returns the log-likelihood ratio of one result for each mechanism.
pub(super) fn weigh(class: Class, p0: f64) -> [f64; MECHANISMS] {
    let column = column(class);
    let null = if column == 0 { 1.0 - p0 } else { p0 * NULL_EMISSION[column] };
    EMISSION.map(|row| row[column].ln() - null.ln())
}

fn column(class: Class) -> usize {
    match class {
        Class::Ok => 0,
        Class::TcpTimeout | Class::TlsTimeout | Class::HttpTimeout | Class::DnsTimeout => TIMEOUT,
        Class::TcpRefused | Class::TcpReset | Class::TlsReset | Class::HttpReset => 2,
        Class::DnsBogon | Class::DnsInjected => 3,
        Class::HttpBlockpage | Class::TlsCertMismatch => 4,
        // Neither of the last two reaches a cell; a plain difference is the least that an anomaly can be.
        Class::HttpStatusDiff | Class::Throttled | Class::LocalNetworkDown => 5,
        Class::DnsNxdomain => 6,
    }
}

/// Turns a small count into a number to calculate with.
pub(super) fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(agent: usize, start: Ms, class: Class) -> Entry {
        Entry { start, received: start, key: 0, agent, voice: agent, class, asked: false }
    }

    /// Returns ln E of results that all have the same null rate.
    fn ln_e(entries: &[Entry], p0: f64) -> f64 {
        let weights: Vec<_> = entries.iter().map(|entry| weigh(entry.class, p0)).collect();
        e_value(entries, &weights).ln()
    }

    #[test]
    fn single_results_weigh_what_the_method_says() {
        let near = |value: f64, wanted: f64| (value - wanted).abs() < 0.05;
        assert!(near(weigh(Class::TcpTimeout, 0.03)[0], 3.6));
        assert!(near(weigh(Class::TlsReset, 0.03)[1], 5.6));
        assert!(near(weigh(Class::Ok, 0.03)[0], -2.5));
    }

    #[test]
    fn the_null_is_an_e_value() {
        // The mean of e^lambda under the null is 1 for every mechanism and rate.
        for p0 in [0.01, 0.03, 0.3] {
            for mechanism in 0..MECHANISMS {
                let classes = [
                    Class::Ok,
                    Class::TcpTimeout,
                    Class::TlsReset,
                    Class::DnsBogon,
                    Class::HttpBlockpage,
                    Class::HttpStatusDiff,
                    Class::DnsNxdomain,
                ];
                let chance = |class: Class| match class {
                    Class::Ok => 1.0 - p0,
                    other => p0 * NULL_EMISSION[column(other)],
                };
                let mean: f64 =
                    classes.iter().map(|class| chance(*class) * weigh(*class, p0)[mechanism].exp()).sum();
                assert!((mean - 1.0).abs() < 0.011, "{p0} {mechanism}: {mean}");
            }
        }
    }

    #[test]
    fn an_agent_is_worth_its_cap_and_no_more() {
        let one: Vec<Entry> = (0..50).map(|at| entry(0, at, Class::TlsReset)).collect();
        assert!(ln_e(&one, 0.01) < CAP_FOR);
        let three: Vec<Entry> = (0..3).map(|agent| entry(agent, 0, Class::TlsReset)).collect();
        assert!(ln_e(&three, 0.03) > 9.7, "three agents that are reset carry an alarm");
        let timeouts: Vec<Entry> = (0..3).map(|agent| entry(agent, 0, Class::TcpTimeout)).collect();
        assert!(ln_e(&timeouts, 0.03) < 9.7, "three timeouts do not");
    }

    #[test]
    fn two_of_three_that_are_fine_close_a_suspicion() {
        let entries = [entry(0, 0, Class::TcpTimeout), entry(1, 5, Class::Ok), entry(2, 6, Class::Ok)];
        assert!(find_stream(&entries[..2], 10).is_some());
        assert_eq!(find_stream(&entries, 10), None);
        let again = [entries[0], entries[1], entries[2], entry(1, 9, Class::TlsReset)];
        assert_eq!(find_stream(&again, 10).map(|stream| stream.since), Some(9));
        assert_eq!(find_stream(&again, 9 + STREAM_REACH_MS + 1), None, "old failures are forgotten");
    }

    #[test]
    fn votes_are_majorities_and_a_tie_is_a_half() {
        let entries = [
            entry(0, 0, Class::TlsReset),
            entry(0, 1, Class::TlsReset),
            entry(0, 2, Class::Ok),
            entry(1, 0, Class::TlsReset),
            entry(1, 1, Class::Ok),
            entry(2, 0, Class::Ok),
        ];
        assert_eq!(vote(&entries), Votes { bad: 1.5, agents: 3, failing: 2 });
    }
}
