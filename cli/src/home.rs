//! The operator's folder: the signing key, the root that agents pin, and the credential for one coordinator.
//!
//! - `operator-key.pem` (0600): the Ed25519 key that signs task lists. It never leaves this machine.
//! - `operator-root.json`: the public keys and how many must sign; invites carry it.
//! - `operator.json` (0600): where the coordinator is, its authority, and the operator's client certificate.

use crate::trouble::{Exit, Trouble};
use faultline_runtime::tls::Identity;
use faultline_runtime::{
    FileError, OperatorKey, OperatorRoot, create_private_dir, read_bounded, write_private,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use std::path::{Path, PathBuf};

const MAX_BYTES: u64 = 64 * 1024;

/// Where the operator's files are.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    dir: PathBuf,
    credential: PathBuf,
}

/// What `init` found or made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Created {
    /// The folder.
    pub dir: PathBuf,
    /// The key's id.
    pub key_id: String,
    /// The key was made just now.
    pub is_new_key: bool,
    /// A credential was copied just now.
    pub is_new_credential: bool,
    /// A credential is there.
    pub has_credential: bool,
}

/// An operator's way to one coordinator, as `faultline-coordinator serve` writes it.
#[derive(Debug, Deserialize)]
pub(crate) struct Credential {
    /// The coordinator's addresses as `host:port`, tried in order.
    pub addresses: Vec<String>,
    /// The coordinator's own authority.
    ca_pem: String,
    /// The operator's client certificate and key.
    pub identity: Identity,
}

impl Credential {
    fn parse(bytes: &[u8], path: &Path) -> Result<Self, Trouble> {
        let damaged = |why: String| {
            Trouble::new(Exit::Config, format!("{} is no operator credential: {why}", path.display()))
                .hint("copy it again: faultline init --from DATA/operator.json")
        };
        let credential: Self = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
        if credential.addresses.is_empty() {
            return Err(damaged("it names no address".to_owned()));
        }
        credential.ca().map_err(|_| damaged("ca_pem is not a certificate".to_owned()))?;
        Ok(credential)
    }

    /// Returns the coordinator's authority.
    pub(crate) fn ca(&self) -> Result<CertificateDer<'static>, Trouble> {
        CertificateDer::from_pem_slice(self.ca_pem.as_bytes())
            .map_err(|_| Trouble::new(Exit::Config, "the credential's authority is not a certificate"))
    }
}

fn unusable(error: FileError) -> Trouble {
    Trouble::new(Exit::Config, "the operator's folder cannot be used").source(error)
}

impl Home {
    /// Settles the paths: what was typed, else `~/.config/faultline`.
    pub(crate) fn new(dir: Option<PathBuf>, credential: Option<PathBuf>) -> Result<Self, Trouble> {
        let dir = match dir {
            Some(dir) => dir,
            None => match std::env::var_os("HOME") {
                Some(home) => PathBuf::from(home).join(".config/faultline"),
                None => {
                    return Err(Trouble::new(Exit::Config, "HOME is not set")
                        .hint("name the operator's folder with --home DIR"));
                }
            },
        };
        let credential = credential.unwrap_or_else(|| dir.join("operator.json"));
        Ok(Self { dir, credential })
    }

    fn key_path(&self) -> PathBuf {
        self.dir.join("operator-key.pem")
    }

    fn root_path(&self) -> PathBuf {
        self.dir.join("operator-root.json")
    }

    /// Makes what is missing and overwrites nothing.
    pub(crate) fn create(&self, from: Option<&Path>) -> Result<Created, Trouble> {
        create_private_dir(&self.dir).map_err(unusable)?;
        let is_new_key = !self.key_path().exists();
        let key = if is_new_key {
            let key = OperatorKey::generate()
                .map_err(|e| Trouble::new(Exit::Failure, "making the operator key").source(e))?;
            write_private(&self.key_path(), key.to_pem().as_bytes()).map_err(unusable)?;
            key
        } else {
            self.key()?
        };
        if !self.root_path().exists() {
            write_private(&self.root_path(), &OperatorRoot::single(&key).to_json()).map_err(unusable)?;
        }
        let is_new_credential = from.map_or(Ok(false), |from| self.copy_credential(from))?;
        Ok(Created {
            dir: self.dir.clone(),
            key_id: key.key_id(),
            is_new_key,
            is_new_credential,
            has_credential: self.credential.exists(),
        })
    }

    fn copy_credential(&self, from: &Path) -> Result<bool, Trouble> {
        let bytes = read_bounded(from, MAX_BYTES).map_err(|e| {
            Trouble::new(Exit::Config, "the coordinator's credential cannot be read")
                .source(e)
                .hint("`faultline-coordinator serve` writes operator.json into its --data folder at its first start")
        })?;
        let offered = Credential::parse(&bytes, from)?;
        if self.credential.exists() {
            let held = read_bounded(&self.credential, MAX_BYTES).map_err(unusable)?;
            if held == bytes {
                return Ok(false);
            }
            // The same coordinator writes its file anew when its addresses change.
            if Credential::parse(&held, &self.credential)?.ca_pem != offered.ca_pem {
                let path = self.credential.display();
                return Err(Trouble::new(Exit::Refused, format!("{path} belongs to another coordinator"))
                    .hint(format!("use another --home for this coordinator, or remove {path} first")));
            }
        }
        write_private(&self.credential, &bytes).map_err(unusable)?;
        Ok(true)
    }

    /// Reads the signing key.
    pub(crate) fn key(&self) -> Result<OperatorKey, Trouble> {
        let text = self.read(&self.key_path(), "the operator key")?;
        let text = String::from_utf8_lossy(&text);
        OperatorKey::from_pem(&text).map_err(|e| {
            Trouble::new(Exit::Config, format!("{} cannot be used", self.key_path().display())).source(e)
        })
    }

    /// Reads the operators' root.
    pub(crate) fn root(&self) -> Result<OperatorRoot, Trouble> {
        let bytes = self.read(&self.root_path(), "the operator root")?;
        OperatorRoot::from_json(&bytes).map_err(|e| {
            Trouble::new(Exit::Config, format!("{} cannot be used", self.root_path().display())).source(e)
        })
    }

    /// Reads the credential.
    pub(crate) fn credential(&self) -> Result<Credential, Trouble> {
        let bytes = self.read(&self.credential, "the operator credential")?;
        Credential::parse(&bytes, &self.credential)
    }

    fn read(&self, path: &Path, what: &str) -> Result<Vec<u8>, Trouble> {
        read_bounded(path, MAX_BYTES).map_err(|e| {
            Trouble::new(Exit::Config, format!("{what} is not there")).source(e).hint(
                "run `faultline init --from DATA/operator.json` first, with the coordinator's --data folder",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_runtime::tls::{CertificateAuthority, PeerIdentity, PeerRole};

    fn credential(dir: &Path) -> PathBuf {
        let ca = CertificateAuthority::open(dir).expect("authority");
        let peer = PeerIdentity { role: PeerRole::Operator, name: "amina".into() };
        let identity = ca.client_identity(&peer).expect("identity");
        let ca_pem = std::fs::read_to_string(dir.join("ca.pem")).expect("the authority's certificate");
        let json = serde_json::json!({
            "addresses": ["127.0.0.1:7443"], "ca_pem": ca_pem, "identity": identity,
        });
        let path = dir.join("operator.json");
        std::fs::write(&path, json.to_string()).expect("written");
        path
    }

    #[test]
    fn init_makes_what_is_missing_and_overwrites_nothing() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let home = Home::new(Some(dir.path().join("home")), None).expect("home");
        let first = home.create(None).expect("created");
        assert!(first.is_new_key && !first.has_credential);
        let source = tempfile::tempdir().expect("temporary directory");
        let second = home.create(Some(&credential(source.path()))).expect("kept");
        assert_eq!(second.key_id, first.key_id);
        assert!(!second.is_new_key && second.is_new_credential);
        home.credential().expect("readable");
        home.root().expect("readable");
        let other = tempfile::tempdir().expect("temporary directory");
        let error = home.create(Some(&credential(other.path()))).expect_err("another coordinator's");
        assert_eq!(error.exit(), Exit::Refused);
    }

    #[test]
    fn a_missing_or_damaged_credential_says_what_to_do() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let home = Home::new(Some(dir.path().to_owned()), None).expect("home");
        assert_eq!(home.credential().expect_err("missing").exit(), Exit::Config);
        std::fs::write(dir.path().join("operator.json"), b"{}").expect("written");
        let error = home.credential().expect_err("damaged");
        assert!(error.to_string().contains("no operator credential"), "{error}");
    }
}
