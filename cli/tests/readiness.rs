//! `faultline readiness` on a small recorded folder.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

fn folder(dir: &Path) {
    let network = |asn: u32, kind: &str, share: f64| json!({"asn": asn, "name": format!("Net {asn}"), "country": "XL", "kind": kind, "user_share": share});
    let topology = json!({
        "country": "XL", "base_period_s": 600.0, "heartbeat_period_s": 120.0,
        "asns": [network(64_512, "fixed", 0.5), network(64_513, "mobile", 0.4)],
        "agents": [], "targets": [{"target": "https://one.example/", "category": "NEWS"}],
    });
    std::fs::write(dir.join("topology.json"), topology.to_string()).expect("the folder can be written");
    let mut beats = String::new();
    for (number, hour) in [(0, 9), (1, 9), (2, 9), (3, 20)] {
        let beat = json!({"agent_id": format!("a{number}"), "asn": 64_512, "at": format!("2024-01-20T{hour:02}:00:00Z")});
        writeln!(beats, "{beat}").expect("a string can be written");
    }
    std::fs::write(dir.join("heartbeats.jsonl"), beats).expect("the folder can be written");
    std::fs::write(dir.join("measurements.jsonl"), "").expect("the folder can be written");
}

fn ask(dir: &Path, more: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faultline"));
    command.args(["readiness", "XL", "--json", "--data"]).arg(dir).args(more);
    let output = command.output().expect("faultline runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn who_beat_before_a_date_decides_what_could_be_detected() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    folder(dir.path());
    let said = ask(dir.path(), &[]);
    let first = &said["providers"][0];
    assert_eq!((&first["name"], &first["agents"]), (&json!("Net 64512"), &json!(4)));
    assert_eq!(first["verdicts"][0]["detectable"], json!(true), "{first}");
    let notes = said["notes"].to_string();
    assert!(notes.contains("no mobile vantage points") && notes.contains("no baseline yet"), "{notes}");
    let earlier = ask(dir.path(), &["--at", "2024-01-20T12:00:00Z"]);
    assert_eq!(earlier["providers"][0]["agents"], json!(3));
    assert!(
        earlier["country"].to_string().contains("two volunteers more")
            || earlier["country"].to_string().contains("3 volunteers more")
    );
}
