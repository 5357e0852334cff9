//! Networks: ASNs, operator families, gateways, countries, and where a vantage point stands.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An autonomous system number that can be announced on the public internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Asn(u32);

/// A number that no public network has (RFC 7607, RFC 5398, RFC 6996, RFC 7300).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("AS{0} is reserved")]
pub struct AsnError(pub u32);

impl Asn {
    /// Checks and keeps a number of a live vantage point.
    ///
    /// # Errors
    /// Refuses 0, 23456, and the private, documentation and last numbers.
    pub fn new(number: u32) -> Result<Self, AsnError> {
        let reserved = matches!(number,
            0 | 23456 | 64496..=131_071 | 4_200_000_000..=u32::MAX);
        if reserved { Err(AsnError(number)) } else { Ok(Self(number)) }
    }

    /// Keeps any number but 0, for recorded and synthetic data, which use private numbers.
    ///
    /// # Errors
    /// Refuses 0.
    pub fn recorded(number: u32) -> Result<Self, AsnError> {
        if number == 0 { Err(AsnError(0)) } else { Ok(Self(number)) }
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

impl<'de> Deserialize<'de> for Asn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::recorded(u32::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// An ISO 3166-1 alpha-2 country code, such as `PK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountryCode([u8; 2]);

impl FromStr for CountryCode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() && text != "ZZ" => Ok(Self([*a, *b])),
            _ => Err(format!("{text:?} is not a country code; use two capital letters, such as PK")),
        }
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or("??"))
    }
}

impl Serialize for CountryCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CountryCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How an operator's customers are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Fibre, cable, DSL, fixed wireless.
    #[default]
    Fixed,
    /// A mobile network.
    Mobile,
}

/// An operator family: the networks that one company decides about. A family is one vote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The name that customers know.
    pub name: String,
    /// Its ASNs, the main one first.
    pub asns: Vec<Asn>,
    /// Fixed or mobile.
    #[serde(default)]
    pub access: Access,
    /// Its share of the country's users, 0 to 1.
    #[serde(default)]
    pub user_share: f64,
    /// The gateways that it buys transit from, by ASN.
    #[serde(default)]
    pub upstreams: Vec<Asn>,
}

impl Operator {
    /// Returns the ASN by which the family is named.
    #[must_use]
    pub fn main_asn(&self) -> Asn {
        self.asns[0]
    }
}

/// A gateway: a network through which others reach the rest of the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// Its ASN.
    pub asn: Asn,
    /// Its name.
    pub name: String,
}

/// How dangerous measuring is for a volunteer in a country; it decides which budget agents should join with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskTier {
    /// Nobody is known to have had trouble for measuring.
    Standard,
    /// The law or its practice threatens those who look: small budgets, no conspicuous targets.
    High,
}

/// Where facts of a profile come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What it is about: `names`, `families`, `access`, `user_share`, `upstreams`, `gateways`, `utc_offset`,
    /// `languages`, `risk_tier`.
    pub about: Vec<String>,
    /// Who says so, and where.
    pub name: String,
    /// The state that it describes, such as `2026-06`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub as_of: String,
}

/// What is known of a country beforehand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountryProfile {
    /// The country.
    pub country: CountryCode,
    /// Its name in English.
    pub name: String,
    /// Minutes to add to UTC for local time.
    #[serde(default)]
    pub utc_offset_min: i32,
    /// The short name of local time that readers expect, such as `PKT`; without one its offset is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// How dangerous measuring is; absent where nobody decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_tier: Option<RiskTier>,
    /// Languages in which volunteers are spoken to, as ISO 639 codes, the most common first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Measurements by others that were imported count as evidence beside live ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported_as_evidence: bool,
    /// The operator families.
    #[serde(rename = "operator", default)]
    pub operators: Vec<Operator>,
    /// The gateways.
    #[serde(rename = "gateway", default)]
    pub gateways: Vec<Gateway>,
    /// Where all this comes from.
    #[serde(rename = "source", default)]
    pub sources: Vec<Source>,
}

/// What is wrong with a country profile.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ProfileError {
    /// An operator has no ASN.
    #[error("operator {0:?} has no asns")]
    NoAsn(String),
    /// Two operators claim one ASN.
    #[error("{0} belongs to more than one operator")]
    SharedAsn(Asn),
    /// The name of local time is none that a sentence can carry.
    #[error("{0:?} is no short name of a time zone; use two to six capital letters, such as PKT")]
    TimeZone(String),
    /// A language is no ISO 639 code.
    #[error("{0:?} is no language code; use two or three small letters, such as ur")]
    Language(String),
    /// A share lies outside 0 to 1, or the shares add up to more than 1.
    #[error("the user shares must lie between 0 and 1 and add up to at most 1; {0:?} breaks that")]
    Share(String),
}

impl CountryProfile {
    /// Makes the profile of a country of which nothing is known.
    #[must_use]
    pub fn unknown(country: CountryCode) -> Self {
        Self {
            country,
            name: country.to_string(),
            utc_offset_min: 0,
            time_zone: None,
            risk_tier: None,
            languages: Vec::new(),
            imported_as_evidence: false,
            operators: Vec::new(),
            gateways: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// Checks what the types alone cannot hold.
    ///
    /// # Errors
    /// Names the operator or ASN at fault.
    pub fn validate(&self) -> Result<(), ProfileError> {
        let is_code = |code: &&String| {
            (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase())
        };
        if let Some(odd) = self.languages.iter().find(|code| !is_code(code)) {
            return Err(ProfileError::Language(odd.clone()));
        }
        let is_zone = |zone: &&String| {
            (2..=6).contains(&zone.len()) && zone.bytes().all(|byte| byte.is_ascii_uppercase())
        };
        if let Some(odd) = self.time_zone.as_ref().filter(|zone| !is_zone(zone)) {
            return Err(ProfileError::TimeZone(odd.clone()));
        }
        let mut seen = std::collections::BTreeSet::new();
        let mut total = 0.0;
        for operator in &self.operators {
            if operator.asns.is_empty() {
                return Err(ProfileError::NoAsn(operator.name.clone()));
            }
            if let Some(shared) = operator.asns.iter().find(|asn| !seen.insert(**asn)) {
                return Err(ProfileError::SharedAsn(*shared));
            }
            total += operator.user_share;
            if !(0.0..=1.0).contains(&operator.user_share) || total > 1.0 + 1e-9 {
                return Err(ProfileError::Share(operator.name.clone()));
            }
        }
        Ok(())
    }

    /// Returns the operator family that an ASN belongs to.
    #[must_use]
    pub fn operator(&self, asn: Asn) -> Option<&Operator> {
        self.operators.iter().find(|operator| operator.asns.contains(&asn))
    }
}

/// Where a measurement was made, as the coordinator knows it. Never an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vantage {
    /// The agent.
    pub agent: crate::AgentId,
    /// Its network.
    pub asn: Asn,
    /// Its country.
    pub country: CountryCode,
    /// A control stands outside the country and is run by operators.
    pub control: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_numbers_are_no_live_networks() {
        for bad in [0, 23456, 64512, 65534, 65535, 4_294_967_295] {
            assert_eq!(Asn::new(bad), Err(AsnError(bad)));
        }
        assert_eq!(Asn::new(23674).map(Asn::get), Ok(23674));
        assert_eq!(Asn::new(136_384).map(Asn::get), Ok(136_384));
    }

    #[test]
    fn a_family_is_one_vote_so_an_asn_has_one_family() {
        let operator = |name: &str, asn| Operator {
            name: name.into(),
            asns: vec![Asn(asn)],
            access: Access::Fixed,
            user_share: 0.5,
            upstreams: vec![],
        };
        let mut profile = CountryProfile {
            operators: vec![operator("A", 1), operator("B", 1)],
            ..CountryProfile::unknown("PK".parse().expect("valid"))
        };
        assert_eq!(profile.validate(), Err(ProfileError::SharedAsn(Asn(1))));
        profile.operators[1].asns = vec![Asn(2)];
        assert_eq!(profile.validate(), Ok(()));
        profile.operators[1].user_share = 0.6;
        assert_eq!(profile.validate(), Err(ProfileError::Share("B".into())));
    }
}
