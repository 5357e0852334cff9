//! `faultline judge` and `faultline export` as people run them, and on OONI's own cases where they are at hand.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn faultline(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_faultline"))
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    // A program that needs no input may have ended already.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Finds data by others, which lie outside the repository; `FAULTLINE_DATA` names their folder.
fn data(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os("FAULTLINE_DATA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = named.unwrap_or(beside).join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: there is no {}; name the folder of the data in FAULTLINE_DATA", path.display());
    None
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of letters")
}

/// A measurement of ours; the handshake fails unless it is a control's.
fn ours(id: &str, failure: Option<&str>) -> String {
    let failure = failure.map(|failure| format!(r#""failure":"{failure}","#)).unwrap_or_default();
    let page = if failure.is_empty() {
        r#",{"layer":"http","at_ms":60,"took_ms":20,"fact":{"kind":"http","url":"https://www.facebook.com/","status":200,"body_bytes":9,"is_truncated":false,"body_sha256":"","title":"","location":"","server":""}}"#
    } else {
        ""
    };
    format!(
        r#"{{"id":"{id}","check":"web","target":"https://www.facebook.com/","depth":"light","why":"routine","token":null,"list_version":0,"started_at":"2024-01-20T13:40:00Z","duration_ms":90,"observations":[{{"layer":"dns","at_ms":0,"took_ms":5,"fact":{{"kind":"dns","hostname":"www.facebook.com","addresses":["157.240.0.35"]}}}},{{"layer":"tcp","peer":"157.240.0.35:443","at_ms":5,"took_ms":20,"fact":{{"kind":"none"}}}},{{"layer":"tls","peer":"157.240.0.35:443","at_ms":25,"took_ms":31,{failure}"fact":{{"kind":"tls","server_name":"www.facebook.com","version":"","alpn":"","certificate_sha256":"","certificate_issuer":""}}}}{page}]}}"#
    )
}

#[test]
fn a_printed_check_is_judged_beside_a_control_and_never_without_one() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let control = folder.path().join("control.json");
    std::fs::write(&control, ours("c1", None)).expect("written");
    let blocked = ours("m1", Some("connection_reset"));
    let alone = faultline(&["judge", "-"], &blocked);
    assert!(
        alone.status.success() && said(&alone).contains("insufficient (tls_reset, tls.reset.sni)"),
        "{alone:?}"
    );
    let beside = faultline(&["judge", "-", "--control", text(&control)], &blocked);
    let line = said(&beside);
    assert!(
        line.contains("web https://www.facebook.com/: blocked tls@0 (tls_reset, tls.reset.sni)"),
        "{line}"
    );
    assert!(
        line.contains("connection_reset for www.facebook.com at 157.240.0.35:443 after 31 ms; 1 control"),
        "{line}"
    );
    let json = faultline(&["judge", "-", "--json", "--control", text(&control)], &blocked);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("one object");
    assert_eq!((&value["id"], &value["judgement"]["status"]), (&"m1".into(), &"blocked".into()));
}

#[test]
fn bad_input_is_counted_and_a_missing_file_has_its_own_exit_code() {
    let mixed = format!("{}\nnonsense\n{{\"test_name\":\"ndt\"}}\n", ours("m1", None));
    let output = faultline(&["judge", "-"], &mixed);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 measurement judged, 1 not imported, 1 bad object"), "{text}");
    assert!(text.contains("1 not imported: no check for the test ndt"), "{text}");
    assert_eq!(faultline(&["judge", "-"], "nonsense\n").status.code(), Some(65));
    assert_eq!(faultline(&["judge", "/nonexistent/file"], "").status.code(), Some(66));
    assert_eq!(faultline(&["judge", "-", "--control", "/nonexistent/file"], "").status.code(), Some(66));
    assert_eq!(faultline(&["judge", "-", "--fingerprints", "/nonexistent"], "").status.code(), Some(66));
    assert_eq!(faultline(&["judge"], "").status.code(), Some(2));
}

#[test]
fn fingerprints_of_a_folder_are_told_and_used() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let rows = "name,scope,other_names,location_found,pattern_type,pattern,confidence_no_fp,expected_countries,source,exp_url,notes\nx.1,nat,,dns,full,157.240.0.35,5,,,,\nx.2,nat,,body,regexp,(,5,,,,\n";
    std::fs::write(folder.path().join("fingerprints_dns.csv"), rows).expect("written");
    let output = faultline(
        &["judge", "-", "--fingerprints", text(folder.path())],
        &ours("m1", Some("ssl_unknown_authority")),
    );
    let line = said(&output);
    assert!(line.contains("fingerprints_dns.csv: 1 patterns, 1 left out"), "{line}");
    assert!(line.contains("insufficient (dns_injected, dns.forged.known)"), "{line}");
}

#[test]
fn what_is_exported_for_oonis_tools_is_judged_the_same_when_it_is_read_back() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let control = folder.path().join("control.json");
    std::fs::write(&control, ours("c1", None)).expect("written");
    let arguments =
        ["export", "--ooni", "-", "--country", "pk", "--asn", "23674", "--control", text(&control)];
    let output = faultline(&arguments, &ours("m1", Some("connection_reset")));
    assert!(output.status.success(), "{output:?}");
    let line = String::from_utf8(output.stdout).expect("text");
    assert!(line.contains(r#""probe_cc":"PK""#) && line.contains(r#""probe_asn":"AS23674""#), "{line}");
    let judged = said(&faultline(&["judge", "--ooni", "-"], &line));
    assert!(judged.contains("blocked tls@0 (tls_reset, tls.reset.sni)"), "{judged}");
    assert_eq!(faultline(&["export", "--ooni", "-"], "nonsense\n").status.code(), Some(65));
}

/// OONI's own cases, as far as they are at hand, judged from their measurements alone. What is known to differ from the
/// truth is named here, so that nothing else does unnoticed.
#[test]
fn oonis_own_cases_agree_with_the_truth() {
    let Some(folder) = data("ooni/measurements") else { return };
    let truth = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ooni-cases.csv");
    let output = faultline(&["judge", "--ooni", text(&folder), "--table", "--truth", text(&truth)], "");
    let table = String::from_utf8(output.stdout.clone()).expect("text");
    println!("{table}");
    assert!(output.status.success(), "{}", said(&output));
    let differing: Vec<&str> = table
        .lines()
        .filter(|line| line.ends_with("DIFFERS"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(differing, KNOWN_TO_DIFFER);
    assert_eq!(table.lines().filter(|line| line.ends_with("agrees")).count() + differing.len(), 25);
}

/// OONI's helper was served a page where its probe was sent to nowhere: too little to say, though no false alarm. And
/// that a line is slowed shows in a timed download beside another, of which OONI's test has neither.
const KNOWN_TO_DIFFER: [&str; 2] = ["redirectWithBrokenLocationForHTTP", "throttlingWithHTTPS"];

#[test]
fn real_malformed_measurements_are_judged_or_counted_and_none_is_blocked_without_a_control() {
    let Some(folder) = data("ooni/malformed") else { return };
    let output = faultline(&["judge", "--ooni", text(&folder), "--json"], "");
    let told = said(&output);
    println!("{told}");
    assert!(output.status.success() && !told.contains("panicked"), "{told}");
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let is_blocked = value["judgement"]["status"] == "blocked";
        assert!(!is_blocked || value["controls"] != 0, "{line}");
    }
}
