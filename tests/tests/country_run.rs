//! A run's own work: programs up, timeline through, result out, programs down. Faultline's programs are stood in for
//! by scripts here, so that nothing but the run is tested; the real ones are in `end_to_end.rs`.

use faultline_tests::country::launch::namespace_options;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const COUNTRY: &str = env!("CARGO_BIN_EXE_country");

const COORDINATOR: &str = r#"echo '{"ready":true}'; exec sleep 3600"#;
const AGENT: &str = r#"case "$3" in join) ;; run) exec sleep 3600 ;; *) exit 2 ;; esac"#;
const CLI: &str = r#"shift 2
case "$1" in
  invite) n=1; while [ $# -gt 0 ]; do [ "$1" = --count ] && n=$2; shift; done
          while [ "$n" -gt 0 ]; do echo "invite-$n"; n=$((n - 1)); done ;;
  agents) echo '{"agents":[{"connected":true},{"connected":true},{"connected":true},{"connected":true},{"connected":true}]}' ;;
  baseline) echo '[{"target":"https://x.com/"}]' ;;
esac"#;

/// Notes every start beside itself.
const NOTES: &str = r#"echo "$0 $3" >>"${0%/*}/starts"; case "$3" in join) ;; *) exec sleep 3600 ;; esac"#;

/// Fails to join the first two times, as on a machine that is too busy for its network. A folder is made by one alone,
/// whoever joins at the same moment.
const LATECOMER: &str = r#"case "$3" in
  join) echo try >>"${0%/*}/tries"
        for folder in first second; do
          if mkdir "${0%/*}/$folder" 2>/dev/null; then echo 'no route to host' >&2; exit 1; fi
        done ;;
  run) exec sleep 3600 ;;
esac"#;

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

/// A folder with stand-ins for the programs.
fn programs(coordinator: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, script) in
        [("faultline-coordinator", coordinator), ("faultline", CLI), ("faultline-agent", AGENT)]
    {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }
    folder
}

fn scenario() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/short.toml")
}

fn command(programs: &Path, arguments: &[&str]) -> Command {
    run(&scenario(), programs, arguments)
}

fn run(scenario: &Path, programs: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(COUNTRY);
    command.arg("run").arg(scenario).arg("--programs").arg(programs).args(["--http", "127.0.0.1:0"]);
    command.args(arguments);
    command
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_run_writes_what_was_true_and_what_was_said() {
    if !is_possible() {
        return;
    }
    let programs = programs(COORDINATOR);
    let output = command(programs.path(), &["--json", "-"]).output().expect("runs");
    assert!(output.status.success(), "{}", errors(&output));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let truth = &result["truth"];
    assert_eq!(
        (truth["schema"].as_str(), truth["kind"].as_str()),
        (Some("faultline-truth/1"), Some("short"))
    );
    assert_eq!(truth["incidents"][0]["asns"], serde_json::json!([23674]));
    assert_eq!(truth["incidents"][0]["end"], serde_json::Value::Null, "the block outlasts the run");
    assert_eq!(result["incidents"], serde_json::json!([]));
    assert!(
        errors(&output).contains("Nayatel (AS23674): TLS reset by server name: X\n"),
        "{}",
        errors(&output)
    );
}

#[test]
fn a_missed_incident_is_judged_as_missed() {
    if !is_possible() {
        return;
    }
    let programs = programs(COORDINATOR);
    let result = programs.path().join("result.json");
    let status = command(programs.path(), &["--quiet", "--json", &result.to_string_lossy()]).status();
    assert!(status.expect("runs").success());
    let output = Command::new(COUNTRY).arg("score").arg(&result).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("T1 isp_block: said nothing") && text.ends_with("FAIL, 0 withdrawn\n"), "{text}");
    assert!(!output.status.success());
}

#[test]
fn a_baseline_is_recorded_into_its_file() {
    if !is_possible() {
        return;
    }
    let programs = programs(COORDINATOR);
    let file = programs.path().join("baseline.json");
    let status =
        command(programs.path(), &["--quiet", "--record-baseline", &file.to_string_lossy()]).status();
    assert!(status.expect("runs").success());
    assert!(fs::read_to_string(&file).expect("written").contains("https://x.com/"));
}

#[test]
fn a_run_that_is_interrupted_stops_in_order() {
    if !is_possible() {
        return;
    }
    let programs = programs(COORDINATOR);
    let mut outer = command(programs.path(), &["--keep"]).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(outer.stderr.take().expect("piped"));
    let mut said = String::new();
    while !said.contains("until Ctrl-C") {
        assert_ne!(lines.read_line(&mut said).expect("reads"), 0, "{said}");
    }
    let id = outer.id().to_string();
    assert!(Command::new("sh").args(["-c", "kill -INT \"$0\"", &id]).status().expect("kill runs").success());
    lines.read_to_string(&mut said).expect("the end of standard error is the end of all processes");
    assert!(outer.wait().expect("waits").success(), "{said}");
}

#[test]
fn a_program_that_fails_is_quoted() {
    if !is_possible() {
        return;
    }
    let programs = programs("echo 'the configuration is bad' >&2; exit 78");
    let output = command(programs.path(), &[]).output().expect("runs");
    assert!(!output.status.success());
    assert!(errors(&output).contains("the configuration is bad"), "{}", errors(&output));
}

#[test]
fn an_agent_that_cannot_join_at_once_tries_again() {
    if !is_possible() {
        return;
    }
    let programs = programs(COORDINATOR);
    fs::write(programs.path().join("faultline-agent"), format!("#!/bin/sh\n{LATECOMER}\n")).expect("written");
    let output = command(programs.path(), &["--json", "-"]).output().expect("runs");
    assert!(output.status.success(), "{}", errors(&output));
    assert!(errors(&output).contains("try again") && errors(&output).contains("no route to host"));
    let tries = fs::read_to_string(programs.path().join("tries")).expect("written");
    assert!(tries.lines().count() > 4, "three agents and a control joined, two of them late: {tries}");
}

#[test]
fn who_has_no_power_is_killed_and_started_again_when_it_is_back() {
    if !is_possible() {
        return;
    }
    let programs = programs(r#"echo coordinator >>"${0%/*}/starts"; echo '{"ready":true}'; exec sleep 3600"#);
    fs::write(programs.path().join("faultline-agent"), format!("#!/bin/sh\n{NOTES}\n")).expect("written");
    let dark = scenario().with_file_name("dark.toml");
    let output = run(&dark, programs.path(), &["--json", "-"]).output().expect("runs");
    assert!(output.status.success(), "{}", errors(&output));
    let starts = fs::read_to_string(programs.path().join("starts")).expect("written");
    let count = |what: &str| starts.lines().filter(|line| line.ends_with(what)).count();
    assert_eq!(count("coordinator"), 2, "{starts}");
    assert_eq!(count(" run"), 5 + 3, "four agents and a control, three of them twice: {starts}");
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let verdicts: Vec<_> =
        result["truth"]["incidents"].as_array().into_iter().flatten().map(|i| i["verdict"].clone()).collect();
    assert_eq!(verdicts, ["regional_outage", "coordinator_outage"]);
}

#[test]
fn a_missing_program_is_named() {
    if !is_possible() {
        return;
    }
    let programs = tempfile::tempdir().expect("a folder");
    let output = command(programs.path(), &[]).output().expect("runs");
    assert!(errors(&output).contains("faultline-coordinator is missing; build it"), "{}", errors(&output));
}

#[test]
fn a_taken_port_is_told_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = Command::new(COUNTRY).arg("run").arg(scenario()).args(["--http", &address]).output();
    let text = errors(&output.expect("runs"));
    assert!(text.contains(&address) && text.contains("--http 127.0.0.1:"), "{text}");
}
