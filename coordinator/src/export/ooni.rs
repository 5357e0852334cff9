//! The volunteers' measurements in OONI's format.

use super::{Export, Lines, PAGE};
use crate::ingest::corrected;
use crate::store::sqlite::SqliteStore;
use crate::store::{Archive, NewMeasurement, StoredMeasurement};
use faultline_analysis::judge::control_max_age;
use faultline_analysis::ooni::{About, write};
use faultline_model::{CountryProfile, Measurement, Target};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Writes `ooni.jsonl`; returns how many measurements it holds.
///
/// A control's answer is stored near the measurement that it is for, so that the pages before and after are enough to
/// find it.
pub(super) async fn write_all(
    store: &SqliteStore,
    profile: &CountryProfile,
    (wish, out): (&Export, &Path),
) -> anyhow::Result<u64> {
    let mut lines = Lines::create(&out.join("ooni.jsonl"))?;
    let mut position = store.position_at(wish.since).await?;
    let (mut before, mut here) = (Vec::new(), Vec::new());
    let mut written = 0;
    loop {
        let page = store.measurements_after(position, PAGE).await?;
        position = page.position;
        let after = page.measurements;
        written += write_page(&mut lines, profile, wish, [&before, &here, &after])?;
        // A coordinator that runs stores more and more: what comes after this page is for another day.
        if !page.is_full {
            written += write_page(&mut lines, profile, wish, [&here, &after, &[]])?;
            lines.finish()?;
            return Ok(written);
        }
        before = std::mem::replace(&mut here, after);
    }
}

/// Writes the page in the middle.
fn write_page(
    lines: &mut Lines,
    profile: &CountryProfile,
    wish: &Export,
    pages: [&[StoredMeasurement]; 3],
) -> anyhow::Result<u64> {
    let controls = Controls::of(pages);
    let mut written = 0;
    for StoredMeasurement { row, .. } in pages[1] {
        let is_wanted = !row.control && row.country == wish.country && wish.holds(row.received_at);
        if is_wanted && write_one(lines, profile, row, &controls)? {
            written += 1;
        }
    }
    Ok(written)
}

fn write_one(
    lines: &mut Lines,
    profile: &CountryProfile,
    row: &NewMeasurement,
    controls: &Controls<'_>,
) -> anyhow::Result<bool> {
    let operator =
        profile.operators.iter().find(|operator| row.asn.is_some_and(|asn| operator.asns.contains(&asn)));
    let about = About {
        country: Some(row.country),
        asn: row.asn,
        network_name: operator.map_or("", |operator| operator.name.as_str()),
        version: env!("CARGO_PKG_VERSION"),
        controls: &controls.around(row),
        // The file is made to be handed on.
        is_restricted: false,
    };
    let mut measurement = row.measurement.clone();
    // OONI's readers order by the probe's clock, which may be wrong.
    measurement.started_at = corrected(measurement.started_at, row.clock_offset_ms);
    let Some(value) = write(&measurement, &about) else { return Ok(false) };
    lines.write(&value)?;
    Ok(true)
}

/// Controls' measurements by target.
struct Controls<'a>(BTreeMap<&'a Target, Vec<&'a NewMeasurement>>);

impl<'a> Controls<'a> {
    fn of(pages: [&'a [StoredMeasurement]; 3]) -> Self {
        let mut found: BTreeMap<&Target, Vec<&NewMeasurement>> = BTreeMap::new();
        for stored in pages.into_iter().flatten().filter(|stored| stored.row.control) {
            found.entry(&stored.row.measurement.target).or_default().push(&stored.row);
        }
        Self(found)
    }

    /// Returns the controls' measurements of the same target and check in the same minutes, the nearest first.
    fn around(&self, row: &NewMeasurement) -> Vec<&'a Measurement> {
        let at = |row: &NewMeasurement| corrected(row.measurement.started_at, row.clock_offset_ms);
        let own = at(row);
        let distance =
            |other: &NewMeasurement| -> Duration { at(other).since(own).max(own.since(at(other))) };
        let check = row.measurement.check;
        let same = self.0.get(&row.measurement.target).map_or(&[][..], Vec::as_slice);
        let fresh = same.iter().filter(|other| other.measurement.check == check && other.agent != row.agent);
        let mut near: Vec<&'a NewMeasurement> =
            fresh.filter(|other| distance(other) <= control_max_age(check)).copied().collect();
        near.sort_by_key(|other| distance(other));
        near.into_iter().map(|other| &other.measurement).collect()
    }
}
