//! A block page that knows the volunteer: nothing of it reaches the disk or the coordinator.

mod support;

use faultline_agent::checks::known;
use faultline_model::{Fact, HttpFact};
use faultline_proto::convert::measurement_from_wire;
use std::sync::atomic::Ordering;
use support::coordinator::{Coordinator, Joined, SEEN_ADDRESS};
use support::eventually;
use support::site::page;
use support::world::{SITE, World};

const GOOD: &str = "https://good.test/";
/// Base64 of the address that the coordinator sees.
const IN_BASE64: &str = "MzkuMzIuNy4yMDk";

async fn measured(body: &str) -> (HttpFact, Vec<u8>) {
    let world = World::new().await;
    world.name("good.test", SITE);
    world.https(SITE, "good.test", page(body)).await;
    let coordinator = Coordinator::start().await;
    let mut joined = Joined::to(&coordinator).await;
    let net = world.net();
    joined.own = net.own();
    let running = joined.run(known(&net));
    eventually("the greeting", || async { running.agent.report().await.connection.is_open }).await;
    assert_eq!(running.agent.own.scrubber().scrub_text(SEEN_ADDRESS), faultline_agent::scrub::MARK);
    // No answer comes through, so that the measurement stays in the spool.
    coordinator.seen.answers_to_lose.store(1000, Ordering::SeqCst);
    let list = coordinator.list(1, &[GOOD], vec![]);
    coordinator.send_list(coordinator.sign(&list)).await;
    coordinator.confirm("c1", GOOD).await;
    eventually("the spool", || async { running.agent.report().await.spool.waiting == 1 }).await;
    let mut on_disk = Vec::new();
    for entry in std::fs::read_dir(joined.home.spool_dir()).expect("listed").flatten() {
        on_disk.extend(std::fs::read(entry.path()).expect("read"));
    }
    eventually("the measurement", || async { coordinator.seen.count() == 1 }).await;
    let message = coordinator.seen.measurements().remove(0);
    let measurement = measurement_from_wire(message).expect("a measurement");
    let facts = measurement.observations.into_iter().map(|step| step.fact);
    let page = facts.filter_map(|fact| if let Fact::Http(page) = fact { Some(page) } else { None }).next();
    running.stop().await;
    (page.expect("a page"), on_disk)
}

fn holds(bytes: &[u8], planted: &str) -> bool {
    bytes.windows(planted.len()).any(|window| window == planted.as_bytes())
}

#[tokio::test]
async fn a_block_page_that_echoes_the_volunteer_is_scrubbed_before_the_spool() {
    let body =
        format!("<title>{SEEN_ADDRESS} {IN_BASE64} 272007d1 +923001234567 blocked</title>for {SEEN_ADDRESS}");
    let (fact, on_disk) = measured(&body).await;
    assert_eq!(fact.title, "[scrubbed] [scrubbed] [scrubbed] [scrubbed] blocked");
    assert!(holds(&on_disk, "blocked"), "the measurement is there");
    for planted in [SEEN_ADDRESS, IN_BASE64, "272007d1", "923001234567"] {
        assert!(!holds(&on_disk, planted), "{planted} is on disk");
    }
    let scrubbed = body.replace(SEEN_ADDRESS, "[scrubbed]");
    let (without, _) = measured(&scrubbed).await;
    assert_eq!(fact.body_sha256, without.body_sha256, "no address can be tried out on the hash");
}

#[tokio::test]
async fn the_address_at_which_others_see_the_line_is_never_connected_to() {
    let world = World::new().await;
    let net = world.net();
    let peer = std::net::SocketAddr::new([8, 8, 8, 8].into(), 443);
    net.own().seen_as(peer.ip());
    assert!(!net.session().permits(peer, faultline_agent::net::Purpose::Site));
    let other = std::net::SocketAddr::new([8, 8, 4, 4].into(), 443);
    assert!(net.session().permits(other, faultline_agent::net::Purpose::Site));
}
