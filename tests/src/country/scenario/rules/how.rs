//! Reads `how` with the keys that belong to it.

use super::super::check::{Notes, percent, rate};
use super::super::raw::{self, HowName, SiteDownMode};
use super::super::sites::{IMPOSTOR, PORTAL};
use super::super::{How, Line, Scenario};
use crate::country::middlebox::Signature;
use std::net::Ipv4Addr;
use toml::Spanned;

const BLOCK_PAGE: &str =
    "The website you are trying to access is prohibited for viewership from within the country";
const REFUSALS: [u16; 2] = [403, 451];

/// Reads how a rule acts.
pub(super) fn how(notes: &mut Notes<'_>, scenario: &Scenario, raw: &raw::Rule) -> Option<How> {
    belongings(notes, raw);
    Some(match *raw.how.get_ref() {
        HowName::DnsForge => How::DnsForge(address(notes, raw)?),
        HowName::DnsInject => How::DnsInject(address(notes, raw)?),
        HowName::AddressDrop => How::AddressDrop,
        HowName::AddressRefuse => How::AddressRefuse,
        HowName::SniReset => How::SniReset,
        HowName::SniDrop => How::SniDrop,
        HowName::SniClose => How::SniClose,
        HowName::HttpReset => How::HttpReset,
        HowName::HttpDrop => How::HttpDrop,
        HowName::HttpClose => How::HttpClose,
        HowName::HttpBlockpage => How::HttpBlockpage(
            raw.page.as_ref().map_or_else(|| BLOCK_PAGE.to_owned(), |p| p.get_ref().clone()),
        ),
        HowName::QuicDrop => How::QuicDrop,
        HowName::Ipv6Drop => How::Ipv6Drop,
        HowName::OpenvpnDrop => How::Protocol(Signature::OpenvpnDrop),
        HowName::OpenvpnReset => How::Protocol(Signature::OpenvpnReset),
        HowName::WireguardDrop => How::Protocol(Signature::WireguardDrop),
        HowName::Throttle => {
            let given = rate(notes, raw.rate_kbit_s.as_ref());
            How::Throttle(needed(notes, raw, "rate_kbit_s", given)?)
        }
        HowName::Congestion => How::Congestion(congestion(notes, raw)?),
        HowName::BadCertificate if is_at_site(raw) => How::BadCertificate(None),
        HowName::BadCertificate => How::BadCertificate(Some(stand_in(notes, scenario, raw, IMPOSTOR)?)),
        HowName::CaptivePortal => How::CaptivePortal(stand_in(notes, scenario, raw, PORTAL)?),
        HowName::GeoBlock => How::GeoBlock(status(notes, raw)),
        HowName::Blackhole => How::Blackhole,
        HowName::PowerCut => How::PowerCut,
        HowName::CoordinatorDown => How::CoordinatorDown,
        HowName::SiteDown if raw.mode.as_ref().is_some_and(|m| *m.get_ref() == SiteDownMode::Refuse) => {
            How::SiteRefuses
        }
        HowName::SiteDown => How::SiteGone,
    })
}

/// Says whether a rule is about the sites themselves.
pub(in super::super) fn is_at_site(raw: &raw::Rule) -> bool {
    raw.who.get_ref().0 == ["site"]
}

/// Notes keys that belong to other rules.
fn belongings(notes: &mut Notes<'_>, raw: &raw::Rule) {
    use HowName as H;
    let how = *raw.how.get_ref();
    let mut only = |at: Option<usize>, key: &str, owners: &[HowName], message: &str| {
        if let Some(at) = at.filter(|_| !owners.contains(&how)) {
            notes.add(at, key, message);
        }
    };
    let answers = [H::DnsForge, H::DnsInject, H::BadCertificate, H::CaptivePortal];
    let message = "only dns_forge, dns_inject, bad_certificate and captive_portal have an address";
    only(start(raw.address.as_ref()), "address", &answers, message);
    only(start(raw.mode.as_ref()), "mode", &[H::SiteDown], "only site_down has a mode");
    only(start(raw.page.as_ref()), "page", &[H::HttpBlockpage], "only http_blockpage has a page");
    only(start(raw.rate_kbit_s.as_ref()), "rate_kbit_s", &[H::Throttle], "only throttle has a rate");
    only(start(raw.status.as_ref()), "status", &[H::GeoBlock], "only geo_block has a status");
    let message = "only congestion delays and loses";
    only(start(raw.delay_ms.as_ref()), "delay_ms", &[H::Congestion], message);
    only(start(raw.jitter_ms.as_ref()), "jitter_ms", &[H::Congestion], message);
    only(start(raw.loss_percent.as_ref()), "loss_percent", &[H::Congestion], message);
}

fn start<T>(given: Option<&Spanned<T>>) -> Option<usize> {
    given.map(|value| value.span().start)
}

/// Notes that a key is missing, at the rule's `how`.
fn needed<T>(notes: &mut Notes<'_>, raw: &raw::Rule, key: &str, given: Option<T>) -> Option<T> {
    if given.is_none() {
        notes.add(raw.how.span().start, key, "is missing");
    }
    given
}

/// Reads an address that is answered; without one the name does not exist.
fn address(notes: &mut Notes<'_>, raw: &raw::Rule) -> Option<Option<Ipv4Addr>> {
    let Some(text) = &raw.address else { return Some(None) };
    let read = text.get_ref().parse::<Ipv4Addr>();
    let bad = format!("{:?} is not an IPv4 address", text.get_ref());
    Some(Some(notes.keep(text.span().start, "address", read.map_err(|_| bad))?))
}

/// Reads the address of the host that answers for others; it has to be one of the world's.
fn stand_in(notes: &mut Notes<'_>, scenario: &Scenario, raw: &raw::Rule, own: &str) -> Option<Ipv4Addr> {
    let Some(text) = &raw.address else { return scenario.address_of(own) };
    let address = address(notes, raw)??;
    if scenario.sites_in(None).all(|site| site.address != address) {
        notes.add(text.span().start, "address", format!("no [[site]] outside the country is at {address}"));
    }
    Some(address)
}

fn congestion(notes: &mut Notes<'_>, raw: &raw::Rule) -> Option<Line> {
    let number = |given: &Option<Spanned<u32>>| given.as_ref().map_or(0, |number| *number.get_ref());
    let line = Line {
        delay_ms: number(&raw.delay_ms),
        jitter_ms: number(&raw.jitter_ms),
        loss_percent: percent(notes, raw.loss_percent.as_ref()),
    };
    let given = (line != Line::default()).then_some(line);
    needed(notes, raw, "loss_percent", given)
}

fn status(notes: &mut Notes<'_>, raw: &raw::Rule) -> u16 {
    let Some(given) = &raw.status else { return REFUSALS[0] };
    if !REFUSALS.contains(given.get_ref()) {
        notes.add(given.span().start, "status", "must be 403 or 451");
    }
    *given.get_ref()
}
