//! From tables to a profile: pure.
//!
//! - Networks with the same `operator` are one family; without one, networks of exactly the same name are.
//! - A family is drafted if something is known of it beyond its name: a share, an upstream, an access, or a second
//!   network. Whoever is left out counts as a provider of its own anyway.
//! - A gateway is a network of the country's own table from which at least two families buy at least a quarter of
//!   their paths: who buys less goes round it. Transit from outside the country says nothing about a filter
//!   inside. Who owns a gateway stands behind it as its customers do.

use super::{Network, Share, Upstream};
use faultline_model::{Access, Asn, CountryCode, CountryProfile, Gateway, Operator, RiskTier, Source};
use std::collections::{BTreeMap, BTreeSet};

/// Paths that make a seller of transit worth naming.
const LEAST_WEIGHT: f64 = 0.25;
const GATEWAY_BUYERS: usize = 2;

/// What a profile is drafted from.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) country: CountryCode,
    pub(crate) name: Option<String>,
    pub(crate) utc_offset_min: i32,
    pub(crate) time_zone: Option<String>,
    pub(crate) risk_tier: Option<RiskTier>,
    pub(crate) languages: Vec<String>,
    pub(crate) networks: Vec<Network>,
    pub(crate) shares: Vec<Share>,
    pub(crate) upstreams: Vec<Upstream>,
    /// Where the tables come from: what they are about, and their name.
    pub(crate) sources: Vec<Source>,
}

/// Drafts a profile.
pub(crate) fn draft(draft: Draft) -> CountryProfile {
    let shares = sum(draft.shares.iter().map(|row| (row.asn, row.share)));
    let own: BTreeMap<Asn, &Network> = draft.networks.iter().map(|network| (network.asn, network)).collect();
    let mut families = families(&draft, &own);
    families.iter_mut().for_each(|asns| {
        asns.sort_by(|a, b| share(&shares, *b).total_cmp(&share(&shares, *a)).then(a.cmp(b)));
    });
    let family_of: BTreeMap<Asn, usize> = families
        .iter()
        .enumerate()
        .flat_map(|(number, asns)| asns.iter().map(move |asn| (*asn, number)))
        .collect();
    let bought = bought(&draft.upstreams, &family_of);
    let gateways: BTreeSet<Asn> = gateways(&bought, &own);
    let mut operators: Vec<Operator> = Vec::new();
    for (number, asns) in families.iter().enumerate() {
        let rows: Vec<&Network> = asns.iter().filter_map(|asn| own.get(asn).copied()).collect();
        let access = rows.iter().find_map(|row| row.access);
        let user_share: f64 = asns.iter().map(|asn| share(&shares, *asn)).sum();
        let own_gateways = asns.iter().filter(|asn| gateways.contains(asn));
        let others = bought.get(&number).into_iter().flatten();
        let others = others.filter(|asn| gateways.contains(asn) && !asns.contains(asn));
        let upstreams: Vec<Asn> = own_gateways.chain(others).copied().collect();
        let is_known = user_share > 0.0 || !upstreams.is_empty() || access.is_some() || asns.len() > 1;
        if is_known || asns.iter().any(|asn| gateways.contains(asn)) {
            let name = family_name(&rows, asns);
            let access = access.unwrap_or(Access::Fixed);
            operators.push(Operator {
                name,
                asns: asns.clone(),
                access,
                user_share: round(user_share),
                upstreams,
            });
        }
    }
    scale(&mut operators);
    operators.sort_by(|a, b| b.user_share.total_cmp(&a.user_share).then(a.main_asn().cmp(&b.main_asn())));
    let named = |asn: &Asn| own.get(asn).map_or_else(|| asn.to_string(), |network| network.name.clone());
    let mut sources = draft.sources;
    let told: BTreeSet<&str> =
        draft.shares.iter().map(|row| row.source.as_str()).filter(|s| !s.is_empty()).collect();
    sources.extend(told.into_iter().map(|name| Source {
        about: vec!["user_share".to_owned()],
        name: name.to_owned(),
        as_of: String::new(),
    }));
    CountryProfile {
        name: draft.name.unwrap_or_else(|| draft.country.to_string()),
        utc_offset_min: draft.utc_offset_min,
        time_zone: draft.time_zone,
        risk_tier: draft.risk_tier,
        languages: draft.languages,
        gateways: gateways.iter().map(|asn| Gateway { asn: *asn, name: named(asn) }).collect(),
        operators,
        sources,
        ..CountryProfile::unknown(draft.country)
    }
}

/// Groups the networks of all tables into families.
fn families(draft: &Draft, own: &BTreeMap<Asn, &Network>) -> Vec<Vec<Asn>> {
    let mut groups: BTreeMap<String, Vec<Asn>> = BTreeMap::new();
    let others = draft.shares.iter().map(|row| row.asn).chain(draft.upstreams.iter().map(|row| row.asn));
    for asn in own.keys().copied().chain(others).collect::<BTreeSet<Asn>>() {
        let key = match own.get(&asn) {
            Some(network) if !network.operator.is_empty() => format!("o {}", network.operator.to_lowercase()),
            Some(network) if !network.name.is_empty() => format!("n {}", network.name.to_lowercase()),
            _ => asn.to_string(),
        };
        groups.entry(key).or_default().push(asn);
    }
    groups.into_values().collect()
}

fn family_name(rows: &[&Network], asns: &[Asn]) -> String {
    let operator = rows.iter().map(|row| &row.operator).find(|name| !name.is_empty());
    let name = operator.or_else(|| rows.iter().map(|row| &row.name).find(|name| !name.is_empty()));
    name.cloned().unwrap_or_else(|| asns.first().map(Asn::to_string).unwrap_or_default())
}

/// Returns by family from whom it buys, the most important first.
fn bought(rows: &[Upstream], family_of: &BTreeMap<Asn, usize>) -> BTreeMap<usize, Vec<Asn>> {
    let mut weights: BTreeMap<(usize, Asn), f64> = BTreeMap::new();
    for row in rows {
        if let Some(family) = family_of.get(&row.asn)
            && row.weight >= LEAST_WEIGHT
        {
            let weight = weights.entry((*family, row.upstream)).or_default();
            *weight = weight.max(row.weight);
        }
    }
    let mut sorted: Vec<((usize, Asn), f64)> = weights.into_iter().collect();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut bought: BTreeMap<usize, Vec<Asn>> = BTreeMap::new();
    for ((family, upstream), _) in sorted {
        bought.entry(family).or_default().push(upstream);
    }
    bought
}

fn gateways(bought: &BTreeMap<usize, Vec<Asn>>, own: &BTreeMap<Asn, &Network>) -> BTreeSet<Asn> {
    let mut buyers: BTreeMap<Asn, usize> = BTreeMap::new();
    for upstream in bought.values().flatten().filter(|asn| own.contains_key(asn)) {
        *buyers.entry(*upstream).or_default() += 1;
    }
    buyers.into_iter().filter(|(_, buyers)| *buyers >= GATEWAY_BUYERS).map(|(asn, _)| asn).collect()
}

fn sum(rows: impl Iterator<Item = (Asn, f64)>) -> BTreeMap<Asn, f64> {
    let mut sums = BTreeMap::new();
    for (asn, value) in rows {
        *sums.entry(asn).or_default() += value;
    }
    sums
}

fn share(shares: &BTreeMap<Asn, f64>, asn: Asn) -> f64 {
    shares.get(&asn).copied().unwrap_or(0.0)
}

/// Rounded shares may add up to slightly more than one.
fn scale(operators: &mut [Operator]) {
    let total: f64 = operators.iter().map(|operator| operator.user_share).sum();
    if total > 1.0 {
        operators.iter_mut().for_each(|operator| operator.user_share /= total);
    }
}

fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
