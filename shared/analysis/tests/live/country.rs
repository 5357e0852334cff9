//! The country that is simulated: its providers, its list, and what goes wrong.

use crate::presence::Off;
use crate::simulator::Ms;
use faultline_analysis::detect::{Mode, Setup, TargetInfo};
use faultline_model::{
    Access, Asn, Baseline, BaselineCell, Category, Class, CountryProfile, Operator, Role, ServiceId, Target,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Who is hit by a rule.
#[derive(Clone, Debug)]
pub enum Hits {
    /// Agents of these providers.
    Providers(Vec<usize>),
    /// These agents, by provider and number.
    Agents(Vec<(usize, usize)>),
    /// Everybody, controls included.
    Everybody,
}

/// One thing that goes wrong for a while.
#[derive(Clone, Debug)]
pub struct Rule {
    pub from: Ms,
    pub to: Ms,
    pub hits: Hits,
    /// Numbers of targets; empty means all.
    pub targets: Vec<usize>,
    pub class: Class,
}

/// A cable that broke: a part of everything times out on these providers.
#[derive(Clone, Debug)]
pub struct Fault {
    pub from: Ms,
    pub to: Ms,
    pub providers: Vec<usize>,
    pub rate: f64,
}

/// What happens.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Agents by provider.
    pub agents: Vec<usize>,
    pub rules: Vec<Rule>,
    /// Probability that a measurement times out by chance.
    pub loss: f64,
    /// A provider with a greater one.
    pub congested: Option<(usize, f64)>,
    /// Times in which everything of some providers suffers alike.
    pub faults: Vec<Fault>,
    /// Successes per cell that a baseline knows of; 0 for none.
    pub baseline: u32,
    pub lasts: Ms,
    /// Measurements that an agent runs at a time.
    pub parallel: usize,
    /// When the coordinator is killed and starts again from its store.
    pub restart_at: Option<Ms>,
    /// Agents that cannot be heard for a while.
    pub offs: Vec<Off>,
    /// Agents that leave in order: provider, number, when.
    pub leaves: Vec<(usize, usize, Ms)>,
    /// A time in which the coordinator does not run.
    pub down: Option<(Ms, Ms)>,
    /// Every provider has a public host that controls look at.
    pub landmarks: bool,
    /// The list has two canaries inside the country.
    pub domestic: bool,
    /// PTCL and Ufone buy from one gateway alone, the others from another, or from both.
    pub gateways: bool,
    /// Agents of one number stand in one region.
    pub regions: bool,
    /// Presence is heard in the wrong order.
    pub is_shuffled: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            agents: vec![3; 8],
            rules: vec![],
            loss: 0.0,
            congested: None,
            faults: vec![],
            baseline: 200,
            lasts: 1_080_000,
            parallel: 4,
            restart_at: None,
            offs: vec![],
            leaves: vec![],
            down: None,
            landmarks: false,
            domestic: false,
            gateways: false,
            regions: false,
            is_shuffled: false,
        }
    }
}

/// The twelve blocked targets: four services with site, app and media.
pub const SOCIAL: [usize; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
pub const PERIOD_MS: Ms = 300_000;
pub const CONTROLS: usize = 2;

/// Of these, mobile networks.
pub const MOBILE: [usize; 4] = [0, 1, 2, 4];

/// Providers as in Pakistan: ASN, name, share of users.
pub const PROVIDERS: [(u32, &str, f64); 8] = [
    (45669, "Jazz", 0.30),
    (59257, "Zong", 0.20),
    (24499, "Telenor", 0.17),
    (45595, "PTCL", 0.14),
    (56167, "Ufone", 0.09),
    (9541, "StormFiber", 0.05),
    (23674, "Nayatel", 0.03),
    (38193, "Transworld", 0.02),
];

/// Returns the list of a scenario.
pub fn targets_of(scenario: &Scenario) -> Vec<TargetInfo> {
    let mut targets = targets();
    for id in ["home-a", "home-b"].iter().filter(|_| scenario.domestic) {
        targets.push(TargetInfo {
            target: Target::new(&format!("https://www.{id}.example/")).expect("a valid target"),
            service: ServiceId::new(id).expect("a valid id"),
            service_name: (*id).to_owned(),
            role: Role::Site,
            category: Category::canary(),
            domestic: true,
        });
    }
    targets
}

/// Returns the list: four social services with three targets each, three messengers, three canaries, three others.
pub fn targets() -> Vec<TargetInfo> {
    let services = [
        ("facebook", "Facebook", "GRP", 3),
        ("instagram", "Instagram", "GRP", 3),
        ("x", "X", "GRP", 3),
        ("youtube", "YouTube", "GRP", 3),
        ("whatsapp", "WhatsApp", "COMT", 2),
        ("telegram", "Telegram", "COMT", 1),
        ("bbc", "BBC", "NEWS", 1),
        ("wikipedia", "Wikipedia", "CULTR", 1),
        ("search", "Search", "SRCH", 1),
        ("canary-a", "Canary A", "CTRL", 1),
        ("canary-b", "Canary B", "CTRL", 1),
        ("canary-c", "Canary C", "CTRL", 1),
    ];
    let roles = [Role::Site, Role::AppApi, Role::Media];
    let mut targets = Vec::new();
    for (id, name, category, parts) in services {
        for (part, role) in roles.iter().take(parts).enumerate() {
            let host = ["www", "api", "media"][part];
            targets.push(TargetInfo {
                target: Target::new(&format!("https://{host}.{id}.example/")).expect("a valid target"),
                service: ServiceId::new(id).expect("a valid id"),
                service_name: name.to_owned(),
                role: *role,
                category: Category::new(category).expect("a valid code"),
                domestic: false,
            });
        }
    }
    targets
}

pub fn asn(number: u32) -> Asn {
    Asn::recorded(number).expect("not zero")
}

/// The gateway behind which two providers are.
pub const GATEWAY: u32 = 17557;

fn upstreams(scenario: &Scenario, provider: u32) -> Vec<Asn> {
    match provider {
        _ if !scenario.gateways => vec![],
        45595 | 56167 => vec![asn(GATEWAY)],
        59257 | 23674 => vec![asn(GATEWAY), asn(38193)],
        _ => vec![asn(38193)],
    }
}

pub fn setup(scenario: &Scenario) -> Setup {
    let operator = |provider: &(u32, &str, f64)| Operator {
        name: provider.1.to_owned(),
        asns: vec![asn(provider.0)],
        access: if MOBILE.iter().any(|mobile| PROVIDERS[*mobile].0 == provider.0) {
            Access::Mobile
        } else {
            Access::Fixed
        },
        user_share: provider.2,
        upstreams: upstreams(scenario, provider.0),
    };
    let heard = &PROVIDERS[..scenario.agents.len()];
    let targets = targets_of(scenario);
    let mut baseline = Baseline::default();
    for provider in heard.iter().filter(|_| scenario.baseline > 0) {
        for info in targets.clone() {
            let row = BaselineCell {
                target: info.target,
                asn: asn(provider.0),
                measurements: scenario.baseline,
                anomalies: scenario.baseline / 100,
            };
            baseline.cells.push(row);
        }
    }
    Setup {
        profile: CountryProfile {
            name: "Pakistan".to_owned(),
            utc_offset_min: 300,
            operators: heard.iter().map(operator).collect(),
            ..CountryProfile::unknown("PK".parse().expect("a code"))
        },
        targets,
        baseline,
        base_period: Duration::from_millis(u64::try_from(PERIOD_MS).expect("positive")),
        mode: Mode::Live,
        reference_asns: BTreeSet::new(),
        history: BTreeMap::new(),
        slow_history: BTreeMap::new(),
        beat: Duration::from_secs(15),
        regions: crate::presence::regions(scenario),
        cohorts: BTreeMap::new(),
        landmarks: crate::presence::landmarks(scenario),
    }
}
