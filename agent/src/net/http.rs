//! Measured HTTP: one exchange by hyper on a connection that was opened before, bounded in every direction.

use super::Timeline;
use super::meter::Ending;
use super::tasks::{EndTasks, Tasks};
use crate::scrub::Scrubber;
use bytes::Bytes;
use faultline_model::Failure;
use http::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, BufWriter};
use tokio::time::{Instant, timeout_at};
use url::Url;

/// A header block that is longer is not read.
pub(super) const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;
/// HTTP/2 knows no smaller window for a connection.
const CONNECTION_WINDOW: u32 = 65_535;

/// What is gathered before it is written: about what a greeting and a request take.
const GREETING_BYTES: usize = 1024;

/// What ordinary browsers say, so that nothing marks the volunteer's request.
pub(super) const BROWSER: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
const BROWSER_ACCEPT: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// What is asked.
#[derive(Clone, Debug)]
pub struct Ask {
    request: Request<Full<Bytes>>,
    /// At most so many bytes of the body are read.
    body_limit: usize,
    /// The body is timed and not kept.
    is_download: bool,
    /// How much of a body may be under way unread.
    window: u32,
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
        // One byte more tells that there is more.
        let window = u32::try_from(body_limit + 1).unwrap_or(CONNECTION_WINDOW).min(CONNECTION_WINDOW);
        let request = request(Method::GET, url, headers, Bytes::new());
        Self { request, body_limit, is_download: false, window }
    }

    /// Asks for a page as a browser does; its body is timed and not kept, and no more than `window` bytes of it may be
    /// under way.
    #[must_use]
    pub fn download(url: &Url, body_limit: usize, window: u32) -> Self {
        Self { is_download: true, window, ..Self::page(url, body_limit) }
    }

    /// Posts nothing, as programs do that only want to know whether anybody is there.
    #[must_use]
    pub fn post(url: &Url, body_limit: usize) -> Self {
        let request = request(Method::POST, url, HeaderMap::new(), Bytes::new());
        Self { request, body_limit, is_download: false, window: CONNECTION_WINDOW }
    }

    /// Asks a resolver by RFC 8484.
    #[must_use]
    pub fn dns(url: &Url, message: Vec<u8>, body_limit: usize) -> Self {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/dns-message");
        headers.insert(ACCEPT, kind.clone());
        headers.insert(CONTENT_TYPE, kind);
        let request = request(Method::POST, url, headers, message.into());
        Self { request, body_limit, is_download: false, window: CONNECTION_WINDOW }
    }

    /// Returns the request without a body, with its full URL.
    #[must_use]
    pub(super) fn to_bare_request(&self) -> Request<()> {
        self.request.clone().map(|_| ())
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
    /// The protocol's version, empty if no answer came.
    pub version: &'static str,
    /// The beginning of the body; empty for a download.
    pub body: Vec<u8>,
    /// Bytes of the body that were read.
    pub body_bytes: u64,
    /// The body was longer.
    pub is_truncated: bool,
    /// When the body of a download came.
    pub timeline: Timeline,
}

impl Reply {
    /// Takes the volunteer out of the body, before anything is made of it. The head stays: a redirect is followed as it
    /// came, and facts are scrubbed before they are kept.
    pub fn scrub_body(&mut self, scrubber: &Scrubber) {
        if let Cow::Owned(scrubbed) = scrubber.scrub_bytes(&self.body) {
            self.body = scrubbed;
        }
    }

    /// Takes the answer's head.
    pub(super) fn take_head(&mut self, version: &'static str, status: StatusCode, headers: HeaderMap) {
        self.timeline.head(Instant::now());
        self.status = status.as_u16();
        self.headers = headers;
        self.version = version;
    }

    /// Takes a piece of the body; says whether there is room for more.
    pub(super) fn take_data(&mut self, ask: &Limits, data: &[u8]) -> bool {
        let room = ask.body_limit.saturating_sub(usize::try_from(self.body_bytes).unwrap_or(usize::MAX));
        let kept = &data[..data.len().min(room)];
        self.body_bytes += kept.len() as u64;
        if ask.is_download {
            self.timeline.add(kept.len(), Instant::now());
        } else {
            self.body.extend_from_slice(kept);
        }
        self.is_truncated |= data.len() > room;
        !self.is_truncated
    }
}

/// What is read of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    body_limit: usize,
    is_download: bool,
}

impl From<&Ask> for Limits {
    fn from(ask: &Ask) -> Self {
        Self { body_limit: ask.body_limit, is_download: ask.is_download }
    }
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
    reply.timeline.ask(Instant::now());
    let deadline = Instant::now() + deadline;
    let ended = if is_h2 {
        timeout_at(deadline, over_h2(stream, ask, &mut reply)).await
    } else {
        timeout_at(deadline, over_h1(stream, ask, &mut reply)).await
    };
    reply.timeline.end(Instant::now());
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
    let limits = Limits::from(&ask);
    let talk = async {
        let response = sender.send_request(ask.request).await?;
        read(response, &limits, reply).await
    };
    drive(talk, connection).await
}

async fn over_h2<S>(stream: S, ask: Ask, reply: &mut Reply) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let tasks = Tasks::default();
    let _end = EndTasks(tasks.clone());
    let limits = Limits::from(&ask);
    let (mut sender, connection) = http2::Builder::new(tasks)
        // No more may be under way than is going to be read.
        .initial_stream_window_size(ask.window)
        .initial_connection_window_size(ask.window.max(CONNECTION_WINDOW))
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
        // The greeting, the settings and the request leave as one record in one segment, as a browser's do.
        .handshake(TokioIo::new(BufWriter::with_capacity(GREETING_BYTES, stream)))
        .await?;
    let talk = async {
        let response = sender.send_request(ask.request).await?;
        read(response, &limits, reply).await
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

async fn read(response: Response<Incoming>, limits: &Limits, reply: &mut Reply) -> hyper::Result<()> {
    let (parts, mut body) = response.into_parts();
    let version = match parts.version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    reply.take_head(version, parts.status, parts.headers);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if !reply.take_data(limits, &data) {
            return Ok(());
        }
    }
    Ok(())
}
