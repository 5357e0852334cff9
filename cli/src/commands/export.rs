//! `faultline export`: measurements from a file in OONI's format.

use super::country;
use crate::arguments::ExportArguments;
use crate::objects::Objects;
use crate::output::{counted, print_json_line};
use crate::trouble::{Exit, Trouble};
use anyhow::Result;
use faultline_analysis::judge::control_max_age;
use faultline_analysis::ooni::{About, write};
use faultline_model::{Asn, Measurement};
use std::path::Path;

pub(super) fn run(arguments: &ExportArguments) -> Result<()> {
    let country = arguments.country.as_deref().map(country).transpose()?;
    let asn = arguments.asn.map(Asn::recorded).transpose();
    let asn = asn.map_err(|e| Trouble::new(Exit::Data, format!("--asn: {e}")))?;
    let mut controls: Vec<Measurement> = Vec::new();
    for path in &arguments.control {
        each(path, |measurement| {
            controls.push(measurement);
            Ok(())
        })?;
    }
    let (mut written, mut left_out) = (0_u64, 0_u64);
    let Some(file) = &arguments.file else {
        return Err(Trouble::new(Exit::Data, "name the file with the measurements").into());
    };
    let bad = each(file, |measurement| {
        let beside: Vec<&Measurement> =
            controls.iter().filter(|control| is_beside(control, &measurement)).collect();
        let about = About {
            country,
            asn,
            network_name: &arguments.network_name,
            version: env!("CARGO_PKG_VERSION"),
            controls: &beside,
            is_restricted: arguments.restricted,
        };
        let Some(value) = write(&measurement, &about) else {
            left_out += 1;
            return Ok(());
        };
        written += 1;
        print_json_line(&value)
    })?;
    anstream::eprintln!(
        "{} written, {left_out} left out, {}",
        counted(written, "measurement"),
        counted(bad, "bad object")
    );
    if written + left_out == 0 {
        let text = format!("{} holds no measurement of ours", file.display());
        return Err(Trouble::new(Exit::Data, text).into());
    }
    Ok(())
}

/// Says whether a control's measurement is of the same target, in the same minutes.
fn is_beside(control: &Measurement, measurement: &Measurement) -> bool {
    let (one, other) = (control.started_at, measurement.started_at);
    control.target == measurement.target
        && control.check == measurement.check
        && control.id != measurement.id
        && one.since(other).max(other.since(one)) <= control_max_age(control.check)
}

/// Reads a file's measurements one by one; returns how many objects were none.
fn each(path: &Path, mut take: impl FnMut(Measurement) -> Result<()>) -> Result<u64> {
    let mut objects = Objects::open(path)?;
    while let Some(text) = objects.next_object() {
        match serde_json::from_slice(&text) {
            Ok(measurement) => {
                objects.accept();
                take(measurement)?;
            }
            Err(error) => objects.report(&error.to_string()),
        }
    }
    objects.finish()?;
    Ok(objects.bad())
}
