//! What a run ought to have found: `truth.json` of the replay format, derived from the rules.

use super::scenario::{How, Provider, Rule, Scenario, Who, Whom};
use faultline_model::{Access, Asn, CountryCode, Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

/// An ISP with fewer agents cannot be judged; see the method, 3.6.
const AGENTS_NEEDED: usize = 3;
/// From this share of covered users on, a block is national.
const NATIONAL_SHARE: f64 = 0.7;
/// A category block covers at least this part of its category's targets, and at least three of them.
const CATEGORY_SHARE: f64 = 0.75;

/// The answer that a run is scored against.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Truth {
    /// The format's name and version.
    pub schema: String,
    /// The scenario's name.
    pub kind: String,
    /// The seed of chance.
    pub seed: u64,
    /// The country.
    pub country: CountryCode,
    /// Start of the timeline.
    pub start: Timestamp,
    /// End of the timeline.
    pub end: Timestamp,
    /// Agents behind providers; controls are not counted.
    pub agents_total: usize,
    /// Agents times days.
    pub agent_days: f64,
    /// Measurements that the coordinator stored.
    pub measurements: u64,
    /// What ought to be found.
    pub incidents: Vec<TrueIncident>,
    /// What is neither right nor wrong.
    pub tolerated: Vec<TrueTolerated>,
}

/// One incident that ought to be found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrueIncident {
    /// `T1`, `T2` and so on.
    pub id: String,
    /// What it is.
    pub verdict: Verdict,
    /// How it was done; `mixed` for several ways.
    pub mechanism: String,
    /// The country.
    pub country: CountryCode,
    /// The networks.
    pub asns: Vec<Asn>,
    /// The targets, as the list writes them; empty = not about particular ones.
    pub targets: Vec<String>,
    /// Always empty: no rule acts on one agent.
    pub agents: Vec<String>,
    /// When it begins.
    pub onset: Timestamp,
    /// When it ends; absent when it outlasts the run.
    pub end: Option<Timestamp>,
    /// When it begins per network.
    pub onset_by_asn: BTreeMap<Asn, Timestamp>,
    /// When it ends per network.
    pub end_by_asn: BTreeMap<Asn, Timestamp>,
    /// The gateway that explains it.
    pub transit: Option<Asn>,
}

/// An incident that is passed over when scoring; `*` stands for any.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrueTolerated {
    /// Its verdict.
    pub verdict: String,
    /// Its networks.
    pub asns: serde_json::Value,
    /// Its targets.
    pub targets: serde_json::Value,
}

/// Derives the truth of a scenario whose timeline starts at `start`.
#[must_use]
pub fn truth(scenario: &Scenario, start: Timestamp, measurements: u64) -> Truth {
    let agents: usize = scenario.providers.iter().map(|p| p.agents.len()).sum();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred agents")]
    let agent_days = agents as f64 * scenario.length.as_secs_f64() / 86_400.0;
    let any = || serde_json::Value::from("*");
    let tolerated = scenario.tolerated.iter().map(|t| TrueTolerated {
        verdict: t.verdict.map_or_else(|| "*".to_owned(), |v| v.to_string()),
        asns: t.asns.as_ref().map_or_else(any, |a| a.iter().map(|asn| asn.get()).collect()),
        targets: t.targets.as_ref().map_or_else(any, |t| t.iter().map(String::as_str).collect()),
    });
    Truth {
        schema: "faultline-truth/1".into(),
        kind: scenario.name.clone(),
        seed: scenario.seed,
        country: scenario.country,
        start,
        end: start + scenario.length,
        agents_total: agents,
        agent_days,
        measurements,
        incidents: incidents(scenario, start),
        tolerated: tolerated.collect(),
    }
}

/// One rule's effect: who cannot reach what, and when.
struct Effect<'a> {
    rule: &'a Rule,
    kind: Kind,
    targets: BTreeSet<String>,
    asns: BTreeSet<Asn>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Block,
    Outage,
    /// Only our own channel is blocked.
    Channel,
    /// Our own side is down.
    Coordinator,
    SiteDown,
    /// The site refuses the country.
    Refusal,
    Throttling,
    Congestion,
}

fn incidents(scenario: &Scenario, start: Timestamp) -> Vec<TrueIncident> {
    let mut groups: Vec<Vec<Effect<'_>>> = Vec::new();
    for effect in scenario.rules.iter().filter_map(|rule| effect(scenario, rule)) {
        let joins = |group: &&mut Vec<Effect<'_>>| {
            group.iter().any(|other| {
                other.kind == effect.kind
                    && other.targets == effect.targets
                    && other.rule.from <= effect.rule.to
                    && effect.rule.from <= other.rule.to
            })
        };
        match groups.iter_mut().find(joins) {
            Some(group) => group.push(effect),
            None => groups.push(vec![effect]),
        }
    }
    groups.sort_by_key(|group| group.iter().map(|e| e.rule.from).min());
    let mut found: Vec<TrueIncident> =
        groups.iter().enumerate().map(|(i, group)| incident(scenario, start, i, group)).collect();
    if let Some(expected) = &scenario.expect {
        found.truncate(expected.len());
        for (incident, expected) in found.iter_mut().zip(expected) {
            incident.verdict = expected.verdict;
            incident.transit = expected.transit.or(incident.transit);
            if let Some(targets) = &expected.targets {
                incident.targets.clone_from(targets);
            }
            if let Some(asns) = &expected.asns {
                incident.asns.clone_from(asns);
                incident.onset_by_asn.retain(|asn, _| asns.contains(asn));
                incident.end_by_asn.retain(|asn, _| asns.contains(asn));
            }
        }
    }
    found
}

fn effect<'a>(scenario: &'a Scenario, rule: &'a Rule) -> Option<Effect<'a>> {
    let kind = match (&rule.how, &rule.whom) {
        // Agents do not measure QUIC, and clients fall back from it without a word.
        (How::QuicDrop | How::Ipv6Drop | How::Protocol(_), _) => return None,
        (How::SiteGone | How::SiteRefuses | How::BadCertificate(None), _) => Kind::SiteDown,
        (How::GeoBlock(_), _) => Kind::Refusal,
        (How::Throttle(_), _) => Kind::Throttling,
        (How::Congestion(_), _) => Kind::Congestion,
        (How::CoordinatorDown, _) => Kind::Coordinator,
        (_, Whom::Coordinator) => Kind::Channel,
        (How::Blackhole | How::PowerCut, _) | (_, Whom::Everything | Whom::Foreign) => Kind::Outage,
        _ => Kind::Block,
    };
    let meant: Vec<_> = scenario.targets_of(&rule.whom).collect();
    let asns = scenario.providers.iter().filter(|provider| match &rule.who {
        Who::Gateway(gateway) if kind == Kind::Channel => {
            upstream_for(provider, scenario.coordinator) == Some(*gateway)
        }
        Who::Gateway(gateway) => meant.iter().any(|listed| {
            let address = scenario.address_of(listed.target.host());
            address.is_some_and(|address| upstream_for(provider, address) == Some(*gateway))
        }),
        Who::Site => true,
        // What happens to one line is that agent's own trouble and no incident.
        Who::Agents(_) | Who::Coordinator => false,
        who => scenario.subscribers(who, provider).is_some(),
    });
    let asns: BTreeSet<Asn> = asns.map(|provider| provider.asn).collect();
    let mut targets: BTreeSet<String> = meant.iter().map(|l| l.target.as_str().to_owned()).collect();
    let is_whole = matches!(rule.whom, Whom::Everything | Whom::Foreign);
    let about_targets = match kind {
        Kind::Block | Kind::SiteDown | Kind::Refusal => true,
        Kind::Throttling | Kind::Congestion => !is_whole,
        Kind::Outage | Kind::Channel | Kind::Coordinator => false,
    };
    if (asns.is_empty() && kind != Kind::Coordinator) || (about_targets && targets.is_empty()) {
        return None;
    }
    if !about_targets {
        targets.clear();
    }
    Some(Effect { rule, kind, targets, asns })
}

/// Returns the gateway by which a provider reaches an address: providers with several spread them evenly.
#[must_use]
pub fn upstream_for(provider: &Provider, address: Ipv4Addr) -> Option<Asn> {
    let [_, b, c, d] = address.octets();
    let spread = usize::from(b) + usize::from(c) + usize::from(d);
    provider.upstreams.get(spread % provider.upstreams.len().max(1)).copied()
}

fn incident(scenario: &Scenario, start: Timestamp, index: usize, group: &[Effect<'_>]) -> TrueIncident {
    let mut times: BTreeMap<Asn, (Duration, Duration)> = BTreeMap::new();
    for effect in group {
        for asn in &effect.asns {
            let time = times.entry(*asn).or_insert((effect.rule.from, effect.rule.to));
            *time = (time.0.min(effect.rule.from), time.1.max(effect.rule.to));
        }
    }
    let ends = |to: &Duration| (*to < scenario.length).then_some(start + *to);
    let first = group.iter().map(|effect| effect.rule.from).min().unwrap_or_default();
    let last = group.iter().map(|effect| effect.rule.to).max().unwrap_or_default();
    let mut ways: Vec<&str> = group.iter().map(|e| way(&e.rule.how)).collect();
    ways.dedup();
    let transit = group.iter().find_map(|e| match e.rule.who {
        Who::Gateway(asn) => Some(asn),
        _ => None,
    });
    TrueIncident {
        id: format!("T{}", index + 1),
        verdict: verdict(scenario, group, &times.keys().copied().collect()),
        mechanism: if let [one] = ways.as_slice() { (*one).into() } else { "mixed".into() },
        country: scenario.country,
        asns: times.keys().copied().collect(),
        targets: group.iter().flat_map(|e| e.targets.clone()).collect::<BTreeSet<_>>().into_iter().collect(),
        agents: Vec::new(),
        onset: start + first,
        end: ends(&last),
        onset_by_asn: times.iter().map(|(asn, time)| (*asn, start + time.0)).collect(),
        end_by_asn: times.iter().filter_map(|(asn, time)| Some((*asn, ends(&time.1)?))).collect(),
        transit,
    }
}

const fn way(how: &How) -> &'static str {
    match how {
        How::DnsForge(_) => "dns_forge",
        How::DnsInject(_) => "dns_inject",
        How::SniClose => "sni_close",
        How::HttpReset => "http_reset",
        How::HttpDrop => "http_drop",
        How::HttpClose => "http_close",
        How::Ipv6Drop => "ipv6_drop",
        How::HttpBlockpage(_) => "http_blockpage",
        How::QuicDrop => "quic_drop",
        How::Protocol(_) => "protocol",
        How::Throttle(_) => "throttle",
        How::Congestion(_) => "congestion",
        How::BadCertificate(_) => "bad_certificate",
        How::CaptivePortal(_) => "captive_portal",
        How::GeoBlock(_) => "geo_block",
        How::AddressDrop => "address_drop",
        How::AddressRefuse => "address_refuse",
        How::SniReset => "sni_reset",
        How::SniDrop => "sni_drop",
        How::Blackhole => "blackhole",
        How::PowerCut => "power_cut",
        How::CoordinatorDown => "coordinator_down",
        How::SiteGone | How::SiteRefuses => "site_down",
    }
}

fn verdict(scenario: &Scenario, group: &[Effect<'_>], asns: &BTreeSet<Asn>) -> Verdict {
    let meant: Vec<&Provider> = scenario.providers.iter().filter(|p| asns.contains(&p.asn)).collect();
    let all = meant.len() == scenario.providers.len() && meant.len() > 1;
    match group[0].kind {
        Kind::SiteDown => Verdict::TargetOutage,
        Kind::Refusal => Verdict::GeoBlock,
        Kind::Throttling => Verdict::Throttling,
        Kind::Congestion => Verdict::TechnicalFailure,
        Kind::Coordinator => Verdict::CoordinatorOutage,
        Kind::Channel => Verdict::ControlChannelBlock,
        Kind::Outage => outage(scenario, group, &meant, all),
        Kind::Block if meant.iter().all(|p| p.agents.len() < AGENTS_NEEDED) => Verdict::InsufficientData,
        Kind::Block if all || is_national(scenario, &meant) => {
            if is_one_category(scenario, &group[0].targets) {
                Verdict::CategoryBlock
            } else {
                Verdict::NationalBlock
            }
        }
        Kind::Block if meant.len() > 1 => Verdict::MultiIspBlock,
        Kind::Block => Verdict::IspBlock,
    }
}

fn outage(scenario: &Scenario, group: &[Effect<'_>], meant: &[&Provider], all: bool) -> Verdict {
    if group.iter().all(|effect| matches!(effect.rule.who, Who::Region(_))) {
        return Verdict::RegionalOutage;
    }
    if all {
        return Verdict::NationalShutdown;
    }
    let is_kind = |access: Access| {
        let kind = scenario.providers.iter().filter(|p| p.access == access).count();
        meant.iter().all(|p| p.access == access) && meant.len() == kind && kind > 1
    };
    let is_partial = is_kind(Access::Mobile) || is_kind(Access::Fixed);
    if is_partial { Verdict::PartialShutdown } else { Verdict::IspOutage }
}

fn is_national(scenario: &Scenario, meant: &[&Provider]) -> bool {
    let covered: f64 = scenario.providers.iter().map(|p| p.user_share).sum();
    let share: f64 = meant.iter().map(|p| p.user_share).sum();
    meant.len() * 4 >= scenario.providers.len() * 3 && meant.len() > 2 && share >= NATIONAL_SHARE * covered
}

fn is_one_category(scenario: &Scenario, targets: &BTreeSet<String>) -> bool {
    let listed = &scenario.list.targets;
    let of = |code: &str| listed.iter().filter(|l| l.category == code).count();
    let mut codes: Vec<&str> = Vec::new();
    for target in targets {
        codes.extend(listed.iter().find(|l| l.target.as_str() == target).map(|l| l.category.as_str()));
    }
    codes.dedup();
    let [code] = codes.as_slice() else { return false };
    #[expect(clippy::cast_precision_loss, reason = "a list has a few thousand targets")]
    let covered = targets.len() as f64 >= CATEGORY_SHARE * of(code) as f64;
    targets.len() >= 3 && covered
}
