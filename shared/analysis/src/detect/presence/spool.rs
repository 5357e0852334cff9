//! Late evidence: what agents measured while they were silent, delivered when they were back (method 3.5).

use super::super::changepoint::{self, Change, Turn};
use super::super::core::Core;
use super::super::evidence::count;
use super::super::store::{Entry, Ms};
use super::super::world::FamilyNo;
use super::dead::as_points;
use super::{BURST_MS, Cut};
use std::collections::BTreeMap;

/// Results of an agent from which on it has a say.
const LEAST_RESULTS: usize = 3;
/// Agents that must have a say.
const LEAST_AGENTS: usize = 2;
/// Shares of fine results at which the network was fine, or was not.
const FINE: f64 = 0.7;
const FAILING: f64 = 0.4;
/// Results so near to the edges of a silence belong to neither side.
const EDGE_MS: Ms = 20_000;
/// A result that came so soon after it was made was not spooled.
const PROMPT_MS: Ms = 30_000;
/// How far before a silence its beginning is looked for.
const BEFORE_MS: Ms = 3_600_000;
const AFTER_MS: Ms = 1_800_000;

/// What late results say of a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Late {
    /// Everything worked: only our channel was gone.
    Fine,
    /// Little or nothing worked.
    Failing,
    /// Both.
    Mixed,
    /// Nothing came, or too little.
    Nothing,
}

impl Core {
    /// Reads what a network's agents measured during a cut and delivered late.
    pub(in super::super) fn late(&self, family: FamilyNo, cut: &Cut) -> Late {
        let fine = self.late_shares(self.late_results(family, cut));
        if fine.len() < LEAST_AGENTS {
            return Late::Nothing;
        }
        let mean = fine.iter().sum::<f64>() / count(fine.len());
        if mean >= FINE {
            Late::Fine
        } else if mean <= FAILING {
            Late::Failing
        } else {
            Late::Mixed
        }
    }

    /// Returns the late results of a cut on targets abroad; all targets where none is known to be abroad.
    pub(in super::super) fn late_results(&self, family: FamilyNo, cut: &Cut) -> Vec<Entry> {
        let (from, to) = (cut.high + EDGE_MS, cut.until(self.now) - EDGE_MS);
        let mut entries = self.foreign(family, from, to);
        let spans = self.silent_spans(family, cut);
        // Others' late results are of lines that were not silent with it, and say nothing about it.
        entries.retain(|entry| {
            let is_late = entry.received - entry.start > PROMPT_MS;
            let own = spans.get(&entry.agent);
            is_late && own.is_some_and(|(fell, back)| entry.start > *fell && entry.start < *back)
        });
        entries
    }

    /// Returns from when to when agents were silent that fell silent with a cut, and were heard in it no more.
    fn silent_spans(&self, family: FamilyNo, cut: &Cut) -> BTreeMap<usize, (Ms, Ms)> {
        let mut spans = BTreeMap::new();
        for (key, heard) in self.members(family) {
            let fall = self.falls_of(heard).find(|(fell, _)| (fell - cut.low).abs() <= BURST_MS);
            let number = self.store.number(&key.0, key.1);
            spans.extend(
                number.zip(fall).map(|(number, (fell, back))| (number, (fell, back.unwrap_or(Ms::MAX)))),
            );
        }
        spans
    }

    /// Returns the share of fine results of every agent with enough of them.
    fn late_shares(&self, entries: Vec<Entry>) -> Vec<f64> {
        let mut agents: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for entry in entries {
            let sum = agents.entry(entry.voice).or_default();
            sum.0 += usize::from(!entry.class.is_anomaly());
            sum.1 += 1;
        }
        let enough = agents.into_values().filter(|(_, all)| *all >= LEAST_RESULTS);
        enough.map(|(fine, all)| count(fine) / count(all)).collect()
    }

    /// Returns beginning and end of a cut as the results around it tell them.
    pub(in super::super) fn measured_span(
        &self,
        family: FamilyNo,
        cut: &Cut,
    ) -> (Option<Change>, Option<Change>) {
        let until = cut.until(self.now);
        let middle = cut.high + (until - cut.high) / 2;
        let first = as_points(&self.foreign(family, cut.low - BEFORE_MS, middle.max(cut.high + EDGE_MS)));
        let onset = changepoint::find(&first, Turn::Onset);
        let last = as_points(&self.foreign(family, middle, until + AFTER_MS));
        let end = cut.ended.and_then(|_| changepoint::find(&last, Turn::End));
        (onset, end)
    }
}
