//! One line of `measurements.jsonl`.

use faultline_model::{
    AgentId, Asn, Category, CheckKind, Class, CountryCode, MeasurementId, Record, Target, Timestamp, Why,
};
use serde::{Deserialize, Serialize};

/// Why a row is no record.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RowError {
    /// `outcome` and `failure` contradict each other.
    #[error("outcome {outcome:?} contradicts failure {failure}")]
    Contradiction {
        /// What `outcome` says.
        outcome: String,
        /// What `failure` says.
        failure: Class,
    },
}

/// One line of `measurements.jsonl`. Unknown fields are ignored; a line that does not parse is the caller's
/// to count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The measurement's id.
    pub id: MeasurementId,
    /// Who measured.
    pub agent_id: AgentId,
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
    /// The layer that decided, or another kind of check (`quic`, `throughput`).
    pub check: String,
    /// `ok` or `anomaly`.
    pub outcome: String,
    /// How it ended.
    pub failure: Class,
    /// Did the control succeed in the same minutes; absent when none ran.
    #[serde(default)]
    pub control_ok: Option<bool>,
    /// Routine, or the answer to a question of the detector's.
    #[serde(default)]
    pub why: Why,
    /// Made by a control, which stands for every country.
    #[serde(default)]
    pub control: bool,
}

impl From<Record> for Row {
    fn from(record: Record) -> Self {
        Self {
            check: match record.check {
                CheckKind::Web => record.class.layer().as_str().to_owned(),
                other => other.as_str().to_owned(),
            },
            outcome: if record.class.is_anomaly() { "anomaly" } else { "ok" }.to_owned(),
            id: record.id,
            agent_id: record.agent,
            asn: record.asn,
            country: record.country,
            target: record.target,
            category: record.category,
            started_at: record.started_at,
            received_at: record.received_at,
            failure: record.class,
            control_ok: record.control_ok,
            why: record.why,
            control: record.control,
        }
    }
}

impl Row {
    /// Says whether the row belongs to the chain from DNS to HTTP. QUIC and throughput rows have tests of
    /// their own and do not speak about the chain.
    #[must_use]
    pub fn is_chain(&self) -> bool {
        matches!(self.check.as_str(), "dns" | "tcp" | "tls" | "http")
    }

    /// Says whether detection reads the row: the chain, or a download.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.is_chain() || self.check == CheckKind::Throughput.as_str()
    }

    /// Turns a row into a record.
    ///
    /// # Errors
    /// Refuses a row that contradicts itself.
    pub fn into_record(self) -> Result<Record, RowError> {
        let says_anomaly = self.outcome != "ok";
        if says_anomaly != self.failure.is_anomaly() {
            return Err(RowError::Contradiction { outcome: self.outcome, failure: self.failure });
        }
        Ok(Record {
            id: self.id,
            agent: self.agent_id,
            asn: self.asn,
            country: self.country,
            target: self.target,
            category: self.category,
            started_at: self.started_at,
            received_at: self.received_at,
            check: if self.check == CheckKind::Throughput.as_str() {
                CheckKind::Throughput
            } else {
                CheckKind::Web
            },
            class: self.failure,
            control_ok: self.control_ok,
            why: self.why,
            control: self.control,
        })
    }
}
