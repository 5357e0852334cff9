//! Task lists: what operators allow agents to do, signed offline.
//!
//! The signed document is the JSON text of [`TaskList`], byte for byte. An agent does only (check, target)
//! pairs of the list that it holds, never more often than [`Limits`] and its own budget allow.

use crate::{
    Asn, Category, CheckKind, CountryCode, LineProbes, RiskTier, Role, ServiceId, Target, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// A longer document is refused before it is parsed.
pub const MAX_LIST_BYTES: usize = 1 << 20;
/// A list with more targets is refused.
pub const MAX_TARGETS: usize = 5000;
const MAX_RESOLVERS: usize = 16;
const MAX_LANDMARKS: usize = 500;

/// What is wrong with a task list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The document is larger than [`MAX_LIST_BYTES`].
    #[error("the list has {0} bytes; at most {MAX_LIST_BYTES} are read")]
    TooLarge(usize),
    /// The document does not parse.
    #[error("the list is malformed")]
    Malformed(#[source] serde_json::Error),
    /// No target at all: agents keep what they have.
    #[error("the list has no targets")]
    Empty,
    /// More targets or resolvers than allowed.
    #[error("the list has {0} {1}; at most {2} are allowed")]
    TooMany(usize, &'static str, usize),
    /// A target, service or resolver occurs twice.
    #[error("{0} occurs twice")]
    Duplicate(String),
    /// A limit lies outside its range.
    #[error("{key} is {value}; it must lie between {min} and {max}")]
    Limit {
        /// The key at fault.
        key: &'static str,
        /// Its value.
        value: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// The list ends before it begins, or lives longer than 90 days.
    #[error("the list must expire between 1 and 90 days after it was issued")]
    Lifetime,
    /// A check that speaks TLS only is asked for an `http` target.
    #[error("{0} can be measured by web only: {1} needs https")]
    NeedsHttps(Target, CheckKind),
    /// A check is asked for a target of another scheme.
    #[error("{0} cannot be measured by {1}: each scheme has its own check")]
    WrongScheme(Target, CheckKind),
    /// A landmark, the throughput control or what a selfcheck looks at is an endpoint.
    #[error("{0} is no web address")]
    NotWeb(Target),
    /// A download has nothing to be compared with.
    #[error(
        "{0} has the check throughput, but the list names no throughput_control and no https canary with role media"
    )]
    NoThroughputControl(Target),
    /// A download would be compared with one from the same host.
    #[error("{0} has the check throughput, but stands on the host of the list's own throughput control")]
    OwnThroughputControl(Target),
}

/// How often things may be done, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// One measurement per target and operator family in this time, seconds (60 to 86,400).
    pub cell_period_s: u32,
    /// The least time between two routine runs of one (check, target) on one agent, seconds (30 to 86,400).
    pub min_interval_s: u32,
    /// Confirmations of one target by one agent in five minutes (0 to 2).
    pub confirmations_per_target: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cell_period_s: 300, min_interval_s: 60, confirmations_per_target: 2 }
    }
}

/// A public resolver that full checks also ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolverSpec {
    /// A unique short name.
    pub name: String,
    /// Its address for plain DNS.
    pub udp: SocketAddr,
    /// Its URL for DNS over HTTPS (RFC 8484).
    pub doh_url: String,
    /// The address that the URL's host is reached at, so that no other name has to be resolved.
    pub doh_address: SocketAddr,
    /// Its address for DNS over TLS (RFC 7858), under the name of the URL's host. Left out of the document where there is
    /// none, so that older lists read and verify as they were signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dot: Option<SocketAddr>,
}

/// One target of a list, with its service and what may be run against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSpec {
    /// The target.
    pub target: Target,
    /// The service that it is a part of.
    pub service: ServiceId,
    /// The service's name for people.
    pub service_name: String,
    /// The part it plays.
    pub role: Role,
    /// The service's category.
    pub category: Category,
    /// The checks that may be run.
    pub checks: Vec<CheckKind>,
    /// The country inside which the target is served: what reaches it needs no line abroad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domestic: Option<CountryCode>,
}

/// A public host inside a network, which controls look at from outside: it tells whether a network that went silent is
/// cut off, or only our own channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Landmark {
    /// The host, by a URL.
    pub target: Target,
    /// The country that it stands in.
    pub country: CountryCode,
    /// The network that it stands in.
    pub asn: Asn,
}

/// The whole document that operators sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskList {
    /// Its name, such as `core`.
    pub name: String,
    /// Rises with every push; an agent never goes back.
    pub version: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// After this moment agents stop measuring until they get a newer one.
    pub expires_at: Timestamp,
    /// How often, at most.
    pub limits: Limits,
    /// Public resolvers.
    pub resolvers: Vec<ResolverSpec>,
    /// The targets.
    pub targets: Vec<TargetSpec>,
    /// Hosts that only controls look at. Left out of the document where there are none, so that older lists read and
    /// verify as they were signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub landmarks: Vec<Landmark>,
    /// What `throughput` downloads from beside each target, to know the line. Absent in most lists: the first
    /// `https` canary with role `media` is taken then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput_control: Option<Target>,
    /// How dangerous measuring is, by country: where it is high or not said, agents measure sensitive categories only
    /// for volunteers who agreed to each. Signed, so that nobody who takes the coordinator can play it down.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub risk: BTreeMap<CountryCode, RiskTier>,
    /// What a selfcheck may look at beside the canaries.
    #[serde(default, skip_serializing_if = "LineProbes::is_empty")]
    pub line: LineProbes,
}

impl TaskList {
    /// Parses and checks a document.
    ///
    /// # Errors
    /// Says what is wrong with the first thing that is.
    pub fn from_bytes(document: &[u8]) -> Result<Self, ListError> {
        if document.len() > MAX_LIST_BYTES {
            return Err(ListError::TooLarge(document.len()));
        }
        let list: Self = serde_json::from_slice(document).map_err(ListError::Malformed)?;
        list.validate()?;
        Ok(list)
    }

    /// Returns the bytes that are signed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a task list has only string keys")
    }

    /// Checks what the types alone cannot hold.
    ///
    /// # Errors
    /// Says what is wrong with the first thing that is.
    pub fn validate(&self) -> Result<(), ListError> {
        if self.targets.is_empty() {
            return Err(ListError::Empty);
        }
        if self.targets.len() > MAX_TARGETS {
            return Err(ListError::TooMany(self.targets.len(), "targets", MAX_TARGETS));
        }
        if self.landmarks.len() > MAX_LANDMARKS {
            return Err(ListError::TooMany(self.landmarks.len(), "landmarks", MAX_LANDMARKS));
        }
        if self.resolvers.len() > MAX_RESOLVERS {
            return Err(ListError::TooMany(self.resolvers.len(), "resolvers", MAX_RESOLVERS));
        }
        let mut seen = BTreeSet::new();
        let targets = self.targets.iter().map(|spec| spec.target.as_str());
        let landmarks = self.landmarks.iter().map(|landmark| landmark.target.as_str());
        let mut names = targets.chain(landmarks).chain(self.resolvers.iter().map(|r| r.name.as_str()));
        if let Some(twice) = names.find(|n| !seen.insert(*n)) {
            return Err(ListError::Duplicate(twice.to_owned()));
        }
        check("cell_period_s", self.limits.cell_period_s, 60, 86_400)?;
        check("min_interval_s", self.limits.min_interval_s, 30, 86_400)?;
        check("confirmations_per_target", self.limits.confirmations_per_target, 0, 2)?;
        let lifetime = self.expires_at.since(self.issued_at);
        if lifetime < Duration::from_secs(60) || lifetime > Duration::from_secs(90 * 86_400) {
            return Err(ListError::Lifetime);
        }
        let only_web = self.landmarks.iter().map(|landmark| &landmark.target).chain(&self.throughput_control);
        let mut only_web = only_web.chain(self.line.targets());
        if let Some(endpoint) = only_web.find(|target| target.endpoint().is_some()) {
            return Err(ListError::NotWeb(endpoint.clone()));
        }
        self.targets.iter().try_for_each(|spec| self.validate_checks(spec))
    }

    fn validate_checks(&self, spec: &TargetSpec) -> Result<(), ListError> {
        let needs_https = spec.checks.iter().find(|check| check.needs_https());
        if let Some(check) = needs_https
            && !spec.target.is_https()
            && spec.target.endpoint().is_none()
        {
            return Err(ListError::NeedsHttps(spec.target.clone(), *check));
        }
        if let Some(check) = spec.checks.iter().find(|check| !check.accepts(&spec.target)) {
            return Err(ListError::WrongScheme(spec.target.clone(), *check));
        }
        if !spec.checks.contains(&CheckKind::Throughput) {
            return Ok(());
        }
        match self.throughput_control() {
            None => Err(ListError::NoThroughputControl(spec.target.clone())),
            Some(control) if control.host() == spec.target.host() => {
                Err(ListError::OwnThroughputControl(spec.target.clone()))
            }
            Some(_) => Ok(()),
        }
    }

    /// Returns what downloads are compared with: the target named for it, else the first canary with role `media`.
    #[must_use]
    pub fn throughput_control(&self) -> Option<&Target> {
        let is_media_canary = |spec: &&TargetSpec| spec.category.is_canary() && spec.role == Role::Media;
        let canaries = self.targets.iter().filter(is_media_canary).map(|spec| &spec.target);
        self.throughput_control.iter().chain(canaries).find(|target| target.is_https())
    }

    /// Returns a site that nobody is known to block and that has nothing to do with a target: the first canary on another
    /// host, of those that are measured over TLS where the target is.
    #[must_use]
    pub fn innocent(&self, target: &Target) -> Option<&Target> {
        let canaries = self.targets.iter().filter(|spec| spec.category.is_canary());
        let fits =
            |canary: &&Target| canary.host() != target.host() && (canary.is_https() || !target.is_https());
        canaries.map(|spec| &spec.target).find(fits)
    }

    /// Finds a target's entry.
    #[must_use]
    pub fn find(&self, target: &Target) -> Option<&TargetSpec> {
        self.targets.iter().find(|spec| spec.target == *target)
    }

    /// Says whether the list allows controls to look at a landmark, which takes the check of pages.
    #[must_use]
    pub fn allows_landmark(&self, check: CheckKind, target: &Target) -> bool {
        check == CheckKind::Web && self.landmarks.iter().any(|landmark| landmark.target == *target)
    }

    /// Says whether the list allows a check of a target.
    #[must_use]
    pub fn allows(&self, check: CheckKind, target: &Target) -> bool {
        match check {
            // An agent looks at its own line by what the list lets it see anyway: pages of canaries.
            CheckKind::Selfcheck => self.canaries().any(|canary| canary == target),
            _ => self.find(target).is_some_and(|spec| spec.checks.contains(&check)),
        }
    }

    /// Returns the canaries by which an agent may look at its own line.
    pub fn canaries(&self) -> impl Iterator<Item = &Target> {
        let is_canary =
            |spec: &&TargetSpec| spec.category.is_canary() && spec.checks.contains(&CheckKind::Web);
        self.targets.iter().filter(is_canary).map(|spec| &spec.target)
    }
}

fn check(key: &'static str, value: u32, min: u64, max: u64) -> Result<(), ListError> {
    let value = u64::from(value);
    if (min..=max).contains(&value) { Ok(()) } else { Err(ListError::Limit { key, value, min, max }) }
}

/// One operator's signature over a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The key's id: SHA-256 of the public key, in hexadecimal.
    pub key_id: String,
    /// Ed25519 over the document's bytes (RFC 8032), in hexadecimal.
    pub signature: String,
}

/// A document with the signatures that make it binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedList {
    /// The exact bytes of the [`TaskList`].
    pub document: Vec<u8>,
    /// Signatures by operators.
    pub signatures: Vec<Signature>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(targets: &[&str]) -> TaskList {
        let spec = |url: &&str| TargetSpec {
            target: Target::new(url).expect("valid"),
            service: ServiceId::new("x").expect("valid"),
            service_name: "X".into(),
            role: Role::Site,
            category: Category::new("GRP").expect("valid"),
            checks: vec![CheckKind::Web],
            domestic: None,
        };
        TaskList {
            name: "core".into(),
            version: 1,
            issued_at: Timestamp::from_unix_ms(0),
            expires_at: Timestamp::from_unix_ms(86_400_000),
            limits: Limits::default(),
            resolvers: vec![],
            targets: targets.iter().map(spec).collect(),
            landmarks: vec![],
            throughput_control: None,
            risk: BTreeMap::new(),
            line: LineProbes::default(),
        }
    }

    #[test]
    fn a_list_survives_being_written_and_read() {
        let list = list(&["https://x.com/"]);
        assert_eq!(TaskList::from_bytes(&list.to_bytes()).expect("valid"), list);
    }

    #[test]
    fn a_list_without_landmarks_is_written_as_before_there_were_any() {
        let mut list = list(&["https://x.com/"]);
        let text = String::from_utf8(list.to_bytes()).expect("text");
        assert!(!text.contains("landmarks") && !text.contains("domestic"), "{text}");
        assert!(!text.contains("risk"), "{text}");
        let landmark = |url: &str| Landmark {
            target: Target::new(url).expect("valid"),
            country: "PK".parse().expect("valid"),
            asn: Asn::new(23674).expect("valid"),
        };
        list.landmarks = vec![landmark("https://nayatel.com/")];
        let read = TaskList::from_bytes(&list.to_bytes()).expect("valid");
        let [own, listed] =
            ["https://nayatel.com/", "https://x.com/"].map(|u| Target::new(u).expect("valid"));
        assert!(read.allows_landmark(CheckKind::Web, &own) && !read.allows(CheckKind::Web, &own));
        assert!(!read.allows_landmark(CheckKind::Web, &listed));
        list.landmarks.push(landmark("https://x.com/"));
        assert!(matches!(list.validate(), Err(ListError::Duplicate(_))), "a target is no landmark");
    }

    #[test]
    fn the_risk_of_countries_is_a_part_of_what_is_signed() {
        let mut list = list(&["https://x.com/"]);
        list.risk.insert("PK".parse().expect("a code"), RiskTier::High);
        let text = String::from_utf8(list.to_bytes()).expect("text");
        assert!(text.contains(r#""risk":{"PK":"high"}"#), "{text}");
        assert_eq!(TaskList::from_bytes(text.as_bytes()).expect("valid"), list);
    }

    #[test]
    fn a_download_needs_a_control_on_another_host_that_the_list_itself_names() {
        let mut list = list(&["https://x.com/big", "https://canary.org/big"]);
        list.targets[0].checks.push(CheckKind::Throughput);
        assert!(matches!(list.validate(), Err(ListError::NoThroughputControl(_))));
        list.targets[1].role = Role::Media;
        assert!(matches!(list.validate(), Err(ListError::NoThroughputControl(_))), "no canary");
        list.targets[1].category = Category::canary();
        list.validate().expect("a canary with role media");
        assert_eq!(list.throughput_control().map(Target::host), Some("canary.org"));
        let named = Target::new("https://files.canary.org/big").expect("valid");
        list.throughput_control = Some(named.clone());
        assert_eq!(list.throughput_control(), Some(&named));
        assert_eq!(TaskList::from_bytes(&list.to_bytes()).expect("valid"), list);
        list.throughput_control = Some(Target::new("https://x.com/other").expect("valid"));
        assert!(matches!(list.validate(), Err(ListError::OwnThroughputControl(_))));
    }

    #[test]
    fn what_speaks_only_tls_is_not_asked_of_a_plain_target() {
        let mut list = list(&["http://x.com/"]);
        list.targets[0].checks = vec![CheckKind::Web, CheckKind::Quic];
        assert!(matches!(list.validate(), Err(ListError::NeedsHttps(_, CheckKind::Quic))));
    }

    #[test]
    fn an_endpoint_is_for_its_own_check_and_no_landmark() {
        let mut list = list(&["openvpn://relay.example.net:1194"]);
        assert!(matches!(list.validate(), Err(ListError::WrongScheme(_, CheckKind::Web))));
        list.targets[0].checks = vec![CheckKind::Openvpn];
        assert_eq!(TaskList::from_bytes(&list.to_bytes()).expect("valid"), list);
        list.targets[0].checks = vec![CheckKind::Quic];
        assert!(matches!(list.validate(), Err(ListError::WrongScheme(_, CheckKind::Quic))));
        list.targets[0].checks = vec![CheckKind::Openvpn];
        list.throughput_control = Some(Target::new("tor://t.example.net").expect("valid"));
        assert!(matches!(list.validate(), Err(ListError::NotWeb(_))));
    }

    #[test]
    fn an_empty_doubled_or_boundless_list_is_refused() {
        assert!(matches!(list(&[]).validate(), Err(ListError::Empty)));
        let doubled = list(&["https://x.com/", "https://X.com"]);
        assert!(matches!(doubled.validate(), Err(ListError::Duplicate(_))));
        let mut hasty = list(&["https://x.com/"]);
        hasty.limits.min_interval_s = 1;
        assert!(matches!(hasty.validate(), Err(ListError::Limit { key: "min_interval_s", .. })));
        let mut eternal = list(&["https://x.com/"]);
        eternal.expires_at = Timestamp::from_unix_ms(i64::MAX);
        assert!(matches!(eternal.validate(), Err(ListError::Lifetime)));
        assert!(matches!(TaskList::from_bytes(&vec![b' '; MAX_LIST_BYTES + 1]), Err(ListError::TooLarge(_))));
        assert!(TaskList::from_bytes(&list(&["https://x.com/"]).to_bytes()[..40]).is_err(), "truncated");
    }
}
