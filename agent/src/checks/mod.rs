//! The checks that this agent knows. A new kind is a folder here and a line in [`known`].

mod page;
mod quic;
mod steps;
mod throughput;
mod way;
mod web;

use crate::net::Net;
use faultline_model::{CheckKind, Depth, Observation, ResolverSpec, Target};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use quic::QuicCheck;
pub use throughput::{SIDE_BODY_BYTES, ThroughputCheck};
pub use web::WebCheck;

/// What a check is told.
#[derive(Clone, Debug)]
pub struct Job {
    /// Against what.
    pub target: Target,
    /// How much of it.
    pub depth: Depth,
    /// The public resolver that is asked for a second opinion.
    pub resolver: Option<ResolverSpec>,
    /// What a download is compared with, by the signed list; other checks pass it over.
    pub control: Option<Target>,
}

/// What a check brought home.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The steps, in the order in which they were begun; never empty.
    pub observations: Vec<Observation>,
    /// About how many bytes went over the wire.
    pub bytes: u64,
}

/// Why a check could not be tried. What a network did to a check is never among these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRun {
    /// The check's own code failed.
    #[error("the check panicked")]
    Panicked,
    /// The clock jumped or the machine slept, so that no duration can be believed.
    #[error("the clock jumped or the machine slept meanwhile")]
    ClockJumped,
    /// The check cannot measure such a target.
    #[error("the check cannot measure this target")]
    NotApplicable,
    /// The list names nothing to compare a download with.
    #[error("nothing is named to compare the download with")]
    NoControl,
}

impl NotRun {
    /// Returns a stable code for counters.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Panicked => "check_panicked",
            Self::ClockJumped => "clock_jumped",
            Self::NotApplicable => "not_applicable",
            Self::NoControl => "no_throughput_control",
        }
    }
}

/// Something that can be run against a target.
pub trait Check: Send + Sync {
    /// Runs once and reports facts; a network's failure is one of them.
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>>;
}

/// The checks by kind.
pub type Checks = BTreeMap<CheckKind, Arc<dyn Check>>;

/// Returns the checks that this agent knows and announces.
#[must_use]
pub fn known(net: &Arc<Net>) -> Checks {
    let web: Arc<dyn Check> = Arc::new(WebCheck::new(Arc::clone(net)));
    let quic: Arc<dyn Check> = Arc::new(QuicCheck::new(Arc::clone(net)));
    let throughput: Arc<dyn Check> = Arc::new(ThroughputCheck::new(Arc::clone(net)));
    Checks::from([(CheckKind::Web, web), (CheckKind::Quic, quic), (CheckKind::Throughput, throughput)])
}
