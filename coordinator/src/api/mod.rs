//! What the outside may ask: gRPC over mutual TLS for agents and operators ([`door`]), plain HTTP for readers
//! (`web`). Errors become statuses in one place per API, here.

mod agent;
mod apart;
mod archive;
pub mod door;
mod matrix;
mod notes;
mod operator;
mod peer;
mod research;
mod tell;
mod web;

pub(crate) use agent::CONFIRMATION_VALID_MS;
pub(crate) use door::Door;
#[cfg(test)]
pub(crate) use matrix::MatrixService;
pub(crate) use matrix::{Matrix, MatrixCell, MatrixRow, MatrixState, country_matrix};
pub(crate) use web::serve_web;

use crate::coordinator::Coordinator;
use crate::lists::PushError;
use crate::store::StoreError;
use axum::Json;
use axum::response::{IntoResponse, Response};
use faultline_proto::agent::agent_service_server::AgentServiceServer;
use faultline_proto::agent::enrolment_service_server::EnrolmentServiceServer;
use faultline_proto::operator::operator_service_server::OperatorServiceServer;
use faultline_runtime::tls::PeerRole;
use http::StatusCode;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;
use tonic::{Code, Status};

/// An upload holds at most 50 measurements of some kilobytes.
const MAX_UPLOAD_BYTES: usize = 256 * 1024;
/// A list document may have a megabyte; signatures and framing come on top.
const MAX_PUSH_BYTES: usize = 1536 * 1024;
const MAX_ENROL_BYTES: usize = 16 * 1024;
/// tonic sets no limit by default, which removes hyper's own. One agent needs two.
const MAX_STREAMS: u32 = 16;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a call fails, in the words of its caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The request does not hold what it must.
    #[error("{0}")]
    Invalid(String),
    /// The caller did not show a certificate, or one that nobody knows.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The caller's role does not allow the call.
    #[error("this call needs the role {0}; the client certificate shows another")]
    Role(&'static str),
    /// Nobody learns why an invite is refused.
    #[error("the invite is not valid: unknown, used or expired; ask the operator for a new one")]
    InviteRefused,
    /// The state of things does not allow it; the text says what to do.
    #[error("{0}")]
    Refused(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The store failed: nothing was acknowledged, try again later.
    #[error("the store cannot take this now; try again later")]
    Store(#[from] StoreError),
}

impl From<PushError> for ApiError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Store(error) => Self::Store(error),
            PushError::Signing(cause) => match cause.source() {
                Some(deeper) => Self::Refused(format!("{cause}: {deeper} ({})", cause.reason())),
                None => Self::Refused(format!("{cause} ({})", cause.reason())),
            },
            PushError::OtherRoot => Self::Refused(PushError::OtherRoot.to_string()),
        }
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let code = match &error {
            ApiError::Invalid(_) => Code::InvalidArgument,
            ApiError::Unauthenticated(_) => Code::Unauthenticated,
            ApiError::Role(_) | ApiError::InviteRefused => Code::PermissionDenied,
            ApiError::Refused(_) => Code::FailedPrecondition,
            ApiError::NotFound(_) => Code::NotFound,
            ApiError::Store(cause) => {
                log_store_error(cause);
                Code::Unavailable
            }
        };
        Self::new(code, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = match &self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Role(_) | Self::InviteRefused => StatusCode::FORBIDDEN,
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Store(cause) => {
                log_store_error(cause);
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        (code, Json(serde_json::json!({ "error": self.to_string() }))).into_response()
    }
}

/// Writes an answer for a message that carries JSON.
fn json_text<T: serde::Serialize>(value: &T) -> Result<String, ApiError> {
    serde_json::to_string(value).map_err(|e| ApiError::Refused(format!("the answer cannot be written: {e}")))
}

fn log_store_error(error: &StoreError) {
    let cause = error.source().map(ToString::to_string);
    tracing::error!(%error, cause, "the store failed");
}

/// Serves agents and operators until asked to stop.
pub(crate) async fn serve_grpc(
    coordinator: Arc<Coordinator>,
    door: Door,
) -> Result<(), tonic::transport::Error> {
    let stop = coordinator.stop.clone();
    let enrolment = EnrolmentServiceServer::new(agent::Enrolments(Arc::clone(&coordinator)))
        .max_decoding_message_size(MAX_ENROL_BYTES);
    let agents = AgentServiceServer::new(agent::Agents(Arc::clone(&coordinator)))
        .max_decoding_message_size(MAX_UPLOAD_BYTES);
    let operators = OperatorServiceServer::new(operator::Operators(Arc::clone(&coordinator)))
        .max_decoding_message_size(MAX_PUSH_BYTES);
    tonic::transport::Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_adaptive_window(Some(false))
        .http2_max_header_list_size(16 * 1024)
        .http2_max_pending_accept_reset_streams(Some(20))
        .timeout(CALL_TIMEOUT)
        .add_service(enrolment)
        .add_service(InterceptedService::new(agents, peer::only(PeerRole::Agent)))
        .add_service(InterceptedService::new(operators, peer::only(PeerRole::Operator)))
        .serve_with_incoming_shutdown(door.into_stream(), async move { stop.cancelled().await })
        .await
}
