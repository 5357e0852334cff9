//! `faultline incidents`, and the reading of incidents for other commands.

use crate::arguments::IncidentsArguments;
use crate::connect;
use crate::output::{print, print_json};
use crate::show::incident_text;
use crate::trouble::{Exit, Trouble};
use anyhow::Result;
use faultline_model::Incident;
use faultline_proto::convert::incident_from_wire;
use faultline_proto::research::ListIncidentsRequest;
use faultline_proto::research::research_service_client::ResearchServiceClient;
use faultline_runtime::now;
use serde_json::json;
use tonic::transport::Channel;

const PAGE_SIZE: u32 = 500;
/// Beyond this a reader should use the published archive.
const MAX_INCIDENTS: usize = 20_000;

pub(super) async fn run(api: &str, arguments: &IncidentsArguments) -> Result<()> {
    let country = super::country_filter(arguments.country.as_deref())?;
    let mut client = connect::research(api).await?;
    let incidents = fetch(&mut client, &country).await?;
    if arguments.format.json {
        return print_json(&json!({ "incidents": incidents }));
    }
    if incidents.is_empty() {
        return print("no incidents\n");
    }
    let at = now();
    let texts: Vec<String> = incidents.iter().map(|incident| incident_text(incident, at)).collect();
    print(&texts.join("\n"))
}

/// Reads all incidents of a country (of all for an empty text), newest first.
pub(super) async fn fetch(
    client: &mut ResearchServiceClient<Channel>,
    country: &str,
) -> Result<Vec<Incident>, Trouble> {
    let mut incidents = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListIncidentsRequest { country: country.to_owned(), page_size: PAGE_SIZE, page_token };
        let page = client.list_incidents(request).await;
        let page = page.map_err(|e| Trouble::from_status("listing incidents", &e))?.into_inner();
        for incident in &page.incidents {
            incidents.push(readable(incident)?);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(incidents);
        }
        if incidents.len() >= MAX_INCIDENTS {
            anstream::eprintln!("only the newest {MAX_INCIDENTS} incidents are listed");
            return Ok(incidents);
        }
    }
}

/// Reads an incident from the wire.
pub(super) fn readable(incident: &faultline_proto::research::Incident) -> Result<Incident, Trouble> {
    incident_from_wire(incident).map_err(|e| {
        Trouble::new(Exit::Failure, "the coordinator sent an incident that this program cannot read")
            .source(e)
            .hint("the coordinator may be newer than this program")
    })
}
