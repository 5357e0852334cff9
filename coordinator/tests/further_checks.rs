//! Results of `quic` and `throughput` are taken and stored, and are no evidence about pages.

mod kit;

use anyhow::Context;
use faultline_model::{
    CheckKind, DownloadEnd, Engine, Fact, Failure, Layer, Measurement, Observation, QuicFact, Target,
    ThroughputFact,
};
use faultline_proto::agent::ReceiptOutcome;
use faultline_runtime::{OperatorKey, now};
use kit::{Server, Wish, list, measurement};
use serde_json::Value;
use std::time::Duration;

const X: &str = "https://x.com/";

/// A measurement by another check, which ended at one step after the name.
fn by(check: CheckKind, layer: Layer, fact: Fact, failure: Option<Failure>) -> Measurement {
    let mut measurement = measurement(X, now(), false);
    measurement.check = check;
    measurement.observations.truncate(1);
    measurement.observations.push(Observation {
        layer,
        engine: Engine::System,
        hop: 0,
        peer: Some("93.184.216.34:443".parse().expect("an address")),
        at: Duration::from_millis(20),
        took: Duration::from_secs(10),
        failure,
        fact,
    });
    measurement
}

fn dropped() -> Measurement {
    let fact = Fact::Quic(QuicFact { datagrams_sent: 5, ..QuicFact::default() });
    by(CheckKind::Quic, Layer::Quic, fact, Some(Failure::Timeout))
}

fn slowed() -> Measurement {
    let fact = ThroughputFact {
        status: 200,
        body_bytes: 150_000,
        body_ms: 10_000,
        end: DownloadEnd::TimeCap,
        ..ThroughputFact::default()
    };
    by(CheckKind::Throughput, Layer::Http, Fact::Throughput(fact), None)
}

/// Returns the results of the one cell of x.com that has some.
async fn results(server: &Server) -> anyhow::Result<Option<(u64, u64)>> {
    let matrix = server.json("/api/v1/matrix?country=PK").await?;
    let services = matrix["services"].as_array().context("services")?;
    let Some(column) = services.iter().position(|service| service["id"] == "x") else { return Ok(None) };
    let rows = matrix["rows"].as_array().context("rows")?;
    let number = |cell: &Value, key: &str| cell[key].as_u64().unwrap_or_default();
    let cells = rows.iter().map(|row| &row["cells"][column]);
    let mut counts = cells.map(|cell| (number(cell, "results"), number(cell, "anomalies")));
    Ok(counts.find(|(results, _)| *results > 0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_quic_and_a_slowed_download_leave_the_cell_of_a_page_as_it_is() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[]).await?;
    let mut list = list(1);
    let spec = list.targets.iter_mut().find(|spec| spec.target.as_str() == X).context("x.com")?;
    spec.checks.extend([CheckKind::Quic, CheckKind::Throughput]);
    list.throughput_control = Some(Target::new("https://files.example.com/big")?);
    server.operator().await?.push(&OperatorKey::generate()?, &list, true).await?;
    let mut agent = server.enrol(Wish { asn: 23674, ..Wish::default() }).await?;
    for failing in [dropped(), slowed()] {
        let receipts = agent.upload(&[failing]).await?;
        assert_eq!(receipts[0].outcome(), ReceiptOutcome::Stored, "{}", receipts[0].reason);
    }
    let unlisted = Measurement { target: Target::new("https://www.facebook.com/")?, ..dropped() };
    let receipts = agent.upload(&[unlisted]).await?;
    assert_eq!(receipts[0].outcome(), ReceiptOutcome::Refused, "the list has only web there");
    agent.upload(&[measurement(X, now(), false)]).await?;
    // What was stored before is read before: once the page is in its cell, the others would be too.
    kit::wait_until("the page is in its cell", || async { Ok(results(&server).await?.is_some()) }).await?;
    assert_eq!(results(&server).await?, Some((1, 0)));
    Ok(())
}
