//! `quic`: DNS, a QUIC handshake and one HTTP/3 request to an `https` URL, ending at the first step that fails.
//!
//! The target is asked for at UDP port 443 of its own name, whether or not it announces HTTP/3 by `Alt-Svc`: what
//! is measured is the way there, and whether a site serves HTTP/3 at all is known from the controls. Redirects are
//! recorded and not followed: the hop after one belongs to `web`. When a step fails, the list's public resolver is asked
//! for the name as in a light `web` check.

use super::page;
use super::steps::Steps;
use super::way::{Path, Place};
use super::{Check, Job, NotRun, Outcome};
use crate::net::http::Ask;
use crate::net::{Net, quic};
use faultline_model::{Fact, Failure, HttpFact, Layer, QuicFact};
use futures_util::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The whole check, whatever its steps do.
const CHECK_DEADLINE: Duration = Duration::from_secs(30);

/// The `quic` check.
#[derive(Debug)]
pub struct QuicCheck {
    net: Arc<Net>,
}

impl QuicCheck {
    /// Makes the check over a network.
    #[must_use]
    pub const fn new(net: Arc<Net>) -> Self {
        Self { net }
    }
}

impl Check for QuicCheck {
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>> {
        Box::pin(async move {
            let url = job.target.url();
            let host = url.domain().filter(|_| url.scheme() == "https").ok_or(NotRun::NotApplicable)?;
            let session = self.net.session();
            let steps = Steps::begin();
            let path = Path { session: &session, steps: &steps };
            let whole = async {
                if go(&path, &job, &url, host).await.is_none()
                    && let Some(resolver) = &job.resolver
                {
                    path.ask_after_failure(resolver, host, 0).await;
                }
            };
            if tokio::time::timeout(CHECK_DEADLINE, whole).await.is_err() {
                steps.fail_unfinished(&Failure::Timeout);
            }
            Ok(Outcome { observations: steps.finish(), bytes: session.bytes() })
        })
    }
}

/// Goes the whole way; returns nothing if a step failed.
async fn go(path: &Path<'_>, job: &Job, url: &Url, host: &str) -> Option<()> {
    let port = url.port_or_known_default().unwrap_or_default();
    let address = path.resolve(Place::TARGET, host, port).await?;
    let peer = SocketAddr::new(address, port);
    let body_limit = page::body_limit(job.depth, url);
    let window = u32::try_from(body_limit).unwrap_or(u32::MAX);

    let begun = path.begin(Place::TARGET, Layer::Quic, Some(peer));
    begun.see(Fact::Quic(QuicFact { server_name: host.to_owned(), ..QuicFact::default() }));
    let (fact, shaken) = quic::handshake(path.session, peer, host, window).await;
    begun.end(shaken.as_ref().err().cloned(), Fact::Quic(fact));
    let connection = shaken.ok()?;

    let begun = path.begin(Place::TARGET, Layer::Http, Some(peer));
    begun.see(Fact::Http(HttpFact { url: url.to_string(), ..HttpFact::default() }));
    let ask = Ask::page(url, body_limit);
    let (mut reply, ended) = quic::exchange(&connection, ask, path.session.deadlines().http).await;
    reply.scrub_body(&path.session.scrubber());
    let has_succeeded = ended.is_ok();
    begun.end(ended.err(), Fact::Http(page::fact(url, &reply)));
    connection.close().await;
    has_succeeded.then_some(())
}
