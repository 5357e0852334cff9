//! Measuring goes on while cut off; what was measured arrives once.

mod support;

use faultline_agent::checks::{Check, Checks, Job, NotRun, Outcome};
use faultline_model::{CheckKind, DnsAnswer, Engine, Fact, Layer, Observation};
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::coordinator::{Coordinator, Joined, Running, entry_due_soon};
use support::eventually;

/// A check that sees one fact, or panics for one target.
#[derive(Default)]
struct Easy {
    runs: AtomicUsize,
}

impl Check for Easy {
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>> {
        Box::pin(async move {
            self.runs.fetch_add(1, Ordering::SeqCst);
            assert!(!job.target.as_str().contains("panic"), "this check breaks");
            let observation = Observation {
                layer: Layer::Dns,
                engine: Engine::System,
                hop: 0,
                peer: None,
                at: Duration::ZERO,
                took: Duration::from_millis(1),
                failure: None,
                fact: Fact::Dns(DnsAnswer { hostname: "x.com".into(), ..DnsAnswer::default() }),
            };
            Ok(Outcome { observations: vec![observation], bytes: 100 })
        })
    }
}

fn checks() -> (Arc<Easy>, Checks) {
    let easy = Arc::new(Easy::default());
    let check: Arc<dyn Check> = easy.clone();
    (easy, Checks::from([(CheckKind::Web, check)]))
}

fn urls(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("https://t{number}.example.com/")).collect()
}

async fn hand_over(coordinator: &Coordinator, running: &Running, version: u64, urls: &[String]) {
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let list = coordinator.list(version, &urls, vec![]);
    coordinator.send_list(coordinator.sign(&list)).await;
    eventually("the list", || async { running.agent.report().await.held.list_version == version }).await;
}

#[tokio::test]
async fn a_lost_answer_leads_to_a_second_try_and_to_one_measurement() {
    let coordinator = Coordinator::start().await;
    let joined = Joined::to(&coordinator).await;
    let running = joined.run(checks().1);
    hand_over(&coordinator, &running, 1, &urls(2)).await;
    coordinator.seen.answers_to_lose.store(2, Ordering::SeqCst);
    coordinator.confirm("c1", "https://t0.example.com/").await;
    eventually("an empty spool", || async {
        let report = running.agent.report().await;
        report.spool.waiting == 0 && report.since_start.uploaded == 1
    })
    .await;
    assert_eq!(coordinator.seen.arrivals.load(Ordering::SeqCst), 3);
    assert_eq!(coordinator.seen.count(), 1);
    running.stop().await;
}

#[tokio::test]
async fn measuring_goes_on_while_cut_off_and_everything_arrives_afterwards_once() {
    let mut coordinator = Coordinator::start().await;
    let joined = Joined::to(&coordinator).await;
    let (easy, checks) = checks();
    let running = joined.run(checks.clone());
    hand_over(&coordinator, &running, 1, &urls(6)).await;
    coordinator.kill().await;
    coordinator.resume().await;
    eventually("a second hello", || async { coordinator.seen.hellos.lock().expect("no panic").len() == 2 })
        .await;
    let hello = coordinator.seen.hellos.lock().expect("no panic")[1].clone();
    assert_eq!((hello.list_version, hello.check_kinds.as_slice()), (1, &["web".to_owned()][..]));
    coordinator.send_schedule(5, vec![entry_due_soon(&urls(1)[0], 3_600_000)]).await;
    eventually("the schedule", || async { running.agent.report().await.held.generation == 5 }).await;
    coordinator.kill().await;
    running.stop().await;
    // Started without a coordinator, it follows what is on disk.
    let mut schedule = joined.home.schedule().expect("a schedule on disk");
    assert_eq!((schedule.generation, schedule.entries.len()), (5, 1));
    schedule.entries = urls(6).iter().map(|url| entry_due_soon(url, 60_000)).collect();
    joined.home.save_schedule(&schedule).expect("saved");
    let begun = easy.runs.load(Ordering::SeqCst);
    let running = joined.run(checks);
    eventually("runs while cut off", || async {
        let report = running.agent.report().await;
        easy.runs.load(Ordering::SeqCst) > begun
            && report.since_start.uploaded == 0
            && report.spool.waiting > 0
    })
    .await;
    assert!(!running.agent.report().await.connection.is_open);
    let held: BTreeSet<String> =
        running.agent.spool.batch(100).await.into_iter().map(|(_, measurement)| measurement.id).collect();
    coordinator.resume().await;
    eventually("everything", || async {
        let stored = coordinator.seen.stored.lock().expect("no panic");
        held.iter().all(|id| stored.contains_key(id))
    })
    .await;
    eventually("an empty spool", || async { running.agent.report().await.spool.waiting == 0 }).await;
    running.stop().await;
}

#[tokio::test]
async fn acknowledged_ids_are_in_the_journal_and_nothing_of_them_stays_on_disk() {
    let coordinator = Coordinator::start().await;
    let joined = Joined::to(&coordinator).await;
    let journal = joined.home.dir().join("journal");
    let running = joined.run_with_journal(checks().1, Some(journal.clone()));
    hand_over(&coordinator, &running, 1, &urls(5)).await;
    for (number, url) in urls(5).iter().enumerate() {
        coordinator.confirm(&format!("c{number}"), url).await;
    }
    eventually("all uploads", || async { running.agent.report().await.since_start.uploaded == 5 }).await;
    running.stop().await;
    let written = std::fs::read_to_string(&journal).expect("a journal");
    let written: BTreeSet<String> = written.lines().map(str::to_owned).collect();
    let stored: BTreeSet<String> =
        coordinator.seen.stored.lock().expect("no panic").keys().cloned().collect();
    assert_eq!(written, stored);
    let left = std::fs::read_dir(joined.home.spool_dir()).expect("a spool").count();
    assert_eq!(left, 0, "a searched disk shows nothing of what was sent");
}

#[tokio::test]
async fn a_refused_measurement_is_not_sent_for_ever() {
    let coordinator = Coordinator::start().await;
    coordinator.seen.refuse_all.store(true, Ordering::SeqCst);
    let joined = Joined::to(&coordinator).await;
    let running = joined.run(checks().1);
    hand_over(&coordinator, &running, 1, &urls(1)).await;
    coordinator.confirm("c1", "https://t0.example.com/").await;
    eventually("the end of it", || async {
        let report = running.agent.report().await;
        report.since_start.refused_by_coordinator == 1 && report.spool.waiting == 0
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_panic_in_a_check_is_one_check_that_did_not_run() {
    let coordinator = Coordinator::start().await;
    let joined = Joined::to(&coordinator).await;
    let running = joined.run(checks().1);
    let urls = ["https://panic.example.com/".to_owned(), "https://t0.example.com/".to_owned()];
    hand_over(&coordinator, &running, 1, &urls).await;
    coordinator.confirm("c1", &urls[0]).await;
    coordinator.confirm("c2", &urls[1]).await;
    eventually("both ends", || async {
        let counts = running.agent.report().await.since_start;
        counts.not_run.get("check_panicked") == Some(&1) && counts.uploaded == 1
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_paused_agent_measures_nothing_and_says_so_on_the_stream() {
    let coordinator = Coordinator::start().await;
    let joined = Joined::to(&coordinator).await;
    let (easy, checks) = checks();
    joined.home.set_paused(true).expect("paused");
    let running = joined.run(checks);
    hand_over(&coordinator, &running, 1, &urls(1)).await;
    coordinator.send_schedule(1, vec![entry_due_soon(&urls(1)[0], 60_000)]).await;
    coordinator.confirm("c1", &urls(1)[0]).await;
    eventually("a refusal", || async { running.refused("paused").await == 1 }).await;
    eventually("a beat", || async {
        coordinator.seen.beats.lock().expect("no panic").iter().any(|beat| beat.paused)
    })
    .await;
    assert!(coordinator.seen.hellos.lock().expect("no panic")[0].paused);
    assert_eq!(easy.runs.load(Ordering::SeqCst), 0);
    joined.home.set_paused(false).expect("resumed");
    eventually("resuming", || async { !running.agent.report().await.is_paused }).await;
    coordinator.confirm("c2", &urls(1)[0]).await;
    eventually("a run", || async { easy.runs.load(Ordering::SeqCst) >= 1 }).await;
    running.stop().await;
}

#[tokio::test]
async fn confirmations_do_not_wait_for_routine_work() {
    let coordinator = Coordinator::start().await;
    let joined = Joined::to(&coordinator).await;
    let stuck: Arc<dyn Check> = Arc::new(Stuck);
    let running = joined.run(Checks::from([(CheckKind::Web, stuck)]));
    let urls = urls(20);
    hand_over(&coordinator, &running, 1, &urls).await;
    let entries = urls[..19].iter().map(|url| entry_due_soon(url, 60_000)).collect();
    coordinator.send_schedule(1, entries).await;
    // Jitter spreads them over a few seconds; the lane is full of checks that never end.
    eventually("the schedule", || async { running.agent.report().await.held.entries == 19 }).await;
    coordinator.confirm("urgent", &urls[19]).await;
    eventually("the confirmation", || async { coordinator.seen.count() == 1 }).await;
    assert_eq!(coordinator.seen.measurements()[0].token, "urgent");
    running.stop().await;
}

/// A check that never ends, but for the last target.
struct Stuck;

impl Check for Stuck {
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>> {
        Box::pin(async move {
            if !job.target.as_str().contains("t19") {
                std::future::pending::<()>().await;
            }
            Easy::default().run(job).await
        })
    }
}
