//! One file of records.

use faultline_model::Timestamp;
use faultline_proto::agent as wire;
use prost::Message;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"FLTSPOOL";
const VERSION: u32 = 1;
/// Bytes before the first record.
pub const HEADER_BYTES: usize = 16;
/// Bytes before a record's payload.
pub const RECORD_HEAD_BYTES: usize = 8;
/// A longer record is refused; a longer length is damage.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;
/// No segment of ours is longer; the rest of a longer file is not read.
const MAX_SEGMENT_BYTES: u64 = 64 << 20;

/// A segment and its records that still wait.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    /// Open only in the process that made it, and only until a write fails.
    file: Option<File>,
    /// Offset of each waiting record, and the length of its payload.
    records: BTreeMap<u64, usize>,
    bytes: u64,
    newest: Timestamp,
    #[cfg(test)]
    fault: Option<Fault>,
}

/// What goes wrong at a test's wish.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The disk is full after so many bytes.
    Full(usize),
    /// The sync fails.
    Sync,
}

/// What opening a file found.
pub(super) struct Scan {
    pub(super) segment: Segment,
    pub(super) is_damaged: bool,
    /// Written by a newer version of this program.
    pub(super) is_foreign: bool,
}

impl Segment {
    /// Makes a new file and syncs its directory entry.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).read(true).create_new(true).mode(0o600).open(path)?;
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let made = file.write_all(&header).and_then(|()| file.sync_all()).and_then(|()| sync_parent(path));
        if let Err(error) = made {
            // A file without a whole header holds nothing; should it stay, the next start removes it.
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok(Self::new(path, Some(file), HEADER_BYTES as u64))
    }

    fn new(path: &Path, file: Option<File>, bytes: u64) -> Self {
        Self {
            path: path.to_owned(),
            file,
            records: BTreeMap::new(),
            bytes,
            newest: Timestamp::default(),
            #[cfg(test)]
            fault: None,
        }
    }

    /// Reads a file of an earlier process and cuts it to its last good record.
    pub(super) fn open(path: &Path) -> io::Result<Scan> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_SEGMENT_BYTES).read_to_end(&mut bytes)?;
        let mut segment = Self::new(path, None, bytes.len() as u64);
        let header = bytes.first_chunk::<HEADER_BYTES>();
        let version = header.map(|head| u32::from_le_bytes([head[8], head[9], head[10], head[11]]));
        let is_ours = header.is_some_and(|head| head.starts_with(MAGIC));
        if is_ours && version > Some(VERSION) {
            return Ok(Scan { segment, is_damaged: false, is_foreign: true });
        }
        if !is_ours || version != Some(VERSION) {
            return Ok(Scan { segment, is_damaged: true, is_foreign: false });
        }
        let mut good = HEADER_BYTES;
        while let Some((measurement, length)) = record_at(&bytes, good) {
            segment.newest = segment.newest.max(Timestamp::from_unix_ms(measurement.started_at_ms));
            segment.records.insert(good as u64, length);
            good += RECORD_HEAD_BYTES + length;
        }
        let is_damaged = good < bytes.len();
        if is_damaged {
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(good as u64)?;
            file.sync_all()?;
            segment.bytes = good as u64;
        }
        Ok(Scan { segment, is_damaged, is_foreign: false })
    }

    /// Appends a record and syncs it. After a failure the file is never written again.
    pub(super) fn append(&mut self, payload: &[u8], started_at: Timestamp) -> io::Result<()> {
        let record = frame(payload);
        let Some(mut file) = self.file.take() else {
            return Err(io::Error::other("the segment is closed"));
        };
        self.write_and_sync(&mut file, &record)?;
        self.file = Some(file);
        self.records.insert(self.bytes, payload.len());
        self.bytes += record.len() as u64;
        self.newest = self.newest.max(started_at);
        Ok(())
    }

    #[cfg(not(test))]
    fn write_and_sync(&mut self, file: &mut File, record: &[u8]) -> io::Result<()> {
        file.write_all(record).and_then(|()| file.sync_data())
    }

    #[cfg(test)]
    fn write_and_sync(&mut self, file: &mut File, record: &[u8]) -> io::Result<()> {
        match self.fault.take() {
            Some(Fault::Full(bytes)) => {
                file.write_all(&record[..bytes.min(record.len())])?;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            Some(Fault::Sync) => file.write_all(record).and(Err(io::Error::other("sync failed"))),
            None => file.write_all(record).and_then(|()| file.sync_data()),
        }
    }

    #[cfg(test)]
    pub(super) fn inject(&mut self, fault: Option<Fault>) {
        self.fault = fault;
    }

    /// Reads the oldest waiting records, at most `count`; `None` stands for a record that is damaged.
    pub(super) fn read(&self, count: usize) -> Vec<(u64, Option<wire::Measurement>)> {
        let file = File::open(&self.path);
        let read = |(offset, length): (&u64, &usize)| {
            let mut bytes = vec![0; RECORD_HEAD_BYTES + length];
            let whole = file.as_ref().is_ok_and(|file| file.read_exact_at(&mut bytes, *offset).is_ok());
            let measurement = record_at(&bytes, 0).filter(|_| whole).map(|(measurement, _)| measurement);
            (*offset, measurement)
        };
        self.records.iter().take(count).map(read).collect()
    }

    /// Forgets a record.
    pub(super) fn forget(&mut self, offset: u64) {
        self.records.remove(&offset);
    }

    /// Removes the file.
    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) const fn newest(&self) -> Timestamp {
        self.newest
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&length[..], &checksum(&length, payload).to_le_bytes(), payload].concat()
}

fn checksum(length: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}

/// Reads the record at an offset; `None` where there is no whole and undamaged one.
fn record_at(bytes: &[u8], offset: usize) -> Option<(wire::Measurement, usize)> {
    let rest = bytes.get(offset..)?;
    let (head, rest) = rest.split_first_chunk::<RECORD_HEAD_BYTES>()?;
    let (length, crc) = head.split_at(4);
    let size = u32::from_le_bytes(length.try_into().ok()?) as usize;
    if size == 0 || size > MAX_PAYLOAD_BYTES {
        return None;
    }
    let payload = rest.get(..size)?;
    if checksum(length, payload).to_le_bytes() != crc {
        return None;
    }
    wire::Measurement::decode(payload).ok().map(|measurement| (measurement, size))
}
