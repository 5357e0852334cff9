//! Judgement: one measurement's facts beside its controls.
//!
//! An agent reports what happened; what it means is decided here, and may be decided again over all history.
//! The first rule that applies wins, in the order of the layers: the line itself, DNS, TCP, TLS, HTTP. Rule ids
//! follow the field's taxonomy `layer.action.qualifier` (OONI's ontology, section 12), such as
//! `tls.reset.sni`.
//!
//! Two principles keep content networks from looking like censorship:
//! - an answer of the system's resolver is judged by whether the address completes a valid TLS handshake for
//!   the name, never by equality with somebody else's answer (OONI's `tls_consistent_answer`);
//! - a missing control is not a disagreeing one: without a fresh control the status is `insufficient`.

mod address;
mod evidence;
mod rules;

#[cfg(test)]
mod tests;

use faultline_model::{Judgement, Layer, Measurement};
use std::net::IpAddr;
use std::time::Duration;

pub(crate) use address::is_public;
pub(crate) use evidence::Evidence;

/// Control facts that are older than this say nothing about now.
const CONTROL_MAX_AGE: Duration = Duration::from_secs(600);

/// A control's recent result for the same target.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ControlFact {
    /// The layer at which the control failed; absent when everything went through.
    pub failed_at: Option<Layer>,
    /// Addresses that the control's resolvers gave, all engines together.
    pub addresses: Vec<IpAddr>,
    /// The status of the control's final page, 0 if none came.
    pub http_status: u16,
    /// How old the result is; facts older than ten minutes are ignored.
    pub age: Duration,
}

/// Judges one measurement beside its controls.
///
/// The class says how the measurement ended and is never softened by the controls; the status says what is made
/// of it: `down` where every fresh control fails at the same layer or before it, `insufficient` where there is
/// no fresh control, else `blocked`.
#[must_use]
pub fn judge(measurement: &Measurement, controls: &[ControlFact]) -> Judgement {
    let fresh: Vec<&ControlFact> = controls.iter().filter(|fact| fact.age <= CONTROL_MAX_AGE).collect();
    rules::apply(&Evidence::read(measurement), &fresh)
}
