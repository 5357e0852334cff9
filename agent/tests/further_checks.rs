//! `quic` and `throughput` as an agent is asked for them: within the signed list, and no further.

mod support;

use faultline_agent::checks::known;
use faultline_model::{CheckKind, Engine, Fact, Layer, Target};
use faultline_proto::agent as wire;
use faultline_proto::agent::watch_schedule_response::Message as ToAgent;
use faultline_proto::convert::measurement_from_wire;
use std::sync::atomic::Ordering;
use support::coordinator::{Coordinator, Joined, Running, entry_due_soon};
use support::eventually;
use support::paced::{Pace, Served};
use support::quic::Http3;
use support::site::{Certificate, Visits, page};
use support::world::{SITE, World};

const GOOD: &str = "https://good.test/";
const CONTROL: &str = "https://canary.test/big";
const CONTROL_ADDRESS: &str = "127.0.0.8";
const VICTIM_ADDRESS: &str = "127.0.0.9";

struct Scene {
    coordinator: Coordinator,
    running: Running,
    control: Served,
    victim: Visits,
    _joined: Joined,
}

/// An agent with a list that allows `checks` of one target.
async fn scene(checks: &[CheckKind]) -> Scene {
    let world = World::new().await;
    for (name, address) in
        [("good.test", SITE), ("canary.test", CONTROL_ADDRESS), ("victim.test", VICTIM_ADDRESS)]
    {
        world.name(name, address);
    }
    world.https(SITE, "good.test", page(&"x".repeat(100_000))).await;
    world.http3(SITE, "good.test", Certificate::Good, Http3::Page(100)).await;
    let control = world.paced(CONTROL_ADDRESS, "canary.test", Pace::ENDLESS).await;
    let victim = world.http3(VICTIM_ADDRESS, "victim.test", Certificate::Good, Http3::Page(1)).await;
    let coordinator = Coordinator::start().await;
    let joined = Joined::to(&coordinator).await;
    let running = joined.run(known(&world.net()));
    let mut list = coordinator.list(1, &[GOOD], vec![world.resolver()]);
    list.targets[0].checks = checks.to_vec();
    list.throughput_control = Some(Target::new(CONTROL).expect("a target"));
    coordinator.send_list(coordinator.sign(&list)).await;
    eventually("the list", || async { running.agent.report().await.held.list_version == 1 }).await;
    Scene { coordinator, running, control, victim, _joined: joined }
}

impl Scene {
    async fn confirm(&self, check: &str, token: &str, target: &str) {
        let confirmation = wire::Confirmation {
            token: token.into(),
            check: check.into(),
            target: target.into(),
            depth: wire::Depth::Light.into(),
            valid_for_ms: 60_000,
        };
        self.coordinator.send(ToAgent::Confirmation(confirmation)).await;
    }

    async fn first_measurement(&self) -> faultline_model::Measurement {
        eventually("a measurement", || async { self.coordinator.seen.count() > 0 }).await;
        let message = self.coordinator.seen.measurements().remove(0);
        measurement_from_wire(message).expect("a measurement")
    }
}

#[tokio::test]
async fn an_agent_announces_all_its_checks() {
    let scene = scene(&[CheckKind::Web]).await;
    let hello = scene.coordinator.seen.hellos.lock().expect("no panic")[0].clone();
    assert_eq!(
        hello.check_kinds,
        ["web", "quic", "throughput", "path", "whatsapp", "telegram", "signal", "messenger"]
    );
    scene.running.stop().await;
}

#[tokio::test]
async fn a_confirmation_by_quic_is_answered_with_its_token() {
    let scene = scene(&[CheckKind::Web, CheckKind::Quic]).await;
    scene.confirm("quic", "c1", GOOD).await;
    let measurement = scene.first_measurement().await;
    assert_eq!(measurement.check, CheckKind::Quic);
    assert_eq!(measurement.token.map(|token| token.to_string()).as_deref(), Some("c1"));
    let layers: Vec<Layer> = measurement.observations.iter().map(|step| step.layer).collect();
    assert_eq!(layers, [Layer::Dns, Layer::Quic, Layer::Http]);
    scene.running.stop().await;
}

#[tokio::test]
async fn a_schedule_runs_quic_beside_web() {
    let scene = scene(&[CheckKind::Web, CheckKind::Quic]).await;
    let web = entry_due_soon(GOOD, 60_000);
    let quic = wire::ScheduleEntry { check: "quic".into(), ..web.clone() };
    scene.coordinator.send_schedule(1, vec![web, quic]).await;
    eventually("the schedule", || async { scene.running.agent.report().await.held.entries == 2 }).await;
    scene.running.stop().await;
}

#[tokio::test]
async fn a_download_is_compared_with_the_lists_own_control() {
    let scene = scene(&[CheckKind::Throughput]).await;
    scene.confirm("throughput", "c1", GOOD).await;
    let measurement = scene.first_measurement().await;
    let urls: Vec<(Engine, &str)> = measurement
        .observations
        .iter()
        .filter_map(|step| match &step.fact {
            Fact::Throughput(fact) => Some((step.engine, fact.url.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(urls, [(Engine::System, GOOD), (Engine::Control, CONTROL)]);
    assert_eq!(scene.control.visits.load(Ordering::SeqCst), 1);
    scene.running.stop().await;
}

#[tokio::test]
async fn checks_that_the_list_does_not_name_for_a_target_are_refused() {
    let scene = scene(&[CheckKind::Web]).await;
    scene.confirm("quic", "c1", GOOD).await;
    scene.confirm("throughput", "c2", GOOD).await;
    scene.confirm("quic", "c3", "https://victim.test/").await;
    scene.confirm("throughput", "c4", CONTROL).await;
    scene.confirm("scan", "c5", GOOD).await;
    let quic = wire::ScheduleEntry { check: "quic".into(), ..entry_due_soon(GOOD, 60_000) };
    scene.coordinator.send_schedule(1, vec![quic]).await;
    eventually("refusals", || async {
        scene.running.refused("not_in_list").await == 5 && scene.running.refused("malformed").await == 1
    })
    .await;
    assert_eq!(scene.victim.load(Ordering::SeqCst), 0);
    assert_eq!(scene.control.visits.load(Ordering::SeqCst), 0);
    assert_eq!(scene.coordinator.seen.count(), 0);
    scene.running.stop().await;
}
