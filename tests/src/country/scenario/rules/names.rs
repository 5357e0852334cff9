//! Reads `who` and `whom`: names that have to exist.

use super::super::check::Notes;
use super::super::raw::{self, HowName};
use super::super::{Scenario, Seat, Who, Whom, is_under};
use crate::country::addresses::four;
use faultline_model::{Access, Asn};
use std::net::IpAddr;

const WHO: &str =
    "provider:ASN, agent:ASN/NUMBER, region:NAME, gateway:ASN, nation, mobile, fixed, site, coordinator";

/// Reads where a rule acts.
pub(super) fn who(notes: &mut Notes<'_>, scenario: &Scenario, raw: &raw::Rule) -> Option<Who> {
    let texts = &raw.who.get_ref().0;
    let read = match texts.as_slice() {
        [] => Err("names nobody".to_owned()),
        [one] => one_place(scenario, one),
        many if many.iter().all(|text| text.starts_with("agent:")) => {
            many.iter().map(|text| seat(scenario, text)).collect::<Result<_, _>>().map(Who::Agents)
        }
        many => {
            many.iter().map(|text| provider(scenario, text)).collect::<Result<_, _>>().map(Who::Providers)
        }
    };
    notes.keep(raw.who.span().start, "who", read)
}

fn one_place(scenario: &Scenario, text: &str) -> Result<Who, String> {
    match text {
        "nation" => return Ok(Who::Nation),
        "site" => return Ok(Who::Site),
        "coordinator" => return Ok(Who::Coordinator),
        "mobile" => return access(scenario, Access::Mobile),
        "fixed" => return access(scenario, Access::Fixed),
        _ => {}
    }
    if let Some(name) = text.strip_prefix("gateway:") {
        let found = scenario.gateways.iter().find(|g| g.asn.get().to_string() == name || g.name == name);
        return found.map(|g| Who::Gateway(g.asn)).ok_or_else(|| format!("no [[gateway]] is {name:?}"));
    }
    if let Some(name) = text.strip_prefix("region:") {
        let is_known = scenario.providers.iter().any(|p| p.regions.iter().any(|region| region == name));
        let missing = || format!("no [[provider]] has agents in region {name:?}");
        return is_known.then(|| Who::Region(name.to_owned())).ok_or_else(missing);
    }
    if text.starts_with("agent:") {
        return Ok(Who::Agents(vec![seat(scenario, text)?]));
    }
    Ok(Who::Providers(vec![provider(scenario, text)?]))
}

fn access(scenario: &Scenario, access: Access) -> Result<Who, String> {
    let is_known = scenario.providers.iter().any(|p| p.access == access);
    is_known.then_some(Who::Access(access)).ok_or_else(|| "no [[provider]] has this access".to_owned())
}

fn provider(scenario: &Scenario, text: &str) -> Result<Asn, String> {
    let name = text.strip_prefix("provider:").ok_or_else(|| format!("{text:?} is none of {WHO}"))?;
    let found = scenario.provider(name);
    found.map(|provider| provider.asn).ok_or_else(|| format!("no [[provider]] is {name:?}"))
}

fn seat(scenario: &Scenario, text: &str) -> Result<Seat, String> {
    let wrong = || format!("{text:?} is none of {WHO}");
    let (name, number) = text.strip_prefix("agent:").and_then(|t| t.rsplit_once('/')).ok_or_else(wrong)?;
    let number: usize = number.parse().map_err(|_| wrong())?;
    let provider = scenario.provider(name).ok_or_else(|| format!("no [[provider]] is {name:?}"))?;
    let count = provider.agents.len();
    if (1..=count).contains(&number) {
        Ok(Seat { asn: provider.asn, number })
    } else {
        Err(format!("{} has agents 1 to {count}", provider.name))
    }
}

/// Reads what a rule acts on.
pub(super) fn whom(notes: &mut Notes<'_>, scenario: &Scenario, raw: &raw::Rule) -> Option<Whom> {
    let Some(given) = &raw.whom else {
        match raw.how.get_ref() {
            HowName::Blackhole | HowName::PowerCut | HowName::CaptivePortal | HowName::Congestion => {
                return Some(Whom::Everything);
            }
            HowName::CoordinatorDown => return Some(Whom::Coordinator),
            _ => {}
        }
        notes.add(
            raw.how.span().start,
            "whom",
            "is missing; name hosts, service:ID, addresses, coordinator, foreign or everything",
        );
        return None;
    };
    let at = given.span().start;
    let (mut hosts, mut addresses) = (Vec::new(), Vec::new());
    for text in &given.get_ref().0 {
        let whole = match text.as_str() {
            "everything" => Some(Whom::Everything),
            "foreign" => Some(Whom::Foreign),
            "coordinator" => Some(Whom::Coordinator),
            _ => None,
        };
        if let Some(whole) = whole {
            if given.get_ref().0.len() > 1 {
                notes.add(at, "whom", format!("{text:?} stands alone"));
            }
            return Some(whole);
        }
        if let Some(service) = text.strip_prefix("service:") {
            let own = scenario.list.hosts_of(service);
            if own.is_empty() {
                notes.add(at, "whom", format!("the list has no service {service:?}"));
            }
            hosts.extend(own);
        } else if let Ok(address) = text.parse::<IpAddr>() {
            let nobodys = || format!("{address} is nobody's address in the emulated internet");
            addresses.extend(notes.keep(at, "whom", four(address).ok_or_else(nobodys)));
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
