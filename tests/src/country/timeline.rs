//! The timeline as the parts carry it out: rules with moments of the machine's clock.
//!
//! All moments follow from one start, so truth and packets agree to the millisecond; clocks are never scaled.
//! A part gets its orders as one JSON line on standard input, once the start is known.

use super::scenario::{How, Rule, Scenario, Who, Whom, is_under};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// The resolver answers this address, or that there is no such name.
    Forge(Option<Ipv4Addr>),
    /// Packets vanish.
    Drop,
    /// Connections are refused.
    Refuse,
    /// Connections are reset once their ClientHello names the host.
    SniReset,
    /// Connections' packets vanish once their ClientHello names the host.
    SniDrop,
}

/// One rule with its moments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// First moment, Unix milliseconds.
    pub from_ms: i64,
    /// First moment after, Unix milliseconds.
    pub to_ms: i64,
    /// Names that it acts on, with all below them.
    pub hosts: Vec<String>,
    /// Addresses that it acts on.
    pub addresses: Vec<Ipv4Addr>,
    /// It acts on everything.
    pub everything: bool,
    /// How.
    pub act: Act,
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
        self.everything || self.hosts.iter().any(|name| is_under(host, name))
    }

    /// Says whether the order means an address.
    #[must_use]
    pub fn means_address(&self, address: Ipv4Addr) -> bool {
        self.everything || self.addresses.contains(&address)
    }
}

/// Lists the orders of one part when the timeline starts at `start_ms`.
#[must_use]
pub fn orders(scenario: &Scenario, part: Part, start_ms: i64) -> Vec<Order> {
    scenario.rules.iter().filter(|rule| concerns(rule, part)).map(|r| order(scenario, r, start_ms)).collect()
}

fn concerns(rule: &Rule, part: Part) -> bool {
    match (&rule.who, part) {
        (Who::Providers(asns), Part::Provider(asn)) => asns.contains(&asn),
        (Who::Nation, Part::Provider(_)) | (Who::Site, Part::Sites) => true,
        (Who::Gateway(gateway), Part::Gateway(asn)) => *gateway == asn,
        _ => false,
    }
}

fn order(scenario: &Scenario, rule: &Rule, start_ms: i64) -> Order {
    let (hosts, mut addresses) = match &rule.whom {
        Whom::Named { hosts, addresses } => (hosts.clone(), addresses.clone()),
        Whom::Everything => (Vec::new(), Vec::new()),
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
    let act = match rule.how {
        How::DnsForge(address) => Act::Forge(address),
        How::AddressDrop | How::Blackhole | How::SiteGone => Act::Drop,
        How::AddressRefuse | How::SiteRefuses => Act::Refuse,
        How::SniReset => Act::SniReset,
        How::SniDrop => Act::SniDrop,
    };
    Order {
        from_ms: start_ms + millis(rule.from),
        to_ms: start_ms + millis(rule.to),
        hosts,
        addresses,
        everything: rule.whom == Whom::Everything,
        act,
    }
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
