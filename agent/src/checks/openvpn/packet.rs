//! Packets of OpenVPN's control channel, without `tls-auth`.
//!
//! ```text
//! opcode and key id   1 byte (opcode in the upper five bits)
//! own session         8 bytes
//! acknowledgements    1 byte with their count, 4 bytes each, and the peer's session if there are any
//! packet number       4 bytes, in all but pure acknowledgements
//! payload             TLS
//! ```
//! Over TCP each packet follows its length in two bytes.

/// As many acknowledgements as one packet may hold.
pub(super) const MAX_ACKNOWLEDGED: usize = 8;

/// What a packet of the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    HardResetServer,
    Control,
    Acknowledgement,
}

const HARD_RESET_CLIENT_V2: u8 = 7;

impl Opcode {
    const fn of(number: u8) -> Option<Self> {
        Some(match number {
            8 => Self::HardResetServer,
            4 => Self::Control,
            5 => Self::Acknowledgement,
            _ => return None,
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::HardResetServer => "hard reset server v2",
            Self::Control => "control v1",
            Self::Acknowledgement => "ack v1",
        }
    }
}

/// A packet of the peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) opcode: Opcode,
    pub(super) session: [u8; 8],
    /// Our own session, where the packet acknowledges something.
    pub(super) remote: Option<[u8; 8]>,
    pub(super) number: Option<u32>,
    pub(super) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet; none where the bytes are no packet that a server sends.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first()?;
        let opcode = Opcode::of(head >> 3)?;
        let (session, rest) = rest.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first()?;
        let count = usize::from(*count);
        if count > MAX_ACKNOWLEDGED {
            return None;
        }
        let (_, mut rest) = rest.split_at_checked(4 * count)?;
        let mut remote = None;
        if count > 0 {
            let (own, after) = rest.split_first_chunk::<8>()?;
            (remote, rest) = (Some(*own), after);
        }
        let mut number = None;
        if opcode != Opcode::Acknowledgement {
            let (digits, after) = rest.split_first_chunk::<4>()?;
            (number, rest) = (Some(u32::from_be_bytes(*digits)), after);
        }
        Some(Self { opcode, session: *session, remote, number, payload: rest })
    }
}

/// Writes the packet that opens a session.
pub(super) fn reset(own: [u8; 8]) -> Vec<u8> {
    let mut bytes = vec![HARD_RESET_CLIENT_V2 << 3];
    bytes.extend(own);
    bytes.push(0);
    bytes.extend(0u32.to_be_bytes());
    bytes
}

/// Writes a packet with a piece of the TLS stream.
pub(super) fn control(
    (own, peer): ([u8; 8], [u8; 8]),
    acknowledged: &[u32],
    number: u32,
    piece: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![4 << 3];
    bytes.extend(own);
    bytes.push(u8::try_from(acknowledged.len()).unwrap_or(0));
    if !acknowledged.is_empty() {
        acknowledged.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
        bytes.extend(peer);
    }
    bytes.extend(number.to_be_bytes());
    bytes.extend(piece);
    bytes
}

/// Writes packets as they go over TCP.
pub(super) fn framed(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        bytes.extend(u16::try_from(packet.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(packet);
    }
    bytes
}

/// Takes one whole packet from the front of what came over TCP.
pub(super) fn unframed(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes(*buffer.first_chunk::<2>()?));
    if buffer.len() < 2 + length {
        return None;
    }
    let rest = buffer.split_off(2 + length);
    let packet = std::mem::replace(buffer, rest).split_off(2);
    Some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, proptest};

    const OWN: [u8; 8] = [1; 8];
    const PEER: [u8; 8] = [2; 8];

    #[test]
    fn the_opening_is_as_on_the_wire() {
        let bytes = reset(OWN);
        assert_eq!((bytes.len(), bytes[0]), (14, 0x38));
        let hello = control((OWN, PEER), &[0], 1, b"hello");
        assert_eq!(hello[0], 0x20);
        let read = Packet::read(&hello).expect("a packet");
        assert_eq!(
            (read.session, read.remote, read.number, read.payload),
            (OWN, Some(PEER), Some(1), &b"hello"[..])
        );
        let answer = [&[0x40][..], &PEER, &[1, 0, 0, 0, 0], &OWN, &[0, 0, 0, 0]].concat();
        let read = Packet::read(&answer).expect("a packet");
        assert_eq!((read.opcode, read.remote, read.number), (Opcode::HardResetServer, Some(OWN), Some(0)));
    }

    #[test]
    fn a_stream_of_packets_is_taken_apart_at_any_cut() {
        let whole = framed(&[b"one".to_vec(), b"three".to_vec()]);
        for cut in 0..whole.len() {
            let mut buffer = whole[..cut].to_vec();
            let mut taken = Vec::new();
            taken.extend(unframed(&mut buffer));
            buffer.extend(&whole[cut..]);
            while let Some(packet) = unframed(&mut buffer) {
                taken.push(packet);
            }
            assert_eq!(taken, [b"one".to_vec(), b"three".to_vec()]);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_of_a_peer_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Packet::read(&bytes);
            let mut buffer = bytes;
            while unframed(&mut buffer).is_some() {}
        }
    }
}
