//! Measured DNS: the system's resolver, the provider's own, and a public one over UDP, HTTPS and TLS.
//!
//! All speak the same messages. The system's resolver is asked directly, at the addresses in
//! `/etc/resolv.conf`, rather than through a library: nothing is cached, no hosts file or search domain answers in
//! its place, and each way in which it can fail keeps its own code.

mod doh;
mod dot;
mod message;
mod stream;
mod system;
mod udp;

pub use doh::resolve as resolve_doh;
pub use dot::resolve as resolve_dot;
pub use message::{Reply, read_reply};
pub use system::{provider, resolve as resolve_system};
pub use udp::{Patience, resolve as resolve_udp};

pub(crate) use system::SystemResolvers;

use faultline_model::{DnsAnswer, Failure};
use std::net::IpAddr;

/// A longer list of addresses is cut.
pub const MAX_ADDRESSES: usize = 32;

/// Addresses, or why there are none.
pub type Answer = Result<Vec<IpAddr>, Failure>;

/// What asking one resolver has brought: the fact, and why there is no address if there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What is recorded.
    pub fact: DnsAnswer,
    /// Why there is no address.
    pub failure: Option<Failure>,
}

impl Heard {
    /// Makes the answer to a question that was given up.
    #[must_use]
    pub fn given_up(host: &str) -> Self {
        Reply::failed(Failure::Timeout).heard(host)
    }
}

/// Joins the answers about both families. Addresses of either are a success; otherwise IPv4's failure counts, since
/// every measured name has IPv4 addresses while many have no others.
fn join_families(v4: Answer, v6: Answer) -> Answer {
    match (v4, v6) {
        (Ok(mut addresses), Ok(more)) => {
            addresses.extend(more);
            addresses.truncate(MAX_ADDRESSES);
            Ok(addresses)
        }
        (Ok(addresses), Err(_)) => Ok(addresses),
        (Err(Failure::DnsNoAnswer | Failure::DnsServfail | Failure::DnsMisbehaving), Ok(addresses)) => {
            Ok(addresses)
        }
        (Err(failure), _) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_either_family_are_a_success_and_ipv4_decides_how_it_failed() {
        let v4 = || Ok(vec!["8.8.8.8".parse().expect("an address")]);
        let v6 = || Ok(vec!["2001:4860:4860::8888".parse().expect("an address")]);
        assert_eq!(join_families(v4(), v6()).map(|all| all.len()), Ok(2));
        assert_eq!(join_families(v4(), Err(Failure::Timeout)).map(|all| all.len()), Ok(1));
        assert_eq!(join_families(Err(Failure::DnsNoAnswer), v6()).map(|all| all.len()), Ok(1));
        assert_eq!(join_families(Err(Failure::DnsNxdomain), v6()), Err(Failure::DnsNxdomain));
        assert_eq!(
            join_families(Err(Failure::DnsServfail), Err(Failure::Timeout)),
            Err(Failure::DnsServfail)
        );
    }
}
