//! What a circumvention handshake showed.

use crate::{ProtocolClass, Transport};
use serde::{Deserialize, Serialize};

/// How far a handshake came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum TunnelStage {
    /// Nothing came back that belongs to the protocol.
    #[default]
    Sent,
    /// The peer answered in the protocol.
    FirstReply,
    /// The handshake is complete as far as the check goes.
    Complete,
}

/// One handshake of a circumvention protocol.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TunnelFact {
    /// The protocol.
    pub protocol: ProtocolClass,
    /// What carried it.
    pub transport: Transport,
    /// How far it came.
    pub stage: TunnelStage,
    /// Bytes of the protocol that were sent.
    pub bytes_sent: u64,
    /// Bytes that came back, of whatever content.
    pub bytes_received: u64,
    /// Datagrams that were sent, 0 over a connection.
    pub datagrams_sent: u32,
    /// Datagrams that came back, 0 over a connection.
    pub datagrams_received: u32,
    /// What the peer's messages were, in order, at most [`TunnelFact::MAX_REPLIES`] of at most
    /// [`TunnelFact::MAX_REPLY_CHARS`] characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<String>,
}

impl TunnelFact {
    /// More messages of the peer are not noted.
    pub const MAX_REPLIES: usize = 16;
    /// A message's name is cut there.
    pub const MAX_REPLY_CHARS: usize = 64;

    /// Notes one of the peer's messages.
    pub fn note(&mut self, reply: &str) {
        if self.replies.len() < Self::MAX_REPLIES {
            let is_plain = |c: &char| c.is_ascii_graphic() || *c == ' ';
            self.replies.push(reply.chars().filter(is_plain).take(Self::MAX_REPLY_CHARS).collect());
        }
    }
}
