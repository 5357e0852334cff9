//! Ways around censorship: no list leads agents to the coordinator, and results are held back from the public.

mod kit;

use anyhow::Context;
use faultline_model::{
    CheckKind, Engine, Fact, Failure, Layer, Measurement, Observation, Target, TargetSpec, TaskList,
    TunnelFact, TunnelStage,
};
use faultline_proto::agent::ReceiptOutcome;
use faultline_proto::operator::{CircumventionRow, GetCircumventionRequest, ReleaseCircumventionRequest};
use faultline_runtime::{OperatorKey, now};
use kit::{Server, Wish, list, measurement};
use serde_json::{Value, json};
use std::time::Duration;

const FAR: &str = "openvpn://relay.example.net:1194?transport=udp";

/// A list that also names a far end.
fn list_with(target: &str) -> anyhow::Result<TaskList> {
    let mut list = list(1);
    let first = list.targets.first().context("a target")?;
    let target = Target::new(target)?;
    let spec = TargetSpec { target, checks: vec![CheckKind::Openvpn], ..first.clone() };
    list.targets.push(spec);
    Ok(list)
}

fn handshake(stage: TunnelStage) -> anyhow::Result<Measurement> {
    let mut measurement = measurement("https://x.com/", now(), false);
    measurement.check = CheckKind::Openvpn;
    measurement.target = Target::new(FAR)?;
    measurement.observations.truncate(1);
    measurement.observations.push(Observation {
        layer: Layer::Tunnel,
        engine: Engine::System,
        hop: 0,
        peer: Some("93.184.216.34:1194".parse()?),
        at: Duration::from_millis(20),
        took: Duration::from_secs(1),
        failure: (stage != TunnelStage::Complete).then_some(Failure::Timeout),
        fact: Fact::Tunnel(TunnelFact { stage, ..TunnelFact::default() }),
    });
    Ok(measurement)
}

async fn operators_see(server: &Server) -> anyhow::Result<Vec<CircumventionRow>> {
    let request = GetCircumventionRequest { country: "PK".into() };
    Ok(server.operator().await?.client.get_circumvention(request).await?.into_inner().rows)
}

async fn public(server: &Server) -> anyhow::Result<Value> {
    Ok(server.json("/api/v1/circumvention?country=PK").await?["rows"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_leads_agents_to_the_coordinator_is_refused() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let own = ["--advertise", "coordinator.example.net:7443", "--advertise", "127.0.0.1:7443"];
    let server = Server::start(&dir.path().join("data"), &own).await?;
    let mut operator = server.operator().await?;
    let key = OperatorKey::generate()?;
    for own in [
        "openvpn://coordinator.example.net:1194?transport=udp",
        "openvpn://COORDINATOR.example.net:443?transport=tcp",
    ] {
        let refused = operator.push(&key, &list_with(own)?, true).await.err().context("refused")?;
        assert!(refused.message().contains("own host"), "{}", refused.message());
    }
    operator.push(&key, &list_with(FAR)?, true).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fresh_results_are_for_operators_until_they_release_them() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[]).await?;
    server.operator().await?.push(&OperatorKey::generate()?, &list_with(FAR)?, true).await?;
    let mut control = server.enrol(Wish { asn: 24940, control: true, ..Wish::default() }).await?;
    let mut agent = server.enrol(Wish { asn: 23674, ..Wish::default() }).await?;
    control.upload(&[handshake(TunnelStage::Complete)?]).await?;
    let receipts = agent.upload(&[handshake(TunnelStage::Sent)?]).await?;
    assert_eq!(receipts[0].outcome(), ReceiptOutcome::Stored, "{}", receipts[0].reason);

    kit::wait_until("it is judged", || async { Ok(!operators_see(&server).await?.is_empty()) }).await?;
    let own = operators_see(&server).await?;
    let outline = (own[0].protocol_class.as_str(), own[0].blocked, own[0].held_back);
    assert_eq!(outline, ("openvpn_udp", 1, 1));
    assert_eq!(own[0].rules, ["openvpn_udp.drop"]);
    assert_eq!(public(&server).await?, json!([]), "held back");
    for path in ["matrix", "incidents", "circumvention", "diagnoses"] {
        let (_, _, body) = server.get(&format!("/api/v1/{path}?country=PK")).await?;
        assert!(!body.contains("relay.example.net") && !body.contains("openvpn"), "{path}: {body}");
    }
    let (_, _, page) = server.get("/?country=PK").await?;
    assert!(!page.contains("relay.example.net") && !page.contains("openvpn"));

    let mut client = server.operator().await?.client;
    let wrong = ReleaseCircumventionRequest { country: "PK".into(), protocol_class: "tor".into() };
    client.release_circumvention(wrong.clone()).await?;
    assert_eq!(public(&server).await?, json!([]), "another class was released");
    let right = ReleaseCircumventionRequest { protocol_class: "openvpn_udp".into(), ..wrong };
    client.release_circumvention(right).await?;
    let shown = public(&server).await?;
    assert_eq!((&shown[0]["class"], &shown[0]["blocked"]), (&json!("openvpn_udp"), &json!(1)));
    assert!(!shown.to_string().contains("relay.example.net"), "by class, never by host: {shown}");
    agent.upload(&[handshake(TunnelStage::Sent)?]).await?;
    let is_two = || async { Ok(operators_see(&server).await?[0].blocked == 2) };
    kit::wait_until("the next is judged", is_two).await?;
    assert_eq!(public(&server).await?, json!([]), "what comes later holds its hour back again");
    Ok(())
}
