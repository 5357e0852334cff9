//! What the detector knows before the first record.

use faultline_model::{Asn, Baseline, Category, CountryProfile, Role, ServiceId, Target, TargetSpec};
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
}

impl From<&TargetSpec> for TargetInfo {
    fn from(spec: &TargetSpec) -> Self {
        Self {
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
}
