//! What a full web check sees beside its path: late answers, other resolvers, other addresses.

mod support;

use faultline_agent::checks::Outcome;
use faultline_model::{Depth, DnsAnswer, Engine, Fact, Failure, Layer, Observation};
use std::net::IpAddr;
use support::dns::Answer;
use support::site::{Behaviour, page, redirect};
use support::world::{SITE, World};

const URL: &str = "https://site.test/";
const FORGED: &str = "127.0.0.66";
const SECOND: &str = "127.0.0.10";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn dns(outcome: &Outcome, engine: Engine) -> &DnsAnswer {
    let is_it = |step: &&Observation| step.layer == Layer::Dns && step.engine == engine;
    match outcome.observations.iter().find(is_it).map(|step| &step.fact) {
        Some(Fact::Dns(fact)) => fact,
        other => panic!("{other:?}"),
    }
}

fn steps(outcome: &Outcome, layer: Layer, engine: Engine) -> Vec<(IpAddr, Option<Failure>)> {
    let steps = outcome.observations.iter().filter(|step| step.layer == layer && step.engine == engine);
    steps.filter_map(|step| Some((step.peer?.ip(), step.failure.clone()))).collect()
}

async fn world() -> World {
    let world = World::new().await;
    world.name("site.test", SITE);
    world.https(SITE, "site.test", page("<title>Hello</title>")).await;
    world
}

#[tokio::test]
async fn a_forged_answer_that_wins_its_race_counts_and_the_true_one_behind_it_is_a_fact() {
    let world = world().await;
    world.public.set("site.test", Answer::Raced(ip(FORGED), ip(SITE)));
    let outcome = world.check(URL, Depth::Full).await;
    let fact = dns(&outcome, Engine::Udp);
    assert_eq!(fact.addresses, [ip(FORGED)]);
    let truth = fact.later.iter().find(|later| later.addresses == [ip(SITE)]).expect("the true answer");
    assert!(truth.delay_ms <= 500 && truth.failure.is_none());
    assert!(fact.foreign_replies >= 1 && fact.questions_sent == 2, "{fact:?}");
    assert_eq!(dns(&outcome, Engine::Dot).addresses, [ip(SITE)], "nobody forges inside TLS");
    assert!(dns(&outcome, Engine::Isp).later.is_empty());
}

#[tokio::test]
async fn a_light_check_waits_for_no_late_answers() {
    let world = world().await;
    world.https("127.0.0.11", "reset.test", Behaviour::Reset).await;
    world.name("reset.test", "127.0.0.11");
    let outcome = world.check("https://reset.test/", Depth::Light).await;
    let engines: Vec<Engine> = outcome.observations.iter().map(|step| step.engine).collect();
    assert!(!engines.contains(&Engine::Dot) && !engines.contains(&Engine::Isp), "{engines:?}");
    let asked = outcome.observations.iter().find(|step| step.engine == Engine::Udp).expect("asked");
    assert!(asked.took.as_millis() < 450, "{:?}", asked.took);
}

#[tokio::test]
async fn aliases_are_recorded_bounded() {
    let world = world().await;
    let chain: Vec<String> = (0..50).map(|hop| format!("c{hop}.test.")).collect();
    world.provider.set("site.test", Answer::Aliases(chain));
    world.public.set("site.test", Answer::Aliases(vec!["dotblocking.dummy.".into()]));
    let outcome = world.check(URL, Depth::Full).await;
    assert_eq!(dns(&outcome, Engine::Isp).cnames.len(), 16);
    assert_eq!(dns(&outcome, Engine::Doh).cnames, ["dotblocking.dummy"]);
    assert_eq!(dns(&outcome, Engine::Udp).cnames, ["dotblocking.dummy"]);
}

#[tokio::test]
async fn another_address_makes_a_dead_one_good_and_each_is_a_fact() {
    let world = world().await;
    // Nobody listens at the other address; which of the two is first depends on the run's turn.
    world.system.set("site.test", Answer::Addresses(vec![ip(SITE), ip(SECOND)]));
    for _ in 0..4 {
        let outcome = world.check(URL, Depth::Full).await;
        let mut tcp = steps(&outcome, Layer::Tcp, Engine::System);
        tcp.sort();
        assert_eq!(tcp, [(ip(SITE), None), (ip(SECOND), Some(Failure::ConnectionRefused))]);
        let system: Vec<&Observation> =
            outcome.observations.iter().filter(|step| step.engine == Engine::System).collect();
        let last = system.last().expect("a step");
        assert_eq!((last.layer, last.failure.clone()), (Layer::Http, None), "the page comes last");
    }
    let light = world.check(URL, Depth::Light).await;
    assert_eq!(steps(&light, Layer::Tcp, Engine::System), [(ip(SITE), None)]);
}

#[tokio::test]
async fn a_forged_address_leads_to_a_look_at_the_true_one() {
    let world = world().await;
    for forged in [FORGED, "10.10.34.35"] {
        world.system.point("site.test", forged);
        let outcome = world.check(URL, Depth::Full).await;
        assert_eq!(steps(&outcome, Layer::Tcp, Engine::Doh).last(), Some(&(ip(SITE), None)), "{forged}");
        assert_eq!(steps(&outcome, Layer::Tls, Engine::Doh), [(ip(SITE), None)], "{forged}");
    }
    world.system.set("site.test", Answer::Code(hickory_proto::op::ResponseCode::NXDomain));
    let outcome = world.check(URL, Depth::Full).await;
    assert_eq!(steps(&outcome, Layer::Tls, Engine::Doh), [(ip(SITE), None)]);
}

#[tokio::test]
async fn redirects_over_tls_end_where_the_check_has_cost_enough() {
    let world = world().await;
    world.https("127.0.0.12", "loop.test", redirect("/again")).await;
    world.name("loop.test", "127.0.0.12");
    let outcome = world.check("https://loop.test/", Depth::Full).await;
    let last = outcome.observations.iter().rfind(|step| step.engine == Engine::System).expect("a step");
    assert_eq!((last.layer, last.failure.clone()), (Layer::Http, None), "what it read so far is no failure");
    assert!(last.hop >= 2 && outcome.bytes < 60_000, "hop {}, {} bytes", last.hop, outcome.bytes);
}
