//! Sites: certificates good and bad, and servers that behave as a test wants.

use super::dns::Zone;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What is wrong with a site's certificate.
#[derive(Clone, Copy, Debug)]
pub enum Certificate {
    Good,
    Expired,
    SelfSigned,
    /// Good, with as much behind it as a large site's chain has.
    Long,
    /// Good, with a megabyte of others behind it.
    Endless,
}

/// How a site behaves.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Sends these bytes as the answer to any request.
    Raw(Vec<u8>),
    /// Sends these bytes and keeps the connection open without a word more.
    RawAndHang(Vec<u8>),
    /// Answers by HTTP/2 with a body of so many bytes.
    Http2(usize),
    /// Answers DNS over HTTPS from a zone.
    Doh(Zone),
    /// Answers DNS over TLS from a zone.
    Dot(Zone),
    /// Resets the connection once the first bytes have come.
    Reset,
    /// Resets the connection if the first bytes hold this name, as a filter on the way does; else shows a page.
    ResetName(String),
    /// Closes the connection once the first bytes have come.
    Close,
    /// Lets the hello wait so long, then shows a page.
    Slow(Duration),
    /// Never says a word.
    Hang,
    /// Answers the first bytes with nonsense.
    Garbage,
}

pub fn page(body: &str) -> Behaviour {
    let length = body.len();
    Behaviour::Raw(
        format!("HTTP/1.1 200 OK\r\nServer: test\r\nContent-Length: {length}\r\n\r\n{body}").into(),
    )
}

pub fn redirect(location: &str) -> Behaviour {
    Behaviour::Raw(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into())
}

/// Signs the sites' certificates.
pub struct SiteAuthority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl SiteAuthority {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, "Test Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate").der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub fn root(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    pub fn config(&self, name: &str, kind: Certificate, alpn: &[u8]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        if matches!(kind, Certificate::Expired) {
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let certificate = match kind {
            Certificate::SelfSigned => params.self_signed(&key),
            _ => params.signed_by(&key, &self.issuer),
        };
        let certificate = certificate.expect("a certificate").der().clone();
        let length = match kind {
            Certificate::Endless => 1_000_000 / certificate.len(),
            Certificate::Long => 4_000 / certificate.len(),
            _ => 1,
        };
        let chain = vec![certificate; length];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a server");
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }
}

/// Counts connections to a site.
pub type Visits = Arc<AtomicUsize>;

/// Serves a site until the test ends; without TLS if there is no configuration.
pub fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>, behaviour: Behaviour) -> Visits {
    let visits = Visits::default();
    let counter = Arc::clone(&visits);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let (tls, behaviour) = (tls.clone(), behaviour.clone());
            tokio::spawn(async move { visit(stream, tls, behaviour).await });
        }
    });
    visits
}

async fn visit(mut stream: TcpStream, tls: Option<Arc<ServerConfig>>, mut behaviour: Behaviour) {
    if let Behaviour::Slow(wait) = behaviour {
        tokio::time::sleep(wait).await;
        behaviour = page("slow");
    }
    match behaviour {
        Behaviour::Reset => {
            let _ = stream.read(&mut [0; 64]).await;
            stream.set_zero_linger().expect("linger");
        }
        Behaviour::ResetName(name) => {
            let mut bytes = vec![0; 4096];
            let mut seen = 0;
            // The hello, or the request, may come in pieces.
            while seen < 5
                || bytes[0] == 0x16 && seen < 5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]]))
            {
                match stream.peek(&mut bytes).await {
                    Ok(size) if size > 0 => seen = size,
                    _ => return,
                }
            }
            if bytes[..seen].windows(name.len()).any(|window| window == name.as_bytes()) {
                stream.set_zero_linger().expect("linger");
                return;
            }
            match tls {
                Some(config) => {
                    if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                        answer(stream, page("ok")).await;
                    }
                }
                None => answer(stream, page("ok")).await,
            }
        }
        Behaviour::Close => {
            // Everything is read, so that closing sends an end and no reset.
            let _ = stream.read(&mut [0; 16_384]).await;
            let _ = stream.shutdown().await;
            let _ = stream.read(&mut [0; 16_384]).await;
        }
        Behaviour::Garbage => {
            let _ = stream.read(&mut [0; 16_384]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\nnot TLS at all").await;
        }
        Behaviour::Hang => tokio::time::sleep(Duration::from_secs(120)).await,
        other => match tls {
            Some(config) => {
                if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                    answer(stream, other).await;
                }
            }
            None => answer(stream, other).await,
        },
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut stream: S, behaviour: Behaviour) {
    match behaviour {
        Behaviour::Raw(bytes) => {
            read_request(&mut stream).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            let _ = stream.read(&mut [0; 1024]).await;
        }
        Behaviour::RawAndHang(bytes) => {
            read_request(&mut stream).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            tokio::time::sleep(Duration::from_secs(120)).await;
        }
        Behaviour::Doh(zone) => {
            let query = read_request(&mut stream).await;
            let Some(reply) = zone.reply(&query, false) else { return };
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\nContent-Length: {}\r\n\r\n",
                reply.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &reply].concat()).await;
            let _ = stream.read(&mut [0; 1024]).await;
        }
        Behaviour::Dot(zone) => zone.answer_stream(&mut stream).await,
        Behaviour::Http2(size) => {
            let service = hyper::service::service_fn(move |_| async move {
                let body = format!("<title>two</title>{}", "x".repeat(size));
                Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::from(body))))
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        }
        _ => {}
    }
}

/// Reads a request and returns its body.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if bytes.len() >= end + 4 + length.unwrap_or(0) {
                return bytes[end + 4..].to_vec();
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return vec![];
        }
    }
}

/// Serves one visitor and returns the head of her request.
pub fn serve_echo(listener: TcpListener) -> tokio::task::JoinHandle<String> {
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a visitor");
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut bytes).await.expect("a request");
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("answered");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
