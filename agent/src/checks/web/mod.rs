//! `web`: DNS, TCP, TLS and HTTP to a URL, step by step, ending at the first layer that fails.
//!
//! One step is one observation and fails exactly once. The path is that of an ordinary program: the system's resolver,
//! one of its answers, TLS, one request. A full check asks a public resolver over UDP and HTTPS beside it and follows
//! redirects, each hop measured like the target. A light check asks the public resolver only when the path failed,
//! under a short deadline, so that a reset is reported within a second together with the evidence on its address.

mod page;
mod redirect;
mod steps;

use super::{Check, Job, NotRun, Outcome};
use crate::net::http::{Ask, Reply, exchange};
use crate::net::{Ending, Net, Purpose, Session, dns, tls};
use faultline_model::{Depth, DnsAnswer, Engine, Fact, Failure, HttpFact, Layer, ResolverSpec, TlsFact};
use futures_util::future::{BoxFuture, join};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use steps::{Begun, Steps};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

/// The whole check, whatever its steps do.
const CHECK_DEADLINE: Duration = Duration::from_secs(45);
/// How long second opinions may delay the report of a failure.
const OPINION_DEADLINE: Duration = Duration::from_millis(750);
const LIGHT_BODY_BYTES: usize = 8 * 1024;
const FULL_BODY_BYTES: usize = 32 * 1024;
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
            let run = Run { session: &session, steps: &steps, job: &job };
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
    session: &'a Session,
    steps: &'a Steps,
    job: &'a Job,
}

impl Run<'_> {
    async fn whole(&self) {
        let url = self.job.target.url();
        let cut = CancellationToken::new();
        match (&self.job.resolver, self.job.depth, url.host_str()) {
            (Some(resolver), Depth::Full, Some(host)) => {
                let mut opinions = pin!(self.opinions(resolver, host, 0, &cut));
                let mut path = pin!(self.path(url.clone()));
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
                let failed_at = self.path(url).await;
                self.after_failure(failed_at).await;
            }
        }
    }

    /// Asks for second opinions on the name at which the path failed.
    async fn after_failure(&self, failed_at: Option<(u8, String)>) {
        let (Some((hop, host)), Some(resolver)) = (failed_at, &self.job.resolver) else { return };
        let cut = CancellationToken::new();
        let mut opinions = pin!(self.opinions(resolver, &host, hop, &cut));
        if tokio::time::timeout(OPINION_DEADLINE, &mut opinions).await.is_err() {
            cut.cancel();
            opinions.await;
        }
    }

    /// Asks the public resolver both ways at once. A cancelled question is a timeout.
    async fn opinions(&self, resolver: &ResolverSpec, host: &str, hop: u8, cut: &CancellationToken) {
        let record = |begun: Begun, answer: dns::Answer| {
            let (addresses, failure) = split(answer);
            begun.end(failure, Fact::Dns(DnsAnswer { hostname: host.to_owned(), addresses }));
        };
        let udp = async {
            let begun = self.steps.aside(Layer::Dns, Engine::Udp, hop, Some(resolver.udp));
            let purpose = Purpose::PublicResolver;
            let ask =
                dns::resolve_udp(self.session, resolver.udp, purpose, host, self.session.deadlines().dns);
            record(begun, cut.run_until_cancelled(ask).await.unwrap_or(Err(Failure::Timeout)));
        };
        let doh = async {
            let begun = self.steps.aside(Layer::Dns, Engine::Doh, hop, Some(resolver.doh_address));
            let ask = dns::resolve_doh(self.session, resolver, host, self.session.deadlines().dns);
            record(begun, cut.run_until_cancelled(ask).await.unwrap_or(Err(Failure::Timeout)));
        };
        join(udp, doh).await;
    }

    /// Goes the path with its redirects; returns the hop and the name at which it failed, if that has a name.
    async fn path(&self, mut url: Url) -> Option<(u8, String)> {
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
                    let begun = self.steps.on_path(Layer::Http, hop + 1, None);
                    begun.end(Some(Failure::TooManyRedirects), Fact::Http(fact));
                    return None;
                }
            }
        }
    }

    async fn hop(&self, hop: u8, url: &Url) -> HopEnd {
        let port = url.port_or_known_default().unwrap_or_default();
        let address = match url.host() {
            Some(Host::Domain(host)) => match self.resolve(hop, host, port).await {
                Some(address) => address,
                None => return HopEnd::Failed,
            },
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            None => return HopEnd::Failed,
        };
        let peer = SocketAddr::new(address, port);
        let begun = self.steps.on_path(Layer::Tcp, hop, Some(peer));
        let stream = match self.session.connect(peer, Purpose::Site).await {
            Ok(stream) => stream,
            Err(failure) => return begun.fail(failure),
        };
        begun.end(None, Fact::None);
        let ending = stream.ending();
        if url.scheme() == "http" {
            return self.request(hop, peer, url, self.exchange(stream, (false, &ending), url)).await;
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let begun = self.steps.on_path(Layer::Tls, hop, Some(peer));
        begun.see(Fact::Tls(TlsFact { server_name: host.to_owned(), ..TlsFact::default() }));
        let (fact, shaken) = tls::handshake(self.session, stream, host).await;
        let is_h2 = fact.alpn == "h2";
        match shaken {
            Ok(stream) => {
                begun.end(None, Fact::Tls(fact));
                self.request(hop, peer, url, self.exchange(stream, (is_h2, &ending), url)).await
            }
            Err(failure) => {
                begun.end(Some(failure), Fact::Tls(fact));
                HopEnd::Failed
            }
        }
    }

    /// Asks the system's resolver and chooses one address that may be connected to, IPv4 first: it is the family that
    /// every vantage point has, so that all of them compare the same thing.
    async fn resolve(&self, hop: u8, host: &str, port: u16) -> Option<IpAddr> {
        let begun = self.steps.on_path(Layer::Dns, hop, None);
        begun.see(Fact::Dns(DnsAnswer { hostname: host.to_owned(), addresses: vec![] }));
        let (addresses, mut failure) = split(dns::resolve_system(self.session, host).await);
        let permitted =
            |address: &&IpAddr| self.session.permits(SocketAddr::new(**address, port), Purpose::Site);
        let mut usable: Vec<IpAddr> = addresses.iter().filter(permitted).copied().collect();
        usable.sort_by_key(IpAddr::is_ipv6);
        if usable.is_empty() && failure.is_none() {
            failure = Some(Failure::DnsBogon);
        }
        begun.end(failure, Fact::Dns(DnsAnswer { hostname: host.to_owned(), addresses }));
        usable.first().copied()
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
        let body_limit = match self.job.depth {
            Depth::Light => LIGHT_BODY_BYTES,
            Depth::Full => FULL_BODY_BYTES,
        };
        let deadline = self.session.deadlines().http;
        exchange(stream, (is_h2, ending), Ask::page(url, body_limit), deadline).await
    }

    /// Records an HTTP exchange and finds where it leads.
    async fn request(
        &self,
        hop: u8,
        peer: SocketAddr,
        url: &Url,
        exchange: impl Future<Output = (Reply, Result<(), Failure>)>,
    ) -> HopEnd {
        let begun = self.steps.on_path(Layer::Http, hop, Some(peer));
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
        let denied = |peer| !self.session.permits(peer, Purpose::Site);
        match redirect::destination(url, location, denied) {
            Ok(next) => HopEnd::Redirect(next),
            Err(failure) => {
                let url = page::bounded(location, page::MAX_LOCATION_CHARS, page::MAX_LOCATION_BYTES);
                let begun = self.steps.on_path(Layer::Http, hop + 1, None);
                begun.end(Some(failure), Fact::Http(HttpFact { url, ..HttpFact::default() }));
                HopEnd::Done
            }
        }
    }
}

impl Begun<'_> {
    fn fail(self, failure: Failure) -> HopEnd {
        self.end(Some(failure), Fact::None);
        HopEnd::Failed
    }
}

fn split(answer: dns::Answer) -> (Vec<IpAddr>, Option<Failure>) {
    match answer {
        Ok(addresses) => (addresses, None),
        Err(failure) => (vec![], Some(failure)),
    }
}
