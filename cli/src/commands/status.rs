//! `faultline status`.

use super::incidents;
use crate::arguments::StatusArguments;
use crate::connect;
use crate::output::{print, print_json, width};
use crate::show::{headline_line, matrix_json, matrix_text};
use crate::trouble::Trouble;
use anyhow::Result;
use faultline_model::Incident;
use faultline_proto::research::GetMatrixRequest;
use serde_json::json;

pub(super) async fn run(api: &str, arguments: &StatusArguments) -> Result<()> {
    let country = super::country(&arguments.country)?.to_string();
    let mut client = connect::research(api).await?;
    let matrix = client.get_matrix(GetMatrixRequest { country: country.clone() }).await;
    let matrix = matrix.map_err(|e| Trouble::from_status("reading the matrix", &e))?.into_inner();
    let incidents = incidents::fetch(&mut client, &country).await?;
    let open: Vec<Incident> =
        incidents.into_iter().filter(|incident| incident.end.is_none() && !incident.retracted).collect();
    if arguments.format.json {
        let mut value = matrix_json(&matrix);
        value["incidents"] = json!(open);
        return print_json(&value);
    }
    let mut text = matrix_text(&matrix, width());
    text.push('\n');
    if open.is_empty() {
        text.push_str("no open incident\n");
    }
    for incident in &open {
        text.push_str(&headline_line(incident));
    }
    print(&text)
}
