//! The ISP x service matrix of a country, made of the detector's cells.

use crate::coordinator::Coordinator;
use crate::countries::Family;
use crate::fleet::group_of;
use crate::planning::Group;
use faultline_analysis::detect::{CellState, CellView};
use faultline_model::{Access, Asn, CountryCode, ServiceId, Target, Timestamp};
use faultline_runtime::now;
use serde::Serialize;
use std::collections::BTreeMap;

/// A matrix as readers get it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Matrix {
    pub(crate) country: CountryCode,
    pub(crate) at: Timestamp,
    pub(crate) services: Vec<MatrixService>,
    pub(crate) rows: Vec<MatrixRow>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MatrixService {
    pub(crate) id: ServiceId,
    pub(crate) name: String,
    pub(crate) category: String,
}

/// A row: one operator family.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MatrixRow {
    pub(crate) operator: String,
    pub(crate) asn: Asn,
    pub(crate) access: Access,
    pub(crate) user_share: f64,
    /// Connected now.
    pub(crate) agents: u32,
    pub(crate) cells: Vec<MatrixCell>,
}

/// One service seen from one family.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MatrixCell {
    pub(crate) state: MatrixState,
    pub(crate) since: Option<Timestamp>,
    pub(crate) results: u32,
    pub(crate) anomalies: u32,
    /// The most frequent failure class among the anomalies; empty without any.
    pub(crate) mechanism: String,
    /// Targets of the service that are affected.
    pub(crate) targets: Vec<Target>,
}

/// A service's state on one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MatrixState {
    Ok,
    Suspected,
    Blocked,
    PartlyBlocked,
    Down,
    Insufficient,
    NoData,
}

/// Returns a country's matrix as it is now.
pub(crate) fn country_matrix(coordinator: &Coordinator, country: CountryCode) -> Matrix {
    let view = std::sync::Arc::clone(&coordinator.view.borrow());
    let cells = view.cells.get(&country).map(Vec::as_slice).unwrap_or_default();
    let services = columns(coordinator);
    let rows = families(coordinator, country, cells).into_iter().map(|(family, agents)| MatrixRow {
        cells: services.iter().map(|service| cell(cells, family.asn, &service.id)).collect(),
        operator: family.name,
        asn: family.asn,
        access: family.access,
        user_share: family.user_share,
        agents,
    });
    Matrix { country, at: view.at, rows: rows.collect(), services }
}

/// Services in the list's order, canaries last.
fn columns(coordinator: &Coordinator) -> Vec<MatrixService> {
    let Some(kept) = coordinator.lists.newest() else { return Vec::new() };
    let mut services: Vec<MatrixService> = Vec::new();
    for spec in &kept.list.targets {
        if services.iter().all(|known| known.id != spec.service) {
            services.push(MatrixService {
                id: spec.service.clone(),
                name: spec.service_name.clone(),
                category: spec.category.to_string(),
            });
        }
    }
    services.sort_by_key(|service| service.category == "CTRL");
    services
}

/// Families of the profile, and those that are heard without being in it, with their connected agents.
fn families(coordinator: &Coordinator, country: CountryCode, cells: &[CellView]) -> Vec<(Family, u32)> {
    let mut agents: BTreeMap<Asn, u32> = BTreeMap::new();
    for view in coordinator.fleet.views(now()) {
        if let Group::Family(home, asn) = group_of(&coordinator.countries, &view.record, view.network)
            && home == country
        {
            *agents.entry(asn).or_default() += u32::from(view.is_connected);
        }
    }
    let mut families = coordinator.countries.families(country);
    let heard = cells.iter().map(|cell| cell.asn).chain(agents.keys().copied());
    for asn in heard {
        if families.iter().all(|family| family.asn != asn) {
            families.push(coordinator.countries.family(country, asn));
        }
    }
    families
        .into_iter()
        .map(|family| (agents.get(&family.asn).copied().unwrap_or(0), family))
        .map(|(n, f)| (f, n))
        .collect()
}

fn cell(cells: &[CellView], asn: Asn, service: &ServiceId) -> MatrixCell {
    let own: Vec<&CellView> =
        cells.iter().filter(|cell| cell.asn == asn && cell.service == *service).collect();
    let state = state(&own);
    let affected: Vec<&&CellView> = own
        .iter()
        .filter(|cell| matches!(cell.state, CellState::Blocked | CellState::Suspected | CellState::Down))
        .collect();
    let strongest = own.iter().filter(|cell| cell.mechanism.is_some()).max_by_key(|cell| cell.anomalies);
    let is_trouble = !matches!(state, MatrixState::Ok | MatrixState::NoData);
    MatrixCell {
        state,
        since: affected.iter().filter_map(|cell| cell.since).min(),
        results: own.iter().map(|cell| cell.ok + cell.anomalies).sum(),
        anomalies: own.iter().map(|cell| cell.anomalies).sum(),
        mechanism: strongest
            .filter(|_| is_trouble)
            .and_then(|cell| cell.mechanism)
            .map(|class| class.to_string())
            .unwrap_or_default(),
        targets: affected.iter().map(|cell| cell.target.clone()).collect(),
    }
}

fn state(own: &[&CellView]) -> MatrixState {
    let has = |state| own.iter().any(|cell| cell.state == state);
    if has(CellState::Blocked) {
        return if works_beside(own) { MatrixState::PartlyBlocked } else { MatrixState::Blocked };
    }
    let order = [
        (CellState::Suspected, MatrixState::Suspected),
        (CellState::Down, MatrixState::Down),
        (CellState::Insufficient, MatrixState::Insufficient),
        (CellState::Ok, MatrixState::Ok),
    ];
    order.into_iter().find(|(cell, _)| has(*cell)).map_or(MatrixState::NoData, |(_, state)| state)
}

/// Says whether a target of the service was seen to work after another one was blocked. What worked before and was not
/// looked at since says nothing.
fn works_beside(own: &[&CellView]) -> bool {
    let since =
        own.iter().filter(|cell| cell.state == CellState::Blocked).filter_map(|cell| cell.since).max();
    let fine = own.iter().filter(|cell| cell.state == CellState::Ok);
    fine.filter_map(|cell| cell.last_at).any(|last| since.is_none_or(|since| last > since))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(state: CellState, since: Option<i64>, last: i64) -> CellView {
        CellView {
            asn: Asn::new(23674).expect("valid"),
            operator: "Nayatel".into(),
            target: Target::new("https://x.com/").expect("valid"),
            service: ServiceId::new("x").expect("valid"),
            state,
            ok: 1,
            anomalies: 1,
            agents: 1,
            since: since.map(Timestamp::from_unix_ms),
            last_at: Some(Timestamp::from_unix_ms(last)),
            ln_e: 0.0,
            mechanism: None,
        }
    }

    #[test]
    fn a_service_is_partly_blocked_only_if_a_part_worked_since() {
        let blocked = view(CellState::Blocked, Some(1_000), 2_000);
        let (before, after) = (view(CellState::Ok, None, 900), view(CellState::Ok, None, 1_500));
        assert_eq!(state(&[&blocked, &before]), MatrixState::Blocked);
        assert_eq!(state(&[&blocked, &after]), MatrixState::PartlyBlocked);
        assert_eq!(state(&[&before]), MatrixState::Ok);
        assert_eq!(state(&[]), MatrixState::NoData);
        let suspected = view(CellState::Suspected, None, 0);
        assert_eq!(state(&[&after, &suspected]), MatrixState::Suspected);
    }
}
