//! The spool: measurements wait here until the coordinator has acknowledged them. Only success deletes.
//!
//! # Format, version 1
//! A directory of segments `0000000000000001.seg`, numbered upwards. A segment begins with 16 bytes: `FLTSPOOL`, the
//! version (u32) and zero (u32). Records follow: length of the payload (u32), CRC-32 (IEEE) over those four bytes and
//! the payload (u32), and the payload, a `faultline.agent.v1.Measurement`. All numbers are little-endian.
//!
//! # Invariants
//! - A record counts once its bytes and, for a new segment, its directory entry are synced. Whatever stands behind the
//!   last good record (a torn write, zeros, flipped bits) is cut off when the spool is opened, and counted.
//! - A segment is only appended to by the process that made it, and never after a failed write or sync.
//! - A segment is deleted when its last record is acknowledged, or as the oldest one when the spool grows past its
//!   bounds; lost records are counted, never passed over in silence.
//! - What cannot be written (full disk) waits in memory, within a bound, and is written when the disk takes it again.
//!
//! # Races
//! Acknowledged records of a segment with others that still wait stand in the file until those are acknowledged too.
//! After a crash they are sent again, which is harmless: the same id is the same measurement.

mod handle;
mod segment;

pub use handle::{SpoolHandle, SpoolState};
pub use segment::{HEADER_BYTES, MAX_PAYLOAD_BYTES, RECORD_HEAD_BYTES};

use faultline_model::Timestamp;
use faultline_proto::agent as wire;
use faultline_runtime::{FileError, create_private_dir};
use prost::Message;
use segment::{Scan, Segment};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// At most so many records wait in memory while the disk refuses them; then the oldest is dropped and counted.
const MAX_UNWRITTEN: usize = 512;

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Its directory cannot be used.
    #[error("the spool's directory cannot be used")]
    Directory(#[source] FileError),
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes on disk.
    pub bytes: u64,
    /// Age of a segment's newest record.
    pub age: Duration,
    /// Bytes after which a segment is closed and a new one begun.
    pub segment_bytes: u64,
}

impl Default for Bounds {
    /// 32 MB hold about nine days of a standard agent that is cut off; two weeks is as late as anybody asks.
    fn default() -> Self {
        Self { bytes: 32 << 20, age: Duration::from_secs(14 * 86_400), segment_bytes: 128 << 10 }
    }
}

/// What was lost, since the spool was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Records dropped because the spool was full or they were too old.
    pub dropped: u64,
    /// Segments that were found damaged and cut to their last good record.
    pub damaged: u64,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Place);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Disk { segment: u64, offset: u64 },
    Memory(u64),
}

/// The spool. Every method blocks on the disk; see [`SpoolHandle`] for asynchronous callers.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    bounds: Bounds,
    segments: BTreeMap<u64, Segment>,
    unwritten: VecDeque<(u64, Vec<u8>, Timestamp)>,
    next_in_memory: u64,
    is_disk_failing: bool,
    losses: Losses,
    #[cfg(test)]
    faults: VecDeque<segment::Fault>,
}

impl Spool {
    /// Opens the spool in a directory, cutting off whatever a crash has left unfinished.
    ///
    /// # Errors
    /// Says which file cannot be used.
    pub fn open(dir: &Path, bounds: Bounds) -> Result<Self, SpoolError> {
        create_private_dir(dir).map_err(SpoolError::Directory)?;
        let mut spool = Self {
            dir: dir.to_owned(),
            bounds,
            segments: BTreeMap::new(),
            unwritten: VecDeque::new(),
            next_in_memory: 0,
            is_disk_failing: false,
            losses: Losses::default(),
            #[cfg(test)]
            faults: VecDeque::new(),
        };
        let entries = std::fs::read_dir(dir).map_err(io_error("list", dir))?;
        for entry in entries {
            let path = entry.map_err(io_error("list", dir))?.path();
            let name =
                path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".seg"));
            if let Some(number) = name.and_then(|name| name.parse::<u64>().ok()) {
                spool.open_segment(number, &path)?;
            }
        }
        Ok(spool)
    }

    fn open_segment(&mut self, number: u64, path: &Path) -> Result<(), SpoolError> {
        let Scan { segment, is_damaged, is_foreign } = Segment::open(path).map_err(io_error("read", path))?;
        if is_foreign {
            tracing::warn!(segment = number, "a spool segment of a newer version is left alone");
            return Ok(());
        }
        self.losses.damaged += u64::from(is_damaged);
        if segment.is_empty() {
            return segment.remove().map_err(io_error("remove", path));
        }
        self.segments.insert(number, segment);
        Ok(())
    }

    /// Keeps a measurement. When this returns it is on disk, or in memory if the disk refuses it.
    pub fn append(&mut self, measurement: &wire::Measurement, now: Timestamp) {
        let payload = measurement.encode_to_vec();
        if payload.len() > MAX_PAYLOAD_BYTES {
            self.losses.dropped += 1;
            return;
        }
        let started_at = Timestamp::from_unix_ms(measurement.started_at_ms);
        self.unwritten.push_back((self.next_in_memory, payload, started_at));
        self.next_in_memory += 1;
        self.write_waiting();
        while self.unwritten.len() > MAX_UNWRITTEN {
            self.unwritten.pop_front();
            self.losses.dropped += 1;
        }
        self.drop_oldest(now);
    }

    /// Returns the oldest records, at most `count`.
    pub fn batch(&mut self, count: usize) -> Vec<(Key, wire::Measurement)> {
        let mut batch = Vec::new();
        let mut damaged = Vec::new();
        for (number, segment) in &self.segments {
            for (offset, read) in segment.read(count - batch.len()) {
                let key = Key(Place::Disk { segment: *number, offset });
                match read {
                    Some(measurement) => batch.push((key, measurement)),
                    None => damaged.push(key),
                }
            }
            if batch.len() >= count {
                break;
            }
        }
        for (number, payload, _) in self.unwritten.iter().take(count - batch.len()) {
            if let Ok(measurement) = wire::Measurement::decode(payload.as_slice()) {
                batch.push((Key(Place::Memory(*number)), measurement));
            }
        }
        self.losses.damaged += damaged.len() as u64;
        self.acknowledge(&damaged);
        batch
    }

    /// Forgets records; what is not there any more is passed over.
    pub fn acknowledge(&mut self, keys: &[Key]) {
        for Key(place) in keys {
            match place {
                Place::Disk { segment, offset } => {
                    let Some(held) = self.segments.get_mut(segment) else { continue };
                    held.forget(*offset);
                    if held.is_empty() {
                        self.remove_segment(*segment);
                    }
                }
                Place::Memory(number) => self.unwritten.retain(|(held, ..)| held != number),
            }
        }
    }

    /// Returns how many records wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.values().map(Segment::len).sum::<usize>() + self.unwritten.len()
    }

    /// Says whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bytes the spool takes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.values().map(Segment::bytes).sum()
    }

    /// Returns what was lost.
    #[must_use]
    pub const fn losses(&self) -> Losses {
        self.losses
    }

    /// Says whether the disk refuses records, so that they wait in memory.
    #[must_use]
    pub const fn is_disk_failing(&self) -> bool {
        self.is_disk_failing
    }

    fn write_waiting(&mut self) {
        while let Some((number, payload, started_at)) = self.unwritten.pop_front() {
            if let Err(error) = self.write(&payload, started_at) {
                self.unwritten.push_front((number, payload, started_at));
                // Said once; a full disk would otherwise fill a log as well.
                if !self.is_disk_failing {
                    tracing::warn!(%error, "the spool cannot be written; measurements wait in memory");
                }
                self.is_disk_failing = true;
                return;
            }
        }
        if self.is_disk_failing {
            tracing::info!("the spool can be written again");
            self.is_disk_failing = false;
        }
    }

    fn write(&mut self, payload: &[u8], started_at: Timestamp) -> io::Result<()> {
        #[cfg(test)]
        let fault = self.faults.pop_front();
        let limit = self.bounds.segment_bytes;
        let last = self.segments.last_entry().map(|entry| entry.into_mut());
        let segment = match last.filter(|segment| segment.is_open() && segment.bytes() < limit) {
            Some(segment) => segment,
            None => {
                let number = self.segments.last_key_value().map_or(0, |(number, _)| *number) + 1;
                let number = number.max(self.next_free());
                let segment = Segment::create(&self.dir.join(format!("{number:016}.seg")))?;
                self.segments.entry(number).or_insert(segment)
            }
        };
        #[cfg(test)]
        segment.inject(fault);
        let written = segment.append(payload, started_at);
        if written.is_err() {
            self.remove_empty();
        }
        written
    }

    /// A number above every file in the directory, also of segments that were left alone.
    fn next_free(&self) -> u64 {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| {
            entry
                .file_name()
                .to_str()
                .and_then(|name| name.strip_suffix(".seg"))
                .and_then(|n| n.parse::<u64>().ok())
        });
        numbers.max().map_or(1, |number| number + 1)
    }

    fn remove_empty(&mut self) {
        let empty: Vec<u64> =
            self.segments.iter().filter(|(_, segment)| segment.is_empty()).map(|(n, _)| *n).collect();
        empty.into_iter().for_each(|number| self.remove_segment(number));
    }

    fn remove_segment(&mut self, number: u64) {
        if let Some(segment) = self.segments.remove(&number)
            && let Err(error) = segment.remove()
        {
            // It is scanned again at the next start; its records are sent twice, which is harmless.
            tracing::warn!(%error, "cannot remove a spool segment");
        }
    }

    /// Keeps the spool within its bounds; the oldest segments go first.
    fn drop_oldest(&mut self, now: Timestamp) {
        while let Some((number, oldest)) = self.segments.first_key_value() {
            let is_too_old = now.since(oldest.newest()) > self.bounds.age;
            let is_too_much = self.bytes() > self.bounds.bytes && self.segments.len() > 1;
            if !is_too_old && !is_too_much {
                return;
            }
            self.losses.dropped += oldest.len() as u64;
            let number = *number;
            self.remove_segment(number);
        }
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    move |source| SpoolError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
