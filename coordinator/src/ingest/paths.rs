//! Whose routers are on a measured path, and whose resolver a line uses. Agents report addresses up the way and know no
//! routing table.

use crate::networks::Networks;
use faultline_model::{Fact, LineFact, Measurement, PathResponder, SeenResolver};

/// Writes the network of each named hop beside it, in place of whatever came over the wire.
pub(super) fn name_networks(measurement: &mut Measurement, networks: Option<&Networks>) {
    for step in &mut measurement.observations {
        if let Fact::Line(LineFact { resolver: SeenResolver::In { network, asn }, .. }) = &mut step.fact {
            *asn = networks.and_then(|networks| networks.find(network.first()));
        }
        let target = step.peer.map(|peer| peer.ip());
        let Fact::Path(path) = &mut step.fact else { continue };
        for hop in &mut path.hops {
            let address = match hop.responder {
                PathResponder::Router => hop.address,
                PathResponder::Target => target,
                _ => None,
            };
            hop.asn = networks.and_then(|networks| networks.find(address?.to_canonical()));
        }
    }
}
