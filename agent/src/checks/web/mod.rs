//! `web`: DNS, TCP, TLS and HTTP to a URL, step by step, ending at the first layer that fails.
//!
//! One step is one observation and fails exactly once. The path is that of an ordinary program: the system's resolver,
//! one of its answers, TLS, one request. A light check asks the public resolver only when the path failed, under a short
//! deadline, so that a reset is reported within a second together with the evidence on its address.
//!
//! A full check is thorough: it asks every resolver that it knows beside the path and listens for late and double
//! answers, connects to further addresses of both families, follows redirects, each hop measured like the target, keeps
//! the body of a page that looks wrong, and where the path failed, connects to an address that only a public resolver
//! gave.

mod addresses;
mod redirect;

use super::opinions::{Opinions, Others};
use super::page;
use super::steps::Steps;
use super::way::{Path, Place};
use super::{Check, Job, NotRun, Outcome};
use crate::net::http::{Ask, Reply, exchange};
use crate::net::tls::MeasuredTls;
use crate::net::{Ending, Metered, Net, Purpose};
use faultline_model::{Depth, Engine, Fact, Failure, HttpFact, Layer};
use futures_util::future::{BoxFuture, join, join_all};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use url::{Host, Url};

/// The whole check, whatever its steps do.
const CHECK_DEADLINE: Duration = Duration::from_secs(45);
const MAX_REDIRECTS: u8 = 10;
/// Addresses beside the first to which a full check also shakes hands; a handshake costs some kilobytes, and whether an
/// address can be connected to at all is known without it.
const HANDSHAKES_BESIDE: usize = 1;
/// No further redirect is followed once a check has cost this much: one more hop would break its bound of 60 KB.
const ENOUGH_BYTES: u64 = 42_000;
/// A chain that is left for its cost after fewer redirects may well have an end; a longer one counts as endless.
const FEW_REDIRECTS: u8 = 5;

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
            let path = Path { session: &session, steps: &steps };
            let run = Run { path, job: &job, turn: rand::random() };
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

/// Where the path failed.
struct Failed {
    hop: u8,
    url: Url,
    /// The addresses that the system's resolver gave.
    addresses: Vec<IpAddr>,
}

/// A connection that a page can be asked for on.
struct Open {
    peer: SocketAddr,
    ending: Ending,
    stream: Stream,
}

enum Stream {
    Plain(Metered<TcpStream>),
    Secure(Box<MeasuredTls>, bool),
}

struct Run<'a> {
    path: Path<'a>,
    job: &'a Job,
    /// Which of many addresses have their turn.
    turn: u64,
}

impl Run<'_> {
    async fn whole(&self) {
        let url = self.job.target.url();
        if self.job.depth == Depth::Light {
            if let Some(failed) = self.follow_path(url).await
                && let (Some(host), Some(resolver)) = (failed.url.domain(), &self.job.resolver)
            {
                self.path.ask_after_failure(resolver, host, failed.hop).await;
            }
            return;
        }
        let path = self.follow_path(url.clone());
        let (opinions, failed) = match url.domain() {
            Some(host) => self.path.ask_beside(self.others(), (host, 0), path).await,
            None => (vec![], path.await),
        };
        let Some(failed) = failed else { return };
        let opinions = match failed.url.domain() {
            Some(host) if failed.hop > 0 => {
                self.path.ask_beside(self.others(), (host, failed.hop), async {}).await.0
            }
            _ => opinions,
        };
        self.try_other_address(&failed, &opinions).await;
    }

    fn others(&self) -> Others<'_> {
        Others { resolver: self.job.resolver.as_ref(), is_thorough: true }
    }

    /// Connects to an address that only a public resolver gave: does the site answer there?
    async fn try_other_address(&self, failed: &Failed, opinions: &Opinions) {
        let port = failed.url.port_or_known_default().unwrap_or_default();
        let is_other = |(_, address): &&(Engine, IpAddr)| {
            let peer = SocketAddr::new(*address, port);
            !failed.addresses.contains(address) && self.path.session.permits(peer, Purpose::Site)
        };
        let Some((engine, address)) = opinions.iter().find(is_other) else { return };
        let place = Place { engine: *engine, hop: failed.hop };
        self.open(place, &failed.url, SocketAddr::new(*address, port)).await;
    }

    /// Goes the path with its redirects; returns where it failed.
    async fn follow_path(&self, mut url: Url) -> Option<Failed> {
        let mut hop = 0;
        loop {
            let (addresses, end) = self.hop(hop, &url).await;
            match end {
                HopEnd::Done => return None,
                HopEnd::Failed => return Some(Failed { hop, url, addresses }),
                HopEnd::Redirect(_) if self.is_dear() && hop < FEW_REDIRECTS => return None,
                HopEnd::Redirect(next) if hop < MAX_REDIRECTS && !self.is_dear() => {
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

    fn is_dear(&self) -> bool {
        self.path.session.bytes() > ENOUGH_BYTES
    }

    /// Goes one hop; returns its usable addresses, and how it ended.
    async fn hop(&self, hop: u8, url: &Url) -> (Vec<IpAddr>, HopEnd) {
        let port = url.port_or_known_default().unwrap_or_default();
        let usable = match url.host() {
            Some(Host::Domain(host)) => {
                self.path.resolve_all(Place::hop(hop), (host, port), Purpose::Site).await
            }
            Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
            Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
            None => vec![],
        };
        let is_thorough = self.job.depth == Depth::Full && hop == 0;
        let turn = if is_thorough { self.turn } else { 0 };
        let chosen = addresses::choose(&usable, turn);
        let Some((first, others)) = chosen.split_first() else { return (usable, HopEnd::Failed) };
        let first = SocketAddr::new(*first, port);
        let end = if is_thorough {
            let others = others.iter().map(|address| SocketAddr::new(*address, port)).collect();
            self.fetch_thoroughly(url, first, others).await
        } else {
            match self.open(Place::hop(hop), url, first).await {
                Some(open) => self.fetch(hop, url, open).await,
                None => HopEnd::Failed,
            }
        };
        (usable, end)
    }

    /// Fetches the target's page over the first address, or over another if that one fails. The others are tried in
    /// any case: each is a fact of its own.
    async fn fetch_thoroughly(&self, url: &Url, first: SocketAddr, others: Vec<SocketAddr>) -> HopEnd {
        let place = Place::TARGET;
        let beside =
            join_all(others.into_iter().enumerate().map(async |(index, peer): (usize, SocketAddr)| {
                // On a line without IPv6 there is nothing to be learned from its absence.
                if peer.is_ipv6() && !self.path.session.has_route(peer).await {
                    return None;
                }
                if index < HANDSHAKES_BESIDE {
                    return self.open(place, url, peer).await;
                }
                self.path.connect(place, peer, None).await;
                None
            }));
        let page = async {
            match self.open(place, url, first).await {
                Some(open) => Some(self.fetch(0, url, open).await),
                None => None,
            }
        };
        // In this order: a failure elsewhere is made good by the first address's later success.
        let (beside, page) = join(beside, page).await;
        match (page, beside.into_iter().flatten().next()) {
            (Some(end), _) => end,
            (None, Some(open)) => self.fetch(0, url, open).await,
            (None, None) => HopEnd::Failed,
        }
    }

    /// Connects to an address and shakes hands as the URL asks for.
    async fn open(&self, place: Place, url: &Url, peer: SocketAddr) -> Option<Open> {
        let stream = self.path.connect(place, peer, None).await?;
        let ending = stream.ending();
        if url.scheme() == "http" {
            return Some(Open { peer, ending, stream: Stream::Plain(stream) });
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let (stream, is_h2) = self.path.secure(place, stream, (host, peer)).await?;
        Some(Open { peer, ending, stream: Stream::Secure(Box::new(stream), is_h2) })
    }

    async fn fetch(&self, hop: u8, url: &Url, open: Open) -> HopEnd {
        let Open { peer, ending, stream } = open;
        match stream {
            Stream::Plain(stream) => {
                self.request(hop, peer, url, self.exchange(stream, (false, &ending), url)).await
            }
            Stream::Secure(stream, is_h2) => {
                self.request(hop, peer, url, self.exchange(stream, (is_h2, &ending), url)).await
            }
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
        let ask = Ask::page(url, page::body_limit(self.job.depth, url));
        let (mut reply, ended) = exchange(stream, (is_h2, ending), ask, deadline).await;
        reply.scrub_body(&self.path.session.scrubber());
        (reply, ended)
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
        let fact = match self.job.depth {
            Depth::Light => page::fact(url, &reply),
            Depth::Full => page::thorough_fact(url, &reply),
        };
        begun.end(ended.err(), Fact::Http(fact));
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
