//! Reads the coordinator's research API over the relay's Unix socket.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

const MAX_BYTES: usize = 16 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// Why nothing was read. A coordinator that is being started again causes these for a moment.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nobody answers.
    #[error("connecting to the coordinator's relay")]
    Connect(#[source] std::io::Error),
    /// HTTP failed on the way.
    #[error("asking for {0}")]
    Ask(String, #[source] hyper::Error),
    /// The answer is no success, too long, or no JSON.
    #[error("{0} answers: {1}")]
    Answer(String, String),
}

/// Fetches a JSON document.
///
/// # Errors
/// Says what went wrong; trying again later is sensible.
pub async fn fetch(socket: &Path, path: &str) -> Result<serde_json::Value, ReadError> {
    let late = || ReadError::Answer(path.to_owned(), "nothing in time".into());
    timeout(PATIENCE, fetch_patiently(socket, path)).await.map_err(|_| late())?
}

async fn fetch_patiently(socket: &Path, path: &str) -> Result<serde_json::Value, ReadError> {
    let ask = |source| ReadError::Ask(path.to_owned(), source);
    let answer = |text: String| ReadError::Answer(path.to_owned(), text);
    let stream = UnixStream::connect(socket).await.map_err(ReadError::Connect)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(ask)?;
    let request = Request::get(path)
        .header("host", "127.0.0.1")
        .header("accept", "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|e| answer(e.to_string()))?;
    // The connection is driven only while it is needed; it ends with this call.
    let exchange = async {
        let response = sender.send_request(request).await.map_err(ask)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
        let body = body.map_err(|e| answer(e.to_string()))?.to_bytes();
        if !status.is_success() {
            return Err(answer(format!("{status} {}", String::from_utf8_lossy(&body))));
        }
        serde_json::from_slice(&body).map_err(|e| answer(e.to_string()))
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        result = &mut exchange => result,
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(ask(error)),
        },
    }
}

/// Returns the list under a key, or the document itself when it is a list.
#[must_use]
pub fn list(document: serde_json::Value, key: &str) -> Vec<serde_json::Value> {
    match document {
        serde_json::Value::Array(items) => items,
        serde_json::Value::Object(mut object) => match object.remove(key) {
            Some(serde_json::Value::Array(items)) => items,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
