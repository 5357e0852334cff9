//! The messaging checks against real servers on one machine, under the services' own names.

mod support;

use faultline_agent::checks::{Check, Diagnosis, Job, MessagingCheck, NotRun, Outcome};
use faultline_model::{CheckKind, Depth, Fact, Failure, Layer, Observation, Target};
use std::net::Ipv4Addr;
use support::site::{Certificate, page};
use support::world::{SITE, World};

const ALIVE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 21);
const DEAD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 22);

async fn check(world: &World, kind: CheckKind, url: &str) -> Result<Outcome, NotRun> {
    let job = Job {
        target: Target::new(url).expect("a target"),
        depth: Depth::Light,
        resolver: Some(world.resolver()),
        control: None,
        diagnosis: Diagnosis::default(),
    };
    let check = MessagingCheck::new(world.net(), kind).with_access_points(vec![ALIVE, DEAD]);
    check.run(job).await
}

/// Returns the steps at a layer that are about a host.
fn about<'a>(outcome: &'a Outcome, layer: Layer, host: &str) -> Vec<&'a Observation> {
    let is_about = |step: &&Observation| match &step.fact {
        Fact::Dns(answer) => answer.hostname == host,
        Fact::Endpoint(endpoint) => endpoint.name.starts_with(&format!("{host}:")),
        Fact::Tls(fact) => fact.server_name == host,
        Fact::Http(fact) => fact.url.contains(&format!("//{host}")),
        _ => false,
    };
    outcome.observations.iter().filter(|step| step.layer == layer).filter(is_about).collect()
}

#[tokio::test]
async fn telegrams_access_points_are_tried_each_and_by_their_addresses() {
    let world = World::new().await;
    world.name("web.telegram.org", SITE);
    world.https(SITE, "web.telegram.org", page("Telegram")).await;
    let posts = world.http(&ALIVE.to_string(), page("")).await;
    let outcome = check(&world, CheckKind::Telegram, "https://web.telegram.org/").await.expect("it ran");
    let answers = about(&outcome, Layer::Http, "127.0.0.21");
    assert_eq!(answers.len(), 1, "port 443 is closed there");
    assert_eq!(answers[0].failure, None);
    assert_eq!(posts.load(std::sync::atomic::Ordering::Relaxed), 1);
    let dead = about(&outcome, Layer::Tcp, "127.0.0.22");
    assert_eq!(dead.len(), 2);
    assert!(dead.iter().all(|step| step.failure == Some(Failure::ConnectionRefused)), "{dead:?}");
    assert!(about(&outcome, Layer::Http, "web.telegram.org")[0].failure.is_none());
}

#[tokio::test]
async fn signals_own_authority_is_a_fact_and_no_failure() {
    let world = World::new().await;
    for name in ["chat.signal.org", "storage.signal.org", "cdsi.signal.org", "sfu.voip.signal.org"] {
        world.name(name, "127.0.0.23");
    }
    world.https_with("127.0.0.23", "chat.signal.org", Certificate::SelfSigned, page("")).await;
    let outcome = check(&world, CheckKind::Signal, "https://signal.org/").await.expect("it ran");
    let own = about(&outcome, Layer::Tls, "chat.signal.org");
    let Fact::Tls(fact) = &own[0].fact else { panic!("a handshake") };
    assert_eq!((own[0].failure.clone(), fact.certificate_sha256.len()), (None, 64));
    assert!(!fact.certificate_issuer.is_empty());
    assert_eq!(about(&outcome, Layer::Dns, "signal.org")[0].failure, Some(Failure::DnsNxdomain));
}

#[tokio::test]
async fn whatsapps_names_are_tried_at_both_ports_and_its_registration_is_asked() {
    let world = World::new().await;
    (1..=16).for_each(|number| world.name(&format!("e{number}.whatsapp.net"), SITE));
    world.name("v.whatsapp.net", SITE);
    world.https(SITE, "v.whatsapp.net", page("")).await;
    let outcome = check(&world, CheckKind::Whatsapp, "https://web.whatsapp.com/").await.expect("it ran");
    let connected: Vec<&Observation> = outcome
        .observations
        .iter()
        .filter(|step| matches!(&step.fact, Fact::Endpoint(point) if point.name.starts_with('e')))
        .collect();
    assert_eq!(connected.len(), 8, "four names, two ports");
    assert_eq!(connected.iter().filter(|step| step.failure.is_none()).count(), 4, "this network has no 5222");
    let asked = about(&outcome, Layer::Http, "v.whatsapp.net");
    let Fact::Http(fact) = &asked[0].fact else { panic!("a page") };
    assert_eq!((fact.url.as_str(), fact.status), ("https://v.whatsapp.net/v2/register", 200));
}

#[tokio::test]
async fn messengers_stun_host_is_only_resolved() {
    let world = World::new().await;
    world.name("stun.fbsbx.com", SITE);
    world.name("edge-mqtt.facebook.com", "192.168.7.222");
    let outcome = check(&world, CheckKind::Messenger, "https://www.messenger.com/").await.expect("it ran");
    assert_eq!(about(&outcome, Layer::Dns, "stun.fbsbx.com")[0].failure, None);
    assert!(about(&outcome, Layer::Tcp, "stun.fbsbx.com").is_empty());
    let poisoned = about(&outcome, Layer::Dns, "edge-mqtt.facebook.com");
    assert_eq!(poisoned[0].failure, Some(Failure::DnsBogon), "an address of a home is never connected to");
    assert!(about(&outcome, Layer::Tcp, "edge-mqtt.facebook.com").is_empty());
}

#[tokio::test]
async fn a_target_without_tls_is_no_services_page() {
    let world = World::new().await;
    let refused = check(&world, CheckKind::Signal, "http://signal.org/").await;
    assert_eq!(refused, Err(NotRun::NotApplicable));
}
