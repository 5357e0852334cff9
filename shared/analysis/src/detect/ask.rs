//! Requests for confirmations.

use faultline_model::{AgentId, Asn, CheckKind, Target};
use std::collections::BTreeSet;

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Any connected agents of the operator family with this main ASN.
    Family(Asn),
    /// Exactly these agents, as far as they are connected.
    Agents(BTreeSet<AgentId>),
    /// Controls, of different networks first.
    Controls,
}

/// Why somebody is asked; the planner may choose the depth of the check by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AskReason {
    /// A first failure: do others of the same network, and the controls, see it too?
    Suspicion,
    /// Two agents agree: do other networks see it?
    Spread,
    /// The evidence is strong: what else of the service or its category fails?
    Category,
    /// Does the failing agent reach an unrelated target?
    Canary,
    /// Is the open incident still there?
    FollowUp,
    /// Agents went silent: do hosts inside their network still answer from outside?
    Silence,
    /// A first success on a blocked cell: do others see it too?
    End,
}

/// One request: hand `count` agents one confirmation of `target` each, now.
///
/// The coordinator hands out at most what the agents' limits allow, spread over a second or two, and need not
/// report who was chosen: answers come back as records with [`Why::Confirmation`](faultline_model::Why), and
/// what stays unanswered is asked again after a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What is measured.
    pub target: Target,
    /// By what check.
    pub check: CheckKind,
    /// Who may be chosen.
    pub who: Who,
    /// How many different agents.
    pub count: usize,
    /// Why.
    pub reason: AskReason,
    /// Agents that must not be chosen: they have answered often enough.
    pub exclude: BTreeSet<AgentId>,
}
