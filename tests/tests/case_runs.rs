//! The cases on real traffic: OONI's fifty scenarios and our own, each in a small country of its own.

use faultline_tests::country::launch::namespace_options;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What decides these is a pace, which a machine that runs all tests at once cannot promise.
const OF_PACE: &[&str] = &["throttled.toml", "throttling-http.toml", "throttling-https.toml"];

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let all = fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    let is_case = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        !["list.toml", "world.toml"].contains(&name) && !OF_PACE.contains(&name)
    };
    all.filter(is_case).collect()
}

#[test]
fn each_case_is_judged_as_what_was_done_to_it() {
    if let Err(error) = namespace_options() {
        eprintln!("SKIPPED: {error}");
        return;
    }
    let country = env!("CARGO_BIN_EXE_country");
    let agent = Path::new(country).with_file_name("faultline-agent");
    assert!(agent.exists(), "build it first: cargo build --workspace --bins");
    let output = Command::new(country).arg("cases").args(files()).args(["--jobs", "3"]).output();
    let output = output.expect("country runs");
    let text = String::from_utf8_lossy(&output.stderr);
    let wrong: Vec<&str> = text.lines().filter(|line| !line.starts_with("right ")).collect();
    assert!(output.status.success() && text.contains("0 false alarms"), "{}", wrong.join("\n"));
}
