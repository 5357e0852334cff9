//! Rules about the vantage point itself: what they match says nothing about a network or a site.

use super::super::{Evidence, Fingerprints};
use super::Finding;
use faultline_model::{Class, Engine, Failure};

pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    if evidence.is_empty() {
        return Some(Finding::new(Class::LocalNetworkDown, "local.not_run"));
    }
    if evidence.system_addresses().iter().any(|address| Fingerprints::is_subscriber_filter(*address)) {
        return Some(Finding::new(Class::LocalNetworkDown, "local.subscriber_filter"));
    }
    if is_behind_portal(evidence) {
        return Some(Finding::new(Class::LocalNetworkDown, "local.captive_portal"));
    }
    let rule = match evidence.failure()? {
        Failure::NetworkDown => "local.network_down",
        Failure::Interrupted | Failure::ConnectionAborted => "local.interrupted",
        // A name that resolves only to IPv6 on a line without it (OONI's `ipv6_broken_probe`).
        Failure::NetworkUnreachable if is_v6(evidence) => "local.no_ipv6",
        Failure::AddressDenied if !super::dns::is_bogon(evidence) => "local.policy",
        _ => return None,
    };
    Some(Finding::new(Class::LocalNetworkDown, rule))
}

/// Says whether somebody on the line answers for everybody: every resolver that can be read gives the same address, and
/// the encrypted one, which is another host, shows a certificate that is not its own.
fn is_behind_portal(evidence: &Evidence<'_>) -> bool {
    let mut own = evidence.system_addresses();
    let mut plain = evidence.opinions(evidence.hop(), &[Engine::Udp]);
    own.sort_unstable();
    plain.sort_unstable();
    let is_foreign = |failure: &Failure| {
        matches!(
            failure,
            Failure::SslInvalidHostname | Failure::SslUnknownAuthority | Failure::SslInvalidCertificate
        )
    };
    let is_intercepted = evidence.opinion_failures(&[Engine::Doh, Engine::Dot]).any(is_foreign);
    !own.is_empty() && own == plain && is_intercepted
}

fn is_v6(evidence: &Evidence<'_>) -> bool {
    evidence.failed.and_then(|step| step.peer).is_some_and(|peer| peer.is_ipv6())
}
