//! Asking for more: confirmations that separate the explanations still standing (method 5).
//!
//! 1. A first failure: the controls, two other agents of the network, and a canary from the failing agent.
//! 2. Two agents agree: the rest of the network, two agents of every other network on the same target; agents
//!    that answered once may answer once more.
//! 3. ln E of the suspicion above 5, or an alarm: one target of every service of the same kind on all networks,
//!    then what else belongs to the services that fail.
//! 4. An open incident: one agent per network on a rotating target, about every 30 s at first, rarer as it goes
//!    on. After the first success, the others of that network.
//!
//! Bounds: an agent is asked twice per target in five minutes and 40 times per incident, at most half of a
//! network's agents per round unless it has fewer than four, and at most four open asks per agent. Only what
//! agents hold in their signed list is ever asked, because targets come from it.

mod controls;
mod landmarks;
mod mapping;
mod outage;
mod standing;
mod suspicion;

use super::core::Core;
use super::store::{ASKED_PER_TARGET, ASKED_WINDOW_MS, Ms};
use super::world::{FamilyNo, TargetNo};
use super::{Ask, AskReason, Who};
use faultline_model::{AgentId, CheckKind, Target};
use std::collections::{BTreeMap, BTreeSet};

/// An answer is awaited so long before somebody else is asked.
const PATIENCE_MS: Ms = 20_000;
/// An agent that looked at a target is not asked for it again before: a second look at once says little new, and
/// the two that it may be asked for in five minutes are needed for the end as well.
const AGAIN_MS: Ms = 3_000;
/// Asks are remembered so long.
const MEMORY_MS: Ms = ASKED_WINDOW_MS + PATIENCE_MS;
/// Confirmations of one agent in one incident.
const PER_INCIDENT: usize = 40;
/// Open asks per agent.
const OPEN_PER_AGENT: usize = 4;
/// How often to look while something is open, and while an incident lasts.
const BUSY_MS: Ms = 2_000;
const CALM_MS: Ms = 10_000;
/// How often silent networks are looked for that have landmarks.
const SURVEY_MS: Ms = 500;
/// So many open suspicions put the next decision off by a millisecond, up to this.
const STREAMS_A_MS: Ms = 4;
const MOST_PACE_MS: Ms = 250;

/// Whom an ask went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Family(FamilyNo),
    Agent(usize),
    Controls,
}

/// What was asked lately.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// When, and for how many answers.
    issued: BTreeMap<(Asked, TargetNo), Vec<(Ms, usize)>>,
    /// When each network was last looked after in an open incident.
    followed: BTreeMap<FamilyNo, Ms>,
    /// When controls were last asked about a landmark.
    landmarks: BTreeMap<Target, Ms>,
    wake: Option<Ms>,
    /// When it was last decided what to ask.
    planned: Ms,
    /// When landmarks were last thought of.
    surveyed: Ms,
}

impl Plan {
    /// Returns when to look again.
    pub(super) fn next(&self, now: Ms) -> Option<Ms> {
        self.wake.map(|at| at.max(now + 1))
    }
}

/// One wish to ask agents of a family; lower priorities come first, and priority 0 need not wait for others.
#[derive(Clone, Debug)]
struct Want {
    priority: u8,
    since: Ms,
    family: FamilyNo,
    target: TargetNo,
    count: usize,
    reason: AskReason,
    /// Agents that shall not be chosen although they may.
    spared: BTreeSet<usize>,
}

impl Core {
    /// Decides what is asked now.
    pub(super) fn plan_asks(&mut self) -> Vec<Ask> {
        let now = self.now;
        // One suspicion is asked about at once; a thousand of them together a moment later.
        let pace =
            (Ms::try_from(self.readings.stream_count()).unwrap_or(Ms::MAX) / STREAMS_A_MS).min(MOST_PACE_MS);
        let due = self.plan.planned + pace;
        if now < due {
            self.plan.wake = Some(self.plan.wake.map_or(due, |wake| wake.min(due)));
            return Vec::new();
        }
        self.plan.planned = now;
        self.plan.issued.retain(|_, issued| {
            issued.retain(|(at, _)| now - *at <= MEMORY_MS);
            !issued.is_empty()
        });
        let mut asks = Vec::new();
        self.ask_controls(&mut asks);
        self.ask_canaries(&mut asks);
        if now - self.plan.surveyed >= SURVEY_MS {
            self.plan.surveyed = now;
            self.ask_landmarks(&mut asks);
        }
        let mut wants = self.want_suspicions();
        wants.extend(self.want_mapping());
        wants.extend(self.want_ends());
        wants.extend(self.want_outages());
        wants.sort_by_key(|want| (want.priority, want.since, want.family, want.target));
        let mut granted = BTreeSet::new();
        for want in wants {
            if granted.insert((want.family, want.target)) {
                asks.extend(self.grant(&want));
            }
        }
        asks.extend(self.follow_up());
        self.ask_downloads(&mut asks);
        self.plan.wake = self.next_look();
        asks
    }

    fn next_look(&self) -> Option<Ms> {
        let mut issued = self.plan.issued.values().flatten();
        let is_busy = issued.any(|(at, _)| self.now - at < PATIENCE_MS) || self.readings.stream_count() > 0;
        let has_open = self.cells.alarms().any(|(_, _, alarm)| alarm.is_open())
            || self.incidents.outages.values().any(|outage| outage.cleared.is_none())
            || self.presences.cuts.values().any(|cut| cut.is_open());
        let pace = if is_busy { Some(BUSY_MS) } else { has_open.then_some(CALM_MS) };
        pace.map(|pace| self.now + pace).into_iter().chain(self.incidents.wake).min()
    }

    /// Turns a wish into an ask as far as the bounds allow.
    fn grant(&mut self, want: &Want) -> Option<Ask> {
        let mut exclude = self.exhausted(want.family, want.target);
        exclude.extend(want.spared.iter().copied());
        let agents = self.family_agents(want.family);
        let free = agents.iter().filter(|agent| !exclude.contains(agent)).count();
        let round = if agents.len() < 4 { agents.len() } else { agents.len() / 2 };
        let open = if want.priority == 0 { 0 } else { self.open_asks(want.family) };
        let room = (agents.len() * OPEN_PER_AGENT).saturating_sub(open);
        let count = want.count.min(free).min(round).min(room);
        if count == 0 {
            return None;
        }
        self.note(Asked::Family(want.family), want.target, count);
        let ids = |agents: BTreeSet<usize>| -> BTreeSet<AgentId> {
            agents.into_iter().map(|agent| self.store.agents[agent].id.clone()).collect()
        };
        Some(Ask {
            target: self.world.targets[want.target].target.clone(),
            check: CheckKind::Web,
            who: Who::Family(self.world.families[want.family].asn),
            count,
            reason: want.reason,
            exclude: ids(exclude),
        })
    }

    fn note(&mut self, whom: Asked, target: TargetNo, count: usize) {
        self.plan.issued.entry((whom, target)).or_default().push((self.now, count));
    }

    /// Returns how many answers of a family on a target are still awaited.
    fn awaited(&self, family: FamilyNo, target: TargetNo) -> usize {
        let Some(issued) = self.plan.issued.get(&(Asked::Family(family), target)) else { return 0 };
        let recent = issued.iter().filter(|(at, _)| self.now - at < PATIENCE_MS);
        let Some(first) = recent.clone().map(|(at, _)| *at).min() else { return 0 };
        let asked: usize = recent.map(|(_, count)| *count).sum();
        let entries = self.store.cell(family, target).between(first - PATIENCE_MS, self.now);
        let answered = entries.iter().filter(|entry| entry.asked && entry.received > first).count();
        asked.saturating_sub(answered)
    }

    /// Returns how many answers of a family are awaited on all targets.
    fn open_asks(&self, family: FamilyNo) -> usize {
        let own = (Asked::Family(family), 0)..=(Asked::Family(family), TargetNo::MAX);
        let targets = self.plan.issued.range(own).map(|((_, target), _)| *target);
        targets.map(|target| self.awaited(family, target)).sum()
    }

    /// Returns the agents of a family that were heard in the last 20 minutes.
    fn family_agents(&self, family: FamilyNo) -> &[usize] {
        self.active.get(family).map_or(&[], Vec::as_slice)
    }

    /// Returns the agents of a family that must not be asked about a target again so soon.
    fn exhausted(&self, family: FamilyNo, target: TargetNo) -> BTreeSet<usize> {
        self.family_agents(family).iter().copied().filter(|agent| self.is_exhausted(*agent, target)).collect()
    }

    fn is_exhausted(&self, agent: usize, target: TargetNo) -> bool {
        let outcomes = &self.store.agents[agent];
        let mut fresh = outcomes.all_between(self.now - AGAIN_MS, self.now).iter();
        if fresh.any(|outcome| outcome.target == target) {
            return true;
        }
        let asked = outcomes.all_between(self.now - ASKED_WINDOW_MS, self.now).iter();
        let here = asked.filter(|outcome| outcome.asked && outcome.target == target).count();
        let all = outcomes.all_between(self.episode_start(), self.now).iter();
        here >= ASKED_PER_TARGET || all.filter(|outcome| outcome.asked).count() >= PER_INCIDENT
    }

    /// Returns when the oldest thing that is still open began; confirmations are counted from there.
    fn episode_start(&self) -> Ms {
        let alarms =
            self.cells.alarms().filter(|(_, _, alarm)| alarm.is_open()).map(|(_, _, alarm)| alarm.onset);
        alarms.min().unwrap_or(self.now - ASKED_WINDOW_MS).min(self.now - ASKED_WINDOW_MS)
    }
}

/// Rounds a number of agents up.
fn ceil(number: f64) -> usize {
    (0..1_000_000_usize).find(|whole| super::evidence::count(*whole) >= number).unwrap_or(0)
}
