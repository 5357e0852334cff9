//! Lists, schedules, uploads.

mod kit;

use faultline_model::Target;
use faultline_proto::agent::watch_schedule_response::Message as ToAgent;
use faultline_proto::agent::{ReceiptOutcome, UploadRequest};
use faultline_runtime::{OperatorKey, now};
use kit::{Agent, Server, Wish, list, measurement};
use std::time::Duration;
use tonic::Code;

async fn ready() -> anyhow::Result<(tempfile::TempDir, Server, Agent, OperatorKey)> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[]).await?;
    let key = OperatorKey::generate()?;
    server.operator().await?.push(&key, &list(1), true).await?;
    let agent = server.enrol(Wish::default()).await?;
    Ok((dir, server, agent, key))
}

#[tokio::test]
async fn an_agent_gets_the_list_then_its_schedule_and_hears_of_changes() -> anyhow::Result<()> {
    let (_dir, server, mut agent, key) = ready().await?;
    let mut watch = agent.watch(0).await?;
    let ToAgent::Welcome(welcome) = watch.next().await? else { panic!("a welcome first") };
    assert_eq!((welcome.country.as_str(), welcome.beat_interval_s), ("PK", 15));
    let ToAgent::List(signed) = watch.next().await? else { panic!("the list before any schedule") };
    assert_eq!(signed.document, list_bytes(&server).await?);
    let first = watch.schedule().await?;
    assert_eq!((first.list_version, first.entries.len()), (1, 6));
    assert!(first.entries.iter().all(|entry| entry.phase_ms < entry.period_ms && entry.period_ms >= 300_000));

    let mut second_agent = server.enrol(Wish::default()).await?;
    let _second = second_agent.watch(1).await?;
    let shared = watch.schedule().await?;
    assert!(shared.generation > first.generation);
    assert!(shared.entries.iter().all(|entry| entry.period_ms == 600_000), "two agents take turns");

    server.operator().await?.push(&key, &list(2), true).await?;
    let next = watch.until(|message| match message {
        ToAgent::List(list) => Some(list),
        _ => None,
    });
    assert!(String::from_utf8(next.await?.document)?.contains(r#""version":2"#));
    assert_eq!(watch.schedule().await?.list_version, 2);
    Ok(())
}

async fn list_bytes(server: &Server) -> anyhow::Result<Vec<u8>> {
    let request = faultline_proto::operator::GetTaskListRequest {};
    let answer = server.operator().await?.client.get_task_list(request).await?.into_inner();
    Ok(answer.list.map(|list| list.document).unwrap_or_default())
}

#[tokio::test]
async fn presence_follows_the_stream_and_a_pause_gives_the_work_to_others() -> anyhow::Result<()> {
    let (_dir, server, mut agent, _key) = ready().await?;
    let mut other = server.enrol(Wish::default()).await?;
    let watch = agent.watch(1).await?;
    let mut others = other.watch(1).await?;
    others.until(|m| period_is(m, 600_000)).await?;
    watch.beat(true).await?;
    others.until(|m| period_is(m, 300_000)).await?;
    let mut operator = server.operator().await?;
    let find = |agents: Vec<faultline_proto::operator::Agent>| {
        agents.into_iter().find(|one| one.agent_id == agent.id)
    };
    let seen = find(operator.agents().await?).expect("listed");
    assert!(seen.connected && seen.paused && seen.last_seen_ms > 0);
    watch.beat(false).await?;
    others.until(|m| period_is(m, 600_000)).await?;
    drop(watch);
    kit::wait_until("the agent is seen as gone", || async {
        let agents = server.operator().await?.agents().await?;
        Ok(agents.iter().any(|one| one.agent_id == agent.id && !one.connected))
    })
    .await
}

fn period_is(message: ToAgent, period_ms: u64) -> Option<()> {
    let ToAgent::Schedule(schedule) = message else { return None };
    schedule.entries.first().filter(|entry| entry.period_ms == period_ms).map(|_| ())
}

#[tokio::test]
async fn a_newer_stream_of_an_agent_replaces_the_older_one() -> anyhow::Result<()> {
    let (_dir, server, mut agent, _key) = ready().await?;
    let mut older = agent.watch(1).await?;
    older.schedule().await?;
    let mut newer = agent.watch(1).await?;
    newer.schedule().await?;
    let ended = loop {
        match older.messages.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it must say why"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::Aborted);
    let agents = server.operator().await?.agents().await?;
    assert!(agents[0].connected, "the newer stream is the agent's presence");
    Ok(())
}

#[tokio::test]
async fn an_upload_is_stored_once_and_each_measurement_gets_its_own_receipt() -> anyhow::Result<()> {
    let (_dir, server, mut agent, _key) = ready().await?;
    let good = measurement("https://x.com/", now(), false);
    let mut altered = good.clone();
    altered.duration = Duration::from_millis(1);
    let mut unlisted = measurement("https://x.com/", now(), false);
    unlisted.target = Target::new("https://elsewhere.example/")?;
    let mut unknown_list = measurement("https://x.com/", now(), false);
    unknown_list.list_version = 99;
    let future = measurement("https://x.com/", now() + Duration::from_secs(400), false);
    let ancient = measurement("https://x.com/", now() - Duration::from_secs(15 * 86_400), false);
    let batch = [good.clone(), good.clone(), altered, unlisted, unknown_list, future, ancient];
    let receipts = agent.upload(&batch).await?;
    use ReceiptOutcome::{Duplicate, Refused, Stored};
    let outcomes: Vec<_> = receipts.iter().map(|receipt| receipt.outcome()).collect();
    assert_eq!(outcomes, [Stored, Duplicate, Refused, Refused, Refused, Refused, Refused], "{receipts:?}");
    assert!(receipts[2..].iter().all(|receipt| !receipt.reason.is_empty()));
    assert!(receipts.iter().zip(&batch).all(|(receipt, sent)| receipt.id == sent.id.as_str()));
    assert_eq!(agent.upload(&[good]).await?[0].outcome(), Duplicate);
    assert_eq!(server.operator().await?.agents().await?[0].measurements, 1);
    let mut thief = server.enrol(Wish::default()).await?;
    assert_eq!(
        thief.upload(&batch[..1]).await?[0].outcome(),
        Refused,
        "an id belongs to whoever used it first"
    );
    Ok(())
}

#[tokio::test]
async fn an_oversized_upload_is_refused_and_the_connection_kept() -> anyhow::Result<()> {
    let (_dir, _server, mut agent, _key) = ready().await?;
    let one = measurement("https://x.com/", now(), false);
    let many: Vec<_> = (0..51).map(|_| measurement("https://x.com/", now(), false)).collect();
    assert_eq!(agent.upload(&many).await.expect_err("51").code(), Code::InvalidArgument);
    let mut huge = UploadRequest { measurements: vec![faultline_proto::convert::measurement_to_wire(&one)] };
    huge.measurements[0].target = "x".repeat(300 * 1024);
    let refused = agent.client.upload(huge).await.expect_err("300 KiB");
    assert_eq!(refused.code(), Code::OutOfRange);
    let mut watch = agent.watch(1).await?;
    watch.schedule().await?;
    assert_eq!(
        agent.upload(&[one]).await?[0].outcome(),
        ReceiptOutcome::Stored,
        "the same channel still serves"
    );
    Ok(())
}

#[tokio::test]
async fn only_a_newer_list_of_the_known_operators_is_kept() -> anyhow::Result<()> {
    let (_dir, server, _agent, key) = ready().await?;
    let mut operator = server.operator().await?;
    let stranger = OperatorKey::generate()?;
    let mut empty = list(3);
    empty.targets.clear();
    for (who, list, says) in
        [(&stranger, list(2), "operator root"), (&key, list(1), "rollback"), (&key, empty, "malformed")]
    {
        let refused = operator.push(who, &list, true).await.expect_err(says);
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains(says), "{}", refused.message());
    }
    assert_eq!(operator.push(&key, &list(2), true).await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_list_beyond_the_volunteers_budgets_is_refused_unless_accepted() -> anyhow::Result<()> {
    let (_dir, server, mut agent, key) = ready().await?;
    let mut watch = agent.watch(1).await?;
    watch.schedule().await?;
    let mut long = list(2);
    for number in 0..20 {
        let mut more = long.targets[0].clone();
        more.target = Target::new(&format!("https://more{number}.example/"))?;
        long.targets.push(more);
    }
    let mut operator = server.operator().await?;
    let refused = operator.push(&key, &long, false).await.expect_err("26 targets for one agent");
    assert!(refused.message().contains("AS23674 (1 agents)"), "{}", refused.message());
    operator.push(&key, &long, true).await?;
    let schedule = watch.until(|message| match message {
        ToAgent::Schedule(schedule) if schedule.list_version == 2 => Some(schedule),
        _ => None,
    });
    let per_day: u64 = schedule.await?.entries.iter().map(|entry| 86_400_000 / entry.period_ms).sum();
    assert!(per_day <= 2_100, "{per_day} routine checks a day");
    Ok(())
}
