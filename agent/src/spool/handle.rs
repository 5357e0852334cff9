//! The spool for asynchronous callers: disk work on the blocking pool, and a nudge for whoever uploads.

use super::{Key, Losses, Spool};
use faultline_proto::agent as wire;
use faultline_runtime::now;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// A shared spool.
#[derive(Clone, Debug)]
pub struct SpoolHandle {
    spool: Arc<Mutex<Spool>>,
    appended: Arc<Notify>,
}

/// How the spool stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolState {
    /// Measurements that wait.
    pub waiting: usize,
    /// Bytes on disk.
    pub bytes: u64,
    /// What was lost.
    pub losses: Losses,
    /// Measurements wait in memory because the disk refuses them.
    pub is_disk_failing: bool,
}

impl SpoolHandle {
    /// Shares a spool.
    #[must_use]
    pub fn new(spool: Spool) -> Self {
        Self { spool: Arc::new(Mutex::new(spool)), appended: Arc::new(Notify::new()) }
    }

    /// Keeps a measurement and nudges the uploader.
    pub async fn append(&self, measurement: wire::Measurement) {
        self.on_disk(move |spool| spool.append(&measurement, now())).await;
        self.appended.notify_one();
    }

    /// Returns the oldest records, at most `count`.
    pub async fn batch(&self, count: usize) -> Vec<(Key, wire::Measurement)> {
        self.on_disk(move |spool| spool.batch(count)).await
    }

    /// Forgets records.
    pub async fn acknowledge(&self, keys: Vec<Key>) {
        self.on_disk(move |spool| spool.acknowledge(&keys)).await;
    }

    /// Waits until something was appended since the last call.
    pub async fn appended(&self) {
        self.appended.notified().await;
    }

    /// Returns how the spool stands.
    pub async fn state(&self) -> SpoolState {
        self.on_disk(|spool| SpoolState {
            waiting: spool.len(),
            bytes: spool.bytes(),
            losses: spool.losses(),
            is_disk_failing: spool.is_disk_failing(),
        })
        .await
    }

    async fn on_disk<T: Send + 'static>(&self, work: impl FnOnce(&mut Spool) -> T + Send + 'static) -> T {
        let spool = Arc::clone(&self.spool);
        let work = move || work(&mut spool.lock().unwrap_or_else(PoisonError::into_inner));
        match tokio::task::spawn_blocking(work).await {
            Ok(value) => value,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
