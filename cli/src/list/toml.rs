//! Task lists in TOML, as `lists/core.toml` shows them.

use super::draft::{Draft, Entry, Settings};
use super::{Fault, line_of};
use faultline_model::{
    Asn, Category, CheckKind, CountryCode, Landmark, Limits, LineProbes, ResolverSpec, RiskTier, Role,
    ServiceId, Target, TargetSpec,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use toml::Spanned;
use url::Url;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Spanned<String>,
    #[serde(default)]
    valid_days: Option<Spanned<u32>>,
    #[serde(default)]
    cell_period_s: Option<Spanned<u32>>,
    #[serde(default)]
    min_interval_s: Option<Spanned<u32>>,
    #[serde(default)]
    confirmations_per_target: Option<Spanned<u32>>,
    #[serde(default)]
    throughput_control: Option<Spanned<String>>,
    #[serde(default)]
    whoami: Option<Spanned<String>>,
    #[serde(default)]
    filter_canary: Option<Spanned<String>>,
    #[serde(default)]
    risk: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    resolver: Vec<Resolver>,
    #[serde(default)]
    service: Vec<Service>,
    #[serde(default)]
    landmark: Vec<FileLandmark>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLandmark {
    url: Spanned<String>,
    country: Spanned<String>,
    asn: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolver {
    name: Spanned<String>,
    udp: Spanned<String>,
    doh_url: Spanned<String>,
    doh_address: Spanned<String>,
    #[serde(default)]
    dot: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    id: Spanned<String>,
    name: Spanned<String>,
    category: Spanned<String>,
    #[serde(default)]
    domestic: Option<Spanned<String>>,
    #[serde(default)]
    target: Vec<FileTarget>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTarget {
    url: Spanned<String>,
    #[serde(default)]
    role: Role,
    #[serde(default)]
    checks: Option<Spanned<Vec<String>>>,
}

/// Collects faults with their lines while a file is read.
struct Reader<'a> {
    source: &'a str,
    text: &'a str,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, span: Range<usize>, key: &str, message: impl Into<String>) {
        self.faults.push(Fault {
            source: self.source.to_owned(),
            line: line_of(self.text, span.start),
            key: key.to_owned(),
            message: message.into(),
        });
    }

    /// Keeps a good value and notes a bad one.
    fn keep<T, E: ToString>(&mut self, span: Range<usize>, key: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.fault(span, key, error.to_string())).ok()
    }

    fn number(&mut self, key: &str, value: Option<&Spanned<u32>>, range: Range<u32>, default: u32) -> u32 {
        let Some(value) = value else { return default };
        let number = *value.get_ref();
        if !range.contains(&number) {
            let message = format!("{number} must lie between {} and {}", range.start, range.end - 1);
            self.fault(value.span(), key, message);
        }
        number
    }
}

/// Reads a file; every fault is reported, not only the first.
pub(super) fn parse(source: &str, text: &str) -> Result<Draft, Vec<Fault>> {
    let mut reader = Reader { source, text, faults: Vec::new() };
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            reader.fault(error.span().unwrap_or_default(), "", error.message());
            return Err(reader.faults);
        }
    };
    let settings = read_settings(&mut reader, &file);
    let mut entries = Vec::new();
    for service in &file.service {
        read_service(&mut reader, service, &mut entries);
    }
    if file.service.is_empty() {
        reader.fault(0..0, "service", "the list has no services; write at least one [[service]]");
    }
    if reader.faults.is_empty() {
        Ok(Draft { settings: Some(settings), entries })
    } else {
        Err(reader.faults)
    }
}

fn read_settings(reader: &mut Reader<'_>, file: &File) -> Settings {
    let defaults = Limits::default();
    let name = file.name.get_ref().trim();
    if name.is_empty() || name.len() > 40 || name.chars().any(char::is_control) {
        reader.fault(file.name.span(), "name", "use 1 to 40 printable characters");
    }
    let limits = Limits {
        cell_period_s: reader.number(
            "cell_period_s",
            file.cell_period_s.as_ref(),
            60..86_401,
            defaults.cell_period_s,
        ),
        min_interval_s: reader.number(
            "min_interval_s",
            file.min_interval_s.as_ref(),
            30..86_401,
            defaults.min_interval_s,
        ),
        confirmations_per_target: reader.number(
            "confirmations_per_target",
            file.confirmations_per_target.as_ref(),
            0..3,
            defaults.confirmations_per_target,
        ),
    };
    let plain = Settings::plain(name);
    let valid_days = reader.number("valid_days", file.valid_days.as_ref(), 1..91, plain.valid_days);
    let resolvers = file.resolver.iter().filter_map(|resolver| read_resolver(reader, resolver)).collect();
    let landmarks = file.landmark.iter().filter_map(|landmark| read_landmark(reader, landmark)).collect();
    let throughput_control = read_https(reader, "throughput_control", file.throughput_control.as_ref());
    let line = LineProbes {
        whoami: read_https(reader, "whoami", file.whoami.as_ref()),
        filter_canary: read_https(reader, "filter_canary", file.filter_canary.as_ref()),
    };
    let risk = file.risk.iter().filter_map(|(country, tier)| read_risk(reader, country, tier)).collect();
    Settings { valid_days, limits, resolvers, landmarks, throughput_control, risk, line, ..plain }
}

fn read_https(reader: &mut Reader<'_>, key: &'static str, url: Option<&Spanned<String>>) -> Option<Target> {
    let url = url?;
    let target = Target::new(url.get_ref()).map_err(|e| e.to_string());
    let is_https =
        |target: Target| if target.is_https() { Ok(target) } else { Err("use an https URL".to_owned()) };
    reader.keep(url.span(), key, target.and_then(is_https))
}

/// Reads how dangerous measuring is in a country, in the words of its profile.
fn read_risk(
    reader: &mut Reader<'_>,
    country: &Spanned<String>,
    tier: &Spanned<String>,
) -> Option<(CountryCode, RiskTier)> {
    let code = reader.keep(country.span(), "risk", country.get_ref().parse::<CountryCode>());
    let tier = match tier.get_ref().as_str() {
        "high" => Some(RiskTier::High),
        "standard" => Some(RiskTier::Standard),
        other => {
            reader.fault(tier.span(), "risk", format!("{other:?}; use \"high\" or \"standard\""));
            None
        }
    };
    code.zip(tier)
}

/// Reads what is run against a target; `web` where nothing is said.
fn read_checks(reader: &mut Reader<'_>, checks: Option<&Spanned<Vec<String>>>) -> Vec<CheckKind> {
    let Some(names) = checks else { return vec![CheckKind::Web] };
    let mut kinds: Vec<CheckKind> = Vec::new();
    for name in names.get_ref() {
        match name.parse::<CheckKind>() {
            Ok(kind) if kinds.contains(&kind) => {
                reader.fault(names.span(), "service.target.checks", format!("{name:?} stands there twice"));
            }
            Ok(kind) => kinds.push(kind),
            Err(error) => reader.fault(
                names.span(),
                "service.target.checks",
                format!("{error}; use \"web\", \"quic\", \"throughput\", \"diagnose\""),
            ),
        }
    }
    if names.get_ref().is_empty() {
        reader.fault(names.span(), "service.target.checks", "name at least one check, or leave the key out");
    }
    kinds
}

fn read_resolver(reader: &mut Reader<'_>, resolver: &Resolver) -> Option<ResolverSpec> {
    let udp = read_address(reader, "resolver.udp", &resolver.udp);
    let doh_address = read_address(reader, "resolver.doh_address", &resolver.doh_address);
    let doh_url = resolver.doh_url.get_ref();
    let is_good = Url::parse(doh_url).is_ok_and(|url| url.scheme() == "https" && url.has_host());
    if !is_good {
        reader.fault(resolver.doh_url.span(), "resolver.doh_url", format!("{doh_url:?} is no https URL"));
    }
    let dot = match &resolver.dot {
        Some(text) => Some(read_address(reader, "resolver.dot", text)?),
        None => None,
    };
    Some(ResolverSpec {
        name: resolver.name.get_ref().clone(),
        udp: udp?,
        doh_url: doh_url.clone(),
        doh_address: doh_address?,
        dot,
    })
}

fn read_landmark(reader: &mut Reader<'_>, landmark: &FileLandmark) -> Option<Landmark> {
    let target = Target::new(landmark.url.get_ref());
    let target = reader.keep(landmark.url.span(), "landmark.url", target);
    let country = read_country(reader, "landmark.country", &landmark.country);
    let asn = reader.keep(landmark.asn.span(), "landmark.asn", Asn::new(*landmark.asn.get_ref()));
    Some(Landmark { target: target?, country: country?, asn: asn? })
}

fn read_country(reader: &mut Reader<'_>, key: &str, text: &Spanned<String>) -> Option<CountryCode> {
    reader.keep(text.span(), key, text.get_ref().parse::<CountryCode>())
}

fn read_address(reader: &mut Reader<'_>, key: &str, text: &Spanned<String>) -> Option<SocketAddr> {
    let address = text.get_ref().parse::<SocketAddr>();
    let address =
        address.map_err(|_| format!("{:?} is no address with port, such as 8.8.8.8:53", text.get_ref()));
    reader.keep(text.span(), key, address)
}

fn read_service(reader: &mut Reader<'_>, service: &Service, entries: &mut Vec<Entry>) {
    let id = reader.keep(service.id.span(), "service.id", ServiceId::new(service.id.get_ref()));
    let category =
        reader.keep(service.category.span(), "service.category", Category::new(service.category.get_ref()));
    let name = service.name.get_ref().trim().to_owned();
    if name.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
        reader.fault(service.name.span(), "service.name", "use 1 to 60 printable characters");
    }
    let domestic = service.domestic.as_ref().and_then(|text| read_country(reader, "service.domestic", text));
    if service.target.is_empty() {
        reader.fault(service.id.span(), "service.target", "the service has no targets");
    }
    for target in &service.target {
        let parsed = Target::new(target.url.get_ref());
        let parsed = reader.keep(target.url.span(), "service.target.url", parsed);
        let checks = read_checks(reader, target.checks.as_ref());
        let (Some(target_name), Some(id), Some(category)) = (parsed, &id, &category) else { continue };
        entries.push(Entry {
            spec: TargetSpec {
                target: target_name,
                service: id.clone(),
                service_name: name.clone(),
                role: target.role,
                category: category.clone(),
                checks,
                domestic,
            },
            source: reader.source.to_owned(),
            line: line_of(reader.text, target.url.span().start),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn landmarks_and_domestic_services_are_read_and_checked() {
        let text = r#"
name = "home"
[[service]]
id = "home"
name = "Home"
category = "CTRL"
domestic = "PK"
[[service.target]]
url = "https://home.example/"
[[landmark]]
url = "https://nayatel.com/"
country = "PK"
asn = 23674
"#;
        let draft = parse("a.toml", text).expect("a good list");
        let settings = draft.settings.expect("settings");
        assert_eq!(settings.landmarks[0].asn.get(), 23674);
        assert_eq!(draft.entries[0].spec.domestic, "PK".parse().ok());
        let bad = text.replace("23674", "64512").replace("country = \"PK\"", "country = \"pk\"");
        let faults = faults(&bad);
        assert!(faults.contains("landmark.asn") && faults.contains("landmark.country"), "{faults}");
    }

    fn faults(text: &str) -> String {
        let faults = parse("a.toml", text).expect_err("a bad list");
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_shipped_list_parses_and_fits_the_default_budget_of_three_agents() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../lists");
        let files = std::fs::read_dir(dir).expect("the lists folder").flatten();
        let mut count = 0;
        for file in files.filter(|file| file.path().extension().is_some_and(|e| e == "toml")) {
            let text = std::fs::read_to_string(file.path()).expect("readable");
            let draft = parse(&file.path().display().to_string(), &text).expect("a good list");
            assert!(draft.has_canary(), "{:?} has no canary", file.path());
            let list = draft.into_list(1, faultline_model::Timestamp::from_unix_ms(0));
            list.validate().expect("a valid list");
            assert!(list.targets.len() <= 21, "{} targets", list.targets.len());
            count += 1;
        }
        assert!(count > 0, "no list is shipped");
    }

    #[test]
    fn every_fault_is_named_with_its_line_and_key() {
        let text = "name = \"x\"\ncell_period_s = 5\n[[service]]\nid = \"Face Book\"\nname = \"F\"\n\
                    category = \"GRP\"\n[[service.target]]\nurl = \"ftp://a.org/\"\n[[resolver]]\n\
                    name = \"r\"\nudp = \"8.8.8.8\"\ndoh_url = \"http://r/\"\ndoh_address = \"1.1.1.1:443\"\n";
        let said = faults(text);
        for expected in [
            "a.toml:2: cell_period_s: 5 must lie between 60 and 86400",
            "a.toml:4: service.id: service id \"Face Book\"",
            "a.toml:8: service.target.url: scheme \"ftp\"",
            "a.toml:11: resolver.udp: \"8.8.8.8\" is no address with port",
            "a.toml:12: resolver.doh_url: \"http://r/\" is no https URL",
        ] {
            assert!(said.contains(expected), "{expected:?} is missing in:\n{said}");
        }
    }

    #[test]
    fn a_target_names_its_checks_and_a_list_its_throughput_control() {
        let text = "name = \"x\"\nthroughput_control = \"https://files.example.org/big\"\n[[service]]\n\
                    id = \"f\"\nname = \"F\"\ncategory = \"GRP\"\n[[service.target]]\n\
                    url = \"https://a.org/\"\nchecks = [\"web\", \"quic\", \"throughput\"]\n";
        let list = parse("a.toml", text).expect("a good list");
        let list = list.into_list(1, faultline_model::Timestamp::from_unix_ms(0));
        list.validate().expect("a valid list");
        assert_eq!(list.targets[0].checks, [CheckKind::Web, CheckKind::Quic, CheckKind::Throughput]);
        assert_eq!(list.throughput_control().map(Target::host), Some("files.example.org"));
        let said = faults(&text.replace("\"quic\"", "\"scan\", \"web\"").replace("https://f", "http://f"));
        assert!(said.contains("a.toml:9: service.target.checks: unknown check \"scan\""), "{said}");
        assert!(said.contains("\"web\" stands there twice"), "{said}");
        assert!(said.contains("a.toml:2: throughput_control: use an https URL"), "{said}");
    }

    #[test]
    fn a_countrys_risk_is_read_from_its_code_and_tier() {
        let text = "name = \"x\"\nrisk.PK = \"high\"\nrisk.DE = \"standard\"\n[[service]]\nid = \"f\"\n\
                    name = \"F\"\ncategory = \"GRP\"\n[[service.target]]\nurl = \"https://a.org/\"\n";
        let list = parse("a.toml", text).expect("a good list");
        let list = list.into_list(1, faultline_model::Timestamp::from_unix_ms(0));
        let of = |code: &str| list.risk.get(&code.parse().expect("a code")).copied();
        assert_eq!((of("PK"), of("DE"), of("IN")), (Some(RiskTier::High), Some(RiskTier::Standard), None));
        let said = faults(&text.replace("risk.PK", "risk.Pakistan").replace("standard", "low"));
        assert!(said.contains("a.toml:2: risk: ") && said.contains("a.toml:3: risk: \"low\""), "{said}");
    }

    #[test]
    fn a_misspelt_key_and_an_empty_list_are_refused_where_they_stand() {
        assert!(faults("name = \"x\"\nvalid_dys = 3\n").contains("a.toml:2: unknown field `valid_dys`"));
        assert!(faults("name = \"x\"\n").contains("the list has no services"));
        assert!(faults("name = \"x\n").starts_with("a.toml:1: "));
    }
}
