//! Says what a scenario's country consists of.

use super::{
    BACKBONE, COORDINATOR, EXCHANGE, FILTER_FOUR, FILTER_SIX, Layout, OUTSIDE, agent, control, gateway,
    hosting, provider,
};
use crate::country::addresses::{Prefix, SIX_LENGTH, four, six};
use crate::country::scenario::{Hosting, Provider, Scenario, Who};
use crate::country::truth::upstream_for;
use faultline_model::Asn;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The address of the outside's router.
const WORLD: Ipv4Addr = Ipv4Addr::new(119, 159, 250, 1);
/// The address of the backbone's router.
const TRANSIT: Ipv4Addr = Ipv4Addr::new(119, 159, 252, 1);
/// The address of the exchange's router.
const MEETING_POINT: Ipv4Addr = Ipv4Addr::new(119, 159, 251, 1);

/// How one family's addresses are written for `ip`.
#[derive(Clone, Copy)]
enum Family {
    Four,
    Six,
}

impl Family {
    fn address(self, address: Ipv4Addr) -> String {
        match self {
            Self::Four => address.to_string(),
            Self::Six => six(address).to_string(),
        }
    }

    fn prefix(self, prefix: Prefix) -> String {
        match self {
            Self::Four => prefix.to_string(),
            Self::Six => format!("{}/{}", six(prefix.at(0)), SIX_LENGTH + prefix.length()),
        }
    }

    /// Writes the line that gives an interface an address; nobody else can have it, so nobody is asked.
    fn own(self, address: Ipv4Addr, port: &str) -> String {
        match self {
            Self::Four => format!("addr add {address}/32 dev {port}"),
            Self::Six => format!("addr add {}/128 dev {port} nodad", six(address)),
        }
    }

    const fn all(self) -> &'static str {
        match self {
            Self::Four => "0.0.0.0/0",
            Self::Six => "::/0",
        }
    }
}

impl Layout {
    /// Says what a scenario's country consists of.
    #[must_use]
    pub fn plan(scenario: &Scenario) -> Self {
        let mut layout = Self { six: scenario.six, ..Self::default() };
        layout.outside(scenario);
        for gateway in &scenario.gateways {
            let name = self::gateway(gateway.asn);
            layout.routers.insert(name.clone());
            layout.link(BACKBONE, &name, &name, "out");
            layout.own(&name, &[gateway.router], "lo");
            layout.lines(BACKBONE, |f| format!("route add {} dev {name}", f.address(gateway.router)));
            layout.lines(OUTSIDE, |f| {
                format!("route add {} via {} dev in", f.address(gateway.router), f.address(TRANSIT))
            });
            layout.way_out(&name, "out", TRANSIT);
            layout.limit(BACKBONE, &name, gateway.rate_kbit_s);
            layout.limit(&name, "out", gateway.rate_kbit_s);
            if scenario.rules.iter().any(|rule| rule.who == Who::Gateway(gateway.asn)) {
                layout.queue(&name, &["FORWARD"], None);
            }
        }
        for provider in &scenario.providers {
            layout.provider(scenario, provider);
        }
        for hosting in &scenario.hostings {
            layout.hosting(scenario, hosting);
        }
        if scenario.has_domestic_sites() {
            layout.exchange(scenario);
        }
        for (control, number) in scenario.controls.iter().zip(1..) {
            layout.host((OUTSIDE, &format!("c{number}")), &self::control(number), &[control.address], WORLD);
        }
        layout.host((OUTSIDE, "coord"), COORDINATOR, &[scenario.coordinator], WORLD);
        layout
    }

    fn outside(&mut self, scenario: &Scenario) {
        self.routers.insert(OUTSIDE.to_owned());
        self.own(OUTSIDE, &[WORLD], "lo");
        let world: Vec<Ipv4Addr> = world_addresses(scenario).into_iter().collect();
        self.own(OUTSIDE, &world, "lo");
        // What nobody has is silent, as most of the unused internet is.
        self.lines(OUTSIDE, |f| format!("route add blackhole {}", f.all()));
        if scenario.rules.iter().any(|rule| rule.who == Who::Site) {
            self.queue(OUTSIDE, &["INPUT", "!", "-i", "lo"], None);
        }
        // A router of its own, so that what a gateway lets pass can still die before it arrives.
        self.routers.insert(BACKBONE.to_owned());
        self.own(BACKBONE, &[TRANSIT], "lo");
        self.link(OUTSIDE, "in", BACKBONE, "world");
        self.lines(OUTSIDE, |f| format!("route add {} dev in", f.address(TRANSIT)));
        self.way_out(BACKBONE, "world", WORLD);
    }

    /// Leads a network's answers from the outside over the backbone to its gateway.
    fn route_from_outside(&mut self, prefix: Prefix, (far, router): (&str, Ipv4Addr)) {
        self.lines(BACKBONE, |f| {
            format!("route add {} via {} dev {far}", f.prefix(prefix), f.address(router))
        });
        self.lines(OUTSIDE, |f| format!("route add {} via {} dev in", f.prefix(prefix), f.address(TRANSIT)));
    }

    fn provider(&mut self, scenario: &Scenario, provider: &Provider) {
        let name = self::provider(provider.asn);
        self.routers.insert(name.clone());
        self.own(&name, &[provider.router, provider.resolver], "lo");
        let routers: BTreeMap<Asn, Ipv4Addr> = scenario.gateways.iter().map(|g| (g.asn, g.router)).collect();
        for (upstream, index) in provider.upstreams.iter().zip(0_u8..) {
            let (far, router) = (gateway(*upstream), routers[upstream]);
            self.link(&far, &name, &name, &far);
            self.behind(&far, &name, provider.router, provider.prefix);
            if index == 0 {
                self.way_out(&name, &far, router);
                self.route_from_outside(provider.prefix, (&far, router));
            } else {
                self.lines(&name, |f| format!("route add {} dev {far}", f.address(router)));
            }
        }
        if provider.upstreams.len() > 1 {
            for address in world_addresses(scenario) {
                if let Some(router) = upstream_for(provider, address).map(|upstream| routers[&upstream]) {
                    self.lines(&name, |f| {
                        format!("route add {} via {}", f.address(address), f.address(router))
                    });
                }
            }
        }
        for (address, number) in std::iter::once(&provider.shell).chain(&provider.agents).zip(0..) {
            let (host, port) = (agent(provider.asn, number), format!("a{number}"));
            self.host((&name, &port), &host, &[*address], provider.router);
            self.limit(&name, &port, provider.rate_kbit_s);
            self.limit(&host, "eth0", provider.rate_kbit_s);
        }
        let sites: Vec<Ipv4Addr> = scenario.sites_in(Some(provider.asn)).map(|site| site.address).collect();
        if !sites.is_empty() {
            self.host((&name, "web"), &super::sites_in(scenario, provider.asn), &sites, provider.router);
        }
        // Addresses that nobody has end here instead of going round in circles.
        self.lines(&name, |f| format!("route add blackhole {}", f.prefix(provider.prefix)));
        self.queue(&name, &["FORWARD"], None);
        self.queue(&name, &["INPUT"], Some(provider.resolver));
    }

    fn hosting(&mut self, scenario: &Scenario, hosting: &Hosting) {
        let (name, far) = (self::hosting(hosting.asn), gateway(hosting.upstream));
        let sites: Vec<Ipv4Addr> = scenario.sites_in(Some(hosting.asn)).map(|site| site.address).collect();
        self.own(&name, &[hosting.router], "lo");
        self.own(&name, &sites, "lo");
        self.link(&far, &name, &name, "out");
        self.behind(&far, &name, hosting.router, hosting.prefix);
        let upstream = scenario.gateways.iter().find(|gateway| gateway.asn == hosting.upstream);
        if let Some(router) = upstream.map(|gateway| gateway.router) {
            self.way_out(&name, "out", router);
            self.route_from_outside(hosting.prefix, (&far, router));
        }
    }

    /// Lets all networks of the country reach each other without leaving it.
    fn exchange(&mut self, scenario: &Scenario) {
        self.routers.insert(EXCHANGE.to_owned());
        self.own(EXCHANGE, &[MEETING_POINT], "lo");
        let providers = scenario.providers.iter().map(|p| (provider(p.asn), p.router, p.prefix));
        let hostings = scenario.hostings.iter().map(|h| (hosting(h.asn), h.router, h.prefix));
        let members: Vec<_> = providers.chain(hostings).collect();
        for (name, router, prefix) in &members {
            self.link(EXCHANGE, name, name, "ix");
            self.behind(EXCHANGE, name, *router, *prefix);
            self.lines(name, |f| format!("route add {} dev ix", f.address(MEETING_POINT)));
            for (_, _, other) in members.iter().filter(|(other, ..)| other != name) {
                self.lines(name, |f| {
                    format!("route add {} via {} dev ix", f.prefix(*other), f.address(MEETING_POINT))
                });
            }
        }
    }

    /// Adds the routes to a network behind a port.
    fn behind(&mut self, name: &str, port: &str, router: Ipv4Addr, prefix: Prefix) {
        self.lines(name, |f| format!("route add {} dev {port}", f.address(router)));
        self.lines(name, |f| format!("route add {} via {} dev {port}", f.prefix(prefix), f.address(router)));
    }

    /// Adds a host with its addresses behind a router.
    fn host(&mut self, (at, port): (&str, &str), name: &str, addresses: &[Ipv4Addr], router: Ipv4Addr) {
        self.link(at, port, name, "eth0");
        self.own(name, addresses, "eth0");
        for address in addresses {
            self.lines(at, |f| format!("route add {} dev {port}", f.address(*address)));
        }
        self.way_out(name, "eth0", router);
    }

    fn way_out(&mut self, name: &str, port: &str, router: Ipv4Addr) {
        self.lines(name, |f| format!("route add {} dev {port}", f.address(router)));
        self.lines(name, |f| format!("route add {} via {} dev {port}", f.all(), f.address(router)));
    }

    fn own(&mut self, name: &str, addresses: &[Ipv4Addr], port: &str) {
        for address in addresses {
            self.lines(name, |f| f.own(*address, port));
        }
    }

    fn link(&mut self, a: &str, port_a: &str, b: &str, port_b: &str) {
        self.links.push([(a.to_owned(), port_a.to_owned()), (b.to_owned(), port_b.to_owned())]);
        for (name, port) in [(a, port_a), (b, port_b)] {
            self.line(name, format!("link set {port} arp off up"));
        }
    }

    /// Lets a port send no faster than that.
    fn limit(&mut self, name: &str, port: &str, rate_kbit_s: Option<u32>) {
        let Some(rate) = rate_kbit_s else { return };
        // A fiftieth of a second may go at once, or two packets where that is more.
        let burst = (rate * 1000 / 8 / 50).max(3200);
        let line = format!("qdisc add dev {port} root tbf rate {rate}kbit burst {burst} latency 400ms");
        self.rates.entry(name.to_owned()).or_default().push(line);
    }

    /// Adds a line for each family that there is.
    fn lines(&mut self, name: &str, make: impl Fn(Family) -> String) {
        self.line(name, make(Family::Four));
        if self.six {
            self.line(name, make(Family::Six));
        }
    }

    fn line(&mut self, name: &str, line: String) {
        let lines = self.lines.entry(name.to_owned()).or_insert_with(|| vec!["link set lo up".to_owned()]);
        lines.push(line);
    }

    /// Queues what passes a chain, or what passes it to one address.
    fn queue(&mut self, name: &str, chain: &[&str], to: Option<Ipv4Addr>) {
        let families = if self.six { &[Family::Four, Family::Six][..] } else { &[Family::Four] };
        for family in families {
            let mut chain: Vec<String> = chain.iter().map(|s| (*s).to_owned()).collect();
            chain.extend(to.into_iter().flat_map(|to| ["-d".to_owned(), family.address(to)]));
            let tools = if matches!(family, Family::Four) { FILTER_FOUR } else { FILTER_SIX };
            self.queues.push((tools, name.to_owned(), chain));
        }
    }
}

fn world_addresses(scenario: &Scenario) -> BTreeSet<Ipv4Addr> {
    let mut addresses: BTreeSet<Ipv4Addr> = scenario.sites_in(None).map(|site| site.address).collect();
    for resolver in &scenario.list.resolvers {
        addresses.extend([resolver.udp.ip(), resolver.doh_address.ip()].into_iter().filter_map(four));
    }
    addresses
}
