//! The row that detection works on: one judged measurement, live, late, imported or replayed.

use crate::{AgentId, Asn, Category, CheckKind, Class, CountryCode, MeasurementId, Target, Timestamp, Why};
use serde::{Deserialize, Serialize};

/// One judged measurement, as detection reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The measurement's id; a repeated id is the same measurement.
    pub id: MeasurementId,
    /// Who measured.
    pub agent: AgentId,
    /// From which network.
    pub asn: Asn,
    /// From which country.
    pub country: CountryCode,
    /// Against what.
    pub target: Target,
    /// The target's category.
    pub category: Category,
    /// The agent's clock.
    pub started_at: Timestamp,
    /// The coordinator's clock.
    pub received_at: Timestamp,
    /// What was run.
    #[serde(default)]
    pub check: CheckKind,
    /// How it ended.
    pub class: Class,
    /// Whether the control succeeded in the same minutes; `None` where detection shall find out from the
    /// controls' own records, or where there was none.
    pub control_ok: Option<bool>,
    /// Routine, or asked for by the detector.
    #[serde(default)]
    pub why: Why,
    /// The record is a control's: made outside the country by operators.
    #[serde(default)]
    pub control: bool,
}
