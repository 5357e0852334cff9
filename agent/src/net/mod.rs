//! The one way to the network for everything that is measured.
//!
//! [`Net`] holds what all checks share; a [`Session`] belongs to one check: it reads the machine's own networks once,
//! counts every byte, and opens each socket only after [`AddressPolicy`] permits it. It resolves no name by itself, so
//! an address that is connected to is the one that was recorded, and a name cannot change its answer in between.
//! Every step has a deadline and fails with exactly one [`Failure`].

mod address;
mod datagrams;
pub mod dns;
mod failure;
mod greeting;
mod hops;
pub mod http;
mod line;
mod local;
mod mask;
mod meter;
pub mod opening;
pub mod quic;
mod tasks;
mod timeline;
pub mod tls;

pub use address::{AddressPolicy, Denied, Purpose, is_public};
pub use datagrams::Datagrams;
pub use failure::{failure_of_io, failure_of_tls};
pub use greeting::{Greeting, greet};
pub use hops::{Echo, Reach};
pub use line::Line;
pub use local::LocalNetworks;
pub use mask::Mask;
pub use meter::{Ending, Meter, Metered};
pub use timeline::Timeline;

use crate::scrub::{Own, Scrubber};
use dns::SystemResolvers;
use faultline_model::{Failure, SeenResolver, WideNetwork};
use rustls_pki_types::CertificateDer;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tls::{TlsSetupError, Trust};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

/// When a step is given up.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// A resolver's answer, retries included.
    pub dns: Duration,
    /// A TCP connection.
    pub tcp: Duration,
    /// A TLS handshake.
    pub tls: Duration,
    /// An HTTP exchange, from the request to the last byte that is read.
    pub http: Duration,
    /// A QUIC handshake.
    pub quic: Duration,
    /// The handshake of a circumvention protocol.
    pub tunnel: Duration,
}

impl Default for Deadlines {
    /// The field's own: the same step fails after the same time in everybody's data.
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self { dns: Duration::from_secs(4), tcp: ten, tls: ten, http: ten, quic: ten, tunnel: ten }
    }
}

/// Which authorities sign the certificates of measured sites.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// Mozilla's, built in.
    #[default]
    Mozilla,
    /// These and no others, as in test networks.
    Only(Vec<CertificateDer<'static>>),
}

/// What all checks share.
#[derive(Debug)]
pub struct Net {
    /// Fixed rules in tests; in the program they follow the networks in which the machine stands.
    fixed_policy: Option<AddressPolicy>,
    trust: Trust,
    resolvers: SystemResolvers,
    deadlines: Deadlines,
    own: Arc<Own>,
}

impl Net {
    /// Makes the network of a real machine.
    ///
    /// # Errors
    /// Refuses roots that are no certificates.
    pub fn new(roots: &Roots) -> Result<Self, TlsSetupError> {
        let (trust, deadlines) = (Trust::new(roots)?, Deadlines::default());
        Ok(Self {
            fixed_policy: None,
            trust,
            resolvers: SystemResolvers::File,
            deadlines,
            own: Arc::default(),
        })
    }

    /// Makes a network with given rules and system resolvers, as tests need.
    ///
    /// # Errors
    /// Refuses roots that are no certificates.
    pub fn with_policy(
        roots: &Roots,
        policy: AddressPolicy,
        resolvers: Vec<SocketAddr>,
    ) -> Result<Self, TlsSetupError> {
        let resolvers = SystemResolvers::Fixed(resolvers, None);
        let (trust, deadlines) = (Trust::new(roots)?, Deadlines::default());
        Ok(Self { fixed_policy: Some(policy), trust, resolvers, deadlines, own: Arc::default() })
    }

    /// Replaces the deadlines, so that a test of silence need not last.
    #[must_use]
    pub const fn with_deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// Names the provider's own resolver, as tests need.
    #[must_use]
    pub fn with_provider_resolver(mut self, provider: SocketAddr) -> Self {
        if let SystemResolvers::Fixed(_, known) = &mut self.resolvers {
            *known = Some(provider);
        }
        self
    }

    /// Returns what is known of the line's own addresses.
    #[must_use]
    pub fn own(&self) -> Arc<Own> {
        Arc::clone(&self.own)
    }

    /// Opens one check's view of the network.
    #[must_use]
    pub fn session(self: &Arc<Self>) -> Session {
        let policy = self.fixed_policy.clone().unwrap_or_else(|| {
            let local = LocalNetworks::read();
            self.own.local(local.own().to_vec());
            AddressPolicy::new(local)
        });
        Session { net: Arc::clone(self), policy, meter: Arc::new(Meter::default()) }
    }
}

/// One check's view of the network.
#[derive(Debug)]
pub struct Session {
    net: Arc<Net>,
    policy: AddressPolicy,
    meter: Arc<Meter>,
}

impl Session {
    /// The address at which others see this line is the volunteer's own too, though no interface has it.
    fn permit(&self, peer: SocketAddr, purpose: Purpose) -> Result<SocketAddr, Denied> {
        // Whoever watches a far end must not see who contacts the coordinator.
        if matches!(purpose, Purpose::Endpoint(_)) && self.net.own.is_coordinator(peer.ip()) {
            return Err(Denied::Coordinator);
        }
        let is_own = purpose != Purpose::SystemResolver && self.scrubber().is_own(peer.ip());
        if is_own { Err(Denied::OwnNetwork) } else { self.policy.permit(peer, purpose) }
    }

    /// Says whether an address may be connected to.
    #[must_use]
    pub fn permits(&self, peer: SocketAddr, purpose: Purpose) -> bool {
        self.permit(peer, purpose).is_ok()
    }

    /// Says whether an address is not contacted because the coordinator stands there.
    #[must_use]
    pub fn is_coordinators(&self, peer: SocketAddr, purpose: Purpose) -> bool {
        matches!(self.permit(peer, purpose), Err(Denied::Coordinator))
    }

    /// Says whether this machine has any route to an address; nothing is sent to find out.
    pub async fn has_route(&self, peer: SocketAddr) -> bool {
        self.udp(peer, Purpose::Site).await.is_ok()
    }

    /// Returns what takes the volunteer out of foreign bytes.
    #[must_use]
    pub fn scrubber(&self) -> Arc<Scrubber> {
        self.net.own.scrubber()
    }

    /// Says of the address at which the outside sees a resolver what may be said: the network that it stands in, or nothing
    /// where it may be the volunteer's own.
    #[must_use]
    pub fn seen_resolver(&self, address: IpAddr) -> SeenResolver {
        let scrubber = self.scrubber();
        if !is_public(address) {
            return SeenResolver::Untold;
        }
        let local = self.policy.local();
        let is_own = scrubber.is_own(address) || scrubber.is_beside(address);
        if is_own || local.contains(address) || local.is_near(address) {
            return SeenResolver::Masked;
        }
        SeenResolver::In { network: WideNetwork::of(address), asn: None }
    }

    /// Says whether addresses are all of the private network in which this line or its resolver stands.
    #[must_use]
    pub fn are_within_line(&self, addresses: &[IpAddr]) -> bool {
        let resolvers: Vec<IpAddr> = self.net.resolvers.list().iter().map(SocketAddr::ip).collect();
        let is_within = |address: &IpAddr| self.policy.local().is_of_house(*address, &resolvers);
        !addresses.is_empty() && addresses.iter().all(is_within)
    }

    /// Returns about how many bytes went over the wire so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.meter.bytes()
    }

    /// Connects to an address.
    ///
    /// # Errors
    /// Returns the failure's code; a denied address is one.
    pub async fn connect(&self, peer: SocketAddr, purpose: Purpose) -> Result<Metered<TcpStream>, Failure> {
        self.connect_within(peer, purpose, None).await
    }

    /// Connects to an address; `window` bounds the bytes that the far end may have under way unread, where the
    /// system's own choice of some megabytes would break a bound on what a check costs.
    ///
    /// # Errors
    /// Returns the failure's code; a denied address is one.
    pub async fn connect_within(
        &self,
        peer: SocketAddr,
        purpose: Purpose,
        window: Option<u32>,
    ) -> Result<Metered<TcpStream>, Failure> {
        let peer = self.permit(peer, purpose).map_err(|_| Failure::AddressDenied)?;
        self.meter.add_connection();
        let open = async {
            let socket = if peer.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            if let Some(window) = window {
                // Linux doubles what is asked for.
                socket.set_recv_buffer_size(window / 2)?;
            }
            socket.connect(peer).await
        };
        let stream = within(self.net.deadlines.tcp, open).await?;
        // Only a hint; a connection without it is slower, not wrong.
        let _ = stream.set_nodelay(true);
        Ok(Metered::new(stream, Arc::clone(&self.meter)))
    }

    /// Raises what was counted to a total that may have come over the wire, read or not.
    pub fn count_at_least(&self, total: u64) {
        self.meter.raise_to(total);
    }

    /// Opens a UDP socket that talks to one peer only.
    async fn udp(&self, peer: SocketAddr, purpose: Purpose) -> Result<UdpSocket, Failure> {
        let peer = self.permit(peer, purpose).map_err(|_| Failure::AddressDenied)?;
        let any: SocketAddr =
            if peer.is_ipv4() { ([0u8; 4], 0).into() } else { (std::net::Ipv6Addr::UNSPECIFIED, 0).into() };
        let socket = UdpSocket::bind(any).await.map_err(|e| failure_of_io(&e))?;
        socket.connect(peer).await.map_err(|e| failure_of_io(&e))?;
        Ok(socket)
    }

    /// Returns when steps are given up.
    #[must_use]
    pub fn deadlines(&self) -> Deadlines {
        self.net.deadlines
    }

    fn trust(&self) -> &Trust {
        &self.net.trust
    }
}

/// Bounds a step of sockets: an error or a lapsed deadline becomes a code.
async fn within<T>(deadline: Duration, step: impl Future<Output = std::io::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(deadline, step).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failure_of_io(&error)),
        Err(_) => Err(Failure::Timeout),
    }
}
