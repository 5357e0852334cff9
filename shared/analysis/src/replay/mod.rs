//! Replay: recorded rows through the same detection as live measurements.

mod heartbeat;
mod live;
pub mod ooni;
mod row;
mod topology;

pub use heartbeat::Heartbeat;
pub use row::{Row, RowError};
pub use topology::{AgentRow, AsnRow, HourRates, Kind, Recording, TargetRow, Topology, TopologyError};

use crate::detect::{Detector, Standing};
use faultline_model::{Incident, Record, Timestamp};
use serde::Serialize;
use std::time::Duration;

/// What a replay says, in the shape that the scorer reads.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Output {
    /// Every incident that was published, withdrawn ones too, by time of first publication.
    pub incidents: Vec<Incident>,
    /// What was blocked already when the data begin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub standing: Vec<Standing>,
}

/// Longer than any recording: after its last heartbeat nobody could be heard.
const BEYOND: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Recorded data are looked at this often, in data time (method 3.3).
const TICK: Duration = Duration::from_secs(120);

/// Runs the detector over rows in the order of `received_at`, with the clock driven by the data.
///
/// The detector looks at passive data at every full two minutes and once more at the last receipt; a recorded
/// live run is looked at as it was lived (`live`). Rows of checks
/// that are no part of the chain are skipped, and so are rows that contradict themselves: the caller counts
/// those with [`Row::into_record`] when it reads them.
///
/// # Errors
/// Says what is wrong with the topology.
pub fn run(topology: &Topology, rows: impl IntoIterator<Item = Row>) -> Result<Output, TopologyError> {
    run_with_presence(topology, rows, [])
}

/// Runs the detector over rows and heartbeats, each in the order of the coordinator's clock.
///
/// Where the heartbeats end, what follows says nothing about silence.
///
/// # Errors
/// Says what is wrong with the topology.
pub fn run_with_presence(
    topology: &Topology,
    rows: impl IntoIterator<Item = Row>,
    beats: impl IntoIterator<Item = Heartbeat>,
) -> Result<Output, TopologyError> {
    let mut detector = Detector::new(topology.setup()?);
    let places = topology.places();
    let mut last: Option<Timestamp> = None;
    for sign in beats.into_iter().map(|beat| beat.into_presence(&places, topology.country)) {
        last = last.max(Some(sign.at));
        detector.hear(sign);
    }
    for [from, to] in &topology.own_outages {
        detector.note_own_outage(*from, *to);
    }
    // A live recording says when it ended; what is silent before that is.
    let end = if topology.mode == Recording::Live { topology.until.filter(|_| last.is_some()) } else { last };
    if let Some(end) = end {
        detector.note_own_outage(end, end + BEYOND);
    }
    let pace = topology.pace();
    let read = |row: Row| {
        let received = row.received_at;
        (received, if row.is_read() { row.into_record().ok() } else { None })
    };
    let records = rows.into_iter().map(read);
    Ok(match topology.mode {
        Recording::Passive => play(detector, records, TICK),
        Recording::Live => live::play(detector, records, pace),
    })
}

/// Feeds records in the order of their receipt; the detector looks at the end of every tick of data time, and
/// once more at the last receipt. What is no record only moves the clock.
fn play(
    mut detector: Detector,
    records: impl IntoIterator<Item = (Timestamp, Option<Record>)>,
    tick: Duration,
) -> Output {
    let tick_ms = i64::try_from(tick.as_millis()).unwrap_or(i64::MAX).max(1);
    let mut clock: Option<i64> = None;
    for (received, record) in records {
        let received = received.unix_ms();
        let mut now = clock.unwrap_or(received);
        while received.div_euclid(tick_ms) > now.div_euclid(tick_ms) {
            now = (now.div_euclid(tick_ms) + 1) * tick_ms;
            detector.evaluate(Timestamp::from_unix_ms(now - 1));
        }
        clock = Some(now.max(received));
        if let Some(record) = record {
            detector.ingest(record);
        }
    }
    if let Some(last) = clock {
        detector.evaluate(Timestamp::from_unix_ms(last));
    }
    let mut incidents: Vec<Incident> = detector.incidents().cloned().collect();
    incidents.sort_by(|a, b| (a.detected_at, &a.id).cmp(&(b.detected_at, &b.id)));
    Output { incidents, standing: detector.standing() }
}
