//! Servers that speak QUIC and HTTP/3, and peers that only pretend to.

use super::site::{Certificate, Visits};
use super::world::World;
use bytes::Bytes;
use h3::server::RequestStream;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::UdpSocket;

/// How an HTTP/3 server behaves.
#[derive(Clone, Copy, Debug)]
pub enum Http3 {
    /// Serves a page with a body of so many bytes.
    Page(usize),
    /// Serves a body that never ends.
    Endless,
    /// Takes the request and never answers.
    Silent,
    /// Breaks off the request.
    Abort,
    /// Closes the whole connection instead of an answer.
    Close,
}

/// How a peer that is no QUIC server answers each datagram.
#[derive(Clone, Copy, Debug)]
pub enum Datagram {
    /// Not at all.
    Swallow,
    /// By nonsense of the same length.
    Garbage,
    /// By an offer of versions that nobody speaks.
    VersionNegotiation,
}

/// What a peer saw of its visitors.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Datagrams that came.
    pub datagrams: Arc<AtomicUsize>,
    /// The first datagram.
    pub first: Arc<Mutex<Vec<u8>>>,
}

impl World {
    /// Starts an HTTP/3 server at the usual port over UDP.
    pub async fn http3(&self, address: &str, name: &str, kind: Certificate, behaviour: Http3) -> Visits {
        self.quic(address, name, (kind, b"h3"), behaviour).await
    }

    /// Starts a QUIC server with an application protocol of its own.
    pub async fn quic(
        &self,
        address: &str,
        name: &str,
        (kind, alpn): (Certificate, &[u8]),
        behaviour: Http3,
    ) -> Visits {
        let tls = self.authority.config(name, kind, alpn);
        let crypto = QuicServerConfig::try_from(tls).expect("TLS 1.3");
        let config = ServerConfig::with_crypto(Arc::new(crypto));
        let socket = self.udp(address).await.into_std().expect("a socket");
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime);
        let endpoint = endpoint.expect("an endpoint");
        let visits = Visits::default();
        let counter = Arc::clone(&visits);
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(visit(incoming, behaviour));
            }
        });
        visits
    }

    /// Starts a peer that answers datagrams in its own way.
    pub async fn datagrams(&self, address: &str, behaviour: Datagram) -> Seen {
        let socket = self.udp(address).await;
        let seen = Seen::default();
        let noted = seen.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let datagram = &buffer[..length];
                if noted.datagrams.fetch_add(1, Ordering::SeqCst) == 0 {
                    *noted.first.lock().expect("no panic") = datagram.to_vec();
                }
                reply(&socket, from, datagram, behaviour).await;
            }
        });
        seen
    }

    async fn udp(&self, address: &str) -> UdpSocket {
        UdpSocket::bind((address, self.https_port())).await.expect("bound")
    }
}

async fn reply(socket: &UdpSocket, to: SocketAddr, datagram: &[u8], behaviour: Datagram) {
    let bytes = match behaviour {
        Datagram::Swallow => return,
        Datagram::Garbage => datagram.iter().rev().map(|byte| byte.wrapping_mul(31) ^ 0x5a).collect(),
        Datagram::VersionNegotiation => version_negotiation(datagram, &[0x0a1a_2a3a, 0x6b33_43cf]),
    };
    let _ = socket.send_to(&bytes, to).await;
}

/// Offers versions to whoever sent an Initial packet: the ids of the two sides change places.
pub fn version_negotiation(initial: &[u8], versions: &[u32]) -> Vec<u8> {
    let id = |at: usize| &initial[at + 1..at + 1 + usize::from(initial[at])];
    let destination = id(5);
    let source = id(6 + destination.len());
    let mut bytes = vec![0x80, 0, 0, 0, 0];
    for id in [source, destination] {
        bytes.push(id.len() as u8);
        bytes.extend(id);
    }
    versions.iter().for_each(|version| bytes.extend(version.to_be_bytes()));
    bytes
}

async fn visit(incoming: Incoming, behaviour: Http3) {
    let Ok(connection) = incoming.await else { return };
    let quic = connection.clone();
    let built = h3::server::builder().build::<_, Bytes>(h3_quinn::Connection::new(connection)).await;
    let Ok(mut http) = built else { return };
    while let Ok(Some(resolver)) = http.accept().await {
        let quic = quic.clone();
        tokio::spawn(async move {
            if let Ok((_, stream)) = resolver.resolve_request().await {
                // What the visitor does to the stream is not the server's affair.
                let _ = answer(stream, &quic, behaviour).await;
            }
        });
    }
}

async fn answer(
    mut stream: RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>,
    quic: &quinn::Connection,
    behaviour: Http3,
) -> Result<(), h3::error::StreamError> {
    let head = || http::Response::builder().header("server", "h3-test").body(()).expect("a head");
    match behaviour {
        Http3::Page(length) => {
            stream.send_response(head()).await?;
            let body = format!("<title>three</title>{}", "x".repeat(length));
            stream.send_data(Bytes::from(body)).await?;
            stream.finish().await
        }
        Http3::Endless => {
            stream.send_response(head()).await?;
            loop {
                stream.send_data(Bytes::from(vec![b'x'; 16 * 1024])).await?;
            }
        }
        Http3::Silent => std::future::pending().await,
        Http3::Abort => {
            stream.stop_stream(h3::error::Code::H3_INTERNAL_ERROR);
            Ok(())
        }
        Http3::Close => {
            quic.close(0x102_u32.into(), b"no");
            Ok(())
        }
    }
}
