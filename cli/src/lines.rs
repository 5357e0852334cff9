//! Lines of files by others: bounded, counted, and skipped where they are bad.
//!
//! Files are plain or gzipped, told apart by their first bytes. A line that is too long or does not parse is
//! counted, the first of them are reported with their number, and reading goes on; a file that breaks off in
//! the middle is an error, never a short day.

use crate::output::grouped;
use crate::trouble::{Exit, Trouble};
use flate2::read::MultiGzDecoder;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MAX_LINE_BYTES: u64 = 64 * 1024;
const MAX_REPORTED: u64 = 10;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Opens a plain or gzipped file, or standard input for `-`.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead>, Trouble> {
    let trouble = |e: std::io::Error| {
        let exit = if e.kind() == std::io::ErrorKind::NotFound { Exit::Missing } else { Exit::Data };
        Trouble::new(exit, format!("{} cannot be read", path.display())).source(e)
    };
    let file: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(trouble)?)
    };
    let mut file = BufReader::with_capacity(1 << 18, file);
    let is_gzip = file.fill_buf().map_err(trouble)?.starts_with(&GZIP);
    Ok(if is_gzip {
        Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

/// The lines of a file, each with a bound.
pub(crate) struct RawLines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    max_bytes: u64,
    /// The number of the line that was read last, from 1.
    pub(crate) number: u64,
    /// Lines that were taken, and lines that were skipped.
    pub(crate) good: u64,
    pub(crate) bad: u64,
    /// Why reading ended early, if it did: a cut gzip file, a disk that fails.
    broken: Option<std::io::Error>,
    progress: Progress,
}

impl RawLines {
    pub(crate) fn open(path: &Path, max_bytes: u64) -> Result<Self, Trouble> {
        Ok(Self {
            path: path.to_owned(),
            reader: open(path)?,
            max_bytes,
            number: 0,
            good: 0,
            bad: 0,
            broken: None,
            progress: Progress::new(),
        })
    }

    /// Counts the last line as taken.
    pub(crate) fn accept(&mut self) {
        self.good += 1;
        self.progress.show(self.good);
    }

    /// Counts the last line as skipped and says why, unless that was said too often.
    pub(crate) fn report(&mut self, why: &str) {
        self.bad += 1;
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or("data");
        if self.bad <= MAX_REPORTED {
            anstream::eprintln!("{name}:{}: skipped: {}", self.number, crate::output::printable(why));
        } else if self.bad == MAX_REPORTED + 1 {
            anstream::eprintln!("{name}: further bad lines are only counted");
        }
    }

    /// Ends the progress display, and fails if the file ended in the middle.
    pub(crate) fn finish(&mut self) -> Result<(), Trouble> {
        self.progress.clear();
        match self.broken.take() {
            None => Ok(()),
            Some(error) => {
                let place = format!("{} breaks off after line {}", self.path.display(), self.number);
                Err(Trouble::new(Exit::Data, place).source(error))
            }
        }
    }

    /// Returns the next line that is neither empty nor too long.
    pub(crate) fn next_line(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.line() {
                Ok(None) => return None,
                Ok(Some(None)) => self.report("the line is too long"),
                Ok(Some(Some(line))) if line.trim_ascii().is_empty() => {}
                Ok(Some(Some(line))) => return Some(line),
                Err(error) => {
                    self.broken = Some(error);
                    return None;
                }
            }
        }
    }

    /// Reads the next line, at most the bound; a longer one comes back as `None` within.
    fn line(&mut self) -> std::io::Result<Option<Option<Vec<u8>>>> {
        let mut line = Vec::new();
        let read = self.reader.by_ref().take(self.max_bytes).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.last() != Some(&b'\n') && read as u64 == self.max_bytes {
            self.reader.skip_until(b'\n')?;
            return Ok(Some(None));
        }
        Ok(Some(Some(line)))
    }
}

/// The good lines of a JSON lines file.
pub(crate) struct Lines<T> {
    pub(crate) raw: RawLines,
    of: std::marker::PhantomData<T>,
}

impl<T: DeserializeOwned> Lines<T> {
    pub(crate) fn open(path: &Path) -> Result<Self, Trouble> {
        Ok(Self { raw: RawLines::open(path, MAX_LINE_BYTES)?, of: std::marker::PhantomData })
    }

    /// Ends the progress display, and fails if the file ended in the middle.
    pub(crate) fn finish(&mut self) -> Result<(), Trouble> {
        self.raw.finish()
    }
}

impl<T: DeserializeOwned> Iterator for Lines<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            let line = self.raw.next_line()?;
            match serde_json::from_slice(&line) {
                Ok(item) => {
                    self.raw.accept();
                    return Some(item);
                }
                Err(error) => self.raw.report(&error.to_string()),
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
    use faultline_analysis::replay::Row;

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
        assert_eq!((lines.raw.good, lines.raw.bad, lines.raw.number), (2, 3, 6));
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
