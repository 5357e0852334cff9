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
mod fingerprints;
mod rules;

#[cfg(test)]
mod paired_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tunnel_tests;

use faultline_model::{CheckKind, Engine, Fact, Judgement, Layer, Measurement};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

pub(crate) use address::is_public;
pub(crate) use evidence::Evidence;
pub use fingerprints::{
    Fingerprints, KnownPage, Loaded, MAX_FILE_BYTES, MAX_PATTERNS, RefusedPattern, Scope,
};

/// Returns how old a control's result may be before it says nothing about now: ten minutes, or for downloads, which are
/// too heavy for that, somewhat longer than the hour between two of them.
#[must_use]
pub const fn control_max_age(check: CheckKind) -> Duration {
    match check {
        CheckKind::Web | CheckKind::Quic | CheckKind::Diagnose => Duration::from_secs(600),
        CheckKind::Throughput => Duration::from_secs(75 * 60),
        // They run every ten minutes at most.
        CheckKind::Openvpn | CheckKind::Wireguard | CheckKind::Tor | CheckKind::Proxy | CheckKind::VpnApi => {
            Duration::from_secs(25 * 60)
        }
    }
}

/// A control's recent result for the same target.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ControlFact {
    /// What the control ran.
    pub check: CheckKind,
    /// The layer at which the control failed; absent when everything went through.
    pub failed_at: Option<Layer>,
    /// Addresses that the control's resolvers gave, all engines together.
    pub addresses: Vec<IpAddr>,
    /// The status of the control's final page, 0 if none came.
    pub http_status: u16,
    /// The goodput of the control's own download of the target in bits per second, if one was long enough.
    pub goodput_bps: Option<u64>,
    /// How old the result is; facts older than [`control_max_age`] are ignored.
    pub age: Duration,
}

impl ControlFact {
    /// Reads a control's measurement as of its own moment.
    #[must_use]
    pub fn of(measurement: &Measurement) -> Self {
        let mut addresses = BTreeSet::new();
        let mut http_status = 0;
        for step in &measurement.observations {
            match &step.fact {
                Fact::Dns(answer) if !matches!(step.engine, Engine::Control | Engine::Retry) => {
                    addresses.extend(answer.addresses.iter().copied());
                }
                Fact::Http(page) => http_status = page.status,
                _ => {}
            }
        }
        let download = evidence::download_of(measurement, Engine::System);
        Self {
            check: measurement.check,
            failed_at: measurement.first_failure().map(|step| step.layer),
            addresses: addresses.into_iter().collect(),
            http_status,
            goodput_bps: download.and_then(rules::throughput::goodput),
            age: Duration::ZERO,
        }
    }
}

/// Judges one measurement beside its controls, with the built-in fingerprints.
///
/// The class says how the measurement ended and is never softened by the controls; the status says what is made
/// of it: `down` where every fresh control fails at the same layer or before it, `insufficient` where there is
/// no fresh control, else `blocked`.
#[must_use]
pub fn judge(measurement: &Measurement, controls: &[ControlFact]) -> Judgement {
    judge_with(measurement, controls, &Fingerprints::built_in())
}

/// Judges one measurement beside its controls, with the given fingerprints.
#[must_use]
pub fn judge_with(
    measurement: &Measurement,
    controls: &[ControlFact],
    fingerprints: &Fingerprints,
) -> Judgement {
    let fresh: Vec<&ControlFact> =
        controls.iter().filter(|fact| fact.age <= control_max_age(fact.check)).collect();
    rules::apply(&Evidence::read(measurement, fingerprints), &fresh)
}
