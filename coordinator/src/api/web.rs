//! The readers' side: plain HTTP/1 and HTTP/2, read only. The live page, JSON, and the research gRPC on one port.

use super::research::{self, Research, Watch};
use super::{ApiError, apart, archive, country_matrix, notes, tell};
use crate::coordinator::Coordinator;
use crate::dashboard;
use axum::extract::{Path, Query, State};
use axum::http::HeaderValue;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use faultline_analysis::tell::Audience;
use faultline_proto::research::research_service_server::ResearchServiceServer;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Readers beyond this number wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 1024;
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);
/// Nothing but this page's own style and script, no frame around it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves readers until asked to stop.
pub(crate) async fn serve_web(
    coordinator: Arc<Coordinator>,
    listener: TcpListener,
) -> Result<(), Infallible> {
    let stop = coordinator.stop.clone();
    let service = TowerToHyperService::new(router(coordinator));
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            continue;
        };
        // A small answer must not wait for the one before it.
        let _ = socket.set_nodelay(true);
        let (service, stop) = (service.clone(), stop.clone());
        connections.spawn(async move {
            let _permit = permit;
            let server = server();
            let connection = server.serve_connection(TokioIo::new(socket), service);
            tokio::pin!(connection);
            tokio::select! {
                // A reader's broken connection is the reader's affair.
                _ = connection.as_mut() => return,
                () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        });
    }
    while connections.join_next().await.is_some() {}
    Ok(())
}

fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE).max_buf_size(64 * 1024);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(32)
        .max_header_list_size(16 * 1024)
        .keep_alive_interval(Duration::from_secs(60))
        .keep_alive_timeout(Duration::from_secs(20));
    server
}

fn router(coordinator: Arc<Coordinator>) -> Router {
    let research =
        ResearchServiceServer::new(Research(Arc::clone(&coordinator))).max_decoding_message_size(16 * 1024);
    let grpc = tonic::service::Routes::new(research).into_axum_router();
    Router::new()
        .route("/", get(page))
        .route("/assets/style.css", get(|| async { asset("text/css; charset=utf-8", dashboard::STYLE) }))
        .route(
            "/assets/live.js",
            get(|| async { asset("text/javascript; charset=utf-8", dashboard::SCRIPT) }),
        )
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/api/v1/matrix", get(matrix))
        .route("/api/v1/incidents", get(incidents))
        .route("/api/v1/incidents/{id}", get(incident))
        .route("/api/v1/circumvention", get(apart::circumvention))
        .route("/api/v1/diagnoses", get(apart::diagnoses))
        .route("/api/v1/paths", get(apart::paths))
        .route("/api/v1/incidents/{id}/explain", get(explain))
        .route("/api/v1/incidents/{id}/compare", get(compare))
        .route("/api/v1/incidents/{id}/as/{form}", get(written))
        .route("/api/v1/calendar", get(calendar))
        .route("/api/v1/watch", get(watch))
        .route("/archive/manifest.jsonl", get(archive::manifest))
        .route("/archive/public/{*path}", get(archive::file))
        .fallback(|| async { ApiError::NotFound("there is nothing here; see /api/v1/incidents".into()) })
        .with_state(coordinator)
        .merge(grpc.reset_fallback())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CountryQuery {
    #[serde(default)]
    pub(super) country: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    #[serde(default)]
    country: String,
    #[serde(default)]
    page_size: usize,
    #[serde(default)]
    page_token: String,
}

pub(super) type Asked<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

pub(super) fn asked<T>(query: Asked<T>) -> Result<T, ApiError> {
    query.map(|Query(query)| query).map_err(|e| ApiError::Invalid(e.body_text()))
}

async fn page(
    State(coordinator): State<Arc<Coordinator>>,
    query: Asked<CountryQuery>,
) -> Result<Response, ApiError> {
    let country = research::country(&asked(query)?.country)?;
    let html = dashboard::page(&coordinator, country).await?;
    let mut response = html.into_string().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "max-age=300"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, text).into_response()
}

async fn matrix(
    State(coordinator): State<Arc<Coordinator>>,
    query: Asked<CountryQuery>,
) -> Result<Response, ApiError> {
    let country = research::country(&asked(query)?.country)?;
    let country =
        country.ok_or_else(|| ApiError::Invalid("say which country: /api/v1/matrix?country=PK".into()))?;
    Ok(Json(country_matrix(&coordinator, country)).into_response())
}

async fn incidents(
    State(coordinator): State<Arc<Coordinator>>,
    query: Asked<PageQuery>,
) -> Result<Response, ApiError> {
    let query = asked(query)?;
    let country = research::country(&query.country)?;
    let (incidents, next) = research::page(&coordinator, country, query.page_size, &query.page_token).await?;
    let next = if next.is_empty() { serde_json::Value::Null } else { next.into() };
    Ok(Json(serde_json::json!({ "incidents": incidents, "next_page_token": next })).into_response())
}

async fn incident(
    State(coordinator): State<Arc<Coordinator>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    Ok(Json(research::one(&coordinator, &id).await?).into_response())
}

async fn explain(
    State(coordinator): State<Arc<Coordinator>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    Ok(Json(tell::explanation(&coordinator, &id, Audience::Public).await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkQuery {
    asn: u32,
}

async fn compare(
    State(coordinator): State<Arc<Coordinator>>,
    Path(id): Path<String>,
    query: Asked<NetworkQuery>,
) -> Result<Response, ApiError> {
    Ok(Json(tell::comparison(&coordinator, &id, asked(query)?.asn).await?).into_response())
}

async fn written(
    State(coordinator): State<Arc<Coordinator>>,
    Path((id, form)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    Ok(Json(tell::written(&coordinator, &id, &form).await?).into_response())
}

async fn calendar(
    State(coordinator): State<Arc<Coordinator>>,
    query: Asked<CountryQuery>,
) -> Result<Response, ApiError> {
    let country = research::country(&asked(query)?.country)?;
    let country =
        country.ok_or_else(|| ApiError::Invalid("say which country: /api/v1/calendar?country=PK".into()))?;
    let events = notes::calendar(&coordinator, country).await?;
    Ok(Json(serde_json::json!({ "events": events })).into_response())
}

/// Server-sent events: `incident` with the incident's JSON, and `matrix` (without data) when cells were looked at anew.
async fn watch(
    State(coordinator): State<Arc<Coordinator>>,
    query: Asked<CountryQuery>,
) -> Result<Response, ApiError> {
    let country = research::country(&asked(query)?.country)?;
    let views = coordinator.view.subscribe();
    let stop = coordinator.stop.clone();
    let incidents = Watch::open(coordinator, country).await?.into_stream().filter_map(|incident| async {
        let incident = incident.ok()?;
        Event::default()
            .event("incident")
            .id(format!("{}.{}", incident.id, incident.revision))
            .json_data(incident)
            .ok()
    });
    let views = stream::unfold(views, |mut views| async move {
        views.changed().await.ok()?;
        Some((Event::default().event("matrix").data("changed"), views))
    });
    let events: BoxStream<'static, Result<Event, Infallible>> =
        stream::select(incidents.boxed(), views.boxed()).take_until(stop.cancelled_owned()).map(Ok).boxed();
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}
