//! The research gRPC: the same readings as the HTTP side, on the same port.

use super::{ApiError, MatrixState, country_matrix, json_text, tell};
use crate::coordinator::Coordinator;
use faultline_analysis::tell::Audience;
use faultline_model::{Access, CountryCode, Incident, IncidentId, Timestamp};
use faultline_proto::convert::incident_to_wire;
use faultline_proto::research as wire;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};
use tonic::{Request, Response, Status};

pub(super) const DEFAULT_PAGE: usize = 100;
pub(super) const MAX_PAGE: usize = 1000;

/// The researchers' side.
#[derive(Clone)]
pub(super) struct Research(pub(super) Arc<Coordinator>);

#[tonic::async_trait]
impl wire::research_service_server::ResearchService for Research {
    type WatchIncidentsStream = BoxStream<'static, Result<wire::WatchIncidentsResponse, Status>>;

    async fn get_matrix(
        &self,
        request: Request<wire::GetMatrixRequest>,
    ) -> Result<Response<wire::GetMatrixResponse>, Status> {
        let country = country(&request.get_ref().country)?;
        let country = country.ok_or_else(|| ApiError::Invalid("country is missing".into()))?;
        let matrix = country_matrix(&self.0, country);
        let services = matrix.services.into_iter().map(|service| wire::MatrixService {
            id: service.id.to_string(),
            name: service.name,
            category: service.category,
        });
        let rows = matrix.rows.into_iter().map(|row| wire::MatrixRow {
            operator: row.operator,
            asn: row.asn.get(),
            access: if row.access == Access::Mobile { "mobile".to_owned() } else { "fixed".to_owned() },
            user_share: row.user_share,
            agents: row.agents,
            cells: row
                .cells
                .into_iter()
                .map(|cell| wire::MatrixCell {
                    state: state_to_wire(cell.state).into(),
                    since_ms: cell.since.map_or(0, Timestamp::unix_ms),
                    results: cell.results,
                    anomalies: cell.anomalies,
                    mechanism: cell.mechanism,
                    targets: cell.targets.iter().map(ToString::to_string).collect(),
                })
                .collect(),
        });
        Ok(Response::new(wire::GetMatrixResponse {
            country: country.to_string(),
            at_ms: matrix.at.unix_ms(),
            services: services.collect(),
            rows: rows.collect(),
        }))
    }

    async fn list_incidents(
        &self,
        request: Request<wire::ListIncidentsRequest>,
    ) -> Result<Response<wire::ListIncidentsResponse>, Status> {
        let request = request.into_inner();
        let size = usize::try_from(request.page_size).unwrap_or(usize::MAX);
        let (incidents, next) = page(&self.0, country(&request.country)?, size, &request.page_token).await?;
        Ok(Response::new(wire::ListIncidentsResponse {
            incidents: incidents.iter().map(incident_to_wire).collect(),
            next_page_token: next,
        }))
    }

    async fn get_incident(
        &self,
        request: Request<wire::GetIncidentRequest>,
    ) -> Result<Response<wire::GetIncidentResponse>, Status> {
        let incident = one(&self.0, &request.get_ref().id).await?;
        Ok(Response::new(wire::GetIncidentResponse { incident: Some(incident_to_wire(&incident)) }))
    }

    async fn explain_incident(
        &self,
        request: Request<wire::ExplainIncidentRequest>,
    ) -> Result<Response<wire::ExplainIncidentResponse>, Status> {
        let said = tell::explanation(&self.0, &request.get_ref().id, Audience::Public).await?;
        Ok(Response::new(wire::ExplainIncidentResponse { json: json_text(&said)? }))
    }

    async fn compare_network(
        &self,
        request: Request<wire::CompareNetworkRequest>,
    ) -> Result<Response<wire::CompareNetworkResponse>, Status> {
        let request = request.into_inner();
        let said = tell::comparison(&self.0, &request.id, request.asn).await?;
        Ok(Response::new(wire::CompareNetworkResponse { json: json_text(&said)? }))
    }

    async fn write_incident(
        &self,
        request: Request<wire::WriteIncidentRequest>,
    ) -> Result<Response<wire::WriteIncidentResponse>, Status> {
        let request = request.into_inner();
        let written = tell::written(&self.0, &request.id, &request.form).await?;
        Ok(Response::new(wire::WriteIncidentResponse { json: json_text(&written)? }))
    }

    async fn watch_incidents(
        &self,
        request: Request<wire::WatchIncidentsRequest>,
    ) -> Result<Response<Self::WatchIncidentsStream>, Status> {
        let watch = Watch::open(Arc::clone(&self.0), country(&request.get_ref().country)?).await?;
        let messages = watch.into_stream().map(|incident| match incident {
            Ok(incident) => Ok(wire::WatchIncidentsResponse { incident: Some(incident_to_wire(&incident)) }),
            Err(error) => Err(error.into()),
        });
        Ok(Response::new(messages.boxed()))
    }
}

const fn state_to_wire(state: MatrixState) -> wire::CellState {
    match state {
        MatrixState::Ok => wire::CellState::Ok,
        MatrixState::Suspected => wire::CellState::Suspected,
        MatrixState::Blocked => wire::CellState::Blocked,
        MatrixState::PartlyBlocked => wire::CellState::PartlyBlocked,
        MatrixState::Down => wire::CellState::Down,
        MatrixState::Insufficient => wire::CellState::Insufficient,
        MatrixState::NoData => wire::CellState::NoData,
    }
}

/// Reads a country parameter; empty is none.
pub(super) fn country(text: &str) -> Result<Option<CountryCode>, ApiError> {
    if text.is_empty() {
        Ok(None)
    } else {
        text.parse().map(Some).map_err(|e| ApiError::Invalid(format!("country: {e}")))
    }
}

/// Returns one page of incidents and where the next one begins (empty at the end).
pub(super) async fn page(
    coordinator: &Coordinator,
    country: Option<CountryCode>,
    size: usize,
    token: &str,
) -> Result<(Vec<Incident>, String), ApiError> {
    let size = if size == 0 { DEFAULT_PAGE } else { size };
    if size > MAX_PAGE {
        return Err(ApiError::Invalid(format!("page_size is {size}; at most {MAX_PAGE} are given at once")));
    }
    let bad_token = |_| ApiError::Invalid("page_token is none that was given; begin again without it".into());
    let after = if token.is_empty() { None } else { Some(IncidentId::new(token).map_err(bad_token)?) };
    let mut incidents = coordinator.registry.incidents(country, after, size + 1).await?;
    let has_more = incidents.len() > size;
    incidents.truncate(size);
    let next = incidents.last().filter(|_| has_more).map(|last| last.id.to_string()).unwrap_or_default();
    Ok((incidents.into_iter().map(without_agents).collect(), next))
}

/// Returns one incident.
pub(super) async fn one(coordinator: &Coordinator, id: &str) -> Result<Incident, ApiError> {
    let missing =
        || ApiError::NotFound(format!("there is no incident {:?}", id.chars().take(64).collect::<String>()));
    let id = IncidentId::new(id).map_err(|_| missing())?;
    coordinator.registry.incident(id).await?.map(without_agents).ok_or_else(missing)
}

/// Readers never learn who measured.
fn without_agents(mut incident: Incident) -> Incident {
    incident.agents.clear();
    incident
}

/// What is open, then every revision as it is published.
pub(super) struct Watch {
    coordinator: Arc<Coordinator>,
    country: Option<CountryCode>,
    published: broadcast::Receiver<Arc<Incident>>,
    waiting: VecDeque<Incident>,
}

impl Watch {
    pub(super) async fn open(
        coordinator: Arc<Coordinator>,
        country: Option<CountryCode>,
    ) -> Result<Self, ApiError> {
        // Subscribed before reading, so that nothing falls between; what is told twice has the same revision.
        let published = coordinator.published.subscribe();
        let mut watch = Self { coordinator, country, published, waiting: VecDeque::new() };
        watch.catch_up(true).await?;
        Ok(watch)
    }

    async fn catch_up(&mut self, only_open: bool) -> Result<(), ApiError> {
        let mut newest = page(&self.coordinator, self.country, MAX_PAGE, "").await?.0;
        newest.retain(|incident| !only_open || (incident.end.is_none() && !incident.retracted));
        newest.reverse();
        self.waiting.extend(newest);
        Ok(())
    }

    pub(super) async fn next(&mut self) -> Option<Result<Incident, ApiError>> {
        loop {
            if let Some(incident) = self.waiting.pop_front() {
                return Some(Ok(incident));
            }
            let received = tokio::select! {
                () = self.coordinator.stop.cancelled() => return None,
                received = self.published.recv() => received,
            };
            match received {
                Ok(incident) if self.country.is_none_or(|country| country == incident.country) => {
                    return Some(Ok(without_agents(Incident::clone(&incident))));
                }
                Ok(_) => {}
                // A slow reader is told everything anew rather than missing a revision silently.
                Err(RecvError::Lagged(_)) => {
                    if let Err(error) = self.catch_up(false).await {
                        return Some(Err(error));
                    }
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    pub(super) fn into_stream(self) -> BoxStream<'static, Result<Incident, ApiError>> {
        let next = |mut watch: Self| async move { watch.next().await.map(|incident| (incident, watch)) };
        stream::unfold(self, next).boxed()
    }
}
