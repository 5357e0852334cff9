//! `openvpn`: the control channel's opening with a server in TLS mode, up to the server's first TLS bytes.
//!
//! A hard reset, the server's own in answer, a ClientHello within the control channel, and the ServerHello that comes back. The
//! check ends there: it has no client certificate and wants no tunnel. Over UDP unanswered packets are repeated every two
//! seconds, as clients do. `tls-auth` and `tls-crypt` are not spoken: an endpoint is a server without them.

mod hello;
mod packet;

use super::tunnel::{self, Approach, Exchange, end_handshake, read_some, write_all};
use super::{Check, Job, NotRun, Outcome};
use crate::net::{Metered, Net};
use aws_lc_rs::rand;
use faultline_model::{Failure, Layer, ProtocolClass, Transport, Tunnel, TunnelFact, TunnelStage};
use futures_util::future::BoxFuture;
use packet::{Opcode, Packet, framed, unframed};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// More than any opening's answers together.
const MAX_STREAM: usize = 16 * 1024;

/// The `openvpn` check.
#[derive(Debug)]
pub struct OpenvpnCheck {
    net: Arc<Net>,
}

impl OpenvpnCheck {
    /// Makes the check over a network.
    #[must_use]
    pub const fn new(net: Arc<Net>) -> Self {
        Self { net }
    }
}

impl Check for OpenvpnCheck {
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>> {
        Box::pin(async move {
            tunnel::run(&self.net, &job, |session, steps, endpoint| async move {
                let Tunnel::Openvpn(transport) = endpoint.tunnel else { return Err(NotRun::NotApplicable) };
                Ok(go(&Approach::new(&session, &steps, &endpoint), transport).await)
            })
            .await
        })
    }
}

async fn go(approach: &Approach<'_>, transport: Transport) -> Option<()> {
    let peer = approach.resolve().await?;
    let stream = match transport {
        Transport::Udp => None,
        Transport::Tcp => Some(approach.connect(peer).await?),
    };
    let begun = approach.begin(Layer::Tunnel, 0, Some(peer));
    let protocol = match transport {
        Transport::Udp => ProtocolClass::OpenvpnUdp,
        Transport::Tcp => ProtocolClass::OpenvpnTcp,
    };
    let mut fact = TunnelFact { protocol, transport, ..TunnelFact::default() };
    begun.see(faultline_model::Fact::Tunnel(fact.clone()));
    let until = Instant::now() + approach.session.deadlines().tunnel;
    let ended = match stream {
        Some(stream) => over_tcp(stream, &mut fact, until).await,
        None => match approach.session.datagrams(peer, approach.purpose()).await {
            Ok(datagrams) => over_udp(&Exchange { datagrams: &datagrams, until }, &mut fact).await,
            Err(failure) => Err(failure),
        },
    };
    end_handshake(begun, fact, ended)
}

/// What our side of the control channel remembers.
struct Talk {
    own: [u8; 8],
    peer: Option<[u8; 8]>,
    hello: Vec<Vec<u8>>,
    /// Packets of the peer that are not acknowledged yet.
    unacknowledged: Vec<u32>,
    /// Bytes of the peer's TLS stream.
    tls: Vec<u8>,
}

impl Talk {
    fn begin() -> Result<Self, Failure> {
        let mut own = [0; 8];
        rand::fill(&mut own).map_err(|_| Failure::unknown("no randomness"))?;
        Ok(Self { own, peer: None, hello: hello::pieces()?, unacknowledged: Vec::new(), tls: Vec::new() })
    }

    /// What is to be said next: the reset until the peer is known, then the hello in its packets.
    fn say(&self) -> Vec<Vec<u8>> {
        let Some(peer) = self.peer else { return vec![packet::reset(self.own)] };
        let mut acknowledged = self.unacknowledged.as_slice();
        let mut packets = Vec::new();
        for (number, piece) in (1u32..).zip(&self.hello) {
            packets.push(packet::control((self.own, peer), acknowledged, number, piece));
            acknowledged = &[];
        }
        packets
    }

    /// Takes one packet of the peer; true once its first TLS bytes are the beginning of a handshake.
    fn take(&mut self, bytes: &[u8], fact: &mut TunnelFact) -> Result<bool, Failure> {
        let packet = Packet::read(bytes).ok_or(Failure::TunnelInvalidReply)?;
        if packet.remote.is_some_and(|remote| remote != self.own) {
            return Err(Failure::TunnelInvalidReply);
        }
        fact.note(packet.opcode.name());
        fact.stage = fact.stage.max(TunnelStage::FirstReply);
        match packet.opcode {
            Opcode::HardResetServer => self.peer = Some(packet.session),
            Opcode::Control if packet.number == Some(1) => self.tls.extend_from_slice(packet.payload),
            Opcode::Control | Opcode::Acknowledgement => {}
        }
        self.unacknowledged.extend(packet.number.filter(|number| !self.unacknowledged.contains(number)));
        self.unacknowledged.truncate(packet::MAX_ACKNOWLEDGED);
        match self.tls.as_slice() {
            [22, 3, ..] => {
                fact.note("tls handshake");
                fact.stage = TunnelStage::Complete;
                Ok(true)
            }
            [21, 3, _, _, _, _, alert, ..] => {
                fact.note(&format!("tls alert {alert}"));
                Err(Failure::TunnelDenied)
            }
            [] => Ok(false),
            _ => Err(Failure::TunnelInvalidReply),
        }
    }
}

async fn over_udp(exchange: &Exchange<'_>, fact: &mut TunnelFact) -> Result<(), Failure> {
    let mut talk = Talk::begin()?;
    while talk.peer.is_none() {
        let answer = exchange.ask(fact, || talk.say()).await?;
        talk.take(&answer, fact)?;
    }
    let mut answer = exchange.ask(fact, || talk.say()).await?;
    loop {
        if talk.take(&answer, fact)? {
            return Ok(());
        }
        // An acknowledgement alone: the hello has come, so it is not said again.
        answer = exchange.next(fact, exchange.until).await?;
    }
}

async fn over_tcp(
    mut stream: Metered<TcpStream>,
    fact: &mut TunnelFact,
    until: Instant,
) -> Result<(), Failure> {
    let (mut talk, ending) = (Talk::begin()?, stream.ending());
    let mut buffer = Vec::new();
    let mut has_greeted = false;
    write_all(&mut stream, &framed(&talk.say()), (fact, until)).await?;
    loop {
        while let Some(packet) = unframed(&mut buffer) {
            if talk.take(&packet, fact)? {
                return Ok(());
            }
        }
        if talk.peer.is_some() && !has_greeted {
            write_all(&mut stream, &framed(&talk.say()), (fact, until)).await?;
            has_greeted = true;
        }
        read_some(&mut stream, (&mut buffer, MAX_STREAM), (fact, until), &ending).await?;
    }
}
