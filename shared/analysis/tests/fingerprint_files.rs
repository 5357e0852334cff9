//! The published fingerprint files, where they are at hand.

use faultline_analysis::judge::Fingerprints;
use std::path::{Path, PathBuf};

/// Finds data by others, which lie outside the repository; `FAULTLINE_DATA` names their folder.
fn data(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os("FAULTLINE_DATA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = named.unwrap_or(beside).join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: there is no {}; name the folder of the data in FAULTLINE_DATA", path.display());
    None
}

#[test]
fn nearly_every_published_pattern_is_usable() {
    let Some(folder) = data("fingerprints") else { return };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        if Fingerprints::is_file(&name) {
            files.push((name, std::fs::read(path).expect("a file")));
        }
    }
    let (known, loaded) =
        Fingerprints::with_files(files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])));
    assert_eq!(loaded.len(), 4, "the four files are known by their names");
    for file in &loaded {
        println!("{}: {} used, {} refused {:?}", file.file, file.patterns, file.refused, file.reasons);
        assert!(file.patterns > 200 && file.refused * 50 <= file.patterns, "{file:?}");
    }
    let iran = "10.10.34.34".parse().expect("an address");
    assert!(known.address(iran).is_some());
    assert!(known.address("1.2.3.4".parse().expect("an address")).is_none(), "a vague one confirms nothing");
}
