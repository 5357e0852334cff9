//! Probes of limited reach.
//!
//! An address is taken only from a router up the way: a message that names any other hop's is refused, so that a faulty
//! agent cannot make the coordinator keep an address of somebody's home.

use super::{WireError, bounded, invalid};
use crate::agent as wire;
use faultline_model::{Asn, PathAnswer, PathFact, PathHop, PathProbe, PathResponder};

/// A fact with more probes is refused.
const MAX_HOPS: usize = 64;
const MAX_TTL: u32 = 20;
const MAX_NAME_BYTES: usize = 256;

/// Writes a path.
pub(super) fn path_to_wire(path: &PathFact) -> wire::PathFact {
    wire::PathFact {
        probe: match path.probe {
            PathProbe::Connect => wire::PathProbe::Connect,
            PathProbe::Hello => wire::PathProbe::Hello,
            PathProbe::Request => wire::PathProbe::Request,
        }
        .into(),
        name: path.name.clone(),
        hops: path.hops.iter().map(hop_to_wire).collect(),
    }
}

/// Reads a path and checks every field.
pub(super) fn path_from_wire(path: wire::PathFact) -> Result<PathFact, WireError> {
    let probe = match wire::PathProbe::try_from(path.probe) {
        Ok(wire::PathProbe::Connect) => PathProbe::Connect,
        Ok(wire::PathProbe::Hello) => PathProbe::Hello,
        Ok(wire::PathProbe::Request) => PathProbe::Request,
        _ => return Err(invalid("probe", path.probe)),
    };
    let len = path.hops.len();
    if len > MAX_HOPS {
        return Err(WireError::TooLong { field: "hops", len, max: MAX_HOPS });
    }
    let hops = path.hops.into_iter().map(|hop| hop_from_wire(&hop)).collect::<Result<_, _>>()?;
    Ok(PathFact { probe, name: bounded("name", path.name, MAX_NAME_BYTES)?, hops })
}

fn hop_to_wire(hop: &PathHop) -> wire::PathHop {
    wire::PathHop {
        ttl: hop.ttl.into(),
        answer: match hop.answer {
            PathAnswer::Nothing => wire::PathAnswer::Nothing,
            PathAnswer::TimeExceeded => wire::PathAnswer::TimeExceeded,
            PathAnswer::Unreachable => wire::PathAnswer::Unreachable,
            PathAnswer::Connected => wire::PathAnswer::Connected,
            PathAnswer::Refused => wire::PathAnswer::Refused,
            PathAnswer::Reset => wire::PathAnswer::Reset,
            PathAnswer::Closed => wire::PathAnswer::Closed,
            PathAnswer::Data => wire::PathAnswer::Data,
            PathAnswer::NotSent => wire::PathAnswer::NotSent,
        }
        .into(),
        responder: match hop.responder {
            PathResponder::Untold => wire::PathResponder::Untold,
            PathResponder::Target => wire::PathResponder::Target,
            PathResponder::Router => wire::PathResponder::Router,
            PathResponder::Private => wire::PathResponder::Private,
            PathResponder::Home => wire::PathResponder::Home,
            PathResponder::Own => wire::PathResponder::Own,
        }
        .into(),
        address: hop.address.map(|address| address.to_string()).unwrap_or_default(),
        asn: hop.asn.map_or(0, Asn::get),
        rtt_ms: hop.rtt_ms,
    }
}

fn hop_from_wire(hop: &wire::PathHop) -> Result<PathHop, WireError> {
    let answer = match wire::PathAnswer::try_from(hop.answer) {
        Ok(wire::PathAnswer::Nothing) => PathAnswer::Nothing,
        Ok(wire::PathAnswer::TimeExceeded) => PathAnswer::TimeExceeded,
        Ok(wire::PathAnswer::Unreachable) => PathAnswer::Unreachable,
        Ok(wire::PathAnswer::Connected) => PathAnswer::Connected,
        Ok(wire::PathAnswer::Refused) => PathAnswer::Refused,
        Ok(wire::PathAnswer::Reset) => PathAnswer::Reset,
        Ok(wire::PathAnswer::Closed) => PathAnswer::Closed,
        Ok(wire::PathAnswer::Data) => PathAnswer::Data,
        Ok(wire::PathAnswer::NotSent) => PathAnswer::NotSent,
        _ => return Err(invalid("answer", hop.answer)),
    };
    let responder = match wire::PathResponder::try_from(hop.responder) {
        Ok(wire::PathResponder::Untold) => PathResponder::Untold,
        Ok(wire::PathResponder::Target) => PathResponder::Target,
        Ok(wire::PathResponder::Router) => PathResponder::Router,
        Ok(wire::PathResponder::Private) => PathResponder::Private,
        Ok(wire::PathResponder::Home) => PathResponder::Home,
        Ok(wire::PathResponder::Own) => PathResponder::Own,
        _ => return Err(invalid("responder", hop.responder)),
    };
    let address = match (responder, hop.address.as_str()) {
        (PathResponder::Router, text) => Some(text.parse().map_err(|e| invalid("address", e))?),
        (_, "") => None,
        // The text is not repeated: it is what must not be written down.
        _ => return Err(invalid("address", "only a router up the way may be named")),
    };
    if hop.ttl > MAX_TTL {
        return Err(invalid("ttl", hop.ttl));
    }
    let ttl = u8::try_from(hop.ttl).map_err(|e| invalid("ttl", e))?;
    let asn = match hop.asn {
        0 => None,
        number => Some(Asn::new(number).map_err(|e| invalid("asn", e))?),
    };
    Ok(PathHop { ttl, answer, responder, address, asn, rtt_ms: hop.rtt_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> PathHop {
        PathHop {
            ttl: 2,
            answer: PathAnswer::TimeExceeded,
            responder: PathResponder::Router,
            address: Some([119, 159, 0, 1].into()),
            asn: Asn::new(17557).ok(),
            rtt_ms: 12,
        }
    }

    #[test]
    fn a_path_survives_the_wire() {
        let own = PathHop { responder: PathResponder::Own, address: None, rtt_ms: 0, ttl: 1, ..router() };
        let arrived = PathHop { answer: PathAnswer::Reset, address: None, ..PathHop::default() };
        for probe in [PathProbe::Connect, PathProbe::Hello, PathProbe::Request] {
            let path = PathFact { probe, name: "x.com".into(), hops: vec![own, router(), arrived] };
            assert_eq!(path_from_wire(path_to_wire(&path)).expect("read"), path);
        }
    }

    #[test]
    fn an_address_of_any_other_hop_is_refused_and_not_repeated() {
        for responder in [
            PathResponder::Untold,
            PathResponder::Target,
            PathResponder::Private,
            PathResponder::Home,
            PathResponder::Own,
        ] {
            let path = PathFact { hops: vec![PathHop { responder, ..router() }], ..PathFact::default() };
            let error = path_from_wire(path_to_wire(&path)).expect_err("an address of a home");
            assert!(!error.to_string().contains("119.159"), "{error}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let wire = |change: fn(&mut wire::PathHop)| {
            let mut path = path_to_wire(&PathFact { hops: vec![router()], ..PathFact::default() });
            change(&mut path.hops[0]);
            path_from_wire(path)
        };
        assert!(wire(|hop| hop.ttl = 21).is_err());
        assert!(wire(|hop| hop.answer = 0).is_err());
        assert!(wire(|hop| hop.responder = 99).is_err());
        assert!(wire(|hop| hop.address = "home".into()).is_err());
        assert!(wire(|hop| hop.address.clear()).is_err());
        let endless = PathFact { hops: vec![router(); MAX_HOPS + 1], ..PathFact::default() };
        assert!(path_from_wire(path_to_wire(&endless)).is_err());
    }
}
