//! The schema and its migrations. A migration, once released, is never edited: the next change is a new one.

use super::super::StoreError;
use rusqlite::Connection;
use std::path::Path;

/// Migration `n` (from 1) brings a file from schema `n - 1` to `n`.
const MIGRATIONS: &[&str] = &[FIRST, IMPORTED, JUDGED_HOPS, NOTES, RELEASES];

const FIRST: &str = "
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE invite (
  token BLOB PRIMARY KEY,          -- SHA-256 of the token
  country TEXT NOT NULL,
  asn INTEGER,
  control INTEGER NOT NULL,
  cohort TEXT NOT NULL,
  created_at INTEGER NOT NULL,     -- all moments: UTC, milliseconds since the Unix epoch
  expires_at INTEGER NOT NULL,
  used_by TEXT
) WITHOUT ROWID;

CREATE TABLE agent (
  id TEXT PRIMARY KEY,
  country TEXT NOT NULL,
  asn INTEGER,
  control INTEGER NOT NULL,
  cohort TEXT NOT NULL,
  agent_version TEXT NOT NULL,
  kinds TEXT NOT NULL,
  budget TEXT NOT NULL,
  consent_version TEXT NOT NULL,
  enrolled_at INTEGER NOT NULL,
  last_seen INTEGER,
  paused INTEGER NOT NULL,
  request BLOB NOT NULL            -- SHA-256 of the certificate request
) WITHOUT ROWID;

CREATE TABLE list (
  version INTEGER PRIMARY KEY,
  document BLOB NOT NULL,          -- the exact signed bytes
  signatures TEXT NOT NULL
);

CREATE TABLE incident (
  id TEXT PRIMARY KEY,
  country TEXT NOT NULL,
  onset INTEGER NOT NULL,
  ended INTEGER,
  revision INTEGER NOT NULL,
  body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX incident_by_onset ON incident (onset DESC, id);
CREATE INDEX incident_by_country ON incident (country, onset DESC, id);

CREATE TABLE revision (            -- what was said stays readable for ever
  incident TEXT NOT NULL,
  revision INTEGER NOT NULL,
  published_at INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (incident, revision)
) WITHOUT ROWID;

CREATE TABLE measurement (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  agent TEXT NOT NULL,
  asn INTEGER,                     -- null: nobody knows; such rows weigh nothing
  country TEXT NOT NULL,
  control INTEGER NOT NULL,
  home_network INTEGER NOT NULL,
  target TEXT NOT NULL,
  \"check\" TEXT NOT NULL,
  why TEXT NOT NULL,
  token TEXT,
  started_at INTEGER NOT NULL,     -- the agent's clock
  received_at INTEGER NOT NULL,    -- the coordinator's clock
  clock_offset_ms INTEGER NOT NULL,-- the agent's clock minus the coordinator's, as last seen on its stream
  class TEXT,                      -- judged after storing, and again whenever the rules improve
  layer TEXT,
  status TEXT,
  rule TEXT,
  message BLOB NOT NULL            -- faultline.agent.v1.Measurement
);
CREATE INDEX measurement_by_arrival ON measurement (received_at);

CREATE TABLE measurement_count (agent TEXT PRIMARY KEY, measurements INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE presence (
  at INTEGER NOT NULL,
  agent TEXT,                      -- null: the coordinator itself
  asn INTEGER,
  kind TEXT NOT NULL,
  clock_offset_ms INTEGER NOT NULL,
  spooled INTEGER NOT NULL
);
CREATE INDEX presence_by_time ON presence (at);
";

/// Measurements by others, apart from what live vantage points uploaded.
const IMPORTED: &str = "
CREATE TABLE imported (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  source TEXT NOT NULL,
  imported_at INTEGER NOT NULL,
  body TEXT NOT NULL               -- faultline_model::Record as JSON
);
CREATE INDEX imported_by_arrival ON imported (imported_at);
";

/// Which redirect hop a judgement is about, and the observations that it rests on.
const JUDGED_HOPS: &str = "
ALTER TABLE measurement ADD COLUMN hop INTEGER;
ALTER TABLE measurement ADD COLUMN evidence TEXT; -- positions in the measurement, a JSON array
";

/// What operators released before its time, and a short way to results that are read by themselves, which are few.
const RELEASES: &str = "
CREATE TABLE release (
  class TEXT NOT NULL,
  country TEXT NOT NULL,
  until INTEGER NOT NULL,          -- what came before is public
  released_at INTEGER NOT NULL,
  PRIMARY KEY (class, country)
) WITHOUT ROWID;
CREATE INDEX measurement_apart ON measurement (country, received_at)
  WHERE \"check\" IN ('openvpn', 'wireguard', 'tor', 'proxy', 'vpn_api', 'diagnose', 'path');
";

/// What operators noted: announced events, claims, sources for causes. Nothing is deleted.
const NOTES: &str = "
CREATE TABLE note (
  id TEXT PRIMARY KEY,
  country TEXT NOT NULL,
  noted_at INTEGER NOT NULL,
  withdrawn_at INTEGER,
  body TEXT NOT NULL               -- faultline_model::NoteBody as JSON
) WITHOUT ROWID;
CREATE INDEX note_by_country ON note (country, noted_at, id);
";

pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let open_error = |source| StoreError::Open { path: path.display().to_string(), source };
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    let found: u32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(open_error)?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, sql) in (1_u32..).zip(MIGRATIONS).skip(found as usize) {
        let transaction = connection.transaction().map_err(open_error)?;
        transaction.execute_batch(sql).map_err(open_error)?;
        transaction.pragma_update(None, "user_version", version).map_err(open_error)?;
        transaction.commit().map_err(open_error)?;
    }
    Ok(())
}
