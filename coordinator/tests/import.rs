//! Measurements by others, through the operators' door.

mod kit;

use anyhow::Context;
use faultline_proto::agent::ReceiptOutcome;
use faultline_proto::operator::{ImportMeasurementsRequest, ImportedMeasurement};
use faultline_runtime::{OperatorKey, now};
use kit::{Server, Wish, list, wait_until};
use serde_json::Value;
use tonic::Code;

const TARGET: &str = "https://x.com/";

fn measured(id: &str, agent: &str, failure: &str) -> ImportedMeasurement {
    ImportedMeasurement {
        id: id.into(),
        agent_id: agent.into(),
        asn: 3215,
        country: "XW".into(),
        target: TARGET.into(),
        category: "GRP".into(),
        started_at_ms: now().unix_ms() - 20_000,
        received_at_ms: now().unix_ms() - 19_000,
        failure: failure.into(),
        control_ok: Some(true),
    }
}

async fn import(
    server: &Server,
    measurements: Vec<ImportedMeasurement>,
) -> Result<Vec<(ReceiptOutcome, String)>, tonic::Status> {
    let mut operator = server.operator().await.map_err(|e| tonic::Status::internal(e.to_string()))?;
    let request = ImportMeasurementsRequest { source: "a survey".into(), measurements };
    let answer = operator.client.import_measurements(request).await?.into_inner();
    Ok(answer.receipts.into_iter().map(|receipt| (receipt.outcome(), receipt.reason)).collect())
}

fn outcomes(receipts: &[(ReceiptOutcome, String)]) -> Vec<ReceiptOutcome> {
    receipts.iter().map(|(outcome, _)| *outcome).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_imported_twice_is_stored_once_and_bad_rows_are_refused_one_by_one() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[]).await?;
    use ReceiptOutcome::{Duplicate, Refused, Stored};
    let good = measured("one", "theirs", "tls_reset");
    let odd = [
        ImportedMeasurement { id: "two".into(), failure: "gone".into(), ..good.clone() },
        ImportedMeasurement { id: "three".into(), target: "https://192.168.1.1/".into(), ..good.clone() },
        ImportedMeasurement { id: "four".into(), country: "xw".into(), ..good.clone() },
        ImportedMeasurement {
            id: "five".into(),
            received_at_ms: now().unix_ms() + 3_600_000,
            ..good.clone()
        },
        ImportedMeasurement { id: "no/path".into(), ..good.clone() },
        ImportedMeasurement { id: "six".into(), asn: 0, ..good.clone() },
    ];
    let all: Vec<_> = std::iter::once(good.clone()).chain(odd).collect();
    let receipts = import(&server, all).await?;
    assert_eq!(outcomes(&receipts), [Stored, Refused, Refused, Refused, Refused, Refused, Refused]);
    assert!(receipts[1].1.contains("gone") && receipts[3].1.contains("country"), "{receipts:?}");
    assert_eq!(outcomes(&import(&server, vec![good.clone(), good.clone()]).await?), [Duplicate, Duplicate]);
    let changed = ImportedMeasurement { failure: "ok".into(), ..good };
    assert_eq!(outcomes(&import(&server, vec![changed]).await?), [Refused]);

    let many = (0..1_001).map(|number| measured(&format!("n{number}"), "theirs", "ok")).collect();
    let error = import(&server, many).await.expect_err("too many");
    assert_eq!(error.code(), Code::InvalidArgument);
    Ok(())
}

#[tokio::test]
async fn only_operators_import() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[]).await?;
    server.operator().await?.push(&OperatorKey::generate()?, &list(1), true).await?;
    let agent = server.enrol(Wish::default()).await?;
    let channel = server.channel(Some(&agent.identity), "127.0.0.1:0").await?;
    let mut client = faultline_proto::operator::operator_service_client::OperatorServiceClient::new(channel);
    let request = ImportMeasurementsRequest {
        source: String::new(),
        measurements: vec![measured("one", "theirs", "ok")],
    };
    let error = client.import_measurements(request).await.expect_err("an agent's certificate");
    assert!(matches!(error.code(), Code::PermissionDenied | Code::Unauthenticated), "{error}");
    Ok(())
}

/// Starts a coordinator for one country and imports a block that five vantage points of others saw.
async fn with_block(dir: &std::path::Path, more: &str) -> anyhow::Result<Server> {
    let profile = dir.join("xw.toml");
    let text = format!(
        "country = \"XW\"\nname = \"Westland\"\n{more}\n[[operator]]\nname = \"West\"\nasns = [3215]\n"
    );
    std::fs::write(&profile, text)?;
    let path = profile.to_str().context("a path of letters")?;
    let server = Server::start(&dir.join("data"), &["--profile", path]).await?;
    server.operator().await?.push(&OperatorKey::generate()?, &list(1), true).await?;
    let mut rows = Vec::new();
    for agent in 0..5 {
        let own = |target: &str, category: &str, failure: &str| ImportedMeasurement {
            target: target.into(),
            category: category.into(),
            ..measured(&format!("{agent}-{category}"), &format!("agent{agent}"), failure)
        };
        rows.push(own("https://example.com/", "CTRL", "ok"));
        rows.push(own("https://www.wikipedia.org/", "CULTR", "ok"));
        rows.push(own(TARGET, "GRP", "tls_reset"));
    }
    let receipts = import(&server, rows).await?;
    assert!(receipts.iter().all(|(outcome, _)| *outcome == ReceiptOutcome::Stored), "{receipts:?}");
    Ok(server)
}

async fn incidents(server: &Server) -> anyhow::Result<Vec<Value>> {
    let answer = server.json("/api/v1/incidents?country=XW").await?;
    Ok(answer["incidents"].as_array().context("incidents")?.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_count_only_where_the_countrys_profile_says_so() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let counting = with_block(dir.path(), "imported_as_evidence = true").await?;
    wait_until("the block is told", || async { Ok(!incidents(&counting).await?.is_empty()) }).await?;
    let told = incidents(&counting).await?;
    assert_eq!(told[0]["asns"], serde_json::json!([3215]), "{told:#?}");

    let other = tempfile::tempdir()?;
    let silent = with_block(other.path(), "").await?;
    // The matrix of a coordinator that has looked shows whom it heard: nobody.
    let looked = || async {
        Ok(silent.json("/api/v1/matrix?country=XW").await?["at"]
            .as_str()
            .is_some_and(|at| !at.starts_with("1970")))
    };
    wait_until("the pipeline has looked", looked).await?;
    assert_eq!(incidents(&silent).await?, Vec::<Value>::new());
    let matrix = silent.json("/api/v1/matrix?country=XW").await?;
    assert!(!matrix.to_string().contains("\"blocked\""), "{matrix:#}");
    Ok(())
}
