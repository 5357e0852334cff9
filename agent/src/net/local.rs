//! The networks in which the machine itself stands, read from the kernel's tables under `/proc/net`.
//!
//! They are held in memory for the time of one check and never recorded.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A directly connected route wider than this is a point-to-point default (a tunnel, PPP), not somebody's home.
const WIDEST_V4: u32 = 16;
const WIDEST_V6: u32 = 48;
/// The length of a network that is shared with neighbours and the provider's nearest equipment.
const NEAR_V4: u32 = 24;
const NEAR_V6: u32 = 48;

/// Says whether two addresses share a network so small that what is true of one home there may be true of the other.
#[must_use]
pub(super) fn are_near(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()) >> (32 - NEAR_V4) == 0,
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()) >> (128 - NEAR_V6) == 0,
        _ => false,
    }
}

/// The machine's own subnets, addresses and gateways.
#[derive(Clone, Default)]
pub struct LocalNetworks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
    own: Vec<IpAddr>,
}

impl std::fmt::Debug for LocalNetworks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalNetworks([scrubbed])")
    }
}

impl LocalNetworks {
    /// Reads the kernel's tables. A table that cannot be read counts as empty.
    #[must_use]
    pub fn read() -> Self {
        let table = |name: &str| std::fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
        Self::parse(&table("route"), &table("fib_trie"), &table("if_inet6"), &table("ipv6_route"))
    }

    /// Reads the four tables' texts: `route`, `fib_trie`, `if_inet6`, `ipv6_route`.
    #[must_use]
    pub fn parse(route: &str, fib_trie: &str, if_inet6: &str, ipv6_route: &str) -> Self {
        let mut networks = Self::default();
        route.lines().skip(1).for_each(|line| networks.add_route(line));
        networks.add_own_v4(fib_trie);
        if_inet6.lines().for_each(|line| networks.add_own_v6(line));
        ipv6_route.lines().for_each(|line| networks.add_route_v6(line));
        networks
    }

    /// Says whether an address is the machine's own, its gateway's, or in a subnet it stands in.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.v4.iter().any(|(net, mask)| v4.to_bits() & mask == *net),
            IpAddr::V6(v6) => self.v6.iter().any(|(net, mask)| v6.to_bits() & mask == *net),
        }
    }

    /// Says whether an address shares a small network (/24, /48) with one of the machine's own: it may be a neighbour's, or
    /// the provider's equipment for this customer.
    #[must_use]
    pub fn is_near(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.v4.iter().any(|(net, _)| (v4.to_bits() ^ net) >> (32 - NEAR_V4) == 0),
            IpAddr::V6(v6) => self.v6.iter().any(|(net, _)| (v6.to_bits() ^ net) >> (128 - NEAR_V6) == 0),
        }
    }

    /// Returns the addresses of the machine's own interfaces.
    #[must_use]
    pub fn own(&self) -> &[IpAddr] {
        &self.own
    }

    /// `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`, numbers in the machine's byte order.
    fn add_route(&mut self, line: &str) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| columns.get(at).and_then(|text| u32::from_str_radix(text, 16).ok());
        let (Some(net), Some(gateway), Some(mask)) = (number(1), number(2), number(7)) else { return };
        let (net, gateway, mask) = (u32::from_be(net), u32::from_be(gateway), u32::from_be(mask));
        if gateway != 0 {
            self.v4.push((gateway, u32::MAX));
        } else if mask.leading_ones() >= WIDEST_V4 {
            self.v4.push((net & mask, mask));
        }
    }

    /// Local addresses stand as `|-- ADDRESS` above `/32 host LOCAL`.
    fn add_own_v4(&mut self, fib_trie: &str) {
        let mut last = None;
        for line in fib_trie.lines().map(str::trim) {
            if let Some(address) = line.strip_prefix("|-- ") {
                last = address.parse::<Ipv4Addr>().ok();
            } else if line == "/32 host LOCAL"
                && let Some(address) = last
            {
                self.v4.push((address.to_bits(), u32::MAX));
                self.own.push(address.into());
            }
        }
    }

    /// `address ifindex prefix-length scope flags name`, hexadecimal.
    fn add_own_v6(&mut self, line: &str) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let address = columns.first().and_then(|text| u128::from_str_radix(text, 16).ok());
        let length = columns.get(2).and_then(|text| u32::from_str_radix(text, 16).ok());
        let (Some(address), Some(length)) = (address, length) else { return };
        self.v6.push((address, u128::MAX));
        self.own.push(Ipv6Addr::from_bits(address).into());
        if (WIDEST_V6..=128).contains(&length) {
            let mask = u128::MAX << (128 - length);
            self.v6.push((address & mask, mask));
        }
    }

    /// `destination length source length next-hop ...`, hexadecimal: only the next hop matters here.
    fn add_route_v6(&mut self, line: &str) {
        let next_hop = line.split_whitespace().nth(4).and_then(|text| u128::from_str_radix(text, 16).ok());
        if let Some(next_hop) = next_hop
            && Ipv6Addr::from_bits(next_hop) != Ipv6Addr::UNSPECIFIED
        {
            self.v6.push((next_hop, u128::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_to_point_default_route_is_nobodys_home() {
        let tunnel = "Iface\nwg0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\n";
        let networks = LocalNetworks::parse(tunnel, "", "", "");
        assert!(!networks.contains("8.8.8.8".parse().expect("an address")));
    }

    #[test]
    fn foreign_text_in_the_tables_is_passed_over() {
        let networks =
            LocalNetworks::parse("a\nb c d e f g h i\n", "|-- x\n/32 host LOCAL\n", "zz\n", "1 2 3\n");
        assert!(!networks.contains("8.8.8.8".parse().expect("an address")));
        assert_eq!(format!("{networks:?}"), "LocalNetworks([scrubbed])");
    }
}
