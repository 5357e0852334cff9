//! A recorded live run, replayed as it was lived.
//!
//! Live, the detector looks after every batch of uploads, at the moments that it names itself, and every few
//! seconds besides. Confirmations were answers to its questions; they are in the recording as they came, so that
//! nobody has to be asked again, and what the detector asks now is dropped.
//!
//! # Tolerance
//! A coordinator looks some milliseconds after a receipt, when the store and the judge are done, and may take two
//! receipts at once; the replay looks at the receipt itself. Verdicts, networks, targets, beginnings and ends are
//! functions of the results and come out the same; moments of publication may differ by the time between two
//! looks, and so may the number of revisions. A list, a profile or a baseline that changed during the run is
//! replayed as it was at the end.
//!
//! # Presence
//! Beats belong into the same stream of moments as records: whoever feeds them to the detector does it where
//! records are ingested, before the look at that moment.

use super::Output;
use crate::detect::Detector;
use faultline_model::{Incident, Record, Timestamp};
use std::time::Duration;

/// How a live run is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    /// Looks besides those that something asks for.
    pub(super) every: Option<Duration>,
    /// When the recording ended, perhaps long after the last record.
    pub(super) until: Option<Timestamp>,
}

/// Feeds records in the order of their receipt to a live detector.
pub(super) fn play(
    mut detector: Detector,
    records: impl IntoIterator<Item = (Timestamp, Option<Record>)>,
    pace: Pace,
) -> Output {
    let mut clock: Option<Timestamp> = None;
    let mut next: Option<Timestamp> = None;
    let mut records = records.into_iter().peekable();
    while let Some((received, record)) = records.next() {
        let at = clock.map_or(received, |clock| clock.max(received));
        wait(&mut detector, (clock, at), &mut next, pace);
        detector_takes(&mut detector, record);
        // What came in one moment was taken in one batch.
        while let Some((_, record)) = records.next_if(|(other, _)| *other == received) {
            detector_takes(&mut detector, record);
        }
        next = detector.evaluate(at).next;
        clock = Some(at);
    }
    if let Some((last, until)) = clock.zip(pace.until) {
        let end = last.max(until);
        wait(&mut detector, (clock, end), &mut next, pace);
        detector.evaluate(end);
    }
    let mut incidents: Vec<Incident> = detector.incidents().cloned().collect();
    incidents.sort_by(|a, b| (a.detected_at, &a.id).cmp(&(b.detected_at, &b.id)));
    Output { incidents, standing: detector.standing() }
}

fn detector_takes(detector: &mut Detector, record: Option<Record>) {
    if let Some(record) = record {
        detector.ingest(record);
    }
}

/// Lets the time between two receipts pass, with the looks that fall into it.
fn wait(
    detector: &mut Detector,
    (clock, at): (Option<Timestamp>, Timestamp),
    next: &mut Option<Timestamp>,
    pace: Pace,
) {
    let Some(mut clock) = clock else { return };
    loop {
        let paced = pace.every.map(|every| clock + every);
        // A detector that is always due must not keep time from passing.
        let named = next.map(|next| next.max(clock + Duration::from_millis(1)));
        let Some(look) = [paced, named].into_iter().flatten().min().filter(|look| *look < at) else { return };
        *next = detector.evaluate(look).next;
        clock = look;
    }
}
