//! Who somebody is on the control channel: a device key and the certificate over it.

use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};

/// Why an identity cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Key material could not be made or read.
    #[error("the device key cannot be made or read")]
    Key(#[source] rcgen::Error),
    /// The certificate is not PEM.
    #[error("the certificate is not PEM")]
    Certificate,
}

/// What a peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerRole {
    /// A vantage point.
    Agent,
    /// An operator.
    Operator,
}

impl PeerRole {
    /// Returns the role's name in certificates.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Operator => "operator",
        }
    }
}

/// Who showed a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The role.
    pub role: PeerRole,
    /// The name: an agent's pseudonym, or an operator's name.
    pub name: String,
}

/// A device key (ECDSA P-256) and, once enrolled, its certificate. Both in PEM.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    key_pem: String,
    certificate_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity([scrubbed])")
    }
}

impl Identity {
    /// Makes a device key and a certificate request (PKCS#10, DER) over it.
    ///
    /// # Errors
    /// Fails if the operating system has no randomness.
    pub fn request() -> Result<(String, Vec<u8>), IdentityError> {
        let key = KeyPair::generate().map_err(IdentityError::Key)?;
        let params = CertificateParams::new(Vec::<String>::new()).map_err(IdentityError::Key)?;
        let request = params.serialize_request(&key).map_err(IdentityError::Key)?;
        Ok((key.serialize_pem(), request.der().to_vec()))
    }

    /// Joins a device key with the certificate that was issued for it.
    ///
    /// # Errors
    /// Refuses a key that is not PEM.
    pub fn new(key_pem: String, certificate: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        KeyPair::from_pem(&key_pem).map_err(IdentityError::Key)?;
        let body = data_encoding::BASE64.encode(certificate);
        let certificate_pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        Ok(Self { key_pem, certificate_pem })
    }

    /// Returns the certificate.
    ///
    /// # Errors
    /// Refuses text that is not PEM.
    pub fn certificate(&self) -> Result<CertificateDer<'static>, IdentityError> {
        CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())
            .map_err(|_| IdentityError::Certificate)
    }

    /// Returns the private key.
    ///
    /// # Errors
    /// Refuses text that is not PEM.
    pub fn key(&self) -> Result<PrivateKeyDer<'static>, IdentityError> {
        let key = KeyPair::from_pem(&self.key_pem).map_err(IdentityError::Key)?;
        Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
    }
}
