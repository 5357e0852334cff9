//! The small internet: resolvers and sites on loopback addresses, reached through the agent's own policy connector.

use super::dns::Zone;
use super::site::{Behaviour, Certificate, SiteAuthority, Visits, serve};
use faultline_agent::checks::{Check, Diagnosis, Job, Outcome, WebCheck};
use faultline_agent::net::{AddressPolicy, Deadlines, Net, Roots};
use faultline_model::{Depth, ResolverSpec, Target};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};

pub const SITE: &str = "127.0.0.2";
const PUBLIC_DOH: &str = "127.0.0.3";
const PUBLIC_DNS: &str = "127.0.0.4";
const SYSTEM_DNS: &str = "127.0.0.5";
const PROVIDER_DNS: &str = "127.0.0.8";

/// A small internet.
pub struct World {
    /// What the system's resolver says.
    pub system: Zone,
    /// What the public resolver says.
    pub public: Zone,
    /// What the provider's own resolver says.
    pub provider: Zone,
    pub authority: SiteAuthority,
    http_port: u16,
    https_port: u16,
    dns_port: u16,
    dot_port: u16,
}

impl World {
    /// Starts both resolvers.
    pub async fn new() -> Self {
        // The site's own address finds ports that are free; the others have the same.
        let free = |address: &'static str| async move {
            let listener = TcpListener::bind((address, 0)).await.expect("bound");
            listener.local_addr().expect("an address").port()
        };
        let (http_port, https_port) = (free(SITE).await, free(SITE).await);
        let (dns_port, dot_port) = (free(PUBLIC_DNS).await, free(PUBLIC_DNS).await);
        let world = Self {
            system: Zone::default(),
            public: Zone::default(),
            provider: Zone::default(),
            authority: SiteAuthority::new(),
            http_port,
            https_port,
            dns_port,
            dot_port,
        };
        let zones =
            [(SYSTEM_DNS, &world.system), (PUBLIC_DNS, &world.public), (PROVIDER_DNS, &world.provider)];
        for (address, zone) in zones {
            let udp = UdpSocket::bind((address, dns_port)).await.expect("bound");
            let tcp = TcpListener::bind((address, dns_port)).await.expect("bound");
            zone.serve(udp, tcp);
        }
        // Public resolvers cost what they cost in the field.
        let doh = Behaviour::Doh(world.public.clone());
        world.https_with(PUBLIC_DOH, "dns.test", Certificate::Long, doh).await;
        let config = world.authority.config("dns.test", Certificate::Long, b"dot");
        let listener = TcpListener::bind((PUBLIC_DNS, dot_port)).await.expect("bound");
        serve(listener, Some(config), Behaviour::Dot(world.public.clone()));
        world
    }

    /// Starts a site with a good certificate.
    pub async fn https(&self, address: &str, name: &str, behaviour: Behaviour) -> Visits {
        self.https_with(address, name, Certificate::Good, behaviour).await
    }

    pub async fn https_with(
        &self,
        address: &str,
        name: &str,
        certificate: Certificate,
        behaviour: Behaviour,
    ) -> Visits {
        let alpn: &[u8] = if matches!(behaviour, Behaviour::Http2(_)) { b"h2" } else { b"http/1.1" };
        let config = self.authority.config(name, certificate, alpn);
        let listener = TcpListener::bind((address, self.https_port)).await.expect("bound");
        serve(listener, Some(config), behaviour)
    }

    pub async fn http(&self, address: &str, behaviour: Behaviour) -> Visits {
        serve(self.http_listener(address).await, None, behaviour)
    }

    pub async fn http_listener(&self, address: &str) -> TcpListener {
        TcpListener::bind((address, self.http_port)).await.expect("bound")
    }

    /// Returns the port at which TLS and QUIC are served.
    pub fn https_port(&self) -> u16 {
        self.https_port
    }

    /// Points a name to the usual site's address at both resolvers.
    pub fn name(&self, name: &str, address: &str) {
        self.system.point(name, address);
        self.public.point(name, address);
        self.provider.point(name, address);
    }

    pub fn net(&self) -> Arc<Net> {
        self.net_with(Deadlines::default())
    }

    /// The network with deadlines that a test of silence can wait for.
    pub fn net_with(&self, deadlines: Deadlines) -> Arc<Net> {
        self.net_also(deadlines, &[])
    }

    /// The same with further ports, each asked for and real.
    pub fn net_also(&self, deadlines: Deadlines, more: &[(u16, u16)]) -> Arc<Net> {
        let mut ports =
            vec![(80, self.http_port), (443, self.https_port), (53, self.dns_port), (853, self.dot_port)];
        ports.extend(more);
        let roots = Roots::Only(vec![self.authority.root()]);
        let resolver = SocketAddr::new(SYSTEM_DNS.parse().expect("an address"), 53);
        let policy = AddressPolicy::for_test_network(&ports);
        let net = Net::with_policy(&roots, policy, vec![resolver]).expect("a network");
        let provider = SocketAddr::new(PROVIDER_DNS.parse().expect("an address"), 53);
        Arc::new(net.with_deadlines(deadlines).with_provider_resolver(provider))
    }

    pub fn resolver(&self) -> ResolverSpec {
        let at = |address: &str, port| SocketAddr::new(address.parse().expect("an address"), port);
        ResolverSpec {
            name: "public".into(),
            udp: at(PUBLIC_DNS, 53),
            doh_url: "https://dns.test/dns-query".into(),
            doh_address: at(PUBLIC_DOH, 443),
            dot: Some(at(PUBLIC_DNS, 853)),
        }
    }

    /// Runs the web check once.
    pub async fn check(&self, url: &str, depth: Depth) -> Outcome {
        self.check_with(url, depth, Deadlines::default()).await
    }

    pub async fn check_with(&self, url: &str, depth: Depth, deadlines: Deadlines) -> Outcome {
        let target = Target::new(url).expect("a target");
        let job = Job {
            target,
            depth,
            resolver: Some(self.resolver()),
            control: None,
            diagnosis: Diagnosis::default(),
        };
        WebCheck::new(self.net_with(deadlines)).run(job).await.expect("it ran")
    }
}
