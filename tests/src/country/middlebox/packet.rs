//! Reads IP, TCP and UDP headers: as much as a middlebox looks at.
//!
//! A packet of either family is told by IPv4 addresses, because every IPv6 address of the emulated internet is the
//! companion of one (see [`addresses`](crate::country::addresses)). So a rule means both. What has other addresses,
//! such as the kernel's own talk between neighbours, is no packet here and passes.

use crate::country::addresses::four;
use std::net::{Ipv4Addr, Ipv6Addr};

/// TCP's FIN flag.
pub const FIN: u8 = 0x01;
/// TCP's SYN flag.
pub const SYN: u8 = 0x02;
/// TCP's RST flag.
pub const RST: u8 = 0x04;
/// TCP's PSH flag.
pub const PSH: u8 = 0x08;
/// TCP's ACK flag.
pub const ACK: u8 = 0x10;

/// TCP's protocol number.
pub const TCP: u8 = 6;
/// UDP's protocol number.
pub const UDP: u8 = 17;
/// The length of an IPv4 header without options.
pub const HEADER_FOUR: usize = 20;
/// The length of an IPv6 header.
pub const HEADER_SIX: usize = 40;

/// A packet as a middlebox sees it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// To whom.
    pub destination: Ipv4Addr,
    /// It is one of IPv6.
    pub six: bool,
    /// What it carries.
    pub carries: Carries<'a>,
    /// All of it.
    pub bytes: &'a [u8],
    /// What follows the IP header.
    pub body: &'a [u8],
}

/// What a packet carries.
#[derive(Clone, Copy, Debug)]
pub enum Carries<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// A UDP datagram.
    Udp(Datagram<'a>),
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

/// A UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The sender's port.
    pub source: u16,
    /// The receiver's port.
    pub destination: u16,
    /// The bytes.
    pub payload: &'a [u8],
}

impl Segment<'_> {
    /// Returns by how much the segment moves the sequence on.
    #[must_use]
    pub fn length(&self) -> u32 {
        let flags = u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        flags + u32::try_from(self.payload.len()).unwrap_or(0)
    }
}

impl<'a> Packet<'a> {
    /// Reads a packet; `None` for what is cut short, and for IPv6 addresses that are nobody's companion.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::parse_four(bytes),
            6 => Self::parse_six(bytes),
            _ => None,
        }
    }

    fn parse_four(bytes: &'a [u8]) -> Option<Self> {
        let header = usize::from(bytes[0] & 0x0f) * 4;
        let total = usize::from(be16(bytes, 2)?);
        if header < HEADER_FOUR {
            return None;
        }
        let body = bytes.get(header..total.min(bytes.len()))?;
        let is_later_fragment = be16(bytes, 6)? & 0x1fff != 0;
        let carries = if is_later_fragment { Carries::Other } else { carries(bytes[9], body) };
        let address = |at| Some(Ipv4Addr::from_bits(be32(bytes, at)?));
        Some(Self { source: address(12)?, destination: address(16)?, six: false, carries, bytes, body })
    }

    fn parse_six(bytes: &'a [u8]) -> Option<Self> {
        let length = usize::from(be16(bytes, 4)?);
        let body = bytes.get(HEADER_SIX..(HEADER_SIX + length).min(bytes.len()))?;
        let address = |at: usize| {
            let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
            four(Ipv6Addr::from(octets).into())
        };
        let (source, destination) = (address(8)?, address(24)?);
        Some(Self { source, destination, six: true, carries: carries(bytes[6], body), bytes, body })
    }

    /// Returns the ports of both ends, the sender's first.
    #[must_use]
    pub const fn ports(&self) -> Option<(u16, u16)> {
        match self.carries {
            Carries::Tcp(segment) => Some((segment.source, segment.destination)),
            Carries::Udp(datagram) => Some((datagram.source, datagram.destination)),
            Carries::Other => None,
        }
    }
}

fn carries(protocol: u8, body: &[u8]) -> Carries<'_> {
    match protocol {
        TCP => segment(body).map_or(Carries::Other, Carries::Tcp),
        UDP => datagram(body).map_or(Carries::Other, Carries::Udp),
        _ => Carries::Other,
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

fn datagram(body: &[u8]) -> Option<Datagram<'_>> {
    Some(Datagram { source: be16(body, 0)?, destination: be16(body, 2)?, payload: body.get(8..)? })
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::forge::Way;
    use super::*;

    #[test]
    fn what_is_cut_short_is_no_packet() {
        let syn =
            Segment { source: 1, destination: 2, sequence: 0, acknowledged: 0, flags: SYN, payload: &[] };
        for (six, header) in [(false, HEADER_FOUR), (true, HEADER_SIX)] {
            let way = Way { from: [1, 1, 1, 1].into(), to: [2, 2, 2, 2].into(), six };
            let bytes = way.tcp(&syn);
            for length in 0..header {
                assert!(Packet::parse(&bytes[..length]).is_none(), "{length}");
            }
            for length in header..header + 20 {
                let parsed = Packet::parse(&bytes[..length]).map(|p| matches!(p.carries, Carries::Other));
                assert_eq!(parsed, Some(true), "{length}");
            }
            let whole = Packet::parse(&bytes).expect("parses");
            assert_eq!((whole.source, whole.destination, whole.six), (way.from, way.to, six));
        }
    }

    #[test]
    fn addresses_of_nobody_are_no_packet() {
        let way = Way { from: [1, 1, 1, 1].into(), to: [2, 2, 2, 2].into(), six: true };
        let mut bytes = way.udp(1, 2, b"x");
        bytes[8..24].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
        assert!(Packet::parse(&bytes).is_none());
    }
}
