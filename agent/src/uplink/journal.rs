//! A list of acknowledged ids for crash tests: written and synced before the measurement is deleted, so that a test
//! knows what the coordinator must have.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
}

impl Journal {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Appends ids, one a line.
    pub(super) async fn write(&self, ids: Vec<String>) {
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || append(&path, &ids)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the journal of acknowledgements cannot be written");
        }
    }
}

fn append(path: &Path, ids: &[String]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
    file.write_all(lines.as_bytes())?;
    file.sync_data()
}
