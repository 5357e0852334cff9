//! The door for everything that the coordinator sends: verified, cut to the policy, kept on disk, handed on.

use crate::agent::Agent;
use crate::policy::{Policy, Refusal};
use crate::runner::Order;
use crate::schedule::accept;
use faultline_model::{Category, CheckKind, TaskList};
use faultline_proto::agent as wire;
use faultline_proto::convert::{confirmation_from_wire, list_from_wire};
use faultline_runtime::now;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// A confirmation is of no use later, whatever the coordinator says.
const MAX_VALIDITY: Duration = Duration::from_secs(600);

/// The door.
#[derive(Debug)]
pub struct Intake {
    agent: Arc<Agent>,
    orders: mpsc::Sender<Order>,
    schedule: Option<wire::Schedule>,
}

impl Intake {
    /// Makes the door of an agent.
    #[must_use]
    pub fn new(agent: Arc<Agent>, orders: mpsc::Sender<Order>) -> Self {
        Self { agent, orders, schedule: None }
    }

    /// Returns the agent.
    #[must_use]
    pub const fn agent(&self) -> &Arc<Agent> {
        &self.agent
    }

    /// Goes on with what is on disk, as after a start without a coordinator.
    pub async fn resume(&mut self) {
        let list = self.agent.policy().list().cloned();
        if let Some(list) = list {
            self.note_list(&list);
        }
        let agent = Arc::clone(&self.agent);
        let held = tokio::task::spawn_blocking(move || agent.home.schedule()).await;
        if let Ok(Some(schedule)) = held {
            self.follow(schedule).await;
        }
    }

    /// Takes a signed list if it is signed by the operators and newer than the one that is held.
    pub async fn list(&mut self, message: wire::SignedList) {
        let held = self.agent.policy().list().map_or(0, |list| list.version);
        let Ok(signed) = list_from_wire(message) else {
            return self.refuse_list("malformed");
        };
        let list = match self.agent.record.operators.verify_newer(&signed, held, now()) {
            Ok(list) => list,
            Err(error) => return self.refuse_list(error.reason()),
        };
        let agent = Arc::clone(&self.agent);
        let saved = tokio::task::spawn_blocking(move || agent.home.save_list(signed)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "the list cannot be written; it is obeyed until the next restart only");
        }
        tracing::info!(version = list.version, targets = list.targets.len(), "obeys a new signed list");
        self.note_list(&list);
        let announced = announcement(&self.agent.policy());
        self.agent.policy().set_list(list);
        if announcement(&self.agent.policy()) != announced {
            // The list's categories and its word on this country's risk change what is permitted, and so what is announced.
            self.agent.terms_changed.notify_one();
        }
        self.recut().await;
    }

    /// Takes a schedule, as far as the held list allows it.
    pub async fn schedule(&mut self, schedule: wire::Schedule) {
        let agent = Arc::clone(&self.agent);
        let copy = schedule.clone();
        let saved = tokio::task::spawn_blocking(move || agent.home.save_schedule(&copy)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "the schedule cannot be written; it is followed until the next restart only");
        }
        self.follow(schedule).await;
    }

    /// Cuts the schedule that is followed to changed terms.
    pub async fn recut(&mut self) {
        if let Some(schedule) = self.schedule.take() {
            self.follow(schedule).await;
        }
    }

    /// Hands a confirmation on, if it can be read and the held list allows it.
    pub fn confirmation(&self, message: wire::Confirmation) {
        let validity = Duration::from_millis(message.valid_for_ms).min(MAX_VALIDITY);
        let Ok(task) = confirmation_from_wire(message) else {
            return self.refuse(Refusal::Malformed);
        };
        if let Err(refusal) = self.agent.policy().allows(task.check, &task.target, now()) {
            return self.refuse(refusal);
        }
        let order = Order::Confirm { task, until: Instant::now() + validity };
        if self.orders.try_send(order).is_err() {
            self.refuse(Refusal::Busy);
        }
    }

    async fn follow(&mut self, schedule: wire::Schedule) {
        let (entries, refusals) = accept(&schedule, &self.agent.policy(), now());
        if !refusals.is_empty() {
            tracing::warn!(refused = refusals.len(), "the schedule asks for what is not allowed");
        }
        refusals.into_iter().for_each(|refusal| self.agent.status.refused(refusal));
        let (generation, count) = (schedule.generation, entries.len());
        self.agent.status.held(|held| {
            held.generation = generation;
            held.entries = count;
        });
        self.schedule = Some(schedule);
        // The runner ends only with the whole agent.
        let _ = self.orders.send(Order::Schedule(entries)).await;
    }

    fn note_list(&self, list: &TaskList) {
        let (version, expires_at) = (list.version, list.expires_at);
        self.agent.status.held(|held| {
            held.list_version = version;
            held.list_expires_at = Some(expires_at);
        });
    }

    fn refuse_list(&self, reason: &str) {
        tracing::warn!(reason, "refuses a task list and keeps the one it holds");
        self.agent.status.refused_for(&format!("list_{reason}"));
    }

    fn refuse(&self, refusal: Refusal) {
        tracing::debug!(reason = refusal.reason(), "refuses a confirmation");
        self.agent.status.refused(refusal);
    }
}

/// What a hello says of the terms.
fn announcement(policy: &Policy) -> (BTreeSet<CheckKind>, BTreeSet<Category>) {
    (policy.permitted_kinds(), policy.unmeasured_categories())
}
