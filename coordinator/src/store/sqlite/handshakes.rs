//! Results of circumvention checks and of diagnoses, and what operators released.

use super::super::{Diagnosis, Outcomes, Release};
use super::archive::{measurement_from_row, parsed, status_from_text};
use super::registry::{asn_from, country_from, damaged};
use faultline_model::{CountryCode, Timestamp};
use rusqlite::{Connection, Row, params};

const HOUR_MS: i64 = 3_600_000;

/// Counts judged results by check, target, network, hour and outcome. Controls are not counted: no censor is theirs.
pub(super) fn outcomes(
    db: &Connection,
    country: CountryCode,
    since: Timestamp,
) -> rusqlite::Result<Vec<Outcomes>> {
    // The list of checks is that of the index, letter by letter; without it all measurements would be read.
    let mut query = db.prepare_cached(
        "SELECT \"check\", target, asn, received_at / ?3, status, rule, count(*), max(received_at)
         FROM measurement
         WHERE \"check\" IN ('openvpn', 'wireguard', 'tor', 'proxy', 'vpn_api', 'diagnose')
           AND \"check\" <> 'diagnose' AND country = ?1 AND received_at >= ?2 AND control = 0 AND status IS NOT NULL
         GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 4, 1, 2",
    )?;
    let rows = query.query_map(params![country.to_string(), since.unix_ms(), HOUR_MS], |row| {
        Ok(Outcomes {
            check: parsed(row, 0)?,
            target: parsed(row, 1)?,
            asn: asn_from(row, 2)?,
            hour: Timestamp::from_unix_ms(row.get::<_, i64>(3)?.saturating_mul(HOUR_MS)),
            status: status_from_text(&row.get::<_, String>(4)?),
            rule: row.get(5)?,
            count: row.get(6)?,
            last_at: Timestamp::from_unix_ms(row.get(7)?),
        })
    })?;
    rows.collect()
}

/// Returns a country's judged diagnoses, the newest first.
pub(super) fn diagnoses(
    db: &Connection,
    country: CountryCode,
    since: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<Diagnosis>> {
    let mut query = db.prepare_cached(
        "SELECT position, agent, asn, country, control, home_network, why, received_at, message,
                class, layer, status, rule, clock_offset_ms, hop, evidence
         FROM measurement
         WHERE \"check\" IN ('openvpn', 'wireguard', 'tor', 'proxy', 'vpn_api', 'diagnose')
           AND \"check\" = 'diagnose' AND country = ?1 AND received_at >= ?2 AND control = 0 AND status IS NOT NULL
         ORDER BY received_at DESC LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = query.query_map(params![country.to_string(), since.unix_ms(), limit], diagnosis)?;
    rows.collect()
}

fn diagnosis(row: &Row<'_>) -> rusqlite::Result<Diagnosis> {
    let stored = measurement_from_row(row)?;
    let judgement = stored.judgement.ok_or_else(|| damaged(9, &"not judged"))?;
    let (row, measurement) = (stored.row.clone(), stored.row.measurement);
    Ok(Diagnosis {
        id: measurement.id,
        parent: measurement.parent,
        target: measurement.target,
        asn: row.asn,
        started_at: measurement.started_at,
        received_at: row.received_at,
        judgement,
    })
}

/// Keeps a release; a later one of the same class and country takes its place.
pub(super) fn keep_release(db: &Connection, release: &Release) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO release (class, country, until, released_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (class, country) DO UPDATE
           SET until = max(until, excluded.until), released_at = excluded.released_at",
        params![
            release.class.as_str(),
            release.country.to_string(),
            release.until.unix_ms(),
            release.released_at.unix_ms()
        ],
    )?;
    Ok(())
}

/// Returns all releases.
pub(super) fn releases(db: &Connection) -> rusqlite::Result<Vec<Release>> {
    let mut query =
        db.prepare_cached("SELECT class, country, until, released_at FROM release ORDER BY class, country")?;
    let rows = query.query_map([], |row| {
        Ok(Release {
            class: parsed(row, 0)?,
            country: country_from(row, 1)?,
            until: Timestamp::from_unix_ms(row.get(2)?),
            released_at: Timestamp::from_unix_ms(row.get(3)?),
        })
    })?;
    rows.collect()
}
