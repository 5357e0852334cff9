//! Measured TLS: a handshake that keeps the certificate's facts also when it fails.

use super::{Metered, Roots, Session, failure_of_tls, within};
use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use faultline_model::{Failure, TlsFact};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs as provider;
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::Resumption,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

const MAX_ISSUER_CHARS: usize = 200;

/// A TLS connection that is measured.
pub type MeasuredTls = TlsStream<Metered<TcpStream>>;

/// Why measured TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// A root is no certificate.
    #[error("a root certificate cannot be read")]
    Root(#[source] rustls::Error),
    /// There are no roots at all.
    #[error("cannot verify certificates with these roots")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
    /// The TLS library refuses its own defaults.
    #[error("cannot set up TLS")]
    Protocol(#[source] rustls::Error),
}

/// Whom measured TLS trusts, and how it greets.
#[derive(Debug)]
pub(crate) struct Trust {
    verifier: Arc<WebPkiServerVerifier>,
    config: ClientConfig,
}

impl Trust {
    pub(crate) fn new(roots: &Roots) -> Result<Self, TlsSetupError> {
        let mut store = RootCertStore::empty();
        match roots {
            Roots::Mozilla => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Roots::Only(certificates) => {
                for certificate in certificates {
                    store.add(certificate.clone()).map_err(TlsSetupError::Root)?;
                }
            }
        }
        // The provider offers X25519MLKEM768 first, as browsers do; AES-128 first, as they do too, is ours to say.
        let mut crypto = provider::default_provider();
        crypto.cipher_suites.sort_by_key(|suite| browsers_rank(suite.suite()));
        let crypto = Arc::new(crypto);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&crypto))
            .build()
            .map_err(TlsSetupError::Verifier)?;
        let mut config = ClientConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .map_err(TlsSetupError::Protocol)?
            .with_webpki_verifier(Arc::clone(&verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A resumed session shows no certificate, and would link one check to the next.
        config.resumption = Resumption::disabled();
        Ok(Self { verifier, config })
    }

    /// Makes a configuration for one handshake, and what will know its certificate.
    pub(super) fn recording(&self) -> (ClientConfig, SharedSeen) {
        let seen = SharedSeen::default();
        let recorder = Recorder { verifier: Arc::clone(&self.verifier), seen: seen.clone() };
        let mut config = self.config.clone();
        config.dangerous().set_certificate_verifier(Arc::new(recorder));
        (config, seen)
    }
}

/// Returns at which place browsers offer a cipher suite: TLS 1.3 before 1.2, AES-128 before AES-256 before ChaCha20.
fn browsers_rank(suite: CipherSuite) -> usize {
    let order = [
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    order.iter().position(|known| *known == suite).unwrap_or(order.len())
}

/// Shakes hands as a browser does. The fact holds what was seen until the handshake ended, well or not.
pub async fn handshake(
    session: &Session,
    stream: Metered<TcpStream>,
    host: &str,
) -> (TlsFact, Result<MeasuredTls, Failure>) {
    shake(session, stream, host, session.trust().recording()).await
}

/// Shakes hands without offering any application protocol, as clients of DNS over TLS do.
pub async fn handshake_without_alpn(
    session: &Session,
    stream: Metered<TcpStream>,
    host: &str,
) -> (TlsFact, Result<MeasuredTls, Failure>) {
    let (mut config, seen) = session.trust().recording();
    config.alpn_protocols.clear();
    shake(session, stream, host, (config, seen)).await
}

async fn shake(
    session: &Session,
    stream: Metered<TcpStream>,
    host: &str,
    (config, seen): (ClientConfig, SharedSeen),
) -> (TlsFact, Result<MeasuredTls, Failure>) {
    let mut fact = TlsFact { server_name: host.to_owned(), ..TlsFact::default() };
    let Ok(name) = ServerName::try_from(host.to_owned()) else {
        return (fact, Err(Failure::SslInvalidHostname));
    };
    let received = stream.received();
    let ended =
        within(session.deadlines().tls, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    recorded(&mut fact, &seen, ended.as_ref().ok().map(|stream| stream.get_ref().1));
    fact.bytes_received = received.bytes();
    (fact, ended)
}

/// Completes a fact with what was seen, and with what was agreed on if the handshake ended well.
pub(super) fn recorded(fact: &mut TlsFact, seen: &SharedSeen, connection: Option<&ClientConnection>) {
    let seen = seen.take();
    fact.certificate_sha256 = seen.sha256;
    fact.certificate_issuer = seen.issuer;
    fact.certificate_subject = seen.subject;
    if let Some(connection) = connection {
        fact.version =
            connection.protocol_version().and_then(|v| v.as_str()).unwrap_or_default().replace("v1_", "v1.");
        fact.alpn = String::from_utf8_lossy(connection.alpn_protocol().unwrap_or_default()).into_owned();
        let group = connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
        fact.key_exchange = group.unwrap_or_default();
    }
}

/// Reads the issuer's and the subject's name from a certificate's bytes; both are empty if they are no certificate.
#[must_use]
pub fn names_in(certificate: &[u8]) -> (String, String) {
    let bounded = |name: &X509Name<'_>| name.to_string().chars().take(MAX_ISSUER_CHARS).collect();
    match X509Certificate::from_der(certificate) {
        Ok((_, parsed)) => (bounded(parsed.issuer()), bounded(parsed.subject())),
        Err(_) => (String::new(), String::new()),
    }
}

/// What was seen of a certificate, and why it was not believed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) sha256: String,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) failure: Option<Failure>,
}

/// What a verifier has seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedSeen(Arc<Mutex<Seen>>);

impl SharedSeen {
    /// Takes what was seen.
    pub(super) fn take(&self) -> Seen {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns why the certificate was not believed, if one was seen.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failure.clone()
    }

    fn set(&self, seen: Seen) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

/// Verifies as the ordinary verifier does, and notes the end certificate's facts whatever the verdict is.
#[derive(Debug)]
struct Recorder {
    verifier: Arc<WebPkiServerVerifier>,
    seen: SharedSeen,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let sha256 = HEXLOWER.encode(digest::digest(&digest::SHA256, end_entity).as_ref());
        let (issuer, subject) = names_in(end_entity);
        let verified =
            self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let failure = verified.as_ref().err().map(failure_of_tls);
        self.seen.set(Seen { sha256, issuer, subject, failure });
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
