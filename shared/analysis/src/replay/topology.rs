//! `topology.json`: what a coordinator knows beforehand.

use crate::detect::{Mode, Setup, TargetInfo, service_of};
use faultline_model::{
    Access, AgentId, Asn, Baseline, Category, CountryCode, CountryProfile, Gateway, Operator, ProfileError,
    Role, ServiceId, Target,
};
use serde::Deserialize;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Mobile.
    Mobile,
    /// Whatever else.
    #[serde(other)]
    Fixed,
}

/// One network.
#[derive(Clone, Debug, Deserialize)]
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
#[derive(Clone, Debug, Deserialize)]
pub struct AgentRow {
    /// Its id.
    pub agent_id: AgentId,
    /// Its network.
    pub asn: Asn,
    /// Its region.
    #[serde(default)]
    pub region: String,
}

/// One target.
#[derive(Clone, Debug, Deserialize)]
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
}

/// Rates of ordinary days by hour of local time.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct HourRates {
    /// Share of anomalies among the results of the chain.
    #[serde(default)]
    pub anomaly_by_local_hour: Vec<f64>,
    /// Share of throttled downloads.
    #[serde(default)]
    pub throttled_by_local_hour: Vec<f64>,
}

/// The whole file. Unknown fields are ignored.
#[derive(Clone, Debug, Deserialize)]
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
        let profile = self.profile();
        profile.validate().map_err(TopologyError::Profile)?;
        Ok(Setup {
            profile,
            targets: self.targets.iter().map(target_info).collect(),
            baseline: Baseline::default(),
            base_period: Duration::from_secs_f64(self.base_period_s),
            mode: Mode::Passive,
            reference_asns: self.asns.iter().filter(|row| row.reference).map(|row| row.asn).collect(),
            history: self.history.iter().filter_map(|(asn, rates)| Some((*asn, hours(rates)?))).collect(),
            beat: Duration::from_secs_f64(self.heartbeat_period_s),
            regions: self.regions(),
            landmarks: BTreeMap::new(),
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

    fn profile(&self) -> CountryProfile {
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
        service_name: row.service.as_ref().map_or_else(|| row.target.host().to_owned(), ToString::to_string),
        service,
        target: row.target.clone(),
        role: Role::Site,
        category: row.category.clone(),
        domestic: row.hosting == "domestic",
    }
}

fn hours(rates: &HourRates) -> Option<[f64; 24]> {
    <[f64; 24]>::try_from(rates.anomaly_by_local_hour.as_slice()).ok()
}
