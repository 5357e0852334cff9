//! The volunteer's terms stand above every list and every coordinator.

mod support;

use faultline_agent::checks::known;
use faultline_agent::policy::Terms;
use faultline_model::{Category, CheckKind, RiskTier, TaskList};
use faultline_proto::agent as wire;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::Ordering;
use support::coordinator::{Coordinator, Joined, Running, entry_due_soon};
use support::eventually;
use support::site::{Visits, page};
use support::world::{SITE, World};

const GOOD: &str = "https://good.test/";
const RISKY: &str = "https://risky.test/";
const RISKY_ADDRESS: &str = "127.0.0.9";

struct Scene {
    world: World,
    coordinator: Coordinator,
    risky: Visits,
    joined: Joined,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        world.name("good.test", SITE);
        world.name("risky.test", RISKY_ADDRESS);
        world.https(SITE, "good.test", page("good")).await;
        let risky = world.https(RISKY_ADDRESS, "risky.test", page("risky")).await;
        let coordinator = Coordinator::start().await;
        let joined = Joined::to(&coordinator).await;
        Self { world, coordinator, risky, joined }
    }

    fn list(&self, version: u64) -> TaskList {
        let mut list = self.coordinator.list(version, &[GOOD, RISKY], vec![]);
        list.risk.insert("PK".parse().expect("a code"), RiskTier::High);
        list.targets[1].category = Category::new("REL").expect("a category");
        list
    }

    /// What the newest hello says is not measured.
    fn last_unmeasured(&self) -> Vec<String> {
        let hellos = self.coordinator.seen.hellos.lock().expect("no panic");
        hellos.last().map(|hello| hello.unmeasured_categories.clone()).unwrap_or_default()
    }

    async fn run(&self, terms: &str) -> Running {
        self.joined.home.save_terms(&Terms::parse(terms).expect("terms")).expect("saved");
        let hellos = || self.coordinator.seen.hellos.lock().expect("no panic").len();
        let before = hellos();
        let running = self.joined.run(known(&self.world.net()));
        eventually("a hello", || async { hellos() > before }).await;
        let list = self.list(1);
        self.coordinator.send_list(self.coordinator.sign(&list)).await;
        eventually("the list", || async { running.agent.report().await.held.list_version == 1 }).await;
        let unmeasured = running.agent.policy().unmeasured_categories();
        let wanted: Vec<String> = unmeasured.iter().map(ToString::to_string).collect();
        eventually("a hello that says so", || async { self.last_unmeasured() == wanted }).await;
        running
    }
}

#[tokio::test]
async fn a_hello_says_which_categories_of_the_list_are_not_measured_and_not_why() {
    let scene = Scene::new().await;
    let running = scene.run("").await;
    assert_eq!(scene.last_unmeasured(), ["REL"], "nobody agreed to it");
    running.stop().await;
    let running = scene.run("refuse_categories = [\"REL\", \"PORN\"]").await;
    assert_eq!(scene.last_unmeasured(), ["REL"], "nothing is said of what the list does not have");
    running.stop().await;
    let running = scene.run("allow_categories = [\"REL\"]").await;
    assert_eq!(scene.last_unmeasured(), Vec::<String>::new());
    running.stop().await;
}

#[tokio::test]
async fn a_signed_list_and_a_coordinator_cannot_exceed_the_terms() {
    let scene = Scene::new().await;
    let running = scene.run("").await;
    scene
        .coordinator
        .send_schedule(1, vec![entry_due_soon(GOOD, 60_000), entry_due_soon(RISKY, 60_000)])
        .await;
    scene.coordinator.confirm("c1", RISKY).await;
    scene.coordinator.confirm("c2", GOOD).await;
    eventually("the allowed one", || async { scene.coordinator.seen.count() > 0 }).await;
    assert_eq!(
        running.refused("category_needs_opt_in").await,
        2,
        "the schedule's entry and the confirmation"
    );
    assert_eq!(running.agent.report().await.held.entries, 1);
    assert_eq!(scene.risky.load(Ordering::SeqCst), 0, "no connection was opened");
    running.stop().await;
}

#[tokio::test]
async fn an_opt_in_takes_effect_on_a_running_agent() {
    let scene = Scene::new().await;
    let running = scene.run("").await;
    scene.coordinator.send_schedule(1, vec![entry_due_soon(RISKY, 60_000)]).await;
    eventually("the refusal", || async { running.refused("category_needs_opt_in").await == 1 }).await;
    let terms = Terms::parse("allow_categories = [\"REL\"]").expect("terms");
    scene.joined.home.save_terms(&terms).expect("saved");
    eventually("the new terms", || async { running.agent.report().await.held.entries == 1 }).await;
    running.stop().await;
}

#[tokio::test]
async fn terms_that_cannot_be_read_leave_those_in_force_and_are_shown() {
    let scene = Scene::new().await;
    let running = scene.run("refuse_hosts = [\"risky.test\"]").await;
    let file = scene.joined.home.dir().join("terms.toml");
    std::fs::write(&file, "refuse_hosts = 3").expect("written");
    let error = || async { running.agent.report().await.terms.error };
    eventually("the error", || async { error().await.is_some() }).await;
    assert!(error().await.is_some_and(|text| text.contains("refuse_hosts")));
    scene.coordinator.confirm("c1", RISKY).await;
    eventually("the refusal", || async { running.refused("host_refused").await == 1 }).await;
    running.stop().await;
}

#[tokio::test]
async fn quiet_hours_still_everything_and_say_so() {
    let scene = Scene::new().await;
    let running = scene.run("quiet_hours = [\"00:00-24:00\"]").await;
    scene.coordinator.confirm("c1", GOOD).await;
    eventually("the refusal", || async { running.refused("quiet_hours").await == 1 }).await;
    assert_eq!(running.agent.report().await.terms.is_still.as_deref(), Some("quiet_hours"));
    assert_eq!(scene.coordinator.seen.count(), 0);
    running.stop().await;
}

#[tokio::test]
async fn the_budget_of_the_terms_is_announced() {
    let scene = Scene::new().await;
    let running = scene.run("budget = \"small\"").await;
    let hello = scene.coordinator.seen.hellos.lock().expect("no panic")[0].clone();
    assert_eq!(hello.budget, i32::from(wire::BudgetClass::Small));
    assert!(hello.check_kinds.contains(&CheckKind::Web.to_string()));
    running.stop().await;
}

async fn program(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faultline-agent"));
    command.arg("--home").arg(home).args(arguments).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().expect("it ran")).await.expect("no panic")
}

#[tokio::test]
async fn the_program_shows_sets_and_explains_the_terms() {
    let scene = Scene::new().await;
    let home = scene.joined.home.dir();
    let asked = program(home, &["terms", "set", "allow_categories", "REL"]).await;
    assert_eq!(asked.status.code(), Some(2), "nobody agreed");
    assert!(String::from_utf8_lossy(&asked.stdout).contains("blasphemy"), "what it can cost is said");
    assert!(!home.join("terms.toml").exists());
    let agreed = program(home, &["terms", "set", "allow_categories", "REL", "--understood"]).await;
    assert!(agreed.status.success());
    let shown = program(home, &["terms", "--json"]).await;
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(shown["terms"]["allow_categories"][0], "REL");
    let of = |code: &str| {
        shown["opt_ins"].as_array().and_then(|all| all.iter().find(|o| o["code"] == code).cloned())
    };
    assert_eq!(of("REL").map(|o| o["is_allowed"].clone()), Some(Value::Bool(true)));
    assert_eq!(of("tor").map(|o| o["is_allowed"].clone()), Some(Value::Bool(false)));
    let wrong = program(home, &["terms", "set", "quiet_hours", "late"]).await;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("quiet_hours"));
    std::fs::write(home.join("terms.toml"), "metered = 7\n").expect("written");
    let refused = program(home, &["run"]).await;
    assert_eq!(refused.status.code(), Some(78), "bad terms stop the start");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("metered"));
}
