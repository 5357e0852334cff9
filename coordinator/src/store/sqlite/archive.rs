//! Measurements and presence.

use super::super::{
    Answer, AppendOutcome, Archive, ArchivePage, CellCount, ImportedRecord, JudgedRow, JudgedSpan,
    NewMeasurement, Outcomes, PresenceEvent, PresenceKind, StoredMeasurement,
};
use super::SqliteStore;
use super::handshakes;
use super::registry::{asn_from, country_from, damaged, number};
use faultline_model::{AgentId, Asn, CheckKind, CountryCode, Judgement, LayerStatus, Record, Timestamp, Why};
use faultline_proto::agent as wire;
use faultline_proto::convert::{measurement_from_wire, measurement_to_wire};
use prost::Message;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

const HOUR_MS: i64 = 3_600_000;

impl Archive for SqliteStore {
    fn append(&self, measurements: Vec<NewMeasurement>) -> Answer<'_, Vec<AppendOutcome>> {
        // Encoding is done before the job is queued, so that the writing thread only writes.
        let encoded: Vec<_> = measurements
            .into_iter()
            .map(|row| (measurement_to_wire(&row.measurement).encode_to_vec(), row))
            .collect();
        Box::pin(self.writer.write("store measurements", move |db| append(db, &encoded)))
    }

    fn append_imported(&self, records: Vec<ImportedRecord>) -> Answer<'_, Vec<AppendOutcome>> {
        Box::pin(self.writer.write("store imported measurements", move |db| append_imported(db, &records)))
    }

    fn imported_after(&self, position: u64, limit: usize) -> Answer<'_, Vec<(u64, Record)>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Box::pin(Arc::clone(&self.readers).read("read imported measurements", move |db| {
            let mut query = db.prepare_cached(
                "SELECT position, body FROM imported WHERE position > ?1 ORDER BY position LIMIT ?2",
            )?;
            let rows = query.query_map(params![number(position), limit], |row| {
                let record = serde_json::from_str(row.get_ref(1)?.as_str()?).map_err(|e| damaged(1, &e))?;
                Ok((u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0), record))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>().map(Ok)
        }))
    }

    fn measurements_after(&self, position: u64, limit: usize) -> Answer<'_, ArchivePage> {
        Box::pin(Arc::clone(&self.readers).read("read measurements", move |db| {
            let mut query = db.prepare_cached(
                "SELECT position, agent, asn, country, control, home_network, why, received_at, message,
                        class, layer, status, rule, clock_offset_ms, hop, evidence
                 FROM measurement WHERE position > ?1 ORDER BY position LIMIT ?2",
            )?;
            let mut rows =
                query.query(params![number(position), i64::try_from(limit).unwrap_or(i64::MAX)])?;
            let mut page = ArchivePage { position, ..ArchivePage::default() };
            let mut read = 0;
            while let Some(row) = rows.next()? {
                read += 1;
                page.position = u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0);
                match measurement_from_row(row) {
                    Ok(stored) => page.measurements.push(stored),
                    Err(error) => {
                        tracing::error!(position = page.position, %error, "a stored measurement is damaged");
                    }
                }
            }
            page.is_full = read == limit;
            Ok(Ok(page))
        }))
    }

    fn position_at(&self, received_at: Timestamp) -> Answer<'_, u64> {
        Box::pin(Arc::clone(&self.readers).read("find a position", move |db| {
            // Positions and arrivals rise together but for some milliseconds, which do not matter here.
            let first = "SELECT position - 1 FROM measurement WHERE received_at >= ?1
                         ORDER BY received_at, position LIMIT 1";
            let before: Option<i64> =
                db.query_row(first, [received_at.unix_ms()], |row| row.get(0)).optional()?;
            let last = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'measurement'), 0)";
            let position: i64 = match before {
                Some(position) => position,
                None => db.query_row(last, [], |row| row.get(0))?,
            };
            Ok(Ok(u64::try_from(position).unwrap_or(0)))
        }))
    }

    fn note_judgements(&self, judgements: Vec<(u64, Judgement)>) -> Answer<'_, ()> {
        Box::pin(self.writer.write("note judgements", move |db| {
            let mut update = db.prepare_cached(
                "UPDATE measurement SET class = ?2, layer = ?3, status = ?4, rule = ?5, hop = ?6, evidence = ?7
                 WHERE position = ?1",
            )?;
            for (position, judgement) in &judgements {
                update.execute(params![
                    number(*position),
                    judgement.class.as_str(),
                    judgement.layer.as_str(),
                    judgement.status.as_str(),
                    judgement.rule,
                    judgement.hop,
                    serde_json::to_string(&judgement.evidence).map_err(|e| damaged(7, &e))?,
                ])?;
            }
            Ok(())
        }))
    }

    fn counts(&self) -> Answer<'_, Vec<(AgentId, u64)>> {
        Box::pin(Arc::clone(&self.readers).read("count measurements", |db| {
            let mut query = db.prepare_cached("SELECT agent, measurements FROM measurement_count")?;
            let rows = query.query_map([], |row| {
                Ok((parsed(row, 0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>().map(Ok)
        }))
    }

    fn append_presence(&self, events: Vec<PresenceEvent>) -> Answer<'_, ()> {
        Box::pin(self.writer.write("store presence", move |db| {
            let mut insert = db.prepare_cached(
                "INSERT INTO presence (at, agent, asn, kind, clock_offset_ms, spooled)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for event in &events {
                insert.execute(params![
                    event.at.unix_ms(),
                    event.agent.as_ref().map(AgentId::as_str),
                    event.asn.map(Asn::get),
                    event.kind.as_str(),
                    event.clock_offset_ms,
                    number(event.spooled),
                ])?;
            }
            Ok(())
        }))
    }

    fn presence_since(&self, since: Timestamp, limit: usize) -> Answer<'_, Vec<PresenceEvent>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Box::pin(Arc::clone(&self.readers).read("read presence", move |db| {
            let mut query = db.prepare_cached(
                "SELECT at, agent, asn, kind, clock_offset_ms, spooled FROM presence WHERE at >= ?1
                 ORDER BY at, rowid LIMIT ?2",
            )?;
            let rows = query.query_map(params![since.unix_ms(), limit], presence_from_row)?;
            rows.collect::<rusqlite::Result<Vec<_>>>().map(Ok)
        }))
    }

    fn judged_between(&self, span: JudgedSpan, limit: usize) -> Answer<'_, Vec<JudgedRow>> {
        Box::pin(
            Arc::clone(&self.readers)
                .read("read judgements", move |db| super::judged::between(db, span, limit).map(Ok)),
        )
    }

    fn first_received(&self) -> Answer<'_, Option<Timestamp>> {
        Box::pin(
            Arc::clone(&self.readers)
                .read("find the first measurement", |db| super::judged::first_received(db).map(Ok)),
        )
    }

    fn cell_counts(&self, since: Timestamp) -> Answer<'_, Vec<CellCount>> {
        Box::pin(Arc::clone(&self.readers).read("count cells", move |db| {
            let mut query = db.prepare_cached(
                "SELECT target, asn, started_at / ?2, count(*), sum(class <> 'ok') FROM measurement
                 WHERE received_at >= ?1 AND asn IS NOT NULL AND control = 0
                   AND \"check\" = 'web' AND class IS NOT NULL AND class <> 'local_network_down'
                 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            )?;
            let rows = query.query_map([since.unix_ms(), HOUR_MS], |row| {
                let hour = Timestamp::from_unix_ms(row.get::<_, i64>(2)?.saturating_mul(HOUR_MS));
                let asn = asn_from(row, 1)?.ok_or_else(|| damaged(1, &"no network"))?;
                let (measurements, anomalies) = (row.get(3)?, row.get(4)?);
                Ok(CellCount { target: parsed(row, 0)?, asn, hour, measurements, anomalies })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>().map(Ok)
        }))
    }

    fn handshakes(&self, country: CountryCode, since: Timestamp) -> Answer<'_, Vec<Outcomes>> {
        Box::pin(
            Arc::clone(&self.readers)
                .read("count handshakes", move |db| handshakes::outcomes(db, country, since).map(Ok)),
        )
    }

    fn judged(
        &self,
        check: CheckKind,
        country: CountryCode,
        since: Timestamp,
        limit: usize,
    ) -> Answer<'_, Vec<StoredMeasurement>> {
        Box::pin(Arc::clone(&self.readers).read("read judged measurements", move |db| {
            handshakes::judged(db, (check, country), since, limit).map(Ok)
        }))
    }

    fn prune(&self, before: Timestamp, limit: usize) -> Answer<'_, usize> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Box::pin(self.writer.write("prune", move |db| {
            let border = [before.unix_ms(), limit];
            let measurements = "DELETE FROM measurement WHERE position IN
                (SELECT position FROM measurement WHERE received_at < ?1 LIMIT ?2)";
            let presence =
                "DELETE FROM presence WHERE rowid IN (SELECT rowid FROM presence WHERE at < ?1 LIMIT ?2)";
            let imported = "DELETE FROM imported WHERE position IN
                (SELECT position FROM imported WHERE imported_at < ?1 LIMIT ?2)";
            let old = [measurements, presence, imported];
            let mut deleted = 0;
            for statement in old {
                deleted += db.execute(statement, border)?;
            }
            Ok(deleted)
        }))
    }
}

fn append(db: &Connection, rows: &[(Vec<u8>, NewMeasurement)]) -> rusqlite::Result<Vec<AppendOutcome>> {
    let mut insert = db.prepare_cached(
        "INSERT INTO measurement (id, agent, asn, country, control, home_network, target, \"check\", why, token,
                                  started_at, received_at, clock_offset_ms, message)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT (id) DO NOTHING",
    )?;
    let mut find = db.prepare_cached("SELECT agent = ?2 AND message = ?3 FROM measurement WHERE id = ?1")?;
    let mut stored: BTreeMap<&AgentId, i64> = BTreeMap::new();
    let mut outcomes = Vec::with_capacity(rows.len());
    for (message, row) in rows {
        let facts = &row.measurement;
        let inserted = insert.execute(params![
            facts.id.as_str(),
            row.agent.as_str(),
            row.asn.map(Asn::get),
            row.country.to_string(),
            row.control,
            row.is_home_network,
            facts.target.as_str(),
            facts.check.as_str(),
            why_to_text(row.why),
            facts.token.as_ref().map(|token| token.as_str().to_owned()),
            facts.started_at.unix_ms(),
            row.received_at.unix_ms(),
            row.clock_offset_ms,
            message,
        ])?;
        if inserted == 1 {
            *stored.entry(&row.agent).or_default() += 1;
            outcomes.push(AppendOutcome::Stored);
            continue;
        }
        let is_same: bool =
            find.query_row(params![facts.id.as_str(), row.agent.as_str(), message], |row| row.get(0))?;
        let conflict = || AppendOutcome::Conflict(facts.id.clone());
        outcomes.push(if is_same { AppendOutcome::Duplicate } else { conflict() });
    }
    let mut count = db.prepare_cached(
        "INSERT INTO measurement_count (agent, measurements) VALUES (?1, ?2)
         ON CONFLICT (agent) DO UPDATE SET measurements = measurements + excluded.measurements",
    )?;
    for (agent, added) in stored {
        count.execute(params![agent.as_str(), added])?;
    }
    Ok(outcomes)
}

fn append_imported(db: &Connection, rows: &[ImportedRecord]) -> rusqlite::Result<Vec<AppendOutcome>> {
    let mut insert = db.prepare_cached(
        "INSERT INTO imported (id, source, imported_at, body)
         SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM measurement WHERE id = ?1)
         ON CONFLICT (id) DO NOTHING",
    )?;
    let mut find = db.prepare_cached("SELECT body = ?2 FROM imported WHERE id = ?1")?;
    let mut outcomes = Vec::with_capacity(rows.len());
    for row in rows {
        let id = &row.record.id;
        let body = serde_json::to_string(&row.record).map_err(|e| damaged(3, &e))?;
        if insert.execute(params![id.as_str(), row.source, row.imported_at.unix_ms(), body])? == 1 {
            outcomes.push(AppendOutcome::Stored);
            continue;
        }
        let is_same: Option<bool> =
            find.query_row(params![id.as_str(), body], |row| row.get(0)).optional()?;
        let differs = is_same == Some(false);
        outcomes.push(if differs { AppendOutcome::Conflict(id.clone()) } else { AppendOutcome::Duplicate });
    }
    Ok(outcomes)
}

pub(super) fn measurement_from_row(row: &Row<'_>) -> rusqlite::Result<StoredMeasurement> {
    let message = wire::Measurement::decode(row.get_ref(8)?.as_blob()?).map_err(|e| damaged(8, &e))?;
    let class: Option<String> = row.get(9)?;
    let judgement = match class {
        None => None,
        Some(class) => Some(Judgement {
            class: class.parse().map_err(|e: String| damaged(9, &e))?,
            layer: parsed(row, 10)?,
            status: status_from_text(&row.get::<_, String>(11)?),
            rule: row.get(12)?,
            hop: row.get::<_, Option<u8>>(14)?.unwrap_or(0),
            evidence: evidence_from(row, 15)?,
        }),
    };
    Ok(StoredMeasurement {
        position: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
        row: NewMeasurement {
            measurement: measurement_from_wire(message).map_err(|e| damaged(8, &e))?,
            agent: parsed(row, 1)?,
            asn: asn_from(row, 2)?,
            country: country_from(row, 3)?,
            control: row.get(4)?,
            is_home_network: row.get(5)?,
            why: why_from_text(&row.get::<_, String>(6)?),
            received_at: Timestamp::from_unix_ms(row.get(7)?),
            clock_offset_ms: row.get(13)?,
        },
        judgement,
    })
}

fn presence_from_row(row: &Row<'_>) -> rusqlite::Result<PresenceEvent> {
    let agent: Option<String> = row.get(1)?;
    let kind: String = row.get(3)?;
    Ok(PresenceEvent {
        at: Timestamp::from_unix_ms(row.get(0)?),
        agent: agent.map(|text| AgentId::new(text).map_err(|e| damaged(1, &e))).transpose()?,
        asn: asn_from(row, 2)?,
        kind: PresenceKind::ALL
            .into_iter()
            .find(|known| known.as_str() == kind)
            .unwrap_or(PresenceKind::Beat),
        clock_offset_ms: row.get(4)?,
        spooled: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
    })
}

pub(super) fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::fmt::Display,
{
    row.get_ref(column)?.as_str()?.parse().map_err(|e: T::Err| damaged(column, &e))
}

const fn why_to_text(why: Why) -> &'static str {
    match why {
        Why::Routine => "routine",
        Why::Confirmation => "confirmation",
    }
}

fn why_from_text(text: &str) -> Why {
    if text == "confirmation" { Why::Confirmation } else { Why::Routine }
}

/// A word that this program does not know says nothing.
pub(super) fn status_from_text(text: &str) -> LayerStatus {
    LayerStatus::ALL.into_iter().find(|status| status.as_str() == text).unwrap_or(LayerStatus::Insufficient)
}

/// Reads the positions of observations; rows from before they were noted have none.
fn evidence_from(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u16>> {
    let text: Option<String> = row.get(column)?;
    text.map_or(Ok(Vec::new()), |text| serde_json::from_str(&text).map_err(|e| damaged(column, &e)))
}
