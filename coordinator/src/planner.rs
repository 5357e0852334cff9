//! The planner: a reconciler that turns the newest list and the fleet into schedules. Nudged by enrolments, lists,
//! arrivals and departures; timed for departures that became final. Safe to repeat: it changes nothing when nothing
//! changed.

use crate::coordinator::Coordinator;
use crate::planning::{Group, GroupCost, PlanAgent, plan};
use crate::store::{Budget, StoreError, tolerate};
use faultline_model::{AgentId, CheckKind, TaskList};
use faultline_proto::operator::AgentCost;
use faultline_runtime::now;
use std::sync::Arc;
use std::time::Duration;

/// Many agents arrive at once after a restart; they are planned for together.
const GATHER: Duration = Duration::from_millis(400);
/// A look even if nobody nudges.
const TIMER: Duration = Duration::from_secs(30);

/// Plans until asked to stop.
pub(crate) async fn run(coordinator: Arc<Coordinator>) -> Result<(), StoreError> {
    loop {
        tolerate(replan(&coordinator).await)?;
        let until_departure = coordinator.fleet.next_departure(now()).map_or(TIMER, |at| at.since(now()));
        tokio::select! {
            () = coordinator.stop.cancelled() => return Ok(()),
            () = coordinator.replan.notified() => {}
            () = tokio::time::sleep(until_departure.min(TIMER)) => {}
        }
        tokio::select! {
            () = coordinator.stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(GATHER) => {}
        }
    }
}

/// Plans once.
pub(crate) async fn replan(coordinator: &Coordinator) -> Result<(), StoreError> {
    let Some(kept) = coordinator.lists.newest() else { return Ok(()) };
    let agents = coordinator.fleet.plannable(&coordinator.countries, now());
    let version = kept.list.version;
    let mut plan = plan(&kept.list, &agents);
    // A list may be older than an address of this coordinator.
    plan.forget(&coordinator.own_hosts());
    if !coordinator.fleet.differs(&plan, version) {
        return Ok(());
    }
    let generation = coordinator.registry.next_generation(1).await?;
    coordinator.fleet.apply(&plan, version, generation);
    tracing::info!(generation, version, agents = agents.len(), "a new plan is in force");
    Ok(())
}

/// Returns what a list would cost, the dearest group first. Without any volunteer: what it would cost a family of three.
pub(crate) fn costs(coordinator: &Coordinator, list: &TaskList) -> Vec<AgentCost> {
    let mut agents = coordinator.fleet.plannable(&coordinator.countries, now());
    let is_empty = agents.iter().all(|agent| agent.group == Group::Control);
    if is_empty {
        agents.extend((0_u8..3).map(|number| PlanAgent {
            id: AgentId::from_bytes([number; 16]),
            group: Group::Unknown("XX".parse().expect("two capital letters")),
            budget: Budget::Standard,
            kinds: vec![CheckKind::Web, CheckKind::Quic, CheckKind::Throughput],
            unmeasured: vec![],
        }));
    }
    let mut costs: Vec<AgentCost> =
        plan(list, &agents).costs.iter().map(|cost| cost_to_wire(coordinator, cost, is_empty)).collect();
    costs.sort_by(|a, b| {
        a.fits
            .cmp(&b.fits)
            .then(b.cell_period_s.cmp(&a.cell_period_s))
            .then(b.checks_per_day.cmp(&a.checks_per_day))
    });
    costs
}

fn cost_to_wire(coordinator: &Coordinator, cost: &GroupCost, is_empty: bool) -> AgentCost {
    let operator = match cost.group {
        Group::Family(country, asn) => coordinator.countries.family(country, asn).name,
        Group::Unknown(_) if is_empty => "(a network with three volunteers)".to_owned(),
        Group::Unknown(country) => format!("(unknown network, {country})"),
        Group::Control => "(controls)".to_owned(),
    };
    AgentCost {
        operator,
        agents: u32::try_from(cost.agents).unwrap_or(u32::MAX),
        checks_per_day: u32::try_from(cost.checks_per_day).unwrap_or(u32::MAX),
        bytes_per_day: cost.bytes_per_day,
        cell_period_s: u32::try_from(cost.cell_period_ms.div_ceil(1000)).unwrap_or(u32::MAX),
        fits: cost.fits,
    }
}
