//! `throughput`: the beginning of a URL's body, timed, and right after it the control's through the same line.
//!
//! Both sides go the way of a `web` check (system resolver, one address, TCP, TLS, one request) and are read until the
//! body ends or one of two caps is reached. A cap is no failure: how a download ended is part of its fact. The sides
//! follow each other, because two downloads at once would slow each other. The control is skipped where the
//! target gave no answer: there is nothing to compare then. Which of the two is slow is not said here.

use super::steps::Steps;
use super::way::{Path, Place};
use super::{Check, Job, NotRun, Outcome};
use crate::net::http::{Ask, Reply, exchange};
use crate::net::{Ending, Net, Timeline};
use faultline_model::{DownloadEnd, Fact, Failure, Layer, ThroughputFact};
use futures_util::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

/// Bytes of a body that one side reads: at 300 kbit/s they last seven seconds.
pub const SIDE_BODY_BYTES: usize = 256 * 1024;
/// What the far end may have under way unread. The system keeps about half of it for its own bookkeeping, which leaves
/// more than 2.5 Mbit/s at a round trip of 200 ms, far above what is asked.
const WINDOW: u32 = 128 * 1024;
/// The whole check, whatever its steps do.
const CHECK_DEADLINE: Duration = Duration::from_secs(60);

/// The `throughput` check.
#[derive(Debug)]
pub struct ThroughputCheck {
    net: Arc<Net>,
}

impl ThroughputCheck {
    /// Makes the check over a network.
    #[must_use]
    pub const fn new(net: Arc<Net>) -> Self {
        Self { net }
    }
}

impl Check for ThroughputCheck {
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>> {
        Box::pin(async move {
            let control = job.control.as_ref().ok_or(NotRun::NoControl)?;
            if !control.is_https() || control.host() == job.target.host() {
                return Err(NotRun::NotApplicable);
            }
            let session = self.net.session();
            let steps = Steps::begin();
            let path = Path { session: &session, steps: &steps };
            let sides = async {
                if download(&path, Place::TARGET, &job.target.url()).await.is_some() {
                    download(&path, Place::CONTROL, &control.url()).await;
                }
            };
            if tokio::time::timeout(CHECK_DEADLINE, sides).await.is_err() {
                steps.fail_unfinished(&Failure::Timeout);
            }
            Ok(Outcome { observations: steps.finish(), bytes: session.bytes() })
        })
    }
}

/// Downloads one side; returns nothing if no body was begun.
async fn download(path: &Path<'_>, place: Place, url: &Url) -> Option<()> {
    let (host, port) = (url.domain()?, url.port_or_known_default().unwrap_or_default());
    let address = path.resolve(place, host, port).await?;
    let peer = SocketAddr::new(address, port);
    let stream = path.connect(place, peer, Some(WINDOW)).await?;
    let ending = stream.ending();
    if url.scheme() == "http" {
        return timed(path, (place, peer), url, (stream, false, &ending)).await;
    }
    let (stream, is_h2) = path.secure(place, stream, (host, peer)).await?;
    timed(path, (place, peer), url, (stream, is_h2, &ending)).await
}

/// Asks for the body on a connection that stands, and times it.
async fn timed<S>(
    path: &Path<'_>,
    (place, peer): (Place, SocketAddr),
    url: &Url,
    (stream, is_h2, ending): (S, bool, &Ending),
) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let before = path.session.bytes();
    let begun = path.begin(place, Layer::Http, Some(peer));
    begun.see(Fact::Throughput(ThroughputFact { url: url.to_string(), ..ThroughputFact::default() }));
    let ask = Ask::download(url, SIDE_BODY_BYTES, WINDOW);
    let (reply, ended) = exchange(stream, (is_h2, ending), ask, path.session.deadlines().http).await;
    let (end, failure) = end_of(&reply, ended.err());
    if end == DownloadEnd::BytesCap {
        // What the far end sent until it noticed was perhaps never read here, but it came through the line.
        path.session.count_at_least(before + reply.body_bytes + u64::from(WINDOW));
    }
    begun.end(failure, Fact::Throughput(fact(url, &reply, end)));
    (reply.status != 0).then_some(())
}

/// Tells a cap from a failure: silence after an answer has begun is a slow download.
fn end_of(reply: &Reply, failure: Option<Failure>) -> (DownloadEnd, Option<Failure>) {
    match failure {
        None if reply.is_truncated => (DownloadEnd::BytesCap, None),
        None => (DownloadEnd::Complete, None),
        Some(Failure::Timeout) if reply.status != 0 => (DownloadEnd::TimeCap, None),
        failure => (DownloadEnd::Broken, failure),
    }
}

fn fact(url: &Url, reply: &Reply, end: DownloadEnd) -> ThroughputFact {
    let line = &reply.timeline;
    ThroughputFact {
        url: url.to_string(),
        status: reply.status,
        body_bytes: reply.body_bytes,
        head_ms: millis(line.head_after()),
        body_ms: millis(line.body_took()),
        bin_ms: millis(Timeline::BIN),
        bins: line.bins().to_vec(),
        end,
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
