//! The coordinator's own hosts, which no way around censorship may lead to.
//!
//! Every agent talks to the coordinator. If it were the far end of a circumvention check as well, whoever watches that
//! check would know the homes of all volunteers by it.

use crate::{CheckKind, Target, Tunnel};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The hosts of `HOST:PORT` addresses: names in lower case, and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnHosts(BTreeSet<String>);

impl OwnHosts {
    /// Reads the hosts of the addresses at which a coordinator is reached.
    #[must_use]
    pub fn of(addresses: &[String]) -> Self {
        let host = |address: &String| {
            let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
            host.trim_start_matches('[').trim_end_matches([']', '.']).to_ascii_lowercase()
        };
        Self(addresses.iter().map(host).filter(|host| !host.is_empty()).collect())
    }

    /// Lists those that are names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str).filter(|host| host.parse::<IpAddr>().is_err())
    }

    /// Lists those that are addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().filter_map(|host| host.parse().ok())
    }

    /// Says whether a circumvention check would contact one of them, itself or through a proxy.
    #[must_use]
    pub fn are_met_by(&self, check: CheckKind, target: &Target) -> bool {
        let endpoint = target.endpoint();
        let through = match endpoint.as_ref().map(|endpoint| &endpoint.tunnel) {
            Some(Tunnel::Socks5(to) | Tunnel::HttpsProxy(to)) => Some(to.as_str()),
            _ => None,
        };
        let is_own = |host: &str| self.0.contains(host.trim_end_matches('.'));
        check.is_circumvention() && (is_own(target.host()) || through.is_some_and(is_own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_at_the_coordinator_is_met_and_others_are_not() {
        let own = OwnHosts::of(&[
            "Coordinator.Example.net:7443".into(),
            "[2001:db8::1]:7443".into(),
            "203.0.113.7:7443".into(),
        ]);
        let meets = |check, text: &str| own.are_met_by(check, &Target::new(text).expect("a target"));
        assert!(meets(CheckKind::Openvpn, "openvpn://coordinator.example.net:1194?transport=udp"));
        assert!(meets(CheckKind::VpnApi, "https://coordinator.example.net/"));
        assert!(meets(CheckKind::Proxy, "socks5://relay.example.net:1080?to=coordinator.example.net"));
        assert!(!meets(CheckKind::Proxy, "socks5://relay.example.net:1080?to=www.example.com"));
        assert!(!meets(CheckKind::Web, "https://coordinator.example.net/"), "no way around anything");
        assert_eq!(own.names().collect::<Vec<_>>(), ["coordinator.example.net"]);
        assert_eq!(own.addresses().count(), 2);
    }
}
