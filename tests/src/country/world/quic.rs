//! HTTP/3 for the world's sites (RFC 9114), and a greeting that asks whether anybody speaks QUIC (RFC 9000, section 6).
//!
//! Every address has a server of its own, so that answers come from where the question went. Its certificates and its
//! pages are those that the address shows over TCP.

use super::pages::{Ends, Library};
use super::{CONNECTION_LIFE, HTTPS, WorldError};
use crate::country::addresses::four;
use bytes::Bytes;
use h3::server::RequestStream;
use h3_quinn::BidiStream;
use http::Request;
use http_body_util::{BodyExt, Empty};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, Incoming, ServerConfig};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::timeout;

const LONG_HEADER: u8 = 0x80;
/// A server answers only what is as long as a client's first datagram has to be.
const LEAST: usize = 1200;

/// An HTTP/3 server at one address.
pub(super) struct Server {
    endpoint: Endpoint,
    at: Ipv4Addr,
}

impl Server {
    /// Opens the port at an address, which belongs to the site that is known by its IPv4 address.
    pub(super) fn open(own: IpAddr, at: Ipv4Addr, mut tls: rustls::ServerConfig) -> Result<Self, WorldError> {
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let crypto = QuicServerConfig::try_from(tls).map_err(WorldError::Quic)?;
        let config = ServerConfig::with_crypto(Arc::new(crypto));
        let endpoint = Endpoint::server(config, (own, HTTPS).into());
        Ok(Self { endpoint: endpoint.map_err(|e| WorldError::Listen(HTTPS, e))?, at })
    }

    /// Serves until the process ends.
    pub(super) async fn serve(self, library: Arc<Library>) {
        let mut visits = JoinSet::new();
        while let Some(incoming) = self.endpoint.accept().await {
            let visit = visit(incoming, self.at, Arc::clone(&library));
            visits.spawn(async move {
                let _ = timeout(CONNECTION_LIFE, visit).await;
            });
            while visits.try_join_next().is_some() {}
        }
    }
}

/// Answers the requests of one connection, one after the other.
async fn visit(incoming: Incoming, at: Ipv4Addr, library: Arc<Library>) {
    let Some(from) = four(incoming.remote_address().ip()) else { return };
    let Ok(connection) = incoming.await else { return };
    let built = h3::server::builder().build::<_, Bytes>(h3_quinn::Connection::new(connection)).await;
    let Ok(mut http) = built else { return };
    while let Ok(Some(resolver)) = http.accept().await {
        if let Ok((request, stream)) = resolver.resolve_request().await {
            // A client that goes away is not the server's trouble.
            let _ = answer(stream, request, Ends { at, from }, &library).await;
        }
    }
}

async fn answer(
    mut stream: RequestStream<BidiStream<Bytes>, Bytes>,
    request: Request<()>,
    ends: Ends,
    library: &Library,
) -> Result<(), h3::error::StreamError> {
    let request = request.map(|()| Empty::<Bytes>::new());
    let (head, body) = library.secure(ends, request).await.into_parts();
    stream.send_response(http::Response::from_parts(head, ())).await?;
    let Ok(body) = body.collect().await;
    stream.send_data(body.to_bytes()).await?;
    stream.finish().await
}

/// Makes a first datagram of a version that exists to be negotiated away.
#[must_use]
pub fn greeting(id: [u8; 8]) -> Vec<u8> {
    let mut datagram = vec![LONG_HEADER | 0x40, 0x1a, 0x2a, 0x3a, 0x4a, 8];
    datagram.extend_from_slice(&id);
    datagram.push(8);
    datagram.extend_from_slice(&id);
    datagram.resize(LEAST, 0);
    datagram
}

/// Says whether a datagram answers a greeting. The highest bit says so; a server may set the other seven as it likes.
#[must_use]
pub fn is_answer(datagram: &[u8], id: [u8; 8]) -> bool {
    let is_long = datagram.first().is_some_and(|first| first & LONG_HEADER != 0);
    is_long && datagram.get(1..6) == Some(&[0, 0, 0, 0, 8]) && datagram.get(6..14) == Some(&id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_for_the_same_connection_answers_a_greeting() {
        let mut answer = vec![0xd5, 0, 0, 0, 0, 8];
        answer.extend_from_slice(&[7; 8]);
        assert!(is_answer(&answer, [7; 8]) && !is_answer(&answer, [8; 8]));
        assert!(!is_answer(&greeting([7; 8]), [7; 8]) && !is_answer(&[], [7; 8]));
    }
}
