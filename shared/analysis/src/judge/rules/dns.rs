//! Rules about name resolution.

use super::super::address::is_public;
use super::super::evidence::are_apart;
use super::super::{ControlFact, Evidence, View};
use super::{Finding, dns_flags, views_at};
use faultline_model::{Class, Engine, Failure, Layer, LayerStatus};

/// The address is nobody else's.
const FORGED: &str = "dns.forged";

/// Judges a failure of the system's resolver.
pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    if is_bogon(evidence) {
        return Some(Finding::new(Class::DnsBogon, "dns.injection.bogon"));
    }
    if !evidence.raced(evidence.hop()).is_empty() {
        // The denial came first, and an address behind it.
        return Some(Finding::new(Class::DnsNxdomain, "dns.injection.race"));
    }
    if let Some(telling) = dns_flags::find(evidence) {
        return Some(telling);
    }
    let finding = match evidence.failure()? {
        Failure::DnsNxdomain => Finding::new(Class::DnsNxdomain, "dns.nxdomain"),
        Failure::DnsNoAnswer => Finding::new(Class::DnsNxdomain, "dns.no_answer"),
        Failure::DnsRefused => Finding::new(Class::DnsNxdomain, "dns.refused"),
        Failure::DnsBogon => Finding::new(Class::DnsBogon, "dns.injection.bogon"),
        Failure::DnsServfail => Finding::new(Class::DnsTimeout, "dns.servfail"),
        Failure::Timeout => Finding::new(Class::DnsTimeout, "dns.timeout"),
        _ => Finding::new(Class::DnsTimeout, "dns.failure"),
    };
    Some(finding)
}

/// Judges an answer that no connection was made to: every address is one that cannot be a site.
pub(super) fn find_bogon(evidence: &Evidence<'_>) -> Option<Finding> {
    let reached = evidence.is_handshake_valid(0) || evidence.last_page().is_some();
    (is_bogon(evidence) && !reached).then(|| Finding::new(Class::DnsBogon, "dns.injection.bogon"))
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
        return Some(Finding::new(Class::DnsBogon, "dns.injection.bogon"));
    }
    if let Some(known) = find_known(evidence, controls).or_else(|| find_proven(evidence, controls)) {
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
    (evidence.public_handshake() != Some(false)).then(|| Finding::new(Class::DnsInjected, FORGED))
}

/// Judges an answer by the addresses and aliases to which forged answers are known to lead.
///
/// A control that was given such an address shows that it is the site's own, and so does a valid handshake.
pub(super) fn find_known(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Option<Finding> {
    let own = evidence.system_addresses();
    let is_known = own.iter().any(|address| evidence.fingerprints.address(*address).is_some())
        || evidence.system_aliases().any(|alias| evidence.fingerprints.alias(alias).is_some());
    let is_own = evidence.is_handshake_valid(evidence.hop()) || is_seen_by_controls(evidence, &own, controls);
    (is_known && !is_own).then(|| Finding::new(Class::DnsInjected, "dns.forged.known"))
}

/// Judges an address for a name that does not exist for anybody else: the censor lies about a dead name.
pub(super) fn find_ghost(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Option<Finding> {
    let hop = if evidence.failed.is_some() { evidence.hop() } else { evidence.last_hop() };
    let is_denied = |view: &View<'_>| {
        matches!(
            view.seen.and_then(|seen| seen.failure.as_ref()),
            Some(Failure::DnsNxdomain | Failure::DnsNoAnswer)
        )
    };
    let views = views_at(evidence, controls, hop);
    let is_dead = !views.is_empty() && views.iter().all(is_denied);
    let is_confirmed = evidence.opinions(hop, &[Engine::Doh, Engine::Dot]).is_empty();
    let is_given = !evidence.system_addresses_at(hop).is_empty();
    let found = is_given && is_dead && is_confirmed;
    found.then(|| Finding::new(Class::DnsInjected, "dns.injection.ghost").on(hop).with(LayerStatus::Blocked))
}

/// Judges a way that led to the site although its first answer was not the true one.
pub(super) fn find_misled(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Option<Finding> {
    (0..=evidence.last_hop()).find_map(|hop| {
        let rule = match misled(evidence, controls, hop)? {
            FORGED => "dns.forged.reachable",
            other => other,
        };
        Some(Finding::tampered(Layer::Dns, rule).on(hop))
    })
}

/// Judges a way that failed behind an answer that is known not to be the true one.
pub(super) fn find_proven(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Option<Finding> {
    Some(Finding::new(Class::DnsInjected, misled(evidence, controls, evidence.hop())?))
}

/// Returns the rule by which an answer is known not to be the true one, whatever its address does: a second, different
/// answer came behind it, or the public resolver says the same as the system's over UDP and something else where nobody
/// can read along, or the system's resolver alone says that the zone is its own. No control may have the address.
fn misled(evidence: &Evidence<'_>, controls: &[&ControlFact], hop: u8) -> Option<&'static str> {
    if !is_unknown_elsewhere(evidence, controls, hop) {
        return None;
    }
    if !evidence.raced(hop).is_empty() {
        return Some("dns.injection.race");
    }
    let (mut own, mut plain) = (evidence.system_addresses_at(hop), evidence.opinions(hop, &[Engine::Udp]));
    own.sort_unstable();
    plain.sort_unstable();
    let encrypted = evidence.opinions(hop, &[Engine::Doh, Engine::Dot]);
    let is_other = !encrypted.is_empty() && are_apart(&own, &encrypted);
    if is_other && plain == own {
        return Some(FORGED);
    }
    let is_own_zone = dns_flags::is_own_zone(evidence, hop) && !evidence.is_handshake_valid(hop);
    (is_other && is_own_zone).then_some("dns.forged.own_zone")
}

/// Judges an answer whose address shows a page of somebody else: no other resolver and no control has it.
pub(super) fn find_other_place(
    evidence: &Evidence<'_>,
    controls: &[&ControlFact],
    hop: u8,
) -> Option<Finding> {
    let (own, public) = (evidence.system_addresses_at(hop), evidence.public_addresses_at(hop));
    let is_apart = !public.is_empty() && are_apart(&own, &public);
    let found = is_unknown_elsewhere(evidence, controls, hop) && is_apart;
    let rule = misled(evidence, controls, hop).unwrap_or(FORGED);
    found.then(|| Finding::new(Class::DnsInjected, rule).on(hop))
}

/// Says whether there are controls, and none of them was given an address of the answer or one beside it.
fn is_unknown_elsewhere(evidence: &Evidence<'_>, controls: &[&ControlFact], hop: u8) -> bool {
    let own = evidence.system_addresses_at(hop);
    let views = views_at(evidence, controls, hop);
    let is_there = |view: &View<'_>| !are_apart(&own, view.addresses);
    !own.is_empty() && !views.is_empty() && !views.iter().any(is_there)
}

/// Says whether a control was given one of the addresses for the failing hop's host, or one beside it.
fn is_seen_by_controls(evidence: &Evidence<'_>, own: &[std::net::IpAddr], controls: &[&ControlFact]) -> bool {
    views_at(evidence, controls, evidence.hop()).iter().any(|view| !are_apart(own, view.addresses))
}
