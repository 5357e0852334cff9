//! IPv4, TCP and UDP headers: as much as a middlebox reads, and the packets that it forges.

use std::net::Ipv4Addr;

/// TCP's FIN flag.
pub const FIN: u8 = 0x01;
/// TCP's SYN flag.
pub const SYN: u8 = 0x02;
/// TCP's RST flag.
pub const RST: u8 = 0x04;
/// TCP's ACK flag.
pub const ACK: u8 = 0x10;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const IP_HEADER: usize = 20;

/// A packet as a middlebox sees it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// To whom.
    pub destination: Ipv4Addr,
    /// What it carries.
    pub carries: Carries<'a>,
    bytes: &'a [u8],
}

/// What an IPv4 packet carries.
#[derive(Clone, Copy, Debug)]
pub enum Carries<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// A UDP datagram.
    Udp,
    /// Anything else, and fragments.
    Other,
}

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The sender's port.
    pub source: u16,
    /// The receiver's port.
    pub destination: u16,
    /// Number of the first byte.
    pub sequence: u32,
    /// Number of the byte that is expected next.
    pub acknowledged: u32,
    /// The flags.
    pub flags: u8,
    /// The bytes.
    pub payload: &'a [u8],
}

impl Segment<'_> {
    /// Returns by how much the segment moves the sequence on.
    fn length(&self) -> u32 {
        let flags = u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        flags + u32::try_from(self.payload.len()).unwrap_or(0)
    }
}

impl<'a> Packet<'a> {
    /// Reads an IPv4 packet; `None` for anything else and for what is cut short.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let header = usize::from(first & 0x0f) * 4;
        if first >> 4 != 4 || header < IP_HEADER {
            return None;
        }
        let total = usize::from(be16(bytes, 2)?);
        let body = bytes.get(header..total.min(bytes.len()))?;
        let is_later_fragment = be16(bytes, 6)? & 0x1fff != 0;
        let carries = match bytes[9] {
            TCP if !is_later_fragment => segment(body).map_or(Carries::Other, Carries::Tcp),
            UDP if !is_later_fragment => Carries::Udp,
            _ => Carries::Other,
        };
        let address = |at| Some(Ipv4Addr::from_bits(be32(bytes, at)?));
        Some(Self { source: address(12)?, destination: address(16)?, carries, bytes })
    }

    /// Forges what the receiver would send to refuse this packet: a reset, or `port unreachable`.
    #[must_use]
    pub fn refusal(&self) -> Option<Vec<u8>> {
        match self.carries {
            Carries::Tcp(segment) if segment.flags & RST != 0 => None,
            Carries::Tcp(segment) => Some(self.reset_to_source(&segment)),
            Carries::Udp => {
                let mut icmp = vec![3, 3, 0, 0, 0, 0, 0, 0];
                let quoted = self.bytes.len().min(IP_HEADER + 8);
                icmp.extend_from_slice(&self.bytes[..quoted]);
                let sum = checksum(&[&icmp]);
                icmp[2..4].copy_from_slice(&sum.to_be_bytes());
                Some(ip(self.destination, self.source, ICMP, &icmp))
            }
            Carries::Other => None,
        }
    }

    /// Forges the resets that end a connection on both sides: to the sender, and to the receiver.
    #[must_use]
    pub fn resets(&self) -> Vec<Vec<u8>> {
        let Carries::Tcp(segment) = self.carries else { return Vec::new() };
        let onward = Segment { flags: RST | ACK, payload: &[], ..segment };
        vec![self.reset_to_source(&segment), tcp(self.source, self.destination, &onward)]
    }

    fn reset_to_source(&self, segment: &Segment<'_>) -> Vec<u8> {
        let answer = Segment {
            source: segment.destination,
            destination: segment.source,
            sequence: if segment.flags & ACK != 0 { segment.acknowledged } else { 0 },
            acknowledged: segment.sequence.wrapping_add(segment.length()),
            flags: RST | ACK,
            payload: &[],
        };
        tcp(self.destination, self.source, &answer)
    }
}

fn segment(body: &[u8]) -> Option<Segment<'_>> {
    let header = usize::from(body.get(12)? >> 4) * 4;
    Some(Segment {
        source: be16(body, 0)?,
        destination: be16(body, 2)?,
        sequence: be32(body, 4)?,
        acknowledged: be32(body, 8)?,
        flags: *body.get(13)?,
        payload: body.get(header.max(20)..)?,
    })
}

fn tcp(from: Ipv4Addr, to: Ipv4Addr, segment: &Segment<'_>) -> Vec<u8> {
    let mut body = Vec::with_capacity(20);
    body.extend_from_slice(&segment.source.to_be_bytes());
    body.extend_from_slice(&segment.destination.to_be_bytes());
    body.extend_from_slice(&segment.sequence.to_be_bytes());
    body.extend_from_slice(&segment.acknowledged.to_be_bytes());
    body.extend_from_slice(&[5 << 4, segment.flags, 0, 0, 0, 0, 0, 0]);
    let pseudo = [&from.octets()[..], &to.octets()[..], &[0, TCP, 0, 20]].concat();
    let sum = checksum(&[&pseudo, &body]);
    body[16..18].copy_from_slice(&sum.to_be_bytes());
    ip(from, to, TCP, &body)
}

/// Wraps a body; the kernel fills in the checksum and the identification of raw packets.
fn ip(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let total = u16::try_from(IP_HEADER + body.len()).unwrap_or(u16::MAX);
    let mut bytes = vec![0x45, 0];
    bytes.extend_from_slice(&total.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
    bytes.extend_from_slice(&from.octets());
    bytes.extend_from_slice(&to.octets());
    let sum = checksum(&[&bytes]);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
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

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Makes the bytes of a TCP packet.
    pub fn packet(from: [u8; 4], to: [u8; 4], segment: &Segment<'_>) -> Vec<u8> {
        let mut bytes = tcp(from.into(), to.into(), segment);
        bytes.extend_from_slice(segment.payload);
        let total = u16::try_from(bytes.len()).expect("small");
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        bytes
    }

    #[test]
    fn a_reset_fits_into_both_windows() {
        let hello = Segment {
            source: 40000,
            destination: 443,
            sequence: 7,
            acknowledged: 9,
            flags: ACK,
            payload: b"hello",
        };
        let bytes = packet([1, 1, 1, 1], [2, 2, 2, 2], &hello);
        let resets = Packet::parse(&bytes).expect("parses").resets();
        let parsed: Vec<_> = resets.iter().map(|bytes| Packet::parse(bytes).expect("parses")).collect();
        let Carries::Tcp(back) = parsed[0].carries else { panic!("a segment") };
        assert_eq!((parsed[0].destination, back.sequence, back.acknowledged), ([1, 1, 1, 1].into(), 9, 12));
        let Carries::Tcp(onward) = parsed[1].carries else { panic!("a segment") };
        assert_eq!((parsed[1].destination, onward.sequence), ([2, 2, 2, 2].into(), 7));
        assert_eq!(checksum(&[&resets[0][..20]]), 0, "the header's sum is right");
    }

    #[test]
    fn what_is_cut_short_is_no_packet() {
        let syn =
            Segment { source: 1, destination: 2, sequence: 0, acknowledged: 0, flags: SYN, payload: &[] };
        let bytes = packet([1, 1, 1, 1], [2, 2, 2, 2], &syn);
        for length in 0..20 {
            assert!(Packet::parse(&bytes[..length]).is_none(), "{length}");
        }
        for length in 20..40 {
            let parsed = Packet::parse(&bytes[..length]).map(|p| matches!(p.carries, Carries::Other));
            assert_eq!(parsed, Some(true), "{length}");
        }
    }
}
