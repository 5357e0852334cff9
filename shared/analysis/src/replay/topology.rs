//! `topology.json`: what a coordinator knows beforehand.

use super::live::Pace;
use crate::detect::{Mode, Setup, TargetInfo, service_of};
use faultline_model::{
    Access, AgentId, Asn, Baseline, Category, CountryCode, CountryProfile, Gateway, Operator, ProfileError,
    Role, ServiceId, Target, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is wrong with a topology.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum TopologyError {
    /// The networks contradict each other.
    #[error("the networks of the topology are inconsistent")]
    Profile(#[source] ProfileError),
    /// The base period is no positive number of seconds.
    #[error("base_period_s is {0}; it must lie between 1 and 86400")]
    Period(f64),
    /// The time between heartbeats is no positive number of seconds.
    #[error("heartbeat_period_s is {0}; it must lie between 1 and 86400")]
    Beat(f64),
}

/// How a network's customers are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Mobile.
    Mobile,
    /// Whatever else.
    #[serde(other)]
    Fixed,
}

/// How the data were recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recording {
    /// Measurements as they came, without any confirmation.
    #[default]
    Passive,
    /// A coordinator's run: its questions were answered, and the answers are marked.
    Live,
}

/// One network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AsnRow {
    /// Its number.
    pub asn: Asn,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its country.
    #[serde(default)]
    pub country: Option<CountryCode>,
    /// Fixed or mobile.
    #[serde(default = "fixed")]
    pub kind: Kind,
    /// Its share of the country's users.
    #[serde(default)]
    pub user_share: f64,
    /// The gateways it buys transit from.
    #[serde(default)]
    pub upstreams: Vec<Asn>,
    /// A network outside the country.
    #[serde(default)]
    pub reference: bool,
    /// The name of the company that decides about it; networks with the same one are one family.
    #[serde(default)]
    pub operator: Option<String>,
}

fn fixed() -> Kind {
    Kind::Fixed
}

/// One agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentRow {
    /// Its id.
    pub agent_id: AgentId,
    /// Its network.
    pub asn: Asn,
    /// Its region.
    #[serde(default)]
    pub region: String,
    /// The name of those who were invited with it.
    #[serde(default)]
    pub cohort: String,
}

/// One target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetRow {
    /// The target.
    pub target: Target,
    /// Its category.
    pub category: Category,
    /// Where it is hosted.
    #[serde(default)]
    pub hosting: String,
    /// The service it belongs to, where the file says so.
    #[serde(default)]
    pub service: Option<ServiceId>,
    /// The service's name for people.
    #[serde(default)]
    pub service_name: Option<String>,
    /// The part that it plays in the service.
    #[serde(default)]
    pub role: Role,
}

/// Rates of ordinary days by hour of local time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HourRates {
    /// Share of anomalies among the results of the chain.
    #[serde(default)]
    pub anomaly_by_local_hour: Vec<f64>,
    /// Share of throttled downloads.
    #[serde(default)]
    pub throttled_by_local_hour: Vec<f64>,
}

/// The whole file. Unknown fields are ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Topology {
    /// The country.
    pub country: CountryCode,
    /// Minutes to add to UTC for local time.
    #[serde(default)]
    pub utc_offset_min: i32,
    /// The time within which an agent measures each target once.
    #[serde(default = "ten_minutes")]
    pub base_period_s: f64,
    /// The time between two heartbeats of an agent.
    #[serde(default = "two_minutes")]
    pub heartbeat_period_s: f64,
    /// The gateways.
    #[serde(default)]
    pub transits: Vec<Asn>,
    /// The networks.
    pub asns: Vec<AsnRow>,
    /// The agents.
    #[serde(default)]
    pub agents: Vec<AgentRow>,
    /// The targets.
    pub targets: Vec<TargetRow>,
    /// Rates of ordinary days, by network.
    #[serde(default)]
    pub history: BTreeMap<Asn, HourRates>,
    /// How the data were recorded.
    #[serde(default)]
    pub mode: Recording,
    /// What the coordinator knew of the country; where it is given, it wins over `asns` and `transits`.
    #[serde(default)]
    pub profile: Option<CountryProfile>,
    /// What the coordinator knew of quiet hours.
    #[serde(default)]
    pub baseline: Baseline,
    /// Public hosts inside networks of the country, which controls look at from outside.
    #[serde(default)]
    pub landmarks: BTreeMap<Target, Asn>,
    /// From when to when the coordinator itself was down, so that nobody could be heard.
    #[serde(default)]
    pub own_outages: Vec<[Timestamp; 2]>,
    /// A live run: seconds between looks that nothing asked for.
    #[serde(default)]
    pub looks_every_s: Option<f64>,
    /// A live run: when the recording ended.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

fn ten_minutes() -> f64 {
    600.0
}

fn two_minutes() -> f64 {
    120.0
}

impl Topology {
    /// Turns the file into what the detector needs.
    ///
    /// # Errors
    /// Says what is inconsistent.
    pub fn setup(&self) -> Result<Setup, TopologyError> {
        if !(1.0..=86_400.0).contains(&self.base_period_s) {
            return Err(TopologyError::Period(self.base_period_s));
        }
        if !(1.0..=86_400.0).contains(&self.heartbeat_period_s) {
            return Err(TopologyError::Beat(self.heartbeat_period_s));
        }
        let profile = self.profile.clone().unwrap_or_else(|| self.listed_profile());
        profile.validate().map_err(TopologyError::Profile)?;
        Ok(Setup {
            profile,
            targets: self.targets.iter().map(target_info).collect(),
            baseline: self.baseline.clone(),
            base_period: Duration::from_secs_f64(self.base_period_s),
            mode: match self.mode {
                Recording::Passive => Mode::Passive,
                Recording::Live => Mode::Live,
            },
            reference_asns: self.asns.iter().filter(|row| row.reference).map(|row| row.asn).collect(),
            history: self.history.iter().filter_map(|(asn, rates)| Some((*asn, hours(rates)?))).collect(),
            slow_history: self
                .history
                .iter()
                .filter_map(|(asn, rates)| Some((*asn, slow_hours(rates)?)))
                .collect(),
            beat: Duration::from_secs_f64(self.heartbeat_period_s),
            regions: self.regions(),
            cohorts: self.cohorts(),
            landmarks: self.landmarks.clone(),
        })
    }

    /// Returns the countries of networks.
    pub(super) fn places(&self) -> BTreeMap<Asn, CountryCode> {
        self.asns.iter().filter_map(|row| Some((row.asn, row.country?))).collect()
    }

    fn regions(&self) -> BTreeMap<AgentId, String> {
        let known = self.agents.iter().filter(|row| !row.region.is_empty());
        known.map(|row| (row.agent_id.clone(), row.region.clone())).collect()
    }

    fn cohorts(&self) -> BTreeMap<AgentId, String> {
        let known = self.agents.iter().filter(|row| !row.cohort.is_empty());
        known.map(|row| (row.agent_id.clone(), row.cohort.clone())).collect()
    }

    /// Returns how a live run is looked at.
    pub(super) fn pace(&self) -> Pace {
        let every = self.looks_every_s.filter(|seconds| (0.1..=3600.0).contains(seconds));
        Pace { every: every.map(Duration::from_secs_f64), until: self.until }
    }

    /// Writes down what a live coordinator knows, so that its run can be replayed.
    #[must_use]
    pub fn of(setup: &Setup, until: Option<Timestamp>) -> Self {
        let network = |operator: &Operator, asn: &Asn| AsnRow {
            asn: *asn,
            name: operator.name.clone(),
            country: Some(setup.profile.country),
            kind: if operator.access == Access::Mobile { Kind::Mobile } else { Kind::Fixed },
            user_share: if *asn == operator.main_asn() { operator.user_share } else { 0.0 },
            upstreams: operator.upstreams.clone(),
            reference: false,
            operator: Some(operator.name.clone()),
        };
        let asns = setup.profile.operators.iter();
        let target = |info: &TargetInfo| TargetRow {
            target: info.target.clone(),
            category: info.category.clone(),
            hosting: if info.domestic { "domestic".to_owned() } else { String::new() },
            service: Some(info.service.clone()),
            service_name: Some(info.service_name.clone()),
            role: info.role,
        };
        Self {
            country: setup.profile.country,
            utc_offset_min: setup.profile.utc_offset_min,
            base_period_s: setup.base_period.as_secs_f64(),
            heartbeat_period_s: setup.beat.as_secs_f64(),
            transits: setup.profile.gateways.iter().map(|gateway| gateway.asn).collect(),
            asns: asns.flat_map(|own| own.asns.iter().map(move |asn| network(own, asn))).collect(),
            agents: Vec::new(),
            targets: setup.targets.iter().map(target).collect(),
            history: BTreeMap::new(),
            mode: if setup.mode == Mode::Live { Recording::Live } else { Recording::Passive },
            profile: Some(setup.profile.clone()),
            baseline: setup.baseline.clone(),
            landmarks: setup.landmarks.clone(),
            own_outages: Vec::new(),
            looks_every_s: None,
            until,
        }
    }

    fn listed_profile(&self) -> CountryProfile {
        let mut operators: Vec<Operator> = Vec::new();
        for row in self.asns.iter().filter(|row| !row.reference) {
            let name = row.operator.clone().unwrap_or_else(|| row.name.clone());
            if row.operator.is_some()
                && let Some(family) = operators.iter_mut().find(|operator| operator.name == name)
            {
                family.asns.push(row.asn);
                family.user_share += row.user_share;
                continue;
            }
            operators.push(Operator {
                name,
                asns: vec![row.asn],
                access: if row.kind == Kind::Mobile { Access::Mobile } else { Access::Fixed },
                user_share: row.user_share,
                upstreams: row.upstreams.clone(),
            });
        }
        normalise_shares(&mut operators);
        let gateway = |asn: &Asn| Gateway { asn: *asn, name: asn.to_string() };
        CountryProfile {
            country: self.country,
            name: self.country.to_string(),
            utc_offset_min: self.utc_offset_min,
            operators,
            gateways: self.transits.iter().map(gateway).collect(),
            ..CountryProfile::unknown(self.country)
        }
    }
}

/// Rounded shares may add up to slightly more than one; they are scaled rather than refused.
fn normalise_shares(operators: &mut [Operator]) {
    let total: f64 = operators.iter().map(|operator| operator.user_share).sum();
    if total > 1.0 {
        for operator in operators {
            operator.user_share /= total;
        }
    }
}

fn target_info(row: &TargetRow) -> TargetInfo {
    let service = row.service.clone().unwrap_or_else(|| service_of(row.target.host()));
    TargetInfo {
        service_name: row.service_name.clone().unwrap_or_else(|| {
            row.service.as_ref().map_or_else(|| row.target.host().to_owned(), ToString::to_string)
        }),
        service,
        target: row.target.clone(),
        role: row.role,
        category: row.category.clone(),
        domestic: row.hosting == "domestic",
    }
}

fn slow_hours(rates: &HourRates) -> Option<[f64; 24]> {
    <[f64; 24]>::try_from(rates.throttled_by_local_hour.as_slice()).ok()
}

fn hours(rates: &HourRates) -> Option<[f64; 24]> {
    <[f64; 24]>::try_from(rates.anomaly_by_local_hour.as_slice()).ok()
}
