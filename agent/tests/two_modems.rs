//! A machine with two modems, each with its own provider, that goes from one to the other: with the kernel's own tables, in a
//! network namespace of the test's.

mod support;

use faultline_agent::checks::known;
use faultline_agent::net::Line;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::coordinator::{Coordinator, Joined};
use support::eventually;
use support::site::Behaviour;
use support::world::{SITE, World};

const INSIDE: &str = "FAULTLINE_TEST_INSIDE";
const NAME: &str = "a_measurement_over_which_the_other_sim_took_over_is_discarded";

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip, of iproute2");
    assert!(status.success(), "ip {arguments}");
}

/// Runs the test again in a network of its own.
fn enter() {
    let is_root = std::fs::metadata("/proc/self").expect("proc").uid() == 0;
    let as_user: &[&str] = if is_root { &[] } else { &["--user", "--map-root-user"] };
    let mut command = Command::new("unshare");
    command.args(as_user).args(["--net", "--"]).arg(std::env::current_exe().expect("this program"));
    let status = command.args(["--exact", NAME, "--nocapture"]).env(INSIDE, "1").status().expect("unshare");
    assert!(status.success(), "see above");
}

#[test]
fn a_measurement_over_which_the_other_sim_took_over_is_discarded() {
    if std::env::var_os(INSIDE).is_none() {
        return enter();
    }
    ip("link set lo up");
    for (name, network, metric) in [("wwan0", "10.64.1", 10), ("wwan1", "10.65.1", 20)] {
        ip(&format!("link add {name} type veth peer name {name}far"));
        ip(&format!("link set {name}far up"));
        ip(&format!("addr add {network}.2/24 dev {name}"));
        ip(&format!("link set {name} up"));
        ip(&format!("route add default via {network}.1 dev {name} metric {metric}"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(switch_in_the_middle());
}

async fn switch_in_the_middle() {
    let world = World::new().await;
    world.name("good.test", SITE);
    let visits = world.https(SITE, "good.test", Behaviour::Slow(Duration::from_secs(2))).await;
    let coordinator = Coordinator::start().await;
    let joined = Joined::to(&coordinator).await;
    let running = joined.run_watching(known(&world.net()));
    let list = coordinator.list(1, &["https://good.test/"], vec![]);
    coordinator.send_list(coordinator.sign(&list)).await;
    eventually("the list", || async { running.agent.report().await.held.list_version == 1 }).await;

    let first = Line::read().expect("a way out");
    coordinator.confirm("c1", "https://good.test/").await;
    eventually("a check under way", || async { visits.load(Ordering::SeqCst) == 1 }).await;
    ip("link set wwan0 down");
    let second = Line::read().expect("another way out");

    assert!(second.has_moved_from(&first), "another modem is another network");
    eventually("the discarded result", || async {
        running.agent.report().await.since_start.not_run.get("line_changed") == Some(&1)
    })
    .await;
    assert_eq!(coordinator.seen.count(), 0, "nothing of it is sent");
    running.stop().await;
}
