//! Asks about suspicions: the same network, the controls, a canary, the others.

use super::super::cells::Strength;
use super::super::core::Core;
use super::super::evidence::{Reading, Stream, count, vote};
use super::super::store::{ASKED_PER_TARGET, ASKED_WINDOW_MS, Ms};
use super::super::world::{FamilyNo, TargetNo};
use super::{Asked, PATIENCE_MS, Want};
use crate::detect::{Ask, AskReason, Who};
use faultline_model::{AgentId, Role};
use std::collections::{BTreeMap, BTreeSet};

/// Agents that a first failure asks for, the first one included.
const FIRST_ROUND: usize = 3;
/// Agents of the network that two agreeing agents ask for: at least these, or this share.
const SECOND_ROUND: usize = 6;
const SECOND_SHARE: f64 = 0.4;
/// Evidence of a suspicion from which other services are looked at.
const CATEGORY_LN_E: f64 = 5.0;
/// Answers that other networks give first.
const PROBES: usize = 2;
/// Controls are asked about a target again after this.
const CONTROL_PAUSE_MS: Ms = 5_000;
/// A control's success counts for every suspicion on its target that began so long after the first.
const SHARED_MS: Ms = 300_000;
/// An alarm is mapped onto other targets and networks for so long.
const MAPPING_MS: Ms = 300_000;
/// Canaries that one agent is asked for in one suspicion.
const CANARIES: usize = 4;

impl Core {
    /// Returns the suspicions that are not answered yet.
    pub(super) fn open_streams(&self) -> impl Iterator<Item = (&Reading, Stream)> {
        self.readings.values().filter_map(|reading| {
            let is_firm = self.open_strength(reading.family, reading.target) == Some(Strength::Firm);
            let is_standing = self.is_standing(reading.family, reading.target);
            reading.stream.filter(|_| !is_firm && !is_standing).map(|stream| (reading, stream))
        })
    }

    /// Returns the moment after which a control must have succeeded for a suspicion on a target that began at
    /// `since`: the first failure of any network on that target within five minutes.
    pub(in super::super) fn control_since(&self, target: TargetNo, since: Ms) -> Ms {
        let streams = self.readings.values().filter(|reading| reading.target == target);
        let streams = streams.filter_map(|reading| reading.stream).map(|stream| stream.since);
        let alarms = self.cells.alarms().filter(|(_, own, alarm)| *own == target && alarm.is_open());
        let onsets = alarms.map(|(_, _, alarm)| alarm.onset);
        streams
            .chain(onsets)
            .filter(|other| *other >= since - SHARED_MS)
            .min()
            .map_or(since, |at| at.min(since))
    }

    /// Asks the controls about every suspected target that none of them reached since.
    pub(super) fn ask_controls(&mut self, asks: &mut Vec<Ask>) {
        let mut wanted: BTreeMap<TargetNo, Ms> = BTreeMap::new();
        for (reading, stream) in self.open_streams() {
            let since = self.control_since(reading.target, stream.since);
            if !self.store.is_control_fine(reading.target, since, self.now) {
                wanted.insert(reading.target, since);
            }
        }
        for target in self.troubled_targets() {
            wanted.insert(target, self.now);
        }
        for target in wanted.into_keys() {
            asks.extend(self.ask_control(target, 2, AskReason::Suspicion));
        }
    }

    /// Asks controls about a target, as far as their limits allow.
    pub(super) fn ask_control(&mut self, target: TargetNo, number: usize, reason: AskReason) -> Option<Ask> {
        let own = self
            .plan
            .issued
            .iter()
            .filter(|issued| issued.whom == Asked::Controls && issued.target == target);
        let last = own.map(|issued| issued.at).max();
        if let Some(last) = last {
            let entries = self.store.control(target).between(last - PATIENCE_MS, self.now);
            let has_answer = entries.iter().any(|entry| entry.received > last);
            let pause = if has_answer { CONTROL_PAUSE_MS } else { PATIENCE_MS };
            if self.now - last < pause {
                return None;
            }
        }
        let exclude: BTreeSet<AgentId> = self.exhausted_controls(target);
        self.note(Asked::Controls, target, number);
        let target = self.world.targets[target].target.clone();
        Some(Ask { target, who: Who::Controls, count: number, reason, exclude })
    }

    fn exhausted_controls(&self, target: TargetNo) -> BTreeSet<AgentId> {
        let mut asked: BTreeMap<usize, usize> = BTreeMap::new();
        for entry in self.store.control(target).between(self.now - ASKED_WINDOW_MS, self.now) {
            *asked.entry(entry.agent).or_default() += usize::from(entry.asked);
        }
        let full = asked.into_iter().filter(|(_, number)| *number >= ASKED_PER_TARGET);
        full.map(|(agent, _)| self.store.agents[agent].id.clone()).collect()
    }

    /// Asks failing agents for something unrelated.
    pub(super) fn ask_canaries(&mut self, asks: &mut Vec<Ask>) {
        let mut failing: BTreeMap<usize, (TargetNo, Ms)> = BTreeMap::new();
        for (reading, stream) in self.open_streams() {
            let entries = self.evidence_between(reading.family, reading.target, stream.since, self.now);
            for agent in super::super::alarm::failing_agents(&entries) {
                if !self.is_witness(agent, reading.target, stream.since) {
                    let known = failing.entry(agent).or_insert((reading.target, stream.since));
                    known.1 = known.1.max(stream.since);
                }
            }
        }
        let mut by_canary: BTreeMap<TargetNo, BTreeSet<usize>> = BTreeMap::new();
        for (agent, (target, since)) in failing {
            if let Some(canary) = self.choose_canary(agent, target, since) {
                by_canary.entry(canary).or_default().insert(agent);
            }
        }
        for (canary, agents) in by_canary {
            for agent in &agents {
                self.note(Asked::Agent(*agent), canary, 1);
            }
            let ids: BTreeSet<AgentId> =
                agents.iter().map(|agent| self.store.agents[*agent].id.clone()).collect();
            asks.push(Ask {
                target: self.world.targets[canary].target.clone(),
                count: ids.len(),
                who: Who::Agents(ids),
                reason: AskReason::Canary,
                exclude: BTreeSet::new(),
            });
        }
    }

    /// Chooses the canary that an agent has not measured for the longest time; nothing while one is awaited.
    fn choose_canary(&self, agent: usize, target: TargetNo, since: Ms) -> Option<TargetNo> {
        let category = self.world.category(target);
        let asked: Vec<_> =
            self.plan.issued.iter().filter(|issued| issued.whom == Asked::Agent(agent)).collect();
        let outcomes = &self.store.agents[agent];
        let is_awaited = asked.iter().any(|issued| {
            let mut after = outcomes.between(issued.at - PATIENCE_MS, self.now);
            self.now - issued.at < PATIENCE_MS
                && !after.any(|outcome| outcome.target == issued.target && outcome.received > issued.at)
        });
        if is_awaited || asked.iter().filter(|issued| issued.at >= since).count() >= CANARIES {
            return None;
        }
        let others = (0..self.world.targets.len()).filter(|other| self.world.category(*other) != category);
        let (canaries, rest): (Vec<_>, Vec<_>) = others.partition(|other| self.world.is_canary(*other));
        let choices = if canaries.is_empty() { rest } else { canaries };
        let last = |choice: &TargetNo| {
            let own = outcomes.between(self.now - ASKED_WINDOW_MS, self.now).filter(|o| o.target == *choice);
            let issued = asked.iter().filter(|issued| issued.target == *choice).map(|issued| issued.at);
            own.map(|outcome| outcome.start).chain(issued).max()
        };
        choices.into_iter().filter(|choice| !self.is_exhausted(agent, *choice)).min_by_key(last)
    }

    /// Returns what suspicions want to know from their own network and from the others.
    pub(super) fn want_suspicions(&self) -> Vec<Want> {
        let mut wants = Vec::new();
        for (reading, stream) in self.open_streams() {
            let (family, target) = (reading.family, reading.target);
            let agents = self.family_agents(family);
            let entries = self.evidence_between(family, target, stream.since, self.now);
            let mut answers: BTreeMap<usize, usize> = BTreeMap::new();
            for entry in &entries {
                *answers.entry(entry.agent).or_default() += 1;
            }
            let agree = stream.votes.bad >= 2.0;
            let second = SECOND_ROUND.max(super::ceil(SECOND_SHARE * count(agents.len())));
            let desired = (if agree { second } else { FIRST_ROUND }).min(agents.len());
            let awaited = self.awaited(family, target);
            let is_known = self.is_service_known(family, target);
            let mut want = Want {
                priority: if is_known { 5 } else { 0 },
                since: stream.since,
                family,
                target,
                count: desired.saturating_sub(answers.len() + awaited),
                reason: AskReason::Suspicion,
                spared: answers.keys().copied().collect(),
            };
            let all_answered = awaited == 0 && answers.len() >= desired;
            let is_open = stream.votes.bad >= 1.0 && stream.votes.bad >= 0.5 * count(stream.votes.agents);
            if all_answered && is_open && (agree || agents.len() < FIRST_ROUND) {
                want.spared =
                    answers.iter().filter(|(_, number)| **number >= 2).map(|(agent, _)| *agent).collect();
                want.count = agents.len().saturating_sub(want.spared.len());
            }
            if want.count > 0 {
                wants.push(want);
            }
            if agree {
                wants.extend(self.want_probes(target, stream.since, 1, AskReason::Spread));
            }
            if agree && stream.ln_e > CATEGORY_LN_E {
                for lead in self.leads(target) {
                    wants.extend(self.want_probes(lead, stream.since, 2, AskReason::Category));
                }
            }
        }
        wants
    }

    /// Says whether another target of the same service is already known to fail on this network.
    fn is_service_known(&self, family: FamilyNo, target: TargetNo) -> bool {
        let service = &self.world.targets[target].service;
        (0..self.world.targets.len()).any(|other| {
            let is_strong = self.open_strength(family, other) == Some(Strength::Firm);
            other != target && self.world.targets[other].service == *service && is_strong
        })
    }

    /// Wants two answers from every network that has none on a target since a moment.
    pub(super) fn want_probes(
        &self,
        target: TargetNo,
        since: Ms,
        priority: u8,
        reason: AskReason,
    ) -> Vec<Want> {
        let families = self.world.heard();
        families.filter_map(|family| self.want_probe(family, target, since, (priority, reason))).collect()
    }

    fn want_probe(
        &self,
        family: FamilyNo,
        target: TargetNo,
        since: Ms,
        how: (u8, AskReason),
    ) -> Option<Want> {
        if self.is_standing(family, target) || self.open_strength(family, target) == Some(Strength::Firm) {
            return None;
        }
        let entries = self.store.cell(family, target).between(since, self.now);
        let spared: BTreeSet<usize> = entries.iter().map(|entry| entry.agent).collect();
        let known = vote(entries).agents + self.awaited(family, target);
        let count = PROBES.saturating_sub(known);
        let (priority, reason) = how;
        (count > 0).then_some(Want { priority, since, family, target, count, reason, spared })
    }

    /// Returns one target of every service of the same category, the site first.
    pub(super) fn leads(&self, target: TargetNo) -> Vec<TargetNo> {
        let category = self.world.category(target);
        let mut leads: BTreeMap<&str, TargetNo> = BTreeMap::new();
        for other in (0..self.world.targets.len()).filter(|other| self.world.category(*other) == category) {
            let info = &self.world.targets[other];
            let lead = leads.entry(info.service.as_str()).or_insert(other);
            if info.role == Role::Site && self.world.targets[*lead].role != Role::Site {
                *lead = other;
            }
        }
        leads.into_values().collect()
    }

    /// Wants young alarms to be mapped: the same target elsewhere, its category, the rest of its service.
    pub(super) fn want_mapping(&self) -> Vec<Want> {
        let mut wants = Vec::new();
        let young = |at: Ms| self.now - at <= MAPPING_MS;
        for (family, target, alarm) in self.cells.alarms() {
            if !alarm.is_open() || alarm.strength < Strength::Firm || !young(alarm.at) {
                continue;
            }
            wants.extend(self.want_probes(target, alarm.onset, 1, AskReason::Spread));
            for lead in self.leads(target) {
                wants.extend(self.want_probes(lead, alarm.onset, 2, AskReason::Category));
            }
            let service = &self.world.targets[target].service;
            for other in (0..self.world.targets.len()).filter(|o| self.world.targets[*o].service == *service)
            {
                wants.extend(self.want_probe(family, other, alarm.onset, (3, AskReason::Category)));
            }
        }
        wants.sort_by_key(|want| (want.priority, want.family, want.target, want.since));
        wants.dedup_by_key(|want| (want.family, want.target));
        wants
    }
}
