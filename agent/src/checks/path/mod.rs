//! `path`: who is on the way to a URL's address, and between which hops its name is interfered with.
//!
//! Three series of probes, each one observation:
//! 1. connection attempts of rising reach (`tcp`), which draw the way and its length;
//! 2. an innocent name, sent on connections of full reach to the same address (engine `control`);
//! 3. the target's name, the same way (`tls` for `https`, `http` for `http`).
//!
//! Both names are sent the whole way first. Only if the target's name does not get through, or something answers for the
//! server although the packet died one hop before it, are the names sent with rising reach: an answer to a packet that
//! died at hop n was made at or before hop n; where a router's word comes for the innocent name and not for the target's,
//! the packet with the target's name was dropped before. The innocent name is sent once more at the end, because some
//! filters go on blocking the two addresses for a while after a name.

mod sweep;

use super::steps::Steps;
use super::way::{Path, Place};
use super::{Check, Job, NotRun, Outcome};
use crate::net::{Echo, Mask, Net, Purpose, Reach};
use faultline_model::{
    Engine, Fact, Failure, Layer, PathAnswer, PathFact, PathHop, PathProbe, PathResponder,
};
use futures_util::future::{BoxFuture, join_all};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use sweep::{Sweep, ends_a_way};
use url::{Host, Url};

/// The whole check, whatever its steps do.
const CHECK_DEADLINE: Duration = Duration::from_secs(30);
/// A name that no filter has a reason to know: IANA keeps it for documentation.
pub const INNOCENT: &str = "www.example.org";
/// Farther hosts are hardly there, and a censor beyond is not one of the volunteer's country.
pub(super) const MAX_TTL: u8 = 20;
/// So many reaches are tried at once.
pub(super) const WAVE: usize = 5;
/// A connection attempt's answer; the kernel itself tries again after a second.
const CONNECT_DEADLINE: Duration = Duration::from_millis(900);
/// The answer to what is sent the whole way.
const WHOLE_DEADLINE: Duration = Duration::from_secs(3);

/// The `path` check.
#[derive(Debug)]
pub struct PathCheck {
    net: Arc<Net>,
}

impl PathCheck {
    /// Makes the check over a network.
    #[must_use]
    pub const fn new(net: Arc<Net>) -> Self {
        Self { net }
    }
}

impl Check for PathCheck {
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>> {
        Box::pin(async move {
            let session = self.net.session();
            let steps = Steps::begin();
            let way = Path { session: &session, steps: &steps };
            let url = job.target.url();
            let whole = run(&way, &url);
            if tokio::time::timeout(CHECK_DEADLINE, whole).await.is_err() {
                steps.fail_unfinished(&Failure::Timeout);
            }
            Ok(Outcome { observations: steps.finish(), bytes: session.bytes() })
        })
    }
}

/// Goes the whole check; returns nothing if it ended early.
async fn run(way: &Path<'_>, url: &Url) -> Option<()> {
    let port = url.port_or_known_default().unwrap_or_default();
    let address = match url.host()? {
        Host::Domain(host) => way.resolve(Place::TARGET, host, port).await?,
        Host::Ipv4(address) => IpAddr::V4(address),
        Host::Ipv6(address) => IpAddr::V6(address),
    };
    let peer = SocketAddr::new(address, port);
    let drawn = draw(way, peer).await?;
    Sweep::new(way, &drawn, url, peer).run().await;
    Some(())
}

/// A way as connection attempts drew it.
pub(super) struct Drawn {
    pub(super) mask: Mask,
    pub(super) fact: PathFact,
}

impl Drawn {
    /// Says whether a router answered at a reach.
    pub(super) fn is_told(&self, ttl: u8) -> bool {
        self.fact.hops.iter().any(|hop| hop.ttl == ttl && hop.responder != PathResponder::Untold)
    }
}

/// Draws the way to an address; returns nothing if no connection comes about.
async fn draw(way: &Path<'_>, peer: SocketAddr) -> Option<Drawn> {
    let begun = way.begin(Place::TARGET, Layer::Tcp, Some(peer));
    begun.see(Fact::Path(PathFact::default()));
    let mut heard: Vec<(u8, Echo)> = Vec::new();
    let reaches: Vec<u8> = (1..=MAX_TTL).collect();
    for wave in reaches.chunks(WAVE) {
        let tries = wave.iter().map(|ttl| attempt(way, peer, *ttl));
        heard.extend(join_all(tries).await.into_iter().flatten());
        let end = heard.iter().filter(|(_, echo)| ends_a_way(echo.answer)).map(|(ttl, _)| *ttl).min();
        if let Some(end) = end {
            // What went farther only says the same.
            heard.retain(|(ttl, _)| *ttl <= end);
            break;
        }
    }
    let mask = way.session.mask(peer.ip(), &heard);
    let mut hops: Vec<PathHop> = heard.iter().map(|(ttl, echo)| mask.hop(Reach::Hops(*ttl), echo)).collect();
    if !hops.iter().any(|hop| ends_a_way(hop.answer)) {
        let echo = way.session.probe_connect(peer, Purpose::Site, Reach::Whole, WHOLE_DEADLINE).await;
        hops.push(mask.hop(Reach::Whole, &echo));
    }
    let failure = match hops.last().map(|hop| hop.answer) {
        Some(PathAnswer::Connected) => None,
        Some(PathAnswer::Refused) => Some(Failure::ConnectionRefused),
        Some(PathAnswer::Unreachable) => Some(Failure::HostUnreachable),
        Some(PathAnswer::NotSent) | None => Some(Failure::NetworkUnreachable),
        Some(_) => Some(Failure::Timeout),
    };
    let has_arrived = failure.is_none();
    let fact = PathFact { probe: PathProbe::Connect, name: String::new(), hops };
    begun.end(failure, Fact::Path(fact.clone()));
    has_arrived.then_some(Drawn { mask, fact })
}

/// Tries one reach, and once more after silence.
async fn attempt(way: &Path<'_>, peer: SocketAddr, ttl: u8) -> Vec<(u8, Echo)> {
    let once = || way.session.probe_connect(peer, Purpose::Site, Reach::Hops(ttl), CONNECT_DEADLINE);
    let first = once().await;
    if first.answer != PathAnswer::Nothing {
        return vec![(ttl, first)];
    }
    vec![(ttl, first), (ttl, once().await)]
}

/// Where the observation of a name belongs.
pub(super) const fn place(engine: Engine) -> Place {
    match engine {
        Engine::Control => Place::CONTROL,
        _ => Place::TARGET,
    }
}
