//! Where an agent may connect to: public addresses, few ports, and never the volunteer's own networks.
//!
//! A denied address is still recorded where it was an answer; it is only never spoken to. An IPv6 address that
//! carries an IPv4 address (NAT64, 6to4, Teredo) is judged by both.

use super::local::LocalNetworks;
use faultline_model::is_denied_port;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a socket is opened for; each purpose has its own ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A measured site: ports 80 and 443.
    Site,
    /// A public resolver of the signed list: port 53, 443 for DNS over HTTPS, and 853 for DNS over TLS.
    PublicResolver,
    /// The system's own resolver, which usually stands in the volunteer's network: port 53.
    SystemResolver,
    /// An endpoint of a messaging service's own programs: ports 80, 443 and 5222.
    Messaging,
    /// The far end of a circumvention check: the port that the signed list names for it, unless nobody may touch it.
    Endpoint(u16),
}

/// Why an address is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It cannot belong to a public host.
    #[error("the address is not public")]
    NotPublic,
    /// It lies in one of the volunteer's own networks.
    #[error("the address lies in the volunteer's own network")]
    OwnNetwork,
    /// The coordinator is there, and the check is one of ways around censorship.
    #[error("the coordinator is at that address")]
    Coordinator,
    /// The port is not one that is measured.
    #[error("port {0} is never connected to")]
    Port(u16),
}

/// The rules for addresses and ports.
#[derive(Clone, Debug)]
pub struct AddressPolicy {
    local: LocalNetworks,
    test_ports: Option<Vec<(u16, u16)>>,
}

impl AddressPolicy {
    /// Makes the rules of a machine that stands in the given networks.
    #[must_use]
    pub const fn new(local: LocalNetworks) -> Self {
        Self { local, test_ports: None }
    }

    /// Makes rules for tests on one machine: 127.0.0.0/8 counts as public, and a port that is asked for is replaced
    /// by the one that the test's server really listens on. No program of the project makes such rules.
    #[must_use]
    pub fn for_test_network(ports: &[(u16, u16)]) -> Self {
        Self { local: LocalNetworks::default(), test_ports: Some(ports.to_vec()) }
    }

    /// Returns the networks in which the machine stands.
    #[must_use]
    pub(super) const fn local(&self) -> &LocalNetworks {
        &self.local
    }

    /// Says where to connect for an address, or why it is denied.
    ///
    /// # Errors
    /// Names the rule that the address or the port breaks.
    pub fn permit(&self, peer: SocketAddr, purpose: Purpose) -> Result<SocketAddr, Denied> {
        let named;
        let ports: &[u16] = match purpose {
            Purpose::Site => &[80, 443],
            Purpose::PublicResolver => &[53, 443, 853],
            Purpose::SystemResolver => &[53],
            Purpose::Messaging => &[80, 443, 5222],
            Purpose::Endpoint(port) => {
                if is_denied_port(port) {
                    return Err(Denied::Port(port));
                }
                named = [port];
                &named
            }
        };
        if let Some(map) = &self.test_ports
            && is_test_loopback(peer.ip())
        {
            let real = map.iter().find(|(asked, _)| *asked == peer.port());
            let port = real.map(|(_, real)| *real).ok_or(Denied::Port(peer.port()))?;
            return Ok(SocketAddr::new(peer.ip(), port));
        }
        if !ports.contains(&peer.port()) {
            return Err(Denied::Port(peer.port()));
        }
        if purpose == Purpose::SystemResolver {
            return Ok(peer);
        }
        if !is_public(peer.ip()) {
            return Err(Denied::NotPublic);
        }
        if self.local.contains(peer.ip()) { Err(Denied::OwnNetwork) } else { Ok(peer) }
    }
}

fn is_test_loopback(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.is_loopback())
}

/// Says whether an address can belong to a host on the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let reserved = a == 0
        || a >= 224
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !reserved
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        // NAT64 (RFC 6052): public only as far as the address inside is. Its local-use twin 64:ff9b:1:: never is.
        (0x64, 0xff9b) => [c, d, e, f] == [0; 4] && is_public_v4(v4(g, h)),
        // Teredo carries its server's address and, inverted, its client's.
        (0x2001, 0) => is_public_v4(v4(c, d)) && is_public_v4(v4(!g, !h)),
        // Benchmarking, ORCHID, documentation.
        (0x2001, 0x2) if c == 0 => false,
        (0x2001, 0x10..=0x2f | 0xdb8) => false,
        (0x3fff, 0..=0x0fff) => false,
        // 6to4.
        (0x2002, _) => is_public_v4(v4(b, c)),
        // Whatever is not global unicast: unspecified, loopback, mapped and compatible IPv4, discard, local, multicast.
        _ => (0x2000..0x4000).contains(&a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict() -> AddressPolicy {
        AddressPolicy::new(LocalNetworks::default())
    }

    #[test]
    fn no_private_local_or_reserved_address_is_ever_connected_to() {
        let denied = [
            "10.0.0.1",
            "10.99.0.24",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.7.222",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.251",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::fb",
            "::ffff:8.8.8.8",
            "::ffff:192.168.1.1",
            "::10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "2002:c0a8:0101::1",
            "2002:7f00:1::",
            "2002:0a00:1::1",
            "2001:0:c0a8:101::f7f7:f7f7",
            "2001:0:808:808::3f57:fefe",
            "2001:db8::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "3fff::1",
            "100::1",
            "4000::1",
            "5f00::1",
        ];
        for text in denied {
            let address: IpAddr = text.parse().expect("an address");
            let peer = SocketAddr::new(address, 443);
            assert_eq!(strict().permit(peer, Purpose::Site), Err(Denied::NotPublic), "{text}");
            let peer = SocketAddr::new(address, 53);
            assert_eq!(strict().permit(peer, Purpose::PublicResolver), Err(Denied::NotPublic), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_connected_to_also_through_translators() {
        let allowed = [
            "8.8.8.8",
            "157.240.1.35",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.254",
            "2a03:2880:f12f:83:face:b00c:0:25de",
            "2606:4700::1111",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:0:808:808::f7f7:f7f7",
            "2001:4860:4860::8888",
        ];
        for text in allowed {
            let peer = SocketAddr::new(text.parse().expect("an address"), 443);
            assert_eq!(strict().permit(peer, Purpose::Site), Ok(peer), "{text}");
        }
    }

    #[test]
    fn each_purpose_has_its_ports_and_no_other() {
        let at = |port| SocketAddr::new("8.8.8.8".parse().expect("an address"), port);
        for port in [0, 21, 22, 25, 53, 139, 445, 853, 8080, 8443, 65535] {
            assert_eq!(strict().permit(at(port), Purpose::Site), Err(Denied::Port(port)));
        }
        assert!(strict().permit(at(80), Purpose::PublicResolver).is_err());
        assert!(strict().permit(at(443), Purpose::SystemResolver).is_err());
        for (port, purpose) in
            [(53, Purpose::PublicResolver), (443, Purpose::PublicResolver), (80, Purpose::Site)]
        {
            assert!(strict().permit(at(port), purpose).is_ok());
        }
        let home = SocketAddr::new("192.168.1.1".parse().expect("an address"), 53);
        assert!(strict().permit(home, Purpose::SystemResolver).is_ok());
    }

    #[test]
    fn the_volunteers_own_networks_addresses_and_gateways_are_denied() {
        let local = LocalNetworks::parse(
            "Iface\tDestination\tGateway\nppp0\t00000000\t0108C25F\t0003\t0\t0\t0\t00000000\neth0\t0008C25F\t00000000\t0001\t0\t0\t0\t00FFFFFF\n",
            "           |-- 39.32.7.9\n              /32 host LOCAL\n",
            "2a00000000000000000000000000007b 02 40 00 80     eth0\n",
            "00000000000000000000000000000000 00 00000000000000000000000000000000 00 2a010000000000000000000000000001 0 1 0 3 eth0\n",
        );
        let policy = AddressPolicy::new(local);
        for own in ["95.194.8.1", "95.194.8.200", "39.32.7.9", "2a00::9", "2a01::1"] {
            let peer = SocketAddr::new(own.parse().expect("an address"), 443);
            assert_eq!(policy.permit(peer, Purpose::Site), Err(Denied::OwnNetwork), "{own}");
        }
        for foreign in ["95.194.9.1", "39.32.7.10", "2a00:0:0:1::9", "2a01::2", "8.8.8.8"] {
            let peer = SocketAddr::new(foreign.parse().expect("an address"), 443);
            assert_eq!(policy.permit(peer, Purpose::Site), Ok(peer), "{foreign}");
        }
    }

    #[test]
    fn an_endpoint_has_the_one_port_that_is_named_for_it() {
        let rules = AddressPolicy::new(LocalNetworks::default());
        let permits = |peer: &str, named| {
            rules.permit(peer.parse().expect("an address"), Purpose::Endpoint(named)).is_ok()
        };
        assert!(permits("8.8.8.8:1194", 1194) && permits("8.8.8.8:443", 443));
        assert!(!permits("8.8.8.8:1195", 1194), "another port");
        assert!(!permits("8.8.8.8:25", 25) && !permits("8.8.8.8:445", 445), "whoever named it");
        assert!(!permits("192.168.1.1:1194", 1194) && !permits("127.0.0.1:1194", 1194));
    }
}
