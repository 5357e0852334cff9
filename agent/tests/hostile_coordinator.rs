//! A seized coordinator can lie; it cannot command. Nothing is carried out that the operators' list does not allow.

mod support;

use faultline_agent::checks::known;
use faultline_model::Limits;
use faultline_proto::agent as wire;
use faultline_proto::agent::watch_schedule_response::Message as ToAgent;
use faultline_runtime::OperatorKey;
use std::sync::atomic::Ordering;
use support::coordinator::{Coordinator, Joined, Running, entry_due_soon, signed_by};
use support::eventually;
use support::site::{Visits, page};
use support::world::{SITE, World};

const GOOD: &str = "https://good.test/";
const VICTIM: &str = "https://victim.test/";
const VICTIM_ADDRESS: &str = "127.0.0.9";

/// A world with a listed site, and a victim that no list names.
struct Scene {
    world: World,
    coordinator: Coordinator,
    good: Visits,
    victim: Visits,
    victim_http: Visits,
    joined: Joined,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        world.name("good.test", SITE);
        world.name("victim.test", VICTIM_ADDRESS);
        let good = world.https(SITE, "good.test", page("good")).await;
        let victim = world.https(VICTIM_ADDRESS, "victim.test", page("victim")).await;
        let victim_http = world.http(VICTIM_ADDRESS, page("victim")).await;
        let coordinator = Coordinator::start().await;
        let joined = Joined::to(&coordinator).await;
        Self { world, coordinator, good, victim, victim_http, joined }
    }

    async fn run(&self) -> Running {
        let hellos = || self.coordinator.seen.hellos.lock().expect("no panic").len();
        let before = hellos();
        let running = self.joined.run(known(&self.world.net()));
        eventually("a hello", || async { hellos() > before }).await;
        running
    }

    /// Gives the agent the operators' own list, with the good site alone.
    async fn hand_over_list(&self, running: &Running, version: u64) {
        let list = self.coordinator.list(version, &[GOOD], vec![self.world.resolver()]);
        self.coordinator.send_list(self.coordinator.sign(&list)).await;
        eventually("the list", || async { running.agent.report().await.held.list_version == version }).await;
    }

    /// A confirmation that is allowed comes through after everything that was sent before it.
    async fn prove_still_alive(&self) {
        let before = self.coordinator.seen.count();
        self.coordinator.confirm("alive", GOOD).await;
        eventually("the proof of life", || async { self.coordinator.seen.count() > before }).await;
    }

    fn victim_visits(&self) -> usize {
        self.victim.load(Ordering::SeqCst) + self.victim_http.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn without_a_list_of_the_operators_nothing_is_done() {
    let scene = Scene::new().await;
    let running = scene.run().await;
    let list = scene.coordinator.list(1, &[GOOD, VICTIM], vec![]);
    let mut unsigned = scene.coordinator.sign(&list);
    unsigned.signatures.clear();
    scene.coordinator.send_list(unsigned).await;
    let stranger = OperatorKey::generate().expect("a key");
    scene.coordinator.send_list(signed_by(&stranger, &list)).await;
    let mut altered = scene.coordinator.sign(&list);
    altered.document[30] ^= 1;
    scene.coordinator.send_list(altered).await;
    let huge = wire::SignedList { document: vec![b' '; (1 << 20) + 1], signatures: vec![] };
    scene.coordinator.send(ToAgent::List(huge)).await;
    scene
        .coordinator
        .send_schedule(1, vec![entry_due_soon(GOOD, 60_000), entry_due_soon(VICTIM, 60_000)])
        .await;
    scene.coordinator.confirm("c1", GOOD).await;
    scene.coordinator.confirm("c2", VICTIM).await;
    eventually("four refusals", || async {
        running.refused("list_too_few_signatures").await == 3
            && running.refused("list_malformed").await == 1
            && running.refused("no_list").await == 4
    })
    .await;
    assert_eq!(scene.victim_visits() + scene.good.load(Ordering::SeqCst), 0);
    assert_eq!(scene.coordinator.seen.count(), 0);
    running.stop().await;
}

#[tokio::test]
async fn an_older_a_lapsed_and_a_future_list_are_refused_and_the_held_one_is_kept() {
    let scene = Scene::new().await;
    let running = scene.run().await;
    scene.hand_over_list(&running, 7).await;
    let day = std::time::Duration::from_secs(86_400);
    for (version, shift, reason) in [
        (6, 0_i32, "list_rollback"),
        (7, 0, "list_rollback"),
        (8, -3, "list_expired"),
        (9, 5, "list_future_dated"),
    ] {
        let mut list = scene.coordinator.list(version, &[VICTIM], vec![]);
        let moved = |at: faultline_model::Timestamp| {
            if shift < 0 { at - day * 3 } else { at + day * shift.unsigned_abs() }
        };
        (list.issued_at, list.expires_at) = (moved(list.issued_at), moved(list.expires_at));
        scene.coordinator.send_list(scene.coordinator.sign(&list)).await;
        eventually(reason, || async { running.refused(reason).await > 0 }).await;
    }
    assert_eq!(running.refused("list_rollback").await, 2);
    scene.coordinator.confirm("c", VICTIM).await;
    scene.prove_still_alive().await;
    assert_eq!(running.agent.report().await.held.list_version, 7);
    assert_eq!(scene.victim_visits(), 0);
    running.stop().await;
    // Nor does a restart bring the older list back.
    let running = scene.run().await;
    eventually("the list from disk", || async { running.agent.report().await.held.list_version == 7 }).await;
    running.stop().await;
}

#[tokio::test]
async fn tasks_outside_of_the_list_are_refused_and_no_connection_reaches_a_victim() {
    let scene = Scene::new().await;
    let running = scene.run().await;
    scene.hand_over_list(&running, 1).await;
    let entries = [
        VICTIM,
        "http://victim.test/",
        "https://victim.test/search?q=1",
        "https://good.test/other",
        "https://127.0.0.9/",
        "https://192.168.1.1/",
        "http://[::1]/",
        "https://victim.test:22/",
        "file:///etc/passwd",
        "",
    ];
    let schedule: Vec<_> = entries.iter().map(|url| entry_due_soon(url, 60_000)).collect();
    let mut scan = entry_due_soon(GOOD, 60_000);
    scan.check = "scan".into();
    scene.coordinator.send_schedule(1, [schedule, vec![scan]].concat()).await;
    for (number, url) in entries.iter().enumerate() {
        scene.coordinator.confirm(&format!("v{number}"), url).await;
    }
    scene.coordinator.confirm("", GOOD).await;
    scene.prove_still_alive().await;
    eventually("all refused", || async {
        running.refused("not_in_list").await == 8 && running.refused("malformed").await == 6 * 2 + 2
    })
    .await;
    assert_eq!(scene.victim_visits(), 0);
    assert_eq!(scene.good.load(Ordering::SeqCst), 1, "the proof of life and nothing else");
    assert_eq!(running.agent.report().await.held.entries, 0);
    running.stop().await;
}

#[tokio::test]
async fn of_a_hundred_confirmations_of_one_target_two_are_carried_out() {
    let scene = Scene::new().await;
    let running = scene.run().await;
    scene.hand_over_list(&running, 1).await;
    for number in 0..100 {
        scene.coordinator.confirm(&format!("flood{number}"), GOOD).await;
    }
    eventually("an end of the flood", || async {
        let report = running.agent.report().await;
        report.since_start.confirmations + report.since_start.refused.values().sum::<u64>() == 100
    })
    .await;
    eventually("both results", || async { scene.coordinator.seen.count() == 2 }).await;
    assert_eq!(scene.good.load(Ordering::SeqCst), 2);
    let tokens =
        scene.coordinator.seen.measurements().iter().filter(|m| m.token.starts_with("flood")).count();
    assert_eq!(tokens, 2, "each result names the request that it answers");
    running.stop().await;
    // A restart is no way around it.
    let running = scene.run().await;
    scene.coordinator.confirm("again", GOOD).await;
    eventually("a refusal", || async { running.refused("confirmations_per_target").await == 1 }).await;
    assert_eq!(scene.good.load(Ordering::SeqCst), 2);
    running.stop().await;
}

#[tokio::test]
async fn a_schedule_asked_for_too_often_is_run_no_more_often_than_the_list_allows() {
    let scene = Scene::new().await;
    let running = scene.run().await;
    scene.hand_over_list(&running, 1).await;
    let entry = entry_due_soon(GOOD, 1);
    for generation in 1..=50 {
        scene.coordinator.send_schedule(generation, vec![entry.clone(), entry.clone()]).await;
    }
    eventually("the run", || async { scene.good.load(Ordering::SeqCst) > 0 }).await;
    for generation in 51..=100 {
        let entry = entry_due_soon(GOOD, 1);
        scene.coordinator.send_schedule(generation, vec![entry]).await;
    }
    eventually("the last schedule", || async { running.agent.report().await.held.generation == 100 }).await;
    scene.prove_still_alive().await;
    let report = running.agent.report().await;
    assert_eq!((report.since_start.routine, report.since_start.confirmations), (1, 1));
    assert_eq!(report.since_start.refused.get("period_too_short"), Some(&100));
    assert_eq!(report.since_start.refused.get("duplicate_entry"), Some(&50));
    running.stop().await;
    let running = scene.run().await;
    scene.coordinator.send_schedule(101, vec![entry_due_soon(GOOD, 1)]).await;
    eventually("the schedule", || async { running.agent.report().await.held.generation == 101 }).await;
    assert_eq!(
        running.agent.report().await.since_start.routine,
        0,
        "killing and starting it refills nothing"
    );
    running.stop().await;
}

#[tokio::test]
async fn a_listed_name_that_is_pointed_into_a_home_is_not_connected_to() {
    let scene = Scene::new().await;
    let running = scene.run().await;
    scene.hand_over_list(&running, 1).await;
    scene.world.system.point("good.test", "192.168.1.1");
    scene.coordinator.confirm("home", GOOD).await;
    eventually("the fact", || async { scene.coordinator.seen.count() == 1 }).await;
    let measurement = scene.coordinator.seen.measurements().remove(0);
    assert_eq!(measurement.observations[0].failure, "dns_bogon_error");
    assert!(measurement.observations.iter().all(|step| step.layer == i32::from(wire::Layer::Dns)));
    running.stop().await;
}

#[tokio::test]
async fn a_signed_list_may_allow_less_but_never_more_than_the_agents_own_terms() {
    let scene = Scene::new().await;
    let running = scene.run().await;
    let mut list = scene.coordinator.list(1, &[GOOD], vec![]);
    list.limits = Limits { confirmations_per_target: 0, ..Limits::default() };
    scene.coordinator.send_list(scene.coordinator.sign(&list)).await;
    scene.coordinator.confirm("c", GOOD).await;
    eventually("a refusal", || async { running.refused("confirmations_per_target").await == 1 }).await;
    let mut list = scene.coordinator.list(2, &[GOOD], vec![]);
    list.limits = Limits { confirmations_per_target: 1000, ..Limits::default() };
    scene.coordinator.send_list(scene.coordinator.sign(&list)).await;
    eventually("a refusal", || async { running.refused("list_malformed").await == 1 }).await;
    assert_eq!(scene.good.load(Ordering::SeqCst), 0);
    running.stop().await;
}
