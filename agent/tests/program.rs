//! The program as a volunteer meets it.

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use support::coordinator::{Coordinator, entry_due_soon};
use support::eventually;

const PROGRAM: &str = env!("CARGO_BIN_EXE_faultline-agent");

fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--home").arg(home).args(arguments).stdin(Stdio::null());
    command
}

async fn run(home: &Path, arguments: &[&str]) -> Output {
    let mut command = command(home, arguments);
    tokio::task::spawn_blocking(move || command.output().expect("it ran")).await.expect("no panic")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn status(home: &Path) -> Value {
    let output = run(home, &["status", "--json"]).await;
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A home that is not there yet.
struct Place {
    home: PathBuf,
    _outer: tempfile::TempDir,
}

fn place() -> Place {
    let outer = tempfile::tempdir().expect("a directory");
    Place { home: outer.path().join("agent"), _outer: outer }
}

/// Kills the program if the test fails.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn joined(coordinator: &Coordinator) -> Place {
    let place = place();
    let invite = coordinator.invite(false).to_string();
    let output = run(&place.home, &["join", &invite, "--accept-consent"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    place
}

fn start(home: &Path) -> Agent {
    Agent(command(home, &["run"]).stderr(Stdio::null()).spawn().expect("started"))
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_needs_consent_and_says_what_it_means() {
    let coordinator = Coordinator::start().await;
    let place = place();
    let invite = coordinator.invite(false).to_string();
    let output = run(&place.home, &["join", &invite]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).contains("We cannot protect you legally"));
    assert!(text(&output.stderr).contains("--accept-consent"));
    assert!(!place.home.exists(), "nothing was made");
    assert!(coordinator.seen.enrolments.lock().expect("no panic").is_empty(), "nothing was sent");
    let output = run(&place.home, &["join", &invite, "--accept-consent", "--budget", "small"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let enrolment = coordinator.seen.enrolments.lock().expect("no panic")[0].clone();
    assert_eq!(
        (enrolment.control, enrolment.budget, enrolment.check_kinds.as_slice()),
        (false, 2, &["web".to_owned()][..])
    );
    assert!(!enrolment.consent_version.is_empty());
    let again = run(&place.home, &["join", &invite, "--accept-consent"]).await;
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("leave first"), "{}", text(&again.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_needs_its_own_invite_and_no_consent() {
    let coordinator = Coordinator::start().await;
    let (control, volunteer) = (coordinator.invite(true).to_string(), coordinator.invite(false).to_string());
    let place = place();
    assert_eq!(run(&place.home, &["join", &control, "--accept-consent"]).await.status.code(), Some(2));
    assert_eq!(run(&place.home, &["join", &volunteer, "--control"]).await.status.code(), Some(2));
    let output = run(&place.home, &["join", &control, "--control"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let enrolment = coordinator.seen.enrolments.lock().expect("no panic")[0].clone();
    assert!(enrolment.control && enrolment.consent_version.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_invite_and_an_absent_coordinator_are_explained() {
    let place = place();
    let output = run(&place.home, &["join", "hello", "--accept-consent"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("flt1-"));
    let mut coordinator = Coordinator::start().await;
    let invite = coordinator.invite(false).to_string();
    coordinator.kill().await;
    let output = run(&place.home, &["join", &invite, "--accept-consent"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains(&coordinator.address) && said.contains("try again"), "{said}");
    assert!(!place.home.join("agent.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_runs_pauses_resumes_and_leaves_nothing_behind() {
    let coordinator = Coordinator::start().await;
    let place = joined(&coordinator).await;
    let mut agent = start(&place.home);
    let list = coordinator.list(1, &["https://nowhere.example.com/"], vec![]);
    coordinator.send_list(coordinator.sign(&list)).await;
    coordinator.send_schedule(1, vec![entry_due_soon("https://nowhere.example.com/", 60_000)]).await;
    coordinator.confirm("first", "https://nowhere.example.com/").await;
    eventually("a measurement", || async { coordinator.seen.count() > 0 }).await;
    eventually("its status", || async {
        let status = status(&place.home).await;
        status["is_running"] == true && status["report"]["since_start"]["uploaded"].as_u64() > Some(0)
    })
    .await;
    let second = run(&place.home, &["run"]).await;
    assert!(text(&second.stderr).contains("another agent"), "{}", text(&second.stderr));
    let words = text(&run(&place.home, &["status"]).await.stdout);
    assert!(words.contains("Connection   open") && words.contains("Budget"), "{words}");
    assert!(words.contains("nowhere"), "what was measured is shown from memory: {words}");
    assert!(run(&place.home, &["pause"]).await.status.success());
    eventually("the pause", || async { status(&place.home).await["report"]["is_paused"] == true }).await;
    assert!(run(&place.home, &["resume"]).await.status.success());
    eventually("the end of the pause", || async {
        status(&place.home).await["report"]["is_paused"] == false
    })
    .await;
    assert_eq!(run(&place.home, &["leave"]).await.status.code(), Some(2), "not without being asked");
    let output = run(&place.home, &["leave", "--yes"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(agent.0.wait().expect("it ended").success());
    assert!(!place.home.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_agent_in_order_also_while_cut_off() {
    let mut coordinator = Coordinator::start().await;
    let place = joined(&coordinator).await;
    let mut agent = start(&place.home);
    eventually("a hello", || async { !coordinator.seen.hellos.lock().expect("no panic").is_empty() }).await;
    coordinator.kill().await;
    let begin = Instant::now();
    let pid = agent.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("sent").success());
    let ended =
        tokio::task::spawn_blocking(move || agent.0.wait().expect("it ended")).await.expect("no panic");
    assert!(ended.success() && begin.elapsed() < Duration::from_secs(5), "{ended} {:?}", begin.elapsed());
    assert_eq!(status(&place.home).await["is_running"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_sends_what_it_had_kept_once_it_is_started_again() {
    let mut coordinator = Coordinator::start().await;
    let place = joined(&coordinator).await;
    let agent = start(&place.home);
    let list = coordinator.list(1, &["https://nowhere.example.com/"], vec![]);
    coordinator.send_list(coordinator.sign(&list)).await;
    coordinator.seen.answers_to_lose.store(1000, Ordering::SeqCst);
    coordinator.confirm("first", "https://nowhere.example.com/").await;
    eventually("a try", || async { coordinator.seen.arrivals.load(Ordering::SeqCst) > 0 }).await;
    drop(agent);
    coordinator.kill().await;
    coordinator.seen.stored.lock().expect("no panic").clear();
    coordinator.seen.answers_to_lose.store(0, Ordering::SeqCst);
    coordinator.resume().await;
    let _agent = start(&place.home);
    eventually("the measurement", || async { coordinator.seen.count() == 1 }).await;
    assert_eq!(coordinator.seen.measurements()[0].token, "first");
}

#[tokio::test]
async fn a_check_needs_no_state_prints_facts_and_does_not_judge() {
    let place = place();
    for bad in ["ftp://x.com/", "https://192.168.1.1/", "https://x.com:22/", "not a url"] {
        let output = run(&place.home, &["check", bad]).await;
        assert_eq!(output.status.code(), Some(2), "{bad}");
    }
    // The name exists nowhere, so that the check ends at DNS with or without a network.
    let arguments = ["check", "https://faultline.invalid/", "--resolver-udp", "127.0.0.1:53"];
    let doh = ["--resolver-doh", "https://dns.invalid/dns-query@127.0.0.1"];
    let output = run(&place.home, &[&arguments[..], &doh].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(
        said.contains("system resolver") && said.contains("They do not say whether anything is blocked"),
        "{said}"
    );
    assert!(!said.contains('\u{1b}'), "no colours into a pipe");
    let output = run(&place.home, &[&arguments[..], &doh, &["--json"]].concat()).await;
    let fact: faultline_model::Measurement = serde_json::from_slice(&output.stdout).expect("a measurement");
    assert!(fact.observations[0].failure.is_some() && fact.observations[0].peer.is_none());
    let denied = &fact.observations[1..];
    assert!(
        denied.iter().all(|step| step.failure == Some(faultline_model::Failure::AddressDenied)),
        "{denied:?}"
    );
    assert!(!place.home.exists());
}

#[test]
fn no_program_makes_the_rules_of_a_test_network() {
    let mut files = vec![];
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let makers: Vec<_> = files
        .iter()
        .filter(|path| std::fs::read_to_string(path).expect("readable").contains("for_test_network"))
        .map(|path| path.file_name().expect("a name").to_owned())
        .collect();
    assert_eq!(makers, ["address.rs"], "it is defined there and used by tests alone");
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
