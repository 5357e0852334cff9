//! `faultline export --format`: incidents in the forms of other registers.

use super::explain::{value, whole_id};
use super::incidents::fetch;
use crate::arguments::ExportArguments;
use crate::connect;
use crate::output::{print, print_json};
use crate::trouble::{Exit, Trouble};
use anyhow::{Context, Result};
use faultline_analysis::tell::mapping::{Form, STOP_COLUMNS};
use faultline_proto::research::WriteIncidentRequest;
use serde_json::{Value, json};

pub(super) async fn run(api: &str, form: &str, arguments: &ExportArguments) -> Result<()> {
    let kind: Form = form.parse().map_err(|e: String| Trouble::new(Exit::Data, e))?;
    let mut client = connect::research(api).await?;
    let mut ids = Vec::new();
    for text in &arguments.incident {
        ids.push(whole_id(&mut client, text).await?);
    }
    if ids.is_empty() {
        let country = super::country_filter(arguments.country.as_deref())?;
        let all = fetch(&mut client, &country).await?;
        ids.extend(all.iter().filter(|incident| !incident.retracted).map(|incident| incident.id.to_string()));
    }
    let mut written = Vec::new();
    for id in ids {
        let answer = client.write_incident(WriteIncidentRequest { id, form: form.to_owned() }).await;
        let answer = answer.map_err(|e| Trouble::from_status("writing the incident", &e))?;
        written.push(value(&answer.into_inner().json)?);
    }
    match kind {
        Form::Stop => print(&table(&written)?),
        Form::Radar => print_json(&json!({ "success": true, "result": { "annotations": written } })),
        Form::Ioda => {
            let events = written.iter().filter_map(|one| one["data"].as_array()).flatten();
            print_json(&json!({ "data": events.collect::<Vec<_>>() }))
        }
    }
}

fn table(rows: &[Value]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(STOP_COLUMNS).context("writing the table")?;
    for row in rows {
        let cells = STOP_COLUMNS.map(|column| row[column].as_str().unwrap_or_default());
        writer.write_record(cells).context("writing the table")?;
    }
    let bytes = writer.into_inner().context("writing the table")?;
    String::from_utf8(bytes).context("writing the table")
}
