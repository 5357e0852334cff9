//! What the emulated world needs of a task list file: the targets' hosts and the public resolvers.
//!
//! The file is the one that operators push. Keys that only agents and coordinator care about are passed over
//! here; `faultline list push` checks the whole.

use super::scenario::Scenario;
use faultline_model::{Role, Target};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The service of domestic canaries in a run's own list.
pub const DOMESTIC: &str = "domestic";

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListFileError {
    /// The file cannot be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file does not parse.
    #[error("{}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        message: String,
    },
}

/// One target with the service that it belongs to.
#[derive(Clone, Debug)]
pub struct ListedTarget {
    /// The target; its text is the URL of truth and incidents.
    pub target: Target,
    /// The service's id.
    pub service: String,
    /// The service's name.
    pub service_name: String,
    /// The service's category code.
    pub category: String,
    /// The part that it plays.
    pub role: Role,
}

/// A public resolver that the list names.
#[derive(Clone, Debug, Deserialize)]
pub struct ListedResolver {
    /// Its short name.
    pub name: String,
    /// Its address for plain DNS.
    pub udp: SocketAddr,
    /// Its URL for DNS over HTTPS.
    pub doh_url: url::Url,
    /// The address that the URL's host is reached at.
    pub doh_address: SocketAddr,
}

/// The parts of a task list file that shape the world.
#[derive(Clone, Debug)]
pub struct List {
    /// Where it was read.
    pub path: PathBuf,
    /// All targets in the file's order.
    pub targets: Vec<ListedTarget>,
    /// All public resolvers.
    pub resolvers: Vec<ListedResolver>,
    /// How often a target is measured at a provider.
    pub cell_period: Duration,
}

#[derive(Deserialize)]
struct File {
    #[serde(default = "five_minutes")]
    cell_period_s: u64,
    #[serde(default)]
    resolver: Vec<ListedResolver>,
    #[serde(default)]
    service: Vec<Service>,
}

const fn five_minutes() -> u64 {
    300
}

#[derive(Deserialize)]
struct Service {
    id: String,
    name: String,
    category: String,
    #[serde(default)]
    target: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    url: String,
    role: Role,
}

impl List {
    /// Reads a list file.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, ListFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ListFileError::Read { path: path.to_owned(), source })?;
        let wrong = |message: String| ListFileError::Parse { path: path.to_owned(), message };
        let file: File = toml::from_str(&text).map_err(|e| wrong(e.message().to_owned()))?;
        let mut targets = Vec::new();
        for service in file.service {
            for entry in service.target {
                let target = Target::new(&entry.url).map_err(|e| wrong(e.to_string()))?;
                targets.push(ListedTarget {
                    target,
                    service: service.id.clone(),
                    service_name: service.name.clone(),
                    category: service.category.clone(),
                    role: entry.role,
                });
            }
        }
        let cell_period = Duration::from_secs(file.cell_period_s);
        Ok(Self { path: path.to_owned(), targets, resolvers: file.resolver, cell_period })
    }

    /// Returns the hosts of one service, or nothing when no such service is listed.
    #[must_use]
    pub fn hosts_of(&self, service: &str) -> Vec<String> {
        let own = self.targets.iter().filter(|t| t.service == service);
        own.map(|t| t.target.host().to_owned()).collect()
    }
}

/// Writes the list of a run: the file as it is, with the country's landmarks and domestic canaries after it.
///
/// # Errors
/// Fails when the file cannot be read any more.
pub fn for_run(scenario: &Scenario) -> Result<String, ListFileError> {
    let path = &scenario.list.path;
    let mut text =
        std::fs::read_to_string(path).map_err(|source| ListFileError::Read { path: path.clone(), source })?;
    let country = scenario.country;
    for landmark in &scenario.landmarks {
        let (host, asn) = (&landmark.host, landmark.asn.get());
        text.push_str(&format!(
            "\n[[landmark]]\nurl = \"https://{host}/\"\ncountry = \"{country}\"\nasn = {asn}\n"
        ));
    }
    let canaries: Vec<_> = scenario.list.targets.iter().filter(|listed| listed.service == DOMESTIC).collect();
    if let [first, ..] = canaries.as_slice() {
        let (name, category) = (&first.service_name, &first.category);
        text.push_str(&format!(
            "\n[[service]]\nid = \"{DOMESTIC}\"\nname = \"{name}\"\ncategory = \"{category}\"\ndomestic = \"{country}\"\n"
        ));
    }
    for canary in canaries {
        let url = canary.target.as_str();
        text.push_str(&format!("[[service.target]]\nurl = \"{url}\"\nrole = \"site\"\n"));
    }
    Ok(text)
}
