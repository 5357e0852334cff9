//! Reads `[[rule]]` blocks: who does what to whom, when and how.

use super::check::Notes;
use super::raw::{self, HowName, SiteDownMode};
use super::{How, Rule, Scenario, Who, Whom, is_under};
use faultline_model::Asn;
use std::net::Ipv4Addr;
use std::time::Duration;
use toml::Spanned;

/// Reads one block; `None` when it has problems, which are noted.
pub(super) fn rule(notes: &mut Notes<'_>, scenario: &Scenario, raw: &raw::Rule) -> Option<Rule> {
    let who = who(notes, scenario, raw);
    let how = how(notes, raw);
    let whom = whom(notes, scenario, raw);
    let span = times(notes, scenario, raw);
    let rule = Rule { who: who?, whom: whom?, from: span?.0, to: span?.1, how: how? };
    fit(notes, raw, &rule);
    Some(rule)
}

fn who(notes: &mut Notes<'_>, scenario: &Scenario, raw: &raw::Rule) -> Option<Who> {
    let at = raw.who.span().start;
    let texts = &raw.who.get_ref().0;
    if let [one] = texts.as_slice() {
        match one.as_str() {
            "nation" => return Some(Who::Nation),
            "site" => return Some(Who::Site),
            _ => {}
        }
        if let Some(number) = one.strip_prefix("gateway:") {
            let found =
                scenario.gateways.iter().find(|g| g.asn.get().to_string() == number || g.name == number);
            if found.is_none() {
                notes.add(at, "who", format!("no [[gateway]] is {number:?}"));
            }
            return found.map(|gateway| Who::Gateway(gateway.asn));
        }
    }
    let mut asns: Vec<Asn> = Vec::new();
    for text in texts {
        let Some(name) = text.strip_prefix("provider:") else {
            notes.add(at, "who", format!("{text:?} is none of provider:ASN, gateway:ASN, nation, site"));
            return None;
        };
        let Some(provider) = scenario.provider(name) else {
            notes.add(at, "who", format!("no [[provider]] is {name:?}"));
            return None;
        };
        asns.push(provider.asn);
    }
    if asns.is_empty() {
        notes.add(at, "who", "names nobody");
        return None;
    }
    Some(Who::Providers(asns))
}

fn how(notes: &mut Notes<'_>, raw: &raw::Rule) -> Option<How> {
    let name = *raw.how.get_ref();
    if let Some(address) = raw.address.as_ref().filter(|_| name != HowName::DnsForge) {
        notes.add(address.span().start, "address", "only dns_forge answers an address");
    }
    if let Some(mode) = raw.mode.as_ref().filter(|_| name != HowName::SiteDown) {
        notes.add(mode.span().start, "mode", "only site_down has a mode");
    }
    Some(match name {
        HowName::DnsForge => How::DnsForge(match &raw.address {
            None => None,
            Some(text) => {
                let read = text.get_ref().parse::<Ipv4Addr>();
                let bad = format!("{:?} is not an IPv4 address", text.get_ref());
                Some(notes.keep(text.span().start, "address", read.map_err(|_| bad))?)
            }
        }),
        HowName::AddressDrop => How::AddressDrop,
        HowName::AddressRefuse => How::AddressRefuse,
        HowName::SniReset => How::SniReset,
        HowName::SniDrop => How::SniDrop,
        HowName::Blackhole => How::Blackhole,
        HowName::SiteDown if raw.mode.as_ref().is_some_and(|m| *m.get_ref() == SiteDownMode::Refuse) => {
            How::SiteRefuses
        }
        HowName::SiteDown => How::SiteGone,
    })
}

fn whom(notes: &mut Notes<'_>, scenario: &Scenario, raw: &raw::Rule) -> Option<Whom> {
    let Some(given) = &raw.whom else {
        if *raw.how.get_ref() == HowName::Blackhole {
            return Some(Whom::Everything);
        }
        notes.add(
            raw.how.span().start,
            "whom",
            "is missing; name hosts, service:ID, addresses or everything",
        );
        return None;
    };
    let at = given.span().start;
    let (mut hosts, mut addresses) = (Vec::new(), Vec::new());
    for text in &given.get_ref().0 {
        if text == "everything" {
            if given.get_ref().0.len() > 1 {
                notes.add(at, "whom", "\"everything\" stands alone");
            }
            return Some(Whom::Everything);
        }
        if let Some(service) = text.strip_prefix("service:") {
            let own = scenario.list.hosts_of(service);
            if own.is_empty() {
                notes.add(at, "whom", format!("the list has no service {service:?}"));
            }
            hosts.extend(own);
        } else if let Ok(address) = text.parse::<Ipv4Addr>() {
            addresses.push(address);
        } else {
            let name = text.to_ascii_lowercase();
            if !is_served(scenario, &name) {
                notes.add(
                    at,
                    "whom",
                    format!("nobody serves {text:?}: no target, [[site]] or resolver has it"),
                );
            }
            hosts.push(name);
        }
    }
    if hosts.is_empty() && addresses.is_empty() {
        notes.add(at, "whom", "names nothing");
        return None;
    }
    Some(Whom::Named { hosts, addresses })
}

fn is_served(scenario: &Scenario, name: &str) -> bool {
    let resolvers = scenario.list.resolvers.iter().filter_map(|r| r.doh_url.host_str());
    scenario.sites.iter().map(|site| site.host.as_str()).chain(resolvers).any(|host| is_under(host, name))
}

fn times(notes: &mut Notes<'_>, scenario: &Scenario, raw: &raw::Rule) -> Option<(Duration, Duration)> {
    let from = moment(notes, raw.from.as_ref(), "from", Duration::ZERO)?;
    let to = moment(notes, raw.to.as_ref(), "to", scenario.length)?;
    if let Some(late) = raw.to.as_ref().filter(|_| to > scenario.length) {
        let message = format!("lies after the end of the run ({} s)", scenario.length.as_secs());
        notes.add(late.span().start, "to", message);
        return None;
    }
    if from >= to {
        let at = raw.from.as_ref().or(raw.to.as_ref()).map_or(raw.how.span().start, |text| text.span().start);
        notes.add(at, "from", format!("must lie before to ({} s)", to.as_secs()));
        return None;
    }
    Some((from, to))
}

fn moment(
    notes: &mut Notes<'_>,
    text: Option<&Spanned<String>>,
    key: &str,
    or: Duration,
) -> Option<Duration> {
    let Some(text) = text else { return Some(or) };
    let read = seconds(text.get_ref());
    if read.is_none() {
        let message = format!("{:?} is not a moment; write it as \"90s\" or \"2m\"", text.get_ref());
        notes.add(text.span().start, key, message);
    }
    read
}

fn seconds(text: &str) -> Option<Duration> {
    let (digits, factor) = match text.strip_suffix('s') {
        Some(digits) => (digits, 1.0),
        None => (text.strip_suffix('m')?, 60.0),
    };
    let number: f64 = digits.parse().ok()?;
    Duration::try_from_secs_f64(number * factor).ok()
}

/// Notes combinations that mean nothing.
fn fit(notes: &mut Notes<'_>, raw: &raw::Rule, rule: &Rule) {
    let at = raw.how.span().start;
    let at_site = matches!(rule.how, How::SiteGone | How::SiteRefuses);
    if at_site != (rule.who == Who::Site) {
        notes.add(at, "how", "site_down and who = \"site\" belong together");
    }
    if matches!(rule.how, How::DnsForge(_)) && matches!(rule.who, Who::Gateway(_)) {
        notes.add(at, "how", "a gateway has no resolver; forge at a provider or at the nation");
    }
    let named_addresses = matches!(&rule.whom, Whom::Named { addresses, .. } if !addresses.is_empty());
    if named_addresses && matches!(rule.how, How::DnsForge(_) | How::SniReset | How::SniDrop) {
        notes.add(at, "how", "acts on names; addresses need address_drop or address_refuse");
    }
    if at_site && rule.whom == Whom::Everything {
        notes.add(at, "whom", "site_down names its hosts");
    }
    if rule.how == How::Blackhole && rule.whom != Whom::Everything {
        notes.add(at, "whom", "blackhole takes everything; use address_drop for some hosts");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_seconds_or_minutes() {
        assert_eq!(seconds("90s"), Some(Duration::from_secs(90)));
        assert_eq!(seconds("1.5m"), Some(Duration::from_secs(90)));
        for bad in ["", "90", "s", "-1s", "1h", "NaNs"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
