//! What a country's profile leaves unsaid, and which verdicts that disables.
//!
//! A profile is never required: an ASN that none names is a family of its own, and a family without a share
//! counts like any other. What is then said is weaker, and this says how.

use faultline_model::{Access, CountryProfile, Verdict};
use serde::Serialize;

/// Share of the country's users from which the rest is small (method 3.6: national from 70 %).
const MOST_USERS: f64 = 0.7;
/// Operator families from which a country is more than a few networks.
const LEAST_FAMILIES: usize = 3;

/// Something that a profile does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The key that is missing or incomplete.
    pub key: &'static str,
    /// What is missing, in a sentence.
    pub missing: String,
    /// What follows from it, in a sentence.
    pub consequence: &'static str,
    /// The verdicts that cannot be given, or not as firmly.
    pub disables: Vec<Verdict>,
}

/// Lists what a profile does not say, what disables verdicts first.
#[must_use]
pub fn gaps(profile: &CountryProfile) -> Vec<Gap> {
    let mut gaps = Vec::new();
    gaps.extend(few_families(profile));
    gaps.extend(shares(profile));
    gaps.extend(access(profile));
    gaps.extend(gateways(profile));
    gaps.extend(sources(profile));
    let mut say = |key, missing: &str, consequence| {
        gaps.push(Gap { key, missing: missing.to_owned(), consequence, disables: Vec::new() });
    };
    if profile.risk_tier.is_none() {
        say(
            "risk_tier",
            "nobody decided how dangerous measuring is",
            "volunteers cannot be told which budget to choose",
        );
    }
    if profile.languages.is_empty() {
        say("languages", "no language is named", "volunteers are spoken to in English");
    }
    if profile.utc_offset_min == 0 {
        say(
            "utc_offset_min",
            "local time is UTC, or was left out",
            "usual hours and times in sentences are those of UTC",
        );
    }
    gaps
}

fn few_families(profile: &CountryProfile) -> Option<Gap> {
    let number = profile.operators.len();
    (number < LEAST_FAMILIES).then(|| Gap {
        key: "operator",
        missing: match number {
            0 => "no operator family is named".to_owned(),
            1 => "one operator family is named".to_owned(),
            more => format!("{more} operator families are named"),
        },
        consequence: "every ASN counts as a provider of its own, so that one company with three networks is three votes",
        disables: vec![Verdict::MultiIspBlock, Verdict::NationalBlock, Verdict::CategoryBlock],
    })
}

fn shares(profile: &CountryProfile) -> Option<Gap> {
    let known: f64 = profile.operators.iter().map(|operator| operator.user_share).sum();
    let without = profile.operators.iter().filter(|operator| operator.user_share <= 0.0).count();
    let percent = (known * 100.0).round();
    (known < MOST_USERS && !profile.operators.is_empty()).then(|| Gap {
        key: "operator.user_share",
        missing: format!("{without} of {} operators have no user share; {percent} % of the users are known", profile.operators.len()),
        consequence: "the share of people affected cannot be said; without any share all providers count alike",
        disables: vec![Verdict::NationalBlock, Verdict::CategoryBlock, Verdict::NationalShutdown],
    })
}

fn access(profile: &CountryProfile) -> Option<Gap> {
    let has = |access| profile.operators.iter().any(|operator| operator.access == access);
    let absent = match (has(Access::Mobile), has(Access::Fixed)) {
        (true, true) => return None,
        (false, true) => "no operator is mobile",
        (true, false) => "no operator is fixed",
        (false, false) => return None,
    };
    Some(Gap {
        key: "operator.access",
        missing: absent.to_owned(),
        consequence: "mobile networks that go silent while fixed lines work cannot be told from single outages",
        disables: vec![Verdict::PartialShutdown],
    })
}

fn gateways(profile: &CountryProfile) -> Option<Gap> {
    if profile.operators.is_empty() {
        return None;
    }
    let bought: Vec<_> = profile.operators.iter().flat_map(|operator| &operator.upstreams).collect();
    let unnamed = bought.iter().find(|asn| !profile.gateways.iter().any(|gateway| gateway.asn == ***asn));
    let missing = if profile.gateways.is_empty() {
        "no gateway is named".to_owned()
    } else if bought.is_empty() {
        "no operator names the gateways that it buys from".to_owned()
    } else if let Some(asn) = unnamed {
        format!("{asn} sells transit to an operator, but is no named gateway")
    } else {
        return None;
    };
    Some(Gap {
        key: "gateway",
        missing,
        consequence: "that several providers block because of one gateway cannot be said (transit)",
        disables: vec![Verdict::MultiIspBlock],
    })
}

fn sources(profile: &CountryProfile) -> Option<Gap> {
    let has_share = profile.operators.iter().any(|operator| operator.user_share > 0.0);
    let has_upstream = profile.operators.iter().any(|operator| !operator.upstreams.is_empty());
    let told = |about: &str| profile.sources.iter().any(|source| source.about.iter().any(|own| own == about));
    let needed =
        [("families", !profile.operators.is_empty()), ("user_share", has_share), ("upstreams", has_upstream)];
    let untold: Vec<&str> = needed
        .into_iter()
        .filter(|(about, is_said)| *is_said && !told(about))
        .map(|(about, _)| about)
        .collect();
    (!untold.is_empty()).then(|| Gap {
        key: "source",
        missing: format!("no source is named for {}", untold.join(", ")),
        consequence: "readers cannot check what verdicts rest on",
        disables: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_model::{Asn, Gateway, Operator, RiskTier, Source};

    fn asn(number: u32) -> Asn {
        Asn::recorded(number).expect("not zero")
    }

    fn complete() -> CountryProfile {
        let operator = |number: u32, access| Operator {
            name: format!("Provider {number}"),
            asns: vec![asn(number)],
            access,
            user_share: 0.3,
            upstreams: vec![asn(9)],
        };
        CountryProfile {
            utc_offset_min: 60,
            risk_tier: Some(RiskTier::Standard),
            languages: vec!["en".to_owned()],
            operators: vec![
                operator(1, Access::Fixed),
                operator(2, Access::Mobile),
                operator(3, Access::Fixed),
            ],
            gateways: vec![Gateway { asn: asn(9), name: "Gate".to_owned() }],
            sources: vec![Source {
                about: ["families", "user_share", "upstreams"].map(str::to_owned).to_vec(),
                name: "a survey".to_owned(),
                as_of: String::new(),
            }],
            ..CountryProfile::unknown("XZ".parse().expect("valid"))
        }
    }

    fn keys(profile: &CountryProfile) -> Vec<&'static str> {
        gaps(profile).iter().map(|gap| gap.key).collect()
    }

    #[test]
    fn a_profile_that_says_everything_disables_nothing() {
        assert_eq!(gaps(&complete()), []);
    }

    #[test]
    fn an_empty_profile_disables_what_counts_companies() {
        let gaps = gaps(&CountryProfile::unknown("XZ".parse().expect("valid")));
        assert!(gaps[0].disables.contains(&Verdict::NationalBlock), "{gaps:?}");
        assert!(gaps.iter().all(|gap| gap.key != "source"), "nothing is said that needs a source");
    }

    #[test]
    fn without_mobile_operators_a_mobile_shutdown_cannot_be_told() {
        let mut profile = complete();
        profile.operators[1].access = Access::Fixed;
        assert_eq!(gaps(&profile)[0].disables, [Verdict::PartialShutdown]);
    }

    #[test]
    fn a_gateway_that_is_not_named_and_a_share_without_source_are_gaps() {
        let mut profile = complete();
        profile.gateways[0].asn = asn(8);
        profile.sources[0].about.retain(|about| about != "user_share");
        assert_eq!(keys(&profile), ["gateway", "source"]);
        profile.operators.iter_mut().for_each(|operator| operator.user_share = 0.1);
        assert_eq!(keys(&profile), ["operator.user_share", "gateway", "source"]);
    }
}
