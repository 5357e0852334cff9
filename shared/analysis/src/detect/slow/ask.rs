//! Asking about slow downloads (method 5).
//!
//! A download costs as much as ninety light checks. The first slow one asks two other agents of its network, two that
//! agree ask up to four more; an open cell that shows a fast one asks three. Of one network and target nobody is
//! asked more often than every two minutes, and no agent twice in the hour of the windows unless it answered as a
//! matter of routine.

use super::super::core::Core;
use super::super::store::Ms;
use super::super::world::{FamilyNo, TargetNo};
use super::super::{Ask, AskReason, Who};
use super::{WINDOWS_MS, vote};
use faultline_model::{AgentId, CheckKind};
use std::collections::BTreeSet;

/// A round is awaited so long: downloads take up to a quarter of a minute each, and agents pace themselves.
const ROUND_MS: Ms = 60_000;
const FIRST_ROUND: usize = 3;
const SECOND_ROUND: usize = 6;
/// The suspicion rests if nobody was slow for so long.
const REACH_MS: Ms = WINDOWS_MS[0];

impl Core {
    /// Asks others of a network where a download was slow, and where a slowed one was not.
    pub(in super::super) fn ask_downloads(&mut self, asks: &mut Vec<Ask>) {
        let now = self.now;
        self.slow.asked.retain(|_, at| now - *at < ROUND_MS);
        for target in 0..self.slow.downloads.len() {
            if self.world.is_canary(target) || !self.has_slow(target) && !self.is_slowed_anywhere(target) {
                continue;
            }
            let families: Vec<FamilyNo> = self.world.heard().collect();
            for family in families {
                if !self.slow.asked.contains_key(&(family, target)) {
                    asks.extend(self.ask_cell((family, target)));
                }
            }
        }
    }

    fn is_slowed_anywhere(&self, target: TargetNo) -> bool {
        self.slow.alarms.iter().any(|((_, own), alarm)| *own == target && alarm.is_open())
    }

    fn ask_cell(&mut self, cell: (FamilyNo, TargetNo)) -> Option<Ask> {
        let (family, target) = cell;
        let recent = self.samples_of(cell, (self.now - REACH_MS, self.now));
        let is_open = self.is_slowed(cell);
        let from = recent.iter().position(|sample| sample.is_slow != is_open)?;
        let stream = &recent[from..];
        let votes = vote(stream);
        // Most say otherwise: nothing to ask any more.
        let agreeing = if is_open { super::count(votes.agents) - votes.bad } else { votes.bad };
        if agreeing < 0.5 * super::count(votes.agents) {
            return None;
        }
        let wanted = if !is_open && agreeing >= 2.0 { SECOND_ROUND } else { FIRST_ROUND };
        let answered: BTreeSet<usize> = stream.iter().map(|sample| sample.agent).collect();
        let hour = self.samples_of(cell, (self.now - WINDOWS_MS[2], self.now));
        let asked = hour.iter().filter(|sample| sample.asked).map(|sample| sample.agent);
        let spared: BTreeSet<usize> = answered.iter().copied().chain(asked).collect();
        let agents = self.active.get(family).map_or(0, Vec::len);
        let count = wanted.saturating_sub(answered.len()).min(agents.saturating_sub(spared.len()));
        if count == 0 {
            return None;
        }
        self.slow.asked.insert(cell, self.now);
        let exclude: BTreeSet<AgentId> =
            spared.into_iter().map(|agent| self.store.agents[agent].id.clone()).collect();
        Some(Ask {
            target: self.world.targets[target].target.clone(),
            check: CheckKind::Throughput,
            who: Who::Family(self.world.families[family].asn),
            count,
            reason: if is_open { AskReason::End } else { AskReason::Suspicion },
            exclude,
        })
    }
}
