//! Rules about the vantage point itself: what they match says nothing about a network or a site.

use super::super::{Evidence, Fingerprints};
use super::Finding;
use faultline_model::{Class, Failure};

pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    if evidence.is_empty() {
        return Some(Finding::new(Class::LocalNetworkDown, "local.not_run"));
    }
    if evidence.system_addresses().iter().any(|address| Fingerprints::is_subscriber_filter(*address)) {
        return Some(Finding::new(Class::LocalNetworkDown, "local.subscriber_filter"));
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

fn is_v6(evidence: &Evidence<'_>) -> bool {
    evidence.failed.and_then(|step| step.peer).is_some_and(|peer| peer.is_ipv6())
}
