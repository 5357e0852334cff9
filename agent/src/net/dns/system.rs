//! The system's resolver: whatever `/etc/resolv.conf` names; and the provider's, which a stub on the machine hides.
//!
//! Their addresses usually lie in the volunteer's home or at her provider, so they are used and never recorded.

use super::{Heard, Patience, udp};
use crate::net::{Purpose, Session};
use faultline_model::Failure;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::time::Instant;

/// As many as the C library reads.
const MAX_RESOLVERS: usize = 3;
const PATH: &str = "/etc/resolv.conf";
/// Where systemd's stub at 127.0.0.53 says whom it asks.
const BEHIND_STUB: &str = "/run/systemd/resolve/resolv.conf";
/// Resolvers that people choose instead of their provider's.
const PUBLIC: [Ipv4Addr; 8] = [
    Ipv4Addr::new(1, 1, 1, 1),
    Ipv4Addr::new(1, 0, 0, 1),
    Ipv4Addr::new(8, 8, 8, 8),
    Ipv4Addr::new(8, 8, 4, 4),
    Ipv4Addr::new(9, 9, 9, 9),
    Ipv4Addr::new(149, 112, 112, 112),
    Ipv4Addr::new(208, 67, 222, 222),
    Ipv4Addr::new(208, 67, 220, 220),
];

/// Where the system's resolvers are named.
#[derive(Clone, Debug)]
pub(crate) enum SystemResolvers {
    /// In the system's file, read anew for each check: machines move between networks.
    File,
    /// Given, as in tests: the system's, and the provider's.
    Fixed(Vec<SocketAddr>, Option<SocketAddr>),
}

impl SystemResolvers {
    pub(crate) fn list(&self) -> Vec<SocketAddr> {
        match self {
            Self::File => parse(&std::fs::read_to_string(PATH).unwrap_or_default()),
            Self::Fixed(resolvers, _) => resolvers.clone(),
        }
    }

    fn provider(&self) -> Option<SocketAddr> {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        match self {
            Self::File => providers(&read(PATH), || read(BEHIND_STUB)),
            Self::Fixed(_, provider) => *provider,
        }
    }
}

/// Returns the provider's own resolver, as far as the system tells it: the first that is neither a stub on the machine
/// itself nor a well-known public one.
#[must_use]
pub fn provider(session: &Session) -> Option<SocketAddr> {
    session.net.resolvers.provider()
}

fn providers(system: &str, behind_stub: impl Fn() -> String) -> Option<SocketAddr> {
    let named = servers(system);
    let is_stub = |peer: &SocketAddr| peer.ip().is_loopback();
    let named = if named.iter().all(is_stub) { servers(&behind_stub()) } else { named };
    let is_public = |peer: &SocketAddr| matches!(peer.ip(), IpAddr::V4(v4) if PUBLIC.contains(&v4));
    named.into_iter().find(|peer| !is_stub(peer) && !is_public(peer))
}

/// Asks the system's resolvers in turn for a name's addresses. The first one's failure counts if all fail.
pub async fn resolve(session: &Session, host: &str) -> Heard {
    let resolvers = session.net.resolvers.list();
    let end = Instant::now() + session.deadlines().dns;
    let mut first = None;
    for (index, resolver) in resolvers.iter().enumerate() {
        let rest = u32::try_from(resolvers.len() - index).unwrap_or(1);
        let share = end.saturating_duration_since(Instant::now()) / rest;
        let patience = Patience::brief(share);
        let heard = udp::resolve(session, *resolver, Purpose::SystemResolver, host, &patience).await;
        match &heard.failure {
            None => return heard,
            Some(failure) if is_final(failure) => return first.unwrap_or(heard),
            Some(_) => {
                first.get_or_insert(heard);
            }
        }
    }
    first.unwrap_or_else(|| Heard::given_up(host))
}

/// The name has no such address, so there is nothing to ask another resolver.
const fn is_final(failure: &Failure) -> bool {
    matches!(failure, Failure::DnsNxdomain | Failure::DnsNoAnswer)
}

fn servers(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter(|rest| rest.starts_with([' ', '\t']))
        .filter_map(|rest| rest.split_whitespace().next()?.parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, 53))
        .take(MAX_RESOLVERS)
        .collect()
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let mut resolvers = servers(text);
    if resolvers.is_empty() {
        // As the manual page of resolv.conf says.
        resolvers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
    }
    resolvers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_file_is_read_as_the_c_library_reads_it() {
        let text = "# home\nsearch lan\nnameserver 192.168.1.1 # router\n nameserver\tfd00::1\noptions edns0\n\
                    nameservers 1.2.3.4\nnameserver fe80::1%eth0\nnameserver 9.9.9.9\nnameserver 8.8.8.8\n";
        let hosts: Vec<String> = parse(text).iter().map(|peer| peer.ip().to_string()).collect();
        assert_eq!(hosts, ["192.168.1.1", "fd00::1", "9.9.9.9"]);
        assert_eq!(parse("")[0].to_string(), "127.0.0.1:53");
    }

    #[test]
    fn the_providers_resolver_is_found_behind_a_stub_and_is_no_public_one() {
        let stub = || "nameserver 8.8.8.8\nnameserver 100.64.0.1\n".to_owned();
        let found = |text: &str| providers(text, stub).map(|peer| peer.ip().to_string());
        assert_eq!(found("nameserver 127.0.0.53\n").as_deref(), Some("100.64.0.1"));
        assert_eq!(found("nameserver 192.168.1.1\n").as_deref(), Some("192.168.1.1"));
        assert_eq!(found("nameserver 1.1.1.1\nnameserver 203.82.48.3\n").as_deref(), Some("203.82.48.3"));
        assert_eq!(found("nameserver 1.1.1.1\n"), None);
        assert_eq!(providers("", String::new), None);
    }
}
