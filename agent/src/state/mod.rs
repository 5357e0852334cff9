//! The agent's home: everything that it keeps, in one directory that only its owner enters.
//!
//! | file | what |
//! | --- | --- |
//! | `agent.json` | where the coordinator is, whom it trusts and obeys, the volunteer's choices |
//! | `identity.json` | the device key and its certificate |
//! | `list.bin` | the signed list, as it came (protobuf `SignedList`) |
//! | `schedule.bin` | the schedule, as it came (protobuf `Schedule`) |
//! | `ledger.json` | what was done so far, as far as it limits what may be done next |
//! | `spool/` | measurements that wait for the coordinator |
//! | `terms.toml` | the volunteer's terms, there once they were changed |
//! | `recent.sock` | tells `status` what was measured lately, while the agent runs |
//! | `measured.log`, `measured.old.log` | what was measured, where the volunteer's terms ask for a log |
//! | `paused` | there while the volunteer has paused measuring |
//! | `stop` | there while the running agent is asked to stop |
//! | `run.lock` | held by the running agent |
//! | `status.json` | what the running agent says about itself |

mod lock;

pub use lock::{LockError, RunLock};

use crate::policy::{Terms, TermsError};
use faultline_model::{CountryCode, SignedList, TaskList, Timestamp};
use faultline_proto::agent as wire;
use faultline_proto::convert::{list_from_wire, list_to_wire};
use faultline_runtime::tls::Identity;
use faultline_runtime::{
    FileError, OperatorRoot, SigningError, create_private_dir, read_bounded, write_private,
};
use prost::Message;
use rustls_pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// No file of the agent's own is larger.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Everything that the agent makes in its home, but for the spool's folder.
const FILES: [&str; 13] = [
    "recent.sock",
    "measured.log",
    "measured.old.log",
    "agent.json",
    "identity.json",
    "list.bin",
    "schedule.bin",
    "ledger.json",
    "terms.toml",
    "paused",
    "stop",
    "run.lock",
    "status.json",
];

/// Why the home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or the directory cannot be used.
    #[error("the agent's state cannot be used")]
    File(#[source] FileError),
    /// The agent has not joined.
    #[error("{} holds no agent; join with: faultline-agent join INVITE", .0.display())]
    NotJoined(PathBuf),
    /// A file does not hold what the agent wrote.
    #[error("{} is damaged; leave and join again, or restore it from a copy", .0.display())]
    Damaged(PathBuf),
    /// The volunteer's terms cannot be used.
    #[error(transparent)]
    Terms(TermsError),
    /// Others can read the device key.
    #[error("{} is readable by others; run: chmod 600 {}", .0.display(), .0.display())]
    KeyOpen(PathBuf),
}

/// How much the volunteer's line may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum BudgetChoice {
    /// 3,000 checks and 50 MB a day.
    #[default]
    Standard,
    /// 600 checks and 10 MB a day.
    Small,
}

impl BudgetChoice {
    /// Returns the class on the wire.
    #[must_use]
    pub const fn class(self) -> wire::BudgetClass {
        match self {
            Self::Standard => wire::BudgetClass::Standard,
            Self::Small => wire::BudgetClass::Small,
        }
    }
}

/// What `join` settled.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentRecord {
    /// The pseudonym.
    pub agent_id: String,
    /// Where the coordinator is reached.
    pub addresses: Vec<String>,
    /// The coordinator's certificate authority, DER in base64.
    pub ca: String,
    /// Whose task lists are obeyed.
    pub operators: OperatorRoot,
    /// The country that the invite names.
    pub country: CountryCode,
    /// The agent is a control.
    pub control: bool,
    /// The volunteer's choice.
    pub budget: BudgetChoice,
    /// Version of the consent text that was agreed to; empty for a control.
    pub consent_version: String,
    /// When it joined.
    pub joined_at: Timestamp,
}

impl AgentRecord {
    /// Returns the coordinator's certificate authority.
    #[must_use]
    pub fn authority(&self) -> CertificateDer<'static> {
        CertificateDer::from(data_encoding::BASE64.decode(self.ca.as_bytes()).unwrap_or_default())
    }
}

/// The agent's home directory.
#[derive(Clone, Debug)]
pub struct Home {
    dir: PathBuf,
}

impl Home {
    /// Makes the directory, or checks that only its owner enters it.
    ///
    /// # Errors
    /// Says what is wrong and how to mend it.
    pub fn create(dir: &Path) -> Result<Self, StateError> {
        create_private_dir(dir).map_err(StateError::File)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Opens the home of an agent that has joined.
    ///
    /// # Errors
    /// Says how to join, or what is wrong and how to mend it.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        if !dir.join("agent.json").exists() {
            return Err(StateError::NotJoined(dir.to_owned()));
        }
        let home = Self::create(dir)?;
        let key = home.path("identity.json");
        let mode = std::fs::metadata(&key).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o077 == 0 { Ok(home) } else { Err(StateError::KeyOpen(key)) }
    }

    /// Says whether an agent has joined here.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.path("agent.json").exists()
    }

    /// Returns the directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns where the running agent tells what it measured lately.
    #[must_use]
    pub fn recent_socket(&self) -> PathBuf {
        self.path("recent.sock")
    }

    /// Returns the volunteer's log, and the one before it.
    #[must_use]
    pub fn logs(&self) -> (PathBuf, PathBuf) {
        (self.path("measured.log"), self.path("measured.old.log"))
    }

    /// Returns the spool's directory.
    #[must_use]
    pub fn spool_dir(&self) -> PathBuf {
        self.path("spool")
    }

    /// Keeps who the agent is. The record comes last: with it, joining is complete.
    ///
    /// # Errors
    /// Says which file cannot be written.
    pub fn save_agent(&self, record: &AgentRecord, identity: &Identity) -> Result<(), StateError> {
        self.save_json("identity.json", identity)?;
        self.save_json("agent.json", record)
    }

    /// Reads who the agent is.
    ///
    /// # Errors
    /// Says which file cannot be read.
    pub fn agent(&self) -> Result<(AgentRecord, Identity), StateError> {
        Ok((self.load_json("agent.json")?, self.load_json("identity.json")?))
    }

    /// Keeps a list.
    ///
    /// # Errors
    /// Says that it cannot be written.
    pub fn save_list(&self, list: SignedList) -> Result<(), StateError> {
        self.save("list.bin", &list_to_wire(list).encode_to_vec())
    }

    /// Reads the list that is held, if it is there and still carries the operators' signatures.
    pub fn list(&self, operators: &OperatorRoot) -> Option<TaskList> {
        let bytes = read_bounded(&self.path("list.bin"), MAX_FILE_BYTES).ok()?;
        let message = wire::SignedList::decode(bytes.as_slice()).ok()?;
        let verified = list_from_wire(message).ok().map(|list| operators.verify(&list))?;
        verified.inspect_err(|error: &SigningError| warn_list(error)).ok()
    }

    /// Keeps a schedule.
    ///
    /// # Errors
    /// Says that it cannot be written.
    pub fn save_schedule(&self, schedule: &wire::Schedule) -> Result<(), StateError> {
        self.save("schedule.bin", &schedule.encode_to_vec())
    }

    /// Reads the schedule that is held.
    #[must_use]
    pub fn schedule(&self) -> Option<wire::Schedule> {
        let bytes = read_bounded(&self.path("schedule.bin"), MAX_FILE_BYTES).ok()?;
        wire::Schedule::decode(bytes.as_slice()).ok()
    }

    /// Reads the volunteer's terms; without a file they are the defaults.
    ///
    /// # Errors
    /// Names the key at fault.
    pub fn terms(&self) -> Result<Terms, StateError> {
        let path = self.path("terms.toml");
        if !path.exists() {
            return Ok(Terms::default());
        }
        let bytes = read_bounded(&path, MAX_FILE_BYTES).map_err(StateError::File)?;
        let text =
            String::from_utf8(bytes).map_err(|_| StateError::Terms(TermsError::Syntax("no text".into())))?;
        Terms::parse(&text).map_err(StateError::Terms)
    }

    /// Keeps the volunteer's terms.
    ///
    /// # Errors
    /// Says that they cannot be written.
    pub fn save_terms(&self, terms: &Terms) -> Result<(), StateError> {
        self.save("terms.toml", terms.to_toml().as_bytes())
    }

    /// Says whether the volunteer has paused measuring.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.path("paused").exists()
    }

    /// Pauses or resumes measuring.
    ///
    /// # Errors
    /// Says that the marker cannot be written or removed.
    pub fn set_paused(&self, paused: bool) -> Result<(), StateError> {
        self.set_marker("paused", paused)
    }

    /// Says whether the running agent is asked to stop.
    #[must_use]
    pub fn is_stop_asked(&self) -> bool {
        self.path("stop").exists()
    }

    /// Asks the running agent to stop, or takes that back.
    ///
    /// # Errors
    /// Says that the marker cannot be written or removed.
    pub fn ask_to_stop(&self, stop: bool) -> Result<(), StateError> {
        self.set_marker("stop", stop)
    }

    /// Makes sure that the home can be written, so that nothing is begun that could not be kept.
    ///
    /// # Errors
    /// Says which file cannot be written, and why.
    pub fn prove_writable(&self) -> Result<(), StateError> {
        self.set_marker("stop", true)?;
        self.set_marker("stop", false)
    }

    /// Keeps a value as JSON.
    ///
    /// # Errors
    /// Says that it cannot be written.
    pub fn save_json(&self, name: &str, value: &impl Serialize) -> Result<(), StateError> {
        let bytes = serde_json::to_vec_pretty(value).map_err(|_| StateError::Damaged(self.path(name)))?;
        self.save(name, &bytes)
    }

    /// Keeps a value as JSON, whole or not at all, but without waiting for the disk: for what is worth nothing after a
    /// power cut and is written too often to wear out a memory card.
    ///
    /// # Errors
    /// Says that it cannot be written.
    pub fn save_fleeting(&self, name: &str, value: &impl Serialize) -> Result<(), StateError> {
        let (path, beside) = (self.path(name), self.path(&format!(".{name}.new")));
        let bytes = serde_json::to_vec_pretty(value).map_err(|_| StateError::Damaged(path.clone()))?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options.open(&beside).and_then(|mut file| file.write_all(&bytes));
        written
            .and_then(|()| std::fs::rename(&beside, &path))
            .map_err(|source| StateError::File(FileError::Io { action: "write", path, source }))
    }

    /// Reads a value from JSON.
    ///
    /// # Errors
    /// Says that it cannot be read, or holds something else.
    pub fn load_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, StateError> {
        let path = self.path(name);
        let bytes = read_bounded(&path, MAX_FILE_BYTES).map_err(StateError::File)?;
        serde_json::from_slice(&bytes).map_err(|_| StateError::Damaged(path))
    }

    /// Removes everything that the agent made, and the directory if it is empty then. Returns what remains.
    #[must_use]
    pub fn remove(&self) -> Vec<PathBuf> {
        for name in FILES {
            let _ = std::fs::remove_file(self.path(name));
            // What an interrupted write left beside the file.
            let _ = std::fs::remove_file(self.path(&format!(".{name}.new")));
        }
        let spool = std::fs::read_dir(self.spool_dir()).into_iter().flatten().flatten();
        for path in spool.map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "seg") {
                let _ = std::fs::remove_file(path);
            }
        }
        let _ = std::fs::remove_dir(self.spool_dir());
        let _ = std::fs::remove_dir(&self.dir);
        let mut remaining = Vec::new();
        list_files(&self.dir, &mut remaining);
        remaining
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn save(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        write_private(&self.path(name), bytes).map_err(StateError::File)
    }

    fn set_marker(&self, name: &str, is_set: bool) -> Result<(), StateError> {
        let path = self.path(name);
        if is_set {
            return self.save(name, b"");
        }
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(StateError::File(FileError::Io { action: "remove", path, source }))
            }
            _ => Ok(()),
        }
    }
}

fn warn_list(error: &SigningError) {
    tracing::warn!(reason = error.reason(), "the list on disk is not used");
}

fn list_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            list_files(&path, found);
        }
        found.push(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn home(dir: &tempfile::TempDir) -> Home {
        Home::create(&dir.path().join("home")).expect("a home")
    }

    #[test]
    fn a_home_that_others_enter_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = home(&dir);
        fs::write(home.path("agent.json"), "{}").expect("written");
        fs::set_permissions(home.dir(), fs::Permissions::from_mode(0o750)).expect("opened");
        let error = Home::open(home.dir()).expect_err("open to others");
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.contains("chmod go-rwx"), "{cause}");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = home(&dir);
        fs::write(home.path("agent.json"), "{}").expect("written");
        fs::write(home.path("identity.json"), "{}").expect("written");
        fs::set_permissions(home.path("identity.json"), fs::Permissions::from_mode(0o644)).expect("opened");
        let error = Home::open(home.dir()).expect_err("a readable key").to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn leaving_removes_what_the_agent_made_and_lists_what_remains() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = home(&dir);
        FILES.iter().for_each(|name| fs::write(home.path(name), "x").expect("written"));
        fs::create_dir(home.spool_dir()).expect("made");
        fs::write(home.spool_dir().join("0000000000000001.seg"), "x").expect("written");
        fs::write(home.path("notes.txt"), "the volunteer's own").expect("written");
        assert_eq!(home.remove(), [home.path("notes.txt")]);
        fs::remove_file(home.path("notes.txt")).expect("removed");
        assert!(home.remove().is_empty() && !home.dir().exists());
    }

    #[test]
    fn a_list_on_disk_is_trusted_no_more_than_one_on_the_wire() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = home(&dir);
        let key = faultline_runtime::OperatorKey::generate().expect("a key");
        let document = b"{}".to_vec();
        home.save_list(SignedList { document, signatures: vec![] }).expect("saved");
        assert!(home.list(&OperatorRoot::single(&key)).is_none());
    }
}
