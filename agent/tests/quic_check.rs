//! The `quic` check against real QUIC servers, and against peers that only pretend to be some.

mod support;

use faultline_agent::checks::{Check, Diagnosis, Job, NotRun, Outcome, QuicCheck};
use faultline_agent::net::{AddressPolicy, Deadlines, LocalNetworks, Net, Roots};
use faultline_model::{Depth, Engine, Fact, Failure, HttpFact, Layer, Observation, QuicFact, Target};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use support::dns::Answer;
use support::eventually;
use support::quic::{Datagram, Http3};
use support::site::Certificate;
use support::world::{SITE, World};

const URL: &str = "https://site.test/";

async fn world() -> World {
    let world = World::new().await;
    world.name("site.test", SITE);
    world
}

async fn serving(behaviour: Http3) -> World {
    let world = world().await;
    world.http3(SITE, "site.test", Certificate::Good, behaviour).await;
    world
}

/// Deadlines that a test of silence can wait for.
fn short() -> Deadlines {
    let (quic, http) = (Duration::from_millis(600), Duration::from_millis(600));
    Deadlines { quic, http, ..Deadlines::default() }
}

async fn check(world: &World, deadlines: Deadlines) -> Outcome {
    check_at(world, Depth::Light, deadlines).await
}

async fn check_at(world: &World, depth: Depth, deadlines: Deadlines) -> Outcome {
    let job = Job {
        target: Target::new(URL).expect("a target"),
        depth,
        resolver: Some(world.resolver()),
        control: None,
        diagnosis: Diagnosis::default(),
    };
    QuicCheck::new(world.net_with(deadlines)).run(job).await.expect("it ran")
}

fn step(outcome: &Outcome, layer: Layer) -> &Observation {
    let is_it = |step: &&Observation| step.layer == layer && step.engine == Engine::System;
    outcome.observations.iter().find(is_it).expect("the step was taken")
}

fn quic(outcome: &Outcome) -> &QuicFact {
    match &step(outcome, Layer::Quic).fact {
        Fact::Quic(fact) => fact,
        other => panic!("{other:?}"),
    }
}

fn page(outcome: &Outcome) -> &HttpFact {
    match &step(outcome, Layer::Http).fact {
        Fact::Http(fact) => fact,
        other => panic!("{other:?}"),
    }
}

fn fails(outcome: &Outcome, layer: Layer, failure: Failure) {
    assert_eq!(step(outcome, layer).failure, Some(failure), "{:?}", outcome.observations);
    assert!(outcome.observations.iter().all(|step| step.layer <= layer), "nothing comes after a failure");
}

#[tokio::test]
async fn a_page_over_http_3_is_three_steps_with_their_facts_and_timing() {
    let world = serving(Http3::Page(100)).await;
    let outcome = check(&world, Deadlines::default()).await;
    let layers: Vec<Layer> = outcome.observations.iter().map(|step| step.layer).collect();
    assert_eq!(layers, [Layer::Dns, Layer::Quic, Layer::Http], "{:?}", outcome.observations);
    assert!(outcome.observations.iter().all(|step| step.failure.is_none()), "{:?}", outcome.observations);
    let fact = quic(&outcome);
    let shown = (fact.server_name.as_str(), fact.version.as_str(), fact.alpn.as_str());
    assert_eq!(shown, ("site.test", "1", "h3"));
    assert_eq!((fact.certificate_sha256.len(), fact.certificate_issuer.as_str()), (64, "CN=Test Root"));
    assert!(fact.datagrams_sent >= 2 && fact.datagrams_received >= 2, "{fact:?}");
    assert!(fact.peer_versions.is_empty());
    let page = page(&outcome);
    assert_eq!((page.status, page.title.as_str(), page.server.as_str()), (200, "three", "h3-test"));
    assert_eq!(page.body_bytes, 120);
    assert!(step(&outcome, Layer::Dns).peer.is_none(), "the system's resolver is never recorded");
    assert!((3_000..25_000).contains(&outcome.bytes), "{}", outcome.bytes);
}

#[tokio::test]
async fn a_body_without_end_is_cut_and_costs_no_more_than_planned() {
    let world = serving(Http3::Endless).await;
    let light = check(&world, Deadlines::default()).await;
    assert_eq!((page(&light).body_bytes, page(&light).is_truncated), (3 * 1024, true));
    assert_eq!(step(&light, Layer::Http).failure, None);
    assert!(light.bytes < 40_000, "{}", light.bytes);
    let full = check_at(&world, Depth::Full, Deadlines::default()).await;
    assert_eq!(page(&full).body_bytes, 6 * 1024);
    assert!(full.bytes < 100_000, "{}", full.bytes);
}

#[tokio::test]
async fn a_peer_that_swallows_is_a_timeout_without_a_datagram() {
    let world = world().await;
    let seen = world.datagrams(SITE, Datagram::Swallow).await;
    let outcome = check(&world, short()).await;
    fails(&outcome, Layer::Quic, Failure::Timeout);
    assert_eq!((quic(&outcome).datagrams_received, quic(&outcome).version.as_str()), (0, ""));
    let sent = quic(&outcome).datagrams_sent as usize;
    assert!(sent > 0);
    eventually("all that was sent", || async { seen.datagrams.load(Ordering::SeqCst) >= sent }).await;
    assert!(step(&outcome, Layer::Quic).took >= short().quic);
}

#[tokio::test]
async fn an_initial_packet_is_padded_and_names_its_connection_as_a_browsers_does() {
    let world = world().await;
    let seen = world.datagrams(SITE, Datagram::Swallow).await;
    check(&world, short()).await;
    let first = seen.first.lock().expect("no panic").clone();
    assert!(first.len() >= 1200, "{}", first.len());
    assert_eq!(first[0] & 0xf0, 0xc0, "an Initial packet");
    assert_eq!(first[1..5], [0, 0, 0, 1], "version 1");
    assert_eq!((first[5], first[14]), (8, 0), "a destination id of eight bytes, no source id");
}

#[tokio::test]
async fn garbage_is_a_timeout_with_datagrams() {
    let world = world().await;
    world.datagrams(SITE, Datagram::Garbage).await;
    let outcome = check(&world, short()).await;
    fails(&outcome, Layer::Quic, Failure::Timeout);
    assert!(quic(&outcome).datagrams_received > 0);
}

#[tokio::test]
async fn a_peer_that_offers_only_other_versions_is_told_with_its_offer() {
    let world = world().await;
    world.datagrams(SITE, Datagram::VersionNegotiation).await;
    let outcome = check(&world, Deadlines::default()).await;
    fails(&outcome, Layer::Quic, Failure::QuicIncompatibleVersion);
    assert_eq!(quic(&outcome).peer_versions, [0x0a1a_2a3a, 0x6b33_43cf]);
}

#[tokio::test]
async fn a_closed_port_is_a_refusal_at_once() {
    let world = world().await;
    let begin = Instant::now();
    let outcome = check(&world, Deadlines::default()).await;
    fails(&outcome, Layer::Quic, Failure::ConnectionRefused);
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn each_fault_of_a_certificate_has_its_code_and_keeps_the_certificates_facts() {
    for (name, kind, failure) in [
        ("other.test", Certificate::Good, Failure::SslInvalidHostname),
        ("site.test", Certificate::SelfSigned, Failure::SslUnknownAuthority),
        ("site.test", Certificate::Expired, Failure::SslInvalidCertificate),
    ] {
        let world = world().await;
        world.http3(SITE, name, kind, Http3::Page(1)).await;
        let outcome = check(&world, Deadlines::default()).await;
        fails(&outcome, Layer::Quic, failure);
        assert_eq!(quic(&outcome).certificate_sha256.len(), 64);
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_http_3_fails_the_handshake() {
    let world = world().await;
    world.quic(SITE, "site.test", (Certificate::Good, b"other"), Http3::Page(1)).await;
    let outcome = check(&world, Deadlines::default()).await;
    fails(&outcome, Layer::Quic, Failure::SslFailedHandshake);
}

#[tokio::test]
async fn an_exchange_fails_by_what_ended_it() {
    for (behaviour, failure) in [
        (Http3::Silent, Failure::Timeout),
        (Http3::Abort, Failure::ConnectionReset),
        (Http3::Close, Failure::ConnectionReset),
    ] {
        let outcome = check(&serving(behaviour).await, short()).await;
        assert_eq!(step(&outcome, Layer::Quic).failure, None, "{behaviour:?}");
        fails(&outcome, Layer::Http, failure);
        assert_eq!(page(&outcome).status, 0);
    }
}

#[tokio::test]
async fn a_failure_brings_the_public_resolvers_opinion_on_the_name() {
    let world = world().await;
    world.datagrams(SITE, Datagram::VersionNegotiation).await;
    let outcome = check(&world, Deadlines::default()).await;
    let engines: Vec<Engine> = outcome.observations.iter().map(|step| step.engine).collect();
    assert_eq!(engines, [Engine::System, Engine::System, Engine::Udp, Engine::Doh]);
}

#[tokio::test]
async fn a_private_answer_is_recorded_and_never_spoken_to() {
    let world = world().await;
    world.system.set("site.test", Answer::Addresses(vec!["192.168.1.1".parse().expect("an address")]));
    let outcome = check(&world, Deadlines::default()).await;
    assert_eq!(step(&outcome, Layer::Dns).failure, Some(Failure::DnsBogon));
    let Fact::Dns(answer) = &step(&outcome, Layer::Dns).fact else { panic!("no answer") };
    assert_eq!(answer.addresses[0].to_string(), "192.168.1.1");
    assert!(outcome.observations.iter().all(|step| step.layer == Layer::Dns));
}

#[tokio::test]
async fn the_rules_of_real_networks_keep_quic_from_loopback_and_odd_ports() {
    let world = world().await;
    let seen = world.datagrams(SITE, Datagram::Swallow).await;
    let policy = AddressPolicy::new(LocalNetworks::default());
    let net = Net::with_policy(&Roots::Mozilla, policy, vec![]).expect("a network");
    let session = Arc::new(net).session();
    for peer in [format!("{SITE}:443"), "10.0.0.1:443".into(), "93.184.216.34:8443".into()] {
        let peer = peer.parse().expect("an address");
        let (fact, ended) = faultline_agent::net::quic::handshake(&session, peer, "site.test", 8192).await;
        assert_eq!(ended.err(), Some(Failure::AddressDenied), "{peer}");
        assert_eq!(fact.datagrams_sent, 0);
    }
    assert_eq!((seen.datagrams.load(Ordering::SeqCst), session.bytes()), (0, 0));
}

#[tokio::test]
async fn a_plain_target_is_not_run() {
    let world = world().await;
    let target = Target::new("http://site.test/").expect("a target");
    let job =
        Job { target, depth: Depth::Light, resolver: None, control: None, diagnosis: Diagnosis::default() };
    assert_eq!(QuicCheck::new(world.net()).run(job).await, Err(NotRun::NotApplicable));
}
