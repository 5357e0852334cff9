//! `docs/judgement.md` lists exactly the rules that there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Finds rule ids between two marks: words of lower case with a dot, that begin with a part of the taxonomy.
fn ids(text: &str, mark: char) -> BTreeSet<String> {
    let parts = [
        "local",
        "dns",
        "tcp",
        "tls",
        "http",
        "http3",
        "quic",
        "throughput",
        "throttling",
        "diagnose",
        "path",
    ];
    let is_id = |word: &&str| {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_');
        let first = word.split_once('.').map(|(first, _)| first);
        word.chars().all(is_plain) && first.is_some_and(|first| parts.contains(&first))
    };
    text.split(mark).filter(is_id).map(str::to_owned).collect()
}

#[test]
fn every_rule_is_documented_and_nothing_else_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src/judge/rules"), &mut files);
    let mut known = BTreeSet::new();
    for file in files {
        known.extend(ids(&std::fs::read_to_string(file).expect("readable"), '"'));
    }
    let document =
        std::fs::read_to_string(root.join("../../docs/judgement.md")).expect("the document is there");
    let listed = ids(&document, '`');
    assert_eq!(listed.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "no such rules");
    assert_eq!(known.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "not documented");
}
