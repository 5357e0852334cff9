//! Rules about name resolution.

use super::super::address::is_public;
use super::super::evidence::are_apart;
use super::super::{ControlFact, Evidence};
use super::Finding;
use faultline_model::{Class, Failure, Layer};

/// Judges a failure of the system's resolver.
pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    if is_bogon(evidence) {
        return Some(Finding::new(Class::DnsBogon, "dns.bogon"));
    }
    let finding = match evidence.failure()? {
        Failure::DnsNxdomain => Finding::new(Class::DnsNxdomain, "dns.nxdomain"),
        Failure::DnsNoAnswer => Finding::new(Class::DnsNxdomain, "dns.no_answer"),
        Failure::DnsRefused => Finding::new(Class::DnsNxdomain, "dns.refused"),
        Failure::DnsBogon => Finding::new(Class::DnsBogon, "dns.bogon"),
        Failure::DnsServfail => Finding::new(Class::DnsTimeout, "dns.servfail"),
        Failure::Timeout => Finding::new(Class::DnsTimeout, "dns.timeout"),
        _ => Finding::new(Class::DnsTimeout, "dns.failure"),
    };
    Some(finding)
}

/// Judges an answer that no connection was made to: every address is one that cannot be a site.
pub(super) fn find_bogon(evidence: &Evidence<'_>) -> Option<Finding> {
    let reached = evidence.is_handshake_valid(0) || evidence.last_page().is_some();
    (is_bogon(evidence) && !reached).then(|| Finding::new(Class::DnsBogon, "dns.bogon"))
}

/// Says whether the system's resolver gave only addresses that cannot be a public site.
pub(super) fn is_bogon(evidence: &Evidence<'_>) -> bool {
    let addresses = evidence.system_addresses();
    !addresses.is_empty() && !addresses.iter().any(|address| is_public(*address))
}

/// Judges a connection that failed at the system resolver's address: is the address a forged one?
///
/// It is if public resolvers give wholly different addresses, no control was given the address, and it does not
/// answer as the site: a certificate that is not the site's, a refusal or silence. A reset in the handshake is
/// no sign of a wrong address: filters reset by name. Where the agent also tried a public resolver's address,
/// that decides: the same failure there means that the name is blocked, whatever the address.
pub(super) fn find_forged(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Option<Finding> {
    if is_bogon(evidence) {
        return Some(Finding::new(Class::DnsBogon, "dns.bogon"));
    }
    if let Some(known) = find_known(evidence, controls) {
        return Some(known);
    }
    let (failure, layer) = (evidence.failure()?, evidence.failed?.layer);
    let is_not_the_site = match failure {
        Failure::SslInvalidHostname
        | Failure::SslUnknownAuthority
        | Failure::SslInvalidCertificate
        | Failure::SslFailedHandshake => true,
        Failure::ConnectionRefused | Failure::HostUnreachable | Failure::NetworkUnreachable => {
            layer == Layer::Tcp
        }
        Failure::Timeout => true,
        _ => false,
    };
    let (own, public) = (evidence.system_addresses(), evidence.public_addresses());
    let differs = !own.is_empty() && !public.is_empty() && are_apart(&own, &public);
    if !is_not_the_site || !differs || is_seen_by_controls(evidence, &own, controls) {
        return None;
    }
    (evidence.public_handshake() != Some(false)).then(|| Finding::new(Class::DnsInjected, "dns.forged"))
}

/// Judges an answer by the addresses to which forged answers are known to point.
///
/// A control that was given such an address shows that it is the site's own, and so does a valid handshake.
pub(super) fn find_known(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Option<Finding> {
    let own = evidence.system_addresses();
    let is_known = own.iter().any(|address| evidence.fingerprints.address(*address).is_some());
    let is_own = evidence.is_handshake_valid(evidence.hop()) || is_seen_by_controls(evidence, &own, controls);
    (is_known && !is_own).then(|| Finding::new(Class::DnsInjected, "dns.forged.known"))
}

/// Controls resolve the target's own name only, so that they say nothing about redirects.
fn is_seen_by_controls(evidence: &Evidence<'_>, own: &[std::net::IpAddr], controls: &[&ControlFact]) -> bool {
    evidence.hop() == 0 && controls.iter().any(|control| !are_apart(own, &control.addresses))
}
