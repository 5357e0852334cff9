//! How quickly incidents were published, counted from the rule's start and from the first step that failed.

use super::score::{Row, Score};
use super::truth::{TrueIncident, Truth};
use faultline_model::{Asn, Failure, Measurement, Timestamp};
use faultline_proto::agent;
use faultline_proto::convert::measurement_from_wire;
use prost::Message as _;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the first failing measurement adds to the cell's turn until the publication, at most.
const GRACE: Duration = Duration::from_secs(40);

/// Why the pace cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum PaceError {
    /// The store cannot be opened or asked.
    #[error("reading the coordinator's store {}", .0.display())]
    Store(PathBuf, #[source] rusqlite::Error),
    /// A stored measurement is damaged.
    #[error("reading a stored measurement: {0}")]
    Row(String),
}

/// How quickly one incident was published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// The true incident.
    pub id: String,
    /// Cells that it hits: targets times networks.
    pub cells: usize,
    /// From the rule's start to the first publication, seconds.
    pub from_rule_s: Option<f64>,
    /// The longest that this may take: the cells' period by their number, and 40 s.
    pub from_rule_limit_s: f64,
    /// From the first failing step's end to the first publication, seconds.
    pub from_failure_s: Option<f64>,
    /// From the first failing step's end to the first revision that is wholly right, seconds.
    pub until_right_s: Option<f64>,
    /// How the first step failed.
    pub failure: Option<String>,
    /// How long that step waited before it gave up, seconds; 0 where something came. Who asks again waits as long.
    pub deadline_s: f64,
}

/// The end of the first failing step.
#[derive(Clone, Debug)]
struct FirstFailure {
    at: Timestamp,
    failure: Option<Failure>,
    took: Duration,
}

impl FirstFailure {
    fn deadline_s(&self) -> f64 {
        let is_late = self.failure.as_ref().is_some_and(|failure| failure.code().contains("timeout"));
        if is_late { self.took.as_secs_f64() } else { 0.0 }
    }
}

/// Tells the pace of every true incident of a run.
///
/// # Errors
/// Says why the coordinator's store cannot be read.
pub fn paces(
    store: &Path,
    (truth, score): (&Truth, &Score),
    (period, networks): (Duration, usize),
) -> Result<Vec<Pace>, PaceError> {
    let failed = |source| PaceError::Store(store.to_owned(), source);
    let connection = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let anomalies = anomalies(&connection, store)?;
    Ok(truth
        .incidents
        .iter()
        .zip(&score.rows)
        .map(|(incident, row)| pace(incident, row, first_failure(&anomalies, incident), (period, networks)))
        .collect())
}

fn pace(
    incident: &TrueIncident,
    row: &Row,
    first: Option<FirstFailure>,
    (period, networks): (Duration, usize),
) -> Pace {
    let asns = if incident.asns.is_empty() { networks } else { incident.asns.len() };
    let cells = asns * incident.targets.len().max(1);
    #[expect(clippy::cast_precision_loss, reason = "a few hundred cells")]
    let turn = period.as_secs_f64() / cells as f64;
    let failed_s = first.as_ref().map(|first| first.at.seconds_after(incident.onset));
    let since = |said: Option<f64>| Some(said? - failed_s?);
    Pace {
        id: incident.id.clone(),
        cells,
        from_rule_s: row.first_published_s,
        from_rule_limit_s: turn + GRACE.as_secs_f64(),
        from_failure_s: since(row.first_published_s),
        until_right_s: since(row.right_published_s),
        deadline_s: first.as_ref().map_or(0.0, FirstFailure::deadline_s),
        failure: first.map(|first| first.failure.as_ref().map_or("none", Failure::code).to_owned()),
    }
}

/// A volunteer's measurement that was not judged to be fine.
struct Anomaly {
    asn: Option<Asn>,
    measurement: Measurement,
    offset_ms: i64,
}

fn anomalies(connection: &Connection, store: &Path) -> Result<Vec<Anomaly>, PaceError> {
    let failed = |source| PaceError::Store(store.to_owned(), source);
    let mut statement = connection
        .prepare(
            "SELECT asn, clock_offset_ms, message FROM measurement
             WHERE control = 0 AND class IS NOT NULL AND class <> 'ok'",
        )
        .map_err(failed)?;
    let rows = statement
        .query_map([], |row| {
            Ok((row.get::<_, Option<u32>>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
        })
        .map_err(failed)?;
    rows.map(|row| {
        let (asn, offset_ms, bytes) = row.map_err(failed)?;
        let message =
            agent::Measurement::decode(bytes.as_slice()).map_err(|e| PaceError::Row(e.to_string()))?;
        let measurement = measurement_from_wire(message).map_err(|e| PaceError::Row(e.to_string()))?;
        Ok(Anomaly { asn: asn.and_then(|asn| Asn::new(asn).ok()), measurement, offset_ms })
    })
    .collect()
}

fn first_failure(anomalies: &[Anomaly], incident: &TrueIncident) -> Option<FirstFailure> {
    let is_hit = |anomaly: &&Anomaly| {
        let is_there =
            incident.asns.is_empty() || anomaly.asn.is_some_and(|asn| incident.asns.contains(&asn));
        let target = anomaly.measurement.target.to_string();
        is_there && (incident.targets.is_empty() || incident.targets.contains(&target))
    };
    let ends = anomalies.iter().filter(is_hit).map(first_failing_step);
    ends.filter(|first| first.at >= incident.onset).min_by_key(|first| first.at)
}

/// A page that came whole and is the censor's fails with its last step.
fn first_failing_step(anomaly: &Anomaly) -> FirstFailure {
    let begun = Timestamp::from_unix_ms(anomaly.measurement.started_at.unix_ms() - anomaly.offset_ms);
    let measurement = &anomaly.measurement;
    match measurement.first_failure() {
        Some(step) => {
            FirstFailure { at: begun + step.at + step.took, failure: step.failure.clone(), took: step.took }
        }
        None => FirstFailure { at: begun + measurement.duration, failure: None, took: Duration::ZERO },
    }
}
