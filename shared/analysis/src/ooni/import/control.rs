//! What OONI's test helper saw, as a control.

use super::page::{header, header_names, title_of};
use super::value::{failure, text};
use crate::judge::{ControlFact, HopFact, is_public};
use faultline_model::{CheckKind, Engine, Fact, HttpFact, Layer, Measurement};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use url::Url;

/// Addresses that are taken from one answer.
const MAX_ADDRESSES: usize = 100;

/// Reads the control; a helper that could not be asked, or that said nothing of the page, is none.
///
/// The helper looks at the target's own name and address only, follows redirects by itself, and tells of them how that
/// ended. So it is taken to have gone the probe's way: where it was served in the end it got through every hop, and the
/// page is the last one's; where it was not, it got through none behind the first.
pub(super) fn read(keys: &Value, measurement: &Measurement) -> Option<ControlFact> {
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
    let failed_at = has_failed.then(|| failed_at(control, &addresses, measurement.target.is_https()));
    let first = HopFact {
        failed_at,
        failure: failure(&control["dns"]["failure"]).or_else(|| failure(&page["failure"])),
        addresses: addresses.clone(),
        ..HopFact::default()
    };
    let last = measurement.observations.iter().map(|step| step.hop).max().unwrap_or(0);
    let hop = |hop: u8| HopFact {
        hop,
        host: host_at(measurement, hop),
        page: (hop == last && !has_failed).then(|| page_at(measurement, hop, page)),
        ..if hop == 0 {
            first.clone()
        } else {
            HopFact { failed_at: failed_at.map(|_| Layer::Dns), ..HopFact::default() }
        }
    };
    Some(ControlFact {
        check: CheckKind::Web,
        failed_at,
        addresses,
        http_status: status,
        hops: (0..=last).map(hop).collect(),
        ..ControlFact::default()
    })
}

/// Returns the host that the probe asked for at a hop.
fn host_at(measurement: &Measurement, hop: u8) -> String {
    let own = measurement.observations.iter().filter(|step| step.hop == hop && step.engine == Engine::System);
    let named = own.filter_map(|step| match &step.fact {
        Fact::Dns(answer) => Some(answer.hostname.clone()),
        Fact::Tls(tls) if !tls.server_name.is_empty() => Some(tls.server_name.clone()),
        Fact::Http(page) => Some(Url::parse(&page.url).ok()?.host_str()?.to_owned()),
        _ => None,
    });
    let first = || if hop == 0 { measurement.target.host().to_owned() } else { String::new() };
    named.into_iter().next().unwrap_or_else(first)
}

/// Reads the page that the helper was served, as one of the probe's own last URL.
fn page_at(measurement: &Measurement, hop: u8, page: &Value) -> HttpFact {
    let own = measurement.observations.iter().filter(|step| step.hop == hop);
    let url = own.filter_map(|step| match &step.fact {
        Fact::Http(page) => Some(page.url.clone()),
        _ => None,
    });
    let status = page["status_code"].as_u64().and_then(|code| u16::try_from(code).ok());
    HttpFact {
        url: url.into_iter().next().unwrap_or_else(|| measurement.target.to_string()),
        status: status.unwrap_or(0),
        body_bytes: page["body_length"].as_u64().unwrap_or(0),
        title: title_of(text(&page["title"])),
        server: header(page, "server"),
        header_names: header_names(page),
        ..HttpFact::default()
    }
}

/// Reads the addresses; the helper lists aliases beside them.
fn addresses(dns: &Value) -> Vec<IpAddr> {
    let listed = dns["addrs"].as_array().map_or(&[][..], Vec::as_slice).iter();
    listed.take(MAX_ADDRESSES).filter_map(|address| text(address).parse().ok()).collect()
}

/// Finds the layer at which the helper's own attempt ended. It tries the probe's addresses too, which may be forged:
/// only its own count where it has any.
fn failed_at(control: &Value, addresses: &[IpAddr], is_https: bool) -> Layer {
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
    } else if is_https && all_failed(&control["tls_handshake"]) {
        Layer::Tls
    } else {
        Layer::Http
    }
}
