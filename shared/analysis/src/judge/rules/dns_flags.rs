//! Rules about what DNS answers say of themselves, and about the provider's own resolver where the way did not use it.
//!
//! A resolver that looks names up for its customers is the authority for none of them, so an answer with the mark of an
//! authority comes from a zone that was put there to hide the true one; some home routers mark whatever they say, which is
//! why the mark counts only where the same question to a public resolver is answered without it, or encrypted resolvers
//! know addresses. What an encrypted resolver has verified by the zone's own signatures cannot be denied by anybody.

use super::super::address::is_public;
use super::super::{ControlFact, Evidence};
use super::{Finding, views_at};
use faultline_model::{Class, DnsAnswer, Engine, Failure, Layer};

const ENCRYPTED: &[Engine] = &[Engine::Doh, Engine::Dot];

/// Judges a failure of the system's resolver by more than its code.
pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    let hop = evidence.hop();
    let own = || evidence.answers_at(hop, &[Engine::System]).map(|(answer, _)| answer);
    let is_denied = matches!(evidence.failure()?, Failure::DnsNxdomain | Failure::DnsNoAnswer);
    let given =
        || evidence.answers_at(hop, ENCRYPTED).map(|(answer, _)| answer).filter(|answer| is_given(answer));
    if is_denied && given().any(|answer| answer.is_authentic) {
        return Some(Finding::new(Class::DnsNxdomain, "dns.nxdomain.disproved"));
    }
    if is_denied && own().any(|answer| answer.is_authoritative) && given().next().is_some() {
        return Some(Finding::new(Class::DnsNxdomain, "dns.nxdomain.own_zone"));
    }
    let is_unanswered = matches!(evidence.failure()?, Failure::Timeout | Failure::DnsMisbehaving);
    let is_foreign = is_unanswered && own().any(|answer| answer.foreign_replies > 0);
    is_foreign.then(|| Finding::new(Class::DnsInjected, "dns.injection.foreign"))
}

/// Says whether the system's resolver, and not the public one over UDP, claims to be the authority for a hop's name.
pub(super) fn is_own_zone(evidence: &Evidence<'_>, hop: u8) -> bool {
    let marks = |engine: &'static [Engine]| evidence.answers_at(hop, engine).map(|(answer, _)| answer);
    let mut plain = marks(&[Engine::Udp]).filter(|answer| is_given(answer)).peekable();
    plain.peek().is_some()
        && !plain.any(|answer| answer.is_authoritative)
        && marks(&[Engine::System]).any(|answer| answer.is_authoritative)
}

/// Judges a way that was fine although the provider's own resolver denies or forges the name: whoever uses that resolver
/// does not get through.
pub(super) fn find_provider(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Option<Finding> {
    let (provider, failure) = evidence.answers_at(0, &[Engine::Isp]).next()?;
    let is_there = |addresses: &[std::net::IpAddr]| addresses.iter().any(|address| is_public(*address));
    let is_known = is_there(&evidence.opinions(0, ENCRYPTED))
        || views_at(evidence, controls, 0).iter().any(|view| is_there(view.addresses));
    let is_fine = is_known && is_there(&evidence.system_addresses_at(0));
    let is_forged = (!provider.addresses.is_empty() && !is_there(&provider.addresses))
        || provider.addresses.iter().any(|address| evidence.fingerprints.address(*address).is_some())
        || provider.cnames.iter().any(|alias| evidence.fingerprints.alias(alias).is_some());
    let rule = match failure {
        _ if is_forged => "dns.provider.forged",
        Some(Failure::DnsNxdomain | Failure::DnsNoAnswer) => "dns.provider.denied",
        _ => return None,
    };
    is_fine.then(|| Finding::tampered(Layer::Dns, rule).on(0))
}

fn is_given(answer: &DnsAnswer) -> bool {
    answer.addresses.iter().any(|address| is_public(*address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tests::{Builder, assert_judged};
    use faultline_model::{Fact, HttpFact, LayerStatus};

    const SITE: &str = "157.240.0.35";
    const OTHER: &str = "203.82.50.1";

    fn control() -> ControlFact {
        ControlFact {
            addresses: vec![SITE.parse().expect("an address")],
            http_status: 200,
            ..ControlFact::default()
        }
    }

    /// A DNS step whose answer carries marks.
    fn marked(
        page: Builder,
        engine: Engine,
        (addresses, failure): (&[&str], Option<Failure>),
        mark: fn(&mut DnsAnswer),
    ) -> Builder {
        let hostname = page.0.target.host().to_owned();
        let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        let mut answer = DnsAnswer { hostname, addresses, ..DnsAnswer::default() };
        mark(&mut answer);
        page.step(Layer::Dns, engine, Fact::Dns(answer), failure)
    }

    fn page() -> Builder {
        Builder::new("http://www.facebook.com/")
    }

    fn shown(page: Builder) -> Builder {
        let fact = HttpFact { status: 200, url: "http://www.facebook.com/".into(), ..HttpFact::default() };
        page.tcp(None).step(Layer::Http, Engine::System, Fact::Http(fact), None)
    }

    #[test]
    fn a_denial_of_what_a_signed_zone_says_is_disproved() {
        let denied = || page().dns(Engine::System, &[], Some(Failure::DnsNxdomain));
        let proven = marked(denied(), Engine::Doh, (&[SITE], None), |answer| answer.is_authentic = true);
        let (class, blocked) = (Class::DnsNxdomain, LayerStatus::Blocked);
        assert_judged(&proven, &[control()], class, blocked, "dns.nxdomain.disproved");
        assert_judged(&proven, &[], class, LayerStatus::Insufficient, "dns.nxdomain.disproved");
        let plain = marked(denied(), Engine::Udp, (&[SITE], None), |answer| answer.is_authentic = true);
        assert_judged(&plain, &[control()], class, blocked, "dns.nxdomain");
    }

    #[test]
    fn a_denial_from_a_zone_of_the_resolvers_own_is_told_from_one_of_the_name() {
        let own = |answer: &mut DnsAnswer| answer.is_authoritative = true;
        let denied = || marked(page(), Engine::System, (&[], Some(Failure::DnsNxdomain)), own);
        let (class, blocked) = (Class::DnsNxdomain, LayerStatus::Blocked);
        let contradicted = denied().dns(Engine::Dot, &[SITE], None);
        assert_judged(&contradicted, &[control()], class, blocked, "dns.nxdomain.own_zone");
        assert_judged(&denied(), &[control()], class, blocked, "dns.nxdomain");
    }

    #[test]
    fn replies_to_questions_that_nobody_asked_are_an_injectors() {
        for failure in [Failure::Timeout, Failure::DnsMisbehaving] {
            let page =
                marked(page(), Engine::System, (&[], Some(failure)), |answer| answer.foreign_replies = 2);
            let blocked = LayerStatus::Blocked;
            assert_judged(&page, &[control()], Class::DnsInjected, blocked, "dns.injection.foreign");
            let down = ControlFact { failed_at: Some(Layer::Dns), ..ControlFact::default() };
            assert_judged(&page, &[down], Class::DnsInjected, LayerStatus::Down, "dns.injection.foreign");
        }
    }

    #[test]
    fn an_address_from_a_zone_of_the_resolvers_own_is_forged_unless_the_site_proves_itself_there() {
        let own = |answer: &mut DnsAnswer| answer.is_authoritative = true;
        let answered =
            |page| marked(page, Engine::System, (&[OTHER], None), own).dns(Engine::Doh, &[SITE], None);
        let reset = |page: Builder| page.tcp(Some(Failure::ConnectionReset));
        let forged = reset(answered(page()).dns(Engine::Udp, &[SITE], None));
        let (class, blocked) = (Class::DnsInjected, LayerStatus::Blocked);
        assert_judged(&forged, &[control()], class, blocked, "dns.forged.own_zone");
        let router = reset(marked(answered(page()), Engine::Udp, (&[SITE], None), own));
        assert_judged(&router, &[control()], Class::TcpReset, blocked, "tcp.reset");
        let secure = Builder::new("https://www.facebook.com/");
        let proven = answered(secure).dns(Engine::Udp, &[SITE], None).tcp(None).tls(Engine::System, None);
        assert_judged(&proven, &[control()], Class::Ok, LayerStatus::Ok, "ok");
    }

    #[test]
    fn a_providers_resolver_that_lies_is_seen_where_the_way_took_another() {
        let tampered = LayerStatus::Tampered;
        let used = || page().dns(Engine::System, &[SITE], None).dns(Engine::Doh, &[SITE], None);
        let denied = shown(used().dns(Engine::Isp, &[], Some(Failure::DnsNxdomain)));
        assert_judged(&denied, &[control()], Class::Ok, tampered, "dns.provider.denied");
        let forged = shown(used().dns(Engine::Isp, &["10.10.34.35"], None));
        assert_judged(&forged, &[control()], Class::Ok, tampered, "dns.provider.forged");
        let silent = shown(used().dns(Engine::Isp, &[], Some(Failure::Timeout)));
        assert_judged(&silent, &[control()], Class::Ok, LayerStatus::Ok, "ok");
        let elsewhere = shown(used().dns(Engine::Isp, &[OTHER], None));
        assert_judged(&elsewhere, &[control()], Class::Ok, LayerStatus::Ok, "ok");
    }
}
