//! The run's own certificate authority, and a certificate for every host of the world.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;

/// Why the world has no certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A certificate cannot be made.
    #[error("making the certificate of {host}")]
    Make {
        /// Its host.
        host: String,
        /// The cause.
        #[source]
        source: rcgen::Error,
    },
    /// A key cannot be used.
    #[error("using the key of {host}")]
    Use {
        /// Its host.
        host: String,
        /// The cause.
        #[source]
        source: rustls::Error,
    },
}

/// An authority that vouches for everything in the emulated world and for nothing else.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Makes a new authority with a key that never leaves the process.
    ///
    /// # Errors
    /// Fails when no key can be made.
    pub fn generate() -> Result<Self, CertificateError> {
        let name = "Faultline emulated world CA";
        let failed = |source| CertificateError::Make { host: name.to_owned(), source };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        CertifiedIssuer::self_signed(params, key).map(Self).map_err(failed)
    }

    /// Returns the authority's certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, host: &str) -> Result<CertifiedKey, CertificateError> {
        let failed = |source| CertificateError::Make { host: host.to_owned(), source };
        let mut params = CertificateParams::new([host.to_owned()]).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, host);
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.0).map_err(failed)?;
        let unusable = |source| CertificateError::Use { host: host.to_owned(), source };
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let signer = aws_lc_rs::sign::any_supported_type(&key).map_err(unusable)?;
        Ok(CertifiedKey::new(vec![certificate.der().clone()], signer))
    }
}

/// Picks the certificate by the name that the client asks for. A name that is not served at the address gets the
/// certificate of one that is, as on real servers: so a forged address never passes for the site.
#[derive(Debug)]
pub struct ByName {
    keys: HashMap<String, Arc<CertifiedKey>>,
    fallback: Arc<CertifiedKey>,
}

impl ByName {
    /// Issues certificates for the hosts of one address; the first is the one for unknown names.
    ///
    /// # Errors
    /// Names the host whose certificate cannot be made.
    pub fn issue(authority: &Authority, hosts: &[String]) -> Result<Self, CertificateError> {
        let mut keys = HashMap::new();
        for host in hosts {
            keys.insert(host.clone(), Arc::new(authority.issue(host)?));
        }
        let first = hosts.first().and_then(|host| keys.get(host)).map(Arc::clone);
        let fallback = match first {
            Some(key) => key,
            None => Arc::new(authority.issue("default.invalid")?),
        };
        Ok(Self { keys, fallback })
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let known = hello.server_name().and_then(|name| self.keys.get(&name.to_ascii_lowercase()));
        Some(Arc::clone(known.unwrap_or(&self.fallback)))
    }
}
