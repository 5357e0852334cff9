//! Asks about suspicions: the same network, and something unrelated.

use super::super::cells::Strength;
use super::super::core::Core;
use super::super::evidence::{Reading, Stream, count};
use super::super::store::{ASKED_WINDOW_MS, Ms};
use super::super::world::{FamilyNo, TargetNo};
use super::{Asked, PATIENCE_MS, Want};
use crate::detect::{Ask, AskReason, Who};
use faultline_model::{AgentId, CheckKind};
use std::collections::{BTreeMap, BTreeSet};

/// Agents that a first failure asks for, the first one included.
const FIRST_ROUND: usize = 3;
/// Agents of the network that two agreeing agents ask for: at least these, or this share.
const SECOND_ROUND: usize = 6;
const SECOND_SHARE: f64 = 0.4;
/// Canaries that one agent is asked for in one suspicion.
const CANARIES: usize = 4;

impl Core {
    /// Returns the suspicions that are not answered yet.
    pub(super) fn open_streams(&self) -> impl Iterator<Item = (&Reading, Stream)> {
        self.readings.streams().filter_map(|reading| {
            let is_firm = self.open_strength(reading.family, reading.target) == Some(Strength::Firm);
            let is_standing =
                self.is_standing(reading.family, reading.target) || self.world.is_canary(reading.target);
            reading.stream.filter(|_| !is_firm && !is_standing).map(|stream| (reading, stream))
        })
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
                check: CheckKind::Web,
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
        let own = (Asked::Agent(agent), 0)..=(Asked::Agent(agent), TargetNo::MAX);
        let asked: Vec<(TargetNo, Ms)> = self
            .plan
            .issued
            .range(own)
            .flat_map(|((_, target), issued)| issued.iter().map(|(at, _)| (*target, *at)))
            .collect();
        let outcomes = &self.store.agents[agent];
        let is_awaited = asked.iter().any(|(asked, at)| {
            let mut after = outcomes.between(at - PATIENCE_MS, self.now);
            self.now - at < PATIENCE_MS
                && !after.any(|outcome| outcome.target == *asked && outcome.received > *at)
        });
        if is_awaited || asked.iter().filter(|(_, at)| *at >= since).count() >= CANARIES {
            return None;
        }
        let others = (0..self.world.targets.len()).filter(|other| self.world.category(*other) != category);
        let (canaries, rest): (Vec<_>, Vec<_>) =
            others.partition(|other| self.world.is_foreign_canary(*other));
        let choices = if canaries.is_empty() { rest } else { canaries };
        let last = |choice: &TargetNo| {
            let own = outcomes.between(self.now - ASKED_WINDOW_MS, self.now).filter(|o| o.target == *choice);
            let issued = asked.iter().filter(|(asked, _)| asked == choice).map(|(_, at)| *at);
            own.map(|outcome| outcome.start).chain(issued).max()
        };
        choices.into_iter().filter(|choice| !self.is_exhausted(agent, *choice)).min_by_key(last)
    }

    /// Returns what suspicions want to know from their own network and from the others.
    pub(super) fn want_suspicions(&self) -> Vec<Want> {
        let mut wants = Vec::new();
        let firm =
            self.cells.alarms().filter(|(_, _, alarm)| alarm.is_open() && alarm.strength == Strength::Firm);
        let firm: Vec<(FamilyNo, TargetNo)> = firm.map(|(family, target, _)| (family, target)).collect();
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
            let is_known = self.is_service_known(family, target, &firm);
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
            let is_sparse = agents.len() < FIRST_ROUND;
            if all_answered && is_open && (agree || is_sparse) {
                // Nobody else can be asked where there are so few, so they are asked twice.
                let enough = if is_sparse { 3 } else { 2 };
                want.spared = answers
                    .iter()
                    .filter(|(_, number)| **number >= enough)
                    .map(|(agent, _)| *agent)
                    .collect();
                want.count = agents.len().saturating_sub(want.spared.len());
            }
            if is_sparse && is_open && entries.len() >= 2 {
                wants.extend(self.want_siblings((family, target), stream.since));
            }
            if want.count > 0 {
                wants.push(want);
            }
        }
        wants
    }

    /// Wants the rest of a service from the few agents of a network: there is nobody else to ask.
    fn want_siblings(&self, (family, target): (FamilyNo, TargetNo), since: Ms) -> Vec<Want> {
        let service = &self.world.targets[target].service;
        let siblings = (0..self.world.targets.len())
            .filter(|other| *other != target && self.world.targets[*other].service == *service);
        siblings
            .filter_map(|other| self.want_probe((family, other), since, (3, AskReason::Category)))
            .collect()
    }

    /// Says whether another target of the same service is already known to fail on this network.
    fn is_service_known(&self, family: FamilyNo, target: TargetNo, firm: &[(FamilyNo, TargetNo)]) -> bool {
        let service = &self.world.targets[target].service;
        let from = firm.partition_point(|(other, _)| *other < family);
        let own = firm[from..].iter().take_while(|(other, _)| *other == family);
        own.map(|(_, other)| *other)
            .any(|other| other != target && self.world.targets[other].service == *service)
    }
}
