//! The UDP socket of one QUIC connection: bound to one peer, every datagram counted.

use super::version::read_offered_versions;
use crate::net::{Meter, Purpose, Session, failure_of_io};
use faultline_model::Failure;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

/// The datagrams between this machine and one peer.
///
/// An error of the socket is what an ICMP message or a local firewall made; it is noted rather than handed to quinn,
/// which would only log it.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    /// The peer as it was asked for.
    peer: SocketAddr,
    meter: Arc<Meter>,
    sent: AtomicU32,
    received: AtomicU32,
    seen: Mutex<Seen>,
    has_broken: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    versions: Vec<u32>,
    failure: Option<Failure>,
}

impl Datagrams {
    /// Opens a socket to a permitted peer.
    pub(super) async fn open(session: &Session, peer: SocketAddr) -> Result<Self, Failure> {
        let socket = session.udp(peer, Purpose::Site).await?;
        Ok(Self {
            socket,
            peer,
            meter: Arc::clone(&session.meter),
            sent: AtomicU32::new(0),
            received: AtomicU32::new(0),
            seen: Mutex::default(),
            has_broken: Notify::new(),
        })
    }

    /// Returns how many datagrams were sent and received.
    pub(super) fn counts(&self) -> (u32, u32) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }

    /// Returns the versions that a version negotiation packet offered.
    pub(super) fn offered_versions(&self) -> Vec<u32> {
        self.seen().versions.clone()
    }

    /// Waits for an error of the socket.
    pub(super) async fn broken(&self) -> Failure {
        loop {
            let notified = self.has_broken.notified();
            if let Some(failure) = self.seen().failure.clone() {
                return failure;
            }
            notified.await;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, error: &io::Error) {
        self.seen().failure.get_or_insert_with(|| failure_of_io(error));
        self.has_broken.notify_one();
    }

    fn take(&self, datagram: &[u8]) {
        self.meter.add(datagram.len());
        self.received.fetch_add(1, Ordering::Relaxed);
        if let Some(versions) = read_offered_versions(datagram) {
            self.seen().versions = versions;
        }
    }
}

impl AsyncUdpSocket for Datagrams {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.socket.try_send(transmit.contents) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                self.note(&error);
                Ok(())
            }
            Ok(bytes) => {
                self.meter.add(bytes);
                self.sent.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        let mut buffer = ReadBuf::new(buffer);
        if let Err(error) = ready!(self.socket.poll_recv(cx, &mut buffer)) {
            self.note(&error);
            // The error is gone with this call; the next one waits for datagrams.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let bytes = buffer.filled();
        self.take(bytes);
        *meta = RecvMeta { addr: self.peer, len: bytes.len(), stride: bytes.len(), ecn: None, dst_ip: None };
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Tells when the socket takes datagrams again.
#[derive(Debug)]
struct Writable(Arc<Datagrams>);

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.socket.poll_send_ready(cx)
    }
}
