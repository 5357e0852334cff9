//! `faultline import`: measurements by others into a running coordinator.
//!
//! Rows are sent in batches through the operators' door. A batch that fails ends the import; what was stored stays,
//! and doing it again stores nothing twice.

use crate::arguments::ImportArguments;
use crate::connect;
use crate::home::Home;
use crate::lines::Lines;
use crate::output::{counted, print_json, printable};
use crate::trouble::{Exit, Trouble};
use anyhow::Result;
use faultline_analysis::replay::Row;
use faultline_proto::agent::ReceiptOutcome;
use faultline_proto::operator::operator_service_client::OperatorServiceClient;
use faultline_proto::operator::{ImportMeasurementsRequest, ImportedMeasurement};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tonic::transport::Channel;

/// Half of what one call may carry.
const BATCH: usize = 500;
/// Reasons for refusals that are told one by one.
const MAX_REASONS: usize = 20;

/// What became of the rows.
#[derive(Debug, Default, Serialize)]
struct Told {
    source: String,
    stored: u64,
    duplicates: u64,
    refused: u64,
    bad_lines: u64,
    /// Rows of controls, whose word is only taken first-hand.
    controls_left_out: u64,
    reasons: BTreeMap<String, u64>,
}

pub(super) async fn run(home: &Home, arguments: ImportArguments) -> Result<()> {
    let path = file(&arguments.from)?;
    let source = arguments.source.unwrap_or_else(|| name(&arguments.from));
    let mut lines = Lines::<Row>::open(&path)?;
    let mut client = connect::operator(home.credential()?).await?;
    let mut told = Told { source, ..Told::default() };
    let mut batch = Vec::with_capacity(BATCH);
    for row in lines.by_ref() {
        if row.control {
            told.controls_left_out += 1;
            continue;
        }
        batch.push(message(&row));
        if batch.len() == BATCH {
            send(&mut client, std::mem::take(&mut batch), &mut told).await?;
        }
    }
    if !batch.is_empty() {
        send(&mut client, batch, &mut told).await?;
    }
    told.bad_lines = lines.raw.bad;
    let end = lines.finish();
    if arguments.format.json {
        print_json(&told)?;
    } else {
        describe(&told);
    }
    end?;
    if told.stored + told.duplicates == 0 {
        return Err(Trouble::new(
            Exit::Data,
            format!("{} holds nothing that can be imported", path.display()),
        )
        .into());
    }
    Ok(())
}

fn file(from: &Path) -> Result<PathBuf, Trouble> {
    if !from.is_dir() {
        return Ok(from.to_owned());
    }
    let names = ["measurements.jsonl", "measurements.jsonl.gz"];
    names.iter().map(|name| from.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        Trouble::new(
            Exit::Data,
            format!("{} has no measurements.jsonl or measurements.jsonl.gz", from.display()),
        )
    })
}

/// Returns the name of a file or folder as a source, cut to what the coordinator takes.
fn name(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("a file");
    printable(name).chars().take(200).collect()
}

fn message(row: &Row) -> ImportedMeasurement {
    ImportedMeasurement {
        id: row.id.to_string(),
        agent_id: row.agent_id.to_string(),
        asn: row.asn.get(),
        country: row.country.to_string(),
        target: row.target.to_string(),
        category: row.category.to_string(),
        started_at_ms: row.started_at.unix_ms(),
        received_at_ms: row.received_at.unix_ms(),
        failure: row.failure.as_str().to_owned(),
        control_ok: row.control_ok,
    }
}

async fn send(
    client: &mut OperatorServiceClient<Channel>,
    measurements: Vec<ImportedMeasurement>,
    told: &mut Told,
) -> Result<(), Trouble> {
    let request = ImportMeasurementsRequest { source: told.source.clone(), measurements };
    let answer = client.import_measurements(request).await.map_err(|e| {
        let done = told.stored + told.duplicates;
        Trouble::from_status(&format!("importing after {}", counted(done, "measurement")), &e)
    })?;
    for receipt in answer.into_inner().receipts {
        match receipt.outcome() {
            ReceiptOutcome::Stored => told.stored += 1,
            ReceiptOutcome::Duplicate => told.duplicates += 1,
            _ => {
                told.refused += 1;
                let reason = printable(&receipt.reason);
                if told.reasons.len() < MAX_REASONS || told.reasons.contains_key(&reason) {
                    *told.reasons.entry(reason).or_default() += 1;
                }
            }
        }
    }
    Ok(())
}

fn describe(told: &Told) {
    anstream::println!(
        "{} stored, {} there already, {} refused, {}",
        counted(told.stored, "measurement"),
        told.duplicates,
        told.refused,
        counted(told.bad_lines, "bad line"),
    );
    if told.controls_left_out > 0 {
        anstream::println!("{} of controls left out", counted(told.controls_left_out, "measurement"));
    }
    for (reason, number) in &told.reasons {
        anstream::println!("  {number} refused: {reason}");
    }
}
