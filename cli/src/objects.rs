//! JSON objects of files by others: one a line, or one over many lines, as people save them.

use crate::lines::RawLines;
use crate::trouble::Trouble;
use serde::de::IgnoredAny;
use std::path::Path;

/// A measurement carries the pages it met; larger ones are cut by their makers.
const MAX_OBJECT_BYTES: u64 = 8 << 20;

/// The objects of a file, in order.
pub(crate) struct Objects {
    lines: RawLines,
    /// A line that was read and begins the next object.
    next: Option<Vec<u8>>,
}

impl Objects {
    /// Opens a plain or gzipped file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self, Trouble> {
        Ok(Self { lines: RawLines::open(path, MAX_OBJECT_BYTES)?, next: None })
    }

    /// Returns the next object's text. An object that its first line does not end goes on to the line that closes it at
    /// the left edge. A line that begins another object there ends one that was cut, so that it takes no other with it.
    pub(crate) fn next_object(&mut self) -> Option<Vec<u8>> {
        let mut text = self.next.take().or_else(|| self.lines.next_line())?;
        if !is_cut(&text) {
            return Some(text);
        }
        while (text.len() as u64) < MAX_OBJECT_BYTES {
            let Some(line) = self.lines.next_line() else { break };
            if line.starts_with(b"{") {
                self.next = Some(line);
                break;
            }
            let closes = line.starts_with(b"}") || line.starts_with(b"]");
            text.extend(line);
            if closes && !is_cut(&text) {
                break;
            }
        }
        Some(text)
    }

    pub(crate) fn accept(&mut self) {
        self.lines.accept();
    }

    pub(crate) fn report(&mut self, why: &str) {
        self.lines.report(why);
    }

    pub(crate) fn bad(&self) -> u64 {
        self.lines.bad
    }

    pub(crate) fn finish(&mut self) -> Result<(), Trouble> {
        self.lines.finish()
    }
}

/// Says whether a text is a JSON value that goes on.
fn is_cut(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_err_and(|error| error.is_eof())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(text: &str) -> Vec<String> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("data.json");
        std::fs::write(&path, text).expect("written");
        let mut objects = Objects::open(&path).expect("opened");
        std::iter::from_fn(|| objects.next_object())
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .collect()
    }

    #[test]
    fn objects_come_a_line_each_or_over_many_lines() {
        assert_eq!(objects("{\"a\":1}\n\n{\"a\":2}\n").len(), 2);
        let spread = "{\n  \"a\": {\n    \"b\": [1]\n  }\n}\n";
        assert_eq!(objects(&format!("{spread}{spread}")), [spread, spread]);
    }

    #[test]
    fn a_cut_object_does_not_take_the_next_one_with_it() {
        let read = objects("{\"a\": [1,\n{\"a\":2}\n");
        assert_eq!(read, ["{\"a\": [1,\n", "{\"a\":2}\n"]);
    }
}
