//! Measured QUIC: a handshake over one connected UDP socket, and one HTTP/3 exchange on it.
//!
//! Quinn speaks QUIC (RFC 9000) and rustls the TLS inside (RFC 9001), with the same trust and the same crypto as measured
//! TLS over TCP. Each connection has a socket of its own, which the kernel binds to the one permitted peer, so nothing
//! that others send is read; every datagram is counted, whatever it holds. Only QUIC version 1 is offered.

mod datagrams;
mod failure;
mod http3;
mod version;

pub use http3::exchange;
pub use version::read_offered_versions;

use super::tasks::{EndTasks, Tasks};
use super::tls::{SharedSeen, Trust};
use super::{Session, failure_of_io};
use datagrams::Datagrams;
use failure::failure_of_handshake;
use faultline_model::{Failure, QuicFact};
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig};
use quinn::{
    ClientConfig, Connection, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, TransportConfig,
    VarInt,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// RFC 9000; version 2 is hardly served.
const VERSION_1: u32 = 1;
/// H3_NO_ERROR (RFC 9114).
const NO_ERROR: VarInt = VarInt::from_u32(0x100);
/// How long a check waits until its good-bye is sent.
const GOODBYE: Duration = Duration::from_millis(100);
/// Headers come beside the body; more than this may not be under way.
const HEADER_WINDOW: u32 = 16 * 1024;
/// A server needs three: control, and two for header compression.
const SERVER_STREAMS: u32 = 8;
/// As Chromium's.
const DESTINATION_ID_BYTES: usize = 8;

/// A QUIC connection that is measured.
#[derive(Debug)]
pub struct MeasuredQuic {
    connection: Connection,
    endpoint: Endpoint,
    datagrams: Arc<Datagrams>,
    _tasks: EndTasks,
}

impl MeasuredQuic {
    /// Says good-bye, so that the peer sends nothing more.
    pub async fn close(self) {
        self.connection.close(NO_ERROR, b"");
        // Whether the good-bye arrives is not measured.
        let _ = tokio::time::timeout(GOODBYE, self.endpoint.wait_idle()).await;
    }
}

/// Shakes hands; `window` bounds what the peer may have under way unread on a stream. The fact holds what was seen until
/// the handshake ended, well or not.
pub async fn handshake(
    session: &Session,
    peer: SocketAddr,
    host: &str,
    window: u32,
) -> (QuicFact, Result<MeasuredQuic, Failure>) {
    let mut fact = QuicFact { server_name: host.to_owned(), ..QuicFact::default() };
    let datagrams = match Datagrams::open(session, peer).await {
        Ok(datagrams) => Arc::new(datagrams),
        Err(failure) => return (fact, Err(failure)),
    };
    let (config, seen) = client_config(session.trust(), window);
    let ended = match config {
        Some(config) => shake(session, &datagrams, (config, &seen), (peer, host)).await,
        None => Err(Failure::unknown("no QUIC cipher suite")),
    };
    let seen = seen.take();
    fact.certificate_sha256 = seen.sha256;
    fact.certificate_issuer = seen.issuer;
    (fact.datagrams_sent, fact.datagrams_received) = datagrams.counts();
    fact.peer_versions = datagrams.offered_versions();
    if let Ok(quic) = &ended {
        fact.version = VERSION_1.to_string();
        let data = quic.connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
        let alpn = data.and_then(|data| data.protocol).unwrap_or_default();
        fact.alpn = String::from_utf8_lossy(&alpn).into_owned();
    }
    (fact, ended)
}

async fn shake(
    session: &Session,
    datagrams: &Arc<Datagrams>,
    (config, seen): (ClientConfig, &SharedSeen),
    (peer, host): (SocketAddr, &str),
) -> Result<MeasuredQuic, Failure> {
    let tasks = Tasks::default();
    let end_tasks = EndTasks(tasks.clone());
    let socket = Arc::clone(datagrams);
    let endpoint = Endpoint::new_with_abstract_socket(endpoint_config(), None, socket, Arc::new(tasks))
        .map_err(|e| failure_of_io(&e))?;
    let connecting = endpoint.connect_with(config, peer, host).map_err(|_| Failure::SslInvalidHostname)?;
    let handshake = async {
        tokio::select! {
            biased;
            ended = connecting => ended.map_err(|error| failure_of_handshake(&error, seen)),
            failure = datagrams.broken() => Err(failure),
        }
    };
    let ended = tokio::time::timeout(session.deadlines().quic, handshake).await;
    let connection = ended.unwrap_or(Err(Failure::Timeout))?;
    Ok(MeasuredQuic { connection, endpoint, datagrams: Arc::clone(datagrams), _tasks: end_tasks })
}

/// Gives this side's connection no id.
struct Nameless;

impl ConnectionIdGenerator for Nameless {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&[])
    }

    fn cid_len(&self) -> usize {
        0
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

fn endpoint_config() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    // One socket carries one connection, so it needs no name; Chromium's has none either.
    config.cid_generator(|| Box::new(Nameless));
    config.supported_versions(vec![VERSION_1]);
    config
}

/// Returns no configuration if the crypto lacks AES-128-GCM, which QUIC's first packets are sealed with.
fn client_config(trust: &Trust, window: u32) -> (Option<ClientConfig>, SharedSeen) {
    let (mut tls, seen) = trust.recording();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let Ok(crypto) = QuicClientConfig::try_from(tls) else { return (None, seen) };
    let mut transport = TransportConfig::default();
    transport
        .stream_receive_window(VarInt::from_u32(window))
        .receive_window(VarInt::from_u32(window.saturating_add(HEADER_WINDOW)))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(SERVER_STREAMS))
        .datagram_receive_buffer_size(None)
        // Nothing is sent that the exchange does not need.
        .mtu_discovery_config(None);
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.version(VERSION_1);
    config.transport_config(Arc::new(transport));
    config.initial_dst_cid_provider(Arc::new(|| {
        ConnectionId::new(&rand::random::<[u8; DESTINATION_ID_BYTES]>())
    }));
    (Some(config), seen)
}
