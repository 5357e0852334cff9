//! Operators' signatures over task lists: Ed25519 (RFC 8032), k of n.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use aws_lc_rs::{digest, rand};
use data_encoding::HEXLOWER;
use faultline_model::{ListError, Signature, SignedList, TaskList, Timestamp};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Why a key, a root or a signed list is refused. Each has a stable [`SigningError::reason`].
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The key file holds no Ed25519 key in PKCS#8 PEM.
    #[error("the operator key is not an Ed25519 key in PKCS#8 PEM")]
    Key,
    /// The root document does not parse, or its threshold cannot be met.
    #[error("the operator root is malformed: {0}")]
    Root(String),
    /// Too few valid signatures by different operators.
    #[error("{valid} valid operator signatures; {needed} are needed")]
    TooFewSignatures {
        /// How many were valid.
        valid: usize,
        /// How many are needed.
        needed: usize,
    },
    /// The document is no good list.
    #[error("the signed list is refused")]
    List(#[source] ListError),
    /// The list is older than the one that is held.
    #[error("list version {offered} is not newer than {held}")]
    Rollback {
        /// The version offered.
        offered: u64,
        /// The version held.
        held: u64,
    },
    /// The list has lapsed.
    #[error("the list expired at {0}")]
    Expired(Timestamp),
    /// The list says that it was made in the future.
    #[error("the list was issued at {0}, which is in the future")]
    FutureDated(Timestamp),
}

impl SigningError {
    /// Returns a stable code for logs and reports.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Key => "bad_key",
            Self::Root(_) => "bad_root",
            Self::TooFewSignatures { .. } => "too_few_signatures",
            Self::List(_) => "malformed",
            Self::Rollback { .. } => "rollback",
            Self::Expired(_) => "expired",
            Self::FutureDated(_) => "future_dated",
        }
    }
}

/// Clocks of agents and operators may differ by this much.
const MAX_CLOCK_ERROR: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// An operator's private key. It never leaves the operator's machine.
pub struct OperatorKey {
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

impl std::fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OperatorKey({})", self.key_id())
    }
}

impl OperatorKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// Fails if the operating system has no randomness.
    pub fn generate() -> Result<Self, SigningError> {
        let document =
            Ed25519KeyPair::generate_pkcs8(&rand::SystemRandom::new()).map_err(|_| SigningError::Key)?;
        Self::from_pkcs8(document.as_ref().to_vec())
    }

    /// Reads a key from PKCS#8 PEM.
    ///
    /// # Errors
    /// Refuses anything else.
    pub fn from_pem(pem: &str) -> Result<Self, SigningError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| SigningError::Key)?;
        Self::from_pkcs8(der.secret_pkcs8_der().to_vec())
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Result<Self, SigningError> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| SigningError::Key)?;
        Ok(Self { pair, pkcs8 })
    }

    /// Writes the key as PKCS#8 PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let body = data_encoding::BASE64.encode(&self.pkcs8);
        let lines: Vec<&str> =
            body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
    }

    /// Returns the public key in hexadecimal.
    #[must_use]
    pub fn public_hex(&self) -> String {
        HEXLOWER.encode(self.pair.public_key().as_ref())
    }

    /// Returns the key's id: SHA-256 of the public key, in hexadecimal.
    #[must_use]
    pub fn key_id(&self) -> String {
        key_id(self.pair.public_key().as_ref())
    }

    /// Signs a document.
    #[must_use]
    pub fn sign(&self, document: &[u8]) -> Signature {
        Signature { key_id: self.key_id(), signature: HEXLOWER.encode(self.pair.sign(document).as_ref()) }
    }
}

fn key_id(public: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, public).as_ref())
}

/// The operators whom agents obey: public keys and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorRoot {
    /// How many different operators must sign.
    pub threshold: usize,
    /// Their public keys in hexadecimal.
    pub keys: Vec<String>,
}

impl OperatorRoot {
    /// Makes the root of a single operator.
    #[must_use]
    pub fn single(key: &OperatorKey) -> Self {
        Self { threshold: 1, keys: vec![key.public_hex()] }
    }

    /// Parses and checks a root.
    ///
    /// # Errors
    /// Refuses malformed keys and a threshold that is 0 or cannot be met.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SigningError> {
        let root: Self = serde_json::from_slice(bytes).map_err(|e| SigningError::Root(e.to_string()))?;
        root.validate()?;
        Ok(root)
    }

    /// Checks keys and threshold.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn validate(&self) -> Result<(), SigningError> {
        let distinct: BTreeSet<_> = self.keys.iter().collect();
        if self.threshold == 0 || self.threshold > distinct.len() || self.keys.len() > 32 {
            return Err(SigningError::Root(format!(
                "threshold {} of {} keys",
                self.threshold,
                distinct.len()
            )));
        }
        if let Some(bad) =
            self.keys.iter().find(|key| HEXLOWER.decode(key.as_bytes()).map_or(0, |k| k.len()) != 32)
        {
            return Err(SigningError::Root(format!("{bad:?} is no Ed25519 key")));
        }
        Ok(())
    }

    /// Writes the root as JSON.
    ///
    /// # Panics
    /// Never: the type has only string keys.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a root has only string keys")
    }

    /// Verifies the signatures, then the document. Nothing of an unsigned document is parsed.
    ///
    /// # Errors
    /// Says why the list is refused; see [`SigningError::reason`].
    pub fn verify(&self, list: &SignedList) -> Result<TaskList, SigningError> {
        let mut signers = BTreeSet::new();
        for signature in &list.signatures {
            let Some(public) = self.public_key(&signature.key_id) else { continue };
            let Ok(bytes) = HEXLOWER.decode(signature.signature.as_bytes()) else { continue };
            if UnparsedPublicKey::new(&ED25519, &public).verify(&list.document, &bytes).is_ok() {
                signers.insert(public);
            }
        }
        if signers.len() < self.threshold {
            return Err(SigningError::TooFewSignatures { valid: signers.len(), needed: self.threshold });
        }
        TaskList::from_bytes(&list.document).map_err(SigningError::List)
    }

    /// Verifies a list that shall replace version `held`, at the moment `now`.
    ///
    /// # Errors
    /// As [`Self::verify`]; besides refuses what is not newer, lapsed, or made in the future.
    pub fn verify_newer(
        &self,
        list: &SignedList,
        held: u64,
        now: Timestamp,
    ) -> Result<TaskList, SigningError> {
        let list = self.verify(list)?;
        if list.version <= held {
            return Err(SigningError::Rollback { offered: list.version, held });
        }
        if list.expires_at <= now {
            return Err(SigningError::Expired(list.expires_at));
        }
        if list.issued_at > now + MAX_CLOCK_ERROR {
            return Err(SigningError::FutureDated(list.issued_at));
        }
        Ok(list)
    }

    fn public_key(&self, wanted: &str) -> Option<Vec<u8>> {
        let keys = self.keys.iter().filter_map(|key| HEXLOWER.decode(key.as_bytes()).ok());
        keys.into_iter().find(|public| key_id(public) == wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_model::{Category, CheckKind, Limits, Role, ServiceId, Target, TargetSpec};

    fn document(version: u64) -> Vec<u8> {
        let spec = TargetSpec {
            target: Target::new("https://x.com/").expect("valid"),
            service: ServiceId::new("x").expect("valid"),
            service_name: "X".into(),
            role: Role::Site,
            category: Category::new("GRP").expect("valid"),
            checks: vec![CheckKind::Web],
            domestic: None,
        };
        TaskList {
            name: "core".into(),
            version,
            issued_at: Timestamp::from_unix_ms(1_000_000),
            expires_at: Timestamp::from_unix_ms(1_000_000 + 86_400_000),
            limits: Limits::default(),
            resolvers: vec![],
            targets: vec![spec],
            landmarks: vec![],
            throughput_control: None,
            risk: std::collections::BTreeMap::new(),
            line: faultline_model::LineProbes::default(),
        }
        .to_bytes()
    }

    fn signed(version: u64, keys: &[&OperatorKey]) -> SignedList {
        let document = document(version);
        let signatures = keys.iter().map(|key| key.sign(&document)).collect();
        SignedList { document, signatures }
    }

    #[test]
    fn only_enough_different_operators_make_a_list_binding() {
        let keys: Vec<_> = (0..3).map(|_| OperatorKey::generate().expect("key")).collect();
        let stranger = OperatorKey::generate().expect("key");
        let root = OperatorRoot { threshold: 2, keys: keys.iter().map(OperatorKey::public_hex).collect() };
        root.validate().expect("valid");
        assert!(root.verify(&signed(1, &[&keys[0], &keys[2]])).is_ok());
        for few in [vec![], vec![&keys[0]], vec![&keys[0], &keys[0]], vec![&keys[0], &stranger]] {
            let error = root.verify(&signed(1, &few)).expect_err("too few");
            assert_eq!(error.reason(), "too_few_signatures");
        }
    }

    #[test]
    fn an_altered_old_lapsed_or_future_list_is_refused_with_its_reason() {
        let key = OperatorKey::generate().expect("key");
        let root = OperatorRoot::single(&key);
        let now = Timestamp::from_unix_ms(2_000_000);
        assert_eq!(root.verify_newer(&signed(5, &[&key]), 4, now).expect("newer").version, 5);
        let mut altered = signed(5, &[&key]);
        altered.document[20] ^= 1;
        let much_later = Timestamp::from_unix_ms(1_000_000 + 86_400_001);
        let before = Timestamp::from_unix_ms(-90_000_000);
        for (list, held, at, reason) in [
            (altered, 4, now, "too_few_signatures"),
            (signed(5, &[&key]), 5, now, "rollback"),
            (signed(5, &[&key]), 4, much_later, "expired"),
            (signed(5, &[&key]), 4, before, "future_dated"),
        ] {
            assert_eq!(root.verify_newer(&list, held, at).expect_err(reason).reason(), reason);
        }
    }

    #[test]
    fn a_key_survives_its_file() {
        let key = OperatorKey::generate().expect("key");
        let back = OperatorKey::from_pem(&key.to_pem()).expect("readable");
        assert_eq!(back.key_id(), key.key_id());
        assert!(OperatorKey::from_pem("nonsense").is_err());
    }
}
