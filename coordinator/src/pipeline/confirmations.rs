//! Confirmations: the detector's requests become one-off tasks of connected agents.
//!
//! Who is asked is drawn by lot among those whose limits allow it, not the same ones twice running, and at most half of
//! a family's agents a round (unless it has fewer than four), so that an alarm is no fingerprint of who volunteers.
//! Each task has a token, remembered until it is answered or lapses: only a result that carries it counts as asked for.

use crate::api::CONFIRMATION_VALID_MS;
use crate::coordinator::Coordinator;
use crate::fleet::Candidate;
use crate::planning::{Group, day_budget};
use faultline_analysis::detect::{Ask, AskReason, Who};
use faultline_model::{
    AgentId, Asn, CheckKind, CountryCode, Depth, RiskTier, Target, Task, TaskToken, Timestamp,
};
use faultline_runtime::random_bytes;
use rand::seq::SliceRandom;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An answer may be spooled for a while: on its way it still counts.
const LAPSES_AFTER: Duration = Duration::from_secs(300);
const TARGET_WINDOW: Duration = Duration::from_secs(300);
const INCIDENT_WINDOW: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Diagnoses of one target in one family over a day, as long as most incidents last: each shows the filter a volunteer
/// who tries ways around it.
const DIAGNOSES: usize = 2;
/// A family with fewer agents is asked whole.
const SMALL_FAMILY: usize = 4;

/// Tasks that were handed out, and who was asked when.
#[derive(Debug, Default)]
pub(crate) struct Confirmations {
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    outstanding: BTreeMap<TaskToken, Outstanding>,
    /// Per agent, oldest first, over a day.
    history: BTreeMap<AgentId, VecDeque<(Timestamp, Target)>>,
    last_round: BTreeMap<(Target, Group), BTreeSet<AgentId>>,
    /// When diagnoses were asked for.
    diagnoses: BTreeMap<(Target, Group), Vec<Timestamp>>,
}

#[derive(Debug)]
struct Outstanding {
    agent: AgentId,
    target: Target,
    lapses_at: Timestamp,
}

impl Confirmations {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether a token was handed to this agent for this target and not answered yet.
    pub(crate) fn is_expected(&self, token: &TaskToken, agent: &AgentId, target: &Target) -> bool {
        let asked = self.asked();
        asked.outstanding.get(token).is_some_and(|task| task.agent == *agent && task.target == *target)
    }

    /// Notes that a token was answered: a second answer is none.
    pub(crate) fn answer(&self, token: &TaskToken) {
        self.asked().outstanding.remove(token);
    }

    /// Notes a diagnosis that was made before this coordinator started.
    pub(super) fn remember_diagnosis(&self, target: Target, group: Group, at: Timestamp) {
        self.asked().diagnoses.entry((target, group)).or_default().push(at);
    }

    /// Returns how many diagnoses of a target a family may make still.
    fn left(&self, target: &Target, group: Group, now: Timestamp) -> usize {
        let mut asked = self.asked();
        asked.diagnoses.retain(|_, moments| {
            moments.retain(|at| now.since(*at) < DAY);
            !moments.is_empty()
        });
        let given = asked.diagnoses.get(&(target.clone(), group)).map_or(0, Vec::len);
        DIAGNOSES.saturating_sub(given)
    }

    /// Chooses who diagnoses: never more than a few for each target and family.
    fn choose_for_diagnosis(
        &self,
        pool: &Pool<'_>,
        group: Group,
        now: Timestamp,
    ) -> Vec<(AgentId, TaskToken)> {
        let key = (pool.ask.target.clone(), group);
        let ask = Ask { count: self.left(&pool.ask.target, group, now), ..pool.ask.clone() };
        let chosen = if ask.count == 0 { vec![] } else { self.choose(&ask, pool, now) };
        if !chosen.is_empty() {
            self.asked().diagnoses.entry(key).or_default().extend(chosen.iter().map(|_| now));
        }
        chosen
    }

    /// Chooses whom to ask and makes the tokens.
    fn choose(&self, ask: &Ask, pool: &Pool<'_>, now: Timestamp) -> Vec<(AgentId, TaskToken)> {
        let mut asked = self.asked();
        asked.forget(now);
        let mut chosen: Vec<(AgentId, TaskToken)> = Vec::new();
        for (group, members) in pool.groups() {
            let wanted = ask.count.saturating_sub(chosen.len());
            let round = asked.draw((group, &members), wanted, pool, now);
            for agent in &round {
                let token = TaskToken::from_bytes(random_bytes());
                asked.hand(token.clone(), agent, &ask.target, now);
                chosen.push((agent.clone(), token));
            }
        }
        chosen
    }
}

impl Asked {
    fn forget(&mut self, now: Timestamp) {
        self.outstanding.retain(|_, task| task.lapses_at > now);
        self.history.retain(|_, given| {
            while given.front().is_some_and(|(at, _)| now.since(*at) >= DAY) {
                given.pop_front();
            }
            !given.is_empty()
        });
        let busy: BTreeSet<&Target> = self.history.values().flatten().map(|(_, target)| target).collect();
        self.last_round.retain(|(target, _), _| busy.contains(target));
    }

    fn draw(
        &mut self,
        (group, members): (Group, &[&Candidate]),
        wanted: usize,
        pool: &Pool<'_>,
        now: Timestamp,
    ) -> Vec<AgentId> {
        let target = &pool.ask.target;
        let is_small = members.len() < SMALL_FAMILY || group == Group::Control;
        let most = if is_small { members.len() } else { members.len() / 2 };
        let last = self.last_round.get(&(target.clone(), group)).cloned().unwrap_or_default();
        let mut able: Vec<&Candidate> = members
            .iter()
            .copied()
            .filter(|one| pool.allows(one) && self.is_within_limits(one, pool, now))
            .collect();
        able.shuffle(&mut rand::rng());
        // Whoever was asked in the round before comes last, and only where there is hardly anybody else.
        let (again, fresh): (Vec<_>, Vec<_>) = able.into_iter().partition(|one| last.contains(&one.id));
        let reusable = if is_small { again } else { Vec::new() };
        let round: Vec<AgentId> =
            fresh.into_iter().chain(reusable).take(wanted.min(most)).map(|one| one.id.clone()).collect();
        if !round.is_empty() {
            self.last_round.insert((target.clone(), group), round.iter().cloned().collect());
        }
        round
    }

    fn is_within_limits(&self, one: &Candidate, pool: &Pool<'_>, now: Timestamp) -> bool {
        let Some(given) = self.history.get(&one.id) else { return pool.per_target > 0 };
        let budget = day_budget(one.budget);
        let is_control = one.group == Group::Control;
        let per_target =
            if is_control { pool.per_target } else { pool.per_target.min(budget.confirmations_per_target) };
        let recent = |window: Duration| given.iter().rev().take_while(move |(at, _)| now.since(*at) < window);
        let of_target = recent(TARGET_WINDOW).filter(|(_, other)| *other == pool.ask.target).count();
        // Controls belong to operators: only the signed list limits them.
        let has_reserve = is_control
            || (recent(INCIDENT_WINDOW).count() < budget.confirmations_per_incident
                && u64::try_from(given.len()).is_ok_and(|count| count < budget.reserve()));
        of_target < per_target && has_reserve
    }

    fn hand(&mut self, token: TaskToken, agent: &AgentId, target: &Target, now: Timestamp) {
        self.history.entry(agent.clone()).or_default().push_back((now, target.clone()));
        let lapses_at = now + LAPSES_AFTER;
        self.outstanding
            .insert(token, Outstanding { agent: agent.clone(), target: target.clone(), lapses_at });
    }
}

/// Whom an ask may go to.
struct Pool<'a> {
    ask: &'a Ask,
    country: CountryCode,
    candidates: &'a [Candidate],
    /// Confirmations of one target by one agent in five minutes, as the signed list allows.
    per_target: usize,
}

impl Pool<'_> {
    /// Returns the groups that the ask is about, each with all its connected members.
    fn groups(&self) -> Vec<(Group, Vec<&Candidate>)> {
        let mut groups: BTreeMap<Group, Vec<&Candidate>> = BTreeMap::new();
        for one in self.candidates {
            let is_meant = match &self.ask.who {
                Who::Family(asn) => one.group == Group::Family(self.country, *asn),
                Who::Controls => one.group == Group::Control,
                Who::Agents(agents) => agents.contains(&one.id),
            };
            if is_meant {
                groups.entry(one.group).or_default().push(one);
            }
        }
        groups.into_iter().collect()
    }

    fn allows(&self, one: &Candidate) -> bool {
        !self.ask.exclude.contains(&one.id)
    }
}

/// Hands out what a detector asks for. Fewer than asked for is no error: it asks again.
pub(super) fn hand_out(coordinator: &Coordinator, country: CountryCode, ask: &Ask, now: Timestamp) {
    let Some(kept) = coordinator.lists.newest() else { return };
    let check = ask.check;
    let is_landmark = ask.who == Who::Controls && kept.list.allows_landmark(check, &ask.target);
    if !is_landmark && !kept.list.allows(check, &ask.target) {
        return;
    }
    let category = kept.list.find(&ask.target).map(|spec| &spec.category);
    let wanted = (check, category, kept.list.version);
    let candidates = coordinator.fleet.candidates(&coordinator.countries, wanted, now);
    let per_target = usize::try_from(kept.list.limits.confirmations_per_target).unwrap_or(0);
    let pool = Pool { ask, country, candidates: &candidates, per_target };
    // Controls look thoroughly: what they see decides. Volunteers' light check asks public resolvers by itself when a
    // step fails, and costs a tenth of the bytes.
    let depth = if ask.who == Who::Controls && !is_landmark { Depth::Full } else { Depth::Light };
    let mut sent = 0_usize;
    for (agent, token) in coordinator.confirmations.choose(ask, &pool, now) {
        let task = Task { check, target: ask.target.clone(), depth, token: token.clone() };
        if coordinator.fleet.send(&agent, task) {
            coordinator.counters.confirmations_sent.add();
            sent += 1;
        } else {
            coordinator.confirmations.answer(&token);
            coordinator.counters.confirmations_refused.add();
        }
    }
    tracing::debug!(reason = ?ask.reason, wanted = ask.count, sent, "confirmations handed out");
}

/// Asks a few agents of a family which thing of an open incident's target is blocked. Not where measuring is dangerous: the
/// retries are more conspicuous than what they explain. Agents there refuse on their own account too.
pub(super) fn hand_out_diagnoses(
    coordinator: &Coordinator,
    country: CountryCode,
    (target, family): (&Target, Asn),
    now: Timestamp,
) {
    let Some(kept) = coordinator.lists.newest() else { return };
    let check = CheckKind::Diagnose;
    let profile = coordinator.countries.profile(country).risk_tier;
    let listed = kept.list.risk.get(&country).copied();
    let is_dangerous = [profile, listed].contains(&Some(RiskTier::High));
    let group = Group::Family(country, family);
    let is_wanted = kept.list.allows(check, target) && coordinator.confirmations.left(target, group, now) > 0;
    if is_dangerous || !is_wanted {
        return;
    }
    let (reason, who) = (AskReason::FollowUp, Who::Family(family));
    let ask = Ask { target: target.clone(), check, who, count: DIAGNOSES, reason, exclude: BTreeSet::new() };
    let category = kept.list.find(target).map(|spec| &spec.category);
    let wanted = (check, category, kept.list.version);
    let candidates = coordinator.fleet.candidates(&coordinator.countries, wanted, now);
    let per_target = usize::try_from(kept.list.limits.confirmations_per_target).unwrap_or(0);
    let pool = Pool { ask: &ask, country, candidates: &candidates, per_target };
    for (agent, token) in coordinator.confirmations.choose_for_diagnosis(&pool, group, now) {
        let task = Task { check, target: target.clone(), depth: Depth::Light, token: token.clone() };
        if coordinator.fleet.send(&agent, task) {
            coordinator.counters.confirmations_sent.add();
        } else {
            coordinator.confirmations.answer(&token);
            coordinator.counters.confirmations_refused.add();
        }
    }
}

#[cfg(test)]
#[path = "confirmations_tests.rs"]
mod tests;

const _: () = assert!(CONFIRMATION_VALID_MS <= 300_000, "a task lapses at the agent before it lapses here");
