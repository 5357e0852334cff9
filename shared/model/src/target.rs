//! Targets and the services they belong to.

use crate::endpoint::{Endpoint, EndpointError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use url::{Host, Url};

/// A stable name of something to measure, never an address: a normalised `http` or `https` URL, or an [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Target(String);

/// Why a text is no target.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// The text does not parse as a URL.
    #[error("{0:?} is not a URL")]
    NotUrl(String),
    /// The scheme is none that is measured.
    #[error("scheme {0:?} is not measured; use http or https")]
    Scheme(String),
    /// The host is an address or missing; targets are names.
    #[error("{0:?} has no host name; a target is a name, never an address")]
    Host(String),
    /// A user name, a password or a fragment is part of the URL.
    #[error("{0:?} carries credentials or a fragment")]
    Decorated(String),
    /// The port is none that agents are allowed to use.
    #[error("port {0} is not measured; use 80 or 443")]
    Port(u16),
    /// The URL is longer than 512 characters or a host label is malformed.
    #[error("the URL is longer than 512 characters or its host name is malformed")]
    Malformed,
    /// The text has an endpoint's scheme and breaks an endpoint's rules.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

const MAX_URL_CHARS: usize = 512;

impl Target {
    /// Normalises and checks a URL.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, TargetError> {
        let short = || text.chars().take(80).collect::<String>();
        if text.len() > MAX_URL_CHARS || text.chars().any(char::is_control) {
            return Err(TargetError::Malformed);
        }
        if text.split_once("://").is_some_and(|(scheme, _)| Endpoint::has_scheme(scheme)) {
            return Ok(Self(Endpoint::parse(text)?.to_text()));
        }
        let url = Url::parse(text).map_err(|_| TargetError::NotUrl(short()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(TargetError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(TargetError::Decorated(short()));
        }
        if let Some(port) = url.port()
            && !matches!(port, 80 | 443)
        {
            return Err(TargetError::Port(port));
        }
        match url.host() {
            Some(Host::Domain(name)) if is_host_name(name) => Ok(Self(url.into())),
            Some(Host::Domain(_)) => Err(TargetError::Malformed),
            _ => Err(TargetError::Host(short())),
        }
    }

    /// Returns the URL's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the parsed URL.
    #[must_use]
    pub fn url(&self) -> Url {
        Url::parse(&self.0).expect("a target was parsed when it was made")
    }

    /// Returns what the target names if it is the far end of a circumvention check.
    #[must_use]
    pub fn endpoint(&self) -> Option<Endpoint> {
        Endpoint::parse(&self.0).ok()
    }

    /// Says whether the target is reached over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Returns the host name, in lower case and punycode, without a trailing dot.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let end = rest.find(['/', '?', ':']).unwrap_or(rest.len());
        &rest[..end]
    }
}

pub(crate) fn is_host_name(name: &str) -> bool {
    let labels_are_fine = name.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    });
    name.len() <= 253 && name.contains('.') && labels_are_fine
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Target {
    type Err = TargetError;
    fn from_str(text: &str) -> Result<Self, TargetError> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A part that a target plays in its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The site that people open in a browser.
    #[default]
    Site,
    /// The interface that the service's app calls.
    AppApi,
    /// The hosts that carry pictures and video.
    Media,
}

impl Role {
    /// Returns the role's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::AppApi => "app_api",
            Self::Media => "media",
        }
    }
}

/// A service's short name, such as `youtube`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ServiceId(String);

impl ServiceId {
    /// Checks and keeps a service's name: 1 to 40 characters of a-z, 0-9, `-`.
    ///
    /// # Errors
    /// Returns the rule as text.
    pub fn new(text: &str) -> Result<Self, String> {
        let fits = (1..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("service id {text:?}: use 1 to 40 of a-z, 0-9, '-'"))
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ServiceId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A Citizen Lab category code, such as `GRP`; `CTRL` is a canary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Category(String);

impl Category {
    /// Checks and keeps a code: 2 to 8 capital letters.
    ///
    /// # Errors
    /// Returns the rule as text.
    pub fn new(text: &str) -> Result<Self, String> {
        let fits = (2..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase());
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("category {text:?}: use 2 to 8 capital letters"))
        }
    }

    /// The category of canaries: what nobody has a reason to block.
    #[must_use]
    pub fn canary() -> Self {
        Self("CTRL".to_owned())
    }

    /// Says whether this is the canaries' category.
    #[must_use]
    pub fn is_canary(&self) -> bool {
        self.0 == "CTRL"
    }

    /// Returns the code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Category {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_normalised_and_knows_its_host() {
        let target = Target::new("HTTPS://WWW.YouTube.com").expect("valid");
        assert_eq!(target.as_str(), "https://www.youtube.com/");
        assert_eq!(target.host(), "www.youtube.com");
        assert_eq!(Target::new("https://яндекс.рф/").expect("valid").host(), "xn--d1acpjx3f.xn--p1ai");
    }

    #[test]
    fn addresses_odd_ports_and_decorations_are_no_targets() {
        let long = format!("https://{}.com/", "a".repeat(64));
        for bad in [
            "https://192.168.1.1/",
            "https://[::1]/",
            "https://user:pw@x.com/",
            "ftp://x.com/",
            "https://x.com:22/",
            "https://x.com/#a",
            "x.com",
            "https:///",
            "https://localhost/",
            "https://x..com/",
            "https://a\u{0}b.com/",
            &long,
        ] {
            assert!(Target::new(bad).is_err(), "{bad:?}");
        }
    }
}
