//! `tor`: the link protocol of a relay's or bridge's OR port, directly or behind obfs4.
//!
//! TLS with a made-up name, as Tor greets; then VERSIONS, and the answer. Where the list names a fingerprint, the answer's
//! certificates must hold that identity; they are compared and not proved, for no circuit is opened. Behind obfs4 the
//! transport's own program, `obfs4proxy` or `lyrebird`, runs as a managed child (see [`transport`]) and shakes hands over a
//! connection that this agent opened, so that the address rules and the byte counts hold for it too. Without the program the
//! check is not run.

mod cells;
mod socks;
mod transport;

use super::tunnel::{self, Approach, end_handshake, end_tls, read_some, write_all};
use super::{Check, Job, NotRun, Outcome};
use crate::net::{Ending, Greeting, Net, greet};
use aws_lc_rs::rand;
use cells::Links;
use faultline_model::{Fact, Failure, Layer, ProtocolClass, Transport, Tunnel, TunnelFact, TunnelStage};
use futures_util::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use transport::{Managed, Obfs4};

/// A relay's first cells are shorter.
const MAX_CELLS: usize = 16 * 1024;

/// The `tor` check.
#[derive(Debug)]
pub struct TorCheck {
    net: Arc<Net>,
}

impl TorCheck {
    /// Makes the check over a network.
    #[must_use]
    pub const fn new(net: Arc<Net>) -> Self {
        Self { net }
    }
}

impl Check for TorCheck {
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>> {
        Box::pin(async move {
            tunnel::run(&self.net, &job, |session, steps, endpoint| async move {
                let approach = Approach::new(&session, &steps, &endpoint);
                match &endpoint.tunnel {
                    Tunnel::Tor { fingerprint } => Ok(direct(&approach, fingerprint.as_ref()).await),
                    Tunnel::Obfs4 { cert, iat_mode, fingerprint } => {
                        let obfs4 = Obfs4 { cert, iat_mode: *iat_mode };
                        behind(&approach, &obfs4, fingerprint.as_ref()).await
                    }
                    _ => Err(NotRun::NotApplicable),
                }
            })
            .await
        })
    }
}

async fn direct(approach: &Approach<'_>, fingerprint: Option<&[u8; 20]>) -> Option<()> {
    let peer = approach.resolve().await?;
    let stream = approach.connect(peer).await?;
    let ending = stream.ending();
    let relay = Relay { class: ProtocolClass::Tor, hop: 0, peer: Some(peer), ending, fingerprint };
    relay.speak(approach, stream).await
}

/// Starts the transport before anything is sent: without it there is nothing to measure.
async fn behind(
    approach: &Approach<'_>,
    obfs4: &Obfs4<'_>,
    fingerprint: Option<&[u8; 20]>,
) -> Result<Option<()>, NotRun> {
    let managed = Managed::start().await?;
    let Some(peer) = approach.resolve().await else { return Ok(None) };
    let Some(stream) = approach.connect(peer).await else { return Ok(None) };
    let ending = stream.ending();
    let (splice, counts) = managed.splice(stream).await?;
    let port = splice.port;
    let steps = async {
        let through = shake_obfs4(approach, (&managed, obfs4), (peer, port, &counts, &ending)).await?;
        let relay =
            Relay { class: ProtocolClass::Obfs4, hop: 1, peer: None, ending: ending.clone(), fingerprint };
        relay.speak(approach, through).await
    };
    // The splice ends with either side's connection; what was begun then fails by itself.
    let mut steps = std::pin::pin!(steps);
    tokio::select! {
        ended = &mut steps => return Ok(ended),
        () = splice.run() => {}
    }
    Ok(steps.await)
}

async fn shake_obfs4(
    approach: &Approach<'_>,
    (managed, obfs4): (&Managed, &Obfs4<'_>),
    (peer, port, counts, ending): (SocketAddr, u16, &transport::Counts, &Ending),
) -> Option<TcpStream> {
    let begun = approach.begin(Layer::Tunnel, 0, Some(peer));
    let mut fact =
        TunnelFact { protocol: ProtocolClass::Obfs4, transport: Transport::Tcp, ..TunnelFact::default() };
    begun.see(Fact::Tunnel(fact.clone()));
    let until = Instant::now() + approach.session.deadlines().tunnel;
    let opened = managed.open(obfs4, port, until).await;
    (fact.bytes_sent, fact.bytes_received) = counts.read();
    let (through, ended) = match opened {
        Ok(stream) => {
            fact.stage = TunnelStage::Complete;
            (Some(stream), Ok(()))
        }
        // The transport only says that it failed; the connection below it says how.
        Err(Failure::TunnelDenied) => (None, Err(ending.failure().unwrap_or(Failure::TunnelInvalidReply))),
        Err(failure) => (None, Err(failure)),
    };
    end_handshake(begun, fact, ended)?;
    through
}

/// A relay at the other end of a stream.
struct Relay<'a> {
    class: ProtocolClass,
    /// 1 behind a transport.
    hop: u8,
    peer: Option<SocketAddr>,
    ending: Ending,
    fingerprint: Option<&'a [u8; 20]>,
}

impl Relay<'_> {
    async fn speak<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        approach: &Approach<'_>,
        stream: S,
    ) -> Option<()> {
        let begun = approach.begin(Layer::Tls, self.hop, self.peer);
        let name = made_up_name();
        let greeting = Greeting { name: &name, alpn: &[], is_verified: false };
        let (tls, shaken) = greet(approach.session, stream, greeting).await;
        let shaken = shaken.map_err(|failure| self.ending.failure().unwrap_or(failure));
        let mut stream = end_tls(begun, tls, shaken)?;

        let begun = approach.begin(Layer::Tunnel, self.hop, self.peer);
        let mut fact =
            TunnelFact { protocol: self.class, transport: Transport::Tcp, ..TunnelFact::default() };
        begun.see(Fact::Tunnel(fact.clone()));
        let until = Instant::now() + approach.session.deadlines().tunnel;
        let ended = self.negotiate(&mut stream, &mut fact, until).await;
        end_handshake(begun, fact, ended)
    }

    async fn negotiate<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        fact: &mut TunnelFact,
        until: Instant,
    ) -> Result<(), Failure> {
        write_all(stream, &cells::versions(), (fact, until)).await?;
        let mut buffer = Vec::new();
        let mut links = Links::default();
        loop {
            links.take(&mut buffer, fact)?;
            if links.has_versions {
                fact.stage = fact.stage.max(TunnelStage::FirstReply);
            }
            match (self.fingerprint, links.identity) {
                (None, _) if links.has_versions => break,
                (Some(wanted), Some(found)) if *wanted == found => {
                    fact.note("identity as named");
                    break;
                }
                (Some(_), Some(_)) => return Err(Failure::TunnelWrongPeer),
                (Some(_), None) if links.has_certificates => return Err(Failure::TunnelInvalidReply),
                _ => {}
            }
            read_some(stream, (&mut buffer, MAX_CELLS), (fact, until), &self.ending).await?;
        }
        fact.stage = TunnelStage::Complete;
        Ok(())
    }
}

/// Makes a name as Tor puts one into its hello: `www.`, some letters and digits, `.com`.
fn made_up_name() -> String {
    let mut bytes = [0; 10];
    // Without randomness the name is a constant one, which is no worse than an error.
    let _ = rand::fill(&mut bytes);
    format!("www.{}.com", data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}
