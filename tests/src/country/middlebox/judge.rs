//! What a middlebox does with a packet, by the orders that hold.

use super::flow::{FlowKey, Flows};
use super::packet::{Carries, Packet};
use crate::country::addresses::Prefix;
use crate::country::timeline::{Act, Order};
use std::net::Ipv4Addr;
use std::time::Instant;

/// A decision about one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes on.
    Pass,
    /// It vanishes.
    Drop,
    /// It vanishes, and these packets are sent instead.
    Inject(Vec<Vec<u8>>),
}

/// A middlebox's place in the country and its memory.
#[derive(Debug)]
pub struct Judge {
    /// The addresses on the subscribers' side.
    pub inside: Vec<Prefix>,
    /// It acts only on what leaves; so gateways do, because answers may take another way.
    pub outward_only: bool,
    /// What it remembers of connections.
    pub flows: Flows,
}

impl Judge {
    /// Decides about one packet.
    pub fn decide(&mut self, packet: &Packet<'_>, orders: &[&Order]) -> Decision {
        let outward = self.is_inside(packet.source);
        let (own, remote) =
            if outward { (packet.source, packet.destination) } else { (packet.destination, packet.source) };
        let orders: Vec<&Order> =
            orders.iter().filter(|order| order.means_subscriber(own)).copied().collect();
        let now = Instant::now();
        let key = key(packet, outward);
        // Connections are watched also while no order holds, so that a rule catches one that has just begun.
        let named = match (packet.carries, key) {
            (Carries::Tcp(segment), Some(key)) if outward => self.flows.client_segment(key, &segment, now),
            _ => None,
        };
        if outward || !self.outward_only {
            for order in &orders {
                let meant = order.means_address(remote);
                match order.act {
                    Act::Drop if meant => return Decision::Drop,
                    Act::Refuse if meant && outward => {
                        return packet
                            .refusal()
                            .map_or(Decision::Drop, |reset| Decision::Inject(vec![reset]));
                    }
                    Act::Refuse if meant => return Decision::Drop,
                    _ => {}
                }
            }
        }
        let Some(key) = key else { return Decision::Pass };
        if self.flows.is_doomed(&key) {
            return Decision::Drop;
        }
        let Some(name) = named else { return Decision::Pass };
        for order in orders.iter().filter(|order| order.means_host(&name)) {
            match order.act {
                Act::SniReset => {
                    self.flows.doom(key, now);
                    return Decision::Inject(packet.resets());
                }
                Act::SniDrop => {
                    self.flows.doom(key, now);
                    return Decision::Drop;
                }
                Act::Forge(_) | Act::Drop | Act::Refuse | Act::GeoBlock(_) | Act::BadCertificate => {}
            }
        }
        Decision::Pass
    }

    /// Says whether an address is on the subscribers' side.
    #[must_use]
    pub fn is_inside(&self, address: Ipv4Addr) -> bool {
        self.inside.iter().any(|prefix| prefix.contains(address))
    }
}

fn key(packet: &Packet<'_>, outward: bool) -> Option<FlowKey> {
    let Carries::Tcp(segment) = packet.carries else { return None };
    let source = (packet.source, segment.source);
    let destination = (packet.destination, segment.destination);
    Some(if outward {
        FlowKey { client: source, server: destination }
    } else {
        FlowKey { client: destination, server: source }
    })
}

#[cfg(test)]
mod tests {
    use super::super::hello::tests::client_hello;
    use super::super::packet::tests::packet;
    use super::super::packet::{ACK, SYN, Segment};
    use super::*;
    use crate::country::timeline::Reach;

    const INSIDE: [u8; 4] = [101, 50, 64, 100];
    const SITE: [u8; 4] = [151, 101, 0, 10];

    fn judge() -> Judge {
        let inside = vec![Prefix::new(INSIDE.into(), 18)];
        Judge { inside, outward_only: false, flows: Flows::default() }
    }

    fn order(act: Act, hosts: &[&str], addresses: &[[u8; 4]]) -> Order {
        Order {
            from_ms: 0,
            to_ms: i64::MAX,
            hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
            addresses: addresses.iter().map(|a| (*a).into()).collect(),
            reach: if hosts.is_empty() && addresses.is_empty() { Reach::Everything } else { Reach::Listed },
            subscribers: Vec::new(),
            act,
        }
    }

    fn send(judge: &mut Judge, orders: &[&Order], flags: u8, payload: &[u8]) -> Decision {
        let sequence = if flags & SYN != 0 { 99 } else { 100 };
        let segment = Segment { source: 40000, destination: 443, sequence, acknowledged: 1, flags, payload };
        let bytes = packet(INSIDE, SITE, &segment);
        judge.decide(&Packet::parse(&bytes).expect("parses"), orders)
    }

    fn answer(judge: &mut Judge, orders: &[&Order]) -> Decision {
        let segment = Segment {
            source: 443,
            destination: 40000,
            sequence: 1,
            acknowledged: 100,
            flags: ACK,
            payload: b"x",
        };
        let bytes = packet(SITE, INSIDE, &segment);
        judge.decide(&Packet::parse(&bytes).expect("parses"), orders)
    }

    #[test]
    fn a_named_connection_is_reset_on_both_sides_and_others_pass() {
        let reset = order(Act::SniReset, &["x.com"], &[]);
        let mut judge = judge();
        assert_eq!(send(&mut judge, &[&reset], SYN, &[]), Decision::Pass);
        assert_eq!(send(&mut judge, &[&reset], ACK, &client_hello("example.com")), Decision::Pass);
        send(&mut judge, &[&reset], SYN, &[]);
        let Decision::Inject(packets) = send(&mut judge, &[&reset], ACK, &client_hello("api.x.com")) else {
            panic!("the connection is reset");
        };
        assert_eq!(packets.len(), 2);
    }

    #[test]
    fn a_dropped_connection_is_silent_in_both_directions() {
        let drop = order(Act::SniDrop, &["x.com"], &[]);
        let mut judge = judge();
        send(&mut judge, &[&drop], SYN, &[]);
        assert_eq!(answer(&mut judge, &[&drop]), Decision::Pass);
        assert_eq!(send(&mut judge, &[&drop], ACK, &client_hello("x.com")), Decision::Drop);
        assert_eq!(answer(&mut judge, &[&drop]), Decision::Drop);
    }

    #[test]
    fn a_connection_that_began_before_the_rule_is_caught_by_its_hello() {
        let reset = order(Act::SniReset, &["x.com"], &[]);
        let mut judge = judge();
        send(&mut judge, &[], SYN, &[]);
        assert!(matches!(send(&mut judge, &[&reset], ACK, &client_hello("x.com")), Decision::Inject(_)));
    }

    #[test]
    fn an_address_is_dropped_or_refused_for_running_connections_too() {
        let drop = order(Act::Drop, &[], &[SITE]);
        let refuse = order(Act::Refuse, &[], &[SITE]);
        let mut judge = judge();
        assert_eq!(send(&mut judge, &[&drop], ACK, b"x"), Decision::Drop);
        assert_eq!(answer(&mut judge, &[&drop]), Decision::Drop);
        assert!(matches!(send(&mut judge, &[&refuse], SYN, &[]), Decision::Inject(p) if p.len() == 1));
        let elsewhere = order(Act::Drop, &[], &[[9, 9, 9, 9]]);
        assert_eq!(send(&mut judge, &[&elsewhere], ACK, b"x"), Decision::Pass);
    }

    #[test]
    fn a_gateway_leaves_answers_alone() {
        let everything = order(Act::Drop, &[], &[]);
        let mut judge = Judge { outward_only: true, ..judge() };
        assert_eq!(answer(&mut judge, &[&everything]), Decision::Pass);
        assert_eq!(send(&mut judge, &[&everything], ACK, b"x"), Decision::Drop);
    }
}
