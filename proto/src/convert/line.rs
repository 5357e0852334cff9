//! What a selfcheck saw of the line.

use super::{WireError, invalid};
use crate::agent as wire;
use faultline_model::{LineFact, LineFilter, SeenResolver};

const UNTOLD: &str = "untold";
const MASKED: &str = "masked";

pub(super) fn line_to_wire(line: &LineFact) -> wire::LineFact {
    wire::LineFact {
        is_up: line.is_up,
        is_portal: line.is_portal,
        is_vpn: line.is_vpn,
        is_metered: line.is_metered,
        ipv6: line.ipv6.as_str().to_owned(),
        clock_offset_ms: line.clock_offset_ms,
        resolver: match &line.resolver {
            SeenResolver::Untold => UNTOLD.to_owned(),
            SeenResolver::Masked => MASKED.to_owned(),
            SeenResolver::In { network, .. } => network.to_string(),
        },
        filter: line.filter.as_str().to_owned(),
    }
}

pub(super) fn line_from_wire(line: &wire::LineFact) -> Result<LineFact, WireError> {
    Ok(LineFact {
        is_up: line.is_up,
        is_portal: line.is_portal,
        is_vpn: line.is_vpn,
        is_metered: line.is_metered,
        ipv6: line.ipv6.parse().map_err(|e: String| invalid("ipv6", e))?,
        clock_offset_ms: line.clock_offset_ms,
        resolver: match line.resolver.as_str() {
            "" | UNTOLD => SeenResolver::Untold,
            MASKED => SeenResolver::Masked,
            network => {
                let network = network.parse().map_err(|e: String| invalid("resolver", e))?;
                SeenResolver::In { network, asn: None }
            }
        },
        filter: match line.filter.as_str() {
            "" => LineFilter::Untold,
            state => state.parse().map_err(|e: String| invalid("filter", e))?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_model::Ipv6;

    #[test]
    fn a_line_survives_the_wire_and_an_unknown_state_is_refused() {
        let line =
            LineFact { is_up: true, ipv6: Ipv6::Broken, clock_offset_ms: Some(-1500), ..LineFact::default() };
        let message = line_to_wire(&line);
        assert_eq!(line_from_wire(&message).expect("a line"), line);
        assert!(line_from_wire(&wire::LineFact { ipv6: "perhaps".into(), ..message.clone() }).is_err());
        let older = wire::LineFact { resolver: String::new(), filter: String::new(), ..message.clone() };
        assert_eq!(line_from_wire(&older).expect("a line of an older agent"), line);
        let network = SeenResolver::In { network: "203.82.48.0/24".parse().expect("a network"), asn: None };
        for (resolver, filter) in [(network, LineFilter::Present), (SeenResolver::Masked, LineFilter::Absent)]
        {
            let line = LineFact { resolver, filter, ..line.clone() };
            assert_eq!(line_from_wire(&line_to_wire(&line)).expect("a line"), line);
        }
        assert!(line_from_wire(&wire::LineFact { resolver: "203.82.48.77/32".into(), ..message }).is_err());
    }
}
