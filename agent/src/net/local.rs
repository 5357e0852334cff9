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

/// Returns the mask of a block that is large enough for a house of many subnets. Homes have 192.168.0.0/16, each a piece.
fn house(address: Ipv4Addr) -> Option<u32> {
    match address.octets() {
        [10, ..] => Some(u32::MAX << 24),
        [172, 16..=31, ..] => Some(u32::MAX << 20),
        _ => None,
    }
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

    /// Says whether a private address is of the private network in which the machine, or a resolver of its own, stands: of the
    /// same block where blocks are large and belong to one house, else of the same subnet.
    #[must_use]
    pub fn is_of_house(&self, address: IpAddr, resolvers: &[IpAddr]) -> bool {
        let mut inside = self.own.iter().chain(resolvers);
        match address {
            IpAddr::V4(v4) => match house(v4) {
                Some(mask) => inside
                    .any(|own| matches!(own, IpAddr::V4(own) if own.to_bits() & mask == v4.to_bits() & mask)),
                None => v4.is_private() && self.contains(address),
            },
            IpAddr::V6(v6) => v6.is_unique_local() && inside.any(|own| are_near(*own, address)),
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
    fn a_campus_is_one_house_and_a_home_is_its_subnet() {
        let route = "x\neth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n";
        let own = "|-- 10.130.4.7\n/32 host LOCAL\n|-- 192.168.1.7\n/32 host LOCAL\n";
        let networks = LocalNetworks::parse(route, own, "", "");
        let is_of_house = |text: &str| networks.is_of_house(text.parse().expect("an address"), &[]);
        assert!(is_of_house("10.99.0.24") && is_of_house("192.168.1.9"));
        for other in ["192.168.7.222", "172.16.0.1", "8.8.8.8", "100.64.0.1", "fd00::1"] {
            assert!(!is_of_house(other), "{other}");
        }
        let resolver = ["172.20.0.53".parse().expect("an address")];
        assert!(networks.is_of_house("172.16.0.1".parse().expect("an address"), &resolver));
    }

    #[test]
    fn foreign_text_in_the_tables_is_passed_over() {
        let networks =
            LocalNetworks::parse("a\nb c d e f g h i\n", "|-- x\n/32 host LOCAL\n", "zz\n", "1 2 3\n");
        assert!(!networks.contains("8.8.8.8".parse().expect("an address")));
        assert_eq!(format!("{networks:?}"), "LocalNetworks([scrubbed])");
    }
}
