//! The steps that several checks share: a name, an address, a connection, a handshake.

use super::steps::{Begun, Steps};
use crate::net::dns::{self, Heard};
use crate::net::{Metered, Purpose, Session, tls};
use faultline_model::{DnsAnswer, Engine, Fact, Failure, Layer, TlsFact};
use std::net::{IpAddr, SocketAddr};
use tokio::net::TcpStream;

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
        self.resolve_all(place, (host, port), Purpose::Site).await.first().copied()
    }

    /// Does the same for other ports than those of sites.
    pub(super) async fn resolve_for(
        &self,
        place: Place,
        (host, port): (&str, u16),
        purpose: Purpose,
    ) -> Option<IpAddr> {
        self.resolve_all(place, (host, port), purpose).await.first().copied()
    }

    /// Asks the system's resolver and returns every address that may be connected to, IPv4 first.
    pub(super) async fn resolve_all(
        &self,
        place: Place,
        (host, port): (&str, u16),
        purpose: Purpose,
    ) -> Vec<IpAddr> {
        let begun = self.begin(place, Layer::Dns, None);
        begun.see(Fact::Dns(DnsAnswer { hostname: host.to_owned(), ..DnsAnswer::default() }));
        let Heard { mut fact, mut failure } = dns::resolve_system(self.session, host).await;
        let permitted = |address: &&IpAddr| self.session.permits(SocketAddr::new(**address, port), purpose);
        let mut usable: Vec<IpAddr> = fact.addresses.iter().filter(permitted).copied().collect();
        usable.sort_by_key(IpAddr::is_ipv6);
        if usable.is_empty() && failure.is_none() {
            // Nobody forged an answer that leads to our own coordinator: we do not go there.
            let is_ours =
                |address: &IpAddr| self.session.is_coordinators(SocketAddr::new(*address, port), purpose);
            let is_refused = fact.addresses.iter().any(is_ours);
            failure = Some(if is_refused { Failure::AddressDenied } else { Failure::DnsBogon });
            fact.is_within_line = self.session.are_within_line(&fact.addresses);
        }
        begun.end(failure, Fact::Dns(fact));
        usable
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
}
