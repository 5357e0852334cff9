//! Rules about messaging services: which of a service's parts do not work, each part a group of endpoints.
//!
//! A part of which any endpoint is enough (the programs choose another by themselves) fails only if all of them do; a part
//! that needs each of its endpoints fails with the first. The first part in the table that fails gives the rule. A
//! control counts only with the same check, and is read part by part in the same way.

use super::super::{ControlFact, Evidence};
use super::{Finding, got_past, local};
use faultline_model::{
    CheckKind, Class, Engine, Fact, Failure, Judgement, Layer, LayerStatus, Measurement, Observation,
};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A part of a service.
struct Part {
    rule: &'static str,
    /// Says whether a host belongs to it; hosts are compared with the target's own too.
    has: fn(host: &str, target: &str) -> bool,
    /// How far an endpoint must be reached.
    layer: Layer,
    /// One endpoint is enough.
    is_any_enough: bool,
}

const WEB: fn(&str, &str) -> bool = |host, target| host == target;

const fn part(rule: &'static str, has: fn(&str, &str) -> bool, layer: Layer) -> Part {
    Part { rule, has, layer, is_any_enough: false }
}

const WHATSAPP: [Part; 3] = [
    Part {
        is_any_enough: true,
        ..part("whatsapp.endpoints.blocked", |host, _| is_whatsapp_endpoint(host), Layer::Tcp)
    },
    part("whatsapp.registration.blocked", |host, _| host == "v.whatsapp.net", Layer::Http),
    part("whatsapp.web.blocked", WEB, Layer::Http),
];
const TELEGRAM: [Part; 2] = [
    Part {
        is_any_enough: true,
        ..part("telegram.access_points.blocked", |host, _| host.parse::<IpAddr>().is_ok(), Layer::Http)
    },
    part("telegram.web.blocked", WEB, Layer::Http),
];
const SIGNAL: [Part; 2] = [
    part(
        "signal.backend.blocked",
        |host, target| host != target && host.ends_with(".signal.org"),
        Layer::Tls,
    ),
    part("signal.web.blocked", WEB, Layer::Http),
];
const MESSENGER: [Part; 3] = [
    part("messenger.dns.blocked", |host, target| host != target, Layer::Dns),
    part("messenger.tcp.blocked", |host, target| host != target && !host.starts_with("stun."), Layer::Tcp),
    part("messenger.web.blocked", WEB, Layer::Http),
];

fn is_whatsapp_endpoint(host: &str) -> bool {
    let number = host.strip_prefix('e').and_then(|rest| rest.strip_suffix(".whatsapp.net"));
    number.is_some_and(|number| number.parse::<u8>().is_ok())
}

const fn parts(check: CheckKind) -> &'static [Part] {
    match check {
        CheckKind::Whatsapp => &WHATSAPP,
        CheckKind::Telegram => &TELEGRAM,
        CheckKind::Signal => &SIGNAL,
        CheckKind::Messenger => &MESSENGER,
        _ => &[],
    }
}

/// Judges a measurement of a messaging service.
pub(in super::super) fn apply(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Judgement {
    let controls: Vec<&ControlFact> =
        controls.iter().copied().filter(|control| control.check == evidence.check()).collect();
    let found = first_failed(evidence.check(), evidence.observations(), evidence.host())
        .map(|(part, step)| Finding::at(class(step), step.layer, part.rule))
        .or_else(|| forged_certificate(evidence));
    let Some(finding) = found else {
        let is_tried = !evidence.is_empty();
        let status = if is_tried { LayerStatus::Ok } else { LayerStatus::Insufficient };
        return Finding::new(Class::Ok, "ok").judged(status);
    };
    if let Some(local) = local::find(evidence) {
        return local.judged(LayerStatus::Insufficient);
    }
    let status = match controls.as_slice() {
        [] => LayerStatus::Insufficient,
        some if some.iter().any(|control| got_past(control, finding.layer)) => LayerStatus::Blocked,
        _ => LayerStatus::Down,
    };
    finding.judged(status)
}

/// Says at which layer a control found a part of the service failing. Single endpoints that nobody needs do not count.
pub(in super::super) fn failed_at(measurement: &Measurement) -> Option<Layer> {
    let (check, steps) = (measurement.check, measurement.observations.as_slice());
    first_failed(check, steps, measurement.target.host()).map(|(_, step)| step.layer)
}

/// Says whether a check is one of these.
pub(in super::super) const fn is_messaging(check: CheckKind) -> bool {
    !parts(check).is_empty()
}

/// Finds the first part that fails, and the step that stands for its failure.
fn first_failed<'a>(
    check: CheckKind,
    steps: &'a [Observation],
    target: &str,
) -> Option<(&'static Part, &'a Observation)> {
    parts(check).iter().find_map(|part| Some((part, failure_of(part, steps, target)?)))
}

fn failure_of<'a>(part: &Part, steps: &'a [Observation], target: &str) -> Option<&'a Observation> {
    let own: Vec<(&Observation, String)> =
        steps.iter().filter_map(|step| Some((step, host_of(step)?))).collect();
    let hosts: BTreeSet<&str> =
        own.iter().map(|(_, host)| host.as_str()).filter(|host| (part.has)(host, target)).collect();
    let mut failed = Vec::new();
    for host in &hosts {
        let of_host = own.iter().filter(|(_, other)| other == host).map(|(step, _)| *step);
        let is_reached = of_host.clone().any(|step| step.layer == part.layer && step.failure.is_none());
        if !is_reached {
            failed.push(of_host.clone().find(|step| step.failure.is_some() && step.layer <= part.layer));
        }
    }
    let fails = if part.is_any_enough { failed.len() == hosts.len() } else { !failed.is_empty() };
    // An endpoint without any failed step was not tried; it says nothing.
    if fails && !hosts.is_empty() { failed.into_iter().flatten().next() } else { None }
}

/// Returns the host that a step is about.
pub(crate) fn host_of(step: &Observation) -> Option<String> {
    if step.engine != Engine::System {
        return None;
    }
    match &step.fact {
        Fact::Dns(answer) => Some(answer.hostname.clone()),
        Fact::Endpoint(fact) => fact.name.rsplit_once(':').map(|(host, _)| host.to_owned()),
        Fact::Tls(fact) => Some(fact.server_name.clone()),
        Fact::Http(fact) => host_of_url(&fact.url),
        _ => None,
    }
}

fn host_of_url(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    Some(authority.split(':').next().unwrap_or_default().to_owned())
}

/// Finds a certificate of Signal's backend that its own authority did not sign, by the issuer's name.
fn forged_certificate(evidence: &Evidence<'_>) -> Option<Finding> {
    if evidence.check() != CheckKind::Signal {
        return None;
    }
    let forged = evidence.observations().iter().any(|step| match &step.fact {
        Fact::Tls(fact) if fact.server_name != evidence.host() => {
            !fact.certificate_issuer.is_empty() && !fact.certificate_issuer.contains("Signal")
        }
        _ => false,
    });
    forged.then(|| Finding::new(Class::TlsCertMismatch, "signal.certificate"))
}

fn class(step: &Observation) -> Class {
    match (step.layer, step.failure.as_ref()) {
        (Layer::Dns, Some(Failure::DnsBogon)) => Class::DnsBogon,
        (Layer::Dns, Some(Failure::DnsNxdomain | Failure::DnsNoAnswer | Failure::DnsRefused)) => {
            Class::DnsNxdomain
        }
        (Layer::Dns, _) => Class::DnsTimeout,
        (Layer::Tcp, Some(Failure::ConnectionReset | Failure::Eof)) => Class::TcpReset,
        (Layer::Tcp, Some(Failure::Timeout)) => Class::TcpTimeout,
        (Layer::Tcp, _) => Class::TcpRefused,
        (Layer::Tls, Some(Failure::ConnectionReset | Failure::Eof)) => Class::TlsReset,
        (Layer::Tls, Some(Failure::Timeout)) => Class::TlsTimeout,
        (Layer::Tls, _) => Class::TlsCertMismatch,
        (_, Some(Failure::ConnectionReset | Failure::Eof | Failure::HttpInvalidResponse)) => Class::HttpReset,
        _ => Class::HttpTimeout,
    }
}
