//! An acknowledgement means that it is on disk: the coordinator is killed again and again while agents upload.

mod kit;

use faultline_model::Measurement;
use faultline_proto::agent::ReceiptOutcome;
use faultline_runtime::{OperatorKey, now};
use kit::{Agent, Server, Wish, list, measurement};
use std::collections::BTreeSet;
use tokio::task::JoinSet;

const ROUNDS: usize = 8;
const AGENTS: usize = 6;

/// Uploads until the coordinator dies; returns what was acknowledged, and the batch that was on its way.
async fn upload_until_it_dies(
    mut agent: Agent,
    retry: Vec<Measurement>,
) -> (Agent, Vec<String>, Vec<Measurement>) {
    let mut acknowledged = Vec::new();
    let mut batch = retry;
    loop {
        if batch.is_empty() {
            batch = (0..3).map(|_| measurement("https://x.com/", now(), false)).collect();
        }
        let Ok(receipts) = agent.upload(&batch).await else { return (agent, acknowledged, batch) };
        for receipt in receipts {
            let is_kept = matches!(receipt.outcome(), ReceiptOutcome::Stored | ReceiptOutcome::Duplicate);
            assert!(is_kept, "{receipt:?}");
            acknowledged.push(receipt.id);
        }
        batch.clear();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_acknowledged_is_in_the_store_once_after_kill_nine() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let mut server = Server::start(&data, &[]).await?;
    server.operator().await?.push(&OperatorKey::generate()?, &list(1), true).await?;
    let mut agents = Vec::new();
    for _ in 0..AGENTS {
        agents.push((server.enrol(Wish::default()).await?, Vec::new()));
    }
    let mut acknowledged = BTreeSet::new();
    let mut twice = 0;
    for round in 0..ROUNDS {
        let mut uploads = JoinSet::new();
        for (agent, retry) in std::mem::take(&mut agents) {
            let channel = server.channel(Some(&agent.identity), "127.0.0.1:0").await?;
            let client = faultline_proto::agent::agent_service_client::AgentServiceClient::new(channel);
            uploads.spawn(upload_until_it_dies(Agent { client, ..agent }, retry));
        }
        // It dies at another number of stored measurements in each round.
        let goal = u64::try_from(acknowledged.len() + 20 + round * 37)?;
        kit::wait_until("enough is stored", || async {
            let agents = server.operator().await?.agents().await?;
            Ok(agents.iter().map(|agent| agent.measurements).sum::<u64>() >= goal)
        })
        .await?;
        server.kill().await?;
        while let Some(done) = uploads.join_next().await {
            let (agent, ids, retry) = done?;
            let before = acknowledged.len();
            let count = ids.len();
            acknowledged.extend(ids);
            twice += before + count - acknowledged.len();
            agents.push((agent, retry));
        }
        server = Server::start(&data, &[]).await?;
    }
    assert_eq!(twice, 0, "no id is acknowledged to two uploads of one agent");
    server.stop().await?;
    let stored = stored_ids(&data)?;
    let distinct: BTreeSet<_> = stored.iter().cloned().collect();
    assert_eq!(stored.len(), distinct.len(), "each is there once");
    let lost: Vec<_> = acknowledged.difference(&distinct).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged are lost", lost.len(), acknowledged.len());
    eprintln!("{} acknowledged over {ROUNDS} kills, {} stored", acknowledged.len(), stored.len());
    Ok(())
}

fn stored_ids(data: &std::path::Path) -> anyhow::Result<Vec<String>> {
    let db = rusqlite::Connection::open(data.join("faultline.sqlite"))?;
    let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    assert_eq!(check, "ok");
    let mut query = db.prepare("SELECT id FROM measurement")?;
    let ids = query.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    Ok(ids)
}

#[tokio::test]
async fn a_stop_is_in_order_and_quick_with_streams_open() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let server = Server::start(&data, &[]).await?;
    server.operator().await?.push(&OperatorKey::generate()?, &list(1), true).await?;
    let mut agent = server.enrol(Wish::default()).await?;
    let mut watch = agent.watch(1).await?;
    watch.schedule().await?;
    let reader = tokio::net::TcpStream::connect(server.http).await?;
    let began = std::time::Instant::now();
    let (code, log) = server.stop().await?;
    assert_eq!(code, Some(0), "{log}");
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    drop(reader);
    let db = rusqlite::Connection::open(data.join("faultline.sqlite"))?;
    let kinds: String = db.query_row(
        "SELECT group_concat(kind, ' ') FROM (SELECT kind FROM presence WHERE agent IS NOT NULL ORDER BY at, rowid)",
        [],
        |row| row.get(0),
    )?;
    assert!(kinds.starts_with("came") && kinds.ends_with("went"), "{kinds}");
    Ok(())
}

#[tokio::test]
async fn schedules_of_a_restarted_coordinator_have_higher_generations() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let server = Server::start(&data, &[]).await?;
    server.operator().await?.push(&OperatorKey::generate()?, &list(1), true).await?;
    let mut agent = server.enrol(Wish::default()).await?;
    let before = agent.watch(1).await?.schedule().await?;
    server.kill().await?;
    let server = Server::start(&data, &[]).await?;
    let channel = server.channel(Some(&agent.identity), "127.0.0.1:0").await?;
    agent.client = faultline_proto::agent::agent_service_client::AgentServiceClient::new(channel);
    let after = agent.watch(1).await?.schedule().await?;
    assert!(after.generation > before.generation);
    assert_eq!(after.entries, before.entries, "the same agent under the same list does the same");
    Ok(())
}
