//! TLS configurations, and what a handshake tells about the peer.

use super::identity::{Identity, PeerIdentity, PeerRole};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, version::TLS13};
use rustls_pki_types::{CertificateDer, ServerName};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a TLS configuration cannot be made, or a peer's certificate is refused.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Certificates or keys do not fit together.
    #[error("the TLS identity cannot be used")]
    Identity(#[source] rustls::Error),
    /// The identity's files are damaged.
    #[error("the TLS identity is damaged")]
    Damaged(#[source] super::IdentityError),
    /// The authority cannot be trusted as given.
    #[error("the pinned authority cannot be used: {0}")]
    Authority(String),
    /// The subject says neither agent nor operator.
    #[error("the client certificate has no known role")]
    Role,
}

/// Returns the one crypto provider of all programs: aws-lc-rs, with X25519MLKEM768 first.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn pinned(ca: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, PeerError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).map_err(|e| PeerError::Authority(e.to_string()))?;
    Ok(Arc::new(roots))
}

/// Makes a client's configuration: TLS 1.3, HTTP/2, the pinned authority, and the client's own certificate if any.
///
/// # Errors
/// Says which part cannot be used.
pub fn client_config(
    ca: &CertificateDer<'static>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, PeerError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(pinned(ca)?, provider())
        .build()
        .map_err(|e| PeerError::Authority(e.to_string()))?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(PeerError::Identity)?
        .with_webpki_verifier(verifier);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = vec![identity.certificate().map_err(PeerError::Damaged)?];
            let key = identity.key().map_err(PeerError::Damaged)?;
            builder.with_client_auth_cert(chain, key).map_err(PeerError::Identity)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Makes a coordinator's configuration: TLS 1.3, HTTP/2, client certificates of its own authority, or none at all
/// (only enrolment is served then).
///
/// # Errors
/// Says which part cannot be used.
pub fn server_config(ca: &CertificateDer<'static>, identity: &Identity) -> Result<ServerConfig, PeerError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(pinned(ca)?, provider())
        .allow_unauthenticated()
        .build()
        .map_err(|e| PeerError::Authority(e.to_string()))?;
    let chain = vec![identity.certificate().map_err(PeerError::Damaged)?];
    let key = identity.key().map_err(PeerError::Damaged)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(PeerError::Identity)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(PeerError::Identity)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Reads role and name from a verified client certificate.
///
/// # Errors
/// Refuses certificates without a known role.
pub fn peer_identity(certificate: &CertificateDer<'_>) -> Result<PeerIdentity, PeerError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| PeerError::Role)?;
    let name = parsed.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok());
    let role = parsed.subject().iter_organizational_unit().next().and_then(|ou| ou.as_str().ok());
    let role = match role {
        Some("agent") => PeerRole::Agent,
        Some("operator") => PeerRole::Operator,
        _ => return Err(PeerError::Role),
    };
    Ok(PeerIdentity { role, name: name.ok_or(PeerError::Role)?.to_owned() })
}

/// Connects to the first of the addresses (`host:port`) that answers with a good certificate.
///
/// # Errors
/// Returns the last address's error; each try ends within `deadline`.
pub async fn dial(
    addresses: &[String],
    config: Arc<ClientConfig>,
    deadline: Duration,
) -> io::Result<TlsStream<TcpStream>> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no coordinator address is known");
    for address in addresses {
        match tokio::time::timeout(deadline, dial_one(address, Arc::clone(&config))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => {
                last = io::Error::new(io::ErrorKind::TimedOut, "the coordinator did not answer in time");
            }
        }
    }
    Err(last)
}

async fn dial_one(address: &str, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(config).connect(name, stream).await
}

#[cfg(test)]
mod tests {
    use super::super::CertificateAuthority;
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    async fn serve_once(
        ca: &CertificateAuthority,
    ) -> (String, tokio::task::JoinHandle<Option<PeerIdentity>>) {
        let identity = ca.server_identity(&["127.0.0.1".to_owned()]).expect("identity");
        let config = server_config(ca.certificate(), &identity).expect("config");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("address").to_string();
        let handle = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("accepted");
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
            stream.write_all(b"!").await.ok()?;
            let peer = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned()?;
            peer_identity(&peer).ok()
        });
        (address, handle)
    }

    fn authority() -> CertificateAuthority {
        let dir = tempfile::tempdir().expect("temporary directory");
        CertificateAuthority::open(dir.path()).expect("authority")
    }

    #[tokio::test]
    async fn both_sides_know_each_other_and_the_coordinator_knows_the_role() {
        let ca = authority();
        let peer = PeerIdentity { role: PeerRole::Operator, name: "amina".into() };
        let identity = ca.client_identity(&peer).expect("identity");
        let (address, served) = serve_once(&ca).await;
        let config = Arc::new(client_config(ca.certificate(), Some(&identity)).expect("config"));
        let mut stream = dial(&[address], config, Duration::from_secs(5)).await.expect("connected");
        let mut byte = [0];
        stream.read_exact(&mut byte).await.expect("greeted");
        assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(served.await.expect("joined"), Some(peer));
    }

    #[tokio::test]
    async fn a_coordinator_of_another_authority_is_not_talked_to() {
        let (address, _served) = serve_once(&authority()).await;
        let config = Arc::new(client_config(authority().certificate(), None).expect("config"));
        assert!(dial(&[address], config, Duration::from_secs(5)).await.is_err());
    }

    #[test]
    fn an_authority_is_the_same_after_a_restart_and_a_bad_request_is_refused() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let first = CertificateAuthority::open(dir.path()).expect("authority");
        let second = CertificateAuthority::open(dir.path()).expect("authority");
        assert_eq!(first.certificate(), second.certificate());
        let peer = PeerIdentity { role: PeerRole::Agent, name: "a".into() };
        assert!(second.sign_request(b"junk", &peer).is_err());
    }
}
