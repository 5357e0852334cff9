//! The diagnose check against servers that hang up on a name, as a filter on the way does.

mod support;

use faultline_agent::checks::{Check, DiagnoseCheck, Diagnosis, Job, NotRun, Outcome};
use faultline_agent::net::Deadlines;
use faultline_model::{Depth, Engine, Fact, Failure, Layer, Observation, Target, Variant};
use std::net::IpAddr;
use std::time::Duration;
use support::dns::Answer;
use support::site::{Behaviour, Certificate, page};
use support::world::{SITE, World};

const URL: &str = "https://site.test/";
const INNOCENT: &str = "127.0.0.20";
const OTHER: &str = "127.0.0.21";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A world in which everything works, with an innocent site.
async fn world(site: Behaviour) -> World {
    let world = World::new().await;
    world.name("site.test", SITE);
    world.https(SITE, "site.test", site).await;
    world.name("innocent.test", INNOCENT);
    world
}

async fn diagnose(world: &World, url: &str) -> Outcome {
    run(world, url, Some("https://innocent.test/")).await.expect("it ran")
}

async fn run(world: &World, url: &str, innocent: Option<&str>) -> Result<Outcome, NotRun> {
    let target = |url: &str| Target::new(url).expect("a target");
    let innocent = innocent.map(target);
    let diagnosis = Diagnosis { innocent, allows_quic: true, ..Diagnosis::default() };
    let short = Duration::from_millis(400);
    let deadlines = Deadlines { tls: short, http: short, quic: short, ..Deadlines::default() };
    let resolver = Some(world.resolver());
    let job = Job { target: target(url), depth: Depth::Light, resolver, control: None, diagnosis };
    DiagnoseCheck::new(world.net_with(deadlines)).run(job).await
}

fn variant(step: &Observation) -> Option<Variant> {
    match &step.fact {
        Fact::Tls(fact) => fact.variant,
        Fact::Http(fact) => fact.variant,
        Fact::Quic(_) => Some(Variant::Http3),
        _ => None,
    }
}

/// Returns how each retry ended: where, at which layer, with what.
fn ends(outcome: &Outcome) -> Vec<(Variant, IpAddr, Layer, Option<Failure>)> {
    let mut ends: Vec<(Variant, IpAddr, Layer, Option<Failure>)> = vec![];
    for step in outcome.observations.iter().filter(|step| step.engine == Engine::Retry) {
        let variant = variant(step).expect("each step of a retry says which");
        ends.retain(|(other, ..)| *other != variant);
        ends.push((variant, step.peer.expect("a peer").ip(), step.layer, step.failure.clone()));
    }
    ends
}

#[tokio::test]
async fn a_filter_by_the_name_in_the_hello_cuts_that_name_everywhere_and_no_other() {
    let world = world(Behaviour::ResetName("site.test".into())).await;
    world.https(INNOCENT, "innocent.test", Behaviour::ResetName("site.test".into())).await;
    let reset = Some(Failure::ConnectionReset);
    let outcome = diagnose(&world, URL).await;
    let expected = [
        (Variant::InnocentSni, ip(SITE), Layer::Tls, Some(Failure::SslInvalidHostname)),
        (Variant::InnocentAddress, ip(INNOCENT), Layer::Tls, reset.clone()),
        (Variant::SplitHello, ip(SITE), Layer::Tls, reset.clone()),
        (Variant::Http3, ip(SITE), Layer::Quic, Some(Failure::ConnectionRefused)),
        (Variant::Same, ip(SITE), Layer::Tls, reset),
    ];
    assert_eq!(ends(&outcome), expected);
    assert!(outcome.bytes < 100_000, "{}", outcome.bytes);
}

#[tokio::test]
async fn a_dead_address_is_dead_under_any_name_while_the_name_passes_elsewhere() {
    let world = World::new().await;
    world.name("site.test", SITE);
    world.name("innocent.test", INNOCENT);
    world.https(INNOCENT, "innocent.test", page("ok")).await;
    let refused = Some(Failure::ConnectionRefused);
    let ends = ends(&diagnose(&world, URL).await);
    assert!(ends.contains(&(Variant::InnocentSni, ip(SITE), Layer::Tcp, refused.clone())), "{ends:?}");
    assert!(ends.contains(&(Variant::Same, ip(SITE), Layer::Tcp, refused)), "{ends:?}");
    let elsewhere = Some(Failure::SslInvalidHostname);
    assert!(ends.contains(&(Variant::InnocentAddress, ip(INNOCENT), Layer::Tls, elsewhere)), "{ends:?}");
}

#[tokio::test]
async fn a_forged_answer_is_told_by_the_address_that_others_give() {
    let world = world(page("ok")).await;
    world.https(INNOCENT, "innocent.test", page("ok")).await;
    world.https_with(OTHER, "box.test", Certificate::Good, page("no")).await;
    world.system.point("site.test", OTHER);
    let ends = ends(&diagnose(&world, URL).await);
    let box_cert = Some(Failure::SslInvalidHostname);
    assert!(ends.contains(&(Variant::OtherAddress, ip(SITE), Layer::Tls, None)), "{ends:?}");
    assert!(ends.contains(&(Variant::Same, ip(OTHER), Layer::Tls, box_cert)), "{ends:?}");
}

#[tokio::test]
async fn a_name_that_the_system_denies_is_tried_at_what_others_say() {
    let world = world(page("ok")).await;
    world.https(INNOCENT, "innocent.test", page("ok")).await;
    for denied in
        [Answer::Code(hickory_proto::op::ResponseCode::NXDomain), Answer::Addresses(vec![ip("10.10.34.35")])]
    {
        world.system.set("site.test", denied);
        let ends = ends(&diagnose(&world, URL).await);
        assert_eq!(ends.last(), Some(&(Variant::Same, ip(SITE), Layer::Tls, None)));
    }
}

#[tokio::test]
async fn over_plain_http_the_name_in_the_request_is_what_changes() {
    let world = World::new().await;
    for (name, address) in [("site.test", SITE), ("innocent.test", INNOCENT)] {
        world.name(name, address);
        world.http(address, Behaviour::ResetName("site.test".into())).await;
    }
    let outcome = diagnose(&world, "http://site.test/").await;
    let reset = Some(Failure::ConnectionReset);
    let expected = [
        (Variant::InnocentHost, ip(SITE), Layer::Http, None),
        (Variant::InnocentAddress, ip(INNOCENT), Layer::Http, reset.clone()),
        (Variant::Same, ip(SITE), Layer::Http, reset),
    ];
    assert_eq!(ends(&outcome), expected);
    let host = |step: &Observation| match &step.fact {
        Fact::Http(fact) if fact.variant == Some(Variant::InnocentHost) => Some(fact.host.clone()),
        _ => None,
    };
    assert_eq!(outcome.observations.iter().find_map(host).as_deref(), Some("innocent.test"));
}

#[tokio::test]
async fn nothing_is_tried_without_an_innocent_site() {
    let world = world(page("ok")).await;
    assert_eq!(run(&world, URL, None).await.expect_err("no site"), NotRun::NoInnocent);
}
