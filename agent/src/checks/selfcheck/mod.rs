//! `selfcheck`: what the vantage point's own line is like, so that no fault of it is taken for one of a network.
//!
//! It speaks to hosts that the signed list names for it and to nobody else. A canary that proves who it is by its certificate shows
//! that the line is up. One that does not is asked over plain HTTP too, where a captive portal answers in its place. The
//! rest is read from the kernel's tables without a packet: a tunnel, a phone, a public IPv6 address.

use super::page;
use super::steps::Steps;
use super::way::{Path, Place};
use super::{Check, Job, NotRun, Outcome};
use crate::net::http::{Ask, Reply, exchange};
use crate::net::{Line, LocalNetworks, Net, Purpose, dns, is_public, tls};
use faultline_model::{Fact, Failure, Ipv6, Layer, LineFact, LineFilter, SeenResolver, Target};
use faultline_runtime::now;
use futures_util::future::{BoxFuture, join3};
use http::header::DATE;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// What failed waits for it; a line that needs longer is judged by what was seen until then.
const DEADLINE: Duration = Duration::from_secs(4);
const BODY_BYTES: usize = 2048;

/// The `selfcheck` check.
#[derive(Debug)]
pub struct Selfcheck {
    net: Arc<Net>,
}

impl Selfcheck {
    /// Makes the check over a network.
    #[must_use]
    pub const fn new(net: Arc<Net>) -> Self {
        Self { net }
    }
}

impl Check for Selfcheck {
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>> {
        Box::pin(async move {
            let session = self.net.session();
            let steps = Steps::begin();
            let path = Path { session: &session, steps: &steps };
            let line = Line::read();
            let mut fact = LineFact {
                is_vpn: line.as_ref().is_some_and(Line::is_vpn),
                is_metered: line.as_ref().is_some_and(Line::is_metered),
                ..LineFact::default()
            };
            let begun = path.begin(Place::TARGET, Layer::Tcp, None);
            let ended = tokio::time::timeout(DEADLINE, look(path, &job, &mut fact)).await;
            let failure = if fact.is_up { None } else { Some(Failure::NetworkDown) };
            begun.end(failure.filter(|_| !fact.is_portal), Fact::Line(fact));
            if ended.is_err() {
                steps.fail_unfinished(&Failure::Timeout);
            }
            Ok(Outcome { observations: steps.finish(), bytes: session.bytes() })
        })
    }
}

async fn look(path: Path<'_>, job: &Job, fact: &mut LineFact) {
    let url = job.target.url();
    let host = job.target.host();
    let addresses = path.resolve_all(Place::TARGET, (host, 443), Purpose::Site).await;
    let Some(address) = addresses.first().copied() else { return };
    fact.is_up = proves_itself(path, Place::TARGET, (host, address)).await;
    let mut plain = url.clone();
    // A parsed http or https URL takes both.
    let _ = plain.set_scheme("http");
    let reply = ask_plainly(path, SocketAddr::new(address, 80), &plain).await;
    fact.clock_offset_ms = reply.as_ref().and_then(clock_offset);
    if !fact.is_up {
        fact.is_portal = reply.is_some_and(|reply| is_somebody_else(&reply, &plain));
        return;
    }
    let probes = &job.diagnosis.line;
    let (filter, resolver, ()) = join3(
        filter(path, probes.filter_canary.as_ref()),
        seen_resolver(path, probes.whoami.as_ref()),
        look_at_v6(path, host, &addresses, &mut fact.ipv6),
    )
    .await;
    (fact.filter, fact.resolver) = (filter, resolver);
}

async fn look_at_v6(path: Path<'_>, host: &str, addresses: &[IpAddr], ipv6: &mut Ipv6) {
    let has_public_v6 = LocalNetworks::read().own().iter().any(|own| own.is_ipv6() && is_public(*own));
    *ipv6 = match addresses.iter().find(|address| address.is_ipv6()) {
        _ if !has_public_v6 => Ipv6::Absent,
        None => Ipv6::Untried,
        Some(address) if proves_itself(path, Place::CONTROL, (host, *address)).await => Ipv6::Works,
        Some(_) => Ipv6::Broken,
    };
}

/// Asks for what only filters hide that a subscriber ordered. A denial of the name and somebody else in its place are a
/// filter's; silence, a reset and a refusal can be anybody's and say nothing.
async fn filter(path: Path<'_>, canary: Option<&Target>) -> LineFilter {
    let Some(host) = canary.map(Target::host) else { return LineFilter::Untold };
    let heard = dns::resolve_system(path.session, host).await;
    let permitted = |address: &&IpAddr| path.session.permits(SocketAddr::new(**address, 443), Purpose::Site);
    let Some(address) = heard.fact.addresses.iter().find(permitted) else {
        let is_denied = match heard.failure {
            None => true,
            Some(failure) => {
                matches!(failure, Failure::DnsNxdomain | Failure::DnsNoAnswer | Failure::DnsRefused)
            }
        };
        return if is_denied { LineFilter::Present } else { LineFilter::Untold };
    };
    let connected = path.session.connect(SocketAddr::new(*address, 443), Purpose::Site).await;
    let Ok(stream) = connected else { return LineFilter::Untold };
    match tls::handshake(path.session, stream, host).await.1 {
        Ok(_) => LineFilter::Absent,
        Err(Failure::SslInvalidHostname | Failure::SslUnknownAuthority | Failure::SslInvalidCertificate) => {
            LineFilter::Present
        }
        Err(_) => LineFilter::Untold,
    }
}

/// Asks for a name whose address is that of whoever asks. The answer is no step: it can be the volunteer's own address, and
/// only what may be said of it leaves here.
async fn seen_resolver(path: Path<'_>, whoami: Option<&Target>) -> SeenResolver {
    let Some(host) = whoami.map(Target::host) else { return SeenResolver::Untold };
    let heard = dns::resolve_system(path.session, host).await;
    let first = heard.fact.addresses.first();
    first.map_or(SeenResolver::Untold, |address| path.session.seen_resolver(*address))
}

async fn proves_itself(path: Path<'_>, place: Place, (host, address): (&str, IpAddr)) -> bool {
    let peer = SocketAddr::new(address, 443);
    let Some(stream) = path.connect(place, peer, None).await else { return false };
    path.secure(place, stream, (host, peer)).await.is_some()
}

async fn ask_plainly(path: Path<'_>, peer: SocketAddr, url: &Url) -> Option<Reply> {
    let stream = path.connect(Place::CONTROL, peer, None).await?;
    let ending = stream.ending();
    let begun = path.begin(Place::CONTROL, Layer::Http, Some(peer));
    let deadline = path.session.deadlines().http;
    let (mut reply, ended) = exchange(stream, (false, &ending), Ask::page(url, BODY_BYTES), deadline).await;
    reply.scrub_body(&path.session.scrubber());
    begun.end(ended.err(), Fact::Http(page::fact(url, &reply)));
    (reply.status != 0).then_some(reply)
}

/// Whoever answers for a canary that could not prove itself, with a page, a login or a way elsewhere, is not the canary.
/// A canary itself leads to itself.
fn is_somebody_else(reply: &Reply, url: &Url) -> bool {
    if reply.status == 511 {
        return true;
    }
    match page::location(reply).map(|location| url.join(&location)) {
        Some(Ok(next)) => next.host_str() != url.host_str(),
        Some(Err(_)) => true,
        None => reply.status == 200,
    }
}

fn clock_offset(reply: &Reply) -> Option<i64> {
    let text = reply.headers.get(DATE)?.to_str().ok()?;
    let moment = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(now().unix_ms() - moment.as_millisecond())
}

/// Says whether a run shows what a portal does: a certificate of somebody else, a way elsewhere, a request to log in.
pub(crate) fn has_signs_of_a_portal(outcome: &Outcome) -> bool {
    outcome.observations.iter().any(|step| {
        let is_elsewhere =
            matches!(&step.fact, Fact::Http(page) if (300..400).contains(&page.status) || page.status == 511);
        let is_certificate = matches!(
            step.failure,
            Some(Failure::SslInvalidHostname | Failure::SslUnknownAuthority | Failure::SslInvalidCertificate)
        );
        is_elsewhere || is_certificate
    })
}

/// Returns what a selfcheck showed of the line.
pub(crate) fn line_of(outcome: &Outcome) -> Option<&LineFact> {
    outcome.observations.iter().find_map(|step| match &step.fact {
        Fact::Line(line) => Some(line),
        _ => None,
    })
}
