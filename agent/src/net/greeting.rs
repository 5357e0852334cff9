//! TLS to endpoints: over any stream, and where a certificate says nothing, without believing it.

use super::tls::recorded;
use super::{Session, within};
use faultline_model::{Failure, TlsFact};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs as provider};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How an endpoint is greeted.
#[derive(Clone, Copy, Debug)]
pub struct Greeting<'a> {
    /// The name in the hello.
    pub name: &'a str,
    /// The application protocols that are offered.
    pub alpn: &'a [&'a str],
    /// The certificate must be the name's own. Where it need not be, the protocol within proves the peer.
    pub is_verified: bool,
}

/// Shakes hands over a stream. The fact holds what was seen until the handshake ended, well or not.
pub async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    session: &Session,
    stream: S,
    greeting: Greeting<'_>,
) -> (TlsFact, Result<TlsStream<S>, Failure>) {
    let mut fact = TlsFact { server_name: greeting.name.to_owned(), ..TlsFact::default() };
    let Ok(name) = ServerName::try_from(greeting.name.to_owned()) else {
        return (fact, Err(Failure::SslInvalidHostname));
    };
    let (mut config, seen) = session.trust().recording();
    config.alpn_protocols = greeting.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    if !greeting.is_verified {
        config.dangerous().set_certificate_verifier(Arc::new(Anybody::new()));
    }
    let connect = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let ended = within(session.deadlines().tls, connect).await;
    recorded(&mut fact, &seen, ended.as_ref().ok().map(|stream| stream.get_ref().1));
    (fact, ended)
}

/// Believes every certificate, and checks that the peer holds its key.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl Anybody {
    fn new() -> Self {
        let CryptoProvider { signature_verification_algorithms, .. } = provider::default_provider();
        Self(signature_verification_algorithms)
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
