//! The outside world in one process: all sites over HTTPS and HTTP, public resolvers over UDP, TCP and HTTPS.
//!
//! Sites share one listener; a connection's address and server name pick the certificate, the request's host the
//! content. The addresses are those of the namespace's loopback device. When a site is down for everybody, its packets
//! are taken away before this process by the sites' [middlebox](super::middlebox).

pub mod certificates;
pub mod dns;
mod pages;

use super::scenario::Content;
use certificates::{Authority, ByName, CertificateError};
use dns::{Lookup, Zone};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use pages::Library;
use rustls::crypto::aws_lc_rs;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

const HTTPS: u16 = 443;
const HTTP: u16 = 80;
/// A handshake that takes longer is given up; so are requests that never come.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(20);
const CONNECTION_LIFE: Duration = Duration::from_secs(120);

/// What the world needs to know to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// What each host serves.
    pub contents: BTreeMap<String, Content>,
    /// Host names of DNS over HTTPS.
    pub resolver_hosts: BTreeSet<String>,
    /// Addresses of plain DNS.
    pub resolver_addresses: BTreeSet<Ipv4Addr>,
    /// All names.
    pub zone: Zone,
}

/// Why the world does not turn.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The certificates cannot be made.
    #[error("making the world's certificates")]
    Certificates(#[source] CertificateError),
    /// TLS refuses its configuration.
    #[error("configuring TLS")]
    Tls(#[source] rustls::Error),
    /// A port cannot be listened on.
    #[error("listening on port {0}")]
    Listen(u16, #[source] std::io::Error),
}

/// A world whose web servers listen.
pub struct World {
    config: Config,
    acceptors: HashMap<Ipv4Addr, TlsAcceptor>,
    https: TcpListener,
    http: TcpListener,
    authority_pem: String,
}

impl World {
    /// Makes certificates and opens the ports.
    ///
    /// # Errors
    /// Says what could not be made or opened.
    pub async fn open(config: Config) -> Result<Self, WorldError> {
        let authority = Authority::generate().map_err(WorldError::Certificates)?;
        let mut acceptors = HashMap::new();
        for (address, hosts) in hosts_by_address(&config.zone) {
            acceptors.insert(address, acceptor(&authority, &hosts)?);
        }
        Ok(Self {
            config,
            acceptors,
            https: listen(HTTPS).await?,
            http: listen(HTTP).await?,
            authority_pem: authority.pem(),
        })
    }

    /// Returns the certificate that everybody in the emulated world trusts.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// Fails when a resolver's address cannot be listened on.
    pub async fn serve(self) -> Result<(), WorldError> {
        let zone = self.config.zone;
        let hosts = hosts_by_address(&zone);
        let lookup: Lookup = Arc::new(move |host: &str| zone.answer(host));
        let library = Arc::new(Library {
            contents: self.config.contents.into_iter().collect(),
            resolvers: self.config.resolver_hosts.into_iter().collect(),
            hosts,
            lookup: Arc::clone(&lookup),
        });
        let mut tasks = JoinSet::new();
        for address in self.config.resolver_addresses {
            let lookup = Arc::clone(&lookup);
            tasks.spawn(async move {
                dns::serve(address, move |host: &str| lookup(host))
                    .await
                    .map_err(|e| WorldError::Listen(53, e))
            });
        }
        let secure = Arc::clone(&library);
        tasks.spawn(async move {
            let acceptors = Arc::new(self.acceptors);
            accept(self.https, move |tcp| https(Arc::clone(&acceptors), tcp, Arc::clone(&secure))).await;
            Ok(())
        });
        tasks.spawn(async move {
            accept(self.http, move |tcp| http(tcp, Arc::clone(&library))).await;
            Ok(())
        });
        match tasks.join_next().await {
            Some(Ok(result)) => result,
            _ => Ok(()),
        }
    }
}

fn acceptor(authority: &Authority, hosts: &[String]) -> Result<TlsAcceptor, WorldError> {
    let by_name = ByName::issue(authority, hosts).map_err(WorldError::Certificates)?;
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(WorldError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(by_name));
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(tls)))
}

fn hosts_by_address(zone: &Zone) -> HashMap<Ipv4Addr, Vec<String>> {
    let mut hosts: HashMap<Ipv4Addr, Vec<String>> = HashMap::new();
    for (host, address) in &zone.0 {
        hosts.entry(*address).or_default().push(host.clone());
    }
    hosts
}

async fn listen(port: u16) -> Result<TcpListener, WorldError> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.map_err(|e| WorldError::Listen(port, e))
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut clients = JoinSet::new();
    loop {
        // An accept fails when its client has already gone; the next one may be fine.
        if let Ok((tcp, _)) = listener.accept().await {
            let client = serve(tcp);
            clients.spawn(async move {
                let _ = timeout(CONNECTION_LIFE, client).await;
            });
        }
        while clients.try_join_next().is_some() {}
    }
}

async fn https(acceptors: Arc<HashMap<Ipv4Addr, TlsAcceptor>>, tcp: TcpStream, library: Arc<Library>) {
    let Some(address) = local_address(&tcp) else { return };
    let Some(acceptor) = acceptors.get(&address) else { return };
    let Ok(Ok(tls)) = timeout(HANDSHAKE_PATIENCE, acceptor.accept(tcp)).await else { return };
    let service = move |request: Request<Incoming>| {
        let library = Arc::clone(&library);
        async move { Ok::<_, Infallible>(library.secure(address, request).await) }
    };
    connection(tls, service_fn(service)).await;
}

async fn http(tcp: TcpStream, library: Arc<Library>) {
    let Some(address) = local_address(&tcp) else { return };
    let service = move |request: Request<Incoming>| {
        let response = library.clear(address, &request);
        async move { Ok::<_, Infallible>(response) }
    };
    connection(tcp, service_fn(service)).await;
}

fn local_address(tcp: &TcpStream) -> Option<Ipv4Addr> {
    match tcp.local_addr().ok()?.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

async fn connection<I, S>(io: I, service: S)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: hyper::service::Service<
            Request<Incoming>,
            Response = http::Response<http_body_util::Full<bytes::Bytes>>,
            Error = Infallible,
            Future: Send + 'static,
        > + Send
        + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_PATIENCE);
    // A client that goes away is not the server's trouble.
    let _ = builder.serve_connection(TokioIo::new(io), service).await;
}
