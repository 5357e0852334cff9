//! What OONI's test helper saw, as a control.

use super::value::{failure, text};
use crate::judge::{ControlFact, is_public};
use faultline_model::{CheckKind, Layer, Target};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// Addresses that are taken from one answer.
const MAX_ADDRESSES: usize = 100;

/// Reads the control; a helper that could not be asked, or that said nothing of the page, is none.
pub(super) fn read(keys: &Value, target: &Target) -> Option<ControlFact> {
    let control = &keys["control"];
    let page = &control["http_request"];
    if failure(&keys["control_failure"]).is_some() || !page.is_object() {
        return None;
    }
    let status = page["status_code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let status = status.filter(|code| (100..600).contains(code)).unwrap_or(0);
    let has_failed = failure(&page["failure"]).is_some();
    if !has_failed && status == 0 {
        return None;
    }
    let addresses = addresses(&control["dns"]);
    Some(ControlFact {
        check: CheckKind::Web,
        failed_at: has_failed.then(|| failed_at(control, &addresses, target)),
        addresses,
        http_status: status,
        ..ControlFact::default()
    })
}

/// Reads the addresses; the helper lists aliases beside them.
fn addresses(dns: &Value) -> Vec<IpAddr> {
    let listed = dns["addrs"].as_array().map_or(&[][..], Vec::as_slice).iter();
    listed.take(MAX_ADDRESSES).filter_map(|address| text(address).parse().ok()).collect()
}

/// Finds the layer at which the helper's own attempt ended. It tries the probe's addresses too, which may be forged:
/// only its own count where it has any.
fn failed_at(control: &Value, addresses: &[IpAddr], target: &Target) -> Layer {
    // An address that cannot be a site is as good as none: the name itself is at fault.
    if !addresses.iter().any(|address| is_public(*address)) {
        return Layer::Dns;
    }
    let is_own = |endpoint: &str| {
        endpoint.parse::<SocketAddr>().is_ok_and(|endpoint| addresses.contains(&endpoint.ip()))
    };
    let all_failed = |list: &Value| {
        let mut own =
            list.as_object().into_iter().flatten().filter(|(endpoint, _)| is_own(endpoint)).peekable();
        own.peek().is_some() && own.all(|(_, outcome)| failure(&outcome["failure"]).is_some())
    };
    if all_failed(&control["tcp_connect"]) {
        Layer::Tcp
    } else if target.is_https() && all_failed(&control["tls_handshake"]) {
        Layer::Tls
    } else {
        Layer::Http
    }
}
