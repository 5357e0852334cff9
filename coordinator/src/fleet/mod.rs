//! The fleet: every enrolled agent, which of them are connected, and what each shall do. In memory; the store keeps
//! what must survive.
//!
//! An agent has at most one stream: a newer one replaces the older, because a line that broke silently looks connected
//! for a while. Schedules are not queued: a stream is told that something changed and takes the newest. Only
//! confirmations wait in a queue per stream; when it is full, the confirmation is refused and counted, and the detector
//! asks somebody else.

mod candidates;

pub(crate) use candidates::Candidate;

use crate::countries::Countries;
use crate::planning::{Entry, Group, Plan, PlanAgent, day_budget};
use crate::store::{AgentRecord, Budget};
use faultline_model::{AgentId, Asn, Category, CheckKind, Task, Timestamp};
use faultline_proto::agent::Beat;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Confirmations that wait for a slow agent.
const MAILBOX: usize = 64;
/// An agent that went is planned for as if it were there for so long: lines break for a moment all the time.
pub(crate) const DEPARTED_AFTER: Duration = Duration::from_secs(300);

/// A schedule with the generation at which it last changed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct AgentSchedule {
    pub(crate) generation: u64,
    pub(crate) list_version: u64,
    pub(crate) entries: Vec<Entry>,
}

impl AgentSchedule {
    fn differs(&self, entries: &[Entry], list_version: u64) -> bool {
        self.entries != entries || self.list_version != list_version
    }
}

#[derive(Debug)]
struct Stream {
    number: u64,
    mailbox: mpsc::Sender<Task>,
}

#[derive(Debug)]
struct Member {
    record: AgentRecord,
    /// Categories of which it says that it measures nothing. In memory only, and only while it is there: what somebody
    /// would not have measured is her own affair.
    unmeasured: Vec<Category>,
    /// The network that its newest stream came from, else the one that it was enrolled from.
    network: Option<Asn>,
    stream: Option<Stream>,
    list_version: u64,
    clock_offset_ms: i64,
    schedule: Arc<AgentSchedule>,
    is_dirty: bool,
}

/// What an agent says of itself when its stream opens.
#[derive(Clone, Debug)]
pub(crate) struct Greeting {
    pub(crate) agent_version: String,
    pub(crate) kinds: Vec<CheckKind>,
    pub(crate) unmeasured: Vec<Category>,
    pub(crate) budget: Budget,
    pub(crate) paused: bool,
    pub(crate) list_version: u64,
    pub(crate) clock_offset_ms: i64,
}

/// What operators see of an agent.
#[derive(Clone, Debug)]
pub(crate) struct MemberView {
    pub(crate) record: AgentRecord,
    pub(crate) network: Option<Asn>,
    pub(crate) is_connected: bool,
    pub(crate) list_version: u64,
}

/// A stream's end of the line to the fleet.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: u64,
    /// Closes when a newer stream of the same agent replaces this one.
    pub(crate) mailbox: mpsc::Receiver<Task>,
    /// Changes with every plan.
    pub(crate) plans: watch::Receiver<u64>,
}

/// Every enrolled agent.
#[derive(Debug)]
pub(crate) struct Fleet {
    members: Mutex<BTreeMap<AgentId, Member>>,
    streams: AtomicU64,
    /// Rises with every plan, which open streams then look at.
    plans: watch::Sender<u64>,
}

impl Fleet {
    pub(crate) fn new(records: Vec<AgentRecord>) -> Self {
        let members = records.into_iter().map(|record| (record.id.clone(), Member::new(record))).collect();
        Self { members: Mutex::new(members), streams: AtomicU64::new(0), plans: watch::Sender::new(0) }
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<AgentId, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, record: AgentRecord) {
        self.members().entry(record.id.clone()).or_insert_with(|| Member::new(record));
    }

    pub(crate) fn record(&self, agent: &AgentId) -> Option<AgentRecord> {
        self.members().get(agent).map(|member| member.record.clone())
    }

    /// Opens an agent's stream; an older stream of the same agent ends. Returns `None` for a stranger, and else
    /// whether an older stream was replaced.
    pub(crate) fn connect(
        &self,
        agent: &AgentId,
        network: Option<Asn>,
        greeting: Greeting,
        now: Timestamp,
    ) -> Option<(Line, bool)> {
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let mut members = self.members();
        let member = members.get_mut(agent)?;
        let number = self.streams.fetch_add(1, Ordering::Relaxed);
        member.network = network.or(member.record.asn);
        member.record.agent_version = greeting.agent_version;
        member.record.kinds = greeting.kinds;
        member.unmeasured = greeting.unmeasured;
        member.record.budget = greeting.budget;
        member.record.paused = greeting.paused;
        member.list_version = greeting.list_version;
        member.clock_offset_ms = greeting.clock_offset_ms;
        member.see(now);
        let replaced = member.stream.replace(Stream { number, mailbox: sender }).is_some();
        Some((Line { number, mailbox, plans: self.plans.subscribe() }, replaced))
    }

    /// Closes a stream, unless a newer one replaced it. Returns whether the agent is gone by that.
    pub(crate) fn disconnect(&self, agent: &AgentId, number: u64, now: Timestamp) -> bool {
        let mut members = self.members();
        let Some(member) = members.get_mut(agent) else { return false };
        let is_current = member.stream.as_ref().is_some_and(|stream| stream.number == number);
        if is_current {
            member.stream = None;
            member.see(now);
        }
        is_current
    }

    /// Notes a beat. Returns whether the volunteer paused or resumed by it.
    pub(crate) fn beat(&self, agent: &AgentId, beat: &Beat, now: Timestamp) -> bool {
        let mut members = self.members();
        let Some(member) = members.get_mut(agent) else { return false };
        member.clock_offset_ms = beat.clock_ms.saturating_sub(now.unix_ms());
        member.see(now);
        std::mem::replace(&mut member.record.paused, beat.paused) != beat.paused
    }

    /// Notes which list an agent was sent.
    pub(crate) fn note_list(&self, agent: &AgentId, version: u64) {
        if let Some(member) = self.members().get_mut(agent) {
            member.list_version = version;
        }
    }

    /// Returns how far an agent's clock is ahead, in milliseconds.
    pub(crate) fn clock_offset_ms(&self, agent: &AgentId) -> i64 {
        self.members().get(agent).map_or(0, |member| member.clock_offset_ms)
    }

    pub(crate) fn schedule(&self, agent: &AgentId) -> Arc<AgentSchedule> {
        self.members().get(agent).map(|member| Arc::clone(&member.schedule)).unwrap_or_default()
    }

    /// Puts a task into an agent's mailbox; false if the agent is gone or its mailbox is full.
    pub(crate) fn send(&self, agent: &AgentId, task: Task) -> bool {
        let members = self.members();
        let stream = members.get(agent).and_then(|member| member.stream.as_ref());
        stream.is_some_and(|stream| stream.mailbox.try_send(task).is_ok())
    }

    /// Returns the vantage points to plan for: connected and not paused, or gone for a moment only.
    pub(crate) fn plannable(&self, countries: &Countries, now: Timestamp) -> Vec<PlanAgent> {
        let members = self.members();
        let active = members.values().filter(|member| member.is_active(now));
        active
            .map(|member| PlanAgent {
                id: member.record.id.clone(),
                group: group_of(countries, &member.record, member.network),
                budget: member.record.budget,
                kinds: member.record.kinds.clone(),
                unmeasured: member.unmeasured.clone(),
            })
            .collect()
    }

    /// Returns the moment at which the next departed agent stops being planned for.
    pub(crate) fn next_departure(&self, now: Timestamp) -> Option<Timestamp> {
        let members = self.members();
        let gone = members.values().filter(|member| member.stream.is_none() && member.is_active(now));
        gone.filter_map(|member| member.record.last_seen).map(|seen| seen + DEPARTED_AFTER).min()
    }

    /// Says whether a plan changes anything for anybody that it is about. Agents that are away or paused keep what
    /// they have: they go on with it when cut off, and are planned for when they come back.
    pub(crate) fn differs(&self, plan: &Plan, list_version: u64) -> bool {
        let members = self.members();
        plan.entries.iter().any(|(id, entries)| {
            members.get(id).is_some_and(|member| member.schedule.differs(entries, list_version))
        })
    }

    /// Takes over a plan: agents whose tasks changed get the generation, and streams are told.
    pub(crate) fn apply(&self, plan: &Plan, list_version: u64, generation: u64) {
        let mut members = self.members();
        for (id, entries) in &plan.entries {
            if let Some(member) =
                members.get_mut(id).filter(|member| member.schedule.differs(entries, list_version))
            {
                member.schedule =
                    Arc::new(AgentSchedule { generation, list_version, entries: entries.clone() });
            }
        }
        self.plans.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Returns the cohorts of the agents that have one.
    pub(crate) fn cohorts(&self) -> BTreeMap<AgentId, String> {
        let members = self.members();
        let named = members.values().map(|member| &member.record).filter(|record| !record.cohort.is_empty());
        named.map(|record| (record.id.clone(), record.cohort.clone())).collect()
    }

    pub(crate) fn views(&self, now: Timestamp) -> Vec<MemberView> {
        self.members().values().map(|member| member.view(now)).collect()
    }

    /// Returns the records that changed since the last call, to be kept.
    pub(crate) fn take_dirty(&self) -> Vec<AgentRecord> {
        let mut members = self.members();
        let dirty = members.values_mut().filter(|member| member.is_dirty);
        dirty
            .map(|member| {
                member.is_dirty = false;
                member.record.clone()
            })
            .collect()
    }
}

impl Member {
    fn new(record: AgentRecord) -> Self {
        Self {
            network: record.asn,
            record,
            unmeasured: vec![],
            stream: None,
            list_version: 0,
            clock_offset_ms: 0,
            schedule: Arc::default(),
            is_dirty: false,
        }
    }

    fn see(&mut self, now: Timestamp) {
        self.record.last_seen = Some(now);
        self.is_dirty = true;
    }

    /// The stream is open and was heard lately. A line that broke silently looks open for a while.
    fn is_connected(&self, now: Timestamp) -> bool {
        let silent_after = day_budget(self.record.budget).silent_after;
        self.stream.is_some() && self.record.last_seen.is_some_and(|seen| now.since(seen) < silent_after)
    }

    fn is_active(&self, now: Timestamp) -> bool {
        let was_here = self.record.last_seen.is_some_and(|seen| now.since(seen) < DEPARTED_AFTER);
        !self.record.paused && (self.stream.is_some() || was_here)
    }

    fn view(&self, now: Timestamp) -> MemberView {
        MemberView {
            record: self.record.clone(),
            network: self.network,
            is_connected: self.is_connected(now),
            list_version: self.list_version,
        }
    }
}

/// Returns whom an agent shares its cells with.
pub(crate) fn group_of(countries: &Countries, record: &AgentRecord, network: Option<Asn>) -> Group {
    match network {
        _ if record.control => Group::Control,
        Some(asn) => Group::Family(record.country, countries.family(record.country, asn).asn),
        None => Group::Unknown(record.country),
    }
}

#[cfg(test)]
mod tests;
