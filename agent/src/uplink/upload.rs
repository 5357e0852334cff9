//! Drains the spool: batches to the coordinator, deleted here only once it has answered for them.

use super::journal::Journal;
use super::{LEAST_WAIT, MOST_WAIT, explain};
use crate::agent::Agent;
use crate::spool::Key;
use faultline_proto::agent as wire;
use faultline_proto::agent::agent_service_client::AgentServiceClient;
use faultline_runtime::Backoff;
use prost::Message;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// At most so many measurements in a request, and so many bytes: coordinators read no larger requests.
const MAX_BATCH: usize = 50;
const MAX_BATCH_BYTES: usize = 128 * 1024;
/// A request that is not answered by then is sent again; the same id is the same measurement.
const UPLOAD_DEADLINE: Duration = Duration::from_secs(30);
/// Looks into the spool also without a nudge.
const IDLE_LOOK: Duration = Duration::from_secs(30);

/// Uploads until it is told to stop.
///
/// # Errors
/// Never; the signature is that of every service.
pub async fn upload(
    channel: Channel,
    agent: Arc<Agent>,
    journal: Option<PathBuf>,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let journal = journal.map(Journal::new);
    let client = AgentServiceClient::new(channel);
    let backoff = Backoff::new(LEAST_WAIT, MOST_WAIT);
    let mut uploader = Uploader { agent, client, journal, backoff, batch: MAX_BATCH };
    // Dropped in the middle of a request, nothing is lost: what is not acknowledged stays in the spool.
    let _ = stop.run_until_cancelled(uploader.run()).await;
    Ok(())
}

struct Uploader {
    agent: Arc<Agent>,
    client: AgentServiceClient<Channel>,
    journal: Option<Journal>,
    backoff: Backoff,
    /// Smaller after a batch that the coordinator could not read.
    batch: usize,
}

impl Uploader {
    async fn run(&mut self) {
        loop {
            let mut waiting = self.agent.spool.batch(self.batch).await;
            cut_to_size(&mut waiting);
            if waiting.is_empty() {
                let _ = timeout(IDLE_LOOK, self.agent.spool.appended()).await;
                continue;
            }
            match self.send(&waiting).await {
                Ok(response) => {
                    if self.settle(&waiting, response).await == 0 {
                        tracing::warn!("the coordinator acknowledges nothing of what was sent");
                        self.wait().await;
                    } else {
                        self.backoff.reset();
                        self.batch = MAX_BATCH;
                    }
                }
                Err(status) => {
                    tracing::debug!(reason = explain(&status), "an upload failed");
                    if is_unreadable(&status) {
                        self.shrink(&waiting).await;
                    }
                    self.wait().await;
                }
            }
        }
    }

    async fn send(&mut self, waiting: &[(Key, wire::Measurement)]) -> Result<wire::UploadResponse, Status> {
        let measurements = waiting.iter().map(|(_, measurement)| measurement.clone()).collect();
        let call = self.client.upload(wire::UploadRequest { measurements });
        let answered = timeout(UPLOAD_DEADLINE, call).await;
        let answered = answered.map_err(|_| Status::deadline_exceeded("no answer in time"))?;
        Ok(answered?.into_inner())
    }

    /// Deletes what the coordinator has answered for; returns how many those are.
    async fn settle(&self, waiting: &[(Key, wire::Measurement)], response: wire::UploadResponse) -> usize {
        let (mut keys, mut stored, mut refused) = (vec![], vec![], 0);
        for ((key, measurement), receipt) in waiting.iter().zip(response.receipts) {
            if receipt.id != measurement.id {
                continue;
            }
            match wire::ReceiptOutcome::try_from(receipt.outcome) {
                Ok(wire::ReceiptOutcome::Stored | wire::ReceiptOutcome::Duplicate) => stored.push(receipt.id),
                Ok(wire::ReceiptOutcome::Refused) => {
                    // The reason is the coordinator's text and may name a target.
                    tracing::warn!("the coordinator refuses a measurement");
                    tracing::debug!(reason = receipt.reason, "refused");
                    refused += 1;
                }
                Ok(wire::ReceiptOutcome::Unspecified) | Err(_) => continue,
            }
            keys.push(*key);
        }
        let (count, uploaded) = (keys.len(), stored.len() as u64);
        if let Some(journal) = &self.journal {
            journal.write(stored).await;
        }
        self.agent.spool.acknowledge(keys).await;
        self.agent.status.uploaded(uploaded, refused);
        count
    }

    /// One measurement that cannot be read must not hold up all others: smaller batches find it, and it is given up.
    async fn shrink(&mut self, waiting: &[(Key, wire::Measurement)]) {
        if let [(key, _)] = waiting {
            tracing::warn!("gives up a measurement that the coordinator cannot read");
            self.agent.spool.acknowledge(vec![*key]).await;
            self.agent.status.uploaded(0, 1);
        }
        self.batch = (waiting.len() / 2).max(1);
    }

    /// Waits longer after each failure, but no longer than until the stream is open again.
    async fn wait(&mut self) {
        let _ = timeout(self.backoff.next_wait(), self.agent.reconnected.notified()).await;
    }
}

fn is_unreadable(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::OutOfRange)
}

fn cut_to_size(waiting: &mut Vec<(Key, wire::Measurement)>) {
    let mut bytes = 0;
    let mut fits = |(_, measurement): &(Key, wire::Measurement)| {
        bytes += measurement.encoded_len() + 8;
        bytes <= MAX_BATCH_BYTES
    };
    let count = waiting.iter().take_while(|entry| fits(entry)).count().max(1);
    waiting.truncate(count);
}
