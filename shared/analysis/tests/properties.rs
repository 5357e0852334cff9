//! Properties of detection that hold for every country, order and naming.

use faultline_analysis::detect::{Detector, Mode, Setup, TargetInfo};
use faultline_model::{
    Access, AgentId, Asn, Baseline, Category, CheckKind, Class, CountryProfile, Incident, MeasurementId,
    Operator, Record, Role, ServiceId, Target, Timestamp, Verdict, Why,
};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::subsequence;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PERIOD_MS: i64 = 600_000;
const TICK_MS: i64 = 120_000;
const CYCLES: i64 = 9;
const BEGIN_MS: i64 = 3_000_000;
const CATEGORIES: [&str; 10] = ["GRP", "GRP", "GRP", "NEWS", "COMT", "POLR", "CULTR", "SRCH", "CTRL", "CTRL"];
const CASES: u32 = if cfg!(debug_assertions) { 8 } else { 40 };

/// A country: agents by provider, which providers and targets are blocked and how, and a seed for jitter.
#[derive(Clone, Debug)]
struct Country {
    agents: Vec<usize>,
    blocked: BTreeSet<usize>,
    targets: BTreeSet<usize>,
    class: Class,
    seed: u64,
}

fn country(agents: std::ops::Range<usize>) -> impl Strategy<Value = Country> {
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

fn mix(seed: u64, number: u64) -> u64 {
    let mut x = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn asn(provider: usize) -> Asn {
    Asn::recorded(64512 + u32::try_from(provider).expect("small")).expect("not zero")
}

fn target(number: usize) -> Target {
    Target::new(&format!("https://site-{number}.example/")).expect("a valid target")
}

fn category(number: usize) -> Category {
    Category::new(CATEGORIES[number]).expect("a valid code")
}

fn setup() -> Setup {
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
        landmarks: BTreeMap::new(),
    }
}

fn record(number: usize, place: (usize, usize), site: usize, at: i64, class: Class) -> Record {
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
fn records(country: &Country, fails: impl Fn(usize, usize, usize, i64) -> bool) -> Vec<Record> {
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
fn run(records: &[Record]) -> Vec<Incident> {
    let mut detector = Detector::new(setup());
    for record in records {
        detector.ingest(record.clone());
    }
    finish(&mut detector)
}

fn finish(detector: &mut Detector) -> Vec<Incident> {
    for tick in 1..=(CYCLES + 1) * PERIOD_MS / TICK_MS {
        detector.evaluate(Timestamp::from_unix_ms(tick * TICK_MS));
    }
    detector.incidents().cloned().collect()
}

fn shuffle(records: &[Record], seed: u64) -> Vec<Record> {
    let mut shuffled = records.to_vec();
    shuffled
        .sort_by_key(|record| mix(seed, u64::from(record.id.as_str().bytes().map(u32::from).sum::<u32>())));
    shuffled.sort_by_key(|record| mix(seed, u64::try_from(record.started_at.unix_ms()).expect("positive")));
    shuffled
}

/// What is finally said, without when it was said.
fn statements(incidents: &[Incident]) -> BTreeSet<(String, Vec<Target>, Vec<Asn>)> {
    let standing = incidents.iter().filter(|incident| !incident.retracted);
    standing.map(|i| (i.verdict.to_string(), i.targets.clone(), i.asns.clone())).collect()
}

fn is_block(incident: &Incident) -> bool {
    matches!(
        incident.verdict,
        Verdict::IspBlock | Verdict::MultiIspBlock | Verdict::NationalBlock | Verdict::CategoryBlock
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_ingestion_changes_nothing(country in country(2..5), seed in any::<u64>()) {
        let records = records(&country, |_, _, _, _| false);
        prop_assert_eq!(run(&records), run(&shuffle(&records, seed)));
    }

    #[test]
    fn uploads_that_are_minutes_late_do_not_change_the_final_statement(country in country(3..5), seed in any::<u64>()) {
        let records = records(&country, |_, _, _, _| false);
        let mut late = records.clone();
        for (number, record) in late.iter_mut().enumerate() {
            let delay = mix(seed, u64::try_from(number).expect("small")) % 90;
            record.received_at = record.received_at + Duration::from_secs(delay);
        }
        prop_assert_eq!(statements(&run(&records)), statements(&run(&late)));
    }

    #[test]
    fn the_right_thing_is_said(country in country(3..5)) {
        let said = run(&records(&country, |_, _, _, _| false));
        let named: BTreeSet<Asn> = country.blocked.iter().map(|provider| asn(*provider)).collect();
        let standing: Vec<&Incident> = said.iter().filter(|incident| !incident.retracted).collect();
        prop_assert_eq!(standing.len(), usize::from(!named.is_empty()), "{:?}", statements(&said));
        for incident in standing {
            prop_assert!(is_block(incident));
            prop_assert_eq!(incident.asns.iter().copied().collect::<BTreeSet<Asn>>(), named.clone());
            prop_assert_eq!(incident.targets.len(), country.targets.len());
            let sum: f64 = incident.user_share.iter().sum();
            prop_assert!((sum - 1.0).abs() < 0.001);
        }
    }

    #[test]
    fn repeating_an_agents_results_does_not_raise_the_evidence(country in country(3..5), agent in 0..3_usize) {
        let records = records(&country, |_, _, _, _| false);
        let mut doubled = records.clone();
        for record in records.iter().filter(|record| record.agent.as_str().ends_with(&format!("-{agent}"))) {
            for copy in 0..3 {
                let id = MeasurementId::new(format!("{}-{copy}", record.id)).expect("a valid id");
                doubled.push(Record { id, ..record.clone() });
            }
        }
        let mut detectors = [Detector::new(setup()), Detector::new(setup())];
        for (detector, records) in detectors.iter_mut().zip([&records, &doubled]) {
            for record in records {
                detector.ingest(record.clone());
            }
        }
        for tick in 1..=CYCLES * PERIOD_MS / TICK_MS {
            let now = Timestamp::from_unix_ms(tick * TICK_MS);
            for detector in &mut detectors {
                detector.evaluate(now);
            }
            let [once, often] = detectors.each_ref().map(|detector| detector.matrix(now));
            for (once, often) in once.iter().zip(&often) {
                prop_assert!(often.ln_e <= once.ln_e + 1e-9, "{once:?} {often:?}");
            }
        }
    }

    #[test]
    fn the_names_of_agents_do_not_matter(country in country(2..5), seed in any::<u64>()) {
        let records = records(&country, |_, _, _, _| false);
        let rename = |record: &Record| {
            let sum = record.agent.as_str().bytes().fold(seed, |sum, byte| mix(sum, u64::from(byte)));
            Record { agent: AgentId::new(format!("z-{sum:016x}")).expect("a valid id"), ..record.clone() }
        };
        let renamed: Vec<Record> = records.iter().map(rename).collect();
        prop_assert_eq!(run(&records), run(&renamed));
    }

    #[test]
    fn successes_of_more_agents_never_create_an_alarm(country in country(3..5), more in 1..4_usize) {
        let few = |provider: usize, agent: usize, site: usize, at: i64| {
            at >= BEGIN_MS && country.targets.contains(&site) && agent < 2 && provider.is_multiple_of(2)
        };
        let quiet = Country { blocked: BTreeSet::new(), ..country.clone() };
        let records = records(&quiet, few);
        let mut extended = records.clone();
        for (number, record) in records.iter().enumerate().filter(|(_, record)| record.agent.as_str().ends_with("-0")) {
            for copy in 0..more {
                let id = MeasurementId::new(format!("x{number}-{copy}")).expect("a valid id");
                let agent = AgentId::new(format!("{}-more-{copy}", record.agent)).expect("a valid id");
                extended.push(Record { id, agent, class: Class::Ok, ..record.clone() });
            }
        }
        let before: Vec<Incident> = run(&records).into_iter().filter(is_block).collect();
        let after: Vec<Incident> = run(&extended).into_iter().filter(is_block).collect();
        prop_assert!(after.len() <= before.len(), "{:?} {:?}", statements(&before), statements(&after));
    }

    #[test]
    fn a_country_of_two_agent_providers_never_names_one(country in country(1..3)) {
        for incident in run(&records(&country, |_, _, _, _| false)) {
            prop_assert!(incident.verdict != Verdict::IspBlock, "{:?}", incident.headline);
            prop_assert!(country.blocked.len() > 3 || !is_block(&incident), "{:?}", incident.headline);
        }
    }

    #[test]
    fn failure_of_everything_is_no_block(country in country(2..6), dead in subsequence((0..5).collect::<Vec<usize>>(), 1..=5)) {
        let quiet = Country { blocked: BTreeSet::new(), ..country };
        let records = records(&quiet, |provider, _, _, at| at >= BEGIN_MS && dead.contains(&provider));
        let said = run(&records);
        prop_assert!(!said.iter().any(is_block), "{:?}", statements(&said));
    }

    #[test]
    fn one_agent_alone_never_makes_a_statement_about_a_provider(country in country(3..6), share in 1..10_i64) {
        let quiet = Country { blocked: BTreeSet::new(), ..country };
        let records = records(&quiet, |provider, agent, site, at| {
            agent == 0 && provider < 3 && i64::try_from(site).expect("small") < share && at >= BEGIN_MS
        });
        let said = run(&records);
        prop_assert!(!said.iter().any(is_block), "{:?}", statements(&said));
    }

    #[test]
    fn a_failing_control_excuses_everybody(country in country(3..5)) {
        let mut records = records(&country, |_, _, _, _| false);
        for record in &mut records {
            let site = CATEGORIES.len();
            let is_hit = (0..site).any(|site| country.targets.contains(&site) && record.target == target(site));
            let is_failing = is_hit && record.started_at.unix_ms() >= BEGIN_MS - 120_000;
            record.control_ok = Some(!is_failing);
        }
        let said = run(&records);
        prop_assert!(!said.iter().any(is_block), "{:?}", statements(&said));
    }
}
