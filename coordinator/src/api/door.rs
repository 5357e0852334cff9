//! The door: accepts connections, does the TLS handshake under a deadline, and hands good ones to tonic.
//!
//! tonic's own listener has no handshake deadline and no cap: silent peers would hold descriptors for ever. Here at most
//! 512 handshakes are pending, each for at most five seconds; further connections wait in the kernel's backlog. No
//! error of `accept` ends the loop. The peer's address is looked up to its network at once; beyond that it lives in memory
//! as long as its connection, to be told to the peer itself, which scrubs it from what it measures. It is never logged.

use super::peer::Caller;
use crate::networks::Networks;
use faultline_runtime::Sensitive;
use faultline_runtime::tls::peer_identity;
use rustls::ServerConfig;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
const MAX_PENDING: usize = 512;
/// Connections that wait for tonic, which takes them at once. Full: the handshake task waits and keeps its permit.
const ACCEPTED: usize = 64;
/// After running out of descriptors `accept` fails at once, again and again: breathe.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// A connection whose peer has shown who it is.
pub(crate) struct DoorStream {
    stream: TlsStream<TcpStream>,
    caller: Caller,
}

/// The listening side: a running accept loop, and the connections that came through.
pub(crate) struct Door {
    streams: mpsc::Receiver<io::Result<DoorStream>>,
}

/// What the accept loop needs.
pub(crate) struct DoorPost {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) networks: Option<Arc<Networks>>,
    pub(crate) stop: CancellationToken,
    accepted: mpsc::Sender<io::Result<DoorStream>>,
}

impl Door {
    /// Makes a door and the post that has to be manned with [`DoorPost::serve`].
    pub(crate) fn new(
        listener: TcpListener,
        tls: ServerConfig,
        networks: Option<Arc<Networks>>,
        stop: CancellationToken,
    ) -> (Self, DoorPost) {
        let (accepted, streams) = mpsc::channel(ACCEPTED);
        (Self { streams }, DoorPost { listener, tls: Arc::new(tls), networks, stop, accepted })
    }

    pub(crate) fn into_stream(self) -> ReceiverStream<io::Result<DoorStream>> {
        ReceiverStream::new(self.streams)
    }
}

impl DoorPost {
    /// Accepts until asked to stop.
    pub(crate) async fn serve(self) -> Result<(), io::Error> {
        let acceptor = TlsAcceptor::from(self.tls);
        let permits = Arc::new(Semaphore::new(MAX_PENDING));
        let mut handshakes = JoinSet::new();
        loop {
            while handshakes.try_join_next().is_some() {}
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
            let accepted = tokio::select! {
                () = self.stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let (socket, address) = match accepted {
                Ok((socket, address)) => (socket, address.ip().to_canonical()),
                Err(error) => {
                    tracing::warn!(kind = ?error.kind(), "accepting a connection failed");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                    continue;
                }
            };
            let network = look_up(self.networks.as_deref(), address);
            let address = Some(Sensitive(address));
            let (acceptor, accepted) = (acceptor.clone(), self.accepted.clone());
            handshakes.spawn(async move {
                let _permit = permit;
                let greeted = tokio::time::timeout(HANDSHAKE_DEADLINE, greet(acceptor, socket)).await;
                if let Ok(Some((stream, identity))) = greeted {
                    let caller = Caller { identity, network, address };
                    // The other end is gone only while the program stops.
                    let _ = accepted.send(Ok(DoorStream { stream, caller })).await;
                }
            });
        }
        Ok(())
    }
}

fn look_up(networks: Option<&Networks>, address: IpAddr) -> Option<faultline_model::Asn> {
    networks.and_then(|networks| networks.find(address))
}

type Greeted = (TlsStream<TcpStream>, Option<faultline_runtime::tls::PeerIdentity>);

/// Does the handshake; `None` if it fails or the certificate says no known role.
async fn greet(acceptor: TlsAcceptor, socket: TcpStream) -> Option<Greeted> {
    socket.set_nodelay(true).ok()?;
    let stream = match acceptor.accept(socket).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(kind = ?error.kind(), "a handshake failed");
            return None;
        }
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
    let identity = certificate.map(|certificate| peer_identity(&certificate)).transpose();
    identity.ok().map(|identity| (stream, identity))
}

impl Connected for DoorStream {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for DoorStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for DoorStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
