//! Handshakes of circumvention protocols.

use super::{WireError, bounded, invalid};
use crate::agent as wire;
use faultline_model::{ProtocolClass, Transport, TunnelFact, TunnelStage};

/// Writes a handshake.
pub(super) fn tunnel_to_wire(tunnel: &TunnelFact) -> wire::TunnelFact {
    wire::TunnelFact {
        protocol: tunnel.protocol.to_string(),
        transport: match tunnel.transport {
            Transport::Udp => wire::TunnelTransport::Udp,
            Transport::Tcp => wire::TunnelTransport::Tcp,
        }
        .into(),
        stage: match tunnel.stage {
            TunnelStage::Sent => wire::TunnelStage::Sent,
            TunnelStage::FirstReply => wire::TunnelStage::FirstReply,
            TunnelStage::Complete => wire::TunnelStage::Complete,
        }
        .into(),
        bytes_sent: tunnel.bytes_sent,
        bytes_received: tunnel.bytes_received,
        datagrams_sent: tunnel.datagrams_sent,
        datagrams_received: tunnel.datagrams_received,
        replies: tunnel.replies.clone(),
    }
}

/// Reads a handshake and checks every field.
pub(super) fn tunnel_from_wire(tunnel: wire::TunnelFact) -> Result<TunnelFact, WireError> {
    let (len, max) = (tunnel.replies.len(), TunnelFact::MAX_REPLIES);
    if len > max {
        return Err(WireError::TooLong { field: "replies", len, max });
    }
    let replies =
        tunnel.replies.into_iter().map(|reply| bounded("replies", reply, TunnelFact::MAX_REPLY_CHARS));
    Ok(TunnelFact {
        protocol: tunnel.protocol.parse::<ProtocolClass>().map_err(|e| invalid("protocol", e))?,
        transport: match wire::TunnelTransport::try_from(tunnel.transport) {
            Ok(wire::TunnelTransport::Udp) => Transport::Udp,
            Ok(wire::TunnelTransport::Tcp) => Transport::Tcp,
            _ => return Err(invalid("transport", tunnel.transport)),
        },
        stage: match wire::TunnelStage::try_from(tunnel.stage) {
            Ok(wire::TunnelStage::Sent) => TunnelStage::Sent,
            Ok(wire::TunnelStage::FirstReply) => TunnelStage::FirstReply,
            Ok(wire::TunnelStage::Complete) => TunnelStage::Complete,
            _ => return Err(invalid("stage", tunnel.stage)),
        },
        bytes_sent: tunnel.bytes_sent,
        bytes_received: tunnel.bytes_received,
        datagrams_sent: tunnel.datagrams_sent,
        datagrams_received: tunnel.datagrams_received,
        replies: replies.collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_survives_the_wire_and_endless_replies_are_refused() {
        for stage in [TunnelStage::Sent, TunnelStage::FirstReply, TunnelStage::Complete] {
            let mut fact = TunnelFact {
                protocol: ProtocolClass::Obfs4,
                transport: Transport::Tcp,
                stage,
                bytes_sent: 1500,
                bytes_received: 1 << 33,
                datagrams_sent: 3,
                datagrams_received: 1,
                replies: vec![],
            };
            fact.note("versions 3 4 5");
            assert_eq!(tunnel_from_wire(tunnel_to_wire(&fact)).expect("valid"), fact);
            fact.replies = vec!["x".into(); 17];
            assert!(tunnel_from_wire(tunnel_to_wire(&fact)).is_err());
            fact.replies = vec!["x".repeat(65)];
            assert!(tunnel_from_wire(tunnel_to_wire(&fact)).is_err());
        }
    }
}
