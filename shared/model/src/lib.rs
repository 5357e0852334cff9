//! The vocabulary of Faultline: what is measured, where, and what is said about it.
//!
//! This crate knows no IO, clock, randomness or store. Every id, code and wire string is a newtype that is
//! checked where it is made, so the rest of the system handles only values that cannot be wrong.

mod check;
mod endpoint;
mod failure;
mod id;
mod incident;
mod judgement;
mod line;
mod list;
mod measurement;
mod network;
mod note;
mod opt_in;
mod own_hosts;
mod page;
mod path;
mod presence;
mod record;
mod target;
mod time;
mod tunnel;

pub use check::{CheckKind, Depth, Task, Why};
pub use endpoint::{Endpoint, EndpointError, ProtocolClass, Transport, Tunnel, is_denied_port};
pub use failure::Failure;
pub use id::{AgentId, IdError, IncidentId, MeasurementId, NoteId, TaskToken};
pub use incident::{Baseline, BaselineCell, Basis, Incident, Reach, Revision, Status, Verdict, VerdictError};
pub use judgement::{Class, Judgement, Layer, LayerStatus};
pub use line::{Ipv6, LineFact, LineFilter, LineProbes, SeenResolver, WideNetwork};
pub use list::{
    Landmark, Limits, ListError, MAX_LIST_BYTES, MAX_TARGETS, ResolverSpec, Signature, SignedList,
    TargetSpec, TaskList,
};
pub use measurement::{
    DownloadEnd, EndpointFact, Engine, Fact, Measurement, Observation, QuicFact, ThroughputFact,
};
pub use network::{
    Access, Asn, AsnError, CountryCode, CountryProfile, Gateway, Operator, ProfileError, RiskTier, Source,
    Vantage,
};
pub use note::{CalendarEvent, Cause, CauseSource, Claim, Note, NoteBody, NoteError};
pub use opt_in::OptIn;
pub use own_hosts::OwnHosts;
pub use page::{DnsAnswer, Header, HttpFact, LaterReply, TlsFact, Variant};
pub use path::{PathAnswer, PathFact, PathHop, PathProbe, PathResponder};
pub use presence::{Presence, PresenceKind};
pub use record::Record;
pub use target::{Category, Role, ServiceId, Target, TargetError};
pub use time::{Timestamp, TimestampError};
pub use tunnel::{TunnelFact, TunnelStage};
