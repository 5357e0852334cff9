//! Detection: records in, incidents and requests out.
//!
//! # Use
//! Make a [`Detector`] from a [`Setup`], give it every judged record with [`Detector::ingest`], and call
//! [`Detector::evaluate`] with the coordinator's clock: live after each batch of uploads and again at
//! [`Evaluation::next`]; in recorded data every two minutes of data time (see [`crate::replay`]).
//!
//! # Invariants
//! - *Pure*: the same records, setups and evaluation moments give the same output; no clock, no randomness, no
//!   map is iterated in an order that depends on either.
//! - *Order*: between two evaluations records may be ingested in any order, and a record counts only from the
//!   evaluation whose `now` has reached its `received_at`. Streams, ends and votes are functions of the stored
//!   results, so that a restart that ingests them again finds the same.
//! - *Nothing is deleted*: what was published stays in [`Detector::incidents`], withdrawn if need be.
//!
//! # Steps of one evaluation
//! clean-up (`store`), null rates (`null`), evidence (`evidence`), alarms and their ends (`alarm`, `ends`), failing sites
//! (`incidents/outage`), sparse networks (`incidents/sparse`), clusters (`incidents/cluster`), explanation and
//! words (`posterior`, `incidents/statement`, `incidents/verdict`), revisions (`incidents/publish`), and requests
//! (`plan`). Section numbers in those modules are those of the method page.

mod alarm;
mod anonymous;
mod ask;
mod cells;
mod changepoint;
mod control;
mod core;
mod degraded;
mod ends;
mod evidence;
mod incidents;
mod null;
mod plan;
mod posterior;
mod presence;
mod reads;
mod setup;
mod slow;
mod standing;
mod store;
mod view;
mod world;

pub use ask::{Ask, AskReason, Who};
pub use setup::{LIVE_BEAT, Mode, Setup, TargetInfo};
pub use standing::Standing;
pub use view::{CellState, CellView};

pub(crate) use world::service_of;

use self::core::Core;
use faultline_model::{AgentId, Incident, Presence, Record, Timestamp};
use std::collections::BTreeMap;

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
#[derive(Debug)]
pub struct Detector {
    core: Core,
}

impl Detector {
    /// Makes a detector that has seen nothing yet.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self { core: Core::new(setup) }
    }

    /// Replaces what is known beforehand: a new list, profile or baseline. Records and incidents stay.
    pub fn update_setup(&mut self, setup: Setup) {
        self.core.update(setup);
    }

    /// Says which agents were invited together; what they delivered before counts anew if that changed.
    pub fn set_cohorts(&mut self, cohorts: &BTreeMap<AgentId, String>) {
        if self.core.setup.cohorts != *cohorts {
            let setup = Setup { cohorts: cohorts.clone(), ..self.core.setup.clone() };
            self.core.update(setup);
        }
    }

    /// Takes a record, in any order and however late. Returns false for an id that was taken before.
    pub fn ingest(&mut self, record: Record) -> bool {
        self.core.ingest(record)
    }

    /// Takes a sign of presence, in any order; it counts once the clock has reached it.
    pub fn hear(&mut self, sign: Presence) {
        self.core.hear(sign);
    }

    /// Notes that our own side was down: nobody could be heard, and what is silent meanwhile says nothing. A time
    /// longer than three beats is told as an incident of its own.
    pub fn note_own_outage(&mut self, from: Timestamp, to: Timestamp) {
        self.core.note_own_outage(ms(from), ms(to));
    }

    /// Looks at everything that was received up to `now`. Time never goes back: an earlier `now` counts as the
    /// last one.
    pub fn evaluate(&mut self, now: Timestamp) -> Evaluation {
        self.core.evaluate(now)
    }

    /// Returns every incident ever published, in the order of their ids.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.core.incidents.published.values()
    }

    /// Takes back what was published before a restart. Records are ingested again from the store, before or
    /// after; ids, `detected_at` and revision numbers continue.
    pub fn restore(&mut self, incidents: Vec<Incident>) {
        self.core.restore(incidents);
    }

    /// Returns the blocks that were there before our data begin, in the order of networks and targets, as of the last
    /// evaluation.
    #[must_use]
    pub fn standing(&self) -> Vec<Standing> {
        self.core.standing()
    }

    /// Returns every cell of home networks that were ever heard, in the order of networks and targets, as of the
    /// last evaluation; `now` decides what is recent.
    #[must_use]
    pub fn matrix(&self, now: Timestamp) -> Vec<CellView> {
        self.core.matrix(ms(now))
    }
}

fn ms(at: Timestamp) -> store::Ms {
    at.unix_ms()
}
