//! Judgements read back without the facts behind them, which is all that many questions need.

use super::super::{JudgedRow, JudgedSpan};
use super::archive::{parsed, status_from_text};
use super::registry::{asn_from, damaged};
use faultline_model::Timestamp;
use rusqlite::{Connection, Row, params};

/// Returns what was judged of measurements that were received within a span, in the order of arrival.
pub(super) fn between(db: &Connection, span: JudgedSpan, limit: usize) -> rusqlite::Result<Vec<JudgedRow>> {
    let mut query = db.prepare_cached(
        "SELECT agent, asn, control, target, \"check\", started_at, clock_offset_ms, class, status
         FROM measurement
         WHERE received_at >= ?1 AND received_at < ?2 AND (country = ?3 OR control = 1)
           AND asn IS NOT NULL AND class IS NOT NULL
         ORDER BY received_at, position LIMIT ?4",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = params![span.from.unix_ms(), span.to.unix_ms(), span.country.to_string(), limit];
    query.query_map(values, from_row)?.collect()
}

/// Returns when the oldest measurement that is kept was received.
pub(super) fn first_received(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let first: Option<i64> =
        db.query_row("SELECT min(received_at) FROM measurement", [], |row| row.get(0))?;
    Ok(first.map(Timestamp::from_unix_ms))
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<JudgedRow> {
    Ok(JudgedRow {
        agent: parsed(row, 0)?,
        asn: asn_from(row, 1)?.ok_or_else(|| damaged(1, &"no network"))?,
        control: row.get(2)?,
        target: parsed(row, 3)?,
        check: parsed(row, 4)?,
        started_at: Timestamp::from_unix_ms(row.get(5)?),
        clock_offset_ms: row.get(6)?,
        class: parsed(row, 7)?,
        status: status_from_text(&row.get::<_, String>(8)?),
    })
}
