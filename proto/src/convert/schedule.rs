//! Lists, schedule entries and confirmations.

use super::{WireError, invalid};
use crate::agent as wire;
use faultline_model::{CheckKind, Depth, MAX_LIST_BYTES, Signature, SignedList, Target, Task, TaskToken};

const MAX_SIGNATURES: usize = 32;

/// Writes a depth.
#[must_use]
pub fn depth_to_wire(depth: Depth) -> wire::Depth {
    match depth {
        Depth::Light => wire::Depth::Light,
        Depth::Full => wire::Depth::Full,
    }
}

/// Reads a depth.
///
/// # Errors
/// Refuses unspecified and unknown numbers.
pub fn depth_from_wire(number: i32) -> Result<Depth, WireError> {
    match wire::Depth::try_from(number) {
        Ok(wire::Depth::Light) => Ok(Depth::Light),
        Ok(wire::Depth::Full) => Ok(Depth::Full),
        _ => Err(invalid("depth", number)),
    }
}

/// Writes a signed list.
#[must_use]
pub fn list_to_wire(list: SignedList) -> wire::SignedList {
    let signatures = list.signatures.into_iter();
    wire::SignedList {
        document: list.document,
        signatures: signatures
            .map(|s| wire::Signature { key_id: s.key_id, signature: s.signature })
            .collect(),
    }
}

/// Reads a signed list; the signatures are not verified here.
///
/// # Errors
/// Refuses documents and signature sets beyond the bounds.
pub fn list_from_wire(list: wire::SignedList) -> Result<SignedList, WireError> {
    let too_long =
        |field, len, max| if len > max { Err(WireError::TooLong { field, len, max }) } else { Ok(()) };
    too_long("document", list.document.len(), MAX_LIST_BYTES)?;
    too_long("signatures", list.signatures.len(), MAX_SIGNATURES)?;
    let signatures = list.signatures.into_iter();
    Ok(SignedList {
        document: list.document,
        signatures: signatures.map(|s| Signature { key_id: s.key_id, signature: s.signature }).collect(),
    })
}

/// Reads what a schedule entry asks for: check, target and depth.
///
/// # Errors
/// Names the field at fault.
pub fn task_from_entry(entry: &wire::ScheduleEntry) -> Result<(CheckKind, Target, Depth), WireError> {
    let check = entry.check.parse().map_err(|e: String| invalid("check", e))?;
    let target = Target::new(&entry.target).map_err(|e| invalid("target", e))?;
    Ok((check, target, depth_from_wire(entry.depth)?))
}

/// Reads a confirmation.
///
/// # Errors
/// Names the field at fault.
pub fn confirmation_from_wire(confirmation: wire::Confirmation) -> Result<Task, WireError> {
    Ok(Task {
        check: confirmation.check.parse().map_err(|e: String| invalid("check", e))?,
        target: Target::new(&confirmation.target).map_err(|e| invalid("target", e))?,
        depth: depth_from_wire(confirmation.depth)?,
        token: TaskToken::new(confirmation.token).map_err(|e| invalid("token", e))?,
    })
}
