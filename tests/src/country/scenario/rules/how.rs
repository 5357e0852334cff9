//! Reads `how` with the keys that belong to it.

use super::super::How;
use super::super::check::Notes;
use super::super::raw::{self, HowName, SiteDownMode};
use std::net::Ipv4Addr;

/// Reads how a rule acts.
pub(super) fn how(notes: &mut Notes<'_>, raw: &raw::Rule) -> Option<How> {
    let name = *raw.how.get_ref();
    if let Some(address) = raw.address.as_ref().filter(|_| name != HowName::DnsForge) {
        notes.add(address.span().start, "address", "only dns_forge answers an address");
    }
    if let Some(mode) = raw.mode.as_ref().filter(|_| name != HowName::SiteDown) {
        notes.add(mode.span().start, "mode", "only site_down has a mode");
    }
    Some(match name {
        HowName::DnsForge => How::DnsForge(match &raw.address {
            None => None,
            Some(text) => {
                let read = text.get_ref().parse::<Ipv4Addr>();
                let bad = format!("{:?} is not an IPv4 address", text.get_ref());
                Some(notes.keep(text.span().start, "address", read.map_err(|_| bad))?)
            }
        }),
        HowName::AddressDrop => How::AddressDrop,
        HowName::AddressRefuse => How::AddressRefuse,
        HowName::SniReset => How::SniReset,
        HowName::SniDrop => How::SniDrop,
        HowName::Blackhole => How::Blackhole,
        HowName::PowerCut => How::PowerCut,
        HowName::CoordinatorDown => How::CoordinatorDown,
        HowName::SiteDown if raw.mode.as_ref().is_some_and(|m| *m.get_ref() == SiteDownMode::Refuse) => {
            How::SiteRefuses
        }
        HowName::SiteDown => How::SiteGone,
    })
}
