//! Detection: records in, incidents and requests out.

mod ask;
mod setup;
mod view;

pub use ask::{Ask, AskReason, Who};
pub use setup::{Mode, Setup, TargetInfo};
pub use view::{CellState, CellView};

use faultline_model::{Incident, IncidentId, MeasurementId, Record, Timestamp};
use std::collections::{BTreeMap, HashSet};

/// What one evaluation says.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// Incidents that are new or have a new revision, with their newest state.
    pub changed: Vec<Incident>,
    /// What is to be asked now.
    pub asks: Vec<Ask>,
    /// When to evaluate again even if no record comes.
    pub next: Option<Timestamp>,
}

/// The detector: a deterministic state machine over one country's records.
///
/// Call [`ingest`](Self::ingest) for every record and [`evaluate`](Self::evaluate) after a batch of them (live:
/// after each batch of uploads, and at `next`). Time is what the caller says it is and never goes back.
#[derive(Debug)]
pub struct Detector {
    setup: Setup,
    seen: HashSet<MeasurementId>,
    incidents: BTreeMap<IncidentId, Incident>,
}

impl Detector {
    /// Makes a detector that has seen nothing yet.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self { setup, seen: HashSet::new(), incidents: BTreeMap::new() }
    }

    /// Replaces what is known beforehand: a new list, profile or baseline. Records and incidents stay.
    pub fn update_setup(&mut self, setup: Setup) {
        self.setup = setup;
    }

    /// Takes a record, in any order and however late. Returns false for an id that was taken before.
    pub fn ingest(&mut self, record: Record) -> bool {
        self.seen.insert(record.id)
    }

    /// Looks at everything that was received up to `now`.
    pub fn evaluate(&mut self, now: Timestamp) -> Evaluation {
        let _ = now;
        Evaluation::default()
    }

    /// Returns every incident ever published, in the order of their ids.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values()
    }

    /// Takes back what was published before a restart. Records are ingested again from the store, before or
    /// after; ids, `detected_at` and revision numbers continue.
    pub fn restore(&mut self, incidents: Vec<Incident>) {
        self.incidents.extend(incidents.into_iter().map(|incident| (incident.id.clone(), incident)));
    }

    /// Returns every cell of home networks that were ever heard, in the order of networks and targets.
    #[must_use]
    pub fn matrix(&self, now: Timestamp) -> Vec<CellView> {
        let _ = now;
        Vec::new()
    }
}
