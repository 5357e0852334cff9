//! After an incident opened, the coordinator has two agents find out which thing is blocked; where measuring is dangerous,
//! nobody.
//!
//! `cargo build --workspace --bins` puts the programs beside `country`; `./test` does that first.

use faultline_tests::country::launch::namespace_options;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Runs a scenario; returns its result, and who was asked to diagnose what, by the store.
fn run(name: &str) -> Option<(Value, Vec<(String, String)>)> {
    if let Err(error) = namespace_options() {
        eprintln!("SKIPPED: {error}");
        return None;
    }
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    let work = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_country"));
    command.arg("run").arg(scenario).args(["--quiet", "--json", "-", "--http", "127.0.0.1:0", "--work"]);
    let output = command.arg(work.path()).output().expect("the country runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    let result =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("no result ({e}): {errors}"));
    let store = work.path().join("coordinator/faultline.sqlite");
    let store = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    let mut query = store
        .prepare("SELECT agent, target FROM measurement WHERE \"check\" = 'diagnose' ORDER BY position")
        .expect("a query");
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    Some((result, rows.map(|row| row.expect("a row")).collect()))
}

#[test]
fn an_open_incident_is_diagnosed_by_two_agents_at_most_and_the_name_is_found() {
    let Some((result, asked)) = run("diagnose.toml") else { return };
    let incident = result["incidents"][0]["id"].as_str().expect("an incident");
    let diagnoses = result["diagnoses"].as_array().cloned().unwrap_or_default();
    assert!(!diagnoses.is_empty(), "nobody diagnosed: {result}");
    for one in &diagnoses {
        assert_eq!(one["rule"], "diagnose.sni", "{one}");
        assert_eq!((&one["status"], &one["operator"]), (&"blocked".into(), &"Nayatel".into()));
        assert_eq!(one["incident"], incident, "linked to the incident: {one}");
        assert!(one["parent"].is_string(), "linked to the measurement that it explains: {one}");
    }
    let agents: BTreeSet<&String> = asked.iter().map(|(agent, _)| agent).collect();
    assert!((1..=2).contains(&asked.len()), "{asked:?}");
    assert!(agents.len() == asked.len() && asked.iter().all(|(_, target)| target == "https://x.com/"));
}

#[test]
fn nobody_diagnoses_where_measuring_is_dangerous() {
    let Some((result, asked)) = run("diagnose-risky.toml") else { return };
    assert!(result["incidents"][0]["id"].is_string(), "there is an incident: {result}");
    assert_eq!(asked, [], "nobody was asked");
    assert!(result.get("diagnoses").is_none());
}
