//! What is kept, as values that cannot be wrong.

use faultline_model::{
    AgentId, Asn, CheckKind, Class, CountryCode, Judgement, LayerStatus, Measurement, MeasurementId,
    PresenceKind, ProtocolClass, Record, Target, Timestamp, Why,
};

/// SHA-256 of a one-time token: the token itself is never kept.
pub type TokenHash = [u8; 32];

/// How much a volunteer's line may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Budget {
    /// 3,000 checks and 50 MB a day.
    #[default]
    Standard,
    /// 600 checks and 10 MB a day: mobile, metered, or at high risk.
    Small,
}

/// A one-time invite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteRecord {
    /// SHA-256 of its token.
    pub token: TokenHash,
    /// The country in which the agent will stand.
    pub country: CountryCode,
    /// The network that the operator expects.
    pub asn: Option<Asn>,
    /// It is for a control.
    pub control: bool,
    /// A name for the people who get it.
    pub cohort: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// After this moment it is refused.
    pub expires_at: Timestamp,
}

/// An enrolled agent. Never an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRecord {
    /// Its pseudonym.
    pub id: AgentId,
    /// Its country; the invite's, whatever is passed to [`super::Registry::redeem`].
    pub country: CountryCode,
    /// Its network: looked up by the address it enrolled from, else the invite's.
    pub asn: Option<Asn>,
    /// It is a control; must agree with the invite.
    pub control: bool,
    /// The invite's cohort.
    pub cohort: String,
    /// The program's version.
    pub agent_version: String,
    /// The checks that it knows.
    pub kinds: Vec<CheckKind>,
    /// Its budget.
    pub budget: Budget,
    /// The version of the consent text that the volunteer agreed to; empty for controls.
    pub consent_version: String,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// Its last sign of life.
    pub last_seen: Option<Timestamp>,
    /// The volunteer has paused measuring.
    pub paused: bool,
    /// SHA-256 of its certificate request, so that a repeated request is recognised.
    pub request: TokenHash,
}

/// What became of an invite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// The agent is enrolled, now or by the same request before. The flag says that the network which the operator
    /// expected differs from the one that was looked up.
    Agent(Box<AgentRecord>, bool),
    /// Unknown, used, lapsed, or for the other kind of vantage point. Nobody learns which.
    Refused,
}

/// A checked measurement on its way to the disk.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMeasurement {
    /// The facts.
    pub measurement: Measurement,
    /// Who measured.
    pub agent: AgentId,
    /// From which network; absent when nobody knows.
    pub asn: Option<Asn>,
    /// From which country.
    pub country: CountryCode,
    /// By a control.
    pub control: bool,
    /// The network of the upload is the one that the agent was enrolled from.
    pub is_home_network: bool,
    /// Why it was made, as far as the coordinator knows: a confirmation only if it was asked for.
    pub why: Why,
    /// The coordinator's clock.
    pub received_at: Timestamp,
    /// The agent's clock minus the coordinator's when it was received, in milliseconds.
    pub clock_offset_ms: i64,
}

/// A measurement as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMeasurement {
    /// Its position in the archive: rises in the order of storing.
    pub position: u64,
    /// What was stored.
    pub row: NewMeasurement,
    /// What was judged of it, once it was.
    pub judgement: Option<Judgement>,
}

/// A measurement by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedRecord {
    /// What it says.
    pub record: Record,
    /// Where it comes from, in the words of the operator who imported it.
    pub source: String,
    /// When it was imported.
    pub imported_at: Timestamp,
}

/// A stretch of the archive, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArchivePage {
    /// The measurements that read back. One that does not is logged and left out, and stops nothing.
    pub measurements: Vec<StoredMeasurement>,
    /// The position up to which the archive was read.
    pub position: u64,
    /// As many rows as were asked for were read: there may be more.
    pub is_full: bool,
}

/// What became of one measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// It is on disk now.
    Stored,
    /// It was on disk already.
    Duplicate,
    /// Another measurement has its id.
    Conflict(MeasurementId),
}

/// One presence event. An event without an agent is the coordinator's own sign of life, so that its own silence is
/// never mistaken for the agents'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceEvent {
    /// Whose; absent for the coordinator itself.
    pub agent: Option<AgentId>,
    /// The network that the stream came from, where known.
    pub asn: Option<Asn>,
    /// The coordinator's clock.
    pub at: Timestamp,
    /// What happened.
    pub kind: PresenceKind,
    /// The agent's clock minus the coordinator's, in milliseconds.
    pub clock_offset_ms: i64,
    /// Measurements that waited in the agent's spool.
    pub spooled: u64,
}

/// One cell's judged results within one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellCount {
    /// The target.
    pub target: Target,
    /// The network.
    pub asn: Asn,
    /// The hour's beginning.
    pub hour: Timestamp,
    /// Results.
    pub measurements: u32,
    /// Anomalies among them.
    pub anomalies: u32,
}

/// Judged results of one circumvention check in one network and hour, all with the same outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcomes {
    /// The check.
    pub check: CheckKind,
    /// The far end.
    pub target: Target,
    /// The network; absent where nobody knows it.
    pub asn: Option<Asn>,
    /// The beginning of the hour in which they came.
    pub hour: Timestamp,
    /// What was judged.
    pub status: LayerStatus,
    /// The rule.
    pub rule: String,
    /// How many they are.
    pub count: u32,
    /// When the last of them came.
    pub last_at: Timestamp,
}

/// An operator's word that results of a class in a country may be public before their time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The class.
    pub class: ProtocolClass,
    /// The country.
    pub country: CountryCode,
    /// What came before this moment is public.
    pub until: Timestamp,
    /// When it was said.
    pub released_at: Timestamp,
}

/// Which judged measurements are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgedSpan {
    /// Made in this country, or by a control.
    pub country: CountryCode,
    /// Received at or after this moment.
    pub from: Timestamp,
    /// Received before this moment.
    pub to: Timestamp,
}

/// What was judged of one measurement, without its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedRow {
    /// Who measured.
    pub agent: AgentId,
    /// From which network.
    pub asn: Asn,
    /// By a control.
    pub control: bool,
    /// Against what.
    pub target: Target,
    /// What was run.
    pub check: CheckKind,
    /// The agent's clock.
    pub started_at: Timestamp,
    /// The agent's clock minus the coordinator's when it was received, in milliseconds.
    pub clock_offset_ms: i64,
    /// How it ended.
    pub class: Class,
    /// What is said of the deciding layer.
    pub status: LayerStatus,
}
