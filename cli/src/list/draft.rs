//! A list before it has a version and a signature.

use super::Fault;
use faultline_model::{
    CountryCode, Landmark, Limits, LineProbes, ResolverSpec, RiskTier, ServiceId, Target, TargetSpec,
    TaskList, Timestamp,
};
use std::collections::BTreeMap;
use std::time::Duration;

const DEFAULT_VALID_DAYS: u32 = 30;

/// What a list says beside its targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The list's name.
    pub name: String,
    /// Days until it lapses.
    pub valid_days: u32,
    /// How often, at most.
    pub limits: Limits,
    /// Public resolvers.
    pub resolvers: Vec<ResolverSpec>,
    /// Hosts inside networks, for controls.
    pub landmarks: Vec<Landmark>,
    /// What downloads are compared with.
    pub throughput_control: Option<Target>,
    /// How dangerous measuring is, by country.
    pub risk: BTreeMap<CountryCode, RiskTier>,
    /// What a selfcheck may look at beside the canaries.
    pub line: LineProbes,
}

impl Settings {
    /// What a file without settings gets.
    pub(crate) fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            valid_days: DEFAULT_VALID_DAYS,
            limits: Limits::default(),
            resolvers: Vec::new(),
            landmarks: Vec::new(),
            throughput_control: None,
            risk: BTreeMap::new(),
            line: LineProbes::default(),
        }
    }
}

/// One target, with where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The target and its service.
    pub spec: TargetSpec,
    /// The file or address.
    pub source: String,
    /// The line.
    pub line: usize,
}

/// A list file, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    /// Its settings; a CSV file has none.
    pub settings: Option<Settings>,
    /// Its targets in the file's order.
    pub entries: Vec<Entry>,
}

/// Several files as one list.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The list.
    pub draft: Draft,
    /// Rows of CSV files that an earlier file has already.
    pub repeated: usize,
}

impl Draft {
    /// Joins files: the settings of the first that has some, all targets, none twice.
    ///
    /// A CSV row that an earlier file has already is passed over, because such lists overlap; twice in one file, or in
    /// two TOML files, is a fault.
    pub(crate) fn join(drafts: Vec<Self>, fallback_name: &str) -> Result<Joined, Vec<Fault>> {
        let mut settings = None;
        let mut entries: Vec<Entry> = Vec::new();
        let (mut faults, mut repeated) = (Vec::new(), 0);
        let mut seen: BTreeMap<Target, (String, usize)> = BTreeMap::new();
        let mut services: BTreeMap<ServiceId, String> = BTreeMap::new();
        for draft in drafts {
            let is_csv = draft.settings.is_none();
            settings = settings.or(draft.settings);
            for mut entry in draft.entries {
                if let Some((source, line)) = seen.get(&entry.spec.target) {
                    if is_csv && *source != entry.source {
                        repeated += 1;
                    } else {
                        faults.push(twice(&entry, source, *line));
                    }
                    continue;
                }
                seen.insert(entry.spec.target.clone(), (entry.source.clone(), entry.line));
                if is_csv {
                    entry.spec.service = own_service(&entry, &services);
                }
                services.entry(entry.spec.service.clone()).or_insert_with(|| entry.source.clone());
                entries.push(entry);
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let settings = settings.unwrap_or_else(|| Settings::plain(fallback_name));
        Ok(Joined { draft: Self { settings: Some(settings), entries }, repeated })
    }

    /// Says whether any target is a canary.
    pub(crate) fn has_canary(&self) -> bool {
        self.entries.iter().any(|entry| entry.spec.category.is_canary())
    }

    /// Makes the document that is signed.
    pub(crate) fn into_list(self, version: u64, now: Timestamp) -> TaskList {
        let settings = self.settings.unwrap_or_else(|| Settings::plain("list"));
        // The model counts the lifetime to the millisecond, and JSON keeps milliseconds.
        let lifetime = Duration::from_secs(u64::from(settings.valid_days) * 86_400);
        TaskList {
            name: settings.name,
            version,
            issued_at: now,
            expires_at: now + lifetime,
            limits: settings.limits,
            resolvers: settings.resolvers,
            targets: self.entries.into_iter().map(|entry| entry.spec).collect(),
            landmarks: settings.landmarks,
            throughput_control: settings.throughput_control,
            risk: settings.risk,
            line: settings.line,
        }
    }
}

fn twice(entry: &Entry, source: &str, line: usize) -> Fault {
    Fault {
        source: entry.source.clone(),
        line: entry.line,
        key: "url".to_owned(),
        message: format!("{} is listed already at {source}:{line}", entry.spec.target),
    }
}

/// Keeps a CSV row's service apart from services of other files that have the same name.
fn own_service(entry: &Entry, services: &BTreeMap<ServiceId, String>) -> ServiceId {
    let name = &entry.spec.service;
    let is_free = |id: &ServiceId| services.get(id).is_none_or(|source| *source == entry.source);
    let numbered = (2..).map_while(|n| ServiceId::new(&format!("{name}-{n}")).ok());
    std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or_else(|| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(name: &str, rows: &str) -> Draft {
        super::super::parse(name, &format!("url,category_code\n{rows}")).expect("readable").0
    }

    #[test]
    fn overlapping_files_are_joined_and_a_repetition_in_one_file_is_a_fault() {
        let core = include_str!("../../../lists/core.toml");
        let core = || super::super::parse("core.toml", core).expect("a good list").0;
        let other = csv("a.csv", "https://x.com/,GRP\nhttps://a.example/,NEWS\n");
        let joined = Draft::join(vec![core(), other], "a").expect("joined");
        assert_eq!((joined.draft.entries.len(), joined.repeated), (22, 1));
        assert_eq!(joined.draft.settings.map(|settings| settings.name), Some("core".to_owned()));
        let doubled = csv("b.csv", "https://a.example/,NEWS\nhttps://A.example,NEWS\n");
        let faults = Draft::join(vec![doubled], "b").expect_err("doubled");
        assert_eq!(faults[0].to_string(), "b.csv:3: url: https://a.example/ is listed already at b.csv:2");
        assert!(Draft::join(vec![core(), core()], "core").is_err());
    }

    #[test]
    fn services_of_two_csv_files_stay_apart() {
        let drafts =
            vec![csv("a.csv", "https://a.example/,NEWS\n"), csv("b.csv", "http://a.example/,NEWS\n")];
        let joined = Draft::join(drafts, "a").expect("joined");
        let ids: Vec<&str> = joined.draft.entries.iter().map(|entry| entry.spec.service.as_str()).collect();
        assert_eq!(ids, ["a-example", "a-example-2"]);
    }
}
