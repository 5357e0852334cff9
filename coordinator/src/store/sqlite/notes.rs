//! Operators' notes.

use super::registry::{country_from, from_json, to_sql};
use faultline_model::{CountryCode, Note, NoteBody, NoteId, Timestamp};
use rusqlite::{Connection, Row, params};

const COLUMNS: &str = "id, country, noted_at, withdrawn_at, body";

/// Keeps a note once, and returns it as it was kept first.
pub(super) fn keep(db: &Connection, note: &Note) -> rusqlite::Result<Note> {
    let body = serde_json::to_string(&note.body).map_err(to_sql)?;
    db.prepare_cached(
        "INSERT INTO note (id, country, noted_at, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING",
    )?
    .execute(params![note.id.as_str(), note.country.to_string(), note.noted_at.unix_ms(), body])?;
    let sql = format!("SELECT {COLUMNS} FROM note WHERE id = ?1");
    db.prepare_cached(&sql)?.query_row([note.id.as_str()], from_row)
}

/// Returns a country's notes, the oldest first.
pub(super) fn of(db: &Connection, country: CountryCode) -> rusqlite::Result<Vec<Note>> {
    let sql = format!("SELECT {COLUMNS} FROM note WHERE country = ?1 ORDER BY noted_at, id");
    let mut query = db.prepare_cached(&sql)?;
    query.query_map([country.to_string()], from_row)?.collect()
}

/// Withdraws a note, once; false if there is none.
pub(super) fn withdraw(db: &Connection, id: &NoteId, at: Timestamp) -> rusqlite::Result<bool> {
    let sql = "UPDATE note SET withdrawn_at = coalesce(withdrawn_at, ?2) WHERE id = ?1";
    Ok(db.prepare_cached(sql)?.execute(params![id.as_str(), at.unix_ms()])? == 1)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Note> {
    Ok(Note {
        id: super::archive::parsed(row, 0)?,
        country: country_from(row, 1)?,
        noted_at: Timestamp::from_unix_ms(row.get(2)?),
        withdrawn_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_unix_ms),
        body: from_json::<NoteBody>(4, &row.get::<_, String>(4)?)?,
    })
}
