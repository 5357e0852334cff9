//! Presence, from streams to what readers are told; and landmarks, which only controls look at.

mod kit;

use anyhow::Context;
use faultline_model::{Asn, Landmark, Target};
use faultline_proto::agent::ReceiptOutcome;
use faultline_proto::agent::agent_service_client::AgentServiceClient;
use faultline_runtime::{OperatorKey, now};
use kit::{Agent, Server, Wish, list, measurement};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

const NETWORKS: [(u32, &str); 3] = [(17557, "PTCL"), (23674, "Nayatel"), (45669, "Jazz")];
/// Silence takes three missed beats of fifteen seconds; a slow machine gets more.
const VERDICT: Duration = Duration::from_secs(180);
const LANDMARK: &str = "https://nayatel.com/";

/// Agents that beat, but for those of one network once it is cut.
struct Country {
    server: Server,
    members: Vec<(u32, Agent)>,
    cut: Arc<AtomicU32>,
    beating: JoinSet<anyhow::Result<()>>,
}

fn profile(dir: &Path) -> anyhow::Result<Vec<String>> {
    let mut text = "country = \"PK\"\nname = \"Pakistan\"\nutc_offset_min = 300\n".to_owned();
    for (asn, name) in NETWORKS {
        text += &format!("[[operator]]\nname = \"{name}\"\nasns = [{asn}]\nuser_share = 0.3\n");
    }
    let path = dir.join("pk.toml");
    std::fs::write(&path, text)?;
    Ok(vec!["--profile".into(), path.display().to_string()])
}

async fn start(dir: &Path) -> anyhow::Result<Server> {
    let arguments = profile(dir)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Server::start(&dir.join("data"), &arguments).await
}

impl Country {
    async fn found(dir: &Path) -> anyhow::Result<Self> {
        let server = start(dir).await?;
        server.operator().await?.push(&OperatorKey::generate()?, &list(1), true).await?;
        let mut members = Vec::new();
        for (asn, _) in NETWORKS {
            for _ in 0..3 {
                members.push((asn, server.enrol(Wish { asn, ..Wish::default() }).await?));
            }
        }
        for asn in [24940, 16276] {
            members.push((asn, server.enrol(Wish { asn, control: true, ..Wish::default() }).await?));
        }
        let cut = Arc::new(AtomicU32::new(0));
        let mut country = Self { server, members, cut, beating: JoinSet::new() };
        country.open_streams().await?;
        Ok(country)
    }

    async fn open_streams(&mut self) -> anyhow::Result<()> {
        for (asn, agent) in &mut self.members {
            let channel = self.server.channel(Some(&agent.identity), "127.0.0.1:0").await?;
            agent.client = AgentServiceClient::new(channel);
            let watch = agent.watch(1).await?;
            let (asn, cut) = (*asn, Arc::clone(&self.cut));
            self.beating.spawn(async move {
                // The whole stream moves in here; a line that breaks leaves it open.
                let mut watch = watch;
                let mut beat = tokio::time::interval(Duration::from_secs(5));
                loop {
                    tokio::select! {
                        message = watch.messages.message() => {
                            if !matches!(message, Ok(Some(_))) {
                                return Ok(());
                            }
                        }
                        _ = beat.tick() => {
                            if cut.load(Ordering::SeqCst) != asn {
                                // Fails once the coordinator is gone, which the other side tells too.
                                let _ = watch.beat(false).await;
                            }
                        }
                    }
                }
            });
        }
        Ok(())
    }

    async fn incidents(&self) -> anyhow::Result<Vec<Value>> {
        let answer = self.server.json("/api/v1/incidents?country=PK").await?;
        Ok(answer["incidents"].as_array().context("incidents")?.clone())
    }

    async fn incident(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let waiting = async {
            let mut pause = tokio::time::interval(Duration::from_millis(200));
            loop {
                if let Some(found) = self.incidents().await?.into_iter().find(|incident| wanted(incident)) {
                    return anyhow::Ok(found);
                }
                pause.tick().await;
            }
        };
        match tokio::time::timeout(VERDICT, waiting).await {
            Ok(found) => found,
            Err(_) => anyhow::bail!("{what}: {:#}", Value::from(self.incidents().await?)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_of_one_network_that_stop_beating_are_told_from_silence() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let country = Country::found(dir.path()).await?;
    assert_eq!(country.incidents().await?, Vec::<Value>::new());
    let cut_at = now();
    country.cut.store(23674, Ordering::SeqCst);
    let told = country.incident("an outage of Nayatel", |one| one["verdict"] == "isp_outage").await?;
    eprintln!("told after {:?}: {}", now().since(cut_at), told["headline"]);
    assert_eq!((&told["asns"], &told["basis"]), (&serde_json::json!([23674]), &Value::from("silence")));
    assert_eq!((&told["status"], &told["agents"]), (&Value::from("suspected"), &serde_json::json!([])));
    let page = country.server.get("/").await?.2;
    assert!(page.contains("our vantage points went silent: a shutdown, or our channel is blocked"), "{page}");
    country.cut.store(0, Ordering::SeqCst);
    country.incident("its end", |one| one["id"] == told["id"] && !one["end"].is_null()).await?;
    assert_eq!(country.incidents().await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_was_down_says_so_and_blames_nobody() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut country = Country::found(dir.path()).await?;
    let database = country.server.data.join("faultline.sqlite");
    kit::wait_until("the coordinator's own sign of life is on disk", || async {
        let store = rusqlite::Connection::open(&database)?;
        let count = "SELECT count(*) FROM presence WHERE agent IS NULL";
        Ok(store.query_row(count, [], |row| row.get::<_, i64>(0))? > 0)
    })
    .await?;
    country.server.kill().await?;
    // What was ten minutes ago for the machine is told by the store.
    let store = rusqlite::Connection::open(&database)?;
    store.execute("UPDATE presence SET at = at - 600000", [])?;
    drop(store);
    country.server = start(dir.path()).await?;
    country.open_streams().await?;
    let told = country.incident("its own outage", |one| one["verdict"] == "coordinator_outage").await?;
    assert_eq!((&told["asns"], &told["end"].is_null()), (&serde_json::json!([]), &false));
    let seen = now();
    kit::wait_until("it looked at everybody again", || async {
        let matrix = country.server.json("/api/v1/matrix?country=PK").await?;
        let at = matrix["at"].as_str().context("at")?.parse::<faultline_model::Timestamp>()?;
        Ok(at.since(seen) > Duration::from_secs(3))
    })
    .await?;
    let all = country.incidents().await?;
    assert_eq!(all.len(), 1, "nobody is blamed: {all:#?}");
    Ok(())
}

#[tokio::test]
async fn landmarks_are_for_controls_only() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[]).await?;
    let mut list = list(1);
    let landmark = Landmark {
        target: Target::new(LANDMARK)?,
        country: "PK".parse().expect("a code"),
        asn: Asn::new(23674)?,
    };
    list.landmarks.push(landmark);
    server.operator().await?.push(&OperatorKey::generate()?, &list, true).await?;
    let mut volunteer = server.enrol(Wish::default()).await?;
    let mut control = server.enrol(Wish { asn: 24940, control: true, ..Wish::default() }).await?;
    let looks = |schedule: faultline_proto::agent::Schedule| {
        schedule.entries.iter().filter(|entry| entry.target == LANDMARK).count()
    };
    assert_eq!(looks(volunteer.watch(1).await?.schedule().await?), 0);
    assert_eq!(looks(control.watch(1).await?.schedule().await?), 1);
    let look = measurement(LANDMARK, now(), false);
    assert_eq!(volunteer.upload(std::slice::from_ref(&look)).await?[0].outcome(), ReceiptOutcome::Refused);
    assert_eq!(control.upload(&[look]).await?[0].outcome(), ReceiptOutcome::Stored);
    Ok(())
}
