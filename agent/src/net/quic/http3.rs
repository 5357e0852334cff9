//! One HTTP/3 exchange (RFC 9114) on an open QUIC connection, bounded in every direction.

use super::MeasuredQuic;
use super::failure::failure_of_connection;
use crate::net::http::{Ask, Limits, MAX_HEADER_BYTES, Reply};
use bytes::{Buf, Bytes};
use faultline_model::Failure;
use h3::error::StreamError;
use quinn::ConnectionError;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What ended an exchange before its time.
enum Broken {
    Connection,
    Stream(StreamError),
}

impl From<StreamError> for Broken {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

/// Does one exchange. The reply holds what came before it ended, well or not.
pub async fn exchange(quic: &MeasuredQuic, ask: Ask, deadline: Duration) -> (Reply, Result<(), Failure>) {
    let mut reply = Reply::default();
    reply.timeline.ask(Instant::now());
    let deadline = Instant::now() + deadline;
    let talk = async {
        tokio::select! {
            biased;
            ended = talk(quic, ask, &mut reply) => ended.map_err(|broken| failure_of(quic, &broken)),
            failure = quic.datagrams.broken() => Err(failure),
        }
    };
    let ended = timeout_at(deadline, talk).await;
    reply.timeline.end(Instant::now());
    (reply, ended.unwrap_or(Err(Failure::Timeout)))
}

async fn talk(quic: &MeasuredQuic, ask: Ask, reply: &mut Reply) -> Result<(), Broken> {
    let limits = Limits::from(&ask);
    let transport = h3_quinn::Connection::new(quic.connection.clone());
    let built = h3::client::builder()
        .max_field_section_size(MAX_HEADER_BYTES as u64)
        .build::<_, _, Bytes>(transport)
        .await;
    let (mut connection, mut sender) = built.map_err(|_| Broken::Connection)?;
    let exchange = async {
        let mut stream = sender.send_request(ask.to_bare_request()).await?;
        stream.finish().await?;
        let (head, ()) = stream.recv_response().await?.into_parts();
        reply.take_head("3", head.status, head.headers);
        while let Some(mut data) = stream.recv_data().await? {
            while data.has_remaining() {
                let piece = data.chunk();
                let (length, has_room) = (piece.len(), reply.take_data(&limits, piece));
                if !has_room {
                    return Ok(());
                }
                data.advance(length);
            }
        }
        Ok(())
    };
    let (mut exchange, driver) = (pin!(exchange), pin!(poll_fn(|cx| connection.poll_close(cx))));
    // The connection may end first: what it has read is still handed to the exchange.
    tokio::select! {
        biased;
        ended = &mut exchange => return ended,
        _ = driver => {}
    }
    exchange.await
}

/// The connection's end says most; without it, the stream's error does.
fn failure_of(quic: &MeasuredQuic, broken: &Broken) -> Failure {
    match (quic.connection.close_reason(), broken) {
        // H3 closes the connection itself when what it reads is no HTTP/3.
        (Some(ConnectionError::LocallyClosed), _) => Failure::HttpInvalidResponse,
        (Some(error), _) => failure_of_connection(&error),
        (None, Broken::Stream(StreamError::RemoteTerminate { .. })) => Failure::ConnectionReset,
        (None, _) => Failure::HttpInvalidResponse,
    }
}
