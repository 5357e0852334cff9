//! Which network an address belongs to.

use super::Scenario;
use crate::country::addresses::{Prefix, four};
use faultline_model::Asn;
use std::net::IpAddr;

/// A block of addresses with the network that owns it.
#[derive(Clone, Copy, Debug)]
pub struct Network<'a> {
    /// Its addresses.
    pub prefix: Prefix,
    /// Its number.
    pub asn: Asn,
    /// Its name.
    pub name: &'a str,
}

impl Scenario {
    /// Lists the networks that anybody can look up: providers, hosting companies, controls and gateways.
    pub fn networks(&self) -> impl Iterator<Item = Network<'_>> {
        let network = |prefix, asn, name| Network { prefix, asn, name };
        let providers = self.providers.iter().map(move |p| network(p.prefix, p.asn, p.name.as_str()));
        let hostings = self.hostings.iter().map(move |h| network(h.prefix, h.asn, h.name.as_str()));
        let controls = self.controls.iter().map(move |c| network(c.prefix, c.asn, c.name.as_str()));
        let gateways = self
            .gateways
            .iter()
            .map(move |g| network(Prefix::new(g.router, ROUTERS_BITS), g.asn, g.name.as_str()));
        providers.chain(hostings).chain(controls).chain(gateways)
    }

    /// Returns the network that owns an address, of either family.
    #[must_use]
    pub fn network_of(&self, address: IpAddr) -> Option<Network<'_>> {
        let address = four(address)?;
        self.networks().find(|network| network.prefix.contains(address))
    }
}

/// A gateway's routers stand in one such block.
const ROUTERS_BITS: u32 = 24;
