//! The archive over HTTP: the list of sealed hours, and the public files, whole or in ranges.
//!
//! A sealed file never changes: its hash is its entity tag, and it may be kept for ever.

use super::ApiError;
use crate::coordinator::Coordinator;
use crate::publish::MANIFEST;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use std::sync::Arc;
use tower::ServiceExt;
use tower_http::services::ServeFile;

/// `GET /archive/manifest.jsonl`: one sealed hour a line; see `docs/archive.md`.
pub(super) async fn manifest(State(coordinator): State<Arc<Coordinator>>, request: Request) -> Response {
    let manifest = coordinator.shelf.manifest();
    if manifest.hours.is_empty() {
        return ApiError::NotFound(
            "no hour is sealed yet; the first one is two minutes after its end".into(),
        )
        .into_response();
    }
    let tag = manifest.root().to_owned();
    serve(&coordinator, MANIFEST, ("application/jsonl", &tag, "no-cache"), request).await
}

/// `GET /archive/public/...`: a file that the list names.
pub(super) async fn file(
    State(coordinator): State<Arc<Coordinator>>,
    Path(path): Path<String>,
    request: Request,
) -> Response {
    let path = format!("public/{path}");
    let manifest = coordinator.shelf.manifest();
    // Only what the list names is served, so that no path leads anywhere else.
    let Some(file) = manifest.public(&path) else {
        return ApiError::NotFound("there is no such file; see /archive/manifest.jsonl".into())
            .into_response();
    };
    let kind =
        ("application/vnd.apache.parquet", file.sha256.as_str(), "public, max-age=31536000, immutable");
    serve(&coordinator, &file.path, kind, request).await
}

async fn serve(
    coordinator: &Coordinator,
    name: &str,
    (kind, tag, cache): (&'static str, &str, &'static str),
    mut request: Request,
) -> Response {
    let Ok(tag) = HeaderValue::from_str(&format!("\"{tag}\"")) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if names(request.headers(), &tag) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
    }
    // A range of an older file is a range of nothing: then the whole is sent.
    if request.headers_mut().remove(IF_RANGE).is_some_and(|asked| asked != tag) {
        request.headers_mut().remove(RANGE);
    }
    let Ok(response) = ServeFile::new(coordinator.shelf.path(name)).oneshot(request).await;
    let mut response = response.map(Body::new);
    let headers = response.headers_mut();
    headers.insert(ETAG, tag);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Says whether a reader has this very file already (RFC 9110, 13.1.2).
fn names(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let asked = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = asked.flat_map(|value| value.split(',')).map(|text| text.trim().trim_start_matches("W/"));
    tags.any(|text| text == "*" || tag.to_str().is_ok_and(|own| own == text))
}
