//! The fingerprints that need no file.
//!
//! Sources: OONI's blocking fingerprints (`ooni.pk_1` to `ooni.pk_4`) and Censored Planet's, as compiled on the
//! project's page about Pakistan. Nayatel's Safeweb and Surf Safely are filters that a subscriber ordered:
//! what they hide is no act of the provider.

use std::net::Ipv4Addr;

/// Addresses to which an ordered filter's resolver points.
pub(super) const SUBSCRIBER_FILTERS: [Ipv4Addr; 2] =
    [Ipv4Addr::new(203, 82, 48, 83), Ipv4Addr::new(203, 82, 48, 86)];

/// Names and beginnings of the places to which block pages redirect.
pub(super) const BLOCK_LOCATIONS: [(&str, &str); 4] = [
    ("pk.jazz", "http://119.73.65.87:8080/redirect.html?accessurl="),
    ("pk.witribe", "http://redirect.wi-tribe.net.pk/alert/"),
    ("pk.wateen", "http://restrict.wateen.net/"),
    ("pk.wateen.2", "http://restrictk.wateen.net/"),
];

/// Names and parts of the titles of block pages, as regular expressions.
pub(super) const BLOCK_TITLES: [(&str, &str); 1] =
    [("pk.prohibited", "(?i)<title>[^<]*prohibited for viewership from within pakistan")];
