//! Two countries beside each other in one coordinator: the shipped profile's and an invented one's.

mod kit;

use anyhow::Context;
use faultline_analysis::ooni::Reading;
use faultline_analysis::replay::{Row, Topology, run};
use faultline_model::{Incident, Timestamp, Verdict};
use faultline_proto::agent::agent_service_client::AgentServiceClient;
use faultline_proto::agent::watch_schedule_response::Message as ToAgent;
use faultline_runtime::{OperatorKey, now};
use kit::{Agent, Server, Wish, answer, list, measurement};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

const TARGET: &str = "https://x.com/";
/// Providers of the invented country; the first one blocks.
const INVENTED: [u32; 3] = [5410, 3215, 12322];
const SHIPPED: [u32; 3] = [17557, 23674, 9541];
const VERDICT: Duration = Duration::from_secs(90);

/// Writes the invented country's profile and a baseline for both, and returns the coordinator's arguments.
fn configure(dir: &Path) -> anyhow::Result<Vec<String>> {
    let profile = dir.join("xw.toml");
    let mut text = "country = \"XW\"\nname = \"Westland\"\nutc_offset_min = -120\ntime_zone = \"WLT\"\n\
        risk_tier = \"standard\"\nlanguages = [\"en\"]\n"
        .to_owned();
    for asn in INVENTED {
        text += &format!("[[operator]]\nname = \"West {asn}\"\nasns = [{asn}]\nuser_share = 0.3\n");
    }
    std::fs::write(&profile, text)?;
    let cells: Vec<Value> = list(1)
        .targets
        .iter()
        .flat_map(|spec| {
            let row =
                |asn| json!({ "target": spec.target, "asn": asn, "measurements": 4000, "anomalies": 20 });
            INVENTED.into_iter().chain(SHIPPED).map(row).collect::<Vec<_>>()
        })
        .collect();
    let baseline = dir.join("baseline.json");
    std::fs::write(&baseline, json!({ "note": "test", "cells": cells }).to_string())?;
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles/pk.toml");
    let path = |path: &Path| path.display().to_string();
    let profiles = ["--profile".into(), path(&shipped), "--profile".into(), path(&profile)];
    Ok(profiles.into_iter().chain(["--baseline".into(), path(&baseline)]).collect())
}

/// Opens an agent's stream and answers what it is asked, as its line lets it.
async fn answer_all(
    server: &Server,
    agent: &mut Agent,
    is_blocked: Arc<AtomicBool>,
    answering: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let channel = server.channel(Some(&agent.identity), "127.0.0.1:0").await?;
    agent.client = AgentServiceClient::new(channel);
    let mut watch = agent.watch(1).await?;
    watch.schedule().await?;
    let (id, client, identity) = (agent.id.clone(), agent.client.clone(), agent.identity.clone());
    let mut own = Agent { id, client, identity };
    answering.spawn(async move {
        let mut watch = watch;
        let mut beat = tokio::time::interval(Duration::from_secs(5));
        loop {
            let message = tokio::select! {
                message = watch.messages.message() => message,
                _ = beat.tick() => {
                    let _ = watch.beat(false).await;
                    continue;
                }
            };
            let Ok(Some(message)) = message else { break };
            if let Some(ToAgent::Confirmation(task)) = message.message {
                let is_reset = task.target == TARGET && is_blocked.load(Ordering::SeqCst);
                own.upload(&[answer(&task, is_reset)]).await?;
            }
        }
        Ok(())
    });
    Ok(())
}

async fn incidents(server: &Server, country: &str) -> anyhow::Result<Vec<Value>> {
    let answer = server.json(&format!("/api/v1/incidents?country={country}")).await?;
    Ok(answer["incidents"].as_array().context("incidents")?.clone())
}

/// Exports the invented country from the running coordinator and replays the recording.
async fn export_and_replay(server: &Server, dir: &Path, arguments: &[&str]) -> anyhow::Result<Vec<Incident>> {
    let out = dir.join("export");
    let exporting = tokio::process::Command::new(env!("CARGO_BIN_EXE_faultline-coordinator"))
        .args(["export", "--ooni", "--country", "XW", "--data"])
        .arg(&server.data)
        .arg("--out")
        .arg(&out)
        .args(arguments)
        .output();
    let output = exporting.await?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let exported: Value = serde_json::from_slice(&output.stdout)?;
    assert!(
        exported["measurements"].as_u64() > Some(60) && exported["heartbeats"].as_u64() > Some(0),
        "{exported}"
    );
    for line in std::fs::read_to_string(out.join("ooni.jsonl"))?.lines() {
        assert!(
            matches!(faultline_analysis::ooni::read(line.as_bytes())?, Reading::Measurements(_)),
            "{line}"
        );
        assert!(line.contains(r#""probe_cc":"XW""#) && line.contains(r#""probe_ip":"127.0.0.1""#), "{line}");
    }
    assert!(exported["ooni"].as_u64() > Some(30), "volunteers' measurements: {exported}");
    let topology: Topology = serde_json::from_str(&std::fs::read_to_string(out.join("topology.json"))?)?;
    let rows = std::fs::read_to_string(out.join("measurements.jsonl"))?;
    let rows = rows.lines().map(serde_json::from_str::<Row>).collect::<Result<Vec<_>, _>>()?;
    assert!(
        rows.iter().all(|row| row.control || row.country.to_string() == "XW"),
        "no other country's volunteers"
    );
    Ok(run(&topology, rows)?.incidents)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_in_one_country_leaves_the_other_silent() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let arguments = configure(dir.path())?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = Server::start(&dir.path().join("data"), &arguments).await?;
    server.operator().await?.push(&OperatorKey::generate()?, &list(1), true).await?;
    let (block, none) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut answering = JoinSet::new();
    let mut agents: Vec<(u32, Agent)> = Vec::new();
    for (country, asns) in [("XW", INVENTED), ("PK", SHIPPED)] {
        for asn in asns.into_iter().flat_map(|asn| [asn; 3]) {
            agents.push((asn, server.enrol(Wish { asn, country, ..Wish::default() }).await?));
        }
    }
    for asn in [24940, 16276] {
        agents.push((asn, server.enrol(Wish { asn, control: true, ..Wish::default() }).await?));
    }
    for (asn, agent) in &mut agents {
        let line = if *asn == INVENTED[0] { &block } else { &none };
        answer_all(&server, agent, Arc::clone(line), &mut answering).await?;
        // The first one's next look must not be too soon after this one to count.
        let looks: Vec<_> = list(1)
            .targets
            .iter()
            .filter(|spec| *asn != INVENTED[0] || spec.target.as_str() != TARGET)
            .map(|spec| measurement(spec.target.as_str(), now(), false))
            .collect();
        agent.upload(&looks).await?;
    }

    block.store(true, Ordering::SeqCst);
    agents[0].1.upload(&[measurement(TARGET, now(), true)]).await?;
    let told = async {
        loop {
            let found = incidents(&server, "XW").await?.into_iter().find(|one| one["verdict"] == "isp_block");
            if let Some(found) = found {
                return anyhow::Ok(found);
            }
            tokio::task::yield_now().await;
        }
    };
    let told = tokio::time::timeout(VERDICT, told).await.context("a block in the invented country")??;
    assert_eq!((&told["asns"], &told["country"]), (&json!([INVENTED[0]]), &json!("XW")));
    let headline = told["headline"].as_str().context("a headline")?;
    assert!(headline.contains("West 5410") && headline.contains("WLT"), "{headline}");
    assert_eq!(incidents(&server, "PK").await?, Vec::<Value>::new());
    let replayed = export_and_replay(&server, dir.path(), &arguments).await?;
    let blocks: Vec<&Incident> = replayed.iter().filter(|one| one.verdict == Verdict::IspBlock).collect();
    assert_eq!(blocks.len(), 1, "{replayed:#?}");
    assert_eq!(serde_json::to_value(&blocks[0].asns)?, told["asns"]);
    assert_eq!(serde_json::to_value(&blocks[0].targets)?, told["targets"]);
    let onset: Timestamp = told["onset"].as_str().context("an onset")?.parse()?;
    assert!(blocks[0].onset.seconds_after(onset).abs() < 1.0, "{} {onset}", blocks[0].onset);
    let matrix = server.json("/api/v1/matrix?country=PK").await?;
    assert!(!matrix.to_string().contains("\"blocked\""), "{matrix:#}");
    Ok(())
}
