//! A small web client that says at which step it failed; for tests and for people in a country's shell.
//!
//! It resolves as the system does, connects, shakes hands and reads the head of a page, each within a deadline.
//! It can cut its ClientHello in two, as some circumvention tools do.

use super::ask;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde::{Deserialize, Serialize};
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

/// What to visit, and how.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The page.
    pub url: Url,
    /// Certificates to trust, PEM.
    pub roots: PathBuf,
    /// Connects to this address instead of resolving the name.
    pub address: Option<IpAddr>,
    /// Asks this resolver instead of the system's.
    pub resolver: Option<IpAddr>,
    /// Looks for an IPv6 address instead of an IPv4 address.
    pub six: bool,
    /// Sends that many bytes of the first flight first, and the rest as a segment of its own.
    pub split: Option<usize>,
    /// Deadline of every step.
    pub patience: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Visited {
    /// The step that failed: `dns`, `tcp`, `tls` or `http`.
    pub failed: Option<String>,
    /// How: `timeout`, `reset`, `refused`, `no such name`, or the error's text.
    pub error: Option<String>,
    /// The address that was connected to.
    pub address: Option<IpAddr>,
    /// How long connecting took, milliseconds.
    pub connect_ms: Option<f64>,
    /// How long all of it took, milliseconds.
    pub total_ms: Option<f64>,
    /// The first line of the answer.
    pub status: Option<String>,
    /// How many bytes of the answer came.
    pub bytes: usize,
}

/// Visits a page.
pub async fn visit(visit: &Visit) -> Visited {
    let mut visited = Visited::default();
    let begun = Instant::now();
    if let Err((step, error)) = steps(visit, &mut visited).await {
        visited.failed = Some(step.to_owned());
        visited.error = Some(word(&error));
    }
    visited.total_ms = Some(begun.elapsed().as_secs_f64() * 1000.0);
    visited
}

type Failed = (&'static str, Error);

async fn steps(visit: &Visit, visited: &mut Visited) -> Result<(), Failed> {
    let host = visit.url.host_str().unwrap_or_default();
    let address = match visit.address {
        Some(address) => address,
        None => {
            ask::resolve(visit.resolver, host, visit.six, visit.patience).await.map_err(|e| ("dns", e))?
        }
    };
    visited.address = Some(address);
    let port = visit.url.port_or_known_default().unwrap_or(443);
    let begun = Instant::now();
    let connecting = TcpStream::connect(SocketAddr::from((address, port)));
    let tcp = within(visit.patience, connecting).await.map_err(|e| ("tcp", e))?;
    visited.connect_ms = Some(begun.elapsed().as_secs_f64() * 1000.0);
    tcp.set_nodelay(true).map_err(|e| ("tcp", e))?;
    let answer = if visit.url.scheme() == "http" {
        within(visit.patience, fetch(tcp, &visit.url)).await.map_err(|e| ("http", e))?
    } else {
        let connector = connector(&visit.roots).map_err(|e| ("tls", e))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|e| ("tls", Error::other(e)))?;
        let tcp = Halved { tcp, first: visit.split };
        let tls = within(visit.patience, connector.connect(name, tcp)).await.map_err(|e| ("tls", e))?;
        within(visit.patience, fetch(tls, &visit.url)).await.map_err(|e| ("http", e))?
    };
    visited.bytes = answer.len();
    let text = String::from_utf8_lossy(&answer);
    visited.status = text.lines().next().map(str::to_owned);
    Ok(())
}

async fn within<T>(patience: Duration, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(patience, step).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

fn word(error: &Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut => "timeout".into(),
        ErrorKind::ConnectionReset => "reset".into(),
        ErrorKind::ConnectionRefused => "refused".into(),
        ErrorKind::NotFound => "no such name".into(),
        _ => error.to_string(),
    }
}

/// Returns a TLS client that trusts the certificates in a file.
///
/// # Errors
/// Fails when the file has none.
pub fn connector(roots_file: &Path) -> Result<TlsConnector, Error> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(roots_file).map_err(Error::other)? {
        roots.add(certificate.map_err(Error::other)?).map_err(Error::other)?;
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn fetch(mut stream: impl AsyncRead + AsyncWrite + Unpin, url: &Url) -> Result<Vec<u8>, Error> {
    let host = url.host_str().unwrap_or_default();
    let request = format!("GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", url.path());
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// A connection whose first write goes out in two segments.
struct Halved {
    tcp: TcpStream,
    first: Option<usize>,
}

impl AsyncRead for Halved {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Halved {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        // Nagle's algorithm is off, so each write leaves as a segment.
        let length = self.first.unwrap_or(bytes.len()).min(bytes.len());
        let written = Pin::new(&mut self.tcp).poll_write(cx, &bytes[..length]);
        if matches!(written, Poll::Ready(Ok(_))) {
            self.first = None;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
