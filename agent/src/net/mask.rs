//! What is said of the hops of a path: an address only where it cannot lead to the volunteer's home.
//!
//! An agent knows no routing table, so it draws the line by what it can see:
//! - an address in the machine's own networks is `home`, one that is not public is `private`;
//! - the first public address on the way and everything before it is `own`: it is the provider's edge, or the home's own
//!   public address; over IPv6, where homes have public addresses, the first that is not the machine's own network's;
//! - what shares a /24 (IPv6: a /48) with that first public address or with the machine's own networks is `own` too.
//!
//! What is left are routers at least one step beyond the provider's edge.

use super::Session;
use super::address::is_public;
use super::hops::{Echo, Reach};
use super::local::{LocalNetworks, are_near};
use faultline_model::{PathAnswer, PathHop, PathResponder};
use std::net::IpAddr;

/// The rules of one way.
#[derive(Clone)]
pub struct Mask {
    local: LocalNetworks,
    target: IpAddr,
    /// The first public responder and its distance.
    edge: Option<(u8, IpAddr)>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask([scrubbed])")
    }
}

impl Session {
    /// Makes the rules for a way from what was heard along the whole of it.
    #[must_use]
    pub fn mask(&self, target: IpAddr, heard: &[(u8, Echo)]) -> Mask {
        Mask::new(self.policy.local().clone(), target, heard)
    }
}

impl Mask {
    fn new(local: LocalNetworks, target: IpAddr, heard: &[(u8, Echo)]) -> Self {
        let public = |(ttl, echo): &(u8, Echo)| {
            let from = echo.from.filter(|from| is_public(*from) && *from != target)?;
            // Homes have public IPv6 addresses; a public IPv4 gateway is the provider's.
            (from.is_ipv4() || !local.contains(from)).then_some((*ttl, from))
        };
        let edge = heard.iter().filter_map(public).min_by_key(|(ttl, _)| *ttl);
        Self { local, target, edge }
    }

    /// Says of an echo what may be said.
    #[must_use]
    pub fn hop(&self, reach: Reach, echo: &Echo) -> PathHop {
        let ttl = match reach {
            Reach::Hops(ttl) => ttl,
            Reach::Whole => 0,
        };
        let responder = echo.from.map_or(PathResponder::Untold, |from| self.class(ttl, from));
        // A payload's echo has no sender; how long it took is told for what comes from the far side of the edge.
        let is_far = match responder {
            PathResponder::Router | PathResponder::Target => true,
            PathResponder::Untold => self.edge.is_some_and(|(edge, _)| ttl == 0 || ttl > edge),
            _ => false,
        };
        let took = u32::try_from(echo.took.as_millis()).unwrap_or(u32::MAX);
        let is_answer = !matches!(echo.answer, PathAnswer::Nothing | PathAnswer::NotSent);
        PathHop {
            ttl,
            answer: echo.answer,
            responder,
            address: echo.from.filter(|_| responder == PathResponder::Router),
            asn: None,
            rtt_ms: if is_far && is_answer { took } else { 0 },
        }
    }

    fn class(&self, ttl: u8, from: IpAddr) -> PathResponder {
        if from == self.target {
            return PathResponder::Target;
        }
        if self.local.contains(from) {
            return PathResponder::Home;
        }
        if !is_public(from) {
            return PathResponder::Private;
        }
        let is_beyond = self.edge.is_some_and(|(edge, first)| ttl > edge && !are_near(first, from));
        if is_beyond && !self.local.is_near(from) { PathResponder::Router } else { PathResponder::Own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const TARGET: &str = "104.244.42.1";

    fn heard(way: &[&str]) -> Vec<(u8, Echo)> {
        let echo = |text: &&str| Echo {
            answer: if text.is_empty() { PathAnswer::Nothing } else { PathAnswer::TimeExceeded },
            from: text.parse().ok(),
            took: Duration::from_millis(7),
        };
        (1..).zip(way.iter().map(echo)).collect()
    }

    /// The machine stands in 192.168.1.0/24 and has 101.50.64.77, and in 2001:4f8:1:2::/64.
    fn local() -> LocalNetworks {
        let route = "x\neth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n";
        let own = "|-- 101.50.64.77\n/32 host LOCAL\n";
        LocalNetworks::parse(route, own, "200104f8000100020000000000000077 02 40 00 80 eth0\n", "")
    }

    fn said(way: &[&str]) -> Vec<(PathResponder, Option<String>)> {
        let heard = heard(way);
        let mask = Mask::new(local(), TARGET.parse().expect("an address"), &heard);
        let hops = heard.iter().map(|(ttl, echo)| mask.hop(Reach::Hops(*ttl), echo));
        hops.map(|hop| (hop.responder, hop.address.map(|address| address.to_string()))).collect()
    }

    #[test]
    fn a_home_its_neighbours_and_its_providers_edge_are_never_named() {
        let way = [
            "192.168.1.1",
            "",
            "100.64.3.4",
            "10.1.1.1",
            "203.99.1.1",
            "203.99.1.9",
            "101.50.64.1",
            "10.9.9.9",
        ];
        use PathResponder::{Home, Own, Private, Untold};
        let classes: Vec<PathResponder> = said(&way).into_iter().map(|(class, _)| class).collect();
        assert_eq!(classes, [Home, Untold, Private, Private, Own, Own, Own, Private]);
        assert!(said(&way).iter().all(|(_, address)| address.is_none()));
    }

    #[test]
    fn routers_up_the_way_and_the_target_are_told_apart() {
        let way = ["192.168.1.1", "203.99.1.1", "119.159.0.1", "", TARGET];
        let said = said(&way);
        assert_eq!(said[2], (PathResponder::Router, Some("119.159.0.1".into())));
        assert_eq!(said[3], (PathResponder::Untold, None));
        assert_eq!(
            said[4],
            (PathResponder::Target, None),
            "the target's address stands with the observation"
        );
    }

    #[test]
    fn a_customers_ipv6_prefix_is_her_own_although_it_is_public() {
        let way = ["2001:4f8:1:2::1", "2001:4f8:1:ff::1", "2001:4f8:2::1", "2001:4f8:7::1"];
        let said = said(&way);
        assert_eq!(said[0].0, PathResponder::Home);
        assert_eq!(said[1].0, PathResponder::Own);
        assert_eq!(said[2], (PathResponder::Router, Some("2001:4f8:2::1".into())));
    }

    #[test]
    fn nothing_tells_how_far_the_edge_is_and_a_mask_prints_nothing() {
        let heard = heard(&["192.168.1.1", "203.99.1.1", "119.159.0.1"]);
        let mask = Mask::new(local(), TARGET.parse().expect("an address"), &heard);
        let times: Vec<u32> =
            heard.iter().map(|(ttl, echo)| mask.hop(Reach::Hops(*ttl), echo).rtt_ms).collect();
        assert_eq!(times, [0, 0, 7]);
        let untold = Echo { from: None, ..heard[0].1 };
        assert_eq!(mask.hop(Reach::Hops(2), &untold).rtt_ms, 0);
        assert_eq!(mask.hop(Reach::Hops(3), &untold).rtt_ms, 7);
        assert_eq!(format!("{mask:?}"), "Mask([scrubbed])");
    }
}
