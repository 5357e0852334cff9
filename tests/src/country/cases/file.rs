//! Case files: what is true, and the country that makes it so.

use crate::country::scenario::{Scenario, ScenarioError};
use faultline_model::{Asn, CheckKind, Layer, LayerStatus};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const BASE: &str = "world.toml";
/// The keys that are a case's own; all others are a scenario's.
const OWN: [&str; 8] =
    ["base", "about", "url", "reference", "ooni", "expect", "broken_controls", "trusts_local"];

/// Why a case cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A file cannot be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file is no TOML, or a key of a case's own is wrong.
    #[error("{}: {message}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The country cannot be built from it; lines are counted in the base and the case put together.
    #[error("reading the country of {}", path.display())]
    Scenario {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<ScenarioError>,
    },
}

/// A case that can be run.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file's stem.
    pub name: String,
    /// What happens in it, for people.
    pub about: String,
    /// What is visited, as an operator would write it.
    pub url: String,
    /// What downloads are compared with.
    pub reference: Option<String>,
    /// The country.
    pub scenario: Scenario,
    /// What is true, for each line that is looked at.
    pub expected: Vec<Expected>,
    /// The OONI scenario that it is the equal of.
    pub ooni: Option<Ooni>,
    /// Controls whose own line is broken, counted from 1.
    pub broken_controls: Vec<usize>,
    /// The country's machines trust the interceptor's authority.
    pub trusts_local: bool,
}

/// What is true for one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The provider.
    pub asn: Asn,
    /// Its name.
    pub provider: String,
    /// The check that is to find it.
    pub check: CheckKind,
    /// The status.
    pub status: LayerStatus,
    /// The layer at which it is done; absent where nothing is done.
    pub layer: Option<Layer>,
    /// The redirect hop at which it is done.
    pub hop: u8,
    /// A later layer at which something is done too.
    pub also: Option<Layer>,
    /// The rule that is to find it, where only one is right.
    pub rule: Option<String>,
    /// The router that does it, for the check `path`.
    pub at: Option<At>,
}

/// A router on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// How many hops from the subscriber it stands.
    pub hop: u8,
    /// Its network, unless it stands on the subscriber's side, where agents mask it.
    pub network: Option<Asn>,
    /// That network's name.
    pub name: Option<String>,
}

/// What OONI makes of its equal of a case, in our words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ooni {
    /// The scenario's name.
    pub scenario: String,
    /// What its probe says.
    pub probe: String,
    /// What its pipeline, version 5, says of one measurement.
    pub v5: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    #[serde(rename = "base")]
    _base: Option<String>,
    about: String,
    url: String,
    reference: Option<String>,
    ooni: Option<Ooni>,
    expect: OneOrMany,
    #[serde(default)]
    broken_controls: Vec<usize>,
    #[serde(default)]
    trusts_local: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Wanted),
    Many(Vec<Wanted>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    provider: Option<String>,
    #[serde(default)]
    check: CheckKind,
    status: LayerStatus,
    layer: Option<Layer>,
    #[serde(default)]
    hop: u8,
    also: Option<Layer>,
    rule: Option<String>,
    router: Option<u8>,
    network: Option<String>,
}

impl Case {
    /// Reads a case with its base.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, CaseError> {
        let mut table = table(path)?;
        let mut own = Table::new();
        for key in OWN {
            own.extend(table.remove_entry(key));
        }
        let bad = |message: String| CaseError::Bad { path: path.to_owned(), message };
        let base = own.get("base").and_then(Value::as_str).unwrap_or(BASE);
        let text = toml::to_string(&merged(self::table(&path.with_file_name(base))?, table))
            .map_err(|e| bad(e.to_string()))?;
        let scenario = Scenario::of_text(path, &text)
            .map_err(|source| CaseError::Scenario { path: path.to_owned(), source: Box::new(source) })?;
        let own = Own::deserialize(own).map_err(|e| bad(e.message().to_owned()))?;
        let wanted = match own.expect {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        };
        let expected: Result<Vec<_>, _> =
            wanted.into_iter().map(|wanted| expected(&scenario, wanted)).collect();
        Ok(Self {
            name: scenario.name.clone(),
            about: own.about,
            url: own.url,
            reference: own.reference,
            expected: expected.map_err(bad)?,
            ooni: own.ooni,
            broken_controls: own.broken_controls,
            trusts_local: own.trusts_local,
            scenario,
        })
    }
}

fn expected(scenario: &Scenario, wanted: Wanted) -> Result<Expected, String> {
    let provider = match &wanted.provider {
        Some(name) => {
            scenario.provider(name).ok_or_else(|| format!("expect: no [[provider]] is {name:?}"))?
        }
        None => scenario.providers.first().ok_or("the country has no [[provider]]")?,
    };
    let network = |name: &String| {
        let found = scenario.networks().find(|network| network.name == name).map(|network| network.asn);
        found.ok_or_else(|| format!("expect: no network is {name:?}"))
    };
    let found = wanted.network.as_ref().map(network).transpose()?;
    let at = wanted.router.map(|hop| At { hop, network: found, name: wanted.network });
    let Wanted { check, status, layer, hop, also, rule, .. } = wanted;
    let (asn, name) = (provider.asn, provider.name.clone());
    Ok(Expected { asn, provider: name, check, status, layer, hop, also, rule, at })
}

fn table(path: &Path) -> Result<Table, CaseError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| CaseError::Read { path: path.to_owned(), source })?;
    let parsed: Result<Table, _> = toml::from_str(&text);
    parsed.map_err(|e| CaseError::Bad { path: path.to_owned(), message: e.to_string() })
}

/// Puts a case's blocks behind those of its base; a site of the same name takes the place of the base's.
fn merged(mut base: Table, case: Table) -> Table {
    for (key, value) in case {
        match (base.get_mut(&key), value) {
            (Some(Value::Array(old)), Value::Array(new)) => {
                let host = |block: &Value| block.get("host").and_then(Value::as_str).map(str::to_owned);
                let hosts: Vec<String> = new.iter().filter_map(host).collect();
                old.retain(|block| !host(block).is_some_and(|host| hosts.contains(&host)));
                old.extend(new);
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
    base
}
