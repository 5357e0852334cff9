//! What probes of limited reach showed: packets whose time to live ends on the way.

use crate::Asn;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What the probes of a path carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum PathProbe {
    /// A connection attempt, which names nobody.
    #[default]
    Connect,
    /// A TLS hello with a server name, on a connection of full reach.
    Hello,
    /// An HTTP request with a host name, on a connection of full reach.
    Request,
}

/// What came back for one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum PathAnswer {
    /// Nothing within the deadline.
    #[default]
    Nothing,
    /// A router said that the packet's time to live ended there.
    TimeExceeded,
    /// A router or host said that there is no way, or no permission.
    Unreachable,
    /// The connection was accepted.
    Connected,
    /// The connection attempt was answered by a reset.
    Refused,
    /// The connection was reset after the name was sent.
    Reset,
    /// The connection was ended in order after the name was sent, without an answer.
    Closed,
    /// An answer's first bytes came after the name was sent.
    Data,
    /// The connection on which the name was to be sent did not come about.
    NotSent,
}

/// Who answered. Hops in the volunteer's home and at her provider's edge have a class and no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum PathResponder {
    /// Nobody, or the system does not say who.
    #[default]
    Untold,
    /// The target's own address.
    Target,
    /// A router up the way; its address is given.
    Router,
    /// A router with an address that is not public.
    Private,
    /// A router of the volunteer's own networks.
    Home,
    /// A router near the volunteer: the first public one, those before it, and those in the same small network.
    Own,
}

/// One probe and what came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PathHop {
    /// The time to live that the probe was sent with; 0 for the system's own, which goes the whole way.
    pub ttl: u8,
    /// What came back.
    pub answer: PathAnswer,
    /// Who answered.
    pub responder: PathResponder,
    /// The address of a [`PathResponder::Router`], and of nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The network of that router or of the target, looked up by the coordinator; agents know none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
    /// Milliseconds from the probe to the answer, 0 where the responder's address is withheld.
    pub rtt_ms: u32,
}

/// What the probes of one kind and one name showed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PathFact {
    /// What the probes carried.
    pub probe: PathProbe,
    /// The name that they carried; empty for connection attempts.
    pub name: String,
    /// The probes in the order of their reach, tries of one reach in the order of their sending; at most 64.
    pub hops: Vec<PathHop>,
}

impl PathFact {
    /// Returns what came back for the name sent with full reach, by the first such probe.
    #[must_use]
    pub fn whole_way(&self) -> Option<PathAnswer> {
        self.hops.iter().find(|hop| hop.ttl == 0).map(|hop| hop.answer)
    }

    /// Returns the reach at which a connection attempt arrived.
    #[must_use]
    pub fn distance(&self) -> Option<u8> {
        let arrived = self.hops.iter().filter(|hop| hop.ttl > 0 && hop.answer == PathAnswer::Connected);
        arrived.map(|hop| hop.ttl).min()
    }
}
