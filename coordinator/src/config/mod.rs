//! Configuration: flags over a TOML file over defaults, read once at start into values that cannot be wrong.

mod fingerprints;

use crate::networks::{Networks, NetworksError};
use faultline_analysis::judge::Fingerprints;
use faultline_model::{Baseline, CountryProfile};
use faultline_runtime::LogFormat;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is wrong with the configuration. Each names its key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{key}: cannot read {}", path.display())]
    Read {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file does not parse.
    #[error("{key}: {} is malformed: {reason}", path.display())]
    Malformed {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line where known.
        reason: String,
    },
    /// A value is none that can be used.
    #[error("{key}: {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// The network table cannot be used.
    #[error("networks: the table cannot be used")]
    Networks(#[source] NetworksError),
}

/// Flags and the file's keys, before they are checked. Flags win.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSettings {
    /// The data directory.
    pub data: Option<PathBuf>,
    /// Where agents and operators connect.
    pub listen: Option<SocketAddr>,
    /// Where readers connect.
    pub http: Option<SocketAddr>,
    /// Names and addresses put into invites and the server's certificate.
    pub advertise: Vec<String>,
    /// Country profiles.
    pub profiles: Vec<PathBuf>,
    /// The table from address to network.
    pub networks: Option<PathBuf>,
    /// Recorded ordinary days.
    pub baseline: Option<PathBuf>,
    /// The folder with fingerprints of block pages and forged answers.
    pub fingerprints: Option<PathBuf>,
    /// Days that raw rows are kept.
    pub retention_days: Option<u32>,
    /// How log lines look.
    pub log_format: Option<String>,
}

impl RawSettings {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// Names the key and the line at fault.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read("config", path)?;
        toml::from_str(&text).map_err(|e| malformed("config", path, &e))
    }

    /// Puts flags over what a file says.
    #[must_use]
    pub fn or(self, file: Self) -> Self {
        let longer = |flags: Vec<_>, file: Vec<_>| if flags.is_empty() { file } else { flags };
        Self {
            data: self.data.or(file.data),
            listen: self.listen.or(file.listen),
            http: self.http.or(file.http),
            advertise: if self.advertise.is_empty() { file.advertise } else { self.advertise },
            profiles: longer(self.profiles, file.profiles),
            networks: self.networks.or(file.networks),
            baseline: self.baseline.or(file.baseline),
            fingerprints: self.fingerprints.or(file.fingerprints),
            retention_days: self.retention_days.or(file.retention_days),
            log_format: self.log_format.or(file.log_format),
        }
    }
}

/// The configuration that a coordinator runs under.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory.
    pub data: PathBuf,
    /// Where agents and operators connect.
    pub listen: SocketAddr,
    /// Where readers connect.
    pub http: SocketAddr,
    /// Names and addresses put into invites and the server's certificate, as `host:port`; may be empty.
    pub advertise: Vec<String>,
    /// Country profiles.
    pub profiles: Vec<CountryProfile>,
    /// The table from address to network, if any.
    pub(crate) networks: Option<Networks>,
    /// Recorded ordinary days.
    pub baseline: Baseline,
    /// By what block pages and forged answers are known.
    pub fingerprints: Fingerprints,
    /// How long raw rows are kept.
    pub retention: Duration,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// Beside the program's working directory, so that a first run needs no rights.
fn default_data() -> PathBuf {
    PathBuf::from("./faultline-data")
}

/// Every interface: agents come from outside.
fn default_listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 7443))
}

/// The machine itself only: opening it to the world is a decision.
fn default_http() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

/// As long as researchers need to come back to a case, and no longer than volunteers were told.
const fn default_retention_days() -> u32 {
    90
}

impl Settings {
    /// Checks every key and reads the files that they name.
    ///
    /// # Errors
    /// Names the key at fault.
    pub fn new(raw: RawSettings) -> Result<Self, ConfigError> {
        let value = |key, reason: String| ConfigError::Value { key, reason };
        let retention_days = raw.retention_days.unwrap_or_else(default_retention_days);
        if !(1..=3650).contains(&retention_days) {
            return Err(value("retention_days", format!("{retention_days} does not lie between 1 and 3650")));
        }
        for address in &raw.advertise {
            host_of(address).map_err(|reason| value("advertise", reason))?;
        }
        let log_format = match raw.log_format.as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => {
                return Err(value("log_format", format!("{other:?} is neither \"text\" nor \"json\"")));
            }
        };
        let mut profiles: Vec<CountryProfile> = Vec::new();
        for path in &raw.profiles {
            let profile = read_profile(path)?;
            if profiles.iter().any(|known| known.country == profile.country) {
                return Err(value("profiles", format!("{} has two profiles", profile.country)));
            }
            profiles.push(profile);
        }
        Ok(Self {
            data: raw.data.unwrap_or_else(default_data),
            listen: raw.listen.unwrap_or_else(default_listen),
            http: raw.http.unwrap_or_else(default_http),
            advertise: raw.advertise,
            profiles,
            networks: raw
                .networks
                .as_deref()
                .map(Networks::read)
                .transpose()
                .map_err(ConfigError::Networks)?,
            baseline: raw.baseline.as_deref().map(read_baseline).transpose()?.unwrap_or_default(),
            fingerprints: raw
                .fingerprints
                .as_deref()
                .map(fingerprints::read)
                .transpose()?
                .unwrap_or_else(Fingerprints::built_in),
            retention: Duration::from_secs(u64::from(retention_days) * 86_400),
            log_format,
        })
    }
}

/// Returns the host of `host:port`.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn host_of(address: &str) -> Result<String, String> {
    let wrong = || format!("{address:?} is not host:port");
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let fits = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:".contains(&b));
    if fits { Ok(host.to_owned()) } else { Err(wrong()) }
}

fn read(key: &'static str, path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { key, path: path.to_owned(), source })
}

fn malformed(key: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Malformed { key, path: path.to_owned(), reason: reason.to_string() }
}

fn read_profile(path: &Path) -> Result<CountryProfile, ConfigError> {
    let profile: CountryProfile =
        toml::from_str(&read("profiles", path)?).map_err(|e| malformed("profiles", path, &e))?;
    profile.validate().map_err(|e| malformed("profiles", path, &e))?;
    Ok(profile)
}

fn read_baseline(path: &Path) -> Result<Baseline, ConfigError> {
    serde_json::from_str(&read("baseline", path)?).map_err(|e| malformed("baseline", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_names_every_key_with_its_default() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
        let text = std::fs::read_to_string(&path).expect("the example is there");
        let settings = Settings::new(RawSettings::read(&path).expect("it parses")).expect("it is valid");
        let plain = Settings::new(RawSettings::default()).expect("nothing has to be configured");
        assert_eq!((settings.data, settings.listen, settings.http), (plain.data, plain.listen, plain.http));
        assert_eq!((settings.retention, settings.log_format), (plain.retention, plain.log_format));
        for key in [
            "data",
            "listen",
            "http",
            "advertise",
            "profiles",
            "networks",
            "baseline",
            "fingerprints",
            "retention_days",
            "log_format",
        ] {
            assert!(
                text.lines().any(|l| l.trim_start_matches("# ").starts_with(&format!("{key} ="))),
                "{key}"
            );
        }
    }

    #[test]
    fn a_bad_configuration_names_its_key() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("config.toml");
        for (text, says) in [
            ("colour = 1", "colour"),
            ("listen = \"nowhere\"", "listen"),
            ("retention_days = 0", "retention_days"),
            ("advertise = [\"no port\"]", "advertise"),
            ("log_format = \"xml\"", "log_format"),
            ("profiles = [\"/nonexistent\"]", "profiles"),
            ("fingerprints = \"/nonexistent\"", "fingerprints"),
        ] {
            std::fs::write(&path, text).expect("written");
            let error = RawSettings::read(&path).and_then(Settings::new).expect_err(text);
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn flags_win_over_the_file() {
        let file =
            RawSettings { retention_days: Some(7), advertise: vec!["a:1".into()], ..RawSettings::default() };
        let flags = RawSettings { retention_days: Some(9), ..RawSettings::default() };
        let both = flags.or(file);
        assert_eq!((both.retention_days, both.advertise), (Some(9), vec!["a:1".to_owned()]));
    }
}
