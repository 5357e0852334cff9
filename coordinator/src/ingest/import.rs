//! Measurements by others: checked as uploads are, stored once per id, and kept apart.
//!
//! They come from operators, so that who sent them is known; what they say is not first-hand. They never count as
//! an agent's, whatever their pseudonym is, and weigh nothing unless their country's profile says so.

use crate::api::ApiError;
use crate::coordinator::Coordinator;
use crate::store::{AppendOutcome, ImportedRecord};
use faultline_model::{AgentId, Asn, Category, CheckKind, MeasurementId, Record, Target, Timestamp, Why};
use faultline_proto::{agent, operator as wire};
use faultline_runtime::now;
use std::time::Duration;

/// An import of more measurements in one call is refused whole.
const MAX_IMPORTED: usize = 1_000;
const MAX_SOURCE_CHARS: usize = 200;
/// Clocks of others may be a little ahead.
const MAX_AHEAD: Duration = Duration::from_secs(300);

/// Takes one call's measurements.
pub(crate) async fn import(
    coordinator: &Coordinator,
    request: wire::ImportMeasurementsRequest,
) -> Result<wire::ImportMeasurementsResponse, ApiError> {
    let number = request.measurements.len();
    if number > MAX_IMPORTED {
        return Err(ApiError::Invalid(format!(
            "{number} measurements in one call; at most {MAX_IMPORTED} are taken"
        )));
    }
    let source = request.source.trim().to_owned();
    if source.chars().count() > MAX_SOURCE_CHARS || source.chars().any(char::is_control) {
        return Err(ApiError::Invalid(format!(
            "source: use at most {MAX_SOURCE_CHARS} printable characters"
        )));
    }
    let imported_at = now();
    let mut receipts = Vec::with_capacity(number);
    let (mut rows, mut places) = (Vec::new(), Vec::new());
    for (place, message) in request.measurements.into_iter().enumerate() {
        let id = message.id.clone();
        let (outcome, reason) = match check(message, imported_at) {
            Ok(record) => {
                rows.push(ImportedRecord { record, source: source.clone(), imported_at });
                places.push(place);
                (agent::ReceiptOutcome::Unspecified, String::new())
            }
            Err(reason) => (agent::ReceiptOutcome::Refused, reason),
        };
        receipts.push(super::receipt(id, outcome, reason));
    }
    if !rows.is_empty() {
        let outcomes = coordinator.archive.append_imported(rows).await?;
        coordinator.stored.notify_one();
        for (place, outcome) in places.into_iter().zip(outcomes) {
            let (outcome, reason) = match outcome {
                AppendOutcome::Stored => (agent::ReceiptOutcome::Stored, String::new()),
                AppendOutcome::Duplicate => (agent::ReceiptOutcome::Duplicate, String::new()),
                AppendOutcome::Conflict(_) => {
                    (agent::ReceiptOutcome::Refused, "another measurement has this id".to_owned())
                }
            };
            receipts[place].outcome = outcome.into();
            receipts[place].reason = reason;
        }
    }
    Ok(wire::ImportMeasurementsResponse { receipts })
}

/// Turns a message into a record, or says what is wrong with it.
fn check(message: wire::ImportedMeasurement, now: Timestamp) -> Result<Record, String> {
    let started_at = Timestamp::from_unix_ms(message.started_at_ms);
    let received_at = Timestamp::from_unix_ms(message.received_at_ms);
    if message.started_at_ms <= 0 || message.received_at_ms <= 0 {
        return Err("started_at_ms and received_at_ms must be given".to_owned());
    }
    if started_at > now + MAX_AHEAD || received_at > now + MAX_AHEAD {
        return Err("it lies in the future".to_owned());
    }
    Ok(Record {
        id: MeasurementId::new(message.id).map_err(|e| format!("id: {e}"))?,
        agent: AgentId::new(message.agent_id).map_err(|e| format!("agent_id: {e}"))?,
        asn: Asn::recorded(message.asn).map_err(|e| format!("asn: {e}"))?,
        country: message.country.parse()?,
        target: Target::new(&message.target).map_err(|e| format!("target: {e}"))?,
        category: Category::new(&message.category)?,
        started_at,
        received_at,
        check: CheckKind::Web,
        class: message.failure.parse()?,
        control_ok: message.control_ok,
        why: Why::Routine,
        control: false,
    })
}
