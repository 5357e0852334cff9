//! Scenario files: who is in the country, what lies outside, and what the censor does when.
//!
//! [`Scenario::read`] turns a file into checked values; `docs/scenarios.md` describes the format. Everything that
//! a scenario names exists: gateways, services, hosts and providers are resolved here, so that the rest never
//! meets a dangling name.

mod check;
mod endpoints;
mod expected;
mod networks;
mod raw;
mod rule;
mod rules;
mod site;
mod sites;

use super::addresses::Prefix;
use super::list::{List, ListedTarget};
use faultline_model::{Access, Asn, CountryCode, Verdict};
use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use endpoints::Endpoint;
pub use networks::Network;
pub use rule::{How, Rule, Seat, Who, Whom};
pub use site::{Certificate, Content, Serves, Site};

/// A scenario whose names all exist.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name: the key `name`, or the file's stem.
    pub name: String,
    /// The country.
    pub country: CountryCode,
    /// The country's name in English.
    pub country_name: String,
    /// Minutes to add to UTC for local time.
    pub utc_offset_min: i32,
    /// The short name of local time.
    pub time_zone: Option<String>,
    /// The task list that operators push.
    pub list: List,
    /// A recorded baseline of ordinary days, to shorten the quiet stretch.
    pub baseline: Option<PathBuf>,
    /// Length of the timeline.
    pub length: Duration,
    /// Seeds chance: loss, jitter and chaos.
    pub seed: u64,
    /// Everybody has IPv6 beside IPv4.
    pub six: bool,
    /// The coordinator's public address.
    pub coordinator: Ipv4Addr,
    /// The name by which agents reach it; without one they use the address.
    pub coordinator_host: Option<String>,
    /// Gateways in the file's order.
    pub gateways: Vec<Gateway>,
    /// Providers in the file's order.
    pub providers: Vec<Provider>,
    /// Networks of the country that host sites and have no subscribers.
    pub hostings: Vec<Hosting>,
    /// Controls in the file's order.
    pub controls: Vec<Control>,
    /// All sites, outside and inside.
    pub sites: Vec<Site>,
    /// The far ends of circumvention checks.
    pub endpoints: Vec<Endpoint>,
    /// Public hosts in providers' networks, which controls look at from outside.
    pub landmarks: Vec<Landmark>,
    /// What the censor does.
    pub rules: Vec<Rule>,
    /// The incidents to expect; `None` = those that follow from the rules, empty = none.
    pub expect: Option<Vec<Expect>>,
    /// Incidents that are neither right nor wrong.
    pub tolerated: Vec<Tolerated>,
    /// Events that were announced beforehand.
    pub events: Vec<Event>,
    /// What an authority claims of every incident.
    pub claim: Option<String>,
}

/// An announced event, from the start of the timeline; it may lie beyond the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// When it begins.
    pub from: Duration,
    /// When it ends.
    pub to: Duration,
}

/// A network through which providers reach the outside.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Its number.
    pub asn: Asn,
    /// Its name.
    pub name: String,
    /// The address of its router.
    pub router: Ipv4Addr,
    /// Its link to the outside carries no more than that, each way.
    pub rate_kbit_s: Option<u32>,
}

/// A provider with its subscribers' line.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its number.
    pub asn: Asn,
    /// The name that customers know.
    pub name: String,
    /// Fixed or mobile.
    pub access: Access,
    /// Its share of the country's users.
    pub user_share: f64,
    /// The gateways that it buys transit from, the main one first.
    pub upstreams: Vec<Asn>,
    /// Its addresses.
    pub prefix: Prefix,
    /// Its router.
    pub router: Ipv4Addr,
    /// Its resolver.
    pub resolver: Ipv4Addr,
    /// The address of the host where people get a shell.
    pub shell: Ipv4Addr,
    /// Its agents' addresses.
    pub agents: Vec<Ipv4Addr>,
    /// The regions that its agents live in, in turn.
    pub regions: Vec<String>,
    /// What its line does to packets.
    pub line: Line,
    /// Each subscriber's line carries no more than that, each way.
    pub rate_kbit_s: Option<u32>,
}

/// A network of the country that hosts sites: it reaches every provider without leaving the country.
#[derive(Clone, Debug)]
pub struct Hosting {
    /// Its number.
    pub asn: Asn,
    /// Its name.
    pub name: String,
    /// The gateway by which the outside reaches it.
    pub upstream: Asn,
    /// Its addresses.
    pub prefix: Prefix,
    /// Its router.
    pub router: Ipv4Addr,
}

/// A public host in a provider's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landmark {
    /// Its host name.
    pub host: String,
    /// The provider.
    pub asn: Asn,
}

/// What a line does to every packet, in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Line {
    /// Fixed delay, milliseconds.
    pub delay_ms: u32,
    /// The most that is added to the delay by chance, milliseconds.
    pub jitter_ms: u32,
    /// Packets lost, percent.
    pub loss_percent: f64,
}

impl Line {
    /// Returns what two lines do one after the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let kept = (1.0 - self.loss_percent / 100.0) * (1.0 - other.loss_percent / 100.0);
        Self {
            delay_ms: self.delay_ms + other.delay_ms,
            jitter_ms: self.jitter_ms + other.jitter_ms,
            loss_percent: (1.0 - kept) * 100.0,
        }
    }
}

/// A control vantage point outside the country.
#[derive(Clone, Debug)]
pub struct Control {
    /// Its network.
    pub asn: Asn,
    /// Its network's name.
    pub name: String,
    /// Its country.
    pub country: CountryCode,
    /// Its network's addresses.
    pub prefix: Prefix,
    /// Its address.
    pub address: Ipv4Addr,
}

/// An incident that ought to be published.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Its verdict.
    pub verdict: Verdict,
    /// Its networks; `None` = those that follow from the rules.
    pub asns: Option<Vec<Asn>>,
    /// Its targets; `None` = those that follow from the rules.
    pub targets: Option<Vec<String>>,
    /// The gateway that explains it.
    pub transit: Option<Asn>,
}

/// An incident that is neither right nor wrong.
#[derive(Clone, Debug)]
pub struct Tolerated {
    /// Its verdict; `None` = any.
    pub verdict: Option<Verdict>,
    /// Its networks; `None` = any.
    pub asns: Option<Vec<Asn>>,
    /// Its targets; `None` = any.
    pub targets: Option<Vec<String>>,
}

/// A scenario file that cannot be used: every problem with its place.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file says something that cannot be.
    #[error("{}", lines(.0))]
    Bad(Vec<Problem>),
}

/// One problem of a scenario file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The key at fault.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path.display(), self.line, self.key, self.message)
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Scenario {
    /// Reads and checks a scenario file with the task list that it names.
    ///
    /// # Errors
    /// Lists every problem as `file:line: key: message`.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        Self::of_text(path, &text)
    }

    /// Reads and checks a scenario's text; `path` is where it stands, for messages and for the list that it names.
    ///
    /// # Errors
    /// Lists every problem as `file:line: key: message`.
    pub fn of_text(path: &Path, text: &str) -> Result<Self, ScenarioError> {
        check::scenario(path, text)
    }

    /// Finds a provider by name or ASN; names compare without regard to case.
    #[must_use]
    pub fn provider(&self, name_or_asn: &str) -> Option<&Provider> {
        let number = name_or_asn.trim_start_matches("AS");
        self.providers
            .iter()
            .find(|p| p.name.eq_ignore_ascii_case(name_or_asn) || p.asn.get().to_string() == number)
    }

    /// Returns the listed targets that a rule's hosts stand for.
    pub fn targets_of<'a>(&'a self, whom: &'a Whom) -> impl Iterator<Item = &'a ListedTarget> {
        self.list.targets.iter().filter(move |listed| self.is_meant(whom, listed.target.host()))
    }

    /// Returns the address of a host, if the world has it.
    #[must_use]
    pub fn address_of(&self, host: &str) -> Option<Ipv4Addr> {
        self.sites.iter().find(|site| site.host == host).map(|site| site.address)
    }

    /// Lists the addresses of the country's own networks.
    #[must_use]
    pub fn domestic(&self) -> Vec<Prefix> {
        let providers = self.providers.iter().map(|provider| provider.prefix);
        providers.chain(self.hostings.iter().map(|hosting| hosting.prefix)).collect()
    }

    /// Lists the sites of one network, or those outside the country.
    pub fn sites_in(&self, network: Option<Asn>) -> impl Iterator<Item = &Site> {
        self.sites.iter().filter(move |site| site.inside == network)
    }

    /// Says whether anything is hosted within the country.
    #[must_use]
    pub fn has_domestic_sites(&self) -> bool {
        self.sites.iter().any(|site| site.inside.is_some())
    }

    /// Returns which of a provider's subscribers a rule is about; none of them, all (an empty list), or these agents.
    #[must_use]
    pub fn subscribers(&self, who: &Who, provider: &Provider) -> Option<Vec<Ipv4Addr>> {
        let whole = match who {
            Who::Providers(asns) => asns.contains(&provider.asn),
            Who::Nation => true,
            Who::Access(access) => provider.access == *access,
            Who::Gateway(_) | Who::Site | Who::Coordinator => false,
            Who::Agents(_) | Who::Region(_) => {
                let seats = self.seats_of(who);
                let own = seats.iter().filter(|seat| seat.asn == provider.asn);
                let addresses: Vec<_> = own
                    .filter_map(|seat| provider.agents.get(seat.number.checked_sub(1)?).copied())
                    .collect();
                return (!addresses.is_empty()).then_some(addresses);
            }
        };
        whole.then(Vec::new)
    }

    /// Lists the agents that a rule is about.
    #[must_use]
    pub fn seats_of(&self, who: &Who) -> Vec<Seat> {
        let mut seats = Vec::new();
        for provider in &self.providers {
            for number in 1..=provider.agents.len() {
                let seat = Seat { asn: provider.asn, number };
                let is_meant = match who {
                    Who::Providers(asns) => asns.contains(&provider.asn),
                    Who::Nation => true,
                    Who::Access(access) => provider.access == *access,
                    Who::Agents(own) => own.contains(&seat),
                    Who::Region(region) => provider.region_of(number) == Some(region),
                    Who::Gateway(_) | Who::Site | Who::Coordinator => false,
                };
                if is_meant {
                    seats.push(seat);
                }
            }
        }
        seats
    }

    fn is_meant(&self, whom: &Whom, host: &str) -> bool {
        match whom {
            Whom::Everything | Whom::Foreign => true,
            Whom::Coordinator => false,
            Whom::Named { hosts, addresses } => {
                hosts.iter().any(|name| is_under(host, name))
                    || self.address_of(host).is_some_and(|address| addresses.contains(&address))
            }
        }
    }
}

impl Provider {
    /// Returns the region of an agent; they are counted from 1.
    #[must_use]
    pub fn region_of(&self, number: usize) -> Option<&String> {
        self.regions.get(number.checked_sub(1)? % self.regions.len().max(1))
    }
}

/// Says whether a host is a name or lies below it: `www.x.com` is under `x.com`, `netflix.com` is not.
#[must_use]
pub fn is_under(host: &str, name: &str) -> bool {
    let host = host.trim_end_matches('.');
    let Some(start) = host.len().checked_sub(name.len()) else { return false };
    let (Some(above), Some(tail)) = (host.get(..start), host.get(start..)) else { return false };
    tail.eq_ignore_ascii_case(name) && (above.is_empty() || above.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_itself_and_for_names_below_it() {
        assert!(is_under("x.com", "x.com"));
        assert!(is_under("API.X.com.", "x.com"));
        assert!(!is_under("netflix.com", "x.com"));
        assert!(!is_under("com", "x.com"));
        assert!(!is_under("xécom", "x.com"), "a cut inside a character is no match");
    }
}
