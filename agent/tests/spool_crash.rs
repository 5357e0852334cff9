//! The spool of a process that is killed at any moment.

use faultline_agent::spool::{Bounds, Spool};
use faultline_proto::agent as wire;
use faultline_runtime::now;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const CHILD: &str = "FAULTLINE_SPOOL_CHILD";

/// Not a test of its own: the process that the other test kills. It names each measurement once it is in the spool.
#[test]
fn a_child_that_fills_a_spool() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let bounds = Bounds { segment_bytes: 4096, ..Bounds::default() };
    let mut spool = Spool::open(Path::new(&dir), bounds).expect("a spool");
    let first = spool.len();
    for number in first.. {
        let measurement = wire::Measurement {
            id: format!("m{}-{number}", std::process::id()),
            target: "https://x.com/".repeat(number % 40 + 1),
            started_at_ms: now().unix_ms(),
            ..Default::default()
        };
        spool.append(&measurement, now());
        writeln!(std::io::stdout(), "kept {} whole", measurement.id).expect("a reader");
    }
}

#[test]
fn what_was_kept_before_a_kill_is_there_after_it() {
    let outer = tempfile::tempdir().expect("a directory");
    let dir = outer.path().join("spool");
    let mut kept = BTreeSet::new();
    for round in 0..15 {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--exact", "a_child_that_fills_a_spool", "--nocapture"])
            .env(CHILD, &dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let wanted = 1 + round * 7;
        let mut seen = 0;
        while seen < wanted {
            let line = lines.next().expect("a line").expect("readable");
            if let Some(id) = id_in(&line) {
                kept.insert(id);
                seen += 1;
            }
        }
        child.kill().expect("killed");
        child.wait().expect("gone");
        // What it still managed to say before it died counts too.
        kept.extend(lines.map_while(Result::ok).filter_map(|line| id_in(&line)));
    }
    let mut spool = Spool::open(&dir, Bounds::default()).expect("a spool");
    let held: BTreeSet<String> = spool.batch(usize::MAX).into_iter().map(|(_, m)| m.id).collect();
    let lost: Vec<&String> = kept.difference(&held).collect();
    assert!(kept.len() >= 700 && lost.is_empty(), "{} kept, lost {lost:?}", kept.len());
}

/// The last line can be torn; only a whole one counts.
fn id_in(line: &str) -> Option<String> {
    line.split_once("kept ")?.1.strip_suffix(" whole").map(str::to_owned)
}
