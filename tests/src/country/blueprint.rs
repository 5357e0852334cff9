//! What each part of the country has to know, worked out from the scenario.

use super::addresses::four;
use super::scenario::{Content, Scenario, Site};
use super::world::certificates::AuthorityPem;
use super::world::dns::Zone;
use super::world::{Config, Served};
use faultline_model::Asn;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Lists all names of the world.
#[must_use]
pub fn zone(scenario: &Scenario) -> Zone {
    let mut names = resolver_hosts(scenario);
    names.extend(scenario.coordinator_host.iter().map(|host| (host.clone(), scenario.coordinator)));
    names.extend(scenario.sites.iter().map(|site| (site.host.clone(), site.address)));
    let odd = scenario.sites.iter().filter_map(|site| Some((site.host.clone(), site.dns?))).collect();
    Zone { names, odd, six: scenario.six }
}

/// Returns what the process with the sites outside the country serves.
#[must_use]
pub fn outside(scenario: &Scenario, authority: &AuthorityPem, local: &AuthorityPem) -> Config {
    Config {
        local: Some(local.clone()),
        resolver_hosts: resolver_hosts(scenario),
        resolver_addresses: resolver_addresses(scenario),
        ..sites(scenario, authority, None)
    }
}

/// Returns what a process with the sites of one network serves.
#[must_use]
pub fn inside(scenario: &Scenario, authority: &AuthorityPem, network: Asn) -> Config {
    sites(scenario, authority, Some(network))
}

/// Returns what stands in for the coordinator when Faultline does not run: a page at its address.
#[must_use]
pub fn stand_in(scenario: &Scenario, authority: &AuthorityPem) -> Config {
    let host = scenario.coordinator_host.clone().unwrap_or_else(|| scenario.coordinator.to_string());
    let content = Content::Page { title: "Coordinator".into(), body: None, short: false };
    let served = Served { address: scenario.coordinator, content, clear: true, ..Served::default() };
    Config { sites: BTreeMap::from([(host, served)]), ..sites(scenario, authority, None) }
}

fn sites(scenario: &Scenario, authority: &AuthorityPem, network: Option<Asn>) -> Config {
    let served = |site: &Site| Served {
        address: site.address,
        content: site.content.clone(),
        clear: site.clear,
        challenge: site.challenge,
        serves: site.serves,
        certificate: site.certificate,
    };
    Config {
        authority: authority.clone(),
        local: None,
        sites: scenario.sites_in(network).map(|site| (site.host.clone(), served(site))).collect(),
        resolver_hosts: BTreeMap::new(),
        resolver_addresses: BTreeMap::new(),
        zone: zone(scenario),
        country: scenario.domestic(),
    }
}

fn resolver_hosts(scenario: &Scenario) -> BTreeMap<String, Ipv4Addr> {
    let resolvers = scenario.list.resolvers.iter();
    resolvers.filter_map(|r| Some((r.doh_url.host_str()?.to_owned(), four(r.doh_address.ip())?))).collect()
}

/// Lists the public resolvers' addresses for plain DNS, with their names.
#[must_use]
pub fn resolver_addresses(scenario: &Scenario) -> BTreeMap<Ipv4Addr, String> {
    let resolvers = scenario.list.resolvers.iter();
    resolvers.filter_map(|r| Some((four(r.udp.ip())?, r.doh_url.host_str()?.to_owned()))).collect()
}
