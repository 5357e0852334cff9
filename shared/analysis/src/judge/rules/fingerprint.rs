//! Known block pages and subscriber filters.
//!
//! Sources: OONI's blocking fingerprints (`ooni.pk_1` to `ooni.pk_4`) and Censored Planet's, as compiled on the
//! project's page about Pakistan. Nayatel's Safeweb and Surf Safely are filters that a subscriber ordered:
//! what they hide is no act of the provider.

use faultline_model::HttpFact;
use std::net::{IpAddr, Ipv4Addr};

/// Addresses to which an ordered filter's resolver points.
const SUBSCRIBER_FILTERS: [Ipv4Addr; 2] = [Ipv4Addr::new(203, 82, 48, 83), Ipv4Addr::new(203, 82, 48, 86)];

/// Beginnings of the places to which block pages redirect.
const BLOCK_LOCATIONS: [&str; 4] = [
    "http://119.73.65.87:8080/redirect.html?accessurl=",
    "http://redirect.wi-tribe.net.pk/alert/",
    "http://restrict.wateen.net/",
    "http://restrictk.wateen.net/",
];

/// Parts of the titles of block pages, in lower case.
const BLOCK_TITLES: [&str; 1] = ["prohibited for viewership from within pakistan"];

/// Says whether an address belongs to a filter that the subscriber ordered.
pub(super) fn is_subscriber_filter(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if SUBSCRIBER_FILTERS.contains(&v4))
}

/// Says whether a page is a known block page, or leads to one.
pub(super) fn is_block_page(page: &HttpFact) -> bool {
    let title = page.title.to_lowercase();
    BLOCK_LOCATIONS.iter().any(|start| page.location.starts_with(start))
        || BLOCK_TITLES.iter().any(|part| title.contains(part))
}
