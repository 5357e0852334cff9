//! Reads the hosts of the world: `[[site]]` blocks, the list's hosts, and the coordinator.

use super::check::{Notes, public_address};
use super::raw::HowName;
use super::{Certificate, Content, Landmark, Scenario, Serves, Site, raw};
use crate::country::addresses::{Pool, Prefix};
use crate::country::list::{DOMESTIC, List, ListedTarget};
use crate::country::world::dns::Answer;
use faultline_model::{Asn, Role, Target};
use std::net::{IpAddr, Ipv4Addr};
use toml::Spanned;

/// The host whose certificate an impostor presents, unless a rule names another.
pub(super) const IMPOSTOR: &str = "impostor.invalid";
/// The host that answers at a captive portal, unless a rule names another.
pub(super) const PORTAL: &str = "portal.invalid";
const MEDIA_BYTES: usize = 64 * 1024;
/// Hosts within a network get addresses from this offset on; agents begin at 100.
const FIRST_INSIDE: u32 = 60;

pub(super) fn coordinator(notes: &mut Notes<'_>, raw: Option<&raw::Coordinator>) -> Ipv4Addr {
    let given = raw.and_then(|c| c.address.as_ref());
    given.and_then(|text| public_address(notes, text, "address")).unwrap_or(Ipv4Addr::new(116, 202, 1, 10))
}

/// Reads the coordinator's name, which is nobody else's.
pub(super) fn coordinator_host(notes: &mut Notes<'_>, list: &List, file: &raw::File) -> Option<String> {
    let given = file.coordinator.as_ref()?.host.as_ref()?;
    let host = given.get_ref().to_ascii_lowercase();
    let taken = list.targets.iter().any(|listed| listed.target.host() == host)
        || file.site.iter().any(|site| site.host.get_ref().eq_ignore_ascii_case(&host));
    if taken {
        notes.add(given.span().start, "host", format!("{host:?} is already the name of a site"));
    }
    if !host.contains('.') || host.parse::<IpAddr>().is_ok() {
        notes.add(given.span().start, "host", format!("{host:?} is no full host name"));
    }
    Some(host)
}

/// Reads all sites: those of the file, the providers' landmarks, and the rest of the list's hosts.
pub(super) fn sites(notes: &mut Notes<'_>, scenario: &mut Scenario, file: &raw::File) {
    let mut pools = Pools::new(scenario);
    for entry in &file.site {
        let host = entry.host.get_ref().to_ascii_lowercase();
        if scenario.sites.iter().any(|site| site.host == host) {
            notes.add(entry.host.span().start, "host", format!("{host:?} occurs twice"));
            continue;
        }
        let inside = entry.inside.as_ref().and_then(|name| network(notes, scenario, name));
        let given = entry.address.as_ref().and_then(|text| public_address(notes, text, "address"));
        let address = pools.place(scenario, inside, given);
        if let (Some(text), false) = (&entry.address, pools.is_home(inside, address)) {
            let message = format!("{address} does not lie where the site stands");
            notes.add(text.span().start, "address", message);
        }
        if entry.canary {
            canary(notes, scenario, entry, &host);
        }
        let content = content(notes, entry, &host);
        let dns = entry.dns.as_ref().and_then(|text| odd_answer(notes, text));
        scenario.sites.push(Site {
            challenge: entry.challenge,
            serves: entry.serves,
            certificate: entry.certificate,
            dns,
            ..plain(host, address, content, (entry.http, inside))
        });
    }
    for (raw, provider) in file.provider.iter().zip(scenario.providers.clone()) {
        for name in &raw.landmarks {
            let host = name.get_ref().to_ascii_lowercase();
            if scenario.sites.iter().any(|site| site.host == host) {
                notes.add(name.span().start, "landmarks", format!("{host:?} occurs twice"));
                continue;
            }
            let address = pools.place(scenario, Some(provider.asn), None);
            let content = Content::Page { title: provider.name.clone(), body: None, short: false };
            let inside = Some(provider.asn);
            scenario.landmarks.push(Landmark { host: host.clone(), asn: provider.asn });
            scenario.sites.push(plain(host, address, content, (false, inside)));
        }
    }
    super::endpoints::endpoints(notes, scenario, file, &mut pools.outside);
    for listed in scenario.list.targets.clone() {
        let host = listed.target.host();
        if scenario.sites.iter().all(|site| site.host != host) {
            let content = match listed.role {
                Role::Media => Content::Media(MEDIA_BYTES),
                Role::Site | Role::AppApi => {
                    Content::Page { title: listed.service_name.clone(), body: None, short: false }
                }
            };
            let address = pools.place(scenario, None, None);
            scenario.sites.push(plain(host.to_owned(), address, content, (false, None)));
        }
    }
    stand_ins(scenario, &mut pools, file);
}

/// Makes a site with nothing odd about it.
pub(super) const fn plain(
    host: String,
    address: Ipv4Addr,
    content: Content,
    (clear, inside): (bool, Option<Asn>),
) -> Site {
    let (serves, certificate) = (Serves::Itself, Certificate::Good);
    Site { host, address, content, clear, challenge: false, serves, certificate, dns: None, inside }
}

/// Reads what true resolvers answer for a name that does not lead to its site.
fn odd_answer(notes: &mut Notes<'_>, text: &Spanned<String>) -> Option<Answer> {
    match text.get_ref().as_str() {
        "none" => Some(Answer::NoSuchName),
        "empty" => Some(Answer::Empty),
        other => {
            let bad = format!("{other:?} is neither none nor empty nor an IPv4 address");
            let read = other.parse().map_err(|_| bad);
            notes.keep(text.span().start, "dns", read).map(Answer::Address)
        }
    }
}

/// Adds the hosts that answer for others where a rule needs one and names none.
fn stand_ins(scenario: &mut Scenario, pools: &mut Pools, file: &raw::File) {
    let needs = |how: HowName| {
        file.rule.iter().any(|rule| {
            *rule.how.get_ref() == how && rule.address.is_none() && !super::rules::how::is_at_site(rule)
        })
    };
    for (how, host) in [(HowName::BadCertificate, IMPOSTOR), (HowName::CaptivePortal, PORTAL)] {
        if needs(how) {
            let address = pools.place(scenario, None, None);
            let content =
                Content::Page { title: "Sign in to this network".to_owned(), body: None, short: false };
            scenario.sites.push(plain(host.to_owned(), address, content, (true, None)));
        }
    }
}

/// Finds the network that a site stands in, by name or ASN.
fn network(notes: &mut Notes<'_>, scenario: &Scenario, name: &Spanned<String>) -> Option<Asn> {
    let text = name.get_ref();
    let hosting = scenario.hostings.iter().find(|h| h.name == *text || h.asn.get().to_string() == *text);
    let found = hosting.map(|h| h.asn).or_else(|| scenario.provider(text).map(|p| p.asn));
    if found.is_none() {
        notes.add(name.span().start, "inside", format!("no [[provider]] or [[hosting]] is {text:?}"));
    }
    found
}

/// Puts a site on the list of the run, as a canary that nobody has a reason to block.
fn canary(notes: &mut Notes<'_>, scenario: &mut Scenario, raw: &raw::Site, host: &str) {
    let at = raw.host.span().start;
    if raw.inside.is_none() {
        notes.add(at, "canary", "only a site within the country can be a domestic canary");
    }
    if let Some(target) = notes.keep(at, "host", Target::new(&format!("https://{host}/"))) {
        scenario.list.targets.push(ListedTarget {
            target,
            service: DOMESTIC.to_owned(),
            service_name: "Domestic canary".to_owned(),
            category: "CTRL".to_owned(),
            role: Role::Site,
        });
    }
}

/// Where addresses come from.
struct Pools {
    outside: Pool,
    inside: Vec<(Asn, Prefix, u32)>,
}

impl Pools {
    fn new(scenario: &Scenario) -> Self {
        let mut outside = Pool::new(Prefix::new(Ipv4Addr::new(151, 101, 0, 0), 16));
        outside.take(scenario.coordinator);
        for resolver in &scenario.list.resolvers {
            if let IpAddr::V4(address) = resolver.doh_address.ip() {
                outside.take(address);
            }
        }
        let providers = scenario.providers.iter().map(|p| (p.asn, p.prefix));
        let networks = providers.chain(scenario.hostings.iter().map(|h| (h.asn, h.prefix)));
        Self { outside, inside: networks.map(|(asn, prefix)| (asn, prefix, FIRST_INSIDE)).collect() }
    }

    /// Returns the given address, or the next free one of the network.
    fn place(&mut self, scenario: &Scenario, inside: Option<Asn>, given: Option<Ipv4Addr>) -> Ipv4Addr {
        if let Some(address) = given {
            self.outside.take(address);
            return address;
        }
        let Some((_, prefix, next)) = self.inside.iter_mut().find(|(asn, ..)| Some(*asn) == inside) else {
            return self.outside.deal();
        };
        loop {
            let address = prefix.at(*next);
            *next += 1;
            if scenario.sites.iter().all(|site| site.address != address) {
                return address;
            }
        }
    }

    /// Says whether an address lies in the network, or outside all of them for sites outside.
    fn is_home(&self, inside: Option<Asn>, address: Ipv4Addr) -> bool {
        self.inside.iter().all(|(asn, prefix, _)| prefix.contains(address) == (inside == Some(*asn)))
    }
}

fn content(notes: &mut Notes<'_>, raw: &raw::Site, host: &str) -> Content {
    if let Some(redirect) = &raw.redirect {
        if url::Url::parse(redirect.get_ref()).is_err() {
            notes.add(redirect.span().start, "redirect", format!("{:?} is not a URL", redirect.get_ref()));
        }
        return Content::Redirect(redirect.get_ref().clone());
    }
    if let Some(location) = &raw.location {
        return Content::Redirect(location.clone());
    }
    match raw.media_bytes {
        Some(bytes) => Content::Media(bytes),
        None => Content::Page {
            title: raw.title.clone().unwrap_or_else(|| host.to_owned()),
            body: raw.body.clone(),
            short: raw.short,
        },
    }
}
