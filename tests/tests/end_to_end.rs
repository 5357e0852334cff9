//! The whole path with the real programs: a provider blocks X, and the incident says so.
//!
//! `cargo build --workspace --bins` puts the programs beside `country`; `./test` does that first.

use faultline_tests::country::launch::namespace_options;
use faultline_tests::country::score::{RunResult, score};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const COUNTRY: &str = env!("CARGO_BIN_EXE_country");

/// Says whether this machine allows namespaces; without them there is no country to test.
fn is_possible() -> bool {
    match namespace_options() {
        Ok(_) => true,
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            false
        }
    }
}

/// Runs the quick scenario and returns its result object.
fn run(arguments: &[&str]) -> Value {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/quick.toml");
    let mut command = Command::new(COUNTRY);
    command.arg("run").arg(scenario).args(["--http", "127.0.0.1:0", "--json", "-"]).args(arguments);
    let output = command.output().expect("the country runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    println!("{errors}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn assert_right(result: Value) {
    let result: RunResult = serde_json::from_value(result).expect("a result");
    let score = score(&result);
    println!("{score}");
    assert!(score.false_incidents.is_empty(), "{score}");
    let [row] = score.rows.as_slice() else { panic!("one incident is true: {score}") };
    assert!(row.said == Some(row.verdict) && row.asns_right && row.targets_right, "{score}");
}

#[test]
fn a_block_at_one_provider_is_said_to_be_one() {
    if is_possible() {
        assert_right(run(&[]));
    }
}

#[test]
fn what_was_acknowledged_survives_power_cuts_and_the_verdict_still_comes() {
    if !is_possible() {
        return;
    }
    let result = run(&["--chaos", "8", "--seed", "4"]);
    let chaos = &result["chaos"];
    assert_eq!(chaos["kills"].as_array().map(Vec::len), Some(8), "{chaos}");
    assert!(chaos["acknowledged"].as_u64().is_some_and(|count| count > 0), "{chaos}");
    assert_eq!((&chaos["missing"], &chaos["doubled"]), (&Value::Array(vec![]), &Value::from(0)), "{chaos}");
    assert_right(result);
}
