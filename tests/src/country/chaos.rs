//! Power cuts: which program dies when, and whether the store kept what it acknowledged.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One in so many kills hits the coordinator, which everything depends on.
const COORDINATOR_SHARE: u32 = 3;

/// Why the store cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// The store cannot be opened or asked.
    #[error("reading the coordinator's store {}", .0.display())]
    Store(PathBuf, #[source] rusqlite::Error),
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Victim {
    /// The coordinator.
    Coordinator,
    /// An agent, by its place in the list of agents.
    Agent(usize),
}

/// One kill.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kill {
    /// When, from the start of the timeline.
    pub at: Duration,
    /// Who.
    pub victim: Victim,
}

/// Plans kills at random moments within the timeline, in order.
#[must_use]
pub fn plan(kills: u32, agents: usize, length: Duration, seed: u64) -> Vec<Kill> {
    let mut chance = StdRng::seed_from_u64(seed);
    let agents: Vec<usize> = (0..agents).collect();
    let mut plan: Vec<Kill> = (0..kills)
        .map(|_| {
            let at = length.mul_f64(chance.random_range(0.02..0.95));
            let coordinator = chance.random_ratio(1, COORDINATOR_SHARE);
            let victim = match agents.choose(&mut chance) {
                Some(agent) if !coordinator => Victim::Agent(*agent),
                _ => Victim::Coordinator,
            };
            Kill { at, victim }
        })
        .collect();
    plan.sort_by_key(|kill| kill.at);
    plan
}

/// What chaos did, and what it did not do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ChaosReport {
    /// The kills that were carried out.
    pub kills: Vec<Kill>,
    /// Measurements that agents saw acknowledged.
    pub acknowledged: usize,
    /// Rows in the store.
    pub stored: u64,
    /// Acknowledged measurements that the store does not have.
    pub missing: Vec<String>,
    /// Ids that the store has more than once.
    pub doubled: u64,
}

/// Counts the measurements in a coordinator's store.
///
/// # Errors
/// Fails when the store cannot be read.
pub fn count(store: &Path) -> Result<u64, ChaosError> {
    let failed = |source| ChaosError::Store(store.to_owned(), source);
    let connection = open(store)?;
    let rows: i64 =
        connection.query_row("SELECT count(*) FROM measurement", [], |row| row.get(0)).map_err(failed)?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// Compares the agents' journals of acknowledged ids with the store.
///
/// # Errors
/// Fails when the store cannot be read.
pub fn compare(store: &Path, journals: &[PathBuf], kills: Vec<Kill>) -> Result<ChaosReport, ChaosError> {
    let failed = |source| ChaosError::Store(store.to_owned(), source);
    let connection = open(store)?;
    let mut rows = connection.prepare("SELECT id FROM measurement").map_err(failed)?;
    let mut stored = BTreeSet::new();
    let (mut total, mut doubled) = (0, 0);
    let ids = rows.query_map([], |row| row.get::<_, rusqlite::types::Value>(0)).map_err(failed)?;
    for id in ids {
        total += 1;
        doubled += u64::from(!stored.insert(text(id.map_err(failed)?)));
    }
    let mut acknowledged = BTreeSet::new();
    for journal in journals {
        let lines = std::fs::read_to_string(journal).unwrap_or_default();
        acknowledged.extend(lines.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned));
    }
    let missing: Vec<String> = acknowledged.difference(&stored).cloned().collect();
    Ok(ChaosReport { kills, acknowledged: acknowledged.len(), stored: total, missing, doubled })
}

fn open(store: &Path) -> Result<Connection, ChaosError> {
    Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|source| ChaosError::Store(store.to_owned(), source))
}

fn text(value: rusqlite::types::Value) -> String {
    match value {
        rusqlite::types::Value::Text(text) => text,
        rusqlite::types::Value::Blob(bytes) => data_encoding::HEXLOWER.encode(&bytes),
        rusqlite::types::Value::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_kills_again() {
        let length = Duration::from_secs(300);
        let kills = plan(20, 24, length, 5);
        assert_eq!(kills, plan(20, 24, length, 5));
        assert_eq!(kills.len(), 20);
        assert!(kills.iter().any(|kill| kill.victim == Victim::Coordinator));
        assert!(kills.iter().all(|kill| kill.at < length));
    }

    #[test]
    fn what_was_acknowledged_and_is_not_stored_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("faultline.sqlite");
        let connection = Connection::open(&store).expect("a store");
        connection
            .execute_batch(
                "CREATE TABLE measurement(id TEXT); INSERT INTO measurement VALUES ('a'),('b'),('b')",
            )
            .expect("rows");
        let journal = folder.path().join("journal");
        std::fs::write(&journal, "a\nb\nc\n").expect("a journal");
        let report = compare(&store, &[journal, folder.path().join("none")], Vec::new()).expect("compares");
        assert_eq!((report.acknowledged, report.stored, report.doubled), (3, 3, 1));
        assert_eq!(report.missing, ["c"]);
    }
}
