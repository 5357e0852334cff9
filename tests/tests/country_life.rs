//! A country leaves nothing behind, whoever is killed, as root and as an ordinary user.

use faultline_tests::country::launch::namespace_options;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const COUNTRY: &str = env!("CARGO_BIN_EXE_country");
const PATIENCE: Duration = Duration::from_secs(30);
/// The user and group `nobody`, who own nothing.
const NOBODY: &str = "65534";
const MARK: &str = "FAULTLINE_TEST_MARK";

/// A country in which somebody waits.
struct Waiting {
    outer: Child,
    mark: String,
    temporary: tempfile::TempDir,
}

impl Waiting {
    fn start(mark: &str) -> Self {
        let mark = format!("{mark}-{}", std::process::id());
        let temporary = tempfile::tempdir().expect("a folder");
        let mut outer = shell(Path::new(COUNTRY), &scenario(), &["sh", "-c", "echo here; exec sleep 3600"])
            .env(MARK, &mark)
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the country starts");
        let mut line = String::new();
        BufReader::new(outer.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        assert_eq!(line, "here\n");
        Self { outer, mark, temporary }
    }

    /// Returns the ids of the processes that the mark was handed down to, with their command lines.
    fn processes(&self) -> Vec<(u32, String)> {
        let mark = format!("{MARK}={}\0", self.mark);
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("proc is mounted").flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment.windows(mark.len()).any(|window| window == mark.as_bytes()) {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push((id, String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        found
    }

    fn id(&self, part: &str) -> u32 {
        let processes = self.processes();
        let found = processes.iter().find(|(_, line)| line.contains(part));
        found.unwrap_or_else(|| panic!("no {part:?} among {processes:#?}")).0
    }

    /// Waits until the last process that could still write is gone, and looks for what is left.
    fn assert_vanishes(mut self) {
        let mut errors = self.outer.stderr.take().expect("piped");
        let (sender, receiver) = mpsc::channel();
        // Every process of the country holds the other end of standard error; its end is their end.
        thread::spawn(move || sender.send(errors.read_to_end(&mut Vec::new())));
        receiver.recv_timeout(PATIENCE).expect("all processes end in time").expect("reads");
        self.outer.wait().expect("the outer process has ended");
        assert_eq!(self.processes(), []);
        assert_eq!(fs::read_dir(self.temporary.path()).expect("a folder").count(), 0, "temporary files");
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
        assert!(!mounts.lines().any(|line| line.starts_with("country ")), "{mounts}");
        let names = fs::read_dir("/run/netns").map_or(0, |names| {
            names.flatten().filter(|name| name.file_name().to_string_lossy().starts_with("p23674")).count()
        });
        assert_eq!(names, 0, "named namespaces");
    }
}

fn scenario() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/censors.toml")
}

fn shell(country: &Path, scenario: &Path, command: &[&str]) -> Command {
    let mut shell = Command::new(country);
    shell.arg("shell").arg(scenario).args(["--provider", "Resets", "--"]).args(command);
    shell
}

fn signal(name: &str, id: u32) {
    let status = Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", name, &id.to_string()]).status();
    assert!(status.expect("kill runs").success());
}

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

#[test]
fn nothing_is_left_when_the_outer_process_is_killed() {
    if is_possible() {
        let waiting = Waiting::start("outer");
        signal("KILL", waiting.outer.id());
        waiting.assert_vanishes();
    }
}

#[test]
fn nothing_is_left_when_unshare_is_killed() {
    if is_possible() {
        let waiting = Waiting::start("unshare");
        signal("KILL", waiting.id("--kill-child"));
        waiting.assert_vanishes();
    }
}

#[test]
fn nothing_is_left_when_the_first_process_is_killed() {
    if is_possible() {
        let waiting = Waiting::start("first");
        let inside =
            waiting.processes().into_iter().find(|(_, line)| line.trim_end() == format!("{COUNTRY} inside"));
        signal("KILL", inside.expect("the first process").0);
        waiting.assert_vanishes();
    }
}

#[test]
fn nothing_is_left_after_ctrl_c() {
    if is_possible() {
        let waiting = Waiting::start("interrupt");
        signal("INT", waiting.outer.id());
        waiting.assert_vanishes();
    }
}

#[test]
fn nothing_is_left_when_a_command_has_ended() {
    if is_possible() {
        let status = shell(Path::new(COUNTRY), &scenario(), &["sh", "-c", "exit 3"]).status().expect("runs");
        assert_eq!(status.code(), Some(3), "the command's code is the shell's");
    }
}

#[test]
fn an_ordinary_user_has_a_country_too() {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_possible() || !is_root {
        // Whoever is no root runs all other tests as an ordinary user anyway.
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::copy(COUNTRY, at("country")).expect("copied");
    for name in ["censors.toml", "links.toml", "list.toml"] {
        fs::copy(scenario().with_file_name(name), at(name)).expect("copied");
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("readable by all");
    let trial = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
    let allowed = Command::new("setpriv").args(trial).args(["unshare", "--user", "--net", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: ordinary users may not make namespaces here");
        return;
    }
    let country = at("country");
    let program = country.to_str().expect("a path");
    // The second one has IPv6 and links with a rate.
    for (file, family) in [("censors.toml", None), ("links.toml", Some("--six"))] {
        let mut visit = vec![program, "visit"];
        visit.extend(family);
        visit.extend(["https://x.com/", "https://example.com/"]);
        let shell = shell(&country, &at(file), &visit);
        let mut command = Command::new("setpriv");
        let output = command.args(trial).arg(shell.get_program()).args(shell.get_args()).output();
        let output = output.expect("runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("\"reset\"") && text.contains("200 OK"), "{file}: {text}{errors}");
    }
}
