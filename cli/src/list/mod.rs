//! Task list files: what operators write, checked line by line before anything is signed.

mod cost;
mod csv;
mod diff;
mod draft;
mod policy;
mod source;
mod toml;

pub(crate) use cost::{Need, cost_table};
pub(crate) use diff::Diff;
pub(crate) use draft::Draft;
pub(crate) use policy::Policy;
pub(crate) use source::fetch;

use crate::trouble::{Exit, Trouble};
use std::fmt;

/// A fault in a list file, with where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The file or address.
    pub source: String,
    /// The line, from 1; 0 where it concerns the whole.
    pub line: usize,
    /// The key or column at fault, empty where the parser names none.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

const MAX_FAULTS_SHOWN: usize = 20;

/// Turns faults into one error that shows the first twenty.
pub(crate) fn refuse(faults: &[Fault]) -> Trouble {
    let mut lines: Vec<String> = faults.iter().take(MAX_FAULTS_SHOWN).map(ToString::to_string).collect();
    if faults.len() > MAX_FAULTS_SHOWN {
        lines.push(format!("and {} more", faults.len() - MAX_FAULTS_SHOWN));
    }
    Trouble::new(Exit::Data, lines.join("\n       "))
}

/// Reads one list file of either format.
pub(crate) fn parse(name: &str, text: &str) -> Result<(Draft, Vec<Fault>), Vec<Fault>> {
    if csv::is_csv(name, text) {
        csv::parse(name, text)
    } else {
        toml::parse(name, text).map(|draft| (draft, Vec::new()))
    }
}

/// Returns the line, from 1, on which a byte offset lies.
fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}
