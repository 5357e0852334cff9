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
mod control;
mod evidence;
mod fingerprints;
mod rules;

#[cfg(test)]
mod diagnose_tests;
#[cfg(test)]
mod hop_tests;
#[cfg(test)]
mod messaging_tests;
#[cfg(test)]
mod paired_tests;
#[cfg(test)]
mod path_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tunnel_tests;

use faultline_model::{CheckKind, Judgement, Measurement, Observation};
use std::time::Duration;

pub(crate) use address::is_public;
pub use control::{ControlFact, HopFact};
pub(crate) use control::{View, views};
pub(crate) use evidence::Evidence;
pub use fingerprints::{
    Fingerprints, KnownPage, Loaded, MAX_FILE_BYTES, MAX_PATTERNS, RefusedPattern, Scope,
};
pub(crate) use rules::messaging::host_of;
pub use rules::path::{PathLocus, PathPoint, locate};

/// Returns how old a control's result may be before it says nothing about now: ten minutes, or for downloads, which are
/// too heavy for that, somewhat longer than the hour between two of them.
#[must_use]
pub const fn control_max_age(check: CheckKind) -> Duration {
    match check {
        // A path is drawn four times a day at most; that the site was up is known from `web`.
        CheckKind::Web
        | CheckKind::Whatsapp
        | CheckKind::Telegram
        | CheckKind::Signal
        | CheckKind::Messenger
        | CheckKind::Quic
        | CheckKind::Diagnose
        | CheckKind::Selfcheck
        | CheckKind::Path => Duration::from_secs(600),
        CheckKind::Throughput => Duration::from_secs(75 * 60),
        // They run every ten minutes at most.
        CheckKind::Openvpn | CheckKind::Wireguard | CheckKind::Tor | CheckKind::Proxy | CheckKind::VpnApi => {
            Duration::from_secs(25 * 60)
        }
    }
}

/// Judges one measurement beside its controls, with the built-in fingerprints.
///
/// The class says how the measurement ended and is never softened by the controls; the status says what is made
/// of it: `down` where every fresh control fails at the same layer or before it, `insufficient` where there is
/// no fresh control, `tampered` where something interferes and the site is reached all the same, else `blocked`.
/// Each redirect hop is judged as its own target: beside what controls saw of that hop's host.
#[must_use]
pub fn judge(measurement: &Measurement, controls: &[ControlFact]) -> Judgement {
    judge_with(measurement, controls, Fingerprints::shared())
}

/// Judges one measurement beside its controls, with the given fingerprints.
#[must_use]
pub fn judge_with(
    measurement: &Measurement,
    controls: &[ControlFact],
    fingerprints: &Fingerprints,
) -> Judgement {
    let fresh: Vec<&ControlFact> = controls
        .iter()
        .filter(|fact| fact.age <= control_max_age(fact.check) && !fact.is_line_broken)
        .collect();
    rules::apply(&Evidence::read(measurement, fingerprints), &fresh)
}

/// Returns the step at which a measurement failed on the way of ordinary programs, and that no later step made good.
#[must_use]
pub fn deciding_step(measurement: &Measurement) -> Option<&Observation> {
    Evidence::read(measurement, Fingerprints::shared()).failed
}
