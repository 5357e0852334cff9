//! Planning: a task list and the vantage points in, one schedule per agent out. Pure.
//!
//! Cadence belongs to the cell (target x operator family). Within a family the agents take turns: in every cell period
//! each target is looked at once, by another agent each time, so that more volunteers mean more votes per cell and less
//! work for each. With `m` agents a target's entry on one agent has the period `m x P`.
//!
//! Stagger: a family's targets are spread over the period, those of one service evenly (module `interleave`); families are offset against each other by equal parts of the period, so that any target is seen
//! somewhere in the country as often as possible; so are the controls, each of which looks at every target.
//!
//! Budget: routine checks take at most the part of a day's checks that is not kept back. Where that does not suffice
//! the period stretches, and [`GroupCost::fits`] says so. Controls belong to operators and have no budget.

mod budget;
mod interleave;

pub use budget::{DayBudget, beat_s, day_budget};

use self::interleave::Item;
use crate::store::Budget;
use faultline_model::{AgentId, Asn, Category, CheckKind, CountryCode, Depth, OwnHosts, Target, TaskList};
use std::collections::BTreeMap;

/// Whom an agent shares its cells with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// An operator family, by its main ASN.
    Family(CountryCode, Asn),
    /// Agents of a country whose network nobody knows.
    Unknown(CountryCode),
    /// Controls.
    Control,
}

/// A vantage point as planning sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanAgent {
    /// The agent.
    pub id: AgentId,
    /// Whom it shares its cells with.
    pub group: Group,
    /// How much its line may be used.
    pub budget: Budget,
    /// The checks that it knows.
    pub kinds: Vec<CheckKind>,
    /// The categories of which it measures nothing.
    pub unmeasured: Vec<Category>,
}

/// One recurring task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What is run.
    pub check: CheckKind,
    /// Against what.
    pub target: Target,
    /// Milliseconds between two runs.
    pub period_ms: u64,
    /// Runs begin when the Unix time in milliseconds is congruent to this modulo the period.
    pub phase_ms: u64,
    /// How much of the check is run.
    pub depth: Depth,
}

/// What a list costs the agents of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCost {
    /// The group.
    pub group: Group,
    /// Its agents.
    pub agents: usize,
    /// Routine checks per day of the agent that has most to do.
    pub checks_per_day: u64,
    /// Bytes per day of that agent.
    pub bytes_per_day: u64,
    /// The period that a cell can be kept at.
    pub cell_period_ms: u64,
    /// The list's own period is kept within all budgets.
    pub fits: bool,
}

/// Who does what.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Plan {
    /// Each agent's tasks.
    pub entries: BTreeMap<AgentId, Vec<Entry>>,
    /// What it costs, by group.
    pub costs: Vec<GroupCost>,
}

impl Plan {
    /// Drops what would make the coordinator itself the far end of a circumvention check.
    pub fn forget(&mut self, own: &OwnHosts) {
        for entries in self.entries.values_mut() {
            entries.retain(|entry| !own.are_met_by(entry.check, &entry.target));
        }
    }
}

const DAY_MS: u64 = 86_400_000;

/// Plans a list for the vantage points at hand.
#[must_use]
pub fn plan(list: &TaskList, agents: &[PlanAgent]) -> Plan {
    let items = interleave::interleave(list);
    let mut groups: BTreeMap<Group, Vec<&PlanAgent>> = BTreeMap::new();
    for agent in agents {
        groups.entry(agent.group).or_default().push(agent);
    }
    let families = groups.keys().filter(|group| **group != Group::Control).count();
    let mut plan = Plan::default();
    let mut family = 0;
    for (group, mut members) in groups {
        members.sort_by(|a, b| a.id.cmp(&b.id));
        members.dedup_by(|a, b| a.id == b.id);
        if group == Group::Control {
            let items: Vec<Item<'_>> = items.iter().copied().chain(interleave::landmarks(list)).collect();
            plan_controls(list, &items, &members, &mut plan);
        } else {
            plan_family(list, &items, &members, (family, families), &mut plan);
            family += 1;
        }
    }
    plan
}

fn base_period_ms(list: &TaskList) -> u64 {
    u64::from(list.limits.cell_period_s.max(list.limits.min_interval_s)) * 1000
}

/// A family's members of one budget class take turns at every target.
fn plan_family(
    list: &TaskList,
    items: &[Item<'_>],
    members: &[&PlanAgent],
    (index, of): (usize, usize),
    plan: &mut Plan,
) {
    let base = base_period_ms(list);
    let can_any = |item: &&Item<'_>| members.iter().any(|agent| can_do(agent, item));
    let items: Vec<Item<'_>> = items.iter().filter(can_any).copied().collect();
    let needed = needed_per_day(&items, base);
    let capacity: u64 = members.iter().map(|agent| day_budget(agent.budget).routine_checks()).sum();
    let fits = needed <= capacity && capacity > 0;
    let mut rate_per_day = 0.0;
    let (mut dearest, mut heaviest, mut is_affordable) = (0, 0, true);
    for (class, budget) in [Budget::Standard, Budget::Small].into_iter().enumerate() {
        let turns: Vec<_> = members.iter().filter(|agent| agent.budget == budget).copied().collect();
        let Some(count) = u64::try_from(turns.len()).ok().filter(|count| *count > 0) else { continue };
        let part = count * day_budget(budget).routine_checks();
        // Each class carries the part of the work that its budget is of all, so all lines are used alike.
        let period =
            if fits { (base * capacity).div_ceil(part) } else { share_of_day(items.len(), 1).div_ceil(part) };
        let period = period.max(base);
        // The second class looks half-way between two looks of the first.
        let offset = |period: u64| period * u64_of(index) / u64_of(of.max(1)) + u64_of(class) * period / 2;
        let mut period = period;
        let mut shares = take_turns(&items, &turns, period, offset(period));
        // Whoever measures what others do not has more to do than an equal part.
        let most = shares.iter().map(|entries| checks_per_day(entries)).max().unwrap_or(0);
        if most > day_budget(budget).routine_checks() && !are_alike(&turns) {
            // Counts are rounded up for each period that an agent has, of which there are few.
            period = (period * (most + 16)).div_ceil(day_budget(budget).routine_checks());
            is_affordable = false;
            shares = take_turns(&items, &turns, period, offset(period));
        }
        for (agent, kept) in turns.iter().zip(shares) {
            let bytes = bytes_per_day(&kept);
            dearest = dearest.max(checks_per_day(&kept));
            heaviest = heaviest.max(bytes);
            is_affordable &= bytes <= day_budget(budget).routine_bytes();
            plan.entries.insert(agent.id.clone(), kept);
        }
        rate_per_day += 1.0 / millis_as_float(period);
    }
    plan.costs.push(GroupCost {
        group: members[0].group,
        agents: members.len(),
        checks_per_day: dearest,
        bytes_per_day: heaviest,
        cell_period_ms: period_of(rate_per_day),
        fits: fits && is_affordable,
    });
}

/// Divides a class's work among its agents. Those who can do an item take turns at it: at place `p` of round `k` it is the
/// turn of agent `(k + p) mod turns` of them, so consecutive looks, at one target and at neighbouring ones, come from
/// different agents, and nobody is counted on for what she does not measure.
fn take_turns(items: &[Item<'_>], agents: &[&PlanAgent], period: u64, offset: u64) -> Vec<Vec<Entry>> {
    let mut shares = vec![Vec::new(); agents.len()];
    for (place, item) in items.iter().enumerate() {
        let able: Vec<usize> = (0..agents.len()).filter(|at| can_do(agents[*at], item)).collect();
        let period = period_of_item(item, period);
        let cycle = period * u64_of(able.len());
        for (turn, at) in able.iter().enumerate() {
            let round = (turn + able.len() - place % able.len()) % able.len();
            let phase_ms = (u64_of(round) * period + part_of(period, item.position) + offset) % cycle;
            let (target, depth) = (item.target.clone(), Depth::Light);
            shares[*at].push(Entry { check: item.check, target, period_ms: cycle, phase_ms, depth });
        }
    }
    shares
}

fn are_alike(agents: &[&PlanAgent]) -> bool {
    agents.windows(2).all(|pair| pair[0].kinds == pair[1].kinds && pair[0].unmeasured == pair[1].unmeasured)
}

/// Every control looks at every target, and at every landmark, once in a cell period.
fn plan_controls(list: &TaskList, items: &[Item<'_>], members: &[&PlanAgent], plan: &mut Plan) {
    let period = base_period_ms(list);
    let (mut dearest, mut heaviest) = (0, 0);
    for (index, agent) in members.iter().enumerate() {
        let offset = period * u64_of(index) / u64_of(members.len());
        let kept = take_turns(items, &[*agent], period, offset).swap_remove(0);
        dearest = dearest.max(checks_per_day(&kept));
        heaviest = heaviest.max(bytes_per_day(&kept));
        plan.entries.insert(agent.id.clone(), kept);
    }
    plan.costs.push(GroupCost {
        group: Group::Control,
        agents: members.len(),
        checks_per_day: dearest,
        bytes_per_day: heaviest,
        cell_period_ms: period,
        fits: true,
    });
}

/// Says whether an agent can do a task: it knows the check and measures the category, and a small budget never pays for a
/// download.
fn can_do(agent: &PlanAgent, item: &Item<'_>) -> bool {
    let is_too_heavy = agent.budget == Budget::Small && item.check == CheckKind::Throughput;
    let is_unmeasured = item.category.is_some_and(|category| agent.unmeasured.contains(category));
    agent.kinds.contains(&item.check) && !is_unmeasured && !is_too_heavy
}

/// Some checks are too heavy for the period of a cell.
fn period_of_item(item: &Item<'_>, period: u64) -> u64 {
    period.max(u64::try_from(item.check.least_interval().as_millis()).unwrap_or(u64::MAX))
}

/// Checks a day when each item is run at its own period, rounded up.
fn needed_per_day(items: &[Item<'_>], base: u64) -> u64 {
    let mut by_period: BTreeMap<u64, usize> = BTreeMap::new();
    for item in items {
        *by_period.entry(period_of_item(item, base)).or_default() += 1;
    }
    by_period.into_iter().map(|(period, count)| share_of_day(count, period)).sum()
}

/// Counts what entries may cost a day on the wire.
fn bytes_per_day(entries: &[Entry]) -> u64 {
    let each =
        |entry: &Entry| entry.check.expected_bytes(entry.depth) * DAY_MS.div_ceil(entry.period_ms.max(1));
    entries.iter().map(each).sum()
}

/// Checks a day when so many items are each run once in a period, rounded up.
fn share_of_day(items: usize, period_ms: u64) -> u64 {
    (u64_of(items) * DAY_MS).div_ceil(period_ms.max(1))
}

/// Counts what entries cost a day, rounded up over all of them.
#[must_use]
pub fn checks_per_day(entries: &[Entry]) -> u64 {
    let mut by_period: BTreeMap<u64, usize> = BTreeMap::new();
    for entry in entries {
        *by_period.entry(entry.period_ms).or_default() += 1;
    }
    by_period.into_iter().map(|(period, count)| share_of_day(count, period)).sum()
}

fn u64_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "periods are far below 2^52 ms")]
fn millis_as_float(ms: u64) -> f64 {
    ms as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of some minutes")]
fn part_of(period_ms: u64, part: f64) -> u64 {
    (millis_as_float(period_ms) * part) as u64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive period of some minutes"
)]
fn period_of(rate: f64) -> u64 {
    if rate > 0.0 { (1.0 / rate).round() as u64 } else { 0 }
}

#[cfg(test)]
mod tests;
