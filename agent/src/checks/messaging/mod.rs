//! `whatsapp`, `telegram`, `signal`, `messenger`: can a messaging service's own programs work here?
//!
//! Each check is a small table of endpoints and what is done there; the service's web page, the task's target, is
//! visited beside them as in a light `web` check. All endpoints are tried, whatever became of the others: which of them
//! make the service usable is not said here. A connection carries its endpoint's name in its fact.

mod table;

use super::page;
use super::steps::Steps;
use super::way::{Path, Place};
use super::{Check, Job, NotRun, Outcome};
use crate::net::http::{Ask, exchange};
use crate::net::{Metered, Net, Purpose, tls};
use faultline_model::{CheckKind, EndpointFact, Fact, Failure, HttpFact, Layer, TlsFact};
use futures_util::future::{BoxFuture, join, join_all};
use rand::random;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use table::{ACCESS_POINTS, Deed, Point, points};
use tokio::net::TcpStream;
use url::Url;

/// The whole check, whatever its steps do.
const CHECK_DEADLINE: Duration = Duration::from_secs(45);
/// What is read of an answer whose content says nothing.
const BODY_BYTES: usize = 2048;

/// A check of a messaging service.
#[derive(Debug)]
pub struct MessagingCheck {
    net: Arc<Net>,
    kind: CheckKind,
    access_points: Vec<Ipv4Addr>,
}

impl MessagingCheck {
    /// Makes the check of one service over a network.
    #[must_use]
    pub fn new(net: Arc<Net>, kind: CheckKind) -> Self {
        Self { net, kind, access_points: ACCESS_POINTS.to_vec() }
    }

    /// Replaces Telegram's access points, as tests need: they are addresses, which no resolver leads elsewhere.
    #[must_use]
    pub fn with_access_points(mut self, access_points: Vec<Ipv4Addr>) -> Self {
        self.access_points = access_points;
        self
    }
}

impl Check for MessagingCheck {
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>> {
        Box::pin(async move {
            if !job.target.is_https() {
                return Err(NotRun::NotApplicable);
            }
            let session = self.net.session();
            let steps = Steps::begin();
            let way = Path { session: &session, steps: &steps };
            let points = points(self.kind, &self.access_points, random());
            let url = job.target.url();
            let whole = join(join_all(points.iter().map(|point| visit(&way, point))), visit_page(&way, &url));
            if tokio::time::timeout(CHECK_DEADLINE, whole).await.is_err() {
                steps.fail_unfinished(&Failure::Timeout);
            }
            Ok(Outcome { observations: steps.finish(), bytes: session.bytes() })
        })
    }
}

/// Does what is done at one endpoint; returns nothing if it ended early.
async fn visit(way: &Path<'_>, point: &Point) -> Option<()> {
    let address = match point.host.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => {
            let first = point.ports.first().copied().unwrap_or_default();
            way.resolve_for(Place::TARGET, (&point.host, first), Purpose::Messaging).await?
        }
    };
    if point.deed == Deed::Resolve {
        return Some(());
    }
    let ports = point.ports.iter().map(|port| visit_port(way, point, SocketAddr::new(address, *port)));
    join_all(ports).await;
    Some(())
}

async fn visit_port(way: &Path<'_>, point: &Point, peer: SocketAddr) -> Option<()> {
    let stream = connect(way, &point.host, peer).await?;
    match point.deed {
        Deed::Resolve | Deed::Connect => Some(()),
        Deed::Certificate => see_certificate(way, &point.host, peer, stream).await,
        Deed::Page(path) => {
            let url = Url::parse(&format!("https://{}{path}", point.host)).ok()?;
            ask_over_tls(way, &url, peer, stream).await
        }
        Deed::Post => {
            let url = Url::parse(&format!("http://{peer}/")).ok()?;
            let ending = stream.ending();
            let begun = way.begin(Place::TARGET, Layer::Http, Some(peer));
            begun.see(Fact::Http(HttpFact { url: url.to_string(), ..HttpFact::default() }));
            let ask = Ask::post(&url, BODY_BYTES);
            let (mut reply, ended) =
                exchange(stream, (false, &ending), ask, way.session.deadlines().http).await;
            reply.scrub_body(&way.session.scrubber());
            begun.end(ended.err(), Fact::Http(page::fact(&url, &reply)));
            Some(())
        }
    }
}

/// Visits the service's page, the task's own target.
async fn visit_page(way: &Path<'_>, url: &Url) -> Option<()> {
    let (host, port) = (url.domain()?, url.port_or_known_default().unwrap_or_default());
    let address = way.resolve(Place::TARGET, host, port).await?;
    let peer = SocketAddr::new(address, port);
    let stream = connect(way, host, peer).await?;
    ask_over_tls(way, url, peer, stream).await
}

async fn connect(way: &Path<'_>, host: &str, peer: SocketAddr) -> Option<Metered<TcpStream>> {
    let begun = way.begin(Place::TARGET, Layer::Tcp, Some(peer));
    let fact = Fact::Endpoint(EndpointFact { name: format!("{host}:{}", peer.port()) });
    begun.see(fact.clone());
    let connected = way.session.connect(peer, Purpose::Messaging).await;
    begun.end(connected.as_ref().err().cloned(), fact);
    connected.ok()
}

async fn ask_over_tls(way: &Path<'_>, url: &Url, peer: SocketAddr, stream: Metered<TcpStream>) -> Option<()> {
    let ending = stream.ending();
    let (stream, is_h2) = way.secure(Place::TARGET, stream, (url.domain()?, peer)).await?;
    let begun = way.begin(Place::TARGET, Layer::Http, Some(peer));
    begun.see(Fact::Http(HttpFact { url: url.to_string(), ..HttpFact::default() }));
    let ask = Ask::page(url, BODY_BYTES);
    let (mut reply, ended) = exchange(stream, (is_h2, &ending), ask, way.session.deadlines().http).await;
    reply.scrub_body(&way.session.scrubber());
    begun.end(ended.err(), Fact::Http(page::fact(url, &reply)));
    Some(())
}

/// Shakes hands up to the certificate. That nobody whom browsers trust has signed it is no failure here: the service has an
/// authority of its own, and the certificate's facts are judged centrally.
async fn see_certificate(
    way: &Path<'_>,
    host: &str,
    peer: SocketAddr,
    stream: Metered<TcpStream>,
) -> Option<()> {
    let begun = way.begin(Place::TARGET, Layer::Tls, Some(peer));
    begun.see(Fact::Tls(TlsFact { server_name: host.to_owned(), ..TlsFact::default() }));
    let (fact, shaken) = tls::handshake(way.session, stream, host).await;
    let failure = shaken.err().filter(|failure| *failure != Failure::SslUnknownAuthority);
    begun.end(failure, Fact::Tls(fact));
    Some(())
}
