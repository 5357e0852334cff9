//! Both halves in one SQLite file: WAL mode, `synchronous=FULL`.
//!
//! One thread writes. Every write is a job in a bounded queue; the thread takes whatever waits, runs it in one
//! transaction (each job in a savepoint of its own, so that one that fails does not spoil the others), commits once, and
//! only then answers. So many uploads share one sync, and an answer means that the change is on disk. Reads use a small
//! pool of read-only connections on blocking threads and never wait for the writer.

mod archive;
mod handshakes;
mod judged;
mod notes;
mod readers;
mod registry;
mod schema;
mod writer;

use super::StoreError;
use readers::Readers;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;
use writer::Writer;

const READERS: usize = 4;

/// The embedded store.
#[derive(Clone)]
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteStore")
    }
}

/// Tells when the store's thread has ended: after the last handle was dropped, or by a panic.
pub type StoreEnd = oneshot::Receiver<()>;

impl SqliteStore {
    /// Opens or creates the file and migrates it to the newest schema.
    ///
    /// # Errors
    /// Says why the file cannot be used.
    pub fn open(path: &Path) -> Result<(Self, StoreEnd), StoreError> {
        let open_error = |source| StoreError::Open { path: path.display().to_string(), source };
        let mut connection = Connection::open(path).map_err(open_error)?;
        prepare(&connection).map_err(open_error)?;
        schema::migrate(&mut connection, path)?;
        let readers = (0..READERS).map(|_| open_reader(path)).collect::<Result<Vec<_>, _>>();
        let readers = Arc::new(Readers::new(readers.map_err(open_error)?));
        let (writer, end) = Writer::start(connection);
        Ok((Self { writer, readers }, end))
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // 32 MB of pages: the newest rows and the upper levels of the id index stay in memory.
    connection.pragma_update(None, "cache_size", -32_768)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(std::time::Duration::from_secs(5))
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    super::super::contract::store_contract!(|dir: &Path| {
        SqliteStore::open(&dir.join("store.sqlite")).expect("opened").0
    });

    #[tokio::test]
    async fn a_damaged_row_is_left_out_and_stops_nothing() {
        use super::super::{Archive, contract::measurement};
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("store.sqlite");
        let (store, _end) = SqliteStore::open(&path).expect("opened");
        let rows = vec![measurement("a", 1_000), measurement("b", 2_000), measurement("c", 3_000)];
        store.append(rows).await.expect("stored");
        let db = Connection::open(&path).expect("opened");
        db.execute("UPDATE measurement SET message = x'ff' WHERE id <> 'b'", []).expect("damaged");
        let page = store.measurements_after(0, 3).await.expect("read");
        assert_eq!((page.measurements.len(), page.position, page.is_full), (1, 3, true));
    }

    #[test]
    fn a_file_of_a_newer_program_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("store.sqlite");
        Connection::open(&path).expect("made").pragma_update(None, "user_version", 9_999).expect("marked");
        assert!(matches!(SqliteStore::open(&path), Err(StoreError::Newer { found: 9_999, .. })));
    }
}
