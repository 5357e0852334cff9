//! The timeline as the parts carry it out: rules with moments of the machine's clock.
//!
//! All moments follow from one start, so truth and packets agree to the millisecond; clocks are never scaled.
//! A part gets its orders as one JSON line on standard input, once the start is known.

use super::addresses::Prefix;
use super::middlebox::Signature;
use super::scenario::{How, Line, Rule, Scenario, Who, Whom, is_under};
use faultline_model::{Asn, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Which part of the country carries out a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A provider: its middlebox and its resolver.
    Provider(Asn),
    /// A gateway's middlebox.
    Gateway(Asn),
    /// The sites' side.
    Sites,
}

/// How an order is carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Act {
    /// The resolver answers this address, or that there is no such name.
    Forge(Option<Ipv4Addr>),
    /// The same on the path, before the true answer.
    Inject(Option<Ipv4Addr>),
    /// Packets vanish.
    Drop,
    /// Connections are refused.
    Refuse,
    /// Connections are reset once their ClientHello names the host.
    SniReset,
    /// Connections' packets vanish once their ClientHello names the host.
    SniDrop,
    /// Connections are ended once their ClientHello names the host.
    SniClose,
    /// Connections are reset once their HTTP request names the host.
    HostReset,
    /// Connections' packets vanish once their HTTP request names the host.
    HostDrop,
    /// Connections are ended once their HTTP request names the host.
    HostClose,
    /// HTTP requests that name the host are answered with a page of this text.
    HostPage(String),
    /// Datagrams to and from port 443 vanish.
    QuicDrop,
    /// Packets of IPv6 vanish.
    SixDrop,
    /// What bears the signature vanishes or is reset.
    Protocol(Signature),
    /// Each direction of a connection carries so many kilobits a second.
    Throttle(u32),
    /// Packets are delayed and lost.
    Congest(Line),
    /// TLS connections lead to this address instead.
    Impostor(Ipv4Addr),
    /// Every name and every connection leads to this address.
    Portal(Ipv4Addr),
    /// A site answers visitors from the country with this status.
    GeoBlock(u16),
    /// A site presents somebody else's certificate.
    BadCertificate,
}

/// One rule with its moments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// First moment, Unix milliseconds.
    pub from_ms: i64,
    /// First moment after, Unix milliseconds.
    pub to_ms: i64,
    /// Names that it acts on, with all below them.
    pub hosts: Vec<String>,
    /// Addresses that it acts on.
    pub addresses: Vec<Ipv4Addr>,
    /// How far it goes beyond names and addresses.
    pub reach: Reach,
    /// The subscribers that it is about; all of them when there are none.
    pub subscribers: Vec<Ipv4Addr>,
    /// What is done.
    pub act: Act,
}

/// How far an order goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// The names and addresses that it lists.
    Listed,
    /// Every address but those of the country's own networks.
    Foreign(Vec<Prefix>),
    /// Everything.
    Everything,
}

impl Order {
    /// Says whether the order holds at a moment.
    #[must_use]
    pub const fn is_active(&self, now_ms: i64) -> bool {
        self.from_ms <= now_ms && now_ms < self.to_ms
    }

    /// Says whether the order means a host.
    #[must_use]
    pub fn means_host(&self, host: &str) -> bool {
        self.reach == Reach::Everything || self.hosts.iter().any(|name| is_under(host, name))
    }

    /// Says whether the order means an address.
    #[must_use]
    pub fn means_address(&self, address: Ipv4Addr) -> bool {
        match &self.reach {
            Reach::Everything => true,
            Reach::Foreign(own) => !own.iter().any(|prefix| prefix.contains(address)),
            Reach::Listed => self.addresses.contains(&address),
        }
    }

    /// Says whether the order is about a subscriber.
    #[must_use]
    pub fn means_subscriber(&self, address: Ipv4Addr) -> bool {
        self.subscribers.is_empty() || self.subscribers.contains(&address)
    }
}

/// Lists the orders of one part when the timeline starts at `start_ms`.
#[must_use]
pub fn orders(scenario: &Scenario, part: Part, start_ms: i64) -> Vec<Order> {
    scenario.rules.iter().filter_map(|rule| order(scenario, rule, part, start_ms)).collect()
}

fn order(scenario: &Scenario, rule: &Rule, part: Part, start_ms: i64) -> Option<Order> {
    let subscribers = match (part, &rule.who) {
        (Part::Provider(asn), who) => {
            let provider = scenario.providers.iter().find(|provider| provider.asn == asn)?;
            scenario.subscribers(who, provider)?
        }
        (Part::Gateway(asn), Who::Gateway(gateway)) if *gateway == asn => Vec::new(),
        (Part::Sites, Who::Site) => Vec::new(),
        _ => return None,
    };
    let act = act(rule)?;
    let (hosts, mut addresses) = subjects(scenario, &rule.whom);
    if let (Act::Throttle(_), Whom::Named { addresses: given, .. }) = (&act, &rule.whom) {
        // A host is slowed down by its name, so that others at its address are not.
        addresses.clone_from(given);
    }
    let reach = match rule.whom {
        Whom::Everything => Reach::Everything,
        Whom::Foreign => Reach::Foreign(scenario.domestic()),
        Whom::Named { .. } | Whom::Coordinator => Reach::Listed,
    };
    let (from_ms, to_ms) = (start_ms + millis(rule.from), start_ms + millis(rule.to));
    Some(Order { from_ms, to_ms, hosts, addresses, reach, subscribers, act })
}

/// Returns what the parts of the country do for a rule; `None` when it is carried out by the run.
fn act(rule: &Rule) -> Option<Act> {
    Some(match &rule.how {
        How::DnsForge(address) => Act::Forge(*address),
        How::DnsInject(address) => Act::Inject(*address),
        How::AddressDrop | How::Blackhole | How::SiteGone => Act::Drop,
        How::AddressRefuse | How::SiteRefuses => Act::Refuse,
        How::SniReset => Act::SniReset,
        How::SniDrop => Act::SniDrop,
        How::SniClose => Act::SniClose,
        How::HttpReset => Act::HostReset,
        How::HttpDrop => Act::HostDrop,
        How::HttpClose => Act::HostClose,
        How::HttpBlockpage(page) => Act::HostPage(page.clone()),
        How::QuicDrop => Act::QuicDrop,
        How::Ipv6Drop => Act::SixDrop,
        How::Protocol(signature) => Act::Protocol(*signature),
        How::Throttle(rate) => Act::Throttle(*rate),
        How::Congestion(line) => Act::Congest(*line),
        How::BadCertificate(Some(address)) => Act::Impostor(*address),
        How::BadCertificate(None) => Act::BadCertificate,
        How::CaptivePortal(address) => Act::Portal(*address),
        How::GeoBlock(status) => Act::GeoBlock(*status),
        How::PowerCut | How::CoordinatorDown => return None,
    })
}

/// Lists the names and the addresses that are meant; a host's address is meant with it.
fn subjects(scenario: &Scenario, whom: &Whom) -> (Vec<String>, Vec<Ipv4Addr>) {
    let (hosts, mut addresses) = match whom {
        Whom::Named { hosts, addresses } => (hosts.clone(), addresses.clone()),
        Whom::Coordinator => {
            (scenario.coordinator_host.iter().cloned().collect(), vec![scenario.coordinator])
        }
        Whom::Foreign | Whom::Everything => return (Vec::new(), Vec::new()),
    };
    let meant = scenario.sites.iter().filter(|site| hosts.iter().any(|name| is_under(&site.host, name)));
    addresses.extend(meant.map(|site| site.address));
    for resolver in &scenario.list.resolvers {
        let host = resolver.doh_url.host_str().unwrap_or_default();
        if let std::net::IpAddr::V4(address) = resolver.doh_address.ip()
            && hosts.iter().any(|name| is_under(host, name))
        {
            addresses.push(address);
        }
    }
    (hosts, addresses)
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Returns the machine's clock in Unix milliseconds.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// Returns the machine's clock.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_unix_ms(now_ms())
}

/// The orders that a part holds at present; shared between its tasks.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<RwLock<Vec<Order>>>);

impl Standing {
    /// Replaces all orders.
    pub fn replace(&self, orders: Vec<Order>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = orders;
    }

    /// Calls `look` with the orders that hold now.
    pub fn active<T>(&self, look: impl FnOnce(&[&Order]) -> T) -> T {
        let orders = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let now_ms = now_ms();
        let active: Vec<&Order> = orders.iter().filter(|order| order.is_active(now_ms)).collect();
        look(&active)
    }
}
