//! What a full web check sees beside its path: late answers, other resolvers, other addresses.

mod support;

use faultline_agent::checks::Outcome;
use faultline_model::{
    CheckKind, Depth, DnsAnswer, Engine, Fact, Failure, HttpFact, Layer, Measurement, MeasurementId,
    Observation, Target, Timestamp, Why,
};
use faultline_proto::convert::measurement_to_wire;
use prost::Message;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::time::Duration;
use support::dns::Answer;
use support::site::{Behaviour, Certificate, page, redirect};
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

fn last_page(outcome: &Outcome) -> &HttpFact {
    match outcome.observations.iter().rfind(|step| step.layer == Layer::Http).map(|step| &step.fact) {
        Some(Fact::Http(fact)) => fact,
        other => panic!("{other:?}"),
    }
}

fn inflated(bytes: &[u8]) -> Vec<u8> {
    let mut body = vec![];
    flate2::read::DeflateDecoder::new(bytes).read_to_end(&mut body).expect("deflated");
    body
}

#[tokio::test]
async fn a_page_that_looks_wrong_is_kept_in_a_full_check_only() {
    let world = World::new().await;
    world.name("site.test", SITE);
    let body = "<title>Surf Safely!</title>".to_owned() + &"<p>prohibited</p>".repeat(300);
    let head = "HTTP/1.1 200 OK\r\nServer: filter\r\nSet-Cookie: you=39.32.7.9\r\nVia: 1.1 box\r\n";
    let reply = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    world.http(SITE, Behaviour::Raw(reply.into())).await;
    let full = world.check("http://site.test/", Depth::Full).await;
    let page = last_page(&full);
    assert!(inflated(&page.body_deflated) == body.as_bytes());
    assert_eq!(page.header_names, ["content-length", "server", "set-cookie", "via"]);
    assert!(page.headers.iter().all(|header| header.name != "set-cookie"), "{:?}", page.headers);
    assert_eq!(page.version, "1.1");
    let light = world.check("http://site.test/", Depth::Light).await;
    assert!(last_page(&light).body_deflated.is_empty());
    let ordinary = self::world().await.check(URL, Depth::Full).await;
    assert!(last_page(&ordinary).body_deflated.is_empty());
}

#[tokio::test]
async fn a_compressed_bomb_stays_as_small_as_it_came() {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    encoder.write_all(&vec![0; 40_000_000]).expect("compressed");
    let bomb = encoder.finish().expect("compressed");
    let world = World::new().await;
    world.name("site.test", SITE);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len());
    world.http(SITE, Behaviour::Raw([head.as_bytes(), &bomb].concat())).await;
    let outcome = world.check("http://site.test/", Depth::Full).await;
    let page = last_page(&outcome);
    assert_eq!((page.body_bytes, page.is_truncated), (6 * 1024, true));
    assert!(bomb.starts_with(&inflated(&page.body_deflated)));
    assert!(outcome.bytes < 60_000, "{}", outcome.bytes);
}

/// A certificate chain as long as a large site's, so that handshakes cost what they cost in the field.
async fn costly_world() -> World {
    let world = World::new().await;
    let addresses = [SITE, SECOND, "127.0.0.13", "127.0.0.14"];
    let noise: Vec<u8> = (0_u32..60_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let reply = [b"HTTP/1.1 403 Forbidden\r\n\r\n".to_vec(), noise].concat();
    for address in addresses {
        world.https_with(address, "site.test", Certificate::Long, Behaviour::Raw(reply.clone())).await;
    }
    let all = addresses.into_iter().map(ip).collect();
    world.system.set("site.test", Answer::Addresses(all));
    for zone in [&world.public, &world.provider] {
        zone.point("site.test", SITE);
    }
    world
}

/// Returns what a check costs with its upload: the message, its request and its receipt.
async fn cost(world: &World, depth: Depth) -> u64 {
    let outcome = world.check(URL, depth).await;
    let measurement = Measurement {
        id: MeasurementId::from_bytes([7; 16]),
        check: CheckKind::Web,
        target: Target::new(URL).expect("a target"),
        depth,
        why: Why::Routine,
        token: None,
        list_version: 1,
        started_at: Timestamp::from_unix_ms(1_705_758_033_000),
        duration: Duration::from_secs(1),
        parent: None,
        observations: outcome.observations,
    };
    outcome.bytes + measurement_to_wire(&measurement).encoded_len() as u64 + 300
}

#[tokio::test]
async fn a_light_check_costs_ten_kilobytes_and_a_full_one_sixty_at_most() {
    let light = cost(&world().await, Depth::Light).await;
    assert!((2_000..=10_000).contains(&light), "{light} bytes");
    let costly = costly_world().await;
    let full = cost(&costly, Depth::Full).await;
    assert!((30_000..=60_000).contains(&full), "{full} bytes");
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
