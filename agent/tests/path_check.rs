//! The `path` check on one machine, where every site is one hop away; ways of several hops are in the emulated country.

mod support;

use faultline_agent::checks::{Check, Diagnosis, INNOCENT, Job, Outcome, PathCheck};
use faultline_agent::net::Deadlines;
use faultline_model::{
    Depth, Engine, Fact, Failure, Layer, Observation, PathAnswer, PathFact, PathProbe, PathResponder, Target,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::site::page;
use support::world::{SITE, World};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

async fn check(world: &World, url: &str) -> Outcome {
    let target = Target::new(url).expect("a target");
    let job = Job {
        target,
        depth: Depth::Light,
        resolver: Some(world.resolver()),
        control: None,
        diagnosis: Diagnosis::default(),
    };
    PathCheck::new(world.net_with(Deadlines::default())).run(job).await.expect("it ran")
}

fn series(outcome: &Outcome, probe: PathProbe, engine: Engine) -> (&Observation, &PathFact) {
    let of = |step: &'_ Observation| matches!(&step.fact, Fact::Path(path) if path.probe == probe);
    let step = outcome.observations.iter().find(|step| step.engine == engine && of(step)).expect("a series");
    let Fact::Path(path) = &step.fact else { panic!("a path") };
    (step, path)
}

/// Resets every connection that brings a name other than the innocent one; counts the connections that bring nothing.
async fn censor(listener: TcpListener) -> Arc<AtomicUsize> {
    let silent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&silent);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 2048];
            let read = stream.read(&mut bytes).await.unwrap_or(0);
            let is_innocent = bytes[..read].windows(INNOCENT.len()).any(|part| part == INNOCENT.as_bytes());
            match read {
                0 => {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                _ if is_innocent => {
                    let _ =
                        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 404 Not Found\r\n\r\n")
                            .await;
                }
                _ => {
                    let _ = stream.set_zero_linger();
                }
            }
        }
    });
    silent
}

#[tokio::test]
async fn a_site_that_answers_is_drawn_and_asked_twice_and_no_more() {
    let world = World::new().await;
    world.name("site.test", SITE);
    world.https(SITE, "site.test", page("fine")).await;
    let outcome = check(&world, "https://site.test/").await;
    let (step, drawn) = series(&outcome, PathProbe::Connect, Engine::System);
    assert_eq!((step.layer, &step.failure), (Layer::Tcp, &None));
    let way: Vec<_> = drawn.hops.iter().map(|hop| (hop.ttl, hop.answer, hop.responder)).collect();
    assert_eq!(way, [(1, PathAnswer::Connected, PathResponder::Target)]);
    let (step, target) = series(&outcome, PathProbe::Hello, Engine::System);
    assert_eq!((step.layer, &step.failure, target.name.as_str()), (Layer::Tls, &None, "site.test"));
    assert_eq!(target.whole_way(), Some(PathAnswer::Data));
    let (_, innocent) = series(&outcome, PathProbe::Hello, Engine::Control);
    assert_eq!((innocent.name.as_str(), innocent.hops.len(), target.hops.len()), (INNOCENT, 1, 1));
    assert!(outcome.bytes < 20_000, "{} bytes", outcome.bytes);
}

#[tokio::test]
async fn a_reset_by_name_is_a_fact_of_that_name_only() {
    let world = World::new().await;
    world.name("victim.test", SITE);
    censor(world.http_listener(SITE).await).await;
    let outcome = check(&world, "http://victim.test/").await;
    let (step, target) = series(&outcome, PathProbe::Request, Engine::System);
    assert_eq!((step.layer, &step.failure), (Layer::Http, &Some(Failure::ConnectionReset)));
    assert_eq!(target.whole_way(), Some(PathAnswer::Reset));
    let (_, innocent) = series(&outcome, PathProbe::Request, Engine::Control);
    let answers: Vec<PathAnswer> = innocent.hops.iter().map(|hop| hop.answer).collect();
    assert_eq!(answers, [PathAnswer::Data, PathAnswer::Data], "before the target's name and after it");
}

#[tokio::test]
async fn a_connection_that_is_refused_ends_the_check() {
    let world = World::new().await;
    world.name("closed.test", "127.0.0.66");
    let outcome = check(&world, "https://closed.test/").await;
    let last = outcome.observations.last().expect("a step");
    assert_eq!((last.layer, &last.failure), (Layer::Tcp, &Some(Failure::ConnectionRefused)));
    let (_, drawn) = series(&outcome, PathProbe::Connect, Engine::System);
    assert_eq!(drawn.hops.last().map(|hop| hop.answer), Some(PathAnswer::Refused));
}

#[tokio::test]
async fn connection_attempts_bring_no_name() {
    let world = World::new().await;
    world.name("site.test", SITE);
    let silent = censor(world.http_listener(SITE).await).await;
    let outcome = check(&world, "http://site.test/").await;
    support::eventually("the attempts", || async { silent.load(Ordering::Relaxed) >= 1 }).await;
    let (_, drawn) = series(&outcome, PathProbe::Connect, Engine::System);
    assert_eq!(drawn.name, "");
}

#[tokio::test]
async fn a_name_that_leads_into_a_home_is_recorded_and_never_probed() {
    let world = World::new().await;
    world.name("home.test", "192.168.1.1");
    let outcome = check(&world, "https://home.test/").await;
    assert_eq!(outcome.observations.len(), 1);
    assert_eq!(outcome.observations[0].failure, Some(Failure::DnsBogon));
}
