//! `faultline explain` and `faultline compare`.

use super::incidents::fetch;
use crate::arguments::{CompareArguments, ExplainArguments};
use crate::connect;
use crate::home::Home;
use crate::output::{print, print_json};
use crate::show::{comparison_text, explanation_text};
use crate::trouble::{Exit, Trouble};
use anyhow::Result;
use faultline_analysis::tell::{Comparison, Explanation};
use faultline_model::{Asn, Incident};
use faultline_proto::operator;
use faultline_proto::research::research_service_client::ResearchServiceClient;
use faultline_proto::research::{CompareNetworkRequest, ExplainIncidentRequest};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tonic::transport::Channel;

/// The shortest beginning of an id that is looked up.
const LEAST_ID: usize = 4;
const ID_CHARS: usize = 32;

pub(super) async fn run(home: &Home, api: &str, arguments: &ExplainArguments) -> Result<()> {
    let mut client = connect::research(api).await?;
    let id = whole_id(&mut client, &arguments.id).await?;
    let json = if arguments.researcher {
        let mut client = connect::operator(home.credential()?).await?;
        let answer = client.explain_incident(operator::ExplainIncidentRequest { id }).await;
        answer.map_err(|e| Trouble::from_status("explaining the incident", &e))?.into_inner().json
    } else {
        explained(&mut client, id).await?
    };
    if arguments.format.json {
        return print_json(&value(&json)?);
    }
    print(&explanation_text(&parsed::<Explanation>(&json)?))
}

/// Asks for the public answers to an incident's questions.
pub(super) async fn explained(
    client: &mut ResearchServiceClient<Channel>,
    id: String,
) -> Result<String, Trouble> {
    let answer = client.explain_incident(ExplainIncidentRequest { id }).await;
    Ok(answer.map_err(|e| Trouble::from_status("explaining the incident", &e))?.into_inner().json)
}

pub(super) async fn compare(api: &str, arguments: &CompareArguments) -> Result<()> {
    let number = arguments.asn.trim_start_matches(['A', 'S', 'a', 's']);
    let asn = number.parse().ok().and_then(|number| Asn::recorded(number).ok());
    let asn = asn.ok_or_else(|| {
        Trouble::new(
            Exit::Data,
            format!("{:?} is no network; write its number, such as 23674", arguments.asn),
        )
    })?;
    let mut client = connect::research(api).await?;
    let id = whole_id(&mut client, &arguments.incident).await?;
    let answer = client.compare_network(CompareNetworkRequest { id, asn: asn.get() }).await;
    let json = answer.map_err(|e| Trouble::from_status("comparing the network", &e))?.into_inner().json;
    if arguments.format.json {
        return print_json(&value(&json)?);
    }
    print(&comparison_text(&parsed::<Comparison>(&json)?))
}

/// Returns an incident's whole id from its beginning.
pub(super) async fn whole_id(
    client: &mut ResearchServiceClient<Channel>,
    text: &str,
) -> Result<String, Trouble> {
    if text.len() >= ID_CHARS {
        return Ok(text.to_owned());
    }
    if text.len() < LEAST_ID {
        let message = format!("{text:?} is too short for an incident's id");
        return Err(Trouble::new(Exit::Data, message).hint("give at least four characters of it"));
    }
    let all = fetch(client, "").await?;
    if all.iter().any(|incident| incident.id.as_str() == text) {
        return Ok(text.to_owned());
    }
    let found: Vec<&Incident> = all.iter().filter(|one| one.id.as_str().starts_with(text)).collect();
    match found.as_slice() {
        [one] => Ok(one.id.to_string()),
        [] => Err(Trouble::new(Exit::Data, format!("there is no incident {text:?}"))
            .hint("`faultline incidents` lists them")),
        _ => Err(Trouble::new(Exit::Data, format!("{} incidents begin with {text:?}", found.len()))),
    }
}

pub(super) fn value(json: &str) -> Result<Value, Trouble> {
    parsed(json)
}

pub(super) fn parsed<T: DeserializeOwned>(json: &str) -> Result<T, Trouble> {
    serde_json::from_str(json).map_err(|e| {
        Trouble::new(Exit::Failure, "the coordinator's answer cannot be read")
            .source(e)
            .hint("the coordinator may be newer than this program")
    })
}
