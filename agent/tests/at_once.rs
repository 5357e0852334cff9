//! Many targets at once: those that are silent delay no other.

mod support;

use faultline_agent::checks::{Checks, WebCheck};
use faultline_agent::net::Deadlines;
use faultline_agent::runner::{MOST_AT_ONCE, raise_file_limit};
use faultline_model::CheckKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::coordinator::{Coordinator, Joined, entry_due_soon};
use support::eventually;
use support::site::{Behaviour, Certificate, page};
use support::world::{SITE, World};

const SILENT: &str = "127.0.0.9";

#[tokio::test]
async fn a_hundred_and_ninety_nine_silent_targets_delay_no_other() {
    raise_file_limit();
    let world = World::new().await;
    let hang = world.https_with(SILENT, "silent.test", Certificate::Good, Behaviour::Hang).await;
    world.https(SITE, "answers.test", page("<title>here</title>")).await;
    world.name("answers.test", SITE);
    let silent: Vec<String> = (1..MOST_AT_ONCE).map(|number| format!("t{number}.test")).collect();
    silent.iter().for_each(|host| world.name(host, SILENT));
    // None of them is given up before the end of the test.
    let minute = Duration::from_secs(60);
    let net = world.net_with(Deadlines { tls: minute, ..Deadlines::default() });
    let checks = Checks::from([(CheckKind::Web, Arc::new(WebCheck::new(net)) as _)]);

    let coordinator = Coordinator::start().await;
    let joined = Joined::standing_as(&coordinator, true).await;
    let running = joined.run(checks);
    let urls: Vec<String> = silent.iter().map(|host| format!("https://{host}/")).collect();
    let all: Vec<&str> = urls.iter().map(String::as_str).chain(["https://answers.test/"]).collect();
    coordinator.send_list(coordinator.sign(&coordinator.list(1, &all, vec![]))).await;
    eventually("the list", || async { running.agent.report().await.held.list_version == 1 }).await;
    let due = |urls: &[&str]| urls.iter().map(|url| entry_due_soon(url, 60_000)).collect();
    coordinator.send_schedule(1, due(&all[..silent.len()])).await;
    eventually("all of them wait", || async { hang.load(Ordering::SeqCst) == silent.len() }).await;
    coordinator.send_schedule(2, due(&all)).await;
    eventually("the one that answers", || async { coordinator.seen.count() > 0 }).await;

    let targets: Vec<String> = coordinator.seen.measurements().into_iter().map(|one| one.target).collect();
    assert_eq!(targets, ["https://answers.test/"], "all others still wait for their hello's answer");
    running.stop().await;
}
