//! What was measured in a country, written as OONI writes it, for OONI's own package to read.
//!
//! Every measurement is given: those of the subscribers and those of the controls. Whatever has no equal in OONI's data is
//! counted by its check and not written.

use super::scenario::Scenario;
use anyhow::{Context, Result};
use faultline_analysis::ooni::{About, write};
use faultline_model::{Asn, CheckKind, Measurement};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A measurement with where it was made.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// Whose line it was made on.
    pub at: Asn,
    /// It was made at a control.
    pub is_control: bool,
    /// What was measured.
    pub measurement: &'a Measurement,
}

/// How much was written, and what was not.
#[derive(Clone, Debug, Default)]
pub struct Exported {
    written: BTreeMap<CheckKind, usize>,
    without_equal: BTreeMap<CheckKind, usize>,
}

impl Exported {
    /// Writes a scenario's measurements into `NAME.jsonl` of a folder; a scenario without any that OONI knows has no file.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn add(&mut self, folder: &Path, scenario: &Scenario, all: &[Made<'_>]) -> Result<()> {
        let mut lines = Vec::new();
        for made in all {
            let check = made.measurement.check;
            match line(scenario, made, all) {
                Some(line) => {
                    lines.push(line);
                    *self.written.entry(check).or_default() += 1;
                }
                None => *self.without_equal.entry(check).or_default() += 1,
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join(format!("{}.jsonl", scenario.name));
        let writing = || format!("writing {}", path.display());
        let mut file = BufWriter::new(File::create(&path).with_context(writing)?);
        for line in lines {
            writeln!(file, "{line}").with_context(writing)?;
        }
        file.flush().with_context(writing)
    }
}

fn line(scenario: &Scenario, made: &Made<'_>, all: &[Made<'_>]) -> Option<String> {
    let own = made.measurement;
    let is_beside = |other: &&Made<'_>| {
        let (check, target) = (other.measurement.check, &other.measurement.target);
        other.is_control && check == own.check && *target == own.target && other.measurement.id != own.id
    };
    let controls: Vec<&Measurement> = all.iter().filter(is_beside).map(|made| made.measurement).collect();
    let network = scenario.networks().find(|network| network.asn == made.at);
    let about = About {
        country: (!made.is_control).then_some(scenario.country),
        asn: Some(made.at),
        network_name: network.map_or("", |network| network.name),
        version: env!("CARGO_PKG_VERSION"),
        controls: &controls,
        // Nobody's host stands in an emulated world.
        is_restricted: true,
    };
    write(own, &about).map(|value| value.to_string())
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |of: &BTreeMap<CheckKind, usize>| {
            let words: Vec<String> = of.iter().map(|(check, count)| format!("{check} {count}")).collect();
            (of.values().sum::<usize>(), words.join(", "))
        };
        let ((written, by_check), (left, why)) = (list(&self.written), list(&self.without_equal));
        write!(f, "{} measurements: {written} exported ({by_check})", written + left)?;
        if left > 0 {
            write!(f, ", {left} have no equal in OONI's data ({why})")?;
        }
        Ok(())
    }
}
