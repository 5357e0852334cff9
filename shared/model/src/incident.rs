//! Incidents: what a reader is told.

use crate::{AgentId, Asn, CountryCode, IncidentId, ServiceId, Target, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A text that names no verdict.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown verdict {0:?}")]
pub struct VerdictError(String);

macro_rules! verdicts {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// What an incident is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Verdict {
            $($(#[$doc])* $name,)+
        }

        impl Verdict {
            /// Returns the verdict's name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }

        impl FromStr for Verdict {
            type Err = VerdictError;
            fn from_str(text: &str) -> Result<Self, VerdictError> {
                match text {
                    $($text => Ok(Self::$name),)+
                    other => Err(VerdictError(other.chars().take(40).collect())),
                }
            }
        }
    };
}

verdicts! {
    /// One operator family blocks the targets.
    IspBlock = "isp_block",
    /// Several operator families block, not the country.
    MultiIspBlock = "multi_isp_block",
    /// Practically every family with enough evidence blocks the targets.
    NationalBlock = "national_block",
    /// As national, and the targets are one kind of service while everything else works.
    CategoryBlock = "category_block",
    /// Slowed, not cut.
    Throttling = "throttling",
    /// One provider has no working internet.
    IspOutage = "isp_outage",
    /// A kind of access is cut and another is not.
    PartialShutdown = "partial_shutdown",
    /// A region's agents of all providers are gone.
    RegionalOutage = "regional_outage",
    /// The country is off.
    NationalShutdown = "national_shutdown",
    /// Unselective degradation.
    TechnicalFailure = "technical_failure",
    /// The site fails for everybody, controls included.
    TargetOutage = "target_outage",
    /// The site itself refuses the country.
    GeoBlock = "geo_block",
    /// One vantage point's own trouble.
    AgentLocal = "agent_local",
    /// Our own side was down.
    CoordinatorOutage = "coordinator_outage",
    /// Agents measure but cannot reach us.
    ControlChannelBlock = "control_channel_block",
    /// Too few independent vantage points to say.
    InsufficientData = "insufficient_data",
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Verdict {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Verdict {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How firmly an incident is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Published early; may be withdrawn.
    Suspected,
    /// The confirmation round agreed, or the evidence lasted.
    Confirmed,
}

impl Status {
    /// Returns the status's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Confirmed => "confirmed",
        }
    }
}

/// What a statement about a silence rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Nothing but that the vantage points went silent.
    Silence,
    /// What agents measured meanwhile and delivered afterwards.
    Spool,
    /// What controls saw of public hosts inside the silent networks.
    OutsideIn,
}

impl Basis {
    /// Returns the basis's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Spool => "spool",
            Self::OutsideIn => "outside_in",
        }
    }
}

impl FromStr for Basis {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Silence, Self::Spool, Self::OutsideIn];
        all.into_iter().find(|basis| basis.as_str() == text).ok_or_else(|| format!("{text:?} is no basis"))
    }
}

/// What can still be reached from the affected networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Everything that was tried.
    All,
    /// Sites inside the country, and nothing beyond.
    DomesticOnly,
    /// Nothing.
    None,
}

impl Reach {
    /// Returns the name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::DomesticOnly => "domestic_only",
            Self::None => "none",
        }
    }
}

impl FromStr for Reach {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::All, Self::DomesticOnly, Self::None];
        all.into_iter().find(|reach| reach.as_str() == text).ok_or_else(|| format!("{text:?} is no reach"))
    }
}

/// One published state of an incident. What was said stays readable for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Rises by one with every change.
    pub revision: u32,
    /// The coordinator's clock when it was said.
    pub published_at: Timestamp,
    /// What was said.
    pub verdict: Verdict,
    /// How firmly.
    pub status: Status,
    /// The networks named.
    pub asns: Vec<Asn>,
    /// The targets named.
    pub targets: Vec<Target>,
    /// The model score.
    pub confidence: f64,
    /// The end, once known.
    pub end: Option<Timestamp>,
    /// The statement was withdrawn.
    pub retracted: bool,
    /// What changed, in a sentence.
    pub change: String,
}

/// What a reader is told about one event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Stable over revisions.
    pub id: IncidentId,
    /// The country.
    pub country: CountryCode,
    /// The current revision.
    pub revision: u32,
    /// How firmly.
    pub status: Status,
    /// What it is.
    pub verdict: Verdict,
    /// Model score between 0 and 1, not a calibrated probability.
    pub confidence: f64,
    /// One sentence for a headline.
    pub headline: String,
    /// The services affected.
    #[serde(default)]
    pub services: Vec<ServiceId>,
    /// The targets affected; empty means that it is not about particular services.
    pub targets: Vec<Target>,
    /// The networks affected.
    pub asns: Vec<Asn>,
    /// The agents, for `agent_local` only.
    pub agents: Vec<AgentId>,
    /// When it began.
    pub onset: Timestamp,
    /// When it ended; absent while open.
    pub end: Option<Timestamp>,
    /// When it began on each network.
    pub onset_by_asn: BTreeMap<Asn, Timestamp>,
    /// When it ended on each network.
    pub end_by_asn: BTreeMap<Asn, Timestamp>,
    /// Between which moments it began on each network: the last success and the first failure.
    #[serde(default)]
    pub onset_interval_by_asn: BTreeMap<Asn, [Timestamp; 2]>,
    /// When it was first published, `suspected` included.
    pub detected_at: Timestamp,
    /// The gateway that explains it.
    pub transit: Option<Asn>,
    /// What a statement about a silence rests on; absent where agents measured what is said.
    #[serde(default)]
    pub basis: Option<Basis>,
    /// What can still be reached from the affected networks, where that is known.
    #[serde(default)]
    pub reach: Option<Reach>,
    /// The statement was withdrawn.
    pub retracted: bool,
    /// Share of each failure class among the affected failures, per class.
    pub mechanisms: BTreeMap<String, f64>,
    /// The most frequent failure class per network.
    #[serde(default)]
    pub mechanism_by_asn: BTreeMap<Asn, String>,
    /// Users' share: affected, cleared, unknown; adds up to 1.
    #[serde(default)]
    pub user_share: [f64; 3],
    /// The reasons, one sentence each.
    pub evidence: Vec<String>,
    /// What was said before, oldest first, the current state included.
    #[serde(default)]
    pub revisions: Vec<Revision>,
}

/// Recorded ordinary days: what cells looked like before this coordinator began to look.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Where and when it was recorded, for people.
    #[serde(default)]
    pub note: String,
    /// One row per cell.
    pub cells: Vec<BaselineCell>,
}

/// One cell's recorded past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineCell {
    /// The target.
    pub target: Target,
    /// The network.
    pub asn: Asn,
    /// Measurements in quiet hours.
    pub measurements: u32,
    /// Anomalies among them.
    pub anomalies: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_by_network_are_written_with_plain_numbers_as_keys() {
        let asn: Asn = serde_json::from_str("23674").expect("valid");
        let map = BTreeMap::from([(asn, Timestamp::from_unix_ms(0))]);
        assert_eq!(serde_json::to_string(&map).expect("json"), r#"{"23674":"1970-01-01T00:00:00Z"}"#);
    }
}
