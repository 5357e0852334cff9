//! What readers get beside incidents: ways around censorship after their time, and diagnoses.

use super::web::{Asked, CountryQuery, asked};
use super::{ApiError, research};
use crate::circumvention::{self, Audience};
use crate::coordinator::Coordinator;
use crate::store::Diagnosis;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use faultline_model::{CountryCode, Incident, ProtocolClass};
use faultline_runtime::now;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const DIAGNOSES: usize = 1000;
const LOOK_BACK: Duration = Duration::from_secs(90 * 86_400);

/// Which protocol classes pass at which provider, as far as it is public.
pub(super) async fn circumvention(
    State(coordinator): State<Arc<Coordinator>>,
    query: Asked<CountryQuery>,
) -> Result<Response, ApiError> {
    let country = one_country(query, "circumvention")?;
    let rows = circumvention::read(&coordinator, country, Audience::Public, now()).await?;
    let days = ProtocolClass::PUBLIC_AFTER_DAYS;
    Ok(Json(json!({ "country": country, "held_back_days": days, "rows": rows })).into_response())
}

/// Which thing is blocked, each with the measurement that it explains and the incident that it was made for.
pub(super) async fn diagnoses(
    State(coordinator): State<Arc<Coordinator>>,
    query: Asked<CountryQuery>,
) -> Result<Response, ApiError> {
    let country = one_country(query, "diagnoses")?;
    let found = coordinator.archive.diagnoses(country, now() - LOOK_BACK, DIAGNOSES).await?;
    let (incidents, _) = research::page(&coordinator, Some(country), research::MAX_PAGE, "").await?;
    let rows: Vec<Value> = found.iter().map(|one| row(&coordinator, country, one, &incidents)).collect();
    Ok(Json(json!({ "country": country, "diagnoses": rows })).into_response())
}

fn row(coordinator: &Coordinator, country: CountryCode, one: &Diagnosis, incidents: &[Incident]) -> Value {
    let family = one.asn.map(|asn| coordinator.countries.family(country, asn));
    let is_about = |incident: &&Incident| {
        let is_there = one.asn.is_some_and(|asn| {
            incident.asns.iter().any(|own| {
                coordinator.countries.family(country, *own).asn
                    == coordinator.countries.family(country, asn).asn
            })
        });
        let is_then =
            incident.onset <= one.received_at && incident.end.is_none_or(|end| one.started_at <= end);
        is_there && is_then && incident.targets.contains(&one.target)
    };
    json!({
        "id": one.id,
        "parent": one.parent,
        "incident": incidents.iter().find(is_about).map(|incident| &incident.id),
        "target": one.target,
        "operator": family.as_ref().map(|family| &family.name),
        "asn": family.as_ref().map(|family| family.asn),
        "received_at": one.received_at,
        "status": one.judgement.status,
        "layer": one.judgement.layer,
        "rule": one.judgement.rule,
    })
}

fn one_country(query: Asked<CountryQuery>, what: &str) -> Result<CountryCode, ApiError> {
    let country = research::country(&asked(query)?.country)?;
    country.ok_or_else(|| ApiError::Invalid(format!("say which country: /api/v1/{what}?country=PK")))
}
