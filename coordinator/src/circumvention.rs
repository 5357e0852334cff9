//! Which ways around censorship still work, by protocol class and provider, and who may know it when.
//!
//! While it is fresh, a result tells a censor which of its filters leaks. So readers get it when
//! [`ProtocolClass::PUBLIC_AFTER_DAYS`] days have passed since the end of the hour in which it came, or when an operator
//! has released that class in that country. Operators get it at once. Nobody gets the host: rows are by class.

use crate::coordinator::Coordinator;
use crate::store::{Outcomes, Release, StoreError};
use faultline_model::{Asn, CountryCode, LayerStatus, ProtocolClass, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const HELD_BACK: Duration = Duration::from_secs(ProtocolClass::PUBLIC_AFTER_DAYS as u64 * 86_400);
/// Results of the days that are kept anyway.
const LOOK_BACK: Duration = Duration::from_secs(90 * 86_400);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Anybody, by the readers' port.
    Public,
    /// Whoever has an operator's credential.
    Operators,
}

/// What is known of one class at one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    /// The class.
    pub(crate) class: ProtocolClass,
    /// The operator family's name.
    pub(crate) operator: String,
    /// Its main network.
    pub(crate) asn: Asn,
    /// Handshakes that passed.
    pub(crate) passed: u32,
    /// Handshakes that failed while controls' passed.
    pub(crate) blocked: u32,
    /// Results that say nothing of the provider.
    pub(crate) unclear: u32,
    /// The rules of those that were blocked.
    pub(crate) rules: BTreeSet<String>,
    /// The beginning of the first hour with a result.
    pub(crate) first: Timestamp,
    /// The beginning of the last hour with a result.
    pub(crate) last: Timestamp,
    /// How many of them are held back from the public still.
    pub(crate) held_back: u32,
}

/// Reads what an audience may know of a country.
pub(crate) async fn read(
    coordinator: &Coordinator,
    country: CountryCode,
    audience: Audience,
    now: Timestamp,
) -> Result<Vec<Row>, StoreError> {
    let releases = coordinator.registry.releases().await?;
    let all = coordinator.archive.handshakes(country, now - LOOK_BACK).await?;
    let border = Border { country, releases: &releases, now };
    Ok(rows(&all, &border, audience, |asn| {
        let family = coordinator.countries.family(country, asn);
        (family.asn, family.name)
    }))
}

/// Where what is public ends.
struct Border<'a> {
    country: CountryCode,
    releases: &'a [Release],
    now: Timestamp,
}

impl Border<'_> {
    /// Says whether everybody may know these results. They are told together, so that what came after a release holds back
    /// those of the same hour and outcome.
    fn is_public(&self, class: ProtocolClass, one: &Outcomes) -> bool {
        let is_released = |release: &Release| {
            release.class == class && release.country == self.country && release.until >= one.last_at
        };
        self.now >= one.hour + HOUR + HELD_BACK || self.releases.iter().any(is_released)
    }
}

fn rows(
    all: &[Outcomes],
    border: &Border<'_>,
    audience: Audience,
    family: impl Fn(Asn) -> (Asn, String),
) -> Vec<Row> {
    let mut found: BTreeMap<(ProtocolClass, Asn), Row> = BTreeMap::new();
    for one in all {
        let (Some(class), Some(asn)) = (one.check.protocol_class(&one.target), one.asn) else { continue };
        let is_public = border.is_public(class, one);
        if audience == Audience::Public && !is_public {
            continue;
        }
        let (asn, operator) = family(asn);
        let row = found.entry((class, asn)).or_insert_with(|| Row {
            class,
            operator,
            asn,
            passed: 0,
            blocked: 0,
            unclear: 0,
            rules: BTreeSet::new(),
            first: one.hour,
            last: one.hour,
            held_back: 0,
        });
        row.add(one, is_public);
    }
    found.into_values().collect()
}

impl Row {
    fn add(&mut self, one: &Outcomes, is_public: bool) {
        (self.first, self.last) = (self.first.min(one.hour), self.last.max(one.hour));
        if !is_public {
            self.held_back += one.count;
        }
        match one.status {
            LayerStatus::Ok => self.passed += one.count,
            LayerStatus::Blocked => {
                self.blocked += one.count;
                self.rules.insert(one.rule.clone());
            }
            _ => self.unclear += one.count,
        }
    }
}

/// Lets everybody know the results of a class in a country that have come so far.
pub(crate) async fn release(
    coordinator: &Coordinator,
    country: CountryCode,
    class: ProtocolClass,
    now: Timestamp,
) -> Result<Release, StoreError> {
    let release = Release { class, country, until: now, released_at: now };
    coordinator.registry.keep_release(release.clone()).await?;
    tracing::info!(%class, %country, "results of a way around censorship are released");
    Ok(release)
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_model::{CheckKind, Target};

    const DAY: i64 = 86_400_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn outcomes(hour: i64, status: LayerStatus) -> Outcomes {
        Outcomes {
            check: CheckKind::Openvpn,
            target: Target::new("openvpn://relay.example.net:1194?transport=udp").expect("a target"),
            asn: Asn::new(23674).ok(),
            hour: at(hour),
            status,
            rule: "openvpn_udp.drop".into(),
            count: 2,
            last_at: at(hour + 1_800_000),
        }
    }

    fn seen(all: &[Outcomes], releases: &[Release], now: i64, audience: Audience) -> Vec<Row> {
        let country = "PK".parse().expect("a country");
        let border = Border { country, releases, now: at(now) };
        rows(all, &border, audience, |asn| (asn, "Nayatel".into()))
    }

    #[test]
    fn the_public_learns_of_an_hour_seven_days_after_its_end_and_operators_at_once() {
        let all = [outcomes(0, LayerStatus::Blocked)];
        let public = |now| seen(&all, &[], now, Audience::Public);
        assert_eq!(public(7 * DAY), [], "the hour was still running seven days ago");
        assert_eq!(public(7 * DAY + 3_600_000)[0].blocked, 2);
        let own = seen(&all, &[], 10, Audience::Operators);
        assert_eq!((own[0].blocked, own[0].held_back), (2, 2));
    }

    #[test]
    fn a_release_is_for_one_class_in_one_country_and_for_what_had_come() {
        let all = [outcomes(0, LayerStatus::Ok), outcomes(7_200_000, LayerStatus::Ok)];
        let release = |class, country: &str| Release {
            class,
            country: country.parse().expect("a country"),
            until: at(3_600_000),
            released_at: at(3_600_000),
        };
        let public = |release| seen(&all, &[release], DAY, Audience::Public);
        let shown = public(release(ProtocolClass::OpenvpnUdp, "PK"));
        assert_eq!((shown[0].passed, shown[0].held_back), (2, 0), "what came later is held back");
        assert_eq!(public(release(ProtocolClass::Tor, "PK")), []);
        assert_eq!(public(release(ProtocolClass::OpenvpnUdp, "IR")), []);
    }

    #[test]
    fn no_row_names_a_host() {
        let all = [outcomes(0, LayerStatus::Blocked)];
        let text = serde_json::to_string(&seen(&all, &[], 8 * DAY, Audience::Public)).expect("JSON");
        assert!(text.contains("openvpn_udp") && !text.contains("relay.example.net"), "{text}");
    }
}
