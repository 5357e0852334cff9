//! Replay: recorded rows through the same detection as live measurements.

mod heartbeat;
mod row;
mod topology;

pub use heartbeat::Heartbeat;
pub use row::{Row, RowError};
pub use topology::{AgentRow, AsnRow, HourRates, Kind, TargetRow, Topology, TopologyError};

use crate::detect::Detector;
use faultline_model::{Incident, Timestamp};
use serde::Serialize;

/// What a replay says, in the shape that the scorer reads.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Output {
    /// Every incident that was published, withdrawn ones too, by time of first publication.
    pub incidents: Vec<Incident>,
}

/// Longer than any recording: after its last heartbeat nobody could be heard.
const BEYOND: std::time::Duration = std::time::Duration::from_secs(10 * 365 * 86_400);

/// Recorded data are looked at this often, in data time (method 3.3).
const TICK_MS: i64 = 120_000;

/// Runs the detector over rows in the order of `received_at`, with the clock driven by the data.
///
/// The detector looks at the data at every full two minutes and once more at the last receipt. Rows of checks
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
    if let Some(last) = last {
        detector.note_own_outage(last, last + BEYOND);
    }
    let mut clock: Option<i64> = None;
    for row in rows {
        let received = row.received_at.unix_ms();
        let mut tick = clock.unwrap_or(received);
        while received.div_euclid(TICK_MS) > tick.div_euclid(TICK_MS) {
            tick = (tick.div_euclid(TICK_MS) + 1) * TICK_MS;
            detector.evaluate(Timestamp::from_unix_ms(tick - 1));
        }
        clock = Some(tick.max(received));
        if row.is_chain()
            && let Ok(record) = row.into_record()
        {
            detector.ingest(record);
        }
    }
    if let Some(last) = clock {
        detector.evaluate(Timestamp::from_unix_ms(last));
    }
    let mut incidents: Vec<Incident> = detector.incidents().cloned().collect();
    incidents.sort_by(|a, b| (a.detected_at, &a.id).cmp(&(b.detected_at, &b.id)));
    Ok(Output { incidents })
}
