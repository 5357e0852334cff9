//! Our own proxies: SOCKS5 without authentication, and CONNECT behind TLS. Each leads to port 443 of hosts of the world.

use crate::country::blueprint;
use crate::country::scenario::{Certificate, Scenario};
use crate::country::timeline::Standing;
use crate::country::world::certificates::{Authority, AuthorityPem, ByName};
use crate::country::world::dns::Zone;
use faultline_model::ProtocolClass;
use rustls::crypto::aws_lc_rs;
use serde::{Deserialize, Serialize};
use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const HTTPS: u16 = 443;
const MAX_HEAD: usize = 4096;

/// One proxy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Proxy {
    at: SocketAddr,
    host: String,
    is_socks: bool,
}

/// What the process of all proxies needs to know to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    proxies: Vec<Proxy>,
    authority: AuthorityPem,
    zone: Zone,
}

impl Config {
    /// Lists a scenario's proxies.
    #[must_use]
    pub fn of(scenario: &Scenario, authority: &AuthorityPem) -> Self {
        let proxy = |endpoint: &crate::country::scenario::Endpoint| {
            let is_socks = match endpoint.class {
                ProtocolClass::Socks5 => true,
                ProtocolClass::HttpsProxy => false,
                _ => return None,
            };
            let at = SocketAddr::new(scenario.address_of(&endpoint.host)?.into(), endpoint.port);
            Some(Proxy { at, host: endpoint.host.clone(), is_socks })
        };
        let proxies = scenario.endpoints.iter().filter_map(proxy).collect();
        Self { proxies, authority: authority.clone(), zone: blueprint::zone(scenario) }
    }

    /// Says whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.proxies.is_empty()
    }
}

/// Opens all ports, says so, and serves until the process ends.
///
/// # Errors
/// Says what cannot be opened.
pub async fn serve(config: Config, ready: impl FnOnce() -> Result<()>) -> Result<()> {
    let authority = Authority::open(&config.authority).map_err(Error::other)?;
    let zone = Arc::new(config.zone);
    let mut tasks = JoinSet::new();
    for proxy in config.proxies {
        let listener = TcpListener::bind(proxy.at).await?;
        let acceptor = if proxy.is_socks { None } else { Some(acceptor(&authority, &proxy.host)?) };
        tasks.spawn(accept(listener, acceptor, Arc::clone(&zone)));
    }
    ready()?;
    tasks.join_next().await;
    Ok(())
}

fn acceptor(authority: &Authority, host: &str) -> Result<TlsAcceptor> {
    let by_name = ByName::issue(authority, &[(host.to_owned(), Certificate::Good)], Standing::default())
        .map_err(Error::other)?;
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(by_name));
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(tls)))
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, zone: Arc<Zone>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, zone) = (acceptor.clone(), Arc::clone(&zone));
        connections.spawn(async move {
            // A visitor who breaks off is none of the proxy's business.
            let _ = match acceptor {
                None => socks5(stream, &zone).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => connect(stream, &zone).await,
                    Err(error) => Err(error),
                },
            };
        });
        while connections.try_join_next().is_some() {}
    }
}

fn find(zone: &Zone, host: &str) -> Option<Ipv4Addr> {
    zone.names.get(host).copied()
}

async fn socks5(mut stream: TcpStream, zone: &Zone) -> Result<()> {
    let mut greeting = [0; 3];
    stream.read_exact(&mut greeting).await?;
    stream.write_all(&[5, 0]).await?;
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    let mut rest = vec![0; usize::from(head[4]) + 2];
    stream.read_exact(&mut rest).await?;
    let host = String::from_utf8_lossy(&rest[..rest.len() - 2]).into_owned();
    let Some(address) = find(zone, &host) else {
        return stream.write_all(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    };
    let mut far = TcpStream::connect((address, HTTPS)).await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(&mut stream, &mut far).await.map(|_| ())
}

async fn connect(mut stream: impl AsyncRead + AsyncWrite + Unpin, zone: &Zone) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > MAX_HEAD {
            return Err(ErrorKind::InvalidData.into());
        }
        head.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head);
    let host = text.strip_prefix("CONNECT ").and_then(|rest| rest.split(':').next()).unwrap_or_default();
    let Some(address) = find(zone, host) else {
        return stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
    };
    let mut far = TcpStream::connect((address, HTTPS)).await?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    stream.flush().await?;
    copy_bidirectional(&mut stream, &mut far).await.map(|_| ())
}
