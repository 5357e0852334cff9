//! Which networks one company decides about: what a profile says, else who the data say runs them.

use super::{Provider, Vote};
use faultline_model::{Access, Asn, CountryCode, CountryProfile, Operator};
use std::collections::BTreeMap;

/// Returns the profile with the networks that it does not name, and the providers with their votes.
pub(super) fn find(
    profile: Option<&CountryProfile>,
    country: CountryCode,
    organisations: &BTreeMap<Asn, String>,
    votes: &[Vote],
) -> (CountryProfile, Vec<Provider>) {
    let mut profile = profile.cloned().unwrap_or_else(|| CountryProfile::unknown(country));
    let mut counts: BTreeMap<Asn, usize> = BTreeMap::new();
    for vote in votes {
        *counts.entry(vote.asn).or_default() += 1;
    }
    let mut named: BTreeMap<String, Vec<Asn>> = BTreeMap::new();
    for asn in counts.keys().filter(|asn| profile.operator(**asn).is_none()) {
        let name = organisations.get(asn).map(|name| key(name)).filter(|name| !name.is_empty());
        named.entry(name.unwrap_or_else(|| asn.to_string())).or_default().push(*asn);
    }
    for mut asns in named.into_values() {
        asns.sort_by_key(|asn| (std::cmp::Reverse(counts[asn]), *asn));
        let name = organisations.get(&asns[0]).cloned().unwrap_or_else(|| asns[0].to_string());
        let access = Access::default();
        profile.operators.push(Operator { name, asns, access, user_share: 0.0, upstreams: Vec::new() });
    }
    let provider = |operator: &Operator| {
        let asns: Vec<Asn> = operator.asns.iter().filter(|asn| counts.contains_key(asn)).copied().collect();
        let votes = asns.iter().map(|asn| counts[asn]).sum();
        Provider { asn: operator.main_asn(), name: operator.name.clone(), asns, votes }
    };
    let mut providers: Vec<Provider> = profile.operators.iter().map(provider).collect();
    providers.retain(|provider| provider.votes > 0);
    providers.sort_by_key(|provider| (std::cmp::Reverse(provider.votes), provider.asn));
    (profile, providers)
}

/// A name as it is compared: registries write one company with and without capitals and dots.
fn key(name: &str) -> String {
    let words: String =
        name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}
