//! A coordinator's own certificate authority.

use super::identity::{Identity, IdentityError, PeerIdentity};
use crate::{FileError, read_bounded, write_private};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use std::path::Path;
use std::time::SystemTime;

const CA_YEARS: u32 = 10;
const CERTIFICATE_DAYS: u32 = 365;
const MAX_PEM_BYTES: u64 = 64 * 1024;

/// Why the authority cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Its files cannot be used.
    #[error("the certificate authority's files cannot be used")]
    File(#[source] FileError),
    /// Its files hold something else.
    #[error("{0} is not what the certificate authority wrote")]
    Damaged(&'static str),
    /// A certificate cannot be made.
    #[error("cannot make {what}")]
    Issue {
        /// Which certificate.
        what: &'static str,
        /// The cause.
        #[source]
        source: rcgen::Error,
    },
    /// The request is not a good PKCS#10 request.
    #[error("the certificate request is malformed")]
    Request(#[source] rcgen::Error),
    /// The identity cannot be put together.
    #[error("cannot put the identity together")]
    Identity(#[source] IdentityError),
}

fn issue(what: &'static str) -> impl FnOnce(rcgen::Error) -> AuthorityError {
    move |source| AuthorityError::Issue { what, source }
}

/// A certificate authority with its private key.
pub struct CertificateAuthority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CertificateAuthority([scrubbed])")
    }
}

impl CertificateAuthority {
    /// Opens the authority kept in a directory, or makes a new one there (`ca.pem`, `ca-key.pem`, mode 0600).
    ///
    /// # Errors
    /// Says which file cannot be used.
    pub fn open(dir: &Path) -> Result<Self, AuthorityError> {
        let (certificate_path, key_path) = (dir.join("ca.pem"), dir.join("ca-key.pem"));
        if !certificate_path.exists() {
            let (certificate_pem, key_pem) = generate()?;
            // The key first: a certificate without a key would look like a finished authority.
            write_private(&key_path, key_pem.as_bytes()).map_err(AuthorityError::File)?;
            write_private(&certificate_path, certificate_pem.as_bytes()).map_err(AuthorityError::File)?;
        }
        let certificate_pem = read_bounded(&certificate_path, MAX_PEM_BYTES).map_err(AuthorityError::File)?;
        let key_pem = read_bounded(&key_path, MAX_PEM_BYTES).map_err(AuthorityError::File)?;
        let certificate = CertificateDer::from_pem_slice(&certificate_pem)
            .map_err(|_| AuthorityError::Damaged("ca.pem"))?;
        let key = KeyPair::from_pem(&String::from_utf8_lossy(&key_pem))
            .map_err(|_| AuthorityError::Damaged("ca-key.pem"))?;
        let issuer =
            Issuer::from_ca_cert_der(&certificate, key).map_err(|_| AuthorityError::Damaged("ca.pem"))?;
        Ok(Self { certificate, issuer })
    }

    /// Returns the authority's certificate, which peers pin.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Makes a server identity for names and addresses.
    ///
    /// # Errors
    /// Refuses names that cannot be in a certificate.
    pub fn server_identity(&self, names: &[String]) -> Result<Identity, AuthorityError> {
        let what = "a server certificate";
        let key = KeyPair::generate().map_err(issue(what))?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(issue(what))?;
        params.distinguished_name.push(DnType::CommonName, "faultline coordinator");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        limit_lifetime(&mut params, CERTIFICATE_DAYS);
        let certificate = params.signed_by(&key, &self.issuer).map_err(issue(what))?;
        Identity::new(key.serialize_pem(), certificate.der()).map_err(AuthorityError::Identity)
    }

    /// Makes a whole client identity, as for the first operator.
    ///
    /// # Errors
    /// Fails if the operating system has no randomness.
    pub fn client_identity(&self, peer: &PeerIdentity) -> Result<Identity, AuthorityError> {
        let (key_pem, request) = Identity::request().map_err(AuthorityError::Identity)?;
        let certificate = self.sign_request(&request, peer)?;
        Identity::new(key_pem, &certificate).map_err(AuthorityError::Identity)
    }

    /// Signs a certificate request. Whatever subject the request claims is replaced by `peer`.
    ///
    /// # Errors
    /// Refuses requests that are malformed or not signed by their own key.
    pub fn sign_request(
        &self,
        request: &[u8],
        peer: &PeerIdentity,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let request = CertificateSigningRequestDer::from(request);
        let mut request =
            CertificateSigningRequestParams::from_der(&request).map_err(AuthorityError::Request)?;
        let what = "a client certificate";
        let mut params = CertificateParams::new(Vec::<String>::new()).map_err(issue(what))?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, peer.name.as_str());
        params.distinguished_name.push(DnType::OrganizationalUnitName, peer.role.as_str());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        limit_lifetime(&mut params, CERTIFICATE_DAYS);
        request.params = params;
        let certificate = request.signed_by(&self.issuer).map_err(issue(what))?;
        Ok(certificate.der().clone())
    }
}

fn generate() -> Result<(String, String), AuthorityError> {
    let what = "the authority's certificate";
    let key = KeyPair::generate().map_err(issue(what))?;
    let mut params = CertificateParams::new(Vec::<String>::new()).map_err(issue(what))?;
    params.distinguished_name.push(DnType::CommonName, "faultline authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    limit_lifetime(&mut params, CA_YEARS * 365);
    let certificate = params.self_signed(&key).map_err(issue(what))?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Valid from an hour ago, because clocks differ, for so many days.
fn limit_lifetime(params: &mut CertificateParams, days: u32) {
    let now = time::OffsetDateTime::from(SystemTime::now());
    params.not_before = now - time::Duration::hours(1);
    params.not_after = now + time::Duration::days(days.into());
}
