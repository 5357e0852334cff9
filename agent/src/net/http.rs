//! Measured HTTP: one exchange by hyper on a connection that was opened before, bounded in every direction.

use super::meter::Ending;
use bytes::Bytes;
use faultline_model::Failure;
use http::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use url::Url;

/// A header block that is longer is not read.
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;
/// HTTP/2 knows no smaller window for a connection.
const CONNECTION_WINDOW: u32 = 65_535;

/// What ordinary browsers say, so that nothing marks the volunteer's request.
const BROWSER: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
const BROWSER_ACCEPT: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// What is asked.
#[derive(Clone, Debug)]
pub struct Ask {
    request: Request<Full<Bytes>>,
    /// At most so many bytes of the body are read.
    body_limit: usize,
}

impl Ask {
    /// Asks for a page as a browser does.
    #[must_use]
    pub fn page(url: &Url, body_limit: usize) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(BROWSER));
        headers.insert(ACCEPT, HeaderValue::from_static(BROWSER_ACCEPT));
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("en-US,en;q=0.9"));
        headers.insert(HeaderName::from_static("upgrade-insecure-requests"), HeaderValue::from_static("1"));
        Self { request: request(Method::GET, url, headers, Bytes::new()), body_limit }
    }

    /// Asks a resolver by RFC 8484.
    #[must_use]
    pub fn dns(url: &Url, message: Vec<u8>, body_limit: usize) -> Self {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/dns-message");
        headers.insert(ACCEPT, kind.clone());
        headers.insert(CONTENT_TYPE, kind);
        Self { request: request(Method::POST, url, headers, message.into()), body_limit }
    }
}

fn request(method: Method, url: &Url, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    // A parsed URL is a URI; should the two ever disagree, the site's root is asked for.
    *request.uri_mut() = url.as_str().split('#').next().unwrap_or_default().parse().unwrap_or_default();
    *request.headers_mut() = headers;
    request
}

/// What came back, as far as it came.
#[derive(Debug, Default)]
pub struct Reply {
    /// The status code, 0 if none came.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The beginning of the body.
    pub body: Vec<u8>,
    /// The body was longer.
    pub is_truncated: bool,
}

/// Does one exchange on an open connection and leaves the connection unusable.
///
/// The reply holds what came before the exchange ended, well or not.
pub async fn exchange<S>(
    stream: S,
    (is_h2, ending): (bool, &Ending),
    ask: Ask,
    deadline: Duration,
) -> (Reply, Result<(), Failure>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut reply = Reply::default();
    let deadline = Instant::now() + deadline;
    let ended = if is_h2 {
        timeout_at(deadline, over_h2(stream, ask, &mut reply)).await
    } else {
        timeout_at(deadline, over_h1(stream, ask, &mut reply)).await
    };
    let result = match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failure_of_http(&error, ending)),
        Err(_) => Err(Failure::Timeout),
    };
    (reply, result)
}

/// Hyper's own error says what it could not do; the connection's ending says why.
fn failure_of_http(error: &hyper::Error, ending: &Ending) -> Failure {
    match ending.failure() {
        Some(Failure::Eof) if error.is_parse() => Failure::HttpInvalidResponse,
        Some(failure) => failure,
        None if error.is_incomplete_message() => Failure::Eof,
        None => Failure::HttpInvalidResponse,
    }
}

async fn over_h1<S>(stream: S, mut ask: Ask, reply: &mut Reply) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES)
        .title_case_headers(true)
        .handshake(TokioIo::new(stream))
        .await?;
    let uri = ask.request.uri().clone();
    if let Some(host) = uri.authority().and_then(|name| HeaderValue::from_str(name.as_str()).ok()) {
        // First in the map is first on the wire.
        let mut headers = HeaderMap::from_iter([(HOST, host)]);
        headers.extend(std::mem::take(ask.request.headers_mut()));
        *ask.request.headers_mut() = headers;
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *ask.request.uri_mut() = path.parse().unwrap_or_default();
    let talk = async {
        let response = sender.send_request(ask.request).await?;
        read(response, ask.body_limit, reply).await
    };
    drive(talk, connection).await
}

async fn over_h2<S>(stream: S, ask: Ask, reply: &mut Reply) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let tasks = Tasks::default();
    let _end = EndTasks(tasks.clone());
    let window = u32::try_from(ask.body_limit).unwrap_or(CONNECTION_WINDOW).min(CONNECTION_WINDOW);
    let (mut sender, connection) = http2::Builder::new(tasks)
        // No more may be under way than is going to be read.
        .initial_stream_window_size(window)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
        .handshake(TokioIo::new(stream))
        .await?;
    let talk = async {
        let response = sender.send_request(ask.request).await?;
        read(response, ask.body_limit, reply).await
    };
    drive(talk, connection).await
}

/// Drives a connection for as long as the talk on it lasts. The connection may end first: what it has read is still
/// handed to the talk.
async fn drive<T, C>(talk: T, connection: C) -> hyper::Result<()>
where
    T: Future<Output = hyper::Result<()>>,
    C: Future<Output = hyper::Result<()>>,
{
    let (mut talk, connection) = (pin!(talk), pin!(connection));
    tokio::select! {
        biased;
        ended = &mut talk => return ended,
        _ = connection => {}
    }
    talk.await
}

async fn read(response: Response<Incoming>, limit: usize, reply: &mut Reply) -> hyper::Result<()> {
    let (parts, mut body) = response.into_parts();
    reply.status = parts.status.as_u16();
    reply.headers = parts.headers;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = limit - reply.body.len();
        reply.body.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            reply.is_truncated = true;
            return Ok(());
        }
    }
    Ok(())
}

/// The tasks of one HTTP/2 connection, which end with it.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(future);
    }
}

/// The tasks hold the set that holds them, so somebody outside has to end them.
struct EndTasks(Tasks);

impl Drop for EndTasks {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}
