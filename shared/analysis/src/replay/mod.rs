//! Replay: recorded rows through the same detection as live measurements.

mod row;
mod topology;

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
    let mut detector = Detector::new(topology.setup()?);
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
