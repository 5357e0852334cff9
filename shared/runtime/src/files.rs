//! Private files: a directory that only its owner enters, and files that replace their forerunner whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Others can read what must be private.
    #[error("{} is open to others (mode {mode:03o}); run: chmod go-rwx {}", path.display(), path.display())]
    NotPrivate {
        /// The path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is larger than what is read.
    #[error("{} is larger than {max} bytes", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// The most that is read.
        max: u64,
    },
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError::Io { action, path: path.to_owned(), source }
}

/// Creates a directory (and its parents) with mode 0700, or checks that an existing one is private.
///
/// # Errors
/// Says what failed, or that others can enter and how to mend it.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    if !path.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error("create", path))?;
    }
    let mode = fs::metadata(path).map_err(io_error("inspect", path))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(FileError::NotPrivate { path: path.to_owned(), mode }) }
}

/// Writes a file with mode 0600 so that a reader sees the old bytes or the new ones, also after a power cut.
///
/// # Errors
/// Says which step failed; the old file is then untouched.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("file");
    let beside = path.with_file_name(format!(".{name}.new"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&beside).map_err(io_error("create", &beside))?;
    file.write_all(bytes).map_err(io_error("write", &beside))?;
    file.sync_all().map_err(io_error("sync", &beside))?;
    fs::rename(&beside, path).map_err(io_error("replace", path))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(io_error("sync", parent))
}

/// Reads a file of at most `max` bytes.
///
/// # Errors
/// Says what failed, or that the file is too large.
pub fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(io_error("open", path))?;
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    if bytes.len() as u64 > max { Err(FileError::TooLarge { path: path.to_owned(), max }) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_replaced_whole_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("key");
        write_private(&path, b"old").expect("written");
        write_private(&path, b"new").expect("replaced");
        assert_eq!(read_bounded(&path, 3).expect("read"), b"new");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(matches!(read_bounded(&path, 2), Err(FileError::TooLarge { .. })));
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("state");
        create_private_dir(&path).expect("created");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("opened");
        let error = create_private_dir(&path).expect_err("open to others");
        assert!(error.to_string().contains("chmod go-rwx"), "{error}");
    }
}
