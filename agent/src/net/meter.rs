//! Counting bytes, and remembering how a connection really ended.

use super::failure_of_io;
use faultline_model::Failure;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Headers of about one packet in each direction per 1,400 bytes, acknowledgements included.
const PACKET_BYTES: u64 = 80;
/// The packets that open and close a connection.
const CONNECTION_BYTES: u64 = 400;

/// What one check has cost.
#[derive(Debug, Default)]
pub struct Meter {
    bytes: AtomicU64,
}

impl Meter {
    /// Returns about how many bytes went over the wire, packet headers included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts a payload.
    pub fn add(&self, payload: usize) {
        let payload = payload as u64;
        self.bytes.fetch_add(payload + (payload / 1400 + 1) * PACKET_BYTES, Ordering::Relaxed);
    }

    /// Raises the count to a total, if it is below.
    pub fn raise_to(&self, total: u64) {
        self.bytes.fetch_max(total, Ordering::Relaxed);
    }

    /// Counts a connection's own packets.
    pub fn add_connection(&self) {
        self.bytes.fetch_add(CONNECTION_BYTES, Ordering::Relaxed);
    }
}

/// How a connection ended, for those above it whose own errors do not say.
#[derive(Clone, Debug, Default)]
pub struct Ending(Arc<Mutex<Option<Failure>>>);

impl Ending {
    /// Returns the first error of the connection, or the end of what the peer sent.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, failure: Failure) {
        let mut ending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A reset after the end of the stream is the harder fact.
        if ending.is_none() || *ending == Some(Failure::Eof) {
            *ending = Some(failure);
        }
    }
}

/// What was read from a connection so far.
#[derive(Clone, Debug, Default)]
pub struct Received(Arc<AtomicU64>);

impl Received {
    /// Returns the bytes, without packet headers.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        u32::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }
}

/// A connection whose bytes are counted.
#[derive(Debug)]
pub struct Metered<S> {
    inner: S,
    meter: Arc<Meter>,
    ending: Ending,
    received: Received,
    /// What the first bytes to be written are cut within, if they shall be.
    cut: Option<Vec<u8>>,
}

impl<S> Metered<S> {
    /// Counts a connection's bytes into a meter.
    #[must_use]
    pub fn new(inner: S, meter: Arc<Meter>) -> Self {
        Self { inner, meter, ending: Ending::default(), received: Received::default(), cut: None }
    }

    /// Has the first bytes that are written leave in two segments, cut in the middle of a name that stands in them, or
    /// of the whole where it does not.
    pub fn cut_within(&mut self, name: &str) {
        self.cut = Some(name.as_bytes().to_vec());
    }

    /// Returns a handle that tells later how much was read.
    #[must_use]
    pub fn received(&self) -> Received {
        self.received.clone()
    }

    /// Returns a handle that tells later how the connection ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.ending.clone()
    }
}

impl<S> Metered<S> {
    fn count(&self, written: &io::Result<usize>) {
        match written {
            Ok(bytes) => self.meter.add(*bytes),
            Err(error) => self.ending.note(failure_of_io(error)),
        }
    }
}

/// Returns where to cut bytes: in the middle of a name, else in their own middle.
fn cut_at(bytes: &[u8], name: &[u8]) -> usize {
    let found = bytes.windows(name.len().max(1)).position(|window| window == name);
    let middle = found.map_or(bytes.len() / 2, |start| start + name.len() / 2);
    middle.max(1).min(bytes.len())
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match ready!(Pin::new(&mut self.inner).poll_read(cx, buf)) {
            Ok(()) => {
                let read = buf.filled().len() - before;
                if read > 0 {
                    self.meter.add(read);
                    self.received.0.fetch_add(read as u64, Ordering::Relaxed);
                } else if buf.remaining() > 0 {
                    self.ending.note(Failure::Eof);
                }
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                self.ending.note(failure_of_io(&error));
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let first = self.cut.as_ref().map_or(buf.len(), |name| cut_at(buf, name));
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &buf[..first]));
        // The connection sends small segments at once, so that the next write is the second segment.
        self.cut = None;
        self.count(&written);
        Poll::Ready(written)
    }

    // Several records of a handshake leave as one segment, as a browser's do.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.cut.is_some() {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_write(cx, first.map_or(&[], |buf| &**buf));
        }
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs));
        self.count(&written);
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
