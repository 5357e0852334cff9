//! What the detector knows before the first record.

use faultline_model::{
    AgentId, Asn, Baseline, Category, CountryCode, CountryProfile, Role, ServiceId, Target, TargetSpec,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How results come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Agents answer requests within seconds: suspicions open streams of their own, and asks are made.
    Live,
    /// Recorded data: nobody can be asked, windows alone carry the evidence.
    Passive,
    /// Recorded data whose vantage points have no identity: as [`Mode::Passive`], but every span of the method
    /// stretches with the base period, no task was handed out, and what cannot be asked of a vantage point is
    /// asked of its network (see `anonymous`).
    Anonymous,
}

/// One target with the service that it is a part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetInfo {
    /// The target.
    pub target: Target,
    /// Its service.
    pub service: ServiceId,
    /// The service's name for people.
    pub service_name: String,
    /// The part that it plays.
    pub role: Role,
    /// The service's category; `CTRL` marks canaries.
    pub category: Category,
    /// It is served inside the country: reaching it takes no line abroad.
    pub domestic: bool,
}

impl TargetInfo {
    /// Reads a list's entry as the detector of a country needs it.
    #[must_use]
    pub fn of(spec: &TargetSpec, country: CountryCode) -> Self {
        Self {
            domestic: spec.domestic == Some(country),
            target: spec.target.clone(),
            service: spec.service.clone(),
            service_name: spec.service_name.clone(),
            role: spec.role,
            category: spec.category.clone(),
        }
    }
}

/// Everything that the detector knows beforehand.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The country whose networks are judged; records of other countries that are no controls are ignored
    /// unless their network is a reference.
    pub profile: CountryProfile,
    /// The monitored targets.
    pub targets: Vec<TargetInfo>,
    /// Recorded ordinary days.
    pub baseline: Baseline,
    /// The time within which a cell is measured once (T in the method).
    pub base_period: Duration,
    /// How results come in.
    pub mode: Mode,
    /// Networks of neighbouring countries whose agents tell a failing site from a failing country.
    pub reference_asns: BTreeSet<Asn>,
    /// Anomaly rates of ordinary days per network and hour of local time, where known.
    pub history: BTreeMap<Asn, [f64; 24]>,
    /// Shares of slow downloads on ordinary days per network and hour of local time, where known.
    pub slow_history: BTreeMap<Asn, [f64; 24]>,
    /// Time between two beats of an agent; three missed ones are silence.
    pub beat: Duration,
    /// Regions of agents, where they are known.
    pub regions: BTreeMap<AgentId, String>,
    /// Agents that were invited together, by the name of their cohort: on one provider they are one voice, however
    /// many they are. Who is not named here speaks alone.
    pub cohorts: BTreeMap<AgentId, String>,
    /// Public hosts inside networks of the country, which controls look at from outside, with the network of each.
    pub landmarks: BTreeMap<Target, Asn>,
}

/// The time between two beats on an agent's live stream.
pub const LIVE_BEAT: Duration = Duration::from_secs(15);
