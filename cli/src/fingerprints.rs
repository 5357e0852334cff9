//! Fingerprint files from a folder.

use crate::output::printable;
use crate::trouble::{Exit, Trouble};
use faultline_analysis::judge::{Fingerprints, MAX_FILE_BYTES};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads a folder's fingerprint files and says what became of them.
pub(crate) fn load(dir: &Path) -> Result<Fingerprints, Trouble> {
    let bad = |e: std::io::Error| {
        let exit = if e.kind() == std::io::ErrorKind::NotFound { Exit::Missing } else { Exit::Data };
        Trouble::new(exit, format!("the fingerprints in {} cannot be read", dir.display())).source(e)
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(bad)? {
        let path = entry.map_err(bad)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if Fingerprints::is_file(&name) {
            let mut bytes = Vec::new();
            // One byte more than is allowed, so that a larger file is refused rather than cut.
            let file = File::open(&path).map_err(bad)?;
            file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(bad)?;
            files.push((name, bytes));
        }
    }
    if files.is_empty() {
        let hint = "it needs fingerprints_dns.csv, fingerprints_http.csv, blockpage_signatures.json or false_positive_signatures.json";
        return Err(Trouble::new(Exit::Data, format!("{} holds no fingerprints", dir.display())).hint(hint));
    }
    files.sort();
    let (fingerprints, loaded) =
        Fingerprints::with_files(files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])));
    for file in loaded {
        anstream::eprintln!(
            "{}: {} patterns, {} left out",
            printable(&file.file),
            file.patterns,
            file.refused
        );
        for refused in file.reasons.iter().take(3) {
            anstream::eprintln!("  {} left out: {}", refused.name, refused.reason);
        }
    }
    Ok(fingerprints)
}
