//! Publication: every hour, once it is over, becomes Parquet files that any tool reads.
//!
//! An hour is one of the coordinator's clock, by arrival: what comes late out of a spool is in the hour in which it came,
//! so that a sealed hour never changes. `public/` holds cells in which nobody can be told from the others ([`cells`]) and
//! is served; `full/` holds whole measurements with pseudonyms, which operators hand to named researchers. The
//! [`manifest`] chains the hours. A crash leaves at most a file that the list does not name, which is written anew.

mod cells;
mod manifest;
mod tables;

pub(crate) use manifest::{MANIFEST, Manifest, SealedFile};

use crate::coordinator::Coordinator;
use crate::store::{StoreError, StoredMeasurement};
use anyhow::Context;
use aws_lc_rs::digest::{Context as Hash, SHA256};
use cells::{Cell, HOUR_MS, K, K_AT_RISK, Vote, hour_of};
use data_encoding::HEXLOWER;
use faultline_model::{Asn, CheckKind, Class, CountryCode, CountryProfile, RiskTier, Timestamp};
use faultline_runtime::now;
use manifest::Audience;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tables::{CELLS, MEASUREMENTS, Table};

/// How often to look whether an hour is over.
const EVERY: Duration = Duration::from_secs(60);
/// After an hour's end, until everything of it is stored and judged.
const SETTLING: Duration = Duration::from_secs(120);
const PAGE: usize = 5_000;
const COPY: usize = 64 * 1024;

/// The sealed hours, and where they lie.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: PathBuf,
    manifest: RwLock<Arc<Manifest>>,
}

impl Shelf {
    /// Opens the archive of a data directory, and follows its chain.
    pub(crate) fn open(folder: PathBuf) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let manifest = Manifest::open(&folder).context("the archive cannot be used")?;
        Ok(Self { folder, manifest: RwLock::new(Arc::new(manifest)) })
    }

    /// Returns what is sealed.
    pub(crate) fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.manifest.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns where a file or the list lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Seals hours until asked to stop.
pub(crate) async fn run_publication(coordinator: Arc<Coordinator>) -> Result<(), StoreError> {
    loop {
        loop {
            match seal_next(&coordinator, now() - SETTLING).await {
                Ok(true) if !coordinator.stop.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "an hour could not be sealed; it is tried again"
                    );
                    break;
                }
            }
        }
        tokio::select! {
            () = coordinator.stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Seals the next hour if it ended before `until`; says whether it did.
async fn seal_next(coordinator: &Coordinator, until: Timestamp) -> anyhow::Result<bool> {
    let shelf = &coordinator.shelf;
    let mut manifest = shelf.manifest();
    let begin = match manifest.hours.last() {
        Some(hour) => hour.hour + Duration::from_millis(HOUR_MS.unsigned_abs()),
        None => match coordinator.archive.measurements_after(0, 1).await?.measurements.first() {
            Some(first) => hour_of(first.row.received_at),
            None => return Ok(false),
        },
    };
    let end = begin + Duration::from_millis(HOUR_MS.unsigned_abs());
    if end > until {
        return Ok(false);
    }
    let (files, rows) = write_hour(coordinator, begin, end).await?;
    Arc::make_mut(&mut manifest).seal(&shelf.folder, begin, files)?;
    *shelf.manifest.write().unwrap_or_else(PoisonError::into_inner) = manifest;
    tracing::info!(hour = %begin, rows, "an hour is sealed");
    Ok(true)
}

/// Writes the files of an hour; returns them with the number of measurements.
async fn write_hour(
    coordinator: &Coordinator,
    begin: Timestamp,
    end: Timestamp,
) -> anyhow::Result<(Vec<SealedFile>, u64)> {
    let mut hour = Hour::new(&coordinator.shelf.folder, begin);
    let mut position = coordinator.archive.position_at(begin).await?;
    loop {
        let page = coordinator.archive.measurements_after(position, PAGE).await?;
        let is_over = page.measurements.first().is_none_or(|first| first.row.received_at >= end);
        position = page.position;
        let is_within = |s: &StoredMeasurement| s.row.received_at >= begin && s.row.received_at < end;
        let rows: Vec<StoredMeasurement> = page.measurements.into_iter().filter(is_within).collect();
        hour = tokio::task::spawn_blocking(move || hour.take(rows)).await.context("writing")??;
        if is_over || !page.is_full {
            break;
        }
    }
    let profiles: Vec<CountryProfile> =
        hour.votes.keys().map(|country| coordinator.countries.profile(*country)).collect();
    let rows = hour.rows.values().sum();
    let files = tokio::task::spawn_blocking(move || hour.finish(&profiles)).await.context("writing")??;
    Ok((files, rows))
}

/// An hour that is being written.
struct Hour {
    folder: PathBuf,
    begin: Timestamp,
    full: BTreeMap<CountryCode, Table>,
    rows: BTreeMap<CountryCode, u64>,
    votes: BTreeMap<CountryCode, Vec<Vote>>,
}

impl Hour {
    fn new(folder: &Path, begin: Timestamp) -> Self {
        Self {
            folder: folder.to_owned(),
            begin,
            full: BTreeMap::new(),
            rows: BTreeMap::new(),
            votes: BTreeMap::new(),
        }
    }

    /// Returns where a file of this hour lies below the archive's folder.
    fn place(&self, audience: &str, country: CountryCode) -> String {
        let at = self.begin.to_string();
        let (date, hour) = (at.get(..10).unwrap_or_default(), at.get(11..13).unwrap_or_default());
        format!("{audience}/country={country}/date={date}/hour={hour}.parquet")
    }

    fn create(&self, place: &str, columns: &str) -> anyhow::Result<Table> {
        let path = self.folder.join(place);
        let file = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| File::create(&path));
        let file = file.with_context(|| format!("making {}", path.display()))?;
        Ok(Table::create(file, columns)?)
    }

    fn take(mut self, rows: Vec<StoredMeasurement>) -> anyhow::Result<Self> {
        let mut by_country: BTreeMap<CountryCode, Vec<StoredMeasurement>> = BTreeMap::new();
        for stored in rows {
            if let Some(vote) = vote(&stored) {
                self.votes.entry(stored.row.country).or_default().push(vote);
            }
            by_country.entry(stored.row.country).or_default().push(stored);
        }
        for (country, rows) in by_country {
            if !self.full.contains_key(&country) {
                let table = self.create(&self.place("full", country), MEASUREMENTS)?;
                self.full.insert(country, table);
            }
            if let Some(table) = self.full.get_mut(&country) {
                table.measurements(&rows)?;
            }
            *self.rows.entry(country).or_default() += rows.len() as u64;
        }
        Ok(self)
    }

    /// Ends the files; the profiles say how many vantage points a public cell needs, and whose network is whose.
    fn finish(mut self, profiles: &[CountryProfile]) -> anyhow::Result<Vec<SealedFile>> {
        let mut files = Vec::new();
        for (country, table) in std::mem::take(&mut self.full) {
            let rows = self.rows.get(&country).copied().unwrap_or(0);
            let place = self.place("full", country);
            files.push(self.sealed(place, Audience::Full, rows, &table.finish()?)?);
        }
        for profile in profiles {
            let mut votes = self.votes.remove(&profile.country).unwrap_or_default();
            for vote in &mut votes {
                vote.asn = profile.operator(vote.asn).map_or(vote.asn, |operator| operator.main_asn());
            }
            let providers: BTreeSet<Asn> =
                profile.operators.iter().map(|operator| operator.main_asn()).collect();
            let k = if profile.risk_tier == Some(RiskTier::Standard) { K } else { K_AT_RISK };
            let cells: Vec<Cell> = cells::cells(&votes, &providers, k);
            let place = self.place("public", profile.country);
            let mut table = self.create(&place, CELLS)?;
            table.cells(&cells)?;
            files.push(self.sealed(place, Audience::Public, cells.len() as u64, &table.finish()?)?);
        }
        Ok(files)
    }

    /// Puts a file on disk for good and hashes what is there.
    fn sealed(&self, path: String, audience: Audience, rows: u64, file: &File) -> anyhow::Result<SealedFile> {
        let place = self.folder.join(&path);
        file.sync_all().with_context(|| format!("writing {}", place.display()))?;
        let mut file = File::open(&place).with_context(|| format!("reading {}", place.display()))?;
        let (mut hash, mut bytes, mut buffer) = (Hash::new(&SHA256), 0, vec![0; COPY]);
        loop {
            let read = file.read(&mut buffer).with_context(|| format!("reading {}", place.display()))?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            bytes += read as u64;
        }
        if let Some(folder) = place.parent() {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .context("writing the archive's folder")?;
        }
        let sha256 = HEXLOWER.encode(hash.finish().as_ref());
        Ok(SealedFile { path, audience, rows, bytes, sha256 })
    }
}

/// Reads a volunteer's vote on a target; circumvention checks and what nobody could judge are none.
fn vote(stored: &StoredMeasurement) -> Option<Vote> {
    let (row, judgement) = (&stored.row, stored.judgement.as_ref()?);
    if row.control || !row.is_home_network || row.measurement.check != CheckKind::Web {
        return None;
    }
    let class = judgement.class;
    if class == Class::LocalNetworkDown {
        return None;
    }
    let offset = row.clock_offset_ms;
    Some(Vote {
        at: Timestamp::from_unix_ms(row.measurement.started_at.unix_ms() - offset),
        asn: row.asn?,
        target: row.measurement.target.clone(),
        agent: row.agent.clone(),
        has_failed: class.is_anomaly(),
    })
}

#[cfg(test)]
mod tests;
