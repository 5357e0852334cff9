//! Conversions between wire and model, owned here so that no other crate reads raw messages.

mod fact;
mod incident;
mod line;
mod measurement;
mod note;
mod path;
mod schedule;
mod tunnel;
mod web;

pub use incident::{incident_from_wire, incident_to_wire};
pub use measurement::{MAX_OBSERVATIONS, measurement_from_wire, measurement_to_wire};
pub use note::{note_body_from_wire, note_body_to_wire, note_from_wire, note_to_wire};
pub use schedule::{
    confirmation_from_wire, depth_from_wire, depth_to_wire, list_from_wire, list_to_wire, task_from_entry,
};
pub use web::MAX_ADDRESSES;

/// What is wrong with a message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A field is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field does not hold what it must.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A repeated field or text is too long.
    #[error("{field} has {len} entries or bytes; at most {max} are taken")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length.
        len: usize,
        /// The most that is taken.
        max: usize,
    },
}

#[expect(clippy::needless_pass_by_value, reason = "errors are handed over by map_err as they are")]
pub(crate) fn invalid(field: &'static str, reason: impl ToString) -> WireError {
    WireError::Invalid { field, reason: reason.to_string() }
}

pub(crate) fn bounded(field: &'static str, text: String, max: usize) -> Result<String, WireError> {
    if text.len() > max { Err(WireError::TooLong { field, len: text.len(), max }) } else { Ok(text) }
}
