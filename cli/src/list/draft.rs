//! A list before it has a version and a signature.

use super::Fault;
use faultline_model::{Limits, ResolverSpec, TargetSpec, TaskList, Timestamp};
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
}

impl Settings {
    /// What a file without settings gets.
    pub(crate) fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            valid_days: DEFAULT_VALID_DAYS,
            limits: Limits::default(),
            resolvers: Vec::new(),
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

impl Draft {
    /// Joins files: the settings of the first that has some, all targets, none twice.
    pub(crate) fn join(drafts: Vec<Self>, fallback_name: &str) -> Result<Self, Vec<Fault>> {
        let mut settings = None;
        let mut entries: Vec<Entry> = Vec::new();
        let mut faults = Vec::new();
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for draft in drafts {
            settings = settings.or(draft.settings);
            for entry in draft.entries {
                let place = format!("{}:{}", entry.source, entry.line);
                match seen.insert(entry.spec.target.to_string(), place) {
                    None => entries.push(entry),
                    Some(first) => faults.push(Fault {
                        source: entry.source,
                        line: entry.line,
                        key: "url".to_owned(),
                        message: format!("{} is listed already at {first}", entry.spec.target),
                    }),
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let settings = settings.unwrap_or_else(|| Settings::plain(fallback_name));
        Ok(Self { settings: Some(settings), entries })
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
        }
    }
}
