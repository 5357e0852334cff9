//! What this machine's traffic leaves through: read from the kernel's tables, without a packet.
//!
//! A tunnel means that what is measured is not the volunteer's line; a phone or a modem, that it may be paid for by the
//! byte; another gateway than a moment ago, that the machine was carried to another network. All of it stays in memory.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;

/// Documentation addresses: a route to them is the default route, and a connected UDP socket sends nothing.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 1), 9);
/// Kinds of interfaces (ARPHRD) that carry packets inside of others: no link layer (tun, WireGuard), PPP, IP in IP, IPv6
/// in IP, GRE.
const TUNNEL_TYPES: [u32; 5] = [65534, 512, 768, 769, 778];
/// Drivers of phones that share their line, and of mobile modems.
const METERED_DRIVERS: [&str; 7] =
    ["rndis_host", "ipheth", "cdc_mbim", "qmi_wwan", "huawei_cdc_ncm", "sierra_net", "cdc_ncm"];

/// An interface, as far as it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// It is a tunnel.
    pub is_tunnel: bool,
    /// It is a phone or a modem.
    pub is_metered: bool,
}

/// The way out of this machine.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Line {
    interface: String,
    gateway: u32,
    gateway_link: Option<String>,
    source: Option<IpAddr>,
    kind: Interface,
    /// The route says one interface, the kernel's choice of a source address another one: policy routing, as VPNs set up.
    is_diverted: bool,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line([scrubbed])")
    }
}

impl Line {
    /// Reads the kernel's tables; `None` where nothing leads out.
    #[must_use]
    pub fn read() -> Option<Self> {
        let table = |name: &str| std::fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
        let (route, arp, sessions) = (table("route"), table("arp"), table("pppoe"));
        let interfaces = interfaces(Path::new("/sys/class/net"), has_sessions(&sessions));
        let source = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
        let source = source.and_then(|socket| socket.connect(ELSEWHERE).and_then(|()| socket.local_addr()));
        Self::parse(&route, &arp, &interfaces, source.ok().map(|source| source.ip()))
    }

    /// Reads the tables' texts.
    #[must_use]
    pub fn parse(
        route: &str,
        arp: &str,
        interfaces: &BTreeMap<String, Interface>,
        source: Option<IpAddr>,
    ) -> Option<Self> {
        let routes: Vec<Route> = route.lines().skip(1).filter_map(Route::parse).collect();
        // Halves of the whole space come before the whole, as OpenVPN lays them.
        let default = routes.iter().filter(|route| route.net == 0 && route.mask.leading_ones() <= 1);
        let default = default.min_by_key(|route| (u32::MAX - route.mask, route.metric))?;
        let kind = interfaces.get(&default.interface).copied().unwrap_or_default();
        let own = routes
            .iter()
            .filter(|route| route.interface == default.interface && route.gateway == 0 && route.mask != 0);
        let mut own = own.peekable();
        let is_elsewhere = match source {
            Some(IpAddr::V4(source)) => {
                own.peek().is_some() && !own.any(|route| source.to_bits() & route.mask == route.net)
            }
            _ => false,
        };
        let is_diverted = is_elsewhere && interfaces.values().any(|interface| interface.is_tunnel);
        let gateway = Ipv4Addr::from_bits(default.gateway).to_string();
        Some(Self {
            interface: default.interface.clone(),
            gateway: default.gateway,
            gateway_link: link_address(arp, &gateway),
            source,
            kind,
            is_diverted,
        })
    }

    /// Says whether traffic leaves through a tunnel.
    #[must_use]
    pub const fn is_vpn(&self) -> bool {
        self.kind.is_tunnel || self.is_diverted
    }

    /// Says whether traffic leaves through a phone or a modem at this machine.
    #[must_use]
    pub const fn is_metered(&self) -> bool {
        self.kind.is_metered
    }

    /// Says whether this is another network than before: another interface, gateway or source address. A gateway whose
    /// link address is not known for a moment is no other one.
    #[must_use]
    pub fn has_moved_from(&self, before: &Self) -> bool {
        let is_other_link = match (&self.gateway_link, &before.gateway_link) {
            (Some(now), Some(then)) => now != then,
            _ => false,
        };
        let place = |line: &Self| (line.interface.clone(), line.gateway, line.source, line.is_diverted);
        is_other_link || place(self) != place(before)
    }
}

struct Route {
    interface: String,
    net: u32,
    gateway: u32,
    metric: u32,
    mask: u32,
}

impl Route {
    /// `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`, addresses in the machine's byte order.
    fn parse(line: &str) -> Option<Self> {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let hex = |at: usize| columns.get(at).and_then(|text| u32::from_str_radix(text, 16).ok());
        let is_up = hex(3)? & 1 == 1;
        let route = Self {
            interface: (*columns.first()?).to_owned(),
            net: u32::from_be(hex(1)?),
            gateway: u32::from_be(hex(2)?),
            metric: columns.get(6)?.parse().ok()?,
            mask: u32::from_be(hex(7)?),
        };
        is_up.then_some(route)
    }
}

/// `IP address, HW type, Flags, HW address, Mask, Device`.
fn link_address(arp: &str, gateway: &str) -> Option<String> {
    let mut lines = arp.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|columns| columns.first() == Some(&gateway))?;
    line.get(3).filter(|link| **link != "00:00:00:00:00:00").map(|link| (*link).to_owned())
}

/// A first line names the columns.
fn has_sessions(pppoe: &str) -> bool {
    pppoe.lines().count() > 1
}

/// PPP over Ethernet is how some homes reach their provider, and a modem without a link layer is no tunnel.
fn interfaces(dir: &Path, has_pppoe: bool) -> BTreeMap<String, Interface> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let read = |entry: std::fs::DirEntry| {
        let name = entry.file_name().to_str()?.to_owned();
        let text = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let kind = text("type").trim().parse::<u32>().unwrap_or_default();
        let is_modem = text("uevent").lines().any(|line| line == "DEVTYPE=wwan");
        let driver = std::fs::read_link(entry.path().join("device/driver")).ok();
        let driver =
            driver.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
        let is_home_ppp = kind == 512 && has_pppoe;
        let is_metered = is_modem || METERED_DRIVERS.contains(&driver);
        let is_tunnel = TUNNEL_TYPES.contains(&kind) && !is_metered && !is_home_ppp;
        Some((name, Interface { is_tunnel, is_metered }))
    };
    entries.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
    /// 192.168.1.0/24 behind 192.168.1.1 on wlan0.
    const HOME: &str = "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\nwlan0\t0001A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0\n";
    const ARP: &str = "IP address       HW type     Flags       HW address            Mask     Device\n192.168.1.1      0x1         0x2         aa:bb:cc:dd:ee:01     *        wlan0\n";

    fn known() -> BTreeMap<String, Interface> {
        let tunnel = Interface { is_tunnel: true, is_metered: false };
        let phone = Interface { is_tunnel: false, is_metered: true };
        [("wlan0", Interface::default()), ("tun0", tunnel), ("wg0", tunnel), ("usb0", phone)]
            .map(|(name, interface)| (name.to_owned(), interface))
            .into()
    }

    fn line(routes: &str, arp: &str, source: &str) -> Line {
        let source = Some(source.parse().expect("an address"));
        Line::parse(&format!("{HEAD}{routes}"), arp, &known(), source).expect("a way out")
    }

    #[test]
    fn a_tunnel_is_seen_whether_it_has_the_route_half_of_it_or_only_a_rule() {
        assert!(!line(HOME, ARP, "192.168.1.7").is_vpn());
        let default = "tun0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0\n";
        assert!(line(&format!("{HOME}{default}"), ARP, "10.8.0.2").is_vpn(), "the better metric");
        let half = "tun0\t00000000\t0100080A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n";
        assert!(line(&format!("{HOME}{half}"), ARP, "10.8.0.2").is_vpn(), "0.0.0.0/1, as OpenVPN lays it");
        assert!(line(HOME, ARP, "10.66.0.2").is_vpn(), "wg-quick leaves the table alone and sets a rule");
    }

    #[test]
    fn a_phone_is_metered_and_no_tunnel() {
        let phone = HOME.replace("wlan0", "usb0");
        let line = line(&phone, ARP, "192.168.1.7");
        assert!(line.is_metered() && !line.is_vpn());
    }

    #[test]
    fn another_gateway_address_or_interface_is_another_network() {
        let home = line(HOME, ARP, "192.168.1.7");
        assert!(!home.has_moved_from(&home));
        let cafe = line(HOME, &ARP.replace("ee:01", "ee:02"), "192.168.1.7");
        assert!(cafe.has_moved_from(&home), "the same numbers at another place");
        let forgotten = line(HOME, "", "192.168.1.7");
        assert!(!forgotten.has_moved_from(&home) && !home.has_moved_from(&forgotten));
        assert!(line(HOME, ARP, "192.168.1.8").has_moved_from(&home));
        assert!(line(&HOME.replace("wlan0", "usb0"), ARP, "192.168.1.7").has_moved_from(&home));
    }

    #[test]
    fn a_machine_without_a_way_out_has_no_line() {
        assert!(Line::parse(HEAD, ARP, &known(), None).is_none());
        assert!(Line::parse("a\nb c d\n", "x", &known(), None).is_none());
        assert!(!format!("{:?}", line(HOME, ARP, "192.168.1.7")).contains("192"));
    }

    #[test]
    fn interfaces_are_known_by_their_kind_and_driver() {
        let dir = tempfile::tempdir().expect("a directory");
        let make = |name: &str, kind: &str, uevent: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).expect("made");
            std::fs::write(path.join("type"), kind).expect("written");
            std::fs::write(path.join("uevent"), uevent).expect("written");
        };
        make("eth0", "1\n", "");
        make("wg0", "65534\n", "DEVTYPE=wireguard\n");
        make("ppp0", "512\n", "");
        make("wwan0", "65534\n", "DEVTYPE=wwan\n");
        let of = |has_pppoe, name: &str| interfaces(dir.path(), has_pppoe)[name];
        assert_eq!(of(false, "eth0"), Interface::default());
        assert!(of(false, "wg0").is_tunnel && of(false, "ppp0").is_tunnel);
        assert!(!of(true, "ppp0").is_tunnel, "how a home reaches its provider");
        assert_eq!(of(false, "wwan0"), Interface { is_tunnel: false, is_metered: true });
    }
}
