//! Invites, agents, lists, incidents.

use super::super::{
    AgentRecord, Answer, Budget, InviteRecord, Redeemed, Registry, Release, StoreError, TokenHash,
};
use super::SqliteStore;
use super::handshakes;
use faultline_model::{
    Asn, CheckKind, CountryCode, Incident, IncidentId, Note, NoteId, Signature, SignedList, Timestamp,
};
use faultline_runtime::OperatorRoot;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::Arc;

impl Registry for SqliteStore {
    fn add_invites(&self, invites: Vec<InviteRecord>) -> Answer<'_, ()> {
        Box::pin(self.writer.write("keep invites", move |db| {
            let mut insert = db.prepare_cached(
                "INSERT INTO invite (token, country, asn, control, cohort, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for invite in &invites {
                insert.execute(params![
                    invite.token,
                    invite.country.to_string(),
                    invite.asn.map(Asn::get),
                    invite.control,
                    invite.cohort,
                    invite.created_at.unix_ms(),
                    invite.expires_at.unix_ms(),
                ])?;
            }
            Ok(())
        }))
    }

    fn redeem(&self, token: TokenHash, agent: AgentRecord) -> Answer<'_, Redeemed> {
        Box::pin(self.writer.write("redeem an invite", move |db| redeem(db, &token, agent)))
    }

    fn agents(&self) -> Answer<'_, Vec<AgentRecord>> {
        Box::pin(Arc::clone(&self.readers).read("list agents", |db| {
            let mut query = db.prepare_cached(&format!("SELECT {AGENT_COLUMNS} FROM agent ORDER BY id"))?;
            query.query_map([], agent_from_row)?.collect::<rusqlite::Result<Vec<_>>>().map(Ok)
        }))
    }

    fn note_agents(&self, agents: Vec<AgentRecord>) -> Answer<'_, ()> {
        Box::pin(self.writer.write("note agents", move |db| {
            let mut update = db.prepare_cached(
                "UPDATE agent SET last_seen = ?2, agent_version = ?3, kinds = ?4, budget = ?5, paused = ?6
                 WHERE id = ?1",
            )?;
            for agent in &agents {
                update.execute(params![
                    agent.id.as_str(),
                    agent.last_seen.map(Timestamp::unix_ms),
                    agent.agent_version,
                    kinds_to_text(&agent.kinds),
                    budget_to_text(agent.budget),
                    agent.paused,
                ])?;
            }
            Ok(())
        }))
    }

    fn keep_list(&self, version: u64, list: SignedList, root: OperatorRoot) -> Answer<'_, ()> {
        Box::pin(self.writer.write("keep a task list", move |db| {
            let signatures = serde_json::to_string(&list.signatures).map_err(to_sql)?;
            db.execute(
                "INSERT INTO list (version, document, signatures) VALUES (?1, ?2, ?3)",
                params![number(version), list.document, signatures],
            )?;
            set(db, "operator_root", &String::from_utf8_lossy(&root.to_json()))
        }))
    }

    fn lists(&self) -> Answer<'_, Vec<SignedList>> {
        Box::pin(Arc::clone(&self.readers).read("read task lists", |db| {
            let mut query = db.prepare_cached("SELECT document, signatures FROM list ORDER BY version")?;
            let rows = query.query_map([], |row| {
                let signatures: String = row.get(1)?;
                let signatures: Vec<Signature> = from_json(1, &signatures)?;
                Ok(SignedList { document: row.get(0)?, signatures })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>().map(Ok)
        }))
    }

    fn operator_root(&self) -> Answer<'_, Option<OperatorRoot>> {
        Box::pin(Arc::clone(&self.readers).read("read the operators' root", |db| {
            let Some(text) = get(db, "operator_root")? else { return Ok(Ok(None)) };
            let root = OperatorRoot::from_json(text.as_bytes()).map(Some);
            Ok(root.map_err(|e| StoreError::Damaged { what: "operator root", reason: e.to_string() }))
        }))
    }

    fn next_generation(&self, floor: u64) -> Answer<'_, u64> {
        Box::pin(self.writer.write("count a generation", move |db| {
            let last: u64 = get(db, "generation")?.and_then(|text| text.parse().ok()).unwrap_or(0);
            let next = last.saturating_add(1).max(floor);
            set(db, "generation", &next.to_string())?;
            Ok(next)
        }))
    }

    fn keep_incidents(&self, incidents: Vec<Incident>) -> Answer<'_, ()> {
        Box::pin(self.writer.write("keep incidents", move |db| {
            for incident in &incidents {
                keep_incident(db, incident)?;
            }
            Ok(())
        }))
    }

    fn incidents(
        &self,
        country: Option<CountryCode>,
        after: Option<IncidentId>,
        limit: usize,
    ) -> Answer<'_, Vec<Incident>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Box::pin(Arc::clone(&self.readers).read("list incidents", move |db| {
            let country = country.map(|country| country.to_string());
            let after = after.map(|id| id.to_string());
            let mut query = db.prepare_cached(
                "SELECT body FROM incident
                 WHERE (?1 IS NULL OR country = ?1)
                   AND (?2 IS NULL OR EXISTS (SELECT 1 FROM incident AS last WHERE last.id = ?2
                        AND (incident.onset < last.onset
                             OR (incident.onset = last.onset AND incident.id > last.id))))
                 ORDER BY onset DESC, id LIMIT ?3",
            )?;
            let rows = query.query_map(params![country, after, limit], incident_from_row)?;
            rows.collect::<rusqlite::Result<Vec<_>>>().map(Ok)
        }))
    }

    fn incident(&self, id: IncidentId) -> Answer<'_, Option<Incident>> {
        Box::pin(Arc::clone(&self.readers).read("read an incident", move |db| {
            let mut query = db.prepare_cached("SELECT body FROM incident WHERE id = ?1")?;
            query.query_row([id.as_str()], incident_from_row).optional().map(Ok)
        }))
    }

    fn keep_release(&self, release: Release) -> Answer<'_, ()> {
        Box::pin(self.writer.write("keep a release", move |db| handshakes::keep_release(db, &release)))
    }

    fn releases(&self) -> Answer<'_, Vec<Release>> {
        Box::pin(Arc::clone(&self.readers).read("read releases", |db| handshakes::releases(db).map(Ok)))
    }

    fn keep_note(&self, note: Note) -> Answer<'_, Note> {
        Box::pin(self.writer.write("keep a note", move |db| super::notes::keep(db, &note)))
    }

    fn notes(&self, country: CountryCode) -> Answer<'_, Vec<Note>> {
        Box::pin(
            Arc::clone(&self.readers).read("read notes", move |db| super::notes::of(db, country).map(Ok)),
        )
    }

    fn withdraw_note(&self, id: NoteId, at: Timestamp) -> Answer<'_, bool> {
        Box::pin(self.writer.write("withdraw a note", move |db| super::notes::withdraw(db, &id, at)))
    }
}

const AGENT_COLUMNS: &str = "id, country, asn, control, cohort, agent_version, kinds, budget, consent_version, \
                             enrolled_at, last_seen, paused, request";

fn redeem(db: &Connection, token: &TokenHash, mut agent: AgentRecord) -> rusqlite::Result<Redeemed> {
    let now = agent.enrolled_at.unix_ms();
    let mut take = db.prepare_cached(
        "UPDATE invite SET used_by = ?2
         WHERE token = ?1 AND used_by IS NULL AND expires_at > ?3 AND control = ?4
         RETURNING country, asn, cohort",
    )?;
    let invite = take
        .query_row(params![token, agent.id.as_str(), now, agent.control], |row| {
            Ok((country_from(row, 0)?, asn_from(row, 1)?, row.get::<_, String>(2)?))
        })
        .optional()?;
    let Some((country, expected, cohort)) = invite else { return repeat(db, token, &agent) };
    let differs = agent.asn.is_some() && expected.is_some() && agent.asn != expected;
    agent.country = country;
    agent.asn = agent.asn.or(expected);
    agent.cohort = cohort;
    db.prepare_cached(&format!(
        "INSERT INTO agent ({AGENT_COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)"
    ))?
    .execute(params![
        agent.id.as_str(),
        agent.country.to_string(),
        agent.asn.map(Asn::get),
        agent.control,
        agent.cohort,
        agent.agent_version,
        kinds_to_text(&agent.kinds),
        budget_to_text(agent.budget),
        agent.consent_version,
        now,
        agent.last_seen.map(Timestamp::unix_ms),
        agent.paused,
        agent.request,
    ])?;
    Ok(Redeemed::Agent(Box::new(agent), differs))
}

/// An agent whose answer got lost asks again with the same certificate request, and gets the same pseudonym.
fn repeat(db: &Connection, token: &TokenHash, agent: &AgentRecord) -> rusqlite::Result<Redeemed> {
    let sql = format!(
        "SELECT {AGENT_COLUMNS} FROM agent
         WHERE id = (SELECT used_by FROM invite WHERE token = ?1) AND request = ?2 AND control = ?3"
    );
    let before = db
        .prepare_cached(&sql)?
        .query_row(params![token, agent.request, agent.control], agent_from_row)
        .optional()?;
    Ok(before.map_or(Redeemed::Refused, |before| Redeemed::Agent(Box::new(before), false)))
}

fn keep_incident(db: &Connection, incident: &Incident) -> rusqlite::Result<()> {
    let body = serde_json::to_string(incident).map_err(to_sql)?;
    db.prepare_cached(
        "INSERT INTO incident (id, country, onset, ended, revision, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET country = excluded.country, onset = excluded.onset,
           ended = excluded.ended, revision = excluded.revision, body = excluded.body
         WHERE excluded.revision >= incident.revision",
    )?
    .execute(params![
        incident.id.as_str(),
        incident.country.to_string(),
        incident.onset.unix_ms(),
        incident.end.map(Timestamp::unix_ms),
        incident.revision,
        body,
    ])?;
    let mut keep = db.prepare_cached(
        "INSERT OR IGNORE INTO revision (incident, revision, published_at, body) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for revision in &incident.revisions {
        let body = serde_json::to_string(revision).map_err(to_sql)?;
        let published_at = revision.published_at.unix_ms();
        keep.execute(params![incident.id.as_str(), revision.revision, published_at, body])?;
    }
    Ok(())
}

fn incident_from_row(row: &Row<'_>) -> rusqlite::Result<Incident> {
    from_json(0, &row.get::<_, String>(0)?)
}

fn agent_from_row(row: &Row<'_>) -> rusqlite::Result<AgentRecord> {
    let kinds: String = row.get(6)?;
    Ok(AgentRecord {
        id: super::archive::parsed(row, 0)?,
        country: country_from(row, 1)?,
        asn: asn_from(row, 2)?,
        control: row.get(3)?,
        cohort: row.get(4)?,
        agent_version: row.get(5)?,
        kinds: kinds.split(',').filter_map(|kind| kind.parse().ok()).collect(),
        budget: if row.get::<_, String>(7)? == "small" { Budget::Small } else { Budget::Standard },
        consent_version: row.get(8)?,
        enrolled_at: Timestamp::from_unix_ms(row.get(9)?),
        last_seen: row.get::<_, Option<i64>>(10)?.map(Timestamp::from_unix_ms),
        paused: row.get(11)?,
        request: row.get(12)?,
    })
}

fn kinds_to_text(kinds: &[CheckKind]) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(",")
}

const fn budget_to_text(budget: Budget) -> &'static str {
    match budget {
        Budget::Standard => "standard",
        Budget::Small => "small",
    }
}

fn set(db: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO setting (name, value) VALUES (?1, ?2)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    db.prepare_cached(sql)?.execute([name, value])?;
    Ok(())
}

fn get(db: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT value FROM setting WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(super) fn country_from(row: &Row<'_>, column: usize) -> rusqlite::Result<CountryCode> {
    row.get::<_, String>(column)?.parse().map_err(|e: String| damaged(column, &e))
}

pub(super) fn asn_from(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Asn>> {
    let number: Option<u32> = row.get(column)?;
    number.map(|number| Asn::recorded(number).map_err(|e| damaged(column, &e))).transpose()
}

pub(super) fn damaged(column: usize, reason: &dyn std::fmt::Display) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, reason.to_string().into())
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|e| damaged(column, &e))
}

pub(super) fn to_sql(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// SQLite's numbers are signed; positions, versions and counts stay far below the border.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
