//! Sites in one process: over HTTPS, HTTP and HTTP/3, with public resolvers over UDP, TCP, TLS and HTTPS.
//!
//! One such process is the outside world; sites within the country have one of their own where they stand. Sites
//! share one listener; a connection's address and server name pick the certificate, the request's host the
//! content. The addresses are those of the namespace's loopback device. When a site is down for everybody, its
//! packets are taken away before this process by the sites' [middlebox](super::middlebox).

pub mod certificates;
pub mod dns;
mod pages;
mod proxy;
pub mod quic;

use super::addresses::{Prefix, both, four};
use super::scenario::{Certificate, Content, Serves};
use super::timeline::Standing;
use certificates::{Authority, AuthorityPem, ByName, CertificateError};
use dns::{Lookup, Zone};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use pages::{Ends, Library};
use rustls::crypto::aws_lc_rs;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const HTTPS: u16 = 443;
const HTTP: u16 = 80;
const DNS_OVER_TLS: u16 = 853;
/// A handshake that takes longer is given up; so are requests that never come.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(20);
const CONNECTION_LIFE: Duration = Duration::from_secs(120);

/// A site as it is served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Served {
    /// Its address.
    pub address: Ipv4Addr,
    /// What it serves over HTTPS.
    pub content: Content,
    /// It serves the same over HTTP instead of moving visitors to HTTPS.
    pub clear: bool,
    /// Visitors from the country have to show that they are no robots.
    pub challenge: bool,
    /// What kind of server it is.
    pub serves: Serves,
    /// What it proves its name with.
    pub certificate: Certificate,
}

impl Default for Served {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::UNSPECIFIED,
            content: Content::Media(0),
            clear: false,
            challenge: false,
            serves: Serves::Itself,
            certificate: Certificate::Good,
        }
    }
}

/// What a process with sites needs to know to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Who vouches for the sites.
    pub authority: AuthorityPem,
    /// Who vouches for whatever an interceptor shows.
    pub local: Option<AuthorityPem>,
    /// The sites by host name.
    pub sites: BTreeMap<String, Served>,
    /// Host names of DNS over HTTPS and over TLS, with their addresses.
    pub resolver_hosts: BTreeMap<String, Ipv4Addr>,
    /// Addresses of plain DNS, with the name for DNS over TLS.
    pub resolver_addresses: BTreeMap<Ipv4Addr, String>,
    /// All names.
    pub zone: Zone,
    /// The addresses of the country, for sites that refuse it.
    pub country: Vec<Prefix>,
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
    /// QUIC refuses its configuration.
    #[error("configuring QUIC")]
    Quic(#[source] quinn::crypto::rustls::NoInitialCipherSuite),
    /// A port cannot be listened on.
    #[error("listening on port {0}")]
    Listen(u16, #[source] std::io::Error),
}

type Acceptors = HashMap<Ipv4Addr, TlsAcceptor>;

/// A world whose servers listen.
pub struct World {
    config: Config,
    standing: Standing,
    acceptors: Acceptors,
    https: TcpListener,
    http: TcpListener,
    dot: TcpListener,
    quic: Vec<quic::Server>,
}

impl World {
    /// Makes certificates and opens the ports.
    ///
    /// # Errors
    /// Says what could not be made or opened.
    pub async fn open(config: Config, standing: Standing) -> Result<Self, WorldError> {
        let authority = Authority::open(&config.authority).map_err(WorldError::Certificates)?;
        let local =
            config.local.as_ref().map(Authority::open).transpose().map_err(WorldError::Certificates)?;
        let mut acceptors = HashMap::new();
        let mut quic = Vec::new();
        for (address, hosts) in hosts_by_address(&config) {
            let is_interceptor = served_at(&config, address, Serves::Interceptor);
            let issuer = local.as_ref().filter(|_| is_interceptor).unwrap_or(&authority);
            let certificates = |host: &str| match config.sites.get(host) {
                Some(site) if !is_interceptor => site.certificate,
                _ => Certificate::Good,
            };
            let hosts: Vec<_> = hosts.iter().map(|host| (host.clone(), certificates(host))).collect();
            let tls = tls(issuer, &hosts, &standing)?;
            // A proxy passes on nothing but TCP.
            let is_proxy = served_at(&config, address, Serves::Proxy);
            for own in both(address, config.zone.six).into_iter().filter(|_| !is_proxy) {
                quic.push(quic::Server::open(own, address, tls.clone())?);
            }
            acceptors.insert(address, acceptor(tls));
        }
        Ok(Self {
            config,
            standing,
            acceptors,
            https: listen(HTTPS).await?,
            http: listen(HTTP).await?,
            dot: listen(DNS_OVER_TLS).await?,
            quic,
        })
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// Fails when a resolver's address cannot be listened on.
    pub async fn serve(self) -> Result<(), WorldError> {
        let hosts = hosts_by_address(&self.config);
        let proxies = Arc::new(proxy::Proxies::of(&self.config));
        let zone = self.config.zone;
        let six = zone.six;
        let lookup: Lookup = Arc::new(move |host: &str| zone.answer(host));
        let library = Arc::new(Library {
            sites: self.config.sites.into_iter().collect(),
            resolvers: self.config.resolver_hosts.into_keys().collect(),
            hosts,
            lookup: Arc::clone(&lookup),
            standing: self.standing,
            country: self.config.country,
        });
        let mut tasks = JoinSet::new();
        for address in self.config.resolver_addresses.keys().flat_map(|a| both(*a, six)) {
            let lookup = Arc::clone(&lookup);
            tasks.spawn(async move {
                dns::serve(address, move |host: &str| lookup(host))
                    .await
                    .map_err(|e| WorldError::Listen(53, e))
            });
        }
        let acceptors = Arc::new(self.acceptors);
        for server in self.quic {
            let library = Arc::clone(&library);
            tasks.spawn(async move {
                server.serve(library).await;
                Ok(())
            });
        }
        let (secure, clear) = (Arc::clone(&library), library);
        let (for_https, for_dot) = (Arc::clone(&acceptors), acceptors);
        let for_http = Arc::clone(&proxies);
        tasks.spawn(async move {
            let serve = move |tcp| {
                let (acceptors, library) = (Arc::clone(&for_https), Arc::clone(&secure));
                proxy::or(Arc::clone(&proxies), tcp, |tcp| https(acceptors, tcp, library))
            };
            accept(self.https, serve).await;
            Ok(())
        });
        tasks.spawn(async move {
            let serve = move |tcp| {
                let library = Arc::clone(&clear);
                proxy::or(Arc::clone(&for_http), tcp, |tcp| http(tcp, library))
            };
            accept(self.http, serve).await;
            Ok(())
        });
        tasks.spawn(async move {
            accept(self.dot, move |tcp| dns_over_tls(Arc::clone(&for_dot), tcp, Arc::clone(&lookup))).await;
            Ok(())
        });
        match tasks.join_next().await {
            Some(Ok(result)) => result,
            _ => Ok(()),
        }
    }
}

/// Says whether a server of that kind stands at an address.
fn served_at(config: &Config, address: Ipv4Addr, kind: Serves) -> bool {
    config.sites.values().any(|site| site.address == address && site.serves == kind)
}

fn tls(
    authority: &Authority,
    hosts: &[(String, Certificate)],
    standing: &Standing,
) -> Result<rustls::ServerConfig, WorldError> {
    let by_name = ByName::issue(authority, hosts, standing.clone()).map_err(WorldError::Certificates)?;
    Ok(rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(WorldError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(by_name)))
}

fn acceptor(mut tls: rustls::ServerConfig) -> TlsAcceptor {
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), b"dot".to_vec()];
    TlsAcceptor::from(Arc::new(tls))
}

fn hosts_by_address(config: &Config) -> HashMap<Ipv4Addr, Vec<String>> {
    let mut hosts: HashMap<Ipv4Addr, Vec<String>> = HashMap::new();
    let sites = config.sites.iter().map(|(host, site)| (host, site.address));
    let resolvers = config.resolver_hosts.iter().map(|(host, address)| (host, *address));
    for (host, address) in sites.chain(resolvers) {
        hosts.entry(address).or_default().push(host.clone());
    }
    // An interceptor answers for everybody.
    for site in config.sites.values().filter(|site| site.serves == Serves::Interceptor) {
        hosts.entry(site.address).or_default().extend(config.sites.keys().cloned());
    }
    for (address, host) in &config.resolver_addresses {
        let own = hosts.entry(*address).or_default();
        if !own.contains(host) {
            own.push(host.clone());
        }
    }
    hosts
}

/// Listens on every address of both families, or of IPv4 where the machine has no IPv6.
async fn listen(port: u16) -> Result<TcpListener, WorldError> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.map_err(|e| WorldError::Listen(port, e))
        }
    }
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut clients = JoinSet::new();
    loop {
        // An accept fails when its client has already gone; the next one may be fine.
        if let Ok((tcp, _)) = listener.accept().await {
            // As web servers are: an answer does not wait until what came before it is acknowledged.
            let _ = tcp.set_nodelay(true);
            let client = serve(tcp);
            clients.spawn(async move {
                let _ = timeout(CONNECTION_LIFE, client).await;
            });
        }
        while clients.try_join_next().is_some() {}
    }
}

async fn https(acceptors: Arc<Acceptors>, tcp: TcpStream, library: Arc<Library>) {
    let Some(ends) = ends(&tcp) else { return };
    let Some(tls) = handshake(&acceptors, ends, tcp).await else { return };
    let service = move |request: Request<Incoming>| {
        let library = Arc::clone(&library);
        async move { Ok::<_, Infallible>(library.secure(ends, request).await) }
    };
    connection(tls, service_fn(service)).await;
}

async fn dns_over_tls(acceptors: Arc<Acceptors>, tcp: TcpStream, lookup: Lookup) {
    let Some(ends) = ends(&tcp) else { return };
    let Some(tls) = handshake(&acceptors, ends, tcp).await else { return };
    let _ = dns::client(tls, lookup).await;
}

async fn handshake(acceptors: &Acceptors, ends: Ends, tcp: TcpStream) -> Option<TlsStream<TcpStream>> {
    let acceptor = acceptors.get(&ends.at)?;
    timeout(HANDSHAKE_PATIENCE, acceptor.accept(tcp)).await.ok()?.ok()
}

async fn http(tcp: TcpStream, library: Arc<Library>) {
    let Some(ends) = ends(&tcp) else { return };
    let service = move |request: Request<Incoming>| {
        let response = library.clear(ends, &request);
        async move { Ok::<_, Infallible>(response) }
    };
    connection(tcp, service_fn(service)).await;
}

fn ends(tcp: &TcpStream) -> Option<Ends> {
    let known = |address: std::io::Result<SocketAddr>| four(address.ok()?.ip());
    Some(Ends { at: known(tcp.local_addr())?, from: known(tcp.peer_addr())? })
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
