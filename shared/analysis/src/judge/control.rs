//! What a control saw, in the shape in which a measurement is judged beside it.

use super::{Evidence, Fingerprints, evidence, rules};
use faultline_model::{CheckKind, Engine, Fact, Failure, HttpFact, Layer, Measurement, Observation};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

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
    /// How old the result is; facts older than [`control_max_age`](super::control_max_age) are ignored.
    pub age: Duration,
    /// What the control saw at each redirect hop; empty where nobody wrote it down.
    pub hops: Vec<HopFact>,
    /// Nobody answered the control at all: it failed for reasons of its own, and says nothing about the target.
    pub is_line_broken: bool,
}

/// What a control saw at one redirect hop.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct HopFact {
    /// The hop's number, 0 for the target itself.
    pub hop: u8,
    /// The hop's host, as far as it is known.
    pub host: String,
    /// The layer at which the control failed here.
    pub failed_at: Option<Layer>,
    /// How it failed.
    pub failure: Option<Failure>,
    /// Addresses that the control's resolvers gave for the host, all engines together.
    pub addresses: Vec<IpAddr>,
    /// The page, without its body.
    pub page: Option<HttpFact>,
    /// The issuer of the certificate of a valid handshake, empty if there was none.
    pub certificate_issuer: String,
    /// SHA-256 of that certificate.
    pub certificate_sha256: String,
}

impl ControlFact {
    /// Reads a control's measurement as of its own moment.
    #[must_use]
    pub fn of(measurement: &Measurement) -> Self {
        let fingerprints = Fingerprints::shared();
        let evidence = Evidence::read(measurement, fingerprints);
        let mut addresses = BTreeSet::new();
        let mut http_status = 0;
        for step in &measurement.observations {
            match &step.fact {
                Fact::Dns(answer) if !matches!(step.engine, Engine::Control | Engine::Retry) => {
                    addresses.extend(answer.addresses.iter().copied());
                }
                Fact::Http(page) if step.engine == Engine::System => http_status = page.status,
                _ => {}
            }
        }
        let download = evidence::download_of(measurement, Engine::System);
        let numbers: BTreeSet<u8> = measurement.observations.iter().map(|step| step.hop).collect();
        Self {
            check: measurement.check,
            failed_at: if rules::messaging::is_messaging(measurement.check) {
                rules::messaging::failed_at(measurement)
            } else {
                evidence.failed.map(|step| step.layer)
            },
            addresses: addresses.into_iter().collect(),
            http_status,
            goodput_bps: download.and_then(rules::throughput::goodput),
            age: Duration::ZERO,
            hops: numbers.into_iter().map(|hop| hop_fact(measurement, &evidence, hop)).collect(),
            is_line_broken: !measurement.observations.iter().any(is_answered),
        }
    }
}

fn hop_fact(measurement: &Measurement, evidence: &Evidence<'_>, hop: u8) -> HopFact {
    let failed = evidence.failed.filter(|step| step.hop == hop);
    let mut fact = HopFact {
        hop,
        host: evidence.name_at(hop).unwrap_or_default().to_owned(),
        failed_at: failed.map(|step| step.layer),
        failure: failed.and_then(|step| step.failure.clone()),
        ..HopFact::default()
    };
    let is_own = |step: &&Observation| !matches!(step.engine, Engine::Control | Engine::Retry);
    for step in measurement.observations.iter().filter(|step| step.hop == hop).filter(is_own) {
        match &step.fact {
            Fact::Dns(answer) => fact.addresses.extend(answer.addresses.iter().copied()),
            Fact::Tls(tls) if step.engine == Engine::System && step.failure.is_none() => {
                fact.certificate_issuer.clone_from(&tls.certificate_issuer);
                fact.certificate_sha256.clone_from(&tls.certificate_sha256);
            }
            Fact::Http(page) if step.engine == Engine::System && page.status != 0 => {
                fact.page = Some(HttpFact { body_deflated: Vec::new(), ..page.clone() });
            }
            _ => {}
        }
    }
    fact
}

/// Says whether somebody answered, be it with a refusal.
fn is_answered(step: &Observation) -> bool {
    match &step.failure {
        None => true,
        Some(failure) => !matches!(
            failure,
            Failure::Timeout
                | Failure::NetworkDown
                | Failure::NetworkUnreachable
                | Failure::HostUnreachable
                | Failure::Interrupted
                | Failure::ConnectionAborted
                | Failure::AddressDenied
                | Failure::Unknown(_)
        ),
    }
}

/// What one control says about one hop of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// The layer at which the control failed there.
    pub(crate) failed_at: Option<Layer>,
    /// The status of its page there, 0 if none came or nobody wrote it down.
    pub(crate) status: u16,
    /// All that it saw there, where that was written down.
    pub(crate) seen: Option<&'a HopFact>,
    /// The addresses that it was given there.
    pub(crate) addresses: &'a [IpAddr],
}

/// Lists what controls say about a hop; one that never came to it says nothing.
pub(crate) fn views<'a>(controls: &[&'a ControlFact], (hop, host): (u8, &str)) -> Vec<View<'a>> {
    controls.iter().filter_map(|control| view(control, hop, host)).collect()
}

fn view<'a>(control: &'a ControlFact, hop: u8, host: &str) -> Option<View<'a>> {
    if control.hops.is_empty() {
        let (failed_at, status) = (control.failed_at, control.http_status);
        let addresses = if hop == 0 { &control.addresses[..] } else { &[] };
        return Some(View { failed_at, status, seen: None, addresses });
    }
    let is_same_host = |seen: &&HopFact| host.is_empty() || seen.host == host;
    let same_number = control.hops.iter().filter(|seen| seen.hop == hop).find(is_same_host);
    let by_name = || control.hops.iter().filter(|_| !host.is_empty()).find(is_same_host);
    let seen = same_number.or_else(by_name)?;
    let status = seen.page.as_ref().map_or(0, |page| page.status);
    Some(View { failed_at: seen.failed_at, status, seen: Some(seen), addresses: &seen.addresses })
}

impl View<'_> {
    /// Says whether the control got past a layer there.
    pub(crate) fn got_past(&self, layer: Layer) -> bool {
        self.failed_at.is_none_or(|failed| failed > layer)
    }
}
