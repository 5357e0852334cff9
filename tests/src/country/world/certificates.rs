//! The run's own certificate authority, and a certificate for every host of the world.

use crate::country::scenario::Certificate;
use crate::country::timeline::{Act, Standing};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The name of the authority that everybody trusts.
pub const AUTHORITY: &str = "Faultline emulated world CA";
/// The name of the authority that only the country's machines trust.
pub const LOCAL_AUTHORITY: &str = "Emulated national trust network";
/// The name of the authority that nobody trusts.
const UNKNOWN_AUTHORITY: &str = "Nobody's authority";
/// The name in certificates that are meant to be wrong.
const IMPOSTOR: &str = "impostor.invalid";

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

/// An authority's certificate and key, as they are handed to the parts that serve sites; both are PEM.
#[derive(Clone, Serialize, Deserialize)]
pub struct AuthorityPem {
    /// What everybody trusts.
    pub certificate: String,
    key: String,
    name: String,
}

impl fmt::Debug for AuthorityPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorityPem(..)")
    }
}

impl AuthorityPem {
    /// Makes a new authority, for one run of one country.
    ///
    /// # Errors
    /// Fails when no key can be made.
    pub fn generate(name: &str) -> Result<Self, CertificateError> {
        let failed = |source| CertificateError::Make { host: name.to_owned(), source };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = authority_params(name).self_signed(&key).map_err(failed)?;
        Ok(Self { certificate: certificate.pem(), key: key.serialize_pem(), name: name.to_owned() })
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// An authority that vouches for everything in the emulated world and for nothing else.
pub struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// Takes up an authority that was made before.
    ///
    /// # Errors
    /// Fails when its key is none.
    pub fn open(pem: &AuthorityPem) -> Result<Self, CertificateError> {
        let failed = |source| CertificateError::Make { host: pem.name.clone(), source };
        let key = KeyPair::from_pem(&pem.key).map_err(failed)?;
        Ok(Self(Issuer::new(authority_params(&pem.name), key)))
    }

    fn issue(&self, host: &str) -> Result<CertifiedKey, CertificateError> {
        self.issue_odd(host, Certificate::Good)
    }

    /// Issues a site's certificate, with what is wrong with it.
    fn issue_odd(&self, host: &str, kind: Certificate) -> Result<CertifiedKey, CertificateError> {
        let failed = |source| CertificateError::Make { host: host.to_owned(), source };
        let name = if kind == Certificate::WrongName { IMPOSTOR } else { host };
        let mut params = CertificateParams::new([name.to_owned()]).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, name);
        if kind == Certificate::Expired {
            (params.not_before, params.not_after) = (date_time_ymd(2014, 1, 1), date_time_ymd(2015, 4, 12));
        }
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = if kind == Certificate::UnknownAuthority {
            Self::open(&AuthorityPem::generate(UNKNOWN_AUTHORITY)?)?.sign(&params, &key)
        } else {
            self.sign(&params, &key)
        };
        let certificate = certificate.map_err(failed)?;
        let unusable = |source| CertificateError::Use { host: host.to_owned(), source };
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let signer = aws_lc_rs::sign::any_supported_type(&key).map_err(unusable)?;
        Ok(CertifiedKey::new(vec![certificate.der().clone()], signer))
    }

    fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Result<rcgen::Certificate, rcgen::Error> {
        params.clone().signed_by(key, &self.0)
    }
}

/// Picks the certificate by the name that the client asks for. A name that is not served at the address gets the
/// certificate of one that is, as on real servers: so a forged address never passes for the site. A site that is
/// ordered to present a bad certificate presents one of somebody else.
#[derive(Debug)]
pub struct ByName {
    keys: HashMap<String, Arc<CertifiedKey>>,
    fallback: Arc<CertifiedKey>,
    impostor: Arc<CertifiedKey>,
    standing: Standing,
}

impl ByName {
    /// Issues certificates for the hosts of one address; the first is the one for unknown names.
    ///
    /// # Errors
    /// Names the host whose certificate cannot be made.
    pub fn issue(
        authority: &Authority,
        hosts: &[(String, Certificate)],
        standing: Standing,
    ) -> Result<Self, CertificateError> {
        let mut keys = HashMap::new();
        for (host, kind) in hosts {
            keys.insert(host.clone(), Arc::new(authority.issue_odd(host, *kind)?));
        }
        let impostor = Arc::new(authority.issue(IMPOSTOR)?);
        let first = hosts.first().and_then(|(host, _)| keys.get(host)).map(Arc::clone);
        let fallback = first.unwrap_or_else(|| Arc::clone(&impostor));
        Ok(Self { keys, fallback, impostor, standing })
    }

    fn is_bad(&self, name: &str) -> bool {
        self.standing
            .active(|orders| orders.iter().any(|o| o.act == Act::BadCertificate && o.means_host(name)))
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let known = name.as_ref().and_then(|name| self.keys.get(name));
        let key = if name.is_some_and(|name| self.is_bad(&name)) { Some(&self.impostor) } else { known };
        Some(Arc::clone(key.unwrap_or(&self.fallback)))
    }
}
