//! Measurements: facts that an agent saw, step by step, without any opinion.

use crate::{
    CheckKind, Depth, DnsAnswer, Failure, HttpFact, Layer, LineFact, MeasurementId, PathFact, Target,
    TaskToken, Timestamp, TlsFact, TunnelFact, Why,
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// One run of one check. Step order is the order in which things were done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Made by the agent; the same id is the same measurement.
    pub id: MeasurementId,
    /// What was run.
    pub check: CheckKind,
    /// Against what.
    pub target: Target,
    /// How much of it.
    pub depth: Depth,
    /// Why it was run.
    pub why: Why,
    /// The token of the task that it answers, absent in a local `check`.
    pub token: Option<TaskToken>,
    /// The version of the signed list that allowed it, 0 in a local `check`.
    pub list_version: u64,
    /// The agent's clock at the start.
    pub started_at: Timestamp,
    /// How long it took, by a monotonic clock.
    #[serde(rename = "duration_ms", with = "millis")]
    pub duration: Duration,
    /// The measurement that this one explains: a `diagnose` names the `web` measurement of the same agent and target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<MeasurementId>,
    /// The steps.
    pub observations: Vec<Observation>,
}

impl Measurement {
    /// Returns the first step that failed at the deciding path: engine `system` for DNS, any other layer.
    #[must_use]
    pub fn first_failure(&self) -> Option<&Observation> {
        self.observations.iter().find(|step| step.failure.is_some() && step.engine == Engine::System)
    }
}

/// Who answered a step: the way that an ordinary program takes, or a second opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// The way of ordinary programs: the system's resolver, and the connection to its answer.
    #[default]
    System,
    /// A public resolver over UDP.
    Udp,
    /// A public resolver over HTTPS.
    Doh,
    /// The control target of a paired measurement, through the same line.
    Control,
    /// A public resolver over TLS.
    Dot,
    /// The provider's own resolver, asked without the machine's stub in between.
    Isp,
    /// A discriminating retry of a `diagnose`; the fact's variant says which.
    Retry,
}

impl Engine {
    /// Returns the engine's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Udp => "udp",
            Self::Doh => "doh",
            Self::Control => "control",
            Self::Dot => "dot",
            Self::Isp => "isp",
            Self::Retry => "retry",
        }
    }
}

/// One step's fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Which layer.
    pub layer: Layer,
    /// Which way.
    #[serde(default)]
    pub engine: Engine,
    /// The redirect hop, 0 for the target itself.
    #[serde(default)]
    pub hop: u8,
    /// The far end, absent for the system's resolver, whose address can point to the volunteer's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// Time from the measurement's start to this step's start.
    #[serde(rename = "at_ms", with = "millis")]
    pub at: Duration,
    /// How long the step took.
    #[serde(rename = "took_ms", with = "millis")]
    pub took: Duration,
    /// Why it failed, absent when it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What was seen.
    pub fact: Fact,
}

/// What a step saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// Nothing beside the timing.
    None,
    /// A DNS exchange.
    Dns(DnsAnswer),
    /// A TLS handshake.
    Tls(TlsFact),
    /// An HTTP exchange.
    Http(HttpFact),
    /// A QUIC handshake.
    Quic(QuicFact),
    /// A timed download.
    Throughput(ThroughputFact),
    /// Probes of limited reach.
    Path(PathFact),
    /// A connection to one of several endpoints.
    Endpoint(EndpointFact),
    /// A handshake of a circumvention protocol.
    Tunnel(TunnelFact),
    /// What a selfcheck saw of the line.
    Line(LineFact),
}

/// What a QUIC handshake showed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QuicFact {
    /// The name sent in the hello.
    pub server_name: String,
    /// The QUIC version that was agreed on, such as `1`; empty if the handshake failed.
    pub version: String,
    /// The negotiated application protocol, such as `h3`.
    pub alpn: String,
    /// SHA-256 of the end certificate in hexadecimal; empty if none was seen.
    pub certificate_sha256: String,
    /// The end certificate's issuer, at most 200 characters.
    pub certificate_issuer: String,
    /// UDP datagrams that were sent until the handshake ended.
    pub datagrams_sent: u32,
    /// UDP datagrams that came back, of whatever content.
    pub datagrams_received: u32,
    /// The versions that a version negotiation packet offered, at most 16; empty if none came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peer_versions: Vec<u32>,
}

/// Which of a check's endpoints a connection was made to.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndpointFact {
    /// The endpoint as `name:port`, or `address:port` where programs know it by its address.
    pub name: String,
}

/// How a timed download ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum DownloadEnd {
    /// The body was read whole.
    Complete,
    /// As many bytes were read as one side may cost.
    BytesCap,
    /// As much time went by as one side may take.
    TimeCap,
    /// The exchange failed; the observation says how.
    #[default]
    Broken,
}

/// What a timed download showed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ThroughputFact {
    /// The URL that was asked for.
    pub url: String,
    /// The status code, 0 if none came.
    pub status: u16,
    /// Bytes of the body that were read.
    pub body_bytes: u64,
    /// Milliseconds from the request to the answer's head.
    pub head_ms: u32,
    /// Milliseconds from the answer's head to the last thing that was waited for.
    pub body_ms: u32,
    /// The length of a bin in milliseconds.
    pub bin_ms: u32,
    /// Bytes of the body by bin, from the answer's head on; the last bin may be a part.
    pub bins: Vec<u32>,
    /// How it ended.
    pub end: DownloadEnd,
}

impl ThroughputFact {
    /// Returns the goodput in bits per second: what was read over the time from the answer's head to the end.
    #[must_use]
    pub fn goodput_bps(&self) -> u64 {
        self.body_bytes.saturating_mul(8000) / u64::from(self.body_ms.max(1))
    }
}

mod millis {
    //! Durations as whole milliseconds.
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
