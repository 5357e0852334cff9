//! One running agent in one home.

use super::Home;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;

/// Why the home cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process runs in it.
    #[error("another agent (process {0}) runs in this home; stop it first")]
    Taken(String),
    /// The operating system refused.
    #[error("cannot lock the home")]
    Io(#[source] io::Error),
}

/// Held while the agent runs. The kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock and writes the process's number into its file.
    ///
    /// # Errors
    /// Says who holds it.
    pub fn take(home: &Home) -> Result<Self, LockError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(home.path("run.lock")).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Taken(holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(LockError::Io)?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.take(20).read_to_string(&mut text);
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_in_one_home_is_refused_until_the_first_ends() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::create(&dir.path().join("home")).expect("a home");
        let first = RunLock::take(&home).expect("locked");
        let refused = RunLock::take(&home).expect_err("taken");
        assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
        drop(first);
        assert!(RunLock::take(&home).is_ok());
    }
}
