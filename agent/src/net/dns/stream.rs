//! DNS over a stream (RFC 7766): each message behind its length.

use super::message::{Question, Reply};
use crate::net::failure_of_io;
use faultline_model::Failure;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Asks one question and reads one reply. A reply is as long as two bytes can say, at most.
pub(super) async fn exchange<S>(stream: &mut S, question: &Question) -> Result<Reply, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let message = question.to_bytes()?;
    let length = u16::try_from(message.len()).map_err(|_| Failure::DnsMisbehaving)?;
    let framed = [&length.to_be_bytes()[..], &message].concat();
    stream.write_all(&framed).await.map_err(|e| failure_of_io(&e))?;
    stream.flush().await.map_err(|e| failure_of_io(&e))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await.map_err(|e| failure_of_io(&e))?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).await.map_err(|e| failure_of_io(&e))?;
    question.read(&reply).ok_or(Failure::DnsMisbehaving)
}
