//! `faultline replay`: recorded data through the same detection as live measurements.
//!
//! The folder holds `measurements.jsonl`, `topology.json` and perhaps `heartbeats.jsonl`, plain or gzipped.
//! Rows are streamed, so that a day of many agents needs no more memory than the detector itself.

use crate::arguments::ReplayArguments;
use crate::output::{counted, grouped, print};
use crate::trouble::{Exit, Trouble};
use anyhow::{Context, Result};
use faultline_analysis::replay::{Output, Row, Topology};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MAX_LINE_BYTES: u64 = 64 * 1024;
const MAX_TOPOLOGY_BYTES: u64 = 64 << 20;
const MAX_REPORTED: u64 = 10;

pub(super) fn run(arguments: &ReplayArguments) -> Result<()> {
    let dir = &arguments.dir;
    let topology = read_topology(dir)?;
    let beats = count_heartbeats(dir)?;
    let path = find(dir, "measurements.jsonl")?.ok_or_else(|| {
        Trouble::new(
            Exit::Data,
            format!("{} has no measurements.jsonl or measurements.jsonl.gz", dir.display()),
        )
    })?;
    let mut lines = Lines::<Row>::open(&path)?;
    let output = faultline_analysis::replay::run(&topology, &mut lines)
        .map_err(|e| Trouble::new(Exit::Data, "topology.json cannot be used").source(e))?;
    lines.finish()?;
    write(&arguments.out, &output)?;
    let skipped = lines.bad;
    anstream::eprintln!(
        "{}, {}, {}{}",
        counted(lines.good, "measurement"),
        counted(beats, "heartbeat"),
        counted(output.incidents.len() as u64, "incident"),
        if skipped == 0 { String::new() } else { format!("; {} skipped", counted(skipped, "bad line")) }
    );
    Ok(())
}

/// Writes the result whole or not at all.
fn write(out: &Path, output: &Output) -> Result<()> {
    let text = serde_json::to_string_pretty(output).context("writing JSON")? + "\n";
    if out == Path::new("-") {
        return print(&text);
    }
    let name = out.file_name().and_then(|name| name.to_str()).unwrap_or("out");
    let beside = out.with_file_name(format!(".{name}.new"));
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, out))
        .with_context(|| format!("writing {}", out.display()))
}

/// Finds a file in its plain or gzipped form.
fn find(dir: &Path, name: &str) -> Result<Option<PathBuf>, Trouble> {
    if !dir.is_dir() {
        return Err(Trouble::new(Exit::Data, format!("{} is no folder", dir.display())));
    }
    let paths = [dir.join(name), dir.join(format!("{name}.gz"))];
    Ok(paths.into_iter().find(|path| path.is_file()))
}

fn open(path: &Path) -> Result<Box<dyn Read>, Trouble> {
    let file = File::open(path)
        .map_err(|e| Trouble::new(Exit::Data, format!("{} cannot be read", path.display())).source(e))?;
    let is_gzip = path.extension().is_some_and(|extension| extension == "gz");
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

fn read_topology(dir: &Path) -> Result<Topology, Trouble> {
    let path = find(dir, "topology.json")?.ok_or_else(|| {
        Trouble::new(Exit::Data, format!("{} has no topology.json", dir.display()))
            .hint("it says which networks, agents and targets there are; see docs/researcher.md")
    })?;
    let bad = |e: &dyn std::fmt::Display| Trouble::new(Exit::Data, format!("{}: {e}", path.display()));
    let mut text = String::new();
    let mut file = open(&path)?.take(MAX_TOPOLOGY_BYTES);
    file.read_to_string(&mut text).map_err(|e| bad(&e))?;
    serde_json::from_str(&text).map_err(|e| bad(&e))
}

/// One line of `heartbeats.jsonl`.
#[derive(Deserialize)]
struct Heartbeat {
    #[serde(rename = "agent_id")]
    _agent: faultline_model::AgentId,
    #[serde(rename = "at")]
    _at: faultline_model::Timestamp,
}

/// Reads the heartbeats through; no verdict of this version uses them, but a damaged file is reported.
fn count_heartbeats(dir: &Path) -> Result<u64, Trouble> {
    let Some(path) = find(dir, "heartbeats.jsonl")? else { return Ok(0) };
    let mut lines = Lines::<Heartbeat>::open(&path)?;
    let count = lines.by_ref().count() as u64;
    lines.finish()?;
    Ok(count)
}

/// The good lines of a JSON lines file; bad ones are counted, reported with their number, and skipped.
struct Lines<T> {
    path: PathBuf,
    reader: BufReader<Box<dyn Read>>,
    number: u64,
    good: u64,
    bad: u64,
    /// Why reading ended early, if it did: a cut gzip file, a disk that fails.
    broken: Option<std::io::Error>,
    progress: Progress,
    of: std::marker::PhantomData<T>,
}

impl<T: DeserializeOwned> Lines<T> {
    fn open(path: &Path) -> Result<Self, Trouble> {
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(1 << 18, open(path)?),
            number: 0,
            good: 0,
            bad: 0,
            broken: None,
            progress: Progress::new(),
            of: std::marker::PhantomData,
        })
    }

    fn report(&mut self, why: &str) {
        self.bad += 1;
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or("data");
        if self.bad <= MAX_REPORTED {
            anstream::eprintln!("{name}:{}: skipped: {why}", self.number);
        } else if self.bad == MAX_REPORTED + 1 {
            anstream::eprintln!("{name}: further bad lines are only counted");
        }
    }

    /// Reads the next line, at most [`MAX_LINE_BYTES`]; a longer one comes back as `None` within.
    fn line(&mut self) -> std::io::Result<Option<Option<Vec<u8>>>> {
        let mut line = Vec::new();
        let read = self.reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.last() != Some(&b'\n') && read as u64 == MAX_LINE_BYTES {
            self.reader.skip_until(b'\n')?;
            return Ok(Some(None));
        }
        Ok(Some(Some(line)))
    }

    /// Ends the progress display, and fails if the file ended in the middle.
    fn finish(&mut self) -> Result<(), Trouble> {
        self.progress.clear();
        match self.broken.take() {
            None => Ok(()),
            Some(error) => {
                let place = format!("{} breaks off after line {}", self.path.display(), self.number);
                Err(Trouble::new(Exit::Data, place).source(error))
            }
        }
    }
}

impl<T: DeserializeOwned> Iterator for Lines<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            let line = match self.line() {
                Ok(line) => line?,
                Err(error) => {
                    self.broken = Some(error);
                    return None;
                }
            };
            let Some(line) = line else {
                self.report("the line is too long");
                continue;
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(&line) {
                Ok(item) => {
                    self.good += 1;
                    self.progress.show(self.good);
                    return Some(item);
                }
                Err(error) => self.report(&error.to_string()),
            }
        }
    }
}

/// A counter on the terminal's last line, for work that takes longer than a moment.
struct Progress {
    next: Instant,
    is_shown: bool,
    is_terminal: bool,
}

impl Progress {
    fn new() -> Self {
        let next = Instant::now() + Duration::from_secs(1);
        Self { next, is_shown: false, is_terminal: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, count: u64) {
        // The clock is asked only now and then: a row costs less than the question.
        if !self.is_terminal || !count.is_multiple_of(1000) || Instant::now() < self.next {
            return;
        }
        let mut err = std::io::stderr();
        let _ = write!(err, "\r{} rows", grouped(count)).and_then(|()| err.flush());
        self.next = Instant::now() + Duration::from_millis(500);
        self.is_shown = true;
    }

    fn clear(&mut self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r{:20}\r", "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"id":"m1","agent_id":"a","asn":64516,"country":"XZ","target":"https://x.com/","category":"GRP","started_at":"2024-07-03T05:00:00Z","received_at":"2024-07-03T05:00:07Z","check":"http","outcome":"ok","failure":"ok","control_ok":true,"new_field":1}"#;

    fn lines(text: &[u8], name: &str) -> Lines<Row> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        Lines::open(&path).expect("opened")
    }

    #[test]
    fn bad_lines_are_counted_and_skipped_and_unknown_fields_ignored() {
        let long = "x".repeat(100_000);
        let text = format!("{GOOD}\nnot json\n\n{long}\n{{\"id\":\"m2\"}}\n{GOOD}");
        let mut lines = lines(text.as_bytes(), "measurements.jsonl");
        assert_eq!(lines.by_ref().count(), 2);
        assert_eq!((lines.good, lines.bad, lines.number), (2, 3, 6));
        lines.finish().expect("read to the end");
    }

    #[test]
    fn a_cut_gzip_file_is_an_error_and_never_a_short_day() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..2000 {
            writeln!(encoder, "{GOOD}").expect("written");
        }
        let whole = encoder.finish().expect("finished");
        let mut good = lines(&whole, "measurements.jsonl.gz");
        assert_eq!(good.by_ref().count(), 2000);
        good.finish().expect("whole");
        let mut cut = lines(&whole[..whole.len() / 2], "measurements.jsonl.gz");
        let _ = cut.by_ref().count();
        assert_eq!(cut.finish().expect_err("cut").exit(), Exit::Data);
    }
}
