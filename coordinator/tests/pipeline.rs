//! From uploads to incidents: a small country of real agents over real TLS, whose lines are played by the test.

mod kit;

use anyhow::Context;
use faultline_proto::agent::agent_service_client::AgentServiceClient;
use faultline_proto::agent::watch_schedule_response::Message as ToAgent;
use faultline_proto::research::WatchIncidentsRequest;
use faultline_proto::research::research_service_client::ResearchServiceClient;
use faultline_runtime::{OperatorKey, now};
use kit::{Agent, Server, Wish, answer, list, measurement};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const NETWORKS: [(u32, &str); 4] =
    [(17557, "PTCL"), (23674, "Nayatel"), (45669, "Jazz"), (9541, "StormFiber")];
const BLOCKED: (u32, &str) = (23674, "https://x.com/");
/// A verdict takes seconds; a slow machine gets more.
const VERDICT: Duration = Duration::from_secs(90);

/// Whether the block is in force.
#[derive(Clone, Default)]
struct World(Arc<AtomicBool>);

impl World {
    fn is_reset(&self, asn: u32, target: &str) -> bool {
        self.0.load(Ordering::SeqCst) && (asn, target) == BLOCKED
    }
}

struct Country {
    server: Server,
    world: World,
    members: Vec<(u32, Agent)>,
    answering: JoinSet<anyhow::Result<()>>,
}

fn configure(dir: &Path) -> anyhow::Result<Vec<String>> {
    let profile = dir.join("pk.toml");
    let mut text = "country = \"PK\"\nname = \"Pakistan\"\nutc_offset_min = 300\n".to_owned();
    for (asn, name) in NETWORKS {
        text += &format!("[[operator]]\nname = \"{name}\"\nasns = [{asn}]\nuser_share = 0.2\n");
    }
    std::fs::write(&profile, text)?;
    let targets = list(1).targets.into_iter();
    let cells: Vec<Value> = targets
        .flat_map(|spec| NETWORKS.map(|(asn, _)| json!({ "target": spec.target, "asn": asn, "measurements": 4000, "anomalies": 20 })))
        .collect();
    let baseline = dir.join("baseline.json");
    std::fs::write(&baseline, json!({ "note": "test", "cells": cells }).to_string())?;
    let path = |path: &Path| path.display().to_string();
    Ok(vec!["--profile".into(), path(&profile), "--baseline".into(), path(&baseline)])
}

impl Country {
    async fn found(dir: &Path) -> anyhow::Result<Self> {
        let arguments = configure(dir)?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let server = Server::start(&dir.join("data"), &arguments).await?;
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
        let mut country = Self { server, world: World::default(), members, answering: JoinSet::new() };
        country.open_streams().await?;
        Ok(country)
    }

    /// Every agent opens its stream and answers what it is asked.
    async fn open_streams(&mut self) -> anyhow::Result<()> {
        for (asn, agent) in &mut self.members {
            let channel = self.server.channel(Some(&agent.identity), "127.0.0.1:0").await?;
            agent.client = AgentServiceClient::new(channel);
            let mut watch = agent.watch(1).await?;
            watch.schedule().await?;
            let (asn, world) = (*asn, self.world.clone());
            let mut own = Agent {
                id: agent.id.clone(),
                client: agent.client.clone(),
                identity: agent.identity.clone(),
            };
            self.answering.spawn(async move {
                // The whole stream moves in here: with its sender gone the agent would hang up.
                let mut watch = watch;
                let mut beat = tokio::time::interval(Duration::from_secs(5));
                loop {
                    let message = tokio::select! {
                        message = watch.messages.message() => message,
                        _ = beat.tick() => {
                            // Fails once the coordinator is gone, which the other side tells too.
                            let _ = watch.beat(false).await;
                            continue;
                        }
                    };
                    let Ok(Some(message)) = message else { break };
                    if let Some(ToAgent::Confirmation(task)) = message.message {
                        let seen = answer(&task, world.is_reset(asn, &task.target));
                        own.upload(&[seen]).await?;
                    }
                }
                drop(watch);
                Ok(())
            });
        }
        Ok(())
    }

    /// Every agent looks at every target once, as the schedule has it do in turn; but `spared` leave one target out,
    /// so that their next look at it is not too soon to count.
    async fn look_around(&mut self, spared: &[String]) -> anyhow::Result<()> {
        for (asn, agent) in &mut self.members {
            let looks: Vec<_> = list(1)
                .targets
                .iter()
                .filter(|spec| !spared.contains(&agent.id) || spec.target.as_str() != BLOCKED.1)
                .map(|spec| {
                    measurement(spec.target.as_str(), now(), self.world.is_reset(*asn, spec.target.as_str()))
                })
                .collect();
            agent.upload(&looks).await?;
        }
        Ok(())
    }

    async fn incidents(&self) -> anyhow::Result<Vec<Value>> {
        let answer = self.server.json("/api/v1/incidents?country=PK").await?;
        Ok(answer["incidents"].as_array().context("incidents")?.clone())
    }

    /// Waits until an incident is as wanted.
    async fn incident(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let waiting = async {
            loop {
                if let Some(found) = self.incidents().await?.into_iter().find(|incident| wanted(incident)) {
                    return anyhow::Ok(found);
                }
                tokio::task::yield_now().await;
            }
        };
        match tokio::time::timeout(VERDICT, waiting).await {
            Ok(found) => found,
            Err(_) => {
                let matrix = self.server.json("/api/v1/matrix?country=PK").await?;
                anyhow::bail!("{what}: {:#} {:#}", Value::from(self.incidents().await?), matrix["rows"])
            }
        }
    }
}

/// Opens the server-sent events.
async fn events(server: &Server) -> anyhow::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(server.http).await?;
    stream.write_all(b"GET /api/v1/watch?country=PK HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let mut events = BufReader::new(stream);
    let mut line = String::new();
    tokio::time::timeout(kit::PATIENCE, events.read_line(&mut line)).await??;
    anyhow::ensure!(line.starts_with("HTTP/1.1 200"), "{line}");
    Ok(events)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_on_one_network_is_told_confirmed_and_ended_and_survives_kill_nine() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut country = Country::found(dir.path()).await?;
    let [first_to_see, first_to_see_the_end] = [3, 4];
    let spared = [first_to_see, first_to_see_the_end].map(|member| country.members[member].1.id.clone());
    country.look_around(&spared).await?;
    assert_eq!(country.incidents().await?, Vec::<Value>::new(), "nothing happened yet");

    // Two results of one agent and target within a second are one to the detector.
    let looked = now();
    kit::wait_until("a new look is another look", || async { Ok(now().since(looked).as_millis() > 1_100) })
        .await?;
    let mut events = events(&country.server).await?;
    let channel =
        tonic::transport::Endpoint::new(format!("http://{}", country.server.http))?.connect().await?;
    let mut research = ResearchServiceClient::new(channel);
    let watch = WatchIncidentsRequest { country: "PK".into() };
    let mut revisions = research.watch_incidents(watch).await?.into_inner();
    let began = now();
    country.world.0.store(true, Ordering::SeqCst);
    country.members[first_to_see].1.upload(&[measurement(BLOCKED.1, now(), true)]).await?;
    let told = country.incident("a block of x.com on Nayatel", |one| one["verdict"] == "isp_block").await?;
    eprintln!("told after {:?}: {}", now().since(began), told["headline"]);
    assert_eq!((&told["asns"], &told["targets"]), (&json!([23674]), &json!([BLOCKED.1])));
    assert_eq!(told["agents"], json!([]), "readers never learn who measured");

    let told_by_grpc =
        tokio::time::timeout(kit::PATIENCE, revisions.message()).await??.context("a revision")?;
    assert_eq!(told_by_grpc.incident.context("an incident")?.id, told["id"]);
    let mut line = String::new();
    while !line.starts_with("event: incident") {
        line.clear();
        let read = tokio::time::timeout(kit::PATIENCE, events.read_line(&mut line)).await??;
        assert!(read > 0, "the events ended");
    }

    let cell = |matrix: &Value| {
        let column = matrix["services"].as_array()?.iter().position(|service| service["id"] == "x")?;
        let row = matrix["rows"].as_array()?.iter().find(|row| row["asn"] == 23674)?;
        Some(row["cells"][column].clone())
    };
    let matrix = country.server.json("/api/v1/matrix?country=PK").await?;
    assert_eq!(cell(&matrix).context("a cell")?["state"], "blocked", "{matrix:#}");
    let (status, head, page) = country.server.get("/").await?;
    assert_eq!(status, 200);
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(page.contains("X blocked on Nayatel since"), "{page}");

    let data = country.server.data.clone();
    let arguments = configure(dir.path())?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    country.server.kill().await?;
    country.server = Server::start(&data, &arguments).await?;
    country.open_streams().await?;
    let same = |one: &Value| one["id"] == told["id"];
    let after = country.incident("the same incident", same).await?;
    assert_eq!(after["detected_at"], told["detected_at"]);
    let confirmed = |one: &Value| same(one) && one["status"] == "confirmed" && one["end"].is_null();
    country.incident("confirmed and going on", confirmed).await?;

    country.world.0.store(false, Ordering::SeqCst);
    // Its next scheduled look; the others are asked then.
    country.members[first_to_see_the_end].1.upload(&[measurement(BLOCKED.1, now(), false)]).await?;
    let ended = country.incident("its end", |one| same(one) && !one["end"].is_null()).await?;
    eprintln!("ended: {}", ended["headline"]);
    let all = country.incidents().await?;
    assert_eq!(all.len(), 1, "one event is one incident: {all:#?}");
    let revisions: Vec<u64> = ended["revisions"]
        .as_array()
        .context("revisions")?
        .iter()
        .filter_map(|r| r["revision"].as_u64())
        .collect();
    assert!(revisions.windows(2).all(|pair| pair[0] < pair[1]), "{revisions:?}");
    Ok(())
}
