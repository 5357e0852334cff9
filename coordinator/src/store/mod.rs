//! The store: what must survive.
//!
//! Two seams. The [`Registry`] is small and transactional: invites, agents, task lists, incidents. The [`Archive`] is
//! large and append only: measurements with their observations, presence. One contract suite (`contract`) runs against
//! every implementation; [`sqlite`] is the one that needs no server.
//!
//! An answer means that the change is on disk.

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
mod contract_notes;
mod rows;
pub mod sqlite;

pub use rows::{
    AgentRecord, AppendOutcome, ArchivePage, Budget, CellCount, ImportedRecord, InviteRecord, JudgedRow,
    JudgedSpan, NewMeasurement, Outcomes, PresenceEvent, Redeemed, Release, StoredMeasurement, TokenHash,
};

pub use faultline_model::PresenceKind;

use faultline_model::{
    AgentId, CheckKind, CountryCode, Incident, IncidentId, Judgement, Note, NoteId, Record, SignedList,
    Timestamp,
};
use faultline_runtime::OperatorRoot;
use futures_util::future::BoxFuture;

/// Why the store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database file cannot be opened.
    #[error("cannot open the store {path}")]
    Open {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The database was written by a newer program.
    #[error("the store has schema {found}; this program knows up to {known}: use a newer program")]
    Newer {
        /// The file's schema version.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// One operation failed; others of the same batch are not touched.
    #[error("cannot {action}")]
    Operation {
        /// What was being done.
        action: &'static str,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The batch could not be committed: nothing of it is kept.
    #[error("cannot commit: {0}")]
    Commit(String),
    /// A stored value does not read back.
    #[error("the stored {what} is damaged: {reason}")]
    Damaged {
        /// Which kind of row.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The store's thread has ended.
    #[error("the store is closed")]
    Closed,
}

/// The answer of a store operation.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The small, transactional half.
pub trait Registry: Send + Sync {
    /// Keeps new invites.
    fn add_invites(&self, invites: Vec<InviteRecord>) -> Answer<'_, ()>;
    /// Trades an unused, unexpired invite for an agent, once. The same request again gets the same agent.
    fn redeem(&self, token: TokenHash, agent: AgentRecord) -> Answer<'_, Redeemed>;
    /// Returns every agent.
    fn agents(&self) -> Answer<'_, Vec<AgentRecord>>;
    /// Notes what agents said last: when they were seen, their version, budget and pause.
    fn note_agents(&self, agents: Vec<AgentRecord>) -> Answer<'_, ()>;
    /// Keeps a signed list under its version together with the root that verified it.
    fn keep_list(&self, version: u64, list: SignedList, root: OperatorRoot) -> Answer<'_, ()>;
    /// Returns every list, oldest first.
    fn lists(&self) -> Answer<'_, Vec<SignedList>>;
    /// Returns the operators' root, once set.
    fn operator_root(&self) -> Answer<'_, Option<OperatorRoot>>;
    /// Returns a schedule generation higher than any before, and at least `floor`.
    fn next_generation(&self, floor: u64) -> Answer<'_, u64>;
    /// Keeps the newest state of incidents; every revision stays readable for ever.
    fn keep_incidents(&self, incidents: Vec<Incident>) -> Answer<'_, ()>;
    /// Returns incidents, the newest onset first, after the one named.
    fn incidents(
        &self,
        country: Option<CountryCode>,
        after: Option<IncidentId>,
        limit: usize,
    ) -> Answer<'_, Vec<Incident>>;
    /// Returns one incident.
    fn incident(&self, id: IncidentId) -> Answer<'_, Option<Incident>>;
    /// Keeps an operator's release of held-back results; it never takes back what an earlier one gave.
    fn keep_release(&self, release: Release) -> Answer<'_, ()>;
    /// Returns all releases, one for each class and country.
    fn releases(&self) -> Answer<'_, Vec<Release>>;
    /// Keeps a note once per id, and returns it as it was kept first.
    fn keep_note(&self, note: Note) -> Answer<'_, Note>;
    /// Returns a country's notes, the oldest first, withdrawn ones too.
    fn notes(&self, country: CountryCode) -> Answer<'_, Vec<Note>>;
    /// Withdraws a note, once; false if there is none.
    fn withdraw_note(&self, id: NoteId, at: Timestamp) -> Answer<'_, bool>;
}

/// The large, append-only half.
pub trait Archive: Send + Sync {
    /// Stores measurements once per id; one outcome per measurement, in order.
    fn append(&self, measurements: Vec<NewMeasurement>) -> Answer<'_, Vec<AppendOutcome>>;
    /// Stores measurements by others once per id; one outcome per measurement, in order. An id of a live measurement
    /// is a duplicate: what came first-hand is not told again.
    fn append_imported(&self, records: Vec<ImportedRecord>) -> Answer<'_, Vec<AppendOutcome>>;
    /// Returns measurements by others stored after a position, oldest first, each with its position.
    fn imported_after(&self, position: u64, limit: usize) -> Answer<'_, Vec<(u64, Record)>>;
    /// Returns measurements stored after a position, oldest first.
    fn measurements_after(&self, position: u64, limit: usize) -> Answer<'_, ArchivePage>;
    /// Returns the position just before the first measurement received at or after a moment.
    fn position_at(&self, received_at: Timestamp) -> Answer<'_, u64>;
    /// Notes what was judged of stored measurements, by position.
    fn note_judgements(&self, judgements: Vec<(u64, Judgement)>) -> Answer<'_, ()>;
    /// Returns how many measurements each agent has stored, retention not counted.
    fn counts(&self) -> Answer<'_, Vec<(AgentId, u64)>>;
    /// Appends presence events.
    fn append_presence(&self, events: Vec<PresenceEvent>) -> Answer<'_, ()>;
    /// Returns presence events since a moment, oldest first.
    fn presence_since(&self, since: Timestamp, limit: usize) -> Answer<'_, Vec<PresenceEvent>>;
    /// Returns what was judged of measurements that concern a country and were received within a span, in the order of
    /// arrival, without their facts.
    fn judged_between(&self, span: JudgedSpan, limit: usize) -> Answer<'_, Vec<JudgedRow>>;
    /// Returns when the oldest measurement that is kept was received.
    fn first_received(&self) -> Answer<'_, Option<Timestamp>>;
    /// Counts judged measurements per cell and hour since a moment.
    fn cell_counts(&self, since: Timestamp) -> Answer<'_, Vec<CellCount>>;
    /// Counts a country's judged results of circumvention checks since a moment, without the controls'.
    fn handshakes(&self, country: CountryCode, since: Timestamp) -> Answer<'_, Vec<Outcomes>>;
    /// Returns a country's judged results of a check that runs seldom, without the controls', the newest first.
    fn judged(
        &self,
        check: CheckKind,
        country: CountryCode,
        since: Timestamp,
        limit: usize,
    ) -> Answer<'_, Vec<StoredMeasurement>>;
    /// Deletes at most `limit` measurements and presence events received before a moment; returns how many.
    fn prune(&self, before: Timestamp, limit: usize) -> Answer<'_, usize>;
}

/// Lets background work go on when the store could not do something this time: a full disk passes, and the work is
/// repeated. A store that is gone does not come back.
///
/// # Errors
/// Only [`StoreError::Closed`].
pub(crate) fn tolerate<T: Default>(outcome: Result<T, StoreError>) -> Result<T, StoreError> {
    match outcome {
        Err(StoreError::Closed) => Err(StoreError::Closed),
        Err(error) => {
            tracing::warn!(%error, "background work met the store's trouble; it is tried again");
            Ok(T::default())
        }
        fine => fine,
    }
}
