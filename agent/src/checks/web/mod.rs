//! `web`: DNS, TCP, TLS and HTTP to a URL, step by step, ending at the first layer that fails.
//!
//! One step is one observation and fails exactly once. The path is that of an ordinary program: the system's resolver,
//! one of its answers, TLS, one request. A full check asks a public resolver over UDP and HTTPS beside it and follows
//! redirects, each hop measured like the target. A light check asks the public resolver only when the path failed,
//! under a short deadline, so that a reset is reported within a second together with the evidence on its address.

mod redirect;

use super::page;
use super::steps::Steps;
use super::way::{OPINION_DEADLINE, Path, Place};
use super::{Check, Job, NotRun, Outcome};
use crate::net::http::{Ask, Reply, exchange};
use crate::net::{Ending, Net, Purpose};
use faultline_model::{Depth, Fact, Failure, HttpFact, Layer};
use futures_util::future::BoxFuture;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

/// The whole check, whatever its steps do.
const CHECK_DEADLINE: Duration = Duration::from_secs(45);
const MAX_REDIRECTS: u8 = 10;

/// The `web` check.
#[derive(Debug)]
pub struct WebCheck {
    net: Arc<Net>,
}

impl WebCheck {
    /// Makes the check over a network.
    #[must_use]
    pub const fn new(net: Arc<Net>) -> Self {
        Self { net }
    }
}

impl Check for WebCheck {
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>> {
        Box::pin(async move {
            let session = self.net.session();
            let steps = Steps::begin();
            let run = Run { path: Path { session: &session, steps: &steps }, job: &job };
            if tokio::time::timeout(CHECK_DEADLINE, run.whole()).await.is_err() {
                steps.fail_unfinished(&Failure::Timeout);
            }
            Ok(Outcome { observations: steps.finish(), bytes: session.bytes() })
        })
    }
}

/// How a hop ended.
enum HopEnd {
    Done,
    Failed,
    Redirect(Url),
}

struct Run<'a> {
    path: Path<'a>,
    job: &'a Job,
}

impl Run<'_> {
    async fn whole(&self) {
        let url = self.job.target.url();
        let cut = CancellationToken::new();
        match (&self.job.resolver, self.job.depth, url.host_str()) {
            (Some(resolver), Depth::Full, Some(host)) => {
                let mut opinions = pin!(self.path.ask_opinions(resolver, host, 0, &cut));
                let mut path = pin!(self.follow_path(url.clone()));
                let is_done = tokio::select! {
                    biased;
                    failed_at = &mut path => {
                        self.after_failure(failed_at.filter(|(hop, _)| *hop > 0)).await;
                        false
                    }
                    () = &mut opinions => true,
                };
                if is_done {
                    let failed_at = path.await;
                    self.after_failure(failed_at.filter(|(hop, _)| *hop > 0)).await;
                } else if tokio::time::timeout(OPINION_DEADLINE, &mut opinions).await.is_err() {
                    cut.cancel();
                    opinions.await;
                }
            }
            _ => {
                let failed_at = self.follow_path(url).await;
                self.after_failure(failed_at).await;
            }
        }
    }

    /// Asks for second opinions on the name at which the path failed.
    async fn after_failure(&self, failed_at: Option<(u8, String)>) {
        let (Some((hop, host)), Some(resolver)) = (failed_at, &self.job.resolver) else { return };
        self.path.ask_after_failure(resolver, &host, hop).await;
    }

    /// Goes the path with its redirects; returns the hop and the name at which it failed, if that has a name.
    async fn follow_path(&self, mut url: Url) -> Option<(u8, String)> {
        let mut hop = 0;
        loop {
            match self.hop(hop, &url).await {
                HopEnd::Done => return None,
                HopEnd::Failed => return url.domain().map(|host| (hop, host.to_owned())),
                HopEnd::Redirect(next) if hop < MAX_REDIRECTS => {
                    hop += 1;
                    url = next;
                }
                HopEnd::Redirect(next) => {
                    let fact = HttpFact { url: next.into(), ..HttpFact::default() };
                    let begun = self.path.begin(Place::hop(hop + 1), Layer::Http, None);
                    begun.end(Some(Failure::TooManyRedirects), Fact::Http(fact));
                    return None;
                }
            }
        }
    }

    async fn hop(&self, hop: u8, url: &Url) -> HopEnd {
        let place = Place::hop(hop);
        let port = url.port_or_known_default().unwrap_or_default();
        let address = match url.host() {
            Some(Host::Domain(host)) => match self.path.resolve(place, host, port).await {
                Some(address) => address,
                None => return HopEnd::Failed,
            },
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            None => return HopEnd::Failed,
        };
        let peer = SocketAddr::new(address, port);
        let Some(stream) = self.path.connect(place, peer, None).await else { return HopEnd::Failed };
        let ending = stream.ending();
        if url.scheme() == "http" {
            return self.request(hop, peer, url, self.exchange(stream, (false, &ending), url)).await;
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        match self.path.secure(place, stream, (host, peer)).await {
            Some((stream, is_h2)) => {
                self.request(hop, peer, url, self.exchange(stream, (is_h2, &ending), url)).await
            }
            None => HopEnd::Failed,
        }
    }

    async fn exchange<S>(
        &self,
        stream: S,
        (is_h2, ending): (bool, &Ending),
        url: &Url,
    ) -> (Reply, Result<(), Failure>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let deadline = self.path.session.deadlines().http;
        let ask = Ask::page(url, page::body_limit(self.job.depth));
        exchange(stream, (is_h2, ending), ask, deadline).await
    }

    /// Records an HTTP exchange and finds where it leads.
    async fn request(
        &self,
        hop: u8,
        peer: SocketAddr,
        url: &Url,
        exchange: impl Future<Output = (Reply, Result<(), Failure>)>,
    ) -> HopEnd {
        let begun = self.path.begin(Place::hop(hop), Layer::Http, Some(peer));
        begun.see(Fact::Http(HttpFact { url: url.to_string(), ..HttpFact::default() }));
        let (reply, ended) = exchange.await;
        let location = page::location(&reply);
        let has_failed = ended.is_err();
        begun.end(ended.err(), Fact::Http(page::fact(url, &reply)));
        match location {
            _ if has_failed => HopEnd::Failed,
            Some(location) if self.job.depth == Depth::Full => self.follow(hop, url, &location),
            _ => HopEnd::Done,
        }
    }

    /// Goes where a redirect points, or records why it never goes there.
    fn follow(&self, hop: u8, url: &Url, location: &str) -> HopEnd {
        let denied = |peer| !self.path.session.permits(peer, Purpose::Site);
        match redirect::destination(url, location, denied) {
            Ok(next) => HopEnd::Redirect(next),
            Err(failure) => {
                let url = page::bounded(location, page::MAX_LOCATION_CHARS, page::MAX_LOCATION_BYTES);
                let begun = self.path.begin(Place::hop(hop + 1), Layer::Http, None);
                begun.end(Some(failure), Fact::Http(HttpFact { url, ..HttpFact::default() }));
                HopEnd::Done
            }
        }
    }
}
