//! Bounded reading and writing, with the counts that a handshake's fact holds.

use crate::net::{Datagrams, Ending, failure_of_io};
use faultline_model::{Failure, TunnelFact};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// Waits between the protocol's own repetitions of an unanswered datagram.
const REPEAT_AFTER: Duration = Duration::from_secs(2);

/// One datagram protocol's exchange with its peer.
pub(in super::super) struct Exchange<'a> {
    pub(in super::super) datagrams: &'a Datagrams,
    pub(in super::super) until: Instant,
}

impl Exchange<'_> {
    /// Sends what `say` makes, again every few seconds while nothing comes, and returns the next datagram.
    pub(in super::super) async fn ask(
        &self,
        fact: &mut TunnelFact,
        mut say: impl FnMut() -> Vec<Vec<u8>>,
    ) -> Result<Vec<u8>, Failure> {
        loop {
            for datagram in say() {
                self.datagrams.send(&datagram).await?;
                fact.bytes_sent += datagram.len() as u64;
                fact.datagrams_sent += 1;
            }
            let repeat_at = (Instant::now() + REPEAT_AFTER).min(self.until);
            match self.next(fact, repeat_at).await {
                Err(Failure::Timeout) if Instant::now() < self.until => {}
                ended => return ended,
            }
        }
    }

    /// Waits as long as the protocol does before it asks again.
    pub(in super::super) async fn rest(&self) {
        tokio::time::sleep_until((Instant::now() + REPEAT_AFTER).min(self.until)).await;
    }

    /// Returns the next datagram.
    pub(in super::super) async fn next(
        &self,
        fact: &mut TunnelFact,
        until: Instant,
    ) -> Result<Vec<u8>, Failure> {
        let came = timeout_at(until, self.datagrams.receive()).await.map_err(|_| Failure::Timeout)??;
        fact.bytes_received += came.len() as u64;
        fact.datagrams_received += 1;
        Ok(came)
    }
}

/// Writes a message.
pub(in super::super) async fn write_all<S: AsyncWrite + Unpin>(
    stream: &mut S,
    message: &[u8],
    (fact, until): (&mut TunnelFact, Instant),
) -> Result<(), Failure> {
    let write = async {
        stream.write_all(message).await?;
        stream.flush().await
    };
    timeout_at(until, write).await.map_err(|_| Failure::Timeout)?.map_err(|error| failure_of_io(&error))?;
    fact.bytes_sent += message.len() as u64;
    Ok(())
}

/// Reads some bytes onto a buffer that never grows beyond `most`. The end of the stream is a failure, and is named by the
/// connection itself where that knows better.
pub(in super::super) async fn read_some<S: AsyncRead + Unpin>(
    stream: &mut S,
    (buffer, most): (&mut Vec<u8>, usize),
    (fact, until): (&mut TunnelFact, Instant),
    ending: &Ending,
) -> Result<(), Failure> {
    let room = most.saturating_sub(buffer.len()).min(2048);
    if room == 0 {
        return Err(Failure::TunnelInvalidReply);
    }
    let mut chunk = vec![0; room];
    let read = timeout_at(until, stream.read(&mut chunk)).await.map_err(|_| Failure::Timeout)?;
    let length = read.map_err(|error| ending.failure().unwrap_or_else(|| failure_of_io(&error)))?;
    if length == 0 {
        return Err(ending.failure().unwrap_or(Failure::Eof));
    }
    fact.bytes_received += length as u64;
    buffer.extend_from_slice(&chunk[..length]);
    Ok(())
}
