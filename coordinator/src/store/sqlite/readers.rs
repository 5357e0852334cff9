//! Read-only connections, used on blocking threads.

use super::super::StoreError;
use rusqlite::Connection;
use std::sync::Mutex;
use tokio::sync::Semaphore;

pub(super) struct Readers {
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self { permits: Semaphore::new(connections.len()), idle: Mutex::new(connections) }
    }

    /// Runs one read. When all connections are busy, callers wait.
    pub(super) async fn read<T, F>(
        self: std::sync::Arc<Self>,
        action: &'static str,
        work: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<Result<T, StoreError>> + Send + 'static,
    {
        let pool = std::sync::Arc::clone(&self);
        let _permit = self.permits.acquire().await.map_err(|_| StoreError::Closed)?;
        let read = tokio::task::spawn_blocking(move || {
            let idle = pool.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
            let connection = idle.ok_or(StoreError::Closed)?;
            let outcome = work(&connection).map_err(|source| StoreError::Operation { action, source });
            pool.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(connection);
            outcome?
        });
        read.await.map_err(|_| StoreError::Closed)?
    }
}
