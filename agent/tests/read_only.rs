//! The program over a disk that cannot be written: a real mount in a namespace of the test's, since no mode bits stop root.

mod support;

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use support::coordinator::{Coordinator, entry_due_soon};
use support::eventually;

const PROGRAM: &str = env!("CARGO_BIN_EXE_faultline-agent");
const TARGET: &str = "https://nowhere.example.com/";

fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("proc").uid() == 0
}

/// The program behind a mount of its home; `options` are those of the mount.
fn behind_mount(home: &Path, options: &str, arguments: &[&str]) -> Command {
    let script = "mount --bind \"$1\" \"$1\" && mount -o \"remount,bind,$2\" \"$1\" || exit 99; \
                  program=$3; home=$1; shift 3; exec \"$program\" --home \"$home\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(if is_root() { &[][..] } else { &["--user", "--map-root-user"] });
    command
        .args(["--mount", "--", "sh", "-c", script, "sh"])
        .arg(home)
        .args([options, PROGRAM])
        .args(arguments);
    command.stdin(Stdio::null());
    command
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("it ran")).await.expect("no panic")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

struct Place {
    home: PathBuf,
    _outer: tempfile::TempDir,
}

fn place() -> Place {
    let outer = tempfile::tempdir().expect("a directory");
    let home = outer.path().join("agent");
    std::fs::DirBuilder::new().mode(0o700).create(&home).expect("a home");
    Place { home, _outer: outer }
}

async fn joined(coordinator: &Coordinator) -> Place {
    let place = place();
    let invite = coordinator.invite(false).to_string();
    let joined = output(behind_mount(&place.home, "rw", &["join", &invite, "--accept-consent"])).await;
    assert!(joined.status.success(), "{}", said(&joined));
    place
}

/// Kills the program if the test fails.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_cannot_be_written_is_named_before_an_invite_is_spent_on_it() {
    let coordinator = Coordinator::start().await;
    let place = place();
    let invite = coordinator.invite(false).to_string();
    let refused = output(behind_mount(&place.home, "ro", &["join", &invite, "--accept-consent"])).await;
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let said = said(&refused);
    assert!(said.contains(&*place.home.to_string_lossy()) && said.contains("Read-only"), "{said}");
    assert!(coordinator.seen.enrolments.lock().expect("no panic").is_empty(), "nobody was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_disk_is_read_only_from_the_start_says_so_and_measures_nothing() {
    let coordinator = Coordinator::start().await;
    let place = joined(&coordinator).await;
    let ended = output(behind_mount(&place.home, "ro", &["run"])).await;
    assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
    assert!(said(&ended).contains("Read-only"), "{}", said(&ended));
    assert!(
        coordinator.seen.hellos.lock().expect("no panic").is_empty(),
        "without a ledger no limit would hold"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_turns_read_only_costs_no_measurement() {
    let coordinator = Coordinator::start().await;
    let place = joined(&coordinator).await;
    let agent = behind_mount(&place.home, "rw", &["run"]).stderr(Stdio::null()).spawn().expect("started");
    let agent = Agent(agent);
    let list = coordinator.list(1, &[TARGET], vec![]);
    coordinator.send_list(coordinator.sign(&list)).await;
    coordinator.send_schedule(1, vec![entry_due_soon(TARGET, 3_600_000)]).await;
    coordinator.confirm("before", TARGET).await;
    eventually("a measurement", || async { coordinator.seen.count() == 1 }).await;
    let mut remount = Command::new("nsenter");
    remount.args(["--target", &agent.0.id().to_string(), "--mount"]);
    if !is_root() {
        remount.args(["--user", "--preserve-credentials"]);
    }
    // The agent holds its lock open for writing, so the old mount stays below the one that takes its place.
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
    let remounted = remount.args(["--", "sh", "-c", script, "sh"]).arg(&place.home).status();
    assert!(remounted.expect("nsenter, of util-linux").success());
    coordinator.confirm("after", TARGET).await;
    eventually("another measurement", || async { coordinator.seen.count() == 2 }).await;
}
