//! Sealed hours as readers get them: a real coordinator, its store, and its port for readers.

mod kit;

use anyhow::Context;
use faultline_coordinator::store::sqlite::SqliteStore;
use faultline_coordinator::store::{Archive, NewMeasurement};
use faultline_model::{AgentId, Asn, Class, Judgement, Layer, LayerStatus, Timestamp, Why};
use faultline_runtime::now;
use kit::{Server, measurement, wait_until};
use std::path::Path;
use std::time::Duration;

const MANIFEST: &str = "/archive/manifest.jsonl";

/// Puts measurements into a store, as they came two hours ago.
async fn fill(data: &Path) -> anyhow::Result<Timestamp> {
    faultline_runtime::create_private_dir(data)?;
    let (store, _end) = SqliteStore::open(&data.join("faultline.sqlite"))?;
    let then = now() - Duration::from_secs(2 * 3600);
    let mut rows = Vec::new();
    for agent in 0..4 {
        for _ in 0..5 {
            rows.push(NewMeasurement {
                measurement: measurement("https://x.com/", then, true),
                agent: AgentId::new(format!("agent-{agent}"))?,
                asn: Some(Asn::new(23_674)?),
                country: "PK".parse().map_err(anyhow::Error::msg)?,
                control: false,
                is_home_network: true,
                why: Why::Routine,
                received_at: then,
                clock_offset_ms: 0,
            });
        }
    }
    let count = rows.len() as u64;
    store.append(rows).await?;
    let judgement = Judgement {
        class: Class::TlsReset,
        layer: Layer::Tls,
        status: LayerStatus::Blocked,
        rule: "tls.reset".into(),
        hop: 0,
        evidence: Default::default(),
    };
    store.note_judgements((1..=count).map(|position| (position, judgement.clone())).collect()).await?;
    Ok(then)
}

/// Waits until everything that is over is sealed; returns the list.
async fn sealed(server: &Server) -> anyhow::Result<Vec<serde_json::Value>> {
    wait_until("an hour is sealed", || async {
        let (status, _, body) = server.get(MANIFEST).await?;
        Ok(status == 200 && body.lines().count() >= 1)
    })
    .await?;
    let (_, _, body) = server.get(MANIFEST).await?;
    body.lines().map(|line| serde_json::from_str(line).context("a sealed hour")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_hour_is_read_whole_in_ranges_and_not_twice() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    fill(&data).await?;
    let server = Server::start(&data, &[]).await?;
    let hours = sealed(&server).await?;
    let files = hours[0]["files"].as_array().context("files")?;
    let file = files.iter().find(|file| file["audience"] == "public").context("a public file")?;
    let path = format!("/archive/{}", file["path"].as_str().context("a path")?);
    let (status, head, body) = server.get(&path).await?;
    assert_eq!((status, &body[..4]), (200, "PAR1"), "{head}");
    assert!(head.contains(&format!("content-length: {}", file["bytes"])), "{head}");
    let tag = format!("\"{}\"", file["sha256"].as_str().context("a hash")?);
    assert!(head.contains(&format!("etag: {tag}")) && head.contains("immutable"), "{head}");
    let (status, head, body) = server.get_with(&path, "range: bytes=0-3\r\n").await?;
    assert_eq!((status, body.as_str()), (206, "PAR1"), "{head}");
    assert!(head.contains(&format!("content-range: bytes 0-3/{}", file["bytes"])), "{head}");
    let stale = "range: bytes=0-3\r\nif-range: \"another\"\r\n";
    assert_eq!(server.get_with(&path, stale).await?.0, 200, "a range of another file is a range of nothing");
    assert_eq!(server.get_with(&path, &format!("if-none-match: {tag}\r\n")).await?.0, 304);
    let full = files.iter().find(|file| file["audience"] == "full").context("a full file")?;
    let full = format!("/archive/{}", full["path"].as_str().context("a path")?);
    for hidden in [full.as_str(), "/archive/public/../full/x", "/archive/public/%2e%2e/manifest.jsonl"] {
        assert_eq!(server.get(hidden).await?.0, 404, "{hidden}");
    }
    server.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_with_the_chain_and_refuses_a_broken_one() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    fill(&data).await?;
    let server = Server::start(&data, &[]).await?;
    let first = sealed(&server).await?;
    server.kill().await?;
    let server = Server::start(&data, &[]).await?;
    let again = sealed(&server).await?;
    assert_eq!(first[0], again[0], "a sealed hour never changes");
    server.stop().await?;
    let path = data.join("archive/manifest.jsonl");
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(
        &path,
        text.replacen("\"rows\":20", "\"rows\":20,\"x\":1", 1).replacen("sha256\":\"", "sha256\":\"0", 1),
    )?;
    let Err(error) = Server::start(&data, &[]).await else { anyhow::bail!("it went on") };
    assert!(format!("{error:#}").contains("the chain does not hold"), "{error:#}");
    Ok(())
}
