//! A small country whose days are drawn from a seed: five providers, ten targets, one block.
#![allow(dead_code, reason = "not every test binary that shares this needs all of it")]

use faultline_analysis::detect::{Detector, Mode, Setup, TargetInfo};
use faultline_model::{
    Access, AgentId, Asn, Baseline, Category, CheckKind, Class, CountryProfile, Incident, MeasurementId,
    Operator, Record, Role, ServiceId, Target, Timestamp, Verdict, Why,
};
use proptest::prelude::{ProptestConfig, Strategy, any};
use proptest::sample::subsequence;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub const PERIOD_MS: i64 = 600_000;
pub const TICK_MS: i64 = 120_000;
pub const CYCLES: i64 = 9;
pub const BEGIN_MS: i64 = 3_000_000;
pub const CATEGORIES: [&str; 10] =
    ["GRP", "GRP", "GRP", "NEWS", "COMT", "POLR", "CULTR", "SRCH", "CTRL", "CTRL"];
pub const CASES: u32 = if cfg!(debug_assertions) { 8 } else { 40 };

/// A country: agents by provider, which providers and targets are blocked and how, and a seed for jitter.
#[derive(Clone, Debug)]
pub struct Country {
    pub agents: Vec<usize>,
    pub blocked: BTreeSet<usize>,
    pub targets: BTreeSet<usize>,
    pub class: Class,
    pub seed: u64,
}

pub fn country(agents: std::ops::Range<usize>) -> impl Strategy<Value = Country> {
    let classes = [Class::TlsReset, Class::TcpTimeout, Class::DnsInjected, Class::HttpBlockpage];
    let parts = (
        proptest::collection::vec(agents, 5),
        subsequence((0..5).collect::<Vec<usize>>(), 0..=5),
        subsequence((0..8).collect::<Vec<usize>>(), 1..=3),
        0..classes.len(),
        any::<u64>(),
    );
    parts.prop_map(move |(agents, blocked, targets, class, seed)| Country {
        agents,
        blocked: blocked.into_iter().collect(),
        targets: targets.into_iter().collect(),
        class: classes[class],
        seed,
    })
}

pub fn mix(seed: u64, number: u64) -> u64 {
    let mut x = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

pub fn asn(provider: usize) -> Asn {
    Asn::recorded(64512 + u32::try_from(provider).expect("small")).expect("not zero")
}

pub fn target(number: usize) -> Target {
    Target::new(&format!("https://site-{number}.example/")).expect("a valid target")
}

pub fn category(number: usize) -> Category {
    Category::new(CATEGORIES[number]).expect("a valid code")
}

pub fn setup() -> Setup {
    let operator = |provider: usize| Operator {
        name: format!("isp-{provider}"),
        asns: vec![asn(provider)],
        access: Access::Fixed,
        user_share: 0.2,
        upstreams: vec![],
    };
    let info = |number: usize| TargetInfo {
        target: target(number),
        service: ServiceId::new(&format!("site-{number}")).expect("a valid id"),
        service_name: format!("Site {number}"),
        role: Role::Site,
        category: category(number),
        domestic: false,
    };
    Setup {
        profile: CountryProfile {
            operators: (0..5).map(operator).collect(),
            ..CountryProfile::unknown("XZ".parse().expect("a code"))
        },
        targets: (0..CATEGORIES.len()).map(info).collect(),
        baseline: Baseline::default(),
        base_period: Duration::from_millis(PERIOD_MS.unsigned_abs()),
        mode: Mode::Passive,
        reference_asns: BTreeSet::new(),
        history: BTreeMap::new(),
        slow_history: BTreeMap::new(),
        beat: Duration::from_secs(120),
        regions: BTreeMap::new(),
        cohorts: BTreeMap::new(),
        landmarks: BTreeMap::new(),
    }
}

pub fn record(number: usize, place: (usize, usize), site: usize, at: i64, class: Class) -> Record {
    Record {
        id: MeasurementId::new(format!("m{number}")).expect("a valid id"),
        agent: AgentId::new(format!("a-{}-{}", place.0, place.1)).expect("a valid id"),
        asn: asn(place.0),
        country: "XZ".parse().expect("a code"),
        target: target(site),
        category: category(site),
        started_at: Timestamp::from_unix_ms(at),
        received_at: Timestamp::from_unix_ms(at + 2_000),
        check: CheckKind::Web,
        class,
        control_ok: Some(true),
        why: Why::Routine,
        control: false,
    }
}

/// Plays a country's schedule; `fails` decides on top of the block, by provider, agent, target and moment.
pub fn records(country: &Country, fails: impl Fn(usize, usize, usize, i64) -> bool) -> Vec<Record> {
    let mut records = Vec::new();
    for (provider, agents) in country.agents.iter().enumerate() {
        for agent in 0..*agents {
            for site in 0..CATEGORIES.len() {
                let key = u64::try_from((provider * 100 + agent) * 100 + site).expect("small");
                let phase = i64::try_from(mix(country.seed, key) % 600_000).expect("small");
                for cycle in 0..CYCLES {
                    let at = cycle * PERIOD_MS + phase;
                    let is_blocked = country.blocked.contains(&provider) && country.targets.contains(&site);
                    let fails = (is_blocked && at >= BEGIN_MS) || fails(provider, agent, site, at);
                    let class = if fails { country.class } else { Class::Ok };
                    records.push(record(records.len(), (provider, agent), site, at, class));
                }
            }
        }
    }
    records.sort_by_key(|record| (record.received_at, record.id.clone()));
    records
}

/// Feeds every record before the clock starts and returns what is said.
pub fn run(records: &[Record]) -> Vec<Incident> {
    run_in(setup(), records)
}

/// The same with another setup.
pub fn run_in(setup: Setup, records: &[Record]) -> Vec<Incident> {
    let mut detector = Detector::new(setup);
    for record in records {
        detector.ingest(record.clone());
    }
    finish(&mut detector)
}

pub fn finish(detector: &mut Detector) -> Vec<Incident> {
    for tick in 1..=(CYCLES + 1) * PERIOD_MS / TICK_MS {
        detector.evaluate(Timestamp::from_unix_ms(tick * TICK_MS));
    }
    detector.incidents().cloned().collect()
}

pub fn shuffle(records: &[Record], seed: u64) -> Vec<Record> {
    let mut shuffled = records.to_vec();
    shuffled
        .sort_by_key(|record| mix(seed, u64::from(record.id.as_str().bytes().map(u32::from).sum::<u32>())));
    shuffled.sort_by_key(|record| mix(seed, u64::try_from(record.started_at.unix_ms()).expect("positive")));
    shuffled
}

/// What is finally said, without when it was said.
pub fn statements(incidents: &[Incident]) -> BTreeSet<(String, Vec<Target>, Vec<Asn>)> {
    let standing = incidents.iter().filter(|incident| !incident.retracted);
    standing.map(|i| (i.verdict.to_string(), i.targets.clone(), i.asns.clone())).collect()
}

pub fn is_block(incident: &Incident) -> bool {
    matches!(
        incident.verdict,
        Verdict::IspBlock | Verdict::MultiIspBlock | Verdict::NationalBlock | Verdict::CategoryBlock
    )
}

/// How many cases of a property are tried.
pub fn config() -> ProptestConfig {
    ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() }
}
