//! Enrolment, uploads, and the stream that keeps an agent's schedule up to date.
//!
//! One stream is one state machine that tonic polls: it reads the agent's beats and writes whatever is newer than what
//! it wrote before. Nothing is queued for an agent that does not read except its bounded mailbox of confirmations.

use super::ApiError;
use super::peer::{self, Caller};
use crate::coordinator::Coordinator;
use crate::enrolment;
use crate::fleet::{Greeting, Line};
use crate::ingest;
use crate::planning::{beat_s, day_budget};
use crate::store::{AgentRecord, PresenceEvent, PresenceKind};
use faultline_model::{AgentId, Asn, CountryCode, Task, Timestamp};
use faultline_proto::agent as wire;
use faultline_proto::agent::watch_schedule_request::Message as FromAgent;
use faultline_proto::agent::watch_schedule_response::Message as ToAgent;
use faultline_proto::convert::{depth_to_wire, list_to_wire};
use faultline_runtime::now;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response, Status, Streaming};

/// A stream whose agent does not introduce itself within this time ends.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);
/// After this many milliseconds an agent drops a confirmation.
pub(crate) const CONFIRMATION_VALID_MS: u64 = 30_000;

/// Enrolment: the only service that needs no certificate.
pub(super) struct Enrolments(pub(super) Arc<Coordinator>);

#[tonic::async_trait]
impl wire::enrolment_service_server::EnrolmentService for Enrolments {
    async fn enrol(
        &self,
        request: Request<wire::EnrolRequest>,
    ) -> Result<Response<wire::EnrolResponse>, Status> {
        let network = peer::caller(&request).network;
        let response = enrolment::enrol(&self.0, request.into_inner(), network).await?;
        Ok(Response::new(response))
    }
}

/// What enrolled agents do.
pub(super) struct Agents(pub(super) Arc<Coordinator>);

#[tonic::async_trait]
impl wire::agent_service_server::AgentService for Agents {
    type WatchScheduleStream = BoxStream<'static, Result<wire::WatchScheduleResponse, Status>>;

    async fn watch_schedule(
        &self,
        request: Request<Streaming<wire::WatchScheduleRequest>>,
    ) -> Result<Response<Self::WatchScheduleStream>, Status> {
        let (agent, caller) = peer::agent(&self.0, &request)?;
        let mut inbound = request.into_inner();
        let first = tokio::time::timeout(HELLO_DEADLINE, inbound.message()).await;
        let Ok(Some(wire::WatchScheduleRequest { message: Some(FromAgent::Hello(hello)) })) =
            first.unwrap_or(Ok(None))
        else {
            return Err(ApiError::Invalid("the first message of the stream must be a hello".into()).into());
        };
        let stream = AgentStream::open(Arc::clone(&self.0), &agent, &caller, hello, inbound)?;
        let messages = stream::unfold(stream, |mut stream| async move {
            let message = stream.next().await?;
            Some((message, stream))
        });
        Ok(Response::new(messages.boxed()))
    }

    async fn upload(
        &self,
        request: Request<wire::UploadRequest>,
    ) -> Result<Response<wire::UploadResponse>, Status> {
        let (agent, caller) = peer::agent(&self.0, &request)?;
        let messages = request.into_inner().measurements;
        let receipts = ingest::take(&self.0, &agent, caller.network, messages).await?;
        Ok(Response::new(wire::UploadResponse { receipts }))
    }
}

type Outgoing = Result<wire::WatchScheduleResponse, Status>;

/// One agent's open stream.
struct AgentStream {
    presence: Present,
    line: Line,
    inbound: Streaming<wire::WatchScheduleRequest>,
    outgoing: VecDeque<ToAgent>,
    sent_list: u64,
    sent_generation: Option<u64>,
    is_over: bool,
}

impl AgentStream {
    fn open(
        coordinator: Arc<Coordinator>,
        agent: &AgentRecord,
        caller: &Caller,
        hello: wire::Hello,
        inbound: Streaming<wire::WatchScheduleRequest>,
    ) -> Result<Self, ApiError> {
        let (at, network) = (now(), caller.network);
        let clock_offset_ms = hello.clock_ms.saturating_sub(at.unix_ms());
        let greeting = Greeting {
            agent_version: enrolment::short_text("agent_version", hello.agent_version)?,
            kinds: enrolment::kinds(&hello.check_kinds)?,
            unmeasured: enrolment::categories(&hello.unmeasured_categories)?,
            budget: enrolment::budget(hello.budget)?,
            paused: hello.paused,
            list_version: hello.list_version,
            clock_offset_ms,
        };
        let unknown = ApiError::Unauthenticated("this agent is not enrolled here; join with a new invite");
        let (line, replaced) = coordinator.fleet.connect(&agent.id, network, greeting, at).ok_or(unknown)?;
        if replaced {
            coordinator.counters.streams_replaced.add();
        }
        coordinator.replan.notify_one();
        let beat = day_budget(enrolment::budget(hello.budget)?).beat;
        let welcome = wire::Welcome {
            beat_interval_s: u32::try_from(beat.as_secs()).unwrap_or(u32::MAX),
            clock_ms: at.unix_ms(),
            country: if agent.control { String::new() } else { agent.country.to_string() },
            seen_address: caller.address.map(|address| address.0.to_string()).unwrap_or_default(),
            seen_asn: network.map_or(0, Asn::get),
        };
        let presence = Present {
            asn: network.or(agent.asn),
            country: agent.country,
            control: agent.control,
            beat_s: beat_s(enrolment::budget(hello.budget)?),
            coordinator,
            agent: agent.id.clone(),
            number: line.number,
            network,
            is_leaving: false,
        };
        presence.note(PresenceKind::Came, clock_offset_ms);
        if hello.paused {
            presence.note(PresenceKind::Paused, clock_offset_ms);
        }
        let mut stream = Self {
            presence,
            line,
            inbound,
            outgoing: VecDeque::from([ToAgent::Welcome(welcome)]),
            sent_list: hello.list_version,
            sent_generation: None,
            is_over: false,
        };
        stream.refresh();
        Ok(stream)
    }

    /// Returns the next message; `None` ends the stream.
    async fn next(&mut self) -> Option<Outgoing> {
        loop {
            if let Some(message) = self.outgoing.pop_front() {
                return Some(Ok(wire::WatchScheduleResponse { message: Some(message) }));
            }
            if self.is_over {
                return None;
            }
            // Everything that is waited for here can be dropped and waited for again.
            tokio::select! {
                () = self.presence.coordinator.stop.cancelled() => {
                    return self.end(Status::unavailable("the coordinator is stopping; come again"));
                }
                changed = self.line.plans.changed() => match changed {
                    Ok(()) => self.refresh(),
                    Err(_) => return None,
                },
                task = self.line.mailbox.recv() => match task {
                    Some(task) => self.outgoing.push_back(ToAgent::Confirmation(confirmation(&task))),
                    None => return self.end(Status::aborted("a newer stream of this agent took over")),
                },
                message = self.inbound.message() => match message {
                    Ok(Some(message)) => self.hear(&message),
                    Ok(None) => {
                        self.presence.is_leaving = true;
                        return None;
                    }
                    Err(_) => return None,
                },
            }
        }
    }

    fn end(&mut self, status: Status) -> Option<Outgoing> {
        self.is_over = true;
        Some(Err(status))
    }

    fn hear(&self, message: &wire::WatchScheduleRequest) {
        // A second hello is no beat, but no reason to hang up either.
        let Some(FromAgent::Beat(beat)) = &message.message else { return };
        let Present { coordinator, agent, .. } = &self.presence;
        let at = now();
        let clock_offset_ms = beat.clock_ms.saturating_sub(at.unix_ms());
        if coordinator.fleet.beat(agent, beat, at) {
            coordinator.replan.notify_one();
            let kind = if beat.paused { PresenceKind::Paused } else { PresenceKind::Came };
            self.presence.note(kind, clock_offset_ms);
        } else {
            let kind = if beat.paused { PresenceKind::Paused } else { PresenceKind::Beat };
            let event = self.presence.event((kind, at), clock_offset_ms);
            coordinator.presence.keep(PresenceEvent { spooled: beat.spooled, ..event });
            self.presence.hear((kind, at));
        }
    }

    /// Queues the list and the schedule where they are newer than what the agent has.
    fn refresh(&mut self) {
        let Present { coordinator, agent, .. } = &self.presence;
        let schedule = coordinator.fleet.schedule(agent);
        if let Some(kept) = coordinator.lists.newest().filter(|kept| kept.list.version > self.sent_list) {
            self.sent_list = kept.list.version;
            self.outgoing.push_back(ToAgent::List(list_to_wire(kept.signed.clone())));
            coordinator.fleet.note_list(agent, self.sent_list);
        }
        // Before it is planned for (again) there is nothing to say: the agent goes on with what it has.
        let is_planned = schedule.generation > 0 && schedule.list_version == coordinator.lists.version();
        if is_planned && self.sent_generation != Some(schedule.generation) {
            self.sent_generation = Some(schedule.generation);
            let entries = schedule.entries.iter().map(|entry| wire::ScheduleEntry {
                check: entry.check.to_string(),
                target: entry.target.to_string(),
                period_ms: entry.period_ms,
                phase_ms: entry.phase_ms,
                depth: depth_to_wire(entry.depth).into(),
            });
            self.outgoing.push_back(ToAgent::Schedule(wire::Schedule {
                generation: schedule.generation,
                list_version: schedule.list_version,
                entries: entries.collect(),
            }));
        }
    }
}

fn confirmation(task: &Task) -> wire::Confirmation {
    wire::Confirmation {
        token: task.token.to_string(),
        check: task.check.to_string(),
        target: task.target.to_string(),
        depth: depth_to_wire(task.depth).into(),
        valid_for_ms: CONFIRMATION_VALID_MS,
    }
}

/// Says that the agent went when its stream is dropped, however that comes about.
struct Present {
    coordinator: Arc<Coordinator>,
    agent: AgentId,
    number: u64,
    network: Option<Asn>,
    /// The network that it counts for.
    asn: Option<Asn>,
    country: CountryCode,
    control: bool,
    beat_s: Option<u32>,
    /// The agent closed the stream in order.
    is_leaving: bool,
}

impl Present {
    /// Lets the detectors hear of it. Of an agent whose network nobody knows nothing can be said.
    fn hear(&self, (kind, at): (PresenceKind, Timestamp)) {
        let Some(asn) = self.asn else { return };
        self.coordinator.presence.hear(faultline_model::Presence {
            at,
            agent: self.agent.clone(),
            asn,
            country: self.country,
            control: self.control,
            kind,
            beat_s: self.beat_s,
        });
    }

    /// Writes down what happened to the stream and lets the detectors hear of it.
    fn note(&self, kind: PresenceKind, clock_offset_ms: i64) {
        let at = now();
        self.coordinator.presence.push(self.event((kind, at), clock_offset_ms));
        self.hear((kind, at));
    }

    fn event(&self, (kind, at): (PresenceKind, Timestamp), clock_offset_ms: i64) -> PresenceEvent {
        let agent = Some(self.agent.clone());
        PresenceEvent { agent, asn: self.network, at, kind, clock_offset_ms, spooled: 0 }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        if self.coordinator.fleet.disconnect(&self.agent, self.number, now()) {
            self.note(if self.is_leaving { PresenceKind::Left } else { PresenceKind::Went }, 0);
            self.coordinator.replan.notify_one();
        }
    }
}
