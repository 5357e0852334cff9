//! Rules about the vantage point itself: what they match says nothing about a network or a site.

use super::super::address::is_public;
use super::super::{Evidence, Fingerprints};
use super::Finding;
use faultline_model::{CheckKind, Class, Engine, Failure, LineFilter};

pub(super) const FILTER: &str = "local.subscriber_filter";

/// Says whether a filter that the subscriber ordered stands on the line, by a look at it that came with a measurement: then
/// whatever is hidden there can be its doing, and none of it says anything about the provider. Selfchecks say it themselves.
pub(super) fn has_filter(evidence: &Evidence<'_>) -> bool {
    evidence.check() != CheckKind::Selfcheck
        && evidence.line().is_some_and(|line| line.filter == LineFilter::Present)
}

pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    if evidence.is_empty() {
        return Some(Finding::new(Class::LocalNetworkDown, "local.not_run"));
    }
    if evidence.system_addresses().iter().any(|address| Fingerprints::is_subscriber_filter(*address)) {
        return Some(Finding::new(Class::LocalNetworkDown, FILTER));
    }
    if is_split_horizon(evidence) {
        return Some(Finding::new(Class::LocalNetworkDown, "local.split_horizon"));
    }
    if is_behind_portal(evidence) {
        return Some(Finding::new(Class::LocalNetworkDown, "local.captive_portal"));
    }
    let rule = match evidence.failure()? {
        Failure::NetworkDown => "local.network_down",
        Failure::Interrupted | Failure::ConnectionAborted => "local.interrupted",
        // A name that resolves only to IPv6 on a line without it (OONI's `ipv6_broken_probe`).
        Failure::NetworkUnreachable if is_v6(evidence) => "local.no_ipv6",
        Failure::AddressDenied if !super::dns::is_bogon(evidence) => "local.policy",
        _ => return None,
    };
    Some(Finding::new(Class::LocalNetworkDown, rule))
}

/// Says whether an answer leads into the house that the line stands in, as a campus's or a company's own names do for those
/// inside, and is no forged one: nobody outside is made to say the same, and no fingerprint knows it. It is no tampering by
/// itself.
fn is_split_horizon(evidence: &Evidence<'_>) -> bool {
    let hop = evidence.hop();
    let is_within = evidence.answers_at(hop, &[Engine::System]).any(|(answer, _)| answer.is_within_line);
    let is_known =
        evidence.system_addresses().iter().any(|address| evidence.fingerprints.address(*address).is_some());
    is_within && !is_known && evidence.opinions(hop, &[Engine::Udp]).iter().all(|address| is_public(*address))
}

/// Says whether somebody on the line answers for everybody: every resolver that can be read gives the same address, and
/// the encrypted one, which is another host, shows a certificate that is not its own.
fn is_behind_portal(evidence: &Evidence<'_>) -> bool {
    let mut own = evidence.system_addresses();
    let mut plain = evidence.opinions(evidence.hop(), &[Engine::Udp]);
    own.sort_unstable();
    plain.sort_unstable();
    let is_foreign = |failure: &Failure| {
        matches!(
            failure,
            Failure::SslInvalidHostname | Failure::SslUnknownAuthority | Failure::SslInvalidCertificate
        )
    };
    let is_intercepted = evidence.opinion_failures(&[Engine::Doh, Engine::Dot]).any(is_foreign);
    !own.is_empty() && own == plain && is_intercepted
}

fn is_v6(evidence: &Evidence<'_>) -> bool {
    evidence.failed.and_then(|step| step.peer).is_some_and(|peer| peer.is_ipv6())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::ControlFact;
    use crate::judge::tests::{Builder, assert_judged};
    use faultline_model::{DnsAnswer, Fact, Layer, LayerStatus, LineFact};

    fn on(filter: LineFilter, page: Builder) -> Builder {
        let line = LineFact { is_up: true, filter, ..LineFact::default() };
        page.step(Layer::Tcp, Engine::Control, Fact::Line(line), None)
    }

    #[test]
    fn a_private_answer_within_a_house_is_no_tampering_by_itself() {
        let answered = |is_within_line| {
            let addresses = vec!["10.99.0.24".parse().expect("an address")];
            let hostname = "lms.example.pk".to_owned();
            let answer = DnsAnswer { hostname, addresses, is_within_line, ..DnsAnswer::default() };
            let page = Builder::new("https://lms.example.pk/");
            page.step(Layer::Dns, Engine::System, Fact::Dns(answer), Some(Failure::DnsBogon))
        };
        let control = [ControlFact { http_status: 200, ..ControlFact::default() }];
        let (insufficient, blocked) = (LayerStatus::Insufficient, LayerStatus::Blocked);
        let (local, bogon) = (Class::LocalNetworkDown, Class::DnsBogon);
        let inside = answered(true).dns(Engine::Udp, &["110.93.234.21"], None);
        assert_judged(&inside, &control, local, insufficient, "local.split_horizon");
        assert_judged(&answered(true), &control, local, insufficient, "local.split_horizon");
        let forged = answered(true).dns(Engine::Udp, &["10.99.0.24"], None);
        assert_judged(&forged, &control, bogon, blocked, "dns.injection.bogon");
        assert_judged(&answered(false), &control, bogon, blocked, "dns.injection.bogon");
    }

    #[test]
    fn what_is_hidden_behind_a_subscribers_filter_says_nothing_about_the_provider() {
        let denied = || Builder::new("https://x.com/").dns(Engine::System, &[], Some(Failure::DnsNxdomain));
        let control = [ControlFact { http_status: 200, ..ControlFact::default() }];
        let insufficient = LayerStatus::Insufficient;
        let filtered = on(LineFilter::Present, denied());
        assert_judged(&filtered, &control, Class::LocalNetworkDown, insufficient, FILTER);
        let free = on(LineFilter::Absent, denied());
        assert_judged(&free, &control, Class::DnsNxdomain, LayerStatus::Blocked, "dns.nxdomain");
        let fine = Builder::new("https://x.com/").dns(Engine::System, &["157.240.0.35"], None).tcp(None);
        let fine = on(LineFilter::Present, fine.tls(Engine::System, None));
        assert_judged(&fine, &control, Class::Ok, LayerStatus::Ok, "ok");
    }
}
