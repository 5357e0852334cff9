//! From the file as written to a [`Scenario`]; collects every problem instead of stopping at the first.

use super::expected::{expect, tolerated};
use super::sites::{self, coordinator, coordinator_host};
use super::{Control, Gateway, Hosting, Line, Problem, Provider, Scenario, ScenarioError, raw, rules};
use crate::country::addresses::{Prefix, is_public};
use crate::country::list::List;
use faultline_model::{Asn, CountryCode, CountryProfile};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

const MAX_AGENTS: u32 = 100;
const MAX_SECONDS: u64 = 7 * 86_400;
const RATE: &str = "rate_kbit_s";
const RATES: std::ops::RangeInclusive<u32> = 16..=1_000_000;

/// Reads a file's text; `path` is where it stands, for messages and for the files that it names.
pub(super) fn scenario(path: &Path, text: &str) -> Result<Scenario, ScenarioError> {
    let mut notes = Notes { path, text, problems: Vec::new() };
    let file: raw::File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            notes.add_parse(&error);
            return Err(ScenarioError::Bad(notes.problems));
        }
    };
    let built = build(&mut notes, path, &file);
    match built {
        Some(scenario) if notes.problems.is_empty() => Ok(scenario),
        _ => Err(ScenarioError::Bad(notes.problems)),
    }
}

/// Where problems are written down.
pub(super) struct Notes<'a> {
    path: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Notes<'_> {
    /// Adds a problem at a byte offset.
    pub(super) fn add(&mut self, offset: usize, key: &str, message: impl Into<String>) {
        let line = self.text.get(..offset).map_or(1, |head| head.matches('\n').count() + 1);
        let problem =
            Problem { path: self.path.to_owned(), line, key: key.to_owned(), message: message.into() };
        self.problems.push(problem);
    }

    /// Passes a value on, or adds the problem with it.
    pub(super) fn keep<T, E: ToString>(&mut self, at: usize, key: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|e| self.add(at, key, e.to_string())).ok()
    }

    fn add_parse(&mut self, error: &toml::de::Error) {
        let offset = error.span().map_or(0, |span| span.start);
        let message = error.message().lines().next().unwrap_or_default().to_owned();
        let named = message
            .strip_prefix("unknown field `")
            .or_else(|| message.strip_prefix("missing field `"))
            .and_then(|rest| rest.split('`').next());
        let key = named.map_or_else(|| self.key_at(offset), str::to_owned);
        self.add(offset, &key, message);
    }

    /// Returns the key of the line at an offset, for errors of the parser that do not name it.
    fn key_at(&self, offset: usize) -> String {
        let head = self.text.get(..offset).unwrap_or_default();
        let start = head.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
        let key = line.split('=').next().unwrap_or_default().trim_matches(['[', ']', ' ']);
        if key.is_empty() { "file".to_owned() } else { key.to_owned() }
    }
}

fn build(notes: &mut Notes<'_>, path: &Path, file: &raw::File) -> Option<Scenario> {
    let country = match &file.country {
        Some(code) => notes.keep(code.span().start, "country", code.get_ref().parse::<CountryCode>())?,
        None => "PK".parse().ok()?,
    };
    let list_file = find_beside(path, file.list.get_ref());
    let list = notes.keep(file.list.span().start, "list", List::read(&list_file).map_err(|e| chain(&e)))?;
    if list.targets.is_empty() {
        notes.add(file.list.span().start, "list", "the list has no targets");
    }
    let mut seconds = *file.seconds.get_ref();
    if seconds == 0 || seconds > MAX_SECONDS {
        // Later checks shall not repeat this problem.
        seconds = MAX_SECONDS;
        notes.add(file.seconds.span().start, "seconds", format!("must lie between 1 and {MAX_SECONDS}"));
    }
    let time_zone = file.time_zone.as_ref().map(|zone| zone.get_ref().clone());
    if let Some(zone) = &file.time_zone {
        let profile = CountryProfile { time_zone: time_zone.clone(), ..CountryProfile::unknown(country) };
        notes.keep(zone.span().start, "time_zone", profile.validate());
    }
    let mut networks = Networks { notes, asns: BTreeMap::new(), prefixes: Vec::new() };
    let gateways = networks.gateways(&file.gateway);
    let providers = networks.providers(&file.provider, &gateways);
    let controls = networks.controls(&file.control);
    let hostings = networks.hostings(&file.hosting, &gateways);
    let coordinator = coordinator(notes, file.coordinator.as_ref());
    let coordinator_host = coordinator_host(notes, &list, file);
    let baseline = file.baseline.as_ref().map(|baseline| find_beside(path, baseline.get_ref()));
    let stem = path.file_stem().map_or_else(|| "scenario".into(), |stem| stem.to_string_lossy().into_owned());
    let mut scenario = Scenario {
        name: file.name.clone().unwrap_or(stem),
        country,
        country_name: file.country_name.clone().unwrap_or_else(|| country.to_string()),
        utc_offset_min: file.utc_offset_min,
        time_zone,
        list,
        baseline,
        length: Duration::from_secs(seconds),
        seed: file.seed,
        six: file.ipv6,
        coordinator,
        coordinator_host,
        gateways,
        providers,
        hostings,
        controls,
        sites: Vec::new(),
        endpoints: Vec::new(),
        landmarks: Vec::new(),
        rules: Vec::new(),
        expect: None,
        tolerated: Vec::new(),
        events: file.event.iter().filter_map(|event| rules::event(notes, event)).collect(),
        claim: file.claim.clone(),
    };
    sites::sites(notes, &mut scenario, file);
    scenario.rules = file.rule.iter().filter_map(|rule| rules::rule(notes, &scenario, rule)).collect();
    scenario.expect =
        file.expect.as_ref().map(|list| list.iter().filter_map(|e| expect(notes, &scenario, e)).collect());
    scenario.tolerated = file.tolerated.iter().map(|t| tolerated(notes, &scenario, t)).collect();
    Some(scenario)
}

/// Finds a file that a scenario names: beside the scenario, or in the nearest folder above it that has it.
fn find_beside(scenario: &Path, name: &str) -> PathBuf {
    // The file's own path is made absolute, because that of its folder may be empty.
    let absolute = std::path::absolute(scenario).unwrap_or_else(|_| scenario.to_owned());
    let mut folders = absolute.ancestors().skip(1).map(|folder| folder.join(name));
    folders.find(|path| path.exists()).unwrap_or_else(|| scenario.with_file_name(name))
}

fn chain(error: &crate::country::list::ListFileError) -> String {
    let cause = std::error::Error::source(&error).map(|c| format!(": {c}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// Reads the networks and holds what two of them may not share.
struct Networks<'a, 'b> {
    notes: &'a mut Notes<'b>,
    asns: BTreeMap<Asn, String>,
    prefixes: Vec<Prefix>,
}

impl Networks<'_, '_> {
    fn gateways(&mut self, raw: &[raw::Gateway]) -> Vec<Gateway> {
        if raw.is_empty() {
            self.notes.add(0, "gateway", "a country needs at least one [[gateway]]");
        }
        let mut gateways = Vec::new();
        for (entry, index) in raw.iter().zip(1_u8..) {
            if let Some(asn) = self.asn(&entry.asn, &entry.name) {
                let router = Ipv4Addr::new(119, 159, index, 1);
                let rate_kbit_s = rate(self.notes, entry.rate_kbit_s.as_ref());
                gateways.push(Gateway { asn, name: entry.name.clone(), router, rate_kbit_s });
            }
        }
        gateways
    }

    fn providers(&mut self, raw: &[raw::Provider], gateways: &[Gateway]) -> Vec<Provider> {
        if raw.is_empty() {
            self.notes.add(0, "provider", "a country needs at least one [[provider]]");
        }
        let mut share = 0.0;
        let mut providers: Vec<Provider> = Vec::new();
        for (entry, index) in raw.iter().zip(32_u8..) {
            let name = entry.name.get_ref();
            if providers.iter().any(|p| p.name.eq_ignore_ascii_case(name)) {
                self.notes.add(entry.name.span().start, "name", format!("{name:?} occurs twice"));
            }
            share += entry.user_share.as_ref().map_or(0.0, |s| *s.get_ref());
            if let Some(own) = &entry.user_share
                && (!(0.0..=1.0).contains(own.get_ref()) || share > 1.0 + 1e-9)
            {
                let message = "shares lie between 0 and 1 and add up to at most 1";
                self.notes.add(own.span().start, "user_share", message);
            }
            let fallback = Prefix::new(Ipv4Addr::new(39, index, 0, 0), 16);
            if let Some(provider) = self.provider(entry, gateways, fallback) {
                providers.push(provider);
            }
        }
        providers
    }

    fn provider(&mut self, raw: &raw::Provider, gateways: &[Gateway], fallback: Prefix) -> Option<Provider> {
        let asn = self.asn(&raw.asn, raw.name.get_ref());
        let prefix = self.prefix(raw.prefix.as_ref(), fallback, raw.asn.span().start)?;
        let at = raw.upstream.span().start;
        let mut upstreams = Vec::new();
        for number in &raw.upstream.get_ref().0 {
            match gateways.iter().find(|g| g.asn.get() == *number) {
                Some(gateway) => upstreams.push(gateway.asn),
                None => self.notes.add(at, "upstream", format!("no [[gateway]] has asn {number}")),
            }
        }
        if raw.upstream.get_ref().0.is_empty() {
            self.notes.add(at, "upstream", "name at least one gateway");
        }
        let agents = raw.agents.as_ref().map_or(1, |agents| *agents.get_ref());
        if let Some(given) = raw.agents.as_ref().filter(|_| agents > MAX_AGENTS) {
            self.notes.add(given.span().start, "agents", format!("at most {MAX_AGENTS} agents"));
        }
        let loss_percent = percent(self.notes, raw.loss_percent.as_ref());
        let resolver = match &raw.resolver {
            Some(text) => public_address(self.notes, text, "resolver")?,
            None => prefix.at(53),
        };
        Some(Provider {
            asn: asn?,
            name: raw.name.get_ref().clone(),
            access: raw.access,
            user_share: raw.user_share.as_ref().map_or(0.0, |share| *share.get_ref()),
            upstreams,
            prefix,
            router: prefix.at(1),
            resolver,
            shell: prefix.at(99),
            regions: raw.regions.clone(),
            agents: (0..agents.min(MAX_AGENTS)).map(|i| prefix.at(100 + i)).collect(),
            rate_kbit_s: rate(self.notes, raw.rate_kbit_s.as_ref()),
            line: Line { delay_ms: raw.delay_ms, jitter_ms: raw.jitter_ms, loss_percent },
        })
    }

    fn controls(&mut self, raw: &[raw::Control]) -> Vec<Control> {
        let mut controls = Vec::new();
        for (entry, index) in raw.iter().zip(4_u8..) {
            let asn = self.asn(&entry.asn, &entry.name);
            let fallback = Prefix::new(Ipv4Addr::new(46, index, 0, 0), 16);
            let prefix = self.prefix(entry.prefix.as_ref(), fallback, entry.asn.span().start);
            let country = match &entry.country {
                Some(code) => self.notes.keep(code.span().start, "country", code.get_ref().parse()),
                None => "DE".parse().ok(),
            };
            if let (Some(asn), Some(prefix), Some(country)) = (asn, prefix, country) {
                let address = prefix.at(100);
                controls.push(Control { asn, name: entry.name.clone(), country, prefix, address });
            }
        }
        controls
    }

    fn hostings(&mut self, raw: &[raw::Hosting], gateways: &[Gateway]) -> Vec<Hosting> {
        let mut hostings = Vec::new();
        for (entry, index) in raw.iter().zip(65_u8..) {
            let name = entry.name.get_ref().clone();
            let asn = self.asn(&entry.asn, &name);
            let fallback = Prefix::new(Ipv4Addr::new(58, index, 0, 0), 16);
            let prefix = self.prefix(entry.prefix.as_ref(), fallback, entry.asn.span().start);
            let upstream = gateways.iter().find(|g| g.asn.get() == *entry.upstream.get_ref());
            if upstream.is_none() {
                let message = format!("no [[gateway]] has asn {}", entry.upstream.get_ref());
                self.notes.add(entry.upstream.span().start, "upstream", message);
            }
            if let (Some(asn), Some(prefix), Some(upstream)) = (asn, prefix, upstream) {
                let router = prefix.at(1);
                hostings.push(Hosting { asn, name, upstream: upstream.asn, prefix, router });
            }
        }
        hostings
    }

    fn asn(&mut self, number: &Spanned<u32>, name: &str) -> Option<Asn> {
        let at = number.span().start;
        let asn = self.notes.keep(at, "asn", Asn::new(*number.get_ref()))?;
        if let Some(other) = self.asns.get(&asn) {
            self.notes.add(at, "asn", format!("{} is already that of {other:?}", asn.get()));
            return None;
        }
        self.asns.insert(asn, name.to_owned());
        Some(asn)
    }

    fn prefix(&mut self, given: Option<&Spanned<String>>, fallback: Prefix, at: usize) -> Option<Prefix> {
        let at = given.map_or(at, |text| text.span().start);
        let prefix = match given {
            Some(text) => self.notes.keep(at, "prefix", text.get_ref().parse::<Prefix>())?,
            None => fallback,
        };
        if !is_public(prefix.at(1)) || !is_public(prefix.last()) {
            self.notes.add(at, "prefix", format!("{prefix} is not public; agents refuse to talk to it"));
        }
        if let Some(other) = self.prefixes.iter().find(|other| other.overlaps(prefix)) {
            self.notes.add(at, "prefix", format!("{prefix} overlaps {other} of another network"));
        }
        self.prefixes.push(prefix);
        Some(prefix)
    }
}

/// Reads how many packets are lost.
pub(super) fn percent(notes: &mut Notes<'_>, given: Option<&Spanned<f64>>) -> f64 {
    let Some(given) = given else { return 0.0 };
    if !(0.0..=100.0).contains(given.get_ref()) {
        notes.add(given.span().start, "loss_percent", "must lie between 0 and 100");
    }
    *given.get_ref()
}

/// Reads the rate of a line or a flow.
pub(super) fn rate(notes: &mut Notes<'_>, given: Option<&Spanned<u32>>) -> Option<u32> {
    let given = given?;
    if !RATES.contains(given.get_ref()) {
        let (least, most) = (RATES.start(), RATES.end());
        notes.add(given.span().start, RATE, format!("must lie between {least} and {most}"));
    }
    Some(*given.get_ref())
}

/// Reads an address that agents are to connect to.
pub(super) fn public_address(notes: &mut Notes<'_>, text: &Spanned<String>, key: &str) -> Option<Ipv4Addr> {
    let at = text.span().start;
    let Ok(address) = text.get_ref().parse::<Ipv4Addr>() else {
        notes.add(at, key, format!("{:?} is not an IPv4 address", text.get_ref()));
        return None;
    };
    if !is_public(address) {
        notes.add(at, key, format!("{address} is not public; agents refuse to talk to it"));
    }
    Some(address)
}
