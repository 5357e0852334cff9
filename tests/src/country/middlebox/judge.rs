//! What a middlebox does with a packet, by the orders that hold.

use super::divert::Diversions;
use super::flow::{FlowKey, Flows, Named};
use super::forge::Way;
use super::packet::{ACK, Carries, Packet, SYN};
use super::protocol::Signature;
use crate::country::addresses::Prefix;
use crate::country::scenario::Line;
use crate::country::timeline::{Act, Order};
use crate::country::world::dns::{self, Answer, Lookup};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

const DNS: u16 = 53;
const HTTPS: u16 = 443;

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes on.
    Pass,
    /// It vanishes.
    Drop,
    /// It vanishes, and these packets are sent instead.
    Inject(Vec<Vec<u8>>),
    /// These packets are sent, and it goes on behind them.
    Overtake(Vec<Vec<u8>>),
    /// It goes on with another sender or receiver.
    Rewrite(Vec<u8>),
}

/// How a packet travels if it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruling {
    /// What becomes of it.
    pub decision: Decision,
    /// It leaves towards the outside.
    pub outward: bool,
    /// What is added to the line's own delay and loss.
    pub line: Line,
    /// The flow whose rate is limited, and the limit.
    pub limit: Option<(FlowKey, u32)>,
}

/// A middlebox's place in the country and its memory.
#[derive(Debug)]
pub struct Judge {
    /// The addresses on the subscribers' side.
    pub inside: Vec<Prefix>,
    /// It acts only on what leaves; so gateways do, because answers may take another way.
    pub outward_only: bool,
    /// Forged names have IPv6 addresses too.
    pub six: bool,
    /// What it remembers of connections.
    pub flows: Flows,
    /// The connections that lead elsewhere.
    pub diversions: Diversions,
}

/// A packet as seen from the subscribers' side.
struct View<'a> {
    packet: &'a Packet<'a>,
    outward: bool,
    /// The subscriber.
    own: Ipv4Addr,
    /// The other end, as the subscriber believes.
    remote: Ipv4Addr,
    key: Option<FlowKey>,
}

impl Judge {
    /// Decides about one packet.
    pub fn decide(&mut self, packet: &Packet<'_>, orders: &[&Order]) -> Ruling {
        let now = Instant::now();
        let view = self.view(packet);
        let orders: Vec<&Order> =
            orders.iter().filter(|order| order.means_subscriber(view.own)).copied().collect();
        // Connections are watched also while no order holds, so that a rule catches one that has just begun.
        let named = match (packet.carries, view.key) {
            (Carries::Tcp(segment), Some(key)) if view.outward => {
                self.flows.client_segment(key, &segment, now)
            }
            _ => None,
        };
        let decision = self
            .by_address(&view, &orders)
            .or_else(|| self.by_question(&view, &orders))
            .or_else(|| self.by_name(&view, named.as_ref(), &orders, now))
            .or_else(|| self.elsewhere(&view, &orders, now))
            .unwrap_or(Decision::Pass);
        let (line, limit) = self.travel(&view, &orders);
        Ruling { decision, outward: view.outward, line, limit }
    }

    fn view<'a>(&self, packet: &'a Packet<'a>) -> View<'a> {
        let outward = self.is_inside(packet.source);
        let mut view = View {
            packet,
            outward,
            own: if outward { packet.source } else { packet.destination },
            remote: if outward { packet.destination } else { packet.source },
            key: None,
        };
        view.key = packet.ports().map(|(from, to)| {
            let (own, remote) = if outward { (from, to) } else { (to, from) };
            FlowKey { six: packet.six, client: (view.own, own), server: (view.remote, remote) }
        });
        if let Some(key) = view.key.as_mut().filter(|_| !outward)
            && let Some(original) = self.diversions.original(key)
        {
            view.remote = original;
            key.server.0 = original;
        }
        view
    }

    fn by_address(&self, view: &View<'_>, orders: &[&Order]) -> Option<Decision> {
        if !view.outward && self.outward_only {
            return None;
        }
        let is_quic = matches!(view.packet.carries, Carries::Udp(_))
            && view.key.is_some_and(|key| key.server.1 == HTTPS);
        for order in orders.iter().filter(|order| order.means_address(view.remote)) {
            match order.act {
                Act::Drop => return Some(Decision::Drop),
                Act::SixDrop if view.packet.six => return Some(Decision::Drop),
                Act::QuicDrop if is_quic => return Some(Decision::Drop),
                Act::Protocol(signature) if view.outward && signature.is_in(view.packet) => {
                    let is_reset = signature == Signature::OpenvpnReset;
                    return Some(if is_reset {
                        Decision::Inject(view.packet.resets())
                    } else {
                        Decision::Drop
                    });
                }
                Act::Refuse if view.outward => {
                    let refusal = view.packet.refusal();
                    return Some(refusal.map_or(Decision::Drop, |packet| Decision::Inject(vec![packet])));
                }
                Act::Refuse => return Some(Decision::Drop),
                _ => {}
            }
        }
        None
    }

    /// Answers questions to any resolver, and lets the true answer come later, or never at a portal.
    fn by_question(&self, view: &View<'_>, orders: &[&Order]) -> Option<Decision> {
        let Carries::Udp(datagram) = view.packet.carries else { return None };
        let is_question = view.outward && datagram.destination == DNS;
        let name = if is_question { dns::asked(datagram.payload) } else { None };
        for order in orders {
            let forged = match order.act {
                Act::Inject(address) if is_question => address,
                Act::Portal(address) if is_question => Some(address),
                // Behind a portal nothing else gets through.
                Act::Portal(_) => return Some(Decision::Drop),
                _ => continue,
            };
            if !name.as_ref().is_some_and(|name| order.means_host(name)) {
                continue;
            }
            let answer = forged.map_or(Answer::NoSuchName, |address| Answer::at(address, self.six));
            let lookup: Lookup = Arc::new(move |_: &str| answer);
            let reply = dns::reply(datagram.payload, &lookup)?;
            let packets = vec![view.packet.answer_datagram(&reply)?];
            let is_last = matches!(order.act, Act::Portal(_));
            return Some(if is_last { Decision::Inject(packets) } else { Decision::Overtake(packets) });
        }
        None
    }

    fn by_name(
        &mut self,
        view: &View<'_>,
        named: Option<&Named>,
        orders: &[&Order],
        now: Instant,
    ) -> Option<Decision> {
        let key = view.key?;
        if self.flows.is_doomed(&key) {
            return Some(Decision::Drop);
        }
        let Named { name, in_clear } = named?;
        let decision = orders.iter().filter(|order| order.means_host(name)).find_map(|order| {
            Some(match (&order.act, in_clear) {
                (Act::SniReset, false) | (Act::HostReset, true) => Decision::Inject(view.packet.resets()),
                (Act::SniDrop, false) | (Act::HostDrop, true) => Decision::Drop,
                (Act::SniClose, false) | (Act::HostClose, true) => {
                    Decision::Inject(view.packet.answer_and_end(&[]))
                }
                (Act::HostPage(page), true) => {
                    Decision::Inject(view.packet.answer_and_end(block_page(page).as_bytes()))
                }
                _ => return None,
            })
        })?;
        self.flows.doom(key, now);
        Some(decision)
    }

    /// Leads connections to an impostor or a portal, and makes the answers look as if they came from the server.
    fn elsewhere(&mut self, view: &View<'_>, orders: &[&Order], now: Instant) -> Option<Decision> {
        let (Carries::Tcp(segment), Some(key)) = (view.packet.carries, view.key) else { return None };
        let six = view.packet.six;
        // What began before the portal did gets no further.
        let is_shut =
            |at: Ipv4Addr| orders.iter().any(|o| matches!(o.act, Act::Portal(portal) if portal != at));
        if !view.outward {
            if view.remote == view.packet.source {
                return is_shut(view.remote).then_some(Decision::Drop);
            }
            let way = Way { from: view.remote, to: view.own, six };
            return view.packet.readdressed(way).map(Decision::Rewrite);
        }
        if segment.flags & (SYN | ACK) == SYN {
            let target = orders.iter().filter(|o| o.means_address(view.remote)).find_map(|o| match o.act {
                Act::Impostor(target) if key.server.1 == HTTPS => Some(target),
                Act::Portal(target) => Some(target),
                _ => None,
            });
            self.diversions.begin(key, target.filter(|target| *target != view.remote), now);
        }
        let Some(to) = self.diversions.target(&key, now) else {
            return is_shut(view.remote).then_some(Decision::Drop);
        };
        view.packet.readdressed(Way { from: view.own, to, six }).map(Decision::Rewrite)
    }

    /// Says what delays, loses or slows a packet down.
    fn travel(&self, view: &View<'_>, orders: &[&Order]) -> (Line, Option<(FlowKey, u32)>) {
        let (mut line, mut limit) = (Line::default(), None);
        let name = view.key.as_ref().and_then(|key| self.flows.name(key));
        for order in orders {
            let is_meant = order.means_address(view.remote);
            match order.act {
                Act::Congest(extra) if is_meant => line = line.and(extra),
                Act::Throttle(rate) if is_meant || name.is_some_and(|name| order.means_host(name)) => {
                    limit = view.key.map(|key| (key, rate));
                }
                _ => {}
            }
        }
        (line, limit)
    }

    /// Says whether an address is on the subscribers' side.
    #[must_use]
    pub fn is_inside(&self, address: Ipv4Addr) -> bool {
        self.inside.iter().any(|prefix| prefix.contains(address))
    }
}

fn block_page(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!doctype html>\n<html><head><title>{text}</title></head><body><p>{text}</p></body></html>\n"
    );
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{page}",
        page.len()
    )
}

#[cfg(test)]
mod tests {
    use super::super::hello::tests::client_hello;
    use super::super::packet::Segment;
    use super::*;
    use crate::country::timeline::Reach;

    const INSIDE: [u8; 4] = [101, 50, 64, 100];
    const SITE: [u8; 4] = [151, 101, 0, 10];

    fn judge() -> Judge {
        let inside = vec![Prefix::new(INSIDE.into(), 18)];
        let (flows, diversions) = (Flows::default(), Diversions::default());
        Judge { inside, outward_only: false, six: false, flows, diversions }
    }

    fn way(from: [u8; 4], to: [u8; 4]) -> Way {
        Way { from: from.into(), to: to.into(), six: false }
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
        let bytes = way(INSIDE, SITE).tcp(&segment);
        judge.decide(&Packet::parse(&bytes).expect("parses"), orders).decision
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
        let bytes = way(SITE, INSIDE).tcp(&segment);
        judge.decide(&Packet::parse(&bytes).expect("parses"), orders).decision
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

    #[test]
    fn a_question_is_answered_before_the_truth_comes() {
        let forge = order(Act::Inject(Some([10, 10, 34, 36].into())), &["x.com"], &[]);
        let mut judge = judge();
        let mut ask = |host: &str, orders: &[&Order]| {
            let bytes = way(INSIDE, [8, 8, 8, 8]).udp(5353, DNS, &dns::tests::question(host));
            judge.decide(&Packet::parse(&bytes).expect("parses"), orders).decision
        };
        let Decision::Overtake(packets) = ask("www.x.com.", &[&forge]) else { panic!("a forged answer") };
        let answer = Packet::parse(&packets[0]).expect("parses");
        assert_eq!((answer.source, answer.ports()), ([8, 8, 8, 8].into(), Some((DNS, 5353))));
        assert_eq!(ask("example.com.", &[&forge]), Decision::Pass);
        assert_eq!(ask("x.com.", &[]), Decision::Pass);
    }

    #[test]
    fn an_impostors_answers_seem_to_come_from_the_site() {
        const IMPOSTOR: [u8; 4] = [203, 82, 48, 83];
        let divert = order(Act::Impostor(IMPOSTOR.into()), &[], &[SITE]);
        let mut judge = judge();
        let Decision::Rewrite(onward) = send(&mut judge, &[&divert], SYN, &[]) else { panic!("diverted") };
        assert_eq!(Packet::parse(&onward).expect("parses").destination, Ipv4Addr::from(IMPOSTOR));
        assert!(matches!(send(&mut judge, &[], ACK, b"x"), Decision::Rewrite(_)), "until it ends");
        let segment = Segment {
            source: 443,
            destination: 40000,
            sequence: 1,
            acknowledged: 100,
            flags: ACK,
            payload: b"x",
        };
        let bytes = way(IMPOSTOR, INSIDE).tcp(&segment);
        let ruling = judge.decide(&Packet::parse(&bytes).expect("parses"), &[]);
        let Decision::Rewrite(back) = ruling.decision else { panic!("disguised") };
        assert_eq!(Packet::parse(&back).expect("parses").source, Ipv4Addr::from(SITE));
        assert_eq!(send(&mut judge, &[], SYN, &[]), Decision::Pass, "the next one is free");
    }

    #[test]
    fn a_portal_ends_what_began_before_it() {
        let portal = order(Act::Portal([3, 3, 3, 3].into()), &[], &[]);
        let mut judge = judge();
        assert_eq!(send(&mut judge, &[], SYN, &[]), Decision::Pass);
        assert_eq!(send(&mut judge, &[&portal], ACK, b"x"), Decision::Drop);
        assert_eq!(answer(&mut judge, &[&portal]), Decision::Drop);
        assert!(matches!(send(&mut judge, &[&portal], SYN, &[]), Decision::Rewrite(_)), "the next one");
    }

    #[test]
    fn a_named_connection_is_slowed_in_both_directions_and_a_congested_line_adds_up() {
        let slow = order(Act::Throttle(64), &["x.com"], &[]);
        let line = |delay_ms| Line { delay_ms, jitter_ms: 0, loss_percent: 50.0 };
        let (one, two) =
            (order(Act::Congest(line(20)), &[], &[]), order(Act::Congest(line(30)), &[], &[SITE]));
        let mut judge = judge();
        send(&mut judge, &[], SYN, &[]);
        send(&mut judge, &[], ACK, &client_hello("x.com"));
        let segment = Segment {
            source: 443,
            destination: 40000,
            sequence: 1,
            acknowledged: 100,
            flags: ACK,
            payload: b"x",
        };
        let bytes = way(SITE, INSIDE).tcp(&segment);
        let ruling = judge.decide(&Packet::parse(&bytes).expect("parses"), &[&slow, &one, &two]);
        assert_eq!(ruling.limit.map(|(_, rate)| rate), Some(64));
        assert_eq!((ruling.line.delay_ms, ruling.line.loss_percent), (50, 75.0));
    }
}
