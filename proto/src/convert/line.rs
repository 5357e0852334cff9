//! What a selfcheck saw of the line.

use super::{WireError, invalid};
use crate::agent as wire;
use faultline_model::LineFact;

pub(super) fn line_to_wire(line: &LineFact) -> wire::LineFact {
    wire::LineFact {
        is_up: line.is_up,
        is_portal: line.is_portal,
        is_vpn: line.is_vpn,
        is_metered: line.is_metered,
        ipv6: line.ipv6.as_str().to_owned(),
        clock_offset_ms: line.clock_offset_ms,
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
        assert!(line_from_wire(&wire::LineFact { ipv6: "perhaps".into(), ..message }).is_err());
    }
}
