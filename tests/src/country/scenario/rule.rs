//! What a rule is: somebody does something to something for a while.

use super::Line;
use crate::country::middlebox::Signature;
use faultline_model::{Access, Asn};
use std::net::Ipv4Addr;
use std::time::Duration;

/// One thing that the censor does, or that happens, for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Where it is done.
    pub who: Who,
    /// What it is done to.
    pub whom: Whom,
    /// When it begins, from the start of the timeline.
    pub from: Duration,
    /// When it ends.
    pub to: Duration,
    /// How it is done.
    pub how: How,
}

/// Where a rule acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// At these providers.
    Providers(Vec<Asn>),
    /// At a gateway: on what leaves the country through it.
    Gateway(Asn),
    /// At every provider.
    Nation,
    /// At all providers with this kind of access.
    Access(Access),
    /// At the lines of all agents of a region.
    Region(String),
    /// At the lines of these agents.
    Agents(Vec<Seat>),
    /// At the sites themselves, for everybody.
    Site,
    /// At the coordinator itself.
    Coordinator,
}

/// An agent's place: its provider and its number there, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat {
    /// The provider.
    pub asn: Asn,
    /// The number.
    pub number: usize,
}

/// What a rule acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// These hosts with all names below them, and these addresses.
    Named {
        /// Host names; a name stands for itself and for every name below it.
        hosts: Vec<String>,
        /// Addresses given as such.
        addresses: Vec<Ipv4Addr>,
    },
    /// The coordinator, by its name and its address.
    Coordinator,
    /// Everything that lies outside the country.
    Foreign,
    /// Everything.
    Everything,
}

/// How a rule acts.
#[derive(Clone, Debug, PartialEq)]
pub enum How {
    /// The provider's resolver answers this address, or that there is no such name.
    DnsForge(Option<Ipv4Addr>),
    /// The same on the path, to whatever resolver; the true answer comes later.
    DnsInject(Option<Ipv4Addr>),
    /// Packets to the addresses vanish.
    AddressDrop,
    /// Connections to the addresses are refused.
    AddressRefuse,
    /// A TLS connection is reset in both directions once its ClientHello names the host.
    SniReset,
    /// A TLS connection's packets vanish once its ClientHello names the host.
    SniDrop,
    /// A TLS connection is ended in both directions once its ClientHello names the host.
    SniClose,
    /// An HTTP connection is reset in both directions once a request names the host.
    HttpReset,
    /// An HTTP connection's packets vanish once a request names the host.
    HttpDrop,
    /// An HTTP connection is ended in both directions once a request names the host.
    HttpClose,
    /// An HTTP request that names the host is answered with a page of this text and status 200.
    HttpBlockpage(String),
    /// Datagrams to and from port 443 vanish.
    QuicDrop,
    /// Packets of IPv6 to and from the addresses vanish.
    Ipv6Drop,
    /// The handshakes of a circumvention protocol are told by their signature.
    Protocol(Signature),
    /// Each direction of each connection carries so many kilobits a second.
    Throttle(u32),
    /// Packets are delayed and lost.
    Congestion(Line),
    /// TLS connections get the certificate of this impostor; with none, the site itself presents a wrong one.
    BadCertificate(Option<Ipv4Addr>),
    /// Everything is answered by the portal at this address.
    CaptivePortal(Ipv4Addr),
    /// The site answers visitors from the country with this status.
    GeoBlock(u16),
    /// All packets vanish.
    Blackhole,
    /// The agents' machines are off.
    PowerCut,
    /// The coordinator's program is killed, and started again at the end.
    CoordinatorDown,
    /// The site is gone for everybody: packets vanish.
    SiteGone,
    /// The site is down for everybody: connections are refused.
    SiteRefuses,
}
