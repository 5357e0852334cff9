//! Ingest: uploads are checked, stored once per id, and receipted.
//!
//! Every measurement of a request gets its own receipt: one bad one does not spoil the others. A receipt is given only
//! after the store's commit. The network of a measurement is the one that the upload came from, where that can be looked
//! up; else the one that the agent was enrolled from; without either it is kept and weighs nothing.

mod import;
mod paths;

pub(crate) use import::import;

use crate::api::ApiError;
use crate::coordinator::Coordinator;
use crate::store::{AgentRecord, AppendOutcome, NewMeasurement};
use faultline_model::{Asn, Measurement, TaskToken, Timestamp, Why};
use faultline_proto::agent as wire;
use faultline_proto::convert::measurement_from_wire;
use faultline_runtime::now;
use std::collections::BTreeSet;
use std::time::Duration;

/// An upload of more measurements is refused whole.
pub(crate) const MAX_MEASUREMENTS: usize = 50;
const MAX_AHEAD: Duration = Duration::from_secs(300);
const MAX_AGE: Duration = Duration::from_secs(14 * 86_400);

/// Takes one upload.
pub(crate) async fn take(
    coordinator: &Coordinator,
    agent: &AgentRecord,
    network: Option<Asn>,
    messages: Vec<wire::Measurement>,
) -> Result<Vec<wire::Receipt>, ApiError> {
    if messages.len() > MAX_MEASUREMENTS {
        let len = messages.len();
        return Err(ApiError::Invalid(format!(
            "{len} measurements in one upload; at most {MAX_MEASUREMENTS} are taken"
        )));
    }
    let desk = Desk { coordinator, agent, network, now: now() };
    let mut receipts = Vec::with_capacity(messages.len());
    let mut rows = Vec::new();
    let mut waiting = Vec::new();
    let mut tokens = BTreeSet::new();
    for message in messages {
        let id = message.id.clone();
        match desk.check(message, &mut tokens) {
            Ok(row) => {
                waiting.push((
                    receipts.len(),
                    row.measurement.token.clone().filter(|_| row.why == Why::Confirmation),
                ));
                rows.push(row);
                receipts.push(receipt(id, wire::ReceiptOutcome::Unspecified, String::new()));
            }
            Err(reason) => {
                coordinator.counters.measurements_refused.add();
                tracing::debug!(agent = %agent.id, reason, "a measurement is refused");
                receipts.push(receipt(id, wire::ReceiptOutcome::Refused, reason));
            }
        }
    }
    if rows.is_empty() {
        return Ok(receipts);
    }
    let outcomes = coordinator.archive.append(rows).await?;
    coordinator.stored.notify_one();
    for ((index, token), outcome) in waiting.into_iter().zip(outcomes) {
        let (outcome, reason) = desk.settle(outcome, token);
        receipts[index].outcome = outcome.into();
        receipts[index].reason = reason;
    }
    Ok(receipts)
}

fn receipt(id: String, outcome: wire::ReceiptOutcome, reason: String) -> wire::Receipt {
    wire::Receipt { id, outcome: outcome.into(), reason }
}

/// One upload's context.
struct Desk<'a> {
    coordinator: &'a Coordinator,
    agent: &'a AgentRecord,
    network: Option<Asn>,
    now: Timestamp,
}

impl Desk<'_> {
    fn check(
        &self,
        message: wire::Measurement,
        tokens: &mut BTreeSet<TaskToken>,
    ) -> Result<NewMeasurement, String> {
        let mut measurement = measurement_from_wire(message).map_err(|e| e.to_string())?;
        paths::name_networks(&mut measurement, self.coordinator.networks.as_deref());
        let lists = &self.coordinator.lists;
        let (version, check, target) = (measurement.list_version, measurement.check, &measurement.target);
        let is_landmark = self.agent.control && lists.allows_landmark(version, check, target);
        if !is_landmark && lists.allowed(version, check, target).is_none() {
            return Err(format!(
                "list version {} does not hold this check of this target",
                measurement.list_version
            ));
        }
        let clock_offset_ms = self.coordinator.fleet.clock_offset_ms(&self.agent.id);
        let started_at = corrected(measurement.started_at, clock_offset_ms);
        if started_at > self.now + MAX_AHEAD {
            return Err("started_at lies in the future".to_owned());
        }
        if started_at < self.now - MAX_AGE {
            return Err("started_at lies more than 14 days back".to_owned());
        }
        let asn = self.network.or(self.agent.asn);
        let is_home_network =
            self.network.is_none() || self.agent.asn.is_none() || self.network == self.agent.asn;
        if !is_home_network {
            self.coordinator.counters.measurements_elsewhere.add();
        }
        let why = self.why(&measurement, tokens);
        Ok(NewMeasurement {
            measurement,
            agent: self.agent.id.clone(),
            asn,
            country: self.agent.country,
            control: self.agent.control,
            is_home_network,
            why,
            received_at: self.now,
            clock_offset_ms,
        })
    }

    /// A result is a confirmation only if this agent was asked for exactly it and has not answered yet.
    fn why(&self, measurement: &Measurement, tokens: &mut BTreeSet<TaskToken>) -> Why {
        let Some(token) = &measurement.token else { return Why::Routine };
        let was_asked = measurement.why == Why::Confirmation
            && self.coordinator.confirmations.is_expected(token, &self.agent.id, &measurement.target);
        if was_asked && tokens.insert(token.clone()) { Why::Confirmation } else { Why::Routine }
    }

    fn settle(&self, outcome: AppendOutcome, token: Option<TaskToken>) -> (wire::ReceiptOutcome, String) {
        let counters = &self.coordinator.counters;
        match outcome {
            AppendOutcome::Stored => {
                counters.measurements_stored.add();
                if let Some(token) = token {
                    self.coordinator.confirmations.answer(&token);
                    counters.confirmations_answered.add();
                }
                (wire::ReceiptOutcome::Stored, String::new())
            }
            AppendOutcome::Duplicate => {
                counters.measurements_repeated.add();
                (wire::ReceiptOutcome::Duplicate, String::new())
            }
            AppendOutcome::Conflict(id) => {
                counters.measurements_conflicting.add();
                tracing::warn!(agent = %self.agent.id, measurement = %id, "two different measurements have one id");
                (wire::ReceiptOutcome::Refused, "another measurement has this id".to_owned())
            }
        }
    }
}

/// Clocks that are wrong by less than this are taken as they are: the exchange itself takes time.
const CLOCK_TOLERANCE_MS: i64 = 60_000;

/// Corrects an agent's moment by how far its clock was ahead.
pub(crate) fn corrected(moment: Timestamp, clock_offset_ms: i64) -> Timestamp {
    if clock_offset_ms.abs() <= CLOCK_TOLERANCE_MS {
        return moment;
    }
    Timestamp::from_unix_ms(moment.unix_ms().saturating_sub(clock_offset_ms))
}
