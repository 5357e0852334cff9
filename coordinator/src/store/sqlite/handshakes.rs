//! Results of checks that run seldom and are read by themselves, and what operators released of them.

use super::super::{Outcomes, Release, StoredMeasurement};
use super::archive::{measurement_from_row, parsed, status_from_text};
use super::registry::{asn_from, country_from};
use faultline_model::{CheckKind, CountryCode, Timestamp};
use rusqlite::{Connection, params};

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
         WHERE \"check\" IN ('openvpn', 'wireguard', 'tor', 'proxy', 'vpn_api', 'diagnose', 'path')
           AND \"check\" NOT IN ('diagnose', 'path') AND country = ?1 AND received_at >= ?2 AND control = 0 AND status IS NOT NULL
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

/// Returns a country's judged measurements by one of these checks, the newest first.
pub(super) fn judged(
    db: &Connection,
    (check, country): (CheckKind, CountryCode),
    since: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<StoredMeasurement>> {
    let mut query = db.prepare_cached(
        "SELECT position, agent, asn, country, control, home_network, why, received_at, message,
                class, layer, status, rule, clock_offset_ms, hop, evidence
         FROM measurement
         WHERE \"check\" IN ('openvpn', 'wireguard', 'tor', 'proxy', 'vpn_api', 'diagnose', 'path')
           AND \"check\" = ?4 AND country = ?1 AND received_at >= ?2 AND control = 0 AND status IS NOT NULL
         ORDER BY received_at DESC LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let country = country.to_string();
    let rows =
        query.query_map(params![country, since.unix_ms(), limit, check.as_str()], measurement_from_row)?;
    rows.collect()
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
