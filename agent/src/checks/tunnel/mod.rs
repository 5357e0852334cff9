//! What the checks of circumvention protocols share: the way to the endpoint, the record of a handshake, bounded reading.
//!
//! Every check goes the same way: the system's resolver, one address, the protocol's own handshake, and nothing within
//! it. No traffic of anybody is carried. When a step fails, the list's public resolver is asked for the name as
//! in a light `web` check.

mod exchange;

pub(super) use exchange::{Exchange, read_some, write_all};

use super::steps::{Begun, Steps};
use super::way::{Path, Place};
use super::{Job, NotRun, Outcome};
use crate::net::{Metered, Net, Purpose, Session};
use faultline_model::{Endpoint, Fact, Failure, Layer, TlsFact, TunnelFact};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// The whole check, whatever its steps do.
const CHECK_DEADLINE: Duration = Duration::from_secs(45);

/// Steps to one endpoint.
#[derive(Clone, Copy)]
pub(super) struct Approach<'a> {
    pub(super) session: &'a Session,
    pub(super) endpoint: &'a Endpoint,
    steps: &'a Steps,
}

/// Runs a check of an endpoint within its deadline. `go` returns nothing if a step failed, and an error if the check
/// cannot be tried on this machine.
pub(super) async fn run<F, R>(net: &Arc<Net>, job: &Job, go: F) -> Result<Outcome, NotRun>
where
    F: FnOnce(Arc<Session>, Arc<Steps>, Endpoint) -> R + Send,
    R: Future<Output = Result<Option<()>, NotRun>> + Send,
{
    let endpoint = job.target.endpoint().ok_or(NotRun::NotApplicable)?;
    let host = endpoint.host.clone();
    let (session, steps) = (Arc::new(net.session()), Arc::new(Steps::begin()));
    let whole = async {
        let gone = go(Arc::clone(&session), Arc::clone(&steps), endpoint).await?;
        if gone.is_none()
            && let Some(resolver) = &job.resolver
        {
            let way = Path { session: &session, steps: &steps };
            way.ask_after_failure(resolver, &host, 0).await;
        }
        Ok(())
    };
    match tokio::time::timeout(CHECK_DEADLINE, whole).await {
        Ok(Err(not_run)) => return Err(not_run),
        Ok(Ok(())) => {}
        Err(_) => steps.fail_unfinished(&Failure::Timeout),
    }
    let bytes = session.bytes();
    let observations = Arc::into_inner(steps).map(Steps::finish).unwrap_or_default();
    Ok(Outcome { observations, bytes })
}

impl<'a> Approach<'a> {
    pub(super) const fn new(session: &'a Session, steps: &'a Steps, endpoint: &'a Endpoint) -> Self {
        Self { session, endpoint, steps }
    }

    /// What sockets to the endpoint are opened for.
    pub(super) const fn purpose(&self) -> Purpose {
        Purpose::Endpoint(self.endpoint.port)
    }

    /// Begins a step; `hop` is 1 for what goes through the tunnel.
    pub(super) fn begin(&self, layer: Layer, hop: u8, peer: Option<SocketAddr>) -> Begun<'a> {
        Path { session: self.session, steps: self.steps }.begin(Place::hop(hop), layer, peer)
    }

    /// Resolves the endpoint's name to one address that may be connected to.
    pub(super) async fn resolve(&self) -> Option<SocketAddr> {
        let way = Path { session: self.session, steps: self.steps };
        let (host, port) = (self.endpoint.host.as_str(), self.endpoint.port);
        way.resolve_for(Place::TARGET, (host, port), self.purpose()).await.map(|ip| SocketAddr::new(ip, port))
    }

    /// Connects.
    pub(super) async fn connect(&self, peer: SocketAddr) -> Option<Metered<TcpStream>> {
        let begun = self.begin(Layer::Tcp, 0, Some(peer));
        match self.session.connect(peer, self.purpose()).await {
            Ok(stream) => {
                begun.end(None, Fact::None);
                Some(stream)
            }
            Err(failure) => {
                begun.end(Some(failure), Fact::None);
                None
            }
        }
    }
}

/// Ends a step of TLS.
pub(super) fn end_tls<S>(begun: Begun<'_>, fact: TlsFact, shaken: Result<S, Failure>) -> Option<S> {
    let (stream, failure) = match shaken {
        Ok(stream) => (Some(stream), None),
        Err(failure) => (None, Some(failure)),
    };
    begun.end(failure, Fact::Tls(fact));
    stream
}

/// Ends the step of a handshake.
pub(super) fn end_handshake(begun: Begun<'_>, fact: TunnelFact, ended: Result<(), Failure>) -> Option<()> {
    let has_succeeded = ended.is_ok();
    begun.end(ended.err(), Fact::Tunnel(fact));
    has_succeeded.then_some(())
}
