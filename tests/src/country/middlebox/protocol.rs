//! Signatures of circumvention protocols, as filters know them: the first bytes of a handshake, whatever the port.

use super::packet::{Carries, Packet};
use serde::{Deserialize, Serialize};

/// What is looked for, and what is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signature {
    /// OpenVPN's hard resets over UDP vanish.
    OpenvpnDrop,
    /// A connection that begins with OpenVPN's hard reset is reset on both sides.
    OpenvpnReset,
    /// WireGuard's initiations vanish.
    WireguardDrop,
}

const HARD_RESETS: [u8; 3] = [7, 8, 10];
const WIREGUARD_INITIATION: usize = 148;

impl Signature {
    /// Says whether a packet bears the signature.
    #[must_use]
    pub fn is_in(self, packet: &Packet<'_>) -> bool {
        match (self, packet.carries) {
            (Self::OpenvpnDrop, Carries::Udp(datagram)) => is_hard_reset(datagram.payload),
            (Self::OpenvpnReset, Carries::Tcp(segment)) => match segment.payload {
                [high, low, packet @ ..] => {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    length == packet.len() && is_hard_reset(packet)
                }
                _ => false,
            },
            (Self::WireguardDrop, Carries::Udp(datagram)) => {
                datagram.payload.len() == WIREGUARD_INITIATION && datagram.payload.starts_with(&[1, 0, 0, 0])
            }
            _ => false,
        }
    }
}

/// Opcode in the upper five bits, key id 0; a bare reset has 14 bytes, with acknowledgements or an HMAC more.
fn is_hard_reset(payload: &[u8]) -> bool {
    let opcode = payload.first().map(|byte| (byte >> 3, byte & 7));
    payload.len() >= 14 && matches!(opcode, Some((opcode, 0)) if HARD_RESETS.contains(&opcode))
}

#[cfg(test)]
mod tests {
    use super::super::forge::Way;
    use super::super::packet::{ACK, Segment};
    use super::*;

    const WAY: Way = Way {
        from: std::net::Ipv4Addr::new(101, 50, 64, 100),
        to: std::net::Ipv4Addr::new(151, 101, 0, 10),
        six: false,
    };

    fn udp(signature: Signature, payload: &[u8]) -> bool {
        let bytes = WAY.udp(40000, 1194, payload);
        signature.is_in(&Packet::parse(&bytes).expect("parses"))
    }

    fn tcp(payload: &[u8]) -> bool {
        let segment =
            Segment { source: 40000, destination: 1194, sequence: 1, acknowledged: 1, flags: ACK, payload };
        let bytes = WAY.tcp(&segment);
        Signature::OpenvpnReset.is_in(&Packet::parse(&bytes).expect("parses"))
    }

    #[test]
    fn each_signature_is_found_and_nothing_else_is() {
        let mut reset = vec![0x38];
        reset.extend([7; 13]);
        let framed = [&[0, 14][..], &reset].concat();
        let mut initiation = vec![1, 0, 0, 0];
        initiation.extend([9; 144]);
        assert!(udp(Signature::OpenvpnDrop, &reset) && udp(Signature::WireguardDrop, &initiation));
        assert!(tcp(&framed));
        assert!(!udp(Signature::WireguardDrop, &initiation[..147]) && !udp(Signature::WireguardDrop, &reset));
        assert!(!udp(Signature::OpenvpnDrop, &initiation) && !udp(Signature::OpenvpnDrop, &[]));
        assert!(!tcp(&framed[..15]) && !tcp(&[22, 3, 1, 0, 5]) && !tcp(&[]));
    }
}
