//! Liars: up to a fifth of a provider's agents, and a hundred agents of one invitation, neither make nor hide an
//! incident, be it a block, a silence or slow downloads. Every story is played with several seeds.

#[path = "properties/world.rs"]
mod world;

use faultline_analysis::detect::{Detector, Setup};
use faultline_model::{
    AgentId, CheckKind, Class, Incident, MeasurementId, Presence, PresenceKind, Record, Timestamp, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use world::*;

/// Agents of each honest provider; of the first one a fifth lies.
const AGENTS: usize = 10;
const LIARS: usize = 2;
const COHORT: usize = 100;
const SEEDS: std::ops::Range<u64> = 0..5;
const BEAT_MS: i64 = 120_000;
const END_MS: i64 = (CYCLES + 1) * PERIOD_MS;

/// Who lies in a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// A fifth of the first provider's agents.
    Fifth,
    /// A hundred agents of one invitation, on the first provider besides its own.
    Cohort,
}

/// What really happens to the honest agents of the first provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Fine,
    Blocked,
    Silent,
    Slow,
}

/// One agent of the country: its provider, its name, and whether it lies.
#[derive(Clone, Debug)]
struct Agent {
    provider: usize,
    name: String,
    lies: bool,
}

fn agents(who: Who) -> Vec<Agent> {
    let own = (0..5).flat_map(|provider| (0..AGENTS).map(move |agent| (provider, agent)));
    let own = own.map(|(provider, agent)| Agent {
        provider,
        name: format!("a-{provider}-{agent}"),
        lies: who == Who::Fifth && provider == 0 && agent < LIARS,
    });
    let cohort = if who == Who::Cohort { COHORT } else { 0 };
    let cohort = (0..cohort).map(|number| Agent { provider: 0, name: format!("c-{number}"), lies: true });
    own.chain(cohort).collect()
}

fn setup_with(who: Who) -> Setup {
    let agents = agents(who).into_iter().filter(|agent| who == Who::Cohort && agent.lies);
    let cohorts: BTreeMap<AgentId, String> =
        agents.map(|agent| (AgentId::new(agent.name).expect("a valid id"), "friends".to_owned())).collect();
    Setup { cohorts, ..setup() }
}

/// What an agent sees, or says that it sees: liars say the opposite of what happens.
fn sees(agent: &Agent, story: (Truth, Truth), site: usize, at: i64) -> Truth {
    let (truth, lie) = story;
    let is_now = at >= BEGIN_MS && agent.provider == 0 && (site < 2 || truth == Truth::Silent);
    match (is_now, agent.lies) {
        (false, _) => Truth::Fine,
        (true, false) => truth,
        (true, true) => lie,
    }
}

/// Plays a story: what happens to the honest, and what liars claim.
fn play(who: Who, story: (Truth, Truth), seed: u64) -> Vec<Incident> {
    play_in(setup_with(who), who, story, seed)
}

fn play_in(setup: Setup, who: Who, story: (Truth, Truth), seed: u64) -> Vec<Incident> {
    let mut detector = Detector::new(setup);
    let mut number = 0;
    for (place, agent) in agents(who).iter().enumerate() {
        let key = u64::try_from(place).expect("small");
        beats(&mut detector, agent, story, seed ^ key);
        for site in 0..CATEGORIES.len() {
            let phase = mix(seed, key * 100 + u64::try_from(site).expect("small")) % 600_000;
            for cycle in 0..CYCLES {
                let at = cycle * PERIOD_MS + i64::try_from(phase).expect("small");
                for check in [CheckKind::Web, CheckKind::Throughput] {
                    number += 1;
                    let chance = mix(seed ^ 77, number) % 100 < 2;
                    if let Some(class) = class(agent, story, (site, at, check), chance) {
                        detector.ingest(result(number, agent, (site, at, check), class));
                    }
                }
            }
        }
    }
    for tick in 1..=END_MS / TICK_MS {
        detector.evaluate(Timestamp::from_unix_ms(tick * TICK_MS));
    }
    detector.incidents().cloned().collect()
}

fn class(
    agent: &Agent,
    story: (Truth, Truth),
    (site, at, check): (usize, i64, CheckKind),
    chance: bool,
) -> Option<Class> {
    let is_download = check == CheckKind::Throughput;
    match sees(agent, story, site, at) {
        Truth::Silent if at >= BEGIN_MS => None,
        Truth::Blocked if is_download => None,
        Truth::Blocked => Some(Class::TlsReset),
        Truth::Slow if is_download => Some(Class::Throttled),
        _ if chance && !is_download => Some(Class::TcpTimeout),
        _ => Some(Class::Ok),
    }
}

fn result(number: u64, agent: &Agent, (site, at, check): (usize, i64, CheckKind), class: Class) -> Record {
    Record {
        id: MeasurementId::new(format!("m{number}")).expect("a valid id"),
        agent: AgentId::new(agent.name.clone()).expect("a valid id"),
        check,
        ..record(0, (agent.provider, 0), site, at, class)
    }
}

fn beats(detector: &mut Detector, agent: &Agent, story: (Truth, Truth), seed: u64) {
    let phase = i64::try_from(mix(seed, 3)).unwrap_or(7).rem_euclid(BEAT_MS);
    let is_silent = sees(agent, story, 0, BEGIN_MS) == Truth::Silent;
    let end = if is_silent { BEGIN_MS } else { END_MS };
    let mut at = phase;
    while at < end {
        detector.hear(Presence {
            at: Timestamp::from_unix_ms(at),
            country: "XZ".parse().expect("a code"),
            agent: AgentId::new(agent.name.clone()).expect("a valid id"),
            asn: asn(agent.provider),
            control: false,
            kind: PresenceKind::Beat,
            beat_s: None,
        });
        at += BEAT_MS;
    }
}

fn show(said: &[Incident]) -> BTreeSet<String> {
    said.iter().map(|one| format!("{} {:?} {}", one.verdict, one.status, one.headline)).collect()
}

fn assert_nothing_made(lie: Truth) {
    for who in [Who::Fifth, Who::Cohort] {
        for seed in SEEDS {
            let said = play(who, (Truth::Fine, lie), seed);
            let loud: Vec<Incident> =
                said.into_iter().filter(|one| one.verdict != Verdict::InsufficientData).collect();
            assert!(loud.is_empty(), "{who:?} seed {seed}: {:?}", show(&loud));
        }
    }
}

fn assert_not_hidden(truth: Truth, verdict: Verdict) {
    for who in [Who::Fifth, Who::Cohort] {
        for seed in SEEDS {
            let said = play(who, (truth, Truth::Fine), seed);
            let standing: Vec<&Incident> = said.iter().filter(|one| !one.retracted).collect();
            let is_said = standing.iter().any(|one| one.verdict == verdict && one.asns == [asn(0)]);
            assert!(is_said && standing.len() == 1, "{who:?} seed {seed}: {:?}", show(&said));
            let delay = standing[0].detected_at.seconds_after(Timestamp::from_unix_ms(BEGIN_MS));
            assert!(delay < 45.0 * 60.0, "{who:?} seed {seed}: {delay} s");
        }
    }
}

#[test]
fn liars_do_not_make_a_block() {
    assert_nothing_made(Truth::Blocked);
}

#[test]
fn liars_do_not_hide_a_block() {
    assert_not_hidden(Truth::Blocked, Verdict::IspBlock);
}

#[test]
fn liars_do_not_make_a_silence() {
    assert_nothing_made(Truth::Silent);
}

#[test]
fn liars_do_not_hide_a_silence() {
    assert_not_hidden(Truth::Silent, Verdict::IspOutage);
}

#[test]
fn liars_do_not_slow_a_service() {
    assert_nothing_made(Truth::Slow);
}

#[test]
fn liars_do_not_hide_that_a_service_is_slowed() {
    assert_not_hidden(Truth::Slow, Verdict::Throttling);
}

#[test]
fn a_hundred_agents_that_fail_at_everything_do_not_hide_a_block_as_a_bad_line() {
    for seed in SEEDS {
        let all = agents(Who::Cohort);
        let mut detector = Detector::new(setup_with(Who::Cohort));
        let mut number = 0;
        for (place, agent) in all.iter().enumerate() {
            for site in 0..CATEGORIES.len() {
                let key = u64::try_from(place * 100 + site).expect("small");
                let phase = i64::try_from(mix(seed, key) % 600_000).expect("small");
                for cycle in 0..CYCLES {
                    number += 1;
                    let at = cycle * PERIOD_MS + phase;
                    let is_hit = agent.provider == 0 && at >= BEGIN_MS && (site < 2 || agent.lies);
                    let class = if agent.lies && is_hit { Class::TcpTimeout } else { Class::TlsReset };
                    let class = if is_hit { class } else { Class::Ok };
                    detector.ingest(result(number, agent, (site, at, CheckKind::Web), class));
                }
            }
        }
        for tick in 1..=END_MS / TICK_MS {
            detector.evaluate(Timestamp::from_unix_ms(tick * TICK_MS));
        }
        let said: Vec<Incident> = detector.incidents().cloned().collect();
        let is_right = |one: &Incident| one.verdict == Verdict::IspBlock && one.targets.len() == 2;
        assert!(said.iter().any(|one| is_right(one) && !one.retracted), "seed {seed}: {:?}", show(&said));
    }
}

#[test]
fn a_hundred_strangers_are_believed() {
    let said = play_in(setup(), Who::Cohort, (Truth::Fine, Truth::Blocked), 0);
    assert!(said.iter().any(|one| one.verdict == Verdict::IspBlock), "{:?}", show(&said));
    let said = play_in(setup(), Who::Cohort, (Truth::Blocked, Truth::Fine), 0);
    assert!(!said.iter().any(|one| one.verdict == Verdict::IspBlock), "{:?}", show(&said));
}

#[test]
fn without_a_cohorts_name_a_hundred_agents_are_a_hundred_voices() {
    let mut detector = Detector::new(setup_with(Who::Cohort));
    detector.set_cohorts(&BTreeMap::new());
    let pause = Duration::from_secs(2);
    for (number, agent) in (0_u64..).zip(agents(Who::Cohort).iter().filter(|agent| agent.lies)) {
        let at = BEGIN_MS + i64::try_from(number).expect("small") * 1_000;
        detector.ingest(result(number, agent, (0, at, CheckKind::Web), Class::TlsReset));
    }
    let now = Timestamp::from_unix_ms(BEGIN_MS + 200_000) + pause;
    detector.evaluate(now);
    let cell = |detector: &Detector| detector.matrix(now).into_iter().find(|cell| cell.target == target(0));
    assert_eq!(cell(&detector).expect("it was measured").agents, 100);
    detector.set_cohorts(&setup_with(Who::Cohort).cohorts);
    assert_eq!(cell(&detector).expect("it was measured").agents, 1);
}
