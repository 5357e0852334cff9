//! What readers get beside incidents: ways around censorship after their time, diagnoses, and places on the way.

use super::web::{Asked, CountryQuery, asked};
use super::{ApiError, research};
use crate::circumvention::{self, Audience};
use crate::coordinator::Coordinator;
use crate::store::{NewMeasurement, StoredMeasurement};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use faultline_analysis::judge::{PathPoint, locate};
use faultline_model::{Asn, CheckKind, CountryCode, Incident, ProtocolClass};
use faultline_runtime::now;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const ROWS: usize = 1000;
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
    let rows = rows(&coordinator, country, CheckKind::Diagnose).await?;
    Ok(Json(json!({ "country": country, "diagnoses": rows })).into_response())
}

/// At which hop names are interfered with.
pub(super) async fn paths(
    State(coordinator): State<Arc<Coordinator>>,
    query: Asked<CountryQuery>,
) -> Result<Response, ApiError> {
    let country = one_country(query, "paths")?;
    let rows = rows(&coordinator, country, CheckKind::Path).await?;
    Ok(Json(json!({ "country": country, "paths": rows })).into_response())
}

async fn rows(
    coordinator: &Coordinator,
    country: CountryCode,
    check: CheckKind,
) -> Result<Vec<Value>, ApiError> {
    let found = coordinator.archive.judged(check, country, now() - LOOK_BACK, ROWS).await?;
    let (incidents, _) = research::page(coordinator, Some(country), research::MAX_PAGE, "").await?;
    Ok(found.iter().map(|stored| row(coordinator, stored, &incidents)).collect())
}

fn row(coordinator: &Coordinator, stored: &StoredMeasurement, incidents: &[Incident]) -> Value {
    let (row, measurement) = (&stored.row, &stored.row.measurement);
    let family = row.asn.map(|asn| coordinator.countries.family(row.country, asn));
    let judgement = stored.judgement.as_ref();
    let mut value = json!({
        "id": measurement.id,
        "parent": measurement.parent,
        "incident": incidents.iter().find(|one| is_about(coordinator, one, row)).map(|one| &one.id),
        "target": measurement.target,
        "operator": family.as_ref().map(|family| &family.name),
        "asn": family.as_ref().map(|family| family.asn),
        "received_at": row.received_at,
        "status": judgement.map(|judgement| judgement.status),
        "layer": judgement.map(|judgement| judgement.layer),
        "rule": judgement.map(|judgement| &judgement.rule),
        "evidence": judgement.map(|judgement| &judgement.evidence),
    });
    if let Some(place) = locate(measurement) {
        value["behind"] = place.behind.map_or(Value::Null, point);
        value["until"] = place.until.map_or(Value::Null, point);
        value["network"] = json!(place.network());
    }
    value
}

/// Writes a hop by its network. A router's address could tell in which city a volunteer's line is gathered in.
fn point(point: PathPoint) -> Value {
    json!({ "hop": point.hop, "responder": point.responder, "asn": point.asn })
}

/// Says whether an incident is the one that was open for this provider and target then.
fn is_about(coordinator: &Coordinator, incident: &Incident, row: &NewMeasurement) -> bool {
    let main = |asn: Asn| coordinator.countries.family(row.country, asn).asn;
    let is_there = row.asn.is_some_and(|asn| incident.asns.iter().any(|own| main(*own) == main(asn)));
    let ended_before = incident.end.is_some_and(|end| end < row.measurement.started_at);
    let is_then = incident.onset <= row.received_at && !ended_before;
    is_there && is_then && incident.targets.contains(&row.measurement.target)
}

fn one_country(query: Asked<CountryQuery>, what: &str) -> Result<CountryCode, ApiError> {
    let country = research::country(&asked(query)?.country)?;
    country.ok_or_else(|| ApiError::Invalid(format!("say which country: /api/v1/{what}?country=PK")))
}
