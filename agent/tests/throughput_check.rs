//! The `throughput` check against sites that are fast, slow, endless, silent and broken.

mod support;

use faultline_agent::checks::{Check, Diagnosis, Job, NotRun, Outcome, SIDE_BODY_BYTES, ThroughputCheck};
use faultline_agent::net::Deadlines;
use faultline_model::{
    Depth, DownloadEnd, Engine, Fact, Failure, Layer, Observation, Target, ThroughputFact,
};
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::dns::Answer;
use support::paced::{Pace, Served, Stop};
use support::site::{Behaviour, redirect};
use support::world::{SITE, World};

const CONTROL: &str = "127.0.0.8";

struct Pair {
    world: World,
    target: Served,
    control: Served,
}

async fn world() -> World {
    let world = World::new().await;
    world.name("video.test", SITE);
    world.name("canary.test", CONTROL);
    world
}

async fn pair(target: Pace, control: Pace) -> Pair {
    let world = world().await;
    let target = world.paced(SITE, "video.test", target).await;
    let control = world.paced(CONTROL, "canary.test", control).await;
    Pair { world, target, control }
}

fn url(text: &str) -> Target {
    Target::new(text).expect("a target")
}

fn job(target: &str, control: Option<&str>) -> Job {
    let diagnosis = Diagnosis::default();
    Job { target: url(target), depth: Depth::Light, resolver: None, control: control.map(url), diagnosis }
}

/// One side takes at most two seconds, so that a test of slowness need not last.
fn short() -> Deadlines {
    Deadlines { http: Duration::from_secs(2), ..Deadlines::default() }
}

async fn check(world: &World) -> Outcome {
    let job = job("https://video.test/big", Some("https://canary.test/big"));
    ThroughputCheck::new(world.net_with(short())).run(job).await.expect("it ran")
}

fn step(outcome: &Outcome, engine: Engine) -> &Observation {
    let is_it = |step: &&Observation| step.layer == Layer::Http && step.engine == engine;
    outcome.observations.iter().find(is_it).expect("the download was tried")
}

fn download(outcome: &Outcome, engine: Engine) -> &ThroughputFact {
    match &step(outcome, engine).fact {
        Fact::Throughput(fact) => fact,
        other => panic!("{other:?}"),
    }
}

fn has_control(outcome: &Outcome) -> bool {
    outcome.observations.iter().any(|step| step.engine == Engine::Control)
}

#[tokio::test]
async fn a_slowed_target_and_a_fast_line_are_told_apart_by_the_pair() {
    let pair = pair(Pace::kbps(150), Pace::ENDLESS).await;
    let outcome = check(&pair.world).await;
    let (target, control) = (download(&outcome, Engine::System), download(&outcome, Engine::Control));
    assert_eq!((target.end, control.end), (DownloadEnd::TimeCap, DownloadEnd::BytesCap));
    assert!((50_000..220_000).contains(&target.goodput_bps()), "{target:?}");
    assert!(control.goodput_bps() >= 10 * target.goodput_bps(), "{control:?} {target:?}");
    for fact in [target, control] {
        assert_eq!(fact.bins.iter().map(|bytes| u64::from(*bytes)).sum::<u64>(), fact.body_bytes);
        assert_eq!((fact.status, fact.bin_ms), (200, 500));
    }
    assert!(target.bins.len() >= 3, "{target:?}");
    assert!(outcome.observations.iter().all(|step| step.failure.is_none()), "a cap is no failure");
    let layers: Vec<Layer> = outcome.observations.iter().map(|step| step.layer).collect();
    let way = [Layer::Dns, Layer::Tcp, Layer::Tls, Layer::Http];
    assert_eq!(layers, [way, way].concat());
}

#[tokio::test]
async fn a_slow_line_slows_both_sides() {
    let pair = pair(Pace::kbps(150), Pace::kbps(150)).await;
    let outcome = check(&pair.world).await;
    let (target, control) = (download(&outcome, Engine::System), download(&outcome, Engine::Control));
    assert!(control.goodput_bps() < 3 * target.goodput_bps(), "{control:?} {target:?}");
    assert!(control.goodput_bps() < 300_000, "{control:?}");
}

#[tokio::test]
async fn servers_that_send_for_ever_cost_less_than_a_megabyte_together() {
    let pair = pair(Pace::ENDLESS, Pace::ENDLESS).await;
    let outcome = check(&pair.world).await;
    for engine in [Engine::System, Engine::Control] {
        let fact = download(&outcome, engine);
        assert_eq!((fact.body_bytes, fact.end), (SIDE_BODY_BYTES as u64, DownloadEnd::BytesCap));
    }
    assert!((2 * SIDE_BODY_BYTES as u64..1_000_000).contains(&outcome.bytes), "{}", outcome.bytes);
    // What the servers got rid of: the caps, and what lay in the buffers of both ends when the visitor left.
    let sent = pair.target.bytes.load(Ordering::SeqCst) + pair.control.bytes.load(Ordering::SeqCst);
    assert!(sent < 1_000_000, "{sent}");
}

#[tokio::test]
async fn http_2_obeys_the_same_caps() {
    let world = world().await;
    world.https(SITE, "video.test", Behaviour::Http2(5_000_000)).await;
    world.https(CONTROL, "canary.test", Behaviour::Http2(5_000_000)).await;
    let outcome = check(&world).await;
    for engine in [Engine::System, Engine::Control] {
        let fact = download(&outcome, engine);
        assert_eq!((fact.body_bytes, fact.end), (SIDE_BODY_BYTES as u64, DownloadEnd::BytesCap));
    }
    assert!(outcome.bytes < 1_000_000, "{}", outcome.bytes);
}

#[tokio::test]
async fn a_body_that_falls_silent_is_slow_and_one_that_breaks_off_is_a_failure() {
    let stops = |stop| Pace { length: Some(200_000), stops: Some((40_000, stop)), ..Pace::kbps(2_000) };
    let silent = pair(stops(Stop::Silence), Pace::ENDLESS).await;
    let outcome = check(&silent.world).await;
    let fact = download(&outcome, Engine::System);
    assert_eq!((fact.end, step(&outcome, Engine::System).failure.clone()), (DownloadEnd::TimeCap, None));
    assert!(fact.body_bytes >= 40_000 && fact.bins.last() == Some(&0), "{fact:?}");
    assert!(fact.body_ms >= 1_500, "the silence counts: {fact:?}");
    let broken = pair(stops(Stop::Reset), Pace::ENDLESS).await;
    let outcome = check(&broken.world).await;
    assert_eq!(download(&outcome, Engine::System).end, DownloadEnd::Broken);
    assert_eq!(step(&outcome, Engine::System).failure, Some(Failure::ConnectionReset));
    assert!(has_control(&outcome), "an answer had begun");
}

#[tokio::test]
async fn a_short_page_is_complete() {
    let pair = pair(Pace { length: Some(1000), ..Pace::ENDLESS }, Pace::ENDLESS).await;
    let outcome = check(&pair.world).await;
    let fact = download(&outcome, Engine::System);
    assert_eq!((fact.body_bytes, fact.end), (1000, DownloadEnd::Complete));
}

#[tokio::test]
async fn without_an_answer_from_the_target_the_control_is_left_alone() {
    let world = world().await;
    let control = world.paced(CONTROL, "canary.test", Pace::ENDLESS).await;
    world.https(SITE, "video.test", Behaviour::Reset).await;
    let outcome = check(&world).await;
    let last = outcome.observations.last().expect("a step");
    assert_eq!((last.layer, last.failure.clone()), (Layer::Tls, Some(Failure::ConnectionReset)));
    world.system.set("video.test", Answer::Addresses(vec!["10.0.0.1".parse().expect("an address")]));
    let outcome = check(&world).await;
    assert_eq!(outcome.observations.len(), 1, "a private address is recorded and never connected to");
    assert_eq!(outcome.observations[0].failure, Some(Failure::DnsBogon));
    assert_eq!(control.visits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_control_at_a_private_address_is_recorded_and_never_connected_to() {
    let pair = pair(Pace { length: Some(1000), ..Pace::ENDLESS }, Pace::ENDLESS).await;
    let private = "192.168.1.1".parse().expect("an address");
    pair.world.system.set("canary.test", Answer::Addresses(vec![private]));
    let outcome = check(&pair.world).await;
    let last = outcome.observations.last().expect("a step");
    let expected = (Engine::Control, Layer::Dns, Some(Failure::DnsBogon));
    assert_eq!((last.engine, last.layer, last.failure.clone()), expected);
    assert_eq!(download(&outcome, Engine::System).end, DownloadEnd::Complete);
    assert_eq!(pair.control.visits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_redirect_is_recorded_and_not_followed() {
    let world = world().await;
    world.https(SITE, "video.test", redirect("https://elsewhere.test/")).await;
    world.paced(CONTROL, "canary.test", Pace::ENDLESS).await;
    let outcome = check(&world).await;
    assert_eq!(download(&outcome, Engine::System).status, 302);
    let names: Vec<&str> = outcome
        .observations
        .iter()
        .filter_map(|step| match &step.fact {
            Fact::Dns(answer) => Some(answer.hostname.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["video.test", "canary.test"]);
}

#[tokio::test]
async fn without_a_control_of_its_own_host_nothing_is_downloaded() {
    let world = world().await;
    let check = ThroughputCheck::new(world.net());
    let run = |target, control| check.run(job(target, control));
    let plain = run("https://video.test/", Some("http://canary.test/")).await;
    assert_eq!(plain, Err(NotRun::NotApplicable));
    let own = run("https://video.test/a", Some("https://video.test/b")).await;
    assert_eq!(own, Err(NotRun::NotApplicable));
    assert_eq!(run("https://video.test/", None).await, Err(NotRun::NoControl));
}
