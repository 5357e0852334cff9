//! The vantage point's own line: up, down, or a captive portal's, which is told from a block before anything is kept.

mod support;

use faultline_agent::checks::{Check, Diagnosis, Job, Selfcheck, known};
use faultline_agent::net::Net;
use faultline_model::{
    Category, CheckKind, Depth, Fact, Ipv6, LineFact, LineFilter, LineProbes, SeenResolver, Target,
};
use faultline_proto::agent::observation::Fact::Line;
use faultline_runtime::now;
use std::sync::Arc;

use support::coordinator::{Coordinator, Joined};
use support::eventually;
use support::site::{Behaviour, Certificate, page};
use support::world::{SITE, World};

const CANARY: &str = "https://canary.test/";
const CANARY_ADDRESS: &str = "127.0.0.8";
const GOOD: &str = "https://good.test/";
const WHOAMI: &str = "https://whoami.test/";
const FILTERED: &str = "https://filtered.test/";

fn answer(head: &str) -> Behaviour {
    Behaviour::Raw(format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n").into())
}

/// A canary as it is.
async fn with_canary(world: &World) {
    world.name("canary.test", CANARY_ADDRESS);
    world.https(CANARY_ADDRESS, "canary.test", page("canary")).await;
    let date = "301 Moved\r\nLocation: https://canary.test/\r\nDate: Sat, 20 Jan 2024 13:00:00 GMT";
    world.http(CANARY_ADDRESS, answer(date)).await;
}

/// A portal in the place of the canary and of the site.
async fn with_portal(world: &World) {
    for (name, address) in [("canary.test", CANARY_ADDRESS), ("good.test", SITE)] {
        world.name(name, address);
        world.https_with(address, "login.hotel.test", Certificate::SelfSigned, page("log in")).await;
        world.http(address, answer("302 Found\r\nLocation: http://login.hotel.test/")).await;
    }
}

async fn look(world: &World) -> LineFact {
    look_over(world.net(), LineProbes::default()).await
}

async fn look_over(net: Arc<Net>, line: LineProbes) -> LineFact {
    let target = Target::new(CANARY).expect("a target");
    let diagnosis = Diagnosis { line, ..Diagnosis::default() };
    let job = Job { target, depth: Depth::Light, resolver: None, control: None, diagnosis };
    let outcome = Selfcheck::new(net).run(job).await.expect("it ran");
    assert!(outcome.bytes < CheckKind::Selfcheck.expected_bytes(Depth::Light), "{} bytes", outcome.bytes);
    let line = outcome.observations.into_iter().find_map(|step| match step.fact {
        Fact::Line(line) => Some(line),
        _ => None,
    });
    line.expect("a line")
}

#[tokio::test]
async fn a_canary_that_proves_itself_means_that_the_line_is_up_and_tells_the_time() {
    let world = World::new().await;
    with_canary(&world).await;
    let line = look(&world).await;
    assert!(line.is_up && !line.is_portal);
    let ahead = now().unix_ms() - 1_705_755_600_000;
    assert!(line.clock_offset_ms.is_some_and(|offset| (offset - ahead).abs() < 60_000), "{line:?}");
    assert_ne!(line.ipv6, Ipv6::Broken, "nothing is said of what was not tried");
}

#[tokio::test]
async fn somebody_else_in_the_canarys_place_is_a_portal() {
    let world = World::new().await;
    with_portal(&world).await;
    let line = look(&world).await;
    assert!(line.is_portal && !line.is_up);
}

#[tokio::test]
async fn silence_is_a_line_that_is_down_and_no_portal() {
    let world = World::new().await;
    let line = look(&world).await;
    assert!(!line.is_up && !line.is_portal, "the name does not exist");
    world.name("canary.test", CANARY_ADDRESS);
    let line = look(&world).await;
    assert!(!line.is_up && !line.is_portal, "nobody listens");
}

#[tokio::test]
async fn the_resolver_that_the_outside_sees_is_told_by_its_network_and_never_where_it_may_be_her_own() {
    let world = World::new().await;
    with_canary(&world).await;
    let whoami = || LineProbes { whoami: Target::new(WHOAMI).ok(), ..LineProbes::default() };
    let seen_by = async |address: &str, own: Option<&str>| {
        world.name("whoami.test", address);
        let net = world.net();
        own.into_iter().for_each(|own| net.own().seen_as(own.parse().expect("an address")));
        look_over(net, whoami()).await.resolver
    };
    let network = "203.82.48.0/24".parse().expect("a network");
    let told = SeenResolver::In { network, asn: None };
    assert_eq!(seen_by("203.82.48.77", Some("39.32.7.209")).await, told, "never the address");
    assert_eq!(seen_by("39.32.7.209", Some("39.32.7.209")).await, SeenResolver::Masked, "her own resolver");
    assert_eq!(seen_by("39.32.7.8", Some("39.32.7.209")).await, SeenResolver::Masked, "a neighbour's");
    assert_eq!(
        seen_by("203.82.48.77", None).await,
        SeenResolver::Masked,
        "nobody said which address is hers"
    );
    assert_eq!(seen_by("192.168.1.1", Some("39.32.7.209")).await, SeenResolver::Untold, "nonsense");
    assert_eq!(look(&world).await.resolver, SeenResolver::Untold, "no list names anybody to ask");
}

#[tokio::test]
async fn what_only_a_subscribers_filter_hides_tells_whether_there_is_one() {
    let world = World::new().await;
    with_canary(&world).await;
    let probes = || LineProbes { filter_canary: Target::new(FILTERED).ok(), ..LineProbes::default() };
    let filter = async || look_over(world.net(), probes()).await.filter;
    assert_eq!(filter().await, LineFilter::Present, "the name is denied");
    world.name("filtered.test", "10.0.0.1");
    assert_eq!(filter().await, LineFilter::Present, "it leads to no public host");
    world.name("filtered.test", "127.0.0.11");
    assert_eq!(filter().await, LineFilter::Untold, "a refusal can be anybody's");
    world.https("127.0.0.11", "filtered.test", page("here")).await;
    assert_eq!(filter().await, LineFilter::Absent);
    world.name("filtered.test", "127.0.0.12");
    world.https_with("127.0.0.12", "safeweb.test", Certificate::SelfSigned, page("blocked")).await;
    assert_eq!(filter().await, LineFilter::Present, "somebody else answers");
    assert_eq!(look(&world).await.filter, LineFilter::Untold, "no list names anything");
}

#[tokio::test]
async fn what_failed_behind_a_subscribers_filter_is_sent_with_that_fact() {
    let world = World::new().await;
    with_canary(&world).await;
    let scene = Scene::new().await;
    let line = LineProbes { filter_canary: Target::new(FILTERED).ok(), ..LineProbes::default() };
    let running = scene.confirm_with(&world, line).await;
    eventually("both", || async { scene.kinds() == ["selfcheck", "web"] }).await;
    let web = scene.coordinator.seen.measurements().into_iter().find(|one| one.check == "web");
    let facts = web.expect("the measurement").observations.into_iter().filter_map(|step| step.fact);
    let filters: Vec<String> =
        facts.filter_map(|fact| if let Line(line) = fact { Some(line.filter) } else { None }).collect();
    assert_eq!(filters, ["present"], "the name is denied like the filter's own, and nobody can tell why");
    running.stop().await;
}

struct Scene {
    coordinator: Coordinator,
    joined: Joined,
}

impl Scene {
    async fn new() -> Self {
        let coordinator = Coordinator::start().await;
        let joined = Joined::to(&coordinator).await;
        Self { coordinator, joined }
    }

    async fn confirm(&self, world: &World) -> support::coordinator::Running {
        self.confirm_with(world, LineProbes::default()).await
    }

    async fn confirm_with(&self, world: &World, line: LineProbes) -> support::coordinator::Running {
        let running = self.joined.run(known(&world.net()));
        eventually("the greeting", || async { running.agent.report().await.connection.is_open }).await;
        let mut list = self.coordinator.list(1, &[GOOD, CANARY], vec![]);
        list.targets[1].category = Category::canary();
        list.line = line;
        self.coordinator.send_list(self.coordinator.sign(&list)).await;
        eventually("the list", || async { running.agent.report().await.held.list_version == 1 }).await;
        self.coordinator.confirm("c1", GOOD).await;
        running
    }

    fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> =
            self.coordinator.seen.measurements().into_iter().map(|m| m.check).collect();
        kinds.sort();
        kinds
    }
}

#[tokio::test]
async fn behind_a_portal_results_are_withheld_and_only_the_selfcheck_is_sent() {
    let world = World::new().await;
    with_portal(&world).await;
    let scene = Scene::new().await;
    let running = scene.confirm(&world).await;
    let not_run = || async { running.agent.report().await.since_start.not_run };
    eventually("the withheld result", || async { not_run().await.get("portal") == Some(&1) }).await;
    eventually("the selfcheck", || async { scene.kinds() == ["selfcheck"] }).await;
    running.stop().await;
}

#[tokio::test]
async fn a_block_on_a_line_that_works_is_sent_beside_the_selfcheck() {
    let world = World::new().await;
    with_canary(&world).await;
    world.name("good.test", SITE);
    world.https(SITE, "good.test", Behaviour::Reset).await;
    let scene = Scene::new().await;
    let running = scene.confirm(&world).await;
    eventually("both", || async { scene.kinds() == ["selfcheck", "web"] }).await;
    running.stop().await;
}

#[tokio::test]
async fn a_selfcheck_speaks_to_nobody_but_canaries_of_the_list() {
    let world = World::new().await;
    world.name("canary.test", CANARY_ADDRESS);
    let canary = world.https(CANARY_ADDRESS, "canary.test", page("canary")).await;
    world.name("good.test", SITE);
    world.https(SITE, "good.test", Behaviour::Reset).await;
    let scene = Scene::new().await;
    let running = scene.joined.run(known(&world.net()));
    let list = scene.coordinator.list(1, &[GOOD, CANARY], vec![]);
    scene.coordinator.send_list(scene.coordinator.sign(&list)).await;
    eventually("the list", || async { running.agent.report().await.held.list_version == 1 }).await;
    scene.coordinator.confirm("c1", GOOD).await;
    eventually("the measurement", || async { scene.kinds() == ["web"] }).await;
    assert_eq!(
        canary.load(std::sync::atomic::Ordering::SeqCst),
        0,
        "a target that is no canary is left alone"
    );

    running.stop().await;
}
