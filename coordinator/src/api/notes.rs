//! What operators note beside measurements: announced events, claims, sources for causes. No note changes a verdict.

use super::{ApiError, research};
use crate::coordinator::Coordinator;
use aws_lc_rs::digest::{SHA256, digest};
use faultline_model::{CountryCode, Note, NoteBody, NoteId};
use faultline_proto::convert::{note_body_from_wire, note_to_wire};
use faultline_proto::operator as wire;
use faultline_runtime::now;

/// Keeps a note. An event names its country; a claim and a source belong to their incident's.
pub(super) async fn add(
    coordinator: &Coordinator,
    request: wire::AddNoteRequest,
) -> Result<wire::AddNoteResponse, ApiError> {
    let body = request.body.ok_or_else(|| ApiError::Invalid("body is missing".into()))?;
    let country = match about(&body) {
        None => country(&request.country)?,
        Some(incident) => research::one(coordinator, incident).await?.country,
    };
    let body = note_body_from_wire(body, country).map_err(|e| ApiError::Invalid(e.to_string()))?;
    let id = id_of(country, &body)?;
    let note = Note { id, country, noted_at: now(), withdrawn_at: None, body };
    let kept = coordinator.registry.keep_note(note).await?;
    Ok(wire::AddNoteResponse { note: Some(note_to_wire(&kept)) })
}

/// Lists a country's notes.
pub(super) async fn list(
    coordinator: &Coordinator,
    request: wire::ListNotesRequest,
) -> Result<wire::ListNotesResponse, ApiError> {
    let notes = coordinator.registry.notes(country(&request.country)?).await?;
    Ok(wire::ListNotesResponse { notes: notes.iter().map(note_to_wire).collect() })
}

/// Withdraws a note.
pub(super) async fn withdraw(
    coordinator: &Coordinator,
    request: wire::WithdrawNoteRequest,
) -> Result<wire::WithdrawNoteResponse, ApiError> {
    let missing = || ApiError::NotFound("there is no such note".into());
    let id = NoteId::new(request.id).map_err(|_| missing())?;
    if coordinator.registry.withdraw_note(id, now()).await? {
        Ok(wire::WithdrawNoteResponse {})
    } else {
        Err(missing())
    }
}

/// Returns a country's announced events that stand, for readers.
pub(super) async fn calendar(coordinator: &Coordinator, country: CountryCode) -> Result<Vec<Note>, ApiError> {
    let mut notes = coordinator.registry.notes(country).await?;
    notes.retain(|note| note.withdrawn_at.is_none() && matches!(note.body, NoteBody::Event(_)));
    Ok(notes)
}

fn country(text: &str) -> Result<CountryCode, ApiError> {
    research::country(text)?.ok_or_else(|| ApiError::Invalid("country is missing".into()))
}

fn about(body: &wire::NoteBody) -> Option<&str> {
    match body.body.as_ref()? {
        wire::note_body::Body::Event(_) => None,
        wire::note_body::Body::Claim(claim) => Some(&claim.incident),
        wire::note_body::Body::Cause(cause) => Some(&cause.incident),
    }
}

/// Derives a note's id from what it says, so that saying it twice is one note.
fn id_of(country: CountryCode, body: &NoteBody) -> Result<NoteId, ApiError> {
    let text = serde_json::to_vec(&(country, body)).map_err(|e| ApiError::Invalid(e.to_string()))?;
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest(&SHA256, &text).as_ref()[..16]);
    Ok(NoteId::from_bytes(bytes))
}
