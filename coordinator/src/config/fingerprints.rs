//! The folder with fingerprint files.

use super::ConfigError;
use faultline_analysis::judge::{Fingerprints, MAX_FILE_BYTES};
use std::io::Read;
use std::path::Path;

const KEY: &str = "fingerprints";

/// Reads a folder's fingerprint files; what is left out of them is logged, and a folder without any is an error.
pub(super) fn read(dir: &Path) -> Result<Fingerprints, ConfigError> {
    let failed = |source| ConfigError::Read { key: KEY, path: dir.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if Fingerprints::is_file(&name) {
            let mut bytes = Vec::new();
            // One byte more than is allowed, so that a larger file is refused rather than cut.
            let file = std::fs::File::open(&path).map_err(failed)?;
            file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
            files.push((name, bytes));
        }
    }
    if files.is_empty() {
        let reason = format!("{} holds no fingerprint files", dir.display());
        return Err(ConfigError::Value { key: KEY, reason });
    }
    files.sort();
    let (fingerprints, loaded) =
        Fingerprints::with_files(files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])));
    for file in loaded {
        tracing::info!(
            file = file.file,
            patterns = file.patterns,
            left_out = file.refused,
            "fingerprints are loaded"
        );
    }
    Ok(fingerprints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_fingerprints_is_refused_and_one_with_them_is_used() {
        let dir = tempfile::tempdir().expect("temporary directory");
        assert!(read(dir.path()).is_err());
        let rows = "name,scope,other_names,location_found,pattern_type,pattern,confidence_no_fp,expected_countries,source,exp_url,notes\nx.1,nat,,dns,full,203.82.50.1,5,,,,\n";
        std::fs::write(dir.path().join("fingerprints_dns.csv"), rows).expect("written");
        let known = read(dir.path()).expect("read");
        assert_eq!(known.address("203.82.50.1".parse().expect("an address")), Some("x.1"));
    }
}
