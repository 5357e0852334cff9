//! Circumvention in the country: real servers outside it, every check from every provider and control, judged as the
//! coordinator judges, in one table.
//!
//! The servers are Debian's own programs (`openvpn`, `tor`, `obfs4proxy`, `wireguard-go`); only the proxies are ours. A
//! program that is missing leaves its row `not run`, with what to install. The checks are `faultline-agent check`, run at
//! the place of each provider's subscriber and of each control while the scenario's rules hold.

pub mod proxies;
mod servers;
mod table;

pub use servers::{Far, ServerError};
pub use table::{Cell, Row, Table, is_ordered};

use super::inside::{Country, InsideError};
use super::roles::{Role, Running};
use super::scenario::{Endpoint, Provider};
use super::timeline::now_ms;
use faultline_analysis::judge::{ControlFact, judge};
use faultline_model::{CheckKind, Measurement, ProtocolClass, Target};
use std::path::{Path, PathBuf};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum EndpointsError {
    /// The scenario has no endpoints.
    #[error("the scenario has no [[endpoint]]")]
    None,
    /// A part of the country failed.
    #[error("running the country")]
    Country(#[source] InsideError),
    /// A server does not serve.
    #[error("starting {0}")]
    Server(String, #[source] ServerError),
    /// The proxies do not serve.
    #[error("starting the proxies")]
    Proxies(#[source] super::roles::RoleError),
    /// The agent's program cannot be run or says what is no measurement.
    #[error("{0}")]
    Check(String),
    /// Somebody stopped it.
    #[error("stopped")]
    Stopped,
}

/// Returns the check that speaks a protocol.
#[must_use]
pub const fn check_of(class: ProtocolClass) -> CheckKind {
    match class {
        ProtocolClass::OpenvpnUdp | ProtocolClass::OpenvpnTcp => CheckKind::Openvpn,
        ProtocolClass::Wireguard => CheckKind::Wireguard,
        ProtocolClass::Tor | ProtocolClass::Obfs4 => CheckKind::Tor,
        ProtocolClass::Socks5 | ProtocolClass::HttpsProxy => CheckKind::Proxy,
        ProtocolClass::VpnApi => CheckKind::VpnApi,
    }
}

/// Starts the servers, runs every check everywhere and judges.
///
/// # Errors
/// Says what did not run.
pub async fn measure(
    country: &mut Country,
    agent: &Path,
    stop: &CancellationToken,
    quiet: bool,
) -> Result<Table, EndpointsError> {
    if country.scenario.endpoints.is_empty() {
        return Err(EndpointsError::None);
    }
    let _proxies = start_proxies(country).await?;
    country.stand_in_for_coordinator().await.map_err(EndpointsError::Country)?;
    country.start_timeline(now_ms()).await.map_err(EndpointsError::Country)?;
    let mut rows = Vec::new();
    for endpoint in country.scenario.endpoints.clone() {
        let row = tokio::select! {
            row = row(country, agent, &endpoint) => row?,
            () = stop.cancelled() => return Err(EndpointsError::Stopped),
        };
        if !quiet {
            eprintln!("{}", row.progress());
        }
        rows.push(row);
        country.check_parts().map_err(EndpointsError::Country)?;
    }
    let scenario = &country.scenario;
    let providers = scenario.providers.iter().map(|provider| (provider.asn, provider.name.clone())).collect();
    Ok(Table { scenario: scenario.name.clone(), providers, controls: scenario.controls.len(), rows })
}

/// All far ends of a scenario; they serve until this is dropped.
pub struct Ways {
    /// Each endpoint with its server.
    pub all: Vec<(Endpoint, Far)>,
    _proxies: Option<Running>,
}

impl Ways {
    /// Starts them all.
    ///
    /// # Errors
    /// Says which does not serve.
    pub async fn start(country: &Country) -> Result<Self, EndpointsError> {
        let _proxies = start_proxies(country).await?;
        let mut all = Vec::new();
        for endpoint in &country.scenario.endpoints {
            let started = servers::start(country, endpoint).await;
            let far = started.map_err(|error| EndpointsError::Server(endpoint.host.clone(), error))?;
            all.push((endpoint.clone(), far));
        }
        Ok(Self { all, _proxies })
    }
}

async fn start_proxies(country: &Country) -> Result<Option<Running>, EndpointsError> {
    let config = proxies::Config::of(&country.scenario, country.authority());
    if config.is_empty() {
        return Ok(None);
    }
    let mut command = country.as_world(country.program());
    command.arg("role");
    Running::start("proxies", command, &Role::Proxies(config))
        .await
        .map(Some)
        .map_err(EndpointsError::Proxies)
}

async fn row(country: &Country, agent: &Path, endpoint: &Endpoint) -> Result<Row, EndpointsError> {
    let started = servers::start(country, endpoint).await;
    let far = started.map_err(|error| EndpointsError::Server(endpoint.host.clone(), error))?;
    let mut row = Row {
        class: endpoint.class,
        host: endpoint.host.clone(),
        missing: None,
        cells: Vec::new(),
        controls: 0,
        at_controls: Vec::new(),
    };
    let target = match far {
        Far::Missing(package) => {
            row.missing = Some(package.to_owned());
            return Ok(row);
        }
        Far::Serves { ref target, .. } => target.clone(),
    };
    let scenario = &country.scenario;
    let mut places = JoinSet::new();
    for (at, provider) in scenario.providers.iter().enumerate() {
        let command = country.as_subscriber(provider.asn, 0, agent);
        places.spawn(run((at, false), check(country, command, &target, endpoint.class)));
    }
    for number in 1..=scenario.controls.len() {
        let command = country.as_control(number, agent);
        places.spawn(run((number - 1, true), check(country, command, &target, endpoint.class)));
    }
    let (mut measured, mut controls) = (Vec::new(), Vec::new());
    while let Some(ended) = places.join_next().await {
        let (place, measurement) = ended.map_err(|error| EndpointsError::Check(error.to_string()))??;
        match place {
            (at, false) => measured.push((at, measurement)),
            (at, true) => {
                controls.push(ControlFact::of(&measurement));
                row.at_controls.push((scenario.controls[at].asn, measurement));
            }
        }
    }
    measured.sort_by_key(|(at, _)| *at);
    row.controls = controls.iter().filter(|control| control.failed_at.is_none()).count();
    for (at, measurement) in &measured {
        let provider: &Provider = &scenario.providers[*at];
        let judgement = judge(measurement, &controls);
        let ordered = is_ordered(scenario, provider, endpoint);
        row.cells.push(Cell::of(provider.asn, measurement, &judgement, ordered));
    }
    Ok(row)
}

fn check(country: &Country, mut command: Command, target: &Target, class: ProtocolClass) -> Command {
    command.args(["check", "--json", "--check", check_of(class).as_str(), target.as_str()]);
    command.arg("--roots").arg(&country.roots);
    if let Some(resolver) = country.scenario.list.resolvers.first() {
        command.arg("--resolver-udp").arg(resolver.udp.to_string());
        command.arg("--resolver-doh").arg(format!("{}@{}", resolver.doh_url, resolver.doh_address));
    }
    command.kill_on_drop(true);
    command
}

async fn run(
    place: (usize, bool),
    mut command: Command,
) -> Result<((usize, bool), Measurement), EndpointsError> {
    let output = command.output().await.map_err(|error| EndpointsError::Check(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(EndpointsError::Check(format!("faultline-agent check failed: {said}")));
    }
    let measurement = serde_json::from_slice(&output.stdout);
    let measurement =
        measurement.map_err(|error| EndpointsError::Check(format!("no measurement: {error}")))?;
    Ok((place, measurement))
}

/// Returns where a server keeps its files.
fn folder(country: &Country, endpoint: &Endpoint) -> PathBuf {
    country.dir.join("endpoints").join(&endpoint.host)
}
