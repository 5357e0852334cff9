//! The checks that this agent knows. A new kind is a folder here and a line in [`known`].

mod body;
mod diagnose;
mod messaging;
mod openvpn;
mod opinions;
mod page;
mod path;
mod proxy;
mod quic;
mod selfcheck;
mod steps;
mod throughput;
mod tor;
mod tunnel;
mod way;
mod web;
mod wireguard;

use crate::net::Net;
use faultline_model::{CheckKind, Depth, LineProbes, Observation, ResolverSpec, Target};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use diagnose::DiagnoseCheck;
pub use messaging::MessagingCheck;
pub use openvpn::OpenvpnCheck;
pub use path::{INNOCENT, PathCheck};
pub use proxy::ProxyCheck;
pub use quic::QuicCheck;
pub use selfcheck::Selfcheck;
pub(crate) use selfcheck::{has_signs_of_a_portal, line_of};
pub use throughput::{SIDE_BODY_BYTES, ThroughputCheck};
pub use tor::TorCheck;
pub use web::WebCheck;
pub use wireguard::WireguardCheck;

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
    /// What a diagnosis or a selfcheck may use, by the signed list; other checks pass it over.
    pub diagnosis: Diagnosis,
}

/// What the signed list gives a diagnosis, or a selfcheck, to compare with.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Diagnosis {
    /// An unrelated site that nobody blocks.
    pub innocent: Option<Target>,
    /// The list also has the target's `quic`.
    pub allows_quic: bool,
    /// What a selfcheck may look at beside its canary.
    pub line: LineProbes,
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
    /// The machine was carried to another network meanwhile.
    #[error("the line changed meanwhile")]
    LineChanged,
    /// A captive portal answers in everybody's place.
    #[error("a captive portal answers on this line")]
    Portal,
    /// The list names no unrelated site to retry with.
    #[error("no unrelated site is named to retry with")]
    NoInnocent,
    /// This agent has not measured the target, so there is nothing to diagnose.
    #[error("there is no measurement of the target to diagnose")]
    NothingToDiagnose,
    /// obfs4 is spoken by its own program.
    #[error("neither obfs4proxy nor lyrebird is installed; on Debian: apt-get install obfs4proxy")]
    NoTransportProgram,
    /// The transport's program does not do its part.
    #[error("the transport's program does not start or does not say where it listens")]
    TransportFailed,
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
            Self::LineChanged => "line_changed",
            Self::Portal => "portal",
            Self::NoInnocent => "no_innocent_target",
            Self::NothingToDiagnose => "nothing_to_diagnose",
            Self::NoTransportProgram => "no_transport_program",
            Self::TransportFailed => "transport_failed",
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
    let checks = [
        (CheckKind::Selfcheck, Arc::new(Selfcheck::new(Arc::clone(net))) as Arc<dyn Check>),
        // A provider's interface is visited like any page.
        (CheckKind::VpnApi, Arc::clone(&web)),
        (CheckKind::Web, web),
        (CheckKind::Quic, quic),
        (CheckKind::Throughput, throughput),
        (CheckKind::Path, Arc::new(PathCheck::new(Arc::clone(net)))),
        (CheckKind::Diagnose, Arc::new(DiagnoseCheck::new(Arc::clone(net)))),
        (CheckKind::Openvpn, Arc::new(OpenvpnCheck::new(Arc::clone(net)))),
        (CheckKind::Wireguard, Arc::new(WireguardCheck::new(Arc::clone(net)))),
        (CheckKind::Tor, Arc::new(TorCheck::new(Arc::clone(net)))),
        (CheckKind::Proxy, Arc::new(ProxyCheck::new(Arc::clone(net)))),
    ];
    let mut checks = Checks::from(checks);
    for kind in [CheckKind::Whatsapp, CheckKind::Telegram, CheckKind::Signal, CheckKind::Messenger] {
        checks.insert(kind, Arc::new(MessagingCheck::new(Arc::clone(net), kind)));
    }
    checks
}
