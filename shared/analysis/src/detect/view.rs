//! What a reader sees of one cell.

use faultline_model::{Asn, Class, ServiceId, Target, Timestamp};

/// The state of a cell in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CellState {
    /// Recent results are fine.
    Ok,
    /// A failure is being looked into.
    Suspected,
    /// Part of a published or provable block.
    Blocked,
    /// The site itself fails.
    Down,
    /// There are failures and too few vantage points or no control to say more.
    Insufficient,
    /// No recent result.
    NoData,
}

impl CellState {
    /// Returns the state's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Suspected => "suspected",
            Self::Blocked => "blocked",
            Self::Down => "down",
            Self::Insufficient => "insufficient",
            Self::NoData => "no_data",
        }
    }
}

/// One cell: an operator family and a target, now.
#[derive(Clone, Debug, PartialEq)]
pub struct CellView {
    /// The family's main ASN.
    pub asn: Asn,
    /// The family's name.
    pub operator: String,
    /// The target.
    pub target: Target,
    /// The target's service.
    pub service: ServiceId,
    /// The state.
    pub state: CellState,
    /// Successes among the counted results of the last window (four base periods).
    pub ok: u32,
    /// Anomalies among them.
    pub anomalies: u32,
    /// Different agents among them.
    pub agents: u32,
    /// Since when the state holds, where it is not `ok`.
    pub since: Option<Timestamp>,
    /// The newest counted result.
    pub last_at: Option<Timestamp>,
    /// Evidence for a block: the natural logarithm of the e-value.
    pub ln_e: f64,
    /// The most frequent class among the anomalies.
    pub mechanism: Option<Class>,
}
