//! Rules about the vantage point's own line. Nothing that they say is about a network or a site: a selfcheck is
//! `insufficient` where the line is at fault and `ok` where it is not, and never anything else.

use super::super::Evidence;
use super::Finding;
use faultline_model::{Class, Ipv6, Judgement, Layer, LayerStatus, LineFilter};

/// Judges a `selfcheck`.
pub(super) fn apply(evidence: &Evidence<'_>) -> Judgement {
    let fault =
        |layer, rule| Finding::at(Class::LocalNetworkDown, layer, rule).judged(LayerStatus::Insufficient);
    let Some(line) = evidence.line() else { return fault(Layer::Tcp, "selfcheck.not_run") };
    if line.is_vpn {
        return fault(Layer::Tcp, "selfcheck.vpn");
    }
    if line.is_portal {
        return fault(Layer::Http, "selfcheck.portal");
    }
    if !line.is_up {
        return fault(Layer::Tcp, "selfcheck.line_down");
    }
    let rule = match (line.filter, line.ipv6) {
        (LineFilter::Present, _) => "selfcheck.subscriber_filter",
        (_, Ipv6::Broken) => "selfcheck.ipv6_broken",
        _ => "ok",
    };
    Finding::new(Class::Ok, rule).judged(LayerStatus::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::judge;
    use crate::judge::tests::Builder;
    use faultline_model::{CheckKind, Engine, Fact, Failure, LineFact};

    fn judged(line: LineFact) -> (Class, LayerStatus, String) {
        let failure = if line.is_up { None } else { Some(Failure::NetworkDown) };
        let built =
            Builder::new("https://example.com/").step(Layer::Tcp, Engine::System, Fact::Line(line), failure);
        let mut measurement = built.0;
        measurement.check = CheckKind::Selfcheck;
        let judgement = judge(&measurement, &[]);
        (judgement.class, judgement.status, judgement.rule)
    }

    #[test]
    fn a_fault_of_the_line_is_insufficient_and_has_its_rule() {
        let up = || LineFact { is_up: true, ..LineFact::default() };
        for (line, rule) in [
            (LineFact { is_vpn: true, ..up() }, "selfcheck.vpn"),
            (LineFact { is_portal: true, ..LineFact::default() }, "selfcheck.portal"),
            (LineFact::default(), "selfcheck.line_down"),
        ] {
            assert_eq!(judged(line), (Class::LocalNetworkDown, LayerStatus::Insufficient, rule.to_owned()));
        }
        assert_eq!(judged(up()), (Class::Ok, LayerStatus::Ok, "ok".to_owned()));
        let broken = LineFact { ipv6: Ipv6::Broken, ..up() };
        assert_eq!(judged(broken), (Class::Ok, LayerStatus::Ok, "selfcheck.ipv6_broken".to_owned()));
        let filtered = LineFact { filter: LineFilter::Present, ..up() };
        assert_eq!(judged(filtered), (Class::Ok, LayerStatus::Ok, "selfcheck.subscriber_filter".to_owned()));
    }
}
