//! What operators do: push lists, make invites, look at agents and baselines.

use super::{ApiError, notes, tell};
use crate::circumvention;
use crate::coordinator::Coordinator;
use crate::planner;
use crate::{baseline, enrolment, far_ends, ingest};
use faultline_analysis::tell::Audience;
use faultline_model::{CountryCode, Timestamp};
use faultline_proto::convert::{list_from_wire, list_to_wire};
use faultline_proto::operator as wire;
use faultline_runtime::{OperatorRoot, now};
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::{Request, Response, Status};

const MAX_ROOT_BYTES: usize = 16 * 1024;

/// The operators' side.
pub(super) struct Operators(pub(super) Arc<Coordinator>);

#[tonic::async_trait]
impl wire::operator_service_server::OperatorService for Operators {
    async fn push_task_list(
        &self,
        request: Request<wire::PushTaskListRequest>,
    ) -> Result<Response<wire::PushTaskListResponse>, Status> {
        Ok(Response::new(push(&self.0, request.into_inner()).await?))
    }

    async fn get_task_list(
        &self,
        _request: Request<wire::GetTaskListRequest>,
    ) -> Result<Response<wire::GetTaskListResponse>, Status> {
        let list = self.0.lists.newest().map(|kept| list_to_wire(kept.signed.clone()));
        Ok(Response::new(wire::GetTaskListResponse { list }))
    }

    async fn create_invites(
        &self,
        request: Request<wire::CreateInvitesRequest>,
    ) -> Result<Response<wire::CreateInvitesResponse>, Status> {
        let tokens = enrolment::invite(&self.0, request.into_inner()).await?;
        Ok(Response::new(wire::CreateInvitesResponse {
            tokens,
            addresses: self.0.addresses.clone(),
            ca_certificate: self.0.authority.certificate().to_vec(),
        }))
    }

    async fn list_agents(
        &self,
        _request: Request<wire::ListAgentsRequest>,
    ) -> Result<Response<wire::ListAgentsResponse>, Status> {
        let counts: BTreeMap<_, _> =
            self.0.archive.counts().await.map_err(ApiError::Store)?.into_iter().collect();
        let agents = self.0.fleet.views(now()).into_iter().map(|view| {
            let family = view.network.map(|asn| self.0.countries.family(view.record.country, asn).name);
            wire::Agent {
                agent_id: view.record.id.to_string(),
                country: view.record.country.to_string(),
                asn: view.network.map_or(0, faultline_model::Asn::get),
                operator: family.unwrap_or_default(),
                control: view.record.control,
                connected: view.is_connected,
                last_seen_ms: view.record.last_seen.map_or(0, Timestamp::unix_ms),
                measurements: counts.get(&view.record.id).copied().unwrap_or(0),
                agent_version: view.record.agent_version,
                cohort: view.record.cohort,
                list_version: view.list_version,
                paused: view.record.paused,
            }
        });
        Ok(Response::new(wire::ListAgentsResponse { agents: agents.collect() }))
    }

    async fn import_measurements(
        &self,
        request: Request<wire::ImportMeasurementsRequest>,
    ) -> Result<Response<wire::ImportMeasurementsResponse>, Status> {
        Ok(Response::new(ingest::import(&self.0, request.into_inner()).await?))
    }

    async fn get_circumvention(
        &self,
        request: Request<wire::GetCircumventionRequest>,
    ) -> Result<Response<wire::GetCircumventionResponse>, Status> {
        let country = named_country(&request.get_ref().country)?;
        let rows = circumvention::read(&self.0, country, circumvention::Audience::Operators, now()).await;
        let rows = rows.map_err(ApiError::Store)?.into_iter().map(|row| wire::CircumventionRow {
            protocol_class: row.class.to_string(),
            operator: row.operator,
            asn: row.asn.get(),
            passed: row.passed,
            blocked: row.blocked,
            unclear: row.unclear,
            rules: row.rules.into_iter().collect(),
            first_ms: row.first.unix_ms(),
            last_ms: row.last.unix_ms(),
            held_back: row.held_back,
        });
        Ok(Response::new(wire::GetCircumventionResponse { rows: rows.collect() }))
    }

    async fn release_circumvention(
        &self,
        request: Request<wire::ReleaseCircumventionRequest>,
    ) -> Result<Response<wire::ReleaseCircumventionResponse>, Status> {
        let request = request.into_inner();
        let country = named_country(&request.country)?;
        let class = request.protocol_class.parse().map_err(ApiError::Invalid)?;
        let release = circumvention::release(&self.0, country, class, now()).await;
        let until_ms = release.map_err(ApiError::Store)?.until.unix_ms();
        Ok(Response::new(wire::ReleaseCircumventionResponse { until_ms }))
    }

    async fn get_baseline(
        &self,
        _request: Request<wire::GetBaselineRequest>,
    ) -> Result<Response<wire::GetBaselineResponse>, Status> {
        let cells = baseline::quiet_cells(&self.0, now()).await.map_err(ApiError::Store)?;
        let cells = cells.into_iter().map(|cell| wire::BaselineCell {
            target: cell.target.to_string(),
            asn: cell.asn.get(),
            measurements: cell.measurements,
            anomalies: cell.anomalies,
        });
        Ok(Response::new(wire::GetBaselineResponse { cells: cells.collect() }))
    }

    async fn add_note(
        &self,
        request: Request<wire::AddNoteRequest>,
    ) -> Result<Response<wire::AddNoteResponse>, Status> {
        Ok(Response::new(notes::add(&self.0, request.into_inner()).await?))
    }

    async fn list_notes(
        &self,
        request: Request<wire::ListNotesRequest>,
    ) -> Result<Response<wire::ListNotesResponse>, Status> {
        Ok(Response::new(notes::list(&self.0, request.into_inner()).await?))
    }

    async fn withdraw_note(
        &self,
        request: Request<wire::WithdrawNoteRequest>,
    ) -> Result<Response<wire::WithdrawNoteResponse>, Status> {
        Ok(Response::new(notes::withdraw(&self.0, request.into_inner()).await?))
    }

    async fn explain_incident(
        &self,
        request: Request<wire::ExplainIncidentRequest>,
    ) -> Result<Response<wire::ExplainIncidentResponse>, Status> {
        let said = tell::explanation(&self.0, &request.get_ref().id, Audience::Researcher).await?;
        Ok(Response::new(wire::ExplainIncidentResponse { json: super::json_text(&said)? }))
    }
}

fn named_country(text: &str) -> Result<CountryCode, ApiError> {
    text.parse().map_err(|e| ApiError::Invalid(format!("country: {e}")))
}

async fn push(
    coordinator: &Coordinator,
    request: wire::PushTaskListRequest,
) -> Result<wire::PushTaskListResponse, ApiError> {
    let invalid = |field: &str, reason: String| ApiError::Invalid(format!("{field}: {reason}"));
    let list = request.list.ok_or_else(|| invalid("list", "is missing".into()))?;
    let signed = list_from_wire(list).map_err(|e| invalid("list", e.to_string()))?;
    if request.operator_root.len() > MAX_ROOT_BYTES {
        return Err(invalid("operator_root", format!("has more than {MAX_ROOT_BYTES} bytes")));
    }
    let root = OperatorRoot::from_json(&request.operator_root)
        .map_err(|e| invalid("operator_root", e.to_string()))?;
    let list = coordinator.lists.verify(&signed, &root, now())?;
    if let Some(own) = far_ends::find_own(&list, &coordinator.own_hosts()).await {
        return Err(ApiError::Refused(format!(
            "{own} is this coordinator's own host: every home that contacted it would be known by it. Name another host"
        )));
    }
    let costs = planner::costs(coordinator, &list);
    let over: Vec<_> = costs.iter().filter(|cost| !cost.fits).collect();
    if !over.is_empty() && !request.accept_over_budget {
        let rows: Vec<String> = over
            .iter()
            .map(|cost| {
                let kept = f64::from(cost.cell_period_s) / 60.0;
                format!("{} ({} agents): a cell every {kept:.1} minutes at most", cost.operator, cost.agents)
            })
            .collect();
        return Err(ApiError::Refused(format!(
            "the list does not fit the volunteers' budgets: {}. Shorten it, slow it down (cell_period_s), find more \
             volunteers there, or push it with the slower cells accepted",
            rows.join("; ")
        )));
    }
    let version = list.version;
    let targets = list.targets.len();
    coordinator.lists.keep(coordinator.registry.as_ref(), list, signed, root).await?;
    tracing::info!(version, targets, "a task list is in force");
    coordinator.replan.notify_one();
    coordinator.stored.notify_one();
    Ok(wire::PushTaskListResponse { version, costs })
}
