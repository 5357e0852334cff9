//! The list of sealed hours: which files there are, their hashes, and a chain in which no hour can be left out.
//!
//! One JSON object a line. Each hour's `chain` is SHA-256 over the chain before it, the hour, and the files' paths and
//! hashes, so that an altered file, a missing hour and a changed order are all found by reading once from the start.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use faultline_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The name of the file, in the archive's folder and under its address.
pub(crate) const MANIFEST: &str = "manifest.jsonl";

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Audience {
    /// Cells in which nobody can be told from the others.
    Public,
    /// Whole measurements with pseudonyms, for named researchers; operators hand them out.
    Full,
}

/// One sealed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealedFile {
    /// Below the archive's folder.
    pub(crate) path: String,
    pub(crate) audience: Audience,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// In hexadecimal.
    pub(crate) sha256: String,
}

/// One sealed hour, by the coordinator's clock at arrival. An hour in which nothing came has no files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealedHour {
    /// When it begins.
    pub(crate) hour: Timestamp,
    pub(crate) files: Vec<SealedFile>,
    /// The chain up to and with this hour, in hexadecimal.
    pub(crate) chain: String,
}

/// Why the list cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// Reading or writing failed.
    #[error("{}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Somebody changed it.
    #[error("{}: line {line}: {why}; restore it from a copy, or move the archive away to begin a new one", path.display())]
    Broken { path: PathBuf, line: usize, why: &'static str },
}

/// All sealed hours.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manifest {
    pub(crate) hours: Vec<SealedHour>,
}

impl Manifest {
    /// Reads the list and follows its chain. A last line that was cut off by a crash is dropped.
    pub(crate) fn open(folder: &Path) -> Result<Self, ManifestError> {
        let path = folder.join(MANIFEST);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ManifestError::File { path, source }),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let broken = |line: usize, why| ManifestError::Broken { path: path.clone(), line: line + 1, why };
        let mut manifest = Self::default();
        for (line, text) in whole.lines().enumerate() {
            let hour: SealedHour = serde_json::from_str(text).map_err(|_| broken(line, "no sealed hour"))?;
            if hour.chain != chain(manifest.root(), hour.hour, &hour.files) {
                return Err(broken(line, "the chain does not hold"));
            }
            manifest.hours.push(hour);
        }
        if whole.len() < text.len() {
            let file = OpenOptions::new().write(true).open(&path);
            let cut = file.and_then(|file| file.set_len(whole.len() as u64).and_then(|()| file.sync_all()));
            cut.map_err(|source| ManifestError::File { path: path.clone(), source })?;
        }
        Ok(manifest)
    }

    /// Returns the chain's end, which stands for everything before it.
    pub(crate) fn root(&self) -> &str {
        self.hours.last().map_or("", |hour| hour.chain.as_str())
    }

    /// Returns a public file.
    pub(crate) fn public(&self, path: &str) -> Option<&SealedFile> {
        let files = self.hours.iter().flat_map(|hour| &hour.files);
        files.filter(|file| file.audience == Audience::Public).find(|file| file.path == path)
    }

    /// Seals an hour: the line is on disk when this returns.
    pub(crate) fn seal(
        &mut self,
        folder: &Path,
        hour: Timestamp,
        files: Vec<SealedFile>,
    ) -> Result<(), ManifestError> {
        let path = folder.join(MANIFEST);
        let sealed = SealedHour { hour, chain: chain(self.root(), hour, &files), files };
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all((serde_json::to_string(&sealed)? + "\n").as_bytes())?;
            file.sync_all()?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| ManifestError::File { path: path.clone(), source })?;
        self.hours.push(sealed);
        Ok(())
    }
}

fn chain(before: &str, hour: Timestamp, files: &[SealedFile]) -> String {
    let mut text = format!("{before}\n{hour}\n");
    for file in files {
        text += &format!("{} {}\n", file.sha256, file.path);
    }
    HEXLOWER.encode(digest(&SHA256, text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(number: i64) -> Timestamp {
        Timestamp::from_unix_ms(number * 3_600_000)
    }

    fn file(path: &str) -> SealedFile {
        SealedFile { path: path.into(), audience: Audience::Public, rows: 1, bytes: 9, sha256: "ab".into() }
    }

    fn three(folder: &Path) {
        let mut manifest = Manifest::open(folder).expect("a new one");
        manifest.seal(folder, hour(1), vec![file("a")]).expect("sealed");
        manifest.seal(folder, hour(2), vec![]).expect("sealed");
        manifest.seal(folder, hour(3), vec![file("b")]).expect("sealed");
    }

    #[test]
    fn an_altered_line_and_a_missing_hour_break_the_chain() {
        let folder = tempfile::tempdir().expect("a folder");
        three(folder.path());
        let path = folder.path().join(MANIFEST);
        let text = std::fs::read_to_string(&path).expect("a list");
        assert_eq!(Manifest::open(folder.path()).expect("whole").hours.len(), 3);
        let without: String =
            text.lines().enumerate().filter(|(n, _)| *n != 1).map(|(_, l)| format!("{l}\n")).collect();
        for bad in
            [without, text.replace("\"ab\"", "\"ac\""), text.replacen("1970-01-01T01", "1970-01-01T00", 1)]
        {
            std::fs::write(&path, bad).expect("written");
            let error = Manifest::open(folder.path()).expect_err("broken");
            assert!(matches!(error, ManifestError::Broken { .. }), "{error}");
        }
    }

    #[test]
    fn a_line_cut_off_anywhere_is_dropped_and_sealed_again() {
        let folder = tempfile::tempdir().expect("a folder");
        three(folder.path());
        let path = folder.path().join(MANIFEST);
        let text = std::fs::read(&path).expect("a list");
        let last = text.len() - 1;
        let begins = text[..last].iter().rposition(|byte| *byte == b'\n').expect("a line") + 1;
        for cut in begins..last {
            std::fs::write(&path, &text[..cut]).expect("cut");
            let mut manifest = Manifest::open(folder.path()).expect("whole");
            assert_eq!(manifest.hours.len(), 2, "cut at {cut}");
            manifest.seal(folder.path(), hour(3), vec![file("b")]).expect("sealed");
            assert_eq!(std::fs::read(&path).expect("a list"), text);
        }
    }
}
