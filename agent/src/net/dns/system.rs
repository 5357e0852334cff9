//! The system's resolver: whatever `/etc/resolv.conf` names.
//!
//! Its address usually lies in the volunteer's home or at her provider, so it is used and never recorded.

use super::{Answer, udp};
use crate::net::{Purpose, Session};
use faultline_model::Failure;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::time::Instant;

/// As many as the C library reads.
const MAX_RESOLVERS: usize = 3;
const PATH: &str = "/etc/resolv.conf";

/// Where the system's resolvers are named.
#[derive(Clone, Debug)]
pub(crate) enum SystemResolvers {
    /// In the system's file, read anew for each check: machines move between networks.
    File,
    /// Given, as in tests.
    Fixed(Vec<SocketAddr>),
}

impl SystemResolvers {
    fn list(&self) -> Vec<SocketAddr> {
        match self {
            Self::File => parse(&std::fs::read_to_string(PATH).unwrap_or_default()),
            Self::Fixed(resolvers) => resolvers.clone(),
        }
    }
}

/// Asks the system's resolvers in turn for a name's addresses. The first one's failure counts if all fail.
///
/// # Errors
/// Returns the failure's code.
pub async fn resolve(session: &Session, host: &str) -> Answer {
    let resolvers = session.net.resolvers.list();
    let end = Instant::now() + session.deadlines().dns;
    let mut first = None;
    for (index, resolver) in resolvers.iter().enumerate() {
        let rest = u32::try_from(resolvers.len() - index).unwrap_or(1);
        let share = end.saturating_duration_since(Instant::now()) / rest;
        let answer = udp::resolve(session, *resolver, Purpose::SystemResolver, host, share).await;
        match answer {
            Ok(addresses) => return Ok(addresses),
            Err(failure) if is_final(&failure) => return Err(first.unwrap_or(failure)),
            Err(failure) => {
                first.get_or_insert(failure);
            }
        }
    }
    Err(first.unwrap_or(Failure::Timeout))
}

/// The name has no such address, so there is nothing to ask another resolver.
const fn is_final(failure: &Failure) -> bool {
    matches!(failure, Failure::DnsNxdomain | Failure::DnsNoAnswer)
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let mut resolvers: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter(|rest| rest.starts_with([' ', '\t']))
        .filter_map(|rest| rest.split_whitespace().next()?.parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, 53))
        .take(MAX_RESOLVERS)
        .collect();
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
}
