//! Case files: all are sound, and the document's table is about them.

use faultline_model::LayerStatus;
use faultline_tests::country::cases::{Case, MARK_BEGIN, MARK_END, fixed_columns};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn cases() -> Vec<Case> {
    let mut files: Vec<PathBuf> = fs::read_dir(here("cases"))
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|name| name != "list.toml" && name != "world.toml"))
        .collect();
    files.sort();
    files.iter().map(|file| Case::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))).collect()
}

#[test]
fn the_cases_are_sound_and_cover_ooni_s_fifty_scenarios() {
    let cases = cases();
    let scenarios: BTreeSet<String> =
        cases.iter().filter_map(|case| case.ooni.as_ref()).map(|ooni| ooni.scenario.clone()).collect();
    assert_eq!(scenarios.len(), 50);
    for case in &cases {
        for expected in &case.expected {
            let is_done = matches!(
                expected.status,
                LayerStatus::Blocked | LayerStatus::Tampered | LayerStatus::Throttled
            );
            assert_eq!(is_done, expected.layer.is_some(), "{}: a layer where something is done", case.name);
        }
    }
}

#[test]
fn the_document_s_table_is_about_these_files_and_every_row_is_right() {
    let document = fs::read_to_string(here("../docs/cases.md")).expect("the document is there");
    let (_, rest) = document.split_once(MARK_BEGIN).expect("the table begins");
    let (table, _) = rest.split_once(MARK_END).expect("the table ends");
    let mut rows: BTreeSet<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    for case in cases() {
        let (first, last) = fixed_columns(&case);
        let row = rows.iter().find(|row| row.starts_with(&first) && row.ends_with(&last)).copied();
        let row = row.unwrap_or_else(|| panic!("{}: write the table anew with country cases", case.name));
        assert!(!row.contains("WRONG") && !row.contains("no measurement"), "{row}");
        rows.remove(row);
    }
    assert!(rows.is_empty(), "rows without a case: {rows:?}");
}
