//! Notes combinations of who, whom and how that mean nothing.

use super::super::check::Notes;
use super::super::raw;
use super::super::{How, Rule, Scenario, Who, Whom};

/// Notes what does not fit together in a rule.
pub(super) fn fit(notes: &mut Notes<'_>, scenario: &Scenario, raw: &raw::Rule, rule: &Rule) {
    let at = raw.how.span().start;
    for message in place(rule).into_iter().chain(names(scenario, rule)) {
        notes.add(at, "how", message);
    }
    if let Some(message) = subject(rule) {
        notes.add(at, "whom", message);
    }
}

/// Whether it can be done there.
fn place(rule: &Rule) -> Option<&'static str> {
    let at_site =
        matches!(rule.how, How::SiteGone | How::SiteRefuses | How::GeoBlock(_) | How::BadCertificate(None));
    if at_site != (rule.who == Who::Site) {
        return Some("site_down, geo_block and who = \"site\" belong together");
    }
    if matches!(rule.how, How::CoordinatorDown) != (rule.who == Who::Coordinator) {
        return Some("coordinator_down and who = \"coordinator\" belong together");
    }
    match (&rule.how, &rule.who) {
        (How::DnsForge(_), Who::Gateway(_)) => {
            Some("a gateway has no resolver; forge at a provider or at the nation, or inject on the path")
        }
        (How::DnsForge(_), Who::Agents(_) | Who::Region(_)) => {
            Some("a resolver answers all subscribers alike; forge at a provider or at the nation")
        }
        (How::BadCertificate(_), Who::Gateway(_)) => {
            Some("answers may come by another gateway; act at a provider or at the nation")
        }
        (How::CaptivePortal(_), Who::Agents(_)) => None,
        (How::CaptivePortal(_), _) => Some("a captive portal sits on one line; who = \"agent:NAME/NUMBER\""),
        (How::PowerCut, Who::Gateway(_)) => Some("a power cut hits agents, not a gateway"),
        _ => None,
    }
}

/// Whether it can be told by names or addresses.
fn names(scenario: &Scenario, rule: &Rule) -> Option<&'static str> {
    let by_name = matches!(
        rule.how,
        How::DnsForge(_)
            | How::DnsInject(_)
            | How::SniReset
            | How::SniDrop
            | How::SniClose
            | How::HttpReset
            | How::HttpDrop
            | How::HttpClose
            | How::HttpBlockpage(_)
    );
    let named_addresses = matches!(&rule.whom, Whom::Named { addresses, .. } if !addresses.is_empty());
    if by_name && named_addresses {
        return Some("acts on names; addresses need address_drop or address_refuse");
    }
    if by_name && rule.whom == Whom::Coordinator && scenario.coordinator_host.is_none() {
        return Some("acts on names, and the coordinator has none; give [coordinator] a host");
    }
    if by_name && rule.whom == Whom::Foreign {
        return Some("acts on names; foreign is told by addresses, with address_drop or blackhole");
    }
    None
}

/// Whether it can be done to that.
fn subject(rule: &Rule) -> Option<&'static str> {
    match (&rule.how, &rule.whom) {
        (How::SiteGone | How::SiteRefuses | How::GeoBlock(_) | How::BadCertificate(None), whom) => {
            let is_named = matches!(whom, Whom::Named { .. });
            (!is_named).then_some("what sites do names its hosts")
        }
        (How::BadCertificate(_), Whom::Coordinator) => Some("the coordinator's port is not intercepted"),
        (How::Blackhole, Whom::Named { .. } | Whom::Coordinator) => {
            Some("blackhole takes everything; use address_drop for some hosts")
        }
        (How::PowerCut | How::CaptivePortal(_), whom) if *whom != Whom::Everything => {
            Some("takes everything; leave whom out")
        }
        (How::CoordinatorDown, whom) if *whom != Whom::Coordinator => {
            Some("coordinator_down names nobody else")
        }
        _ => None,
    }
}
