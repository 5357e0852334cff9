//! The steps that several checks share: a name, an address, a connection, a handshake, second opinions on the name.

use super::steps::{Begun, Steps};
use crate::net::{Metered, Purpose, Session, dns, tls};
use faultline_model::{DnsAnswer, Engine, Fact, Failure, Layer, ResolverSpec, TlsFact};
use futures_util::future::join;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// How long second opinions may delay the report of a failure.
pub(super) const OPINION_DEADLINE: Duration = Duration::from_millis(750);

/// Where in a measurement a step belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The target's own way, or the control's.
    pub(super) engine: Engine,
    /// The redirect hop.
    pub(super) hop: u8,
}

impl Place {
    /// The target itself.
    pub(super) const TARGET: Self = Self::hop(0);
    /// What the target is compared with.
    pub(super) const CONTROL: Self = Self { engine: Engine::Control, hop: 0 };

    /// A redirect hop of the target.
    pub(super) const fn hop(hop: u8) -> Self {
        Self { engine: Engine::System, hop }
    }
}

/// Goes steps and records them.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    pub(super) session: &'a Session,
    pub(super) steps: &'a Steps,
}

impl<'a> Path<'a> {
    /// Begins a step.
    pub(super) fn begin(&self, place: Place, layer: Layer, peer: Option<SocketAddr>) -> Begun<'a> {
        self.steps.start(layer, place.engine, place.hop, peer)
    }

    /// Asks the system's resolver and chooses one address that may be connected to, IPv4 first: it is the family that
    /// every vantage point has, so that all of them compare the same thing.
    pub(super) async fn resolve(&self, place: Place, host: &str, port: u16) -> Option<IpAddr> {
        let begun = self.begin(place, Layer::Dns, None);
        begun.see(Fact::Dns(DnsAnswer { hostname: host.to_owned(), ..DnsAnswer::default() }));
        let (addresses, mut failure) = split(dns::resolve_system(self.session, host).await);
        let permitted =
            |address: &&IpAddr| self.session.permits(SocketAddr::new(**address, port), Purpose::Site);
        let mut usable: Vec<IpAddr> = addresses.iter().filter(permitted).copied().collect();
        usable.sort_by_key(IpAddr::is_ipv6);
        if usable.is_empty() && failure.is_none() {
            failure = Some(Failure::DnsBogon);
        }
        begun.end(
            failure,
            Fact::Dns(DnsAnswer { hostname: host.to_owned(), addresses, ..DnsAnswer::default() }),
        );
        usable.first().copied()
    }

    /// Connects; `window` bounds what the far end may have under way.
    pub(super) async fn connect(
        &self,
        place: Place,
        peer: SocketAddr,
        window: Option<u32>,
    ) -> Option<Metered<TcpStream>> {
        let begun = self.begin(place, Layer::Tcp, Some(peer));
        let connected = self.session.connect_within(peer, Purpose::Site, window).await;
        let (stream, failure) = match connected {
            Ok(stream) => (Some(stream), None),
            Err(failure) => (None, Some(failure)),
        };
        begun.end(failure, Fact::None);
        stream
    }

    /// Shakes hands; returns the connection and whether HTTP/2 was agreed on.
    pub(super) async fn secure(
        &self,
        place: Place,
        stream: Metered<TcpStream>,
        (host, peer): (&str, SocketAddr),
    ) -> Option<(tls::MeasuredTls, bool)> {
        let begun = self.begin(place, Layer::Tls, Some(peer));
        begun.see(Fact::Tls(TlsFact { server_name: host.to_owned(), ..TlsFact::default() }));
        let (fact, shaken) = tls::handshake(self.session, stream, host).await;
        let is_h2 = fact.alpn == "h2";
        let (stream, failure) = match shaken {
            Ok(stream) => (Some((stream, is_h2)), None),
            Err(failure) => (None, Some(failure)),
        };
        begun.end(failure, Fact::Tls(fact));
        stream
    }

    /// Asks for second opinions on the name at which the path failed, as long as they may delay its report.
    pub(super) async fn ask_after_failure(&self, resolver: &ResolverSpec, host: &str, hop: u8) {
        let cut = CancellationToken::new();
        let mut opinions = pin!(self.ask_opinions(resolver, host, hop, &cut));
        if tokio::time::timeout(OPINION_DEADLINE, &mut opinions).await.is_err() {
            cut.cancel();
            opinions.await;
        }
    }

    /// Asks the public resolver both ways at once. A cancelled question is a timeout.
    pub(super) async fn ask_opinions(
        &self,
        resolver: &ResolverSpec,
        host: &str,
        hop: u8,
        cut: &CancellationToken,
    ) {
        let record = |begun: Begun, answer: dns::Answer| {
            let (addresses, failure) = split(answer);
            begun.end(
                failure,
                Fact::Dns(DnsAnswer { hostname: host.to_owned(), addresses, ..DnsAnswer::default() }),
            );
        };
        let deadline = self.session.deadlines().dns;
        let udp = async {
            let begun = self.steps.start(Layer::Dns, Engine::Udp, hop, Some(resolver.udp));
            let purpose = Purpose::PublicResolver;
            let ask = dns::resolve_udp(self.session, resolver.udp, purpose, host, deadline);
            record(begun, cut.run_until_cancelled(ask).await.unwrap_or(Err(Failure::Timeout)));
        };
        let doh = async {
            let begun = self.steps.start(Layer::Dns, Engine::Doh, hop, Some(resolver.doh_address));
            let ask = dns::resolve_doh(self.session, resolver, host, deadline);
            record(begun, cut.run_until_cancelled(ask).await.unwrap_or(Err(Failure::Timeout)));
        };
        join(udp, doh).await;
    }
}

fn split(answer: dns::Answer) -> (Vec<IpAddr>, Option<Failure>) {
    match answer {
        Ok(addresses) => (addresses, None),
        Err(failure) => (vec![], Some(failure)),
    }
}
