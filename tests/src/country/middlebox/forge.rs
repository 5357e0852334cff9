//! Makes the packets that a middlebox sends on its own, in either family.

use super::packet::{ACK, Carries, FIN, HEADER_FOUR, HEADER_SIX, PSH, Packet, RST, Segment, TCP, UDP};
use crate::country::addresses::six;
use std::net::Ipv4Addr;

const ICMP: u8 = 1;
const ICMP_SIX: u8 = 58;
const UNREACHABLE_PORT_FOUR: [u8; 2] = [3, 3];
const UNREACHABLE_PORT_SIX: [u8; 2] = [1, 4];
const HOPS: u8 = 64;
/// Where a TCP header keeps its checksum.
const TCP_SUM: usize = 16;
/// Where a UDP header keeps its checksum.
const UDP_SUM: usize = 6;

/// From whom to whom a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The sender.
    pub from: Ipv4Addr,
    /// The receiver.
    pub to: Ipv4Addr,
    /// It goes over IPv6.
    pub six: bool,
}

impl Way {
    /// Makes a TCP packet.
    #[must_use]
    pub fn tcp(self, segment: &Segment<'_>) -> Vec<u8> {
        let mut body = Vec::with_capacity(20 + segment.payload.len());
        body.extend_from_slice(&segment.source.to_be_bytes());
        body.extend_from_slice(&segment.destination.to_be_bytes());
        body.extend_from_slice(&segment.sequence.to_be_bytes());
        body.extend_from_slice(&segment.acknowledged.to_be_bytes());
        body.extend_from_slice(&[5 << 4, segment.flags, 0xff, 0xff, 0, 0, 0, 0]);
        body.extend_from_slice(segment.payload);
        self.sealed(TCP, body, TCP_SUM)
    }

    /// Makes a UDP packet.
    #[must_use]
    pub fn udp(self, source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
        let mut body = Vec::with_capacity(8 + payload.len());
        for number in [source, destination, length, 0] {
            body.extend_from_slice(&number.to_be_bytes());
        }
        body.extend_from_slice(payload);
        self.sealed(UDP, body, UDP_SUM)
    }

    /// Fills in a body's checksum and puts the IP header before it.
    fn sealed(self, protocol: u8, mut body: Vec<u8>, sum_at: usize) -> Vec<u8> {
        body[sum_at..sum_at + 2].fill(0);
        let sum = match checksum(&[&self.pseudo(protocol, body.len()), &body]) {
            0 => 0xffff,
            other => other,
        };
        body[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
        self.ip(protocol, &body)
    }

    fn pseudo(self, protocol: u8, length: usize) -> Vec<u8> {
        let length = u32::try_from(length).unwrap_or(0).to_be_bytes();
        if self.six {
            let addresses = [six(self.from).octets(), six(self.to).octets()].concat();
            [&addresses[..], &length, &[0, 0, 0, protocol]].concat()
        } else {
            [&self.from.octets()[..], &self.to.octets(), &[0, protocol], &length[2..]].concat()
        }
    }

    fn ip(self, protocol: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_SIX + body.len());
        if self.six {
            let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&[0x60, 0, 0, 0]);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&[protocol, HOPS]);
            bytes.extend_from_slice(&six(self.from).octets());
            bytes.extend_from_slice(&six(self.to).octets());
        } else {
            let total = u16::try_from(HEADER_FOUR + body.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&[0x45, 0]);
            bytes.extend_from_slice(&total.to_be_bytes());
            bytes.extend_from_slice(&[0, 0, 0x40, 0, HOPS, protocol, 0, 0]);
            bytes.extend_from_slice(&self.from.octets());
            bytes.extend_from_slice(&self.to.octets());
            let sum = checksum(&[&bytes]);
            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        bytes.extend_from_slice(body);
        bytes
    }

    const fn back(self) -> Self {
        Self { from: self.to, to: self.from, six: self.six }
    }
}

impl Packet<'_> {
    /// Returns the packet's way.
    #[must_use]
    pub const fn way(&self) -> Way {
        Way { from: self.source, to: self.destination, six: self.six }
    }

    /// Forges what the receiver would send to refuse this packet: a reset, or `port unreachable`.
    #[must_use]
    pub fn refusal(&self) -> Option<Vec<u8>> {
        match self.carries {
            Carries::Tcp(segment) if segment.flags & RST != 0 => None,
            Carries::Tcp(segment) => Some(self.reset_to_source(&segment)),
            Carries::Udp(_) => Some(self.unreachable()),
            Carries::Other => None,
        }
    }

    /// Forges the resets that end a connection on both sides: to the sender, and to the receiver.
    #[must_use]
    pub fn resets(&self) -> Vec<Vec<u8>> {
        let Carries::Tcp(segment) = self.carries else { return Vec::new() };
        vec![self.reset_to_source(&segment), self.reset_onward(&segment)]
    }

    /// Forges the receiver's whole answer on a TCP connection, which ends it, and a reset for the receiver.
    #[must_use]
    pub fn answer_and_end(&self, payload: &[u8]) -> Vec<Vec<u8>> {
        let Carries::Tcp(segment) = self.carries else { return Vec::new() };
        let answer = Segment { flags: PSH | FIN | ACK, payload, ..answering(&segment) };
        vec![self.way().back().tcp(&answer), self.reset_onward(&segment)]
    }

    /// Forges the receiver's answer to a datagram.
    #[must_use]
    pub fn answer_datagram(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let Carries::Udp(datagram) = self.carries else { return None };
        Some(self.way().back().udp(datagram.destination, datagram.source, payload))
    }

    /// Makes the same packet with another way, with all its sums.
    #[must_use]
    pub fn readdressed(&self, way: Way) -> Option<Vec<u8>> {
        let (protocol, sum_at) = match self.carries {
            Carries::Tcp(_) => (TCP, TCP_SUM),
            Carries::Udp(_) => (UDP, UDP_SUM),
            Carries::Other => return None,
        };
        Some(way.sealed(protocol, self.body.to_vec(), sum_at))
    }

    fn reset_to_source(&self, segment: &Segment<'_>) -> Vec<u8> {
        self.way().back().tcp(&Segment { flags: RST | ACK, ..answering(segment) })
    }

    fn reset_onward(&self, segment: &Segment<'_>) -> Vec<u8> {
        self.way().tcp(&Segment { flags: RST | ACK, payload: &[], ..*segment })
    }

    fn unreachable(&self) -> Vec<u8> {
        let header = self.bytes.len() - self.body.len();
        let quoted = &self.bytes[..self.bytes.len().min(header + 8)];
        let kind = if self.six { UNREACHABLE_PORT_SIX } else { UNREACHABLE_PORT_FOUR };
        let mut body = [&kind[..], &[0; 6], quoted].concat();
        let way = self.way().back();
        let pseudo = if self.six { way.pseudo(ICMP_SIX, body.len()) } else { Vec::new() };
        let sum = checksum(&[&pseudo, &body]);
        body[2..4].copy_from_slice(&sum.to_be_bytes());
        way.ip(if self.six { ICMP_SIX } else { ICMP }, &body)
    }
}

/// Returns the empty segment that answers another.
fn answering<'a>(segment: &Segment<'_>) -> Segment<'a> {
    Segment {
        source: segment.destination,
        destination: segment.source,
        sequence: if segment.flags & ACK != 0 { segment.acknowledged } else { 0 },
        acknowledged: segment.sequence.wrapping_add(segment.length()),
        flags: ACK,
        payload: &[],
    }
}

/// RFC 1071's checksum; every part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn hello<'a>() -> Segment<'a> {
        Segment {
            source: 40000,
            destination: 443,
            sequence: 7,
            acknowledged: 9,
            flags: ACK,
            payload: b"hello",
        }
    }

    fn way(six: bool) -> Way {
        Way { from: [1, 1, 1, 1].into(), to: [2, 2, 2, 2].into(), six }
    }

    /// Says whether all of a packet's sums are right.
    fn is_sound(bytes: &[u8]) -> bool {
        let packet = Packet::parse(bytes).expect("parses");
        let protocol = if packet.six { bytes[6] } else { bytes[9] };
        let pseudo =
            if protocol == ICMP { Vec::new() } else { packet.way().pseudo(protocol, packet.body.len()) };
        let header = packet.six || checksum(&[&bytes[..HEADER_FOUR]]) == 0;
        header && checksum(&[&pseudo, packet.body]) == 0
    }

    #[test]
    fn a_reset_fits_into_both_windows() {
        for six in [false, true] {
            let bytes = way(six).tcp(&hello());
            let resets = Packet::parse(&bytes).expect("parses").resets();
            let parsed: Vec<_> = resets.iter().map(|bytes| Packet::parse(bytes).expect("parses")).collect();
            let Carries::Tcp(back) = parsed[0].carries else { panic!("a segment") };
            assert_eq!(
                (parsed[0].destination, back.sequence, back.acknowledged),
                ([1, 1, 1, 1].into(), 9, 12)
            );
            let Carries::Tcp(onward) = parsed[1].carries else { panic!("a segment") };
            assert_eq!((parsed[1].destination, onward.sequence), ([2, 2, 2, 2].into(), 7));
            assert!(resets.iter().all(|bytes| is_sound(bytes)));
        }
    }

    #[test]
    fn everything_that_is_forged_has_the_right_sums() {
        for six in [false, true] {
            let question = way(six).udp(5353, 53, b"odd");
            let question = Packet::parse(&question).expect("parses");
            let segment = way(six).tcp(&hello());
            let segment = Packet::parse(&segment).expect("parses");
            let elsewhere = Way { to: [3, 3, 3, 3].into(), ..way(six) };
            let mut forged = segment.answer_and_end(b"a page");
            forged.extend(question.refusal());
            forged.extend(question.answer_datagram(b"an answer"));
            forged.extend(question.readdressed(elsewhere));
            forged.extend(segment.readdressed(elsewhere));
            assert_eq!(forged.len(), 6);
            for (bytes, index) in forged.iter().zip(0..) {
                assert!(is_sound(bytes), "{index}, IPv6: {six}");
            }
        }
    }

    #[test]
    fn a_forged_answer_ends_the_connection() {
        let bytes = way(false).tcp(&hello());
        let answers = Packet::parse(&bytes).expect("parses").answer_and_end(b"a page");
        let Carries::Tcp(page) = Packet::parse(&answers[0]).expect("parses").carries else { panic!() };
        assert_eq!((page.sequence, page.acknowledged, page.payload), (9, 12, &b"a page"[..]));
        assert_ne!(page.flags & FIN, 0);
    }
}
