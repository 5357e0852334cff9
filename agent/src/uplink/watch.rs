//! The open stream: hello, then beats one way; welcome, lists, schedules and confirmations the other.

use super::{Intake, LEAST_WAIT, MOST_WAIT, explain};
use crate::agent::Agent;
use faultline_proto::agent as wire;
use faultline_proto::agent::agent_service_client::AgentServiceClient;
use faultline_proto::agent::watch_schedule_request::Message as Out;
use faultline_proto::agent::watch_schedule_response::Message as In;
use faultline_runtime::{Backoff, now};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// A list of the largest size, its signatures, and the frame around them.
const MAX_MESSAGE_BYTES: usize = 2 << 20;
/// The coordinator answers the call, or refuses it, within this time.
const OPEN_DEADLINE: Duration = Duration::from_secs(20);
/// Beats that the connection has not taken yet. When full, a beat is left out: the peer is not reading anyway.
const MAX_BEATS: usize = 4;
const FIRST_INTERVAL: Duration = Duration::from_secs(15);
/// A stream that lasted so long was a good one: the next try follows soon. A coordinator that greets and then breaks the
/// stream each time is tried ever more seldom.
const GOOD_STREAM: Duration = Duration::from_secs(10);
/// The coordinator has so long to see that the stream was closed in order.
const GOODBYE: Duration = Duration::from_millis(500);
const INTERVALS: std::ops::RangeInclusive<u32> = 2..=300;

/// Keeps the stream open until it is told to stop.
///
/// # Errors
/// Never; the signature is that of every service.
pub async fn watch(channel: Channel, mut intake: Intake, stop: CancellationToken) -> Result<(), Infallible> {
    intake.resume().await;
    let mut backoff = Backoff::new(LEAST_WAIT, MOST_WAIT);
    let client = AgentServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    loop {
        let mut stream = Stream { client: client.clone(), intake: &mut intake, stop: &stop };
        let begun = Instant::now();
        let ended = stream.keep().await;
        if stop.is_cancelled() {
            return Ok(());
        }
        note_end(intake.agent(), &ended);
        if begun.elapsed() >= GOOD_STREAM {
            backoff.reset();
        }
        let wait = backoff.next_wait();
        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return Ok(());
        }
    }
}

fn note_end(agent: &Agent, ended: &Status) {
    let reason = match ended.code() {
        Code::Unauthenticated | Code::PermissionDenied => {
            format!(
                "the coordinator does not know this agent any more ({}); leave and join again",
                ended.message()
            )
        }
        _ => explain(ended),
    };
    if agent.status.connection(false, Some(reason.clone())) {
        tracing::warn!(reason, "cut off from the coordinator; measuring goes on");
    }
}

struct Stream<'a> {
    client: AgentServiceClient<Channel>,
    intake: &'a mut Intake,
    stop: &'a CancellationToken,
}

impl Stream<'_> {
    /// Opens the stream and keeps it until it ends; returns why it ended.
    async fn keep(&mut self) -> Status {
        match self.open_and_keep().await {
            Ok(()) => Status::unavailable("the coordinator closed the stream"),
            Err(status) => status,
        }
    }

    async fn open_and_keep(&mut self) -> Result<(), Status> {
        let agent = Arc::clone(self.intake.agent());
        let (sender, receiver) = mpsc::channel(MAX_BEATS);
        let hello = wire::WatchScheduleRequest { message: Some(Out::Hello(self.hello())) };
        sender.try_send(hello).map_err(|_| Status::internal("the stream's queue is closed"))?;
        let call = self.client.watch_schedule(ReceiverStream::new(receiver));
        let answered = self.stop.run_until_cancelled(timeout(OPEN_DEADLINE, call)).await;
        let Some(answered) = answered else { return Ok(()) };
        let answered =
            answered.map_err(|_| Status::deadline_exceeded("the coordinator did not answer in time"))?;
        let mut inbound = answered?.into_inner();
        let mut interval = FIRST_INTERVAL;
        let mut beat_at = Instant::now() + jittered(interval);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => {
                    // A stream that is closed in order says that nobody's line broke.
                    drop(sender);
                    let _ = timeout(GOODBYE, async { while let Ok(Some(_)) = inbound.message().await {} }).await;
                    return Ok(());
                }
                // A new hello announces what is permitted now, and the schedule is cut to it again.
                () = agent.terms_changed.notified() => {
                    self.intake.recut().await;
                    return Ok(());
                }
                message = inbound.message() => match message? {
                    Some(message) => {
                        if let Some(asked) = self.take(message).await {
                            interval = asked;
                            beat_at = Instant::now() + jittered(interval);
                        }
                    }
                    None => return Ok(()),
                },
                () = sleep_until(beat_at) => {
                    let beat = self.beat().await;
                    let _ = sender.try_send(wire::WatchScheduleRequest { message: Some(Out::Beat(beat)) });
                    beat_at = Instant::now() + jittered(interval);
                }
            }
        }
    }

    /// Takes a message; returns the interval between beats if it names one.
    async fn take(&mut self, message: wire::WatchScheduleResponse) -> Option<Duration> {
        match message.message? {
            In::Welcome(welcome) => {
                let agent = self.intake.agent();
                if agent.status.connection(true, None) {
                    tracing::info!("connected to the coordinator");
                }
                agent.reconnected.notify_one();
                if let Ok(address) = welcome.seen_address.parse() {
                    agent.own.seen_as(address);
                }
                agent.line.seen_in(welcome.seen_asn);
                let seconds = welcome.beat_interval_s.clamp(*INTERVALS.start(), *INTERVALS.end());
                return Some(Duration::from_secs(seconds.into()));
            }
            In::List(list) => self.intake.list(list).await,
            In::Schedule(schedule) => self.intake.schedule(schedule).await,
            In::Confirmation(confirmation) => self.intake.confirmation(confirmation),
        }
        None
    }

    fn hello(&self) -> wire::Hello {
        let agent = self.intake.agent();
        let list_version = agent.policy().list().map_or(0, |list| list.version);
        let kinds = agent.policy().permitted_kinds();
        let unmeasured = agent.policy().unmeasured_categories();
        wire::Hello {
            list_version,
            generation: agent.status.generation(),
            agent_version: crate::VERSION.to_owned(),
            check_kinds: kinds.iter().map(ToString::to_string).collect(),
            clock_ms: now().unix_ms(),
            budget: agent.budget().class().into(),
            paused: agent.home.is_paused(),
            unmeasured_categories: unmeasured.iter().map(ToString::to_string).collect(),
        }
    }

    async fn beat(&self) -> wire::Beat {
        let agent = self.intake.agent();
        let spooled = agent.spool.state().await.waiting as u64;
        wire::Beat { clock_ms: now().unix_ms(), paused: agent.status.is_paused(), spooled }
    }
}

/// A fifth earlier or later, so that the beat is no mark on the wire.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.8..=1.2))
}
