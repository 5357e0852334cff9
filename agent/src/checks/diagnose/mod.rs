//! `diagnose`: discriminating retries of a measurement that went wrong. Each changes one thing, so that together they
//! tell which thing is blocked: the name in DNS, the address, the name in the hello, the name in the request, or QUIC.
//!
//! It is never a routine: it is run only when it is asked for, where the signed list names it for the target, and only if
//! this agent has itself measured the target before. What stands in the place of the target is a canary of the same
//! signed list. The unchanged way comes last: a filter that remembers whom it has just cut off would spoil what follows.

mod retry;

use super::opinions::{Opinions, Others};
use super::steps::Steps;
use super::way::{Path, Place};
use super::{Check, Job, NotRun, Outcome};
use crate::net::{Net, Purpose};
use faultline_model::{Failure, Variant};
use futures_util::future::BoxFuture;
use retry::{Retries, Retry};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The whole check, whatever its steps do: seven retries can all end in silence.
const CHECK_DEADLINE: Duration = Duration::from_secs(150);

/// The `diagnose` check.
#[derive(Debug)]
pub struct DiagnoseCheck {
    net: Arc<Net>,
}

impl DiagnoseCheck {
    /// Makes the check over a network.
    #[must_use]
    pub const fn new(net: Arc<Net>) -> Self {
        Self { net }
    }
}

impl Check for DiagnoseCheck {
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>> {
        Box::pin(async move {
            let url = job.target.url();
            let host = url.domain().ok_or(NotRun::NotApplicable)?;
            let innocent = job.diagnosis.innocent.as_ref().ok_or(NotRun::NoInnocent)?;
            let session = self.net.session();
            let steps = Steps::begin();
            let path = Path { session: &session, steps: &steps };
            let whole = async {
                let port = url.port_or_known_default().unwrap_or_default();
                let others = Others { resolver: job.resolver.as_ref(), is_thorough: true };
                let own = path.resolve_all(Place::TARGET, (host, port), Purpose::Site);
                let (opinions, own) = path.ask_beside(others, (host, 0), own).await;
                let elsewhere = path.resolve(Place::CONTROL, innocent.host(), port).await;
                let plan = Plan { path, port, own, opinions, elsewhere };
                let retries = Retries { path, url: &url, host, innocent: innocent.host() };
                for retry in plan.retries(url.scheme() == "https", job.diagnosis.allows_quic) {
                    retries.go(retry).await;
                }
            };
            if tokio::time::timeout(CHECK_DEADLINE, whole).await.is_err() {
                steps.fail_unfinished(&Failure::Timeout);
            }
            Ok(Outcome { observations: steps.finish(), bytes: session.bytes() })
        })
    }
}

/// The addresses that retries go to.
struct Plan<'a> {
    path: Path<'a>,
    port: u16,
    /// The target's, by the system's resolver.
    own: Vec<IpAddr>,
    /// The target's, by others.
    opinions: Opinions,
    /// The innocent site's.
    elsewhere: Option<IpAddr>,
}

impl Plan<'_> {
    /// Returns the retries in the order in which they are made.
    fn retries(&self, is_https: bool, allows_quic: bool) -> Vec<Retry> {
        let permits =
            |address: &IpAddr| self.path.session.permits(SocketAddr::new(*address, self.port), Purpose::Site);
        let mut others = self.opinions.iter().map(|(_, address)| *address).filter(permits);
        // Where the system's resolver gives nothing to connect to, the way goes on at what others say.
        let same = self.own.first().copied().or_else(|| others.next());
        let other = others.find(|address| !self.own.contains(address) && Some(*address) != same);
        let address_of = |variant: Variant| match variant {
            Variant::InnocentSni | Variant::SplitHello if !is_https => None,
            Variant::InnocentHost if is_https => None,
            Variant::Http3 if !is_https || !allows_quic => None,
            Variant::OtherAddress => other,
            Variant::InnocentAddress => self.elsewhere,
            _ => same,
        };
        let retry = |variant: Variant| {
            let peer = SocketAddr::new(address_of(variant)?, self.port);
            Some(Retry { variant, peer })
        };
        Variant::ALL.into_iter().filter_map(retry).collect()
    }
}
