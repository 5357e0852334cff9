//! `faultline agents`.

use crate::connect;
use crate::home::Home;
use crate::output::{counted, grouped, print, print_json, span};
use crate::show::{Align, Table};
use crate::trouble::Trouble;
use anyhow::Result;
use faultline_model::Timestamp;
use faultline_proto::operator::{Agent, ListAgentsRequest};
use faultline_runtime::now;
use serde_json::{Value, json};

pub(super) async fn run(home: &Home, as_json: bool) -> Result<()> {
    let mut client = connect::operator(home.credential()?).await?;
    let answer = client.list_agents(ListAgentsRequest {}).await;
    let mut agents = answer.map_err(|e| Trouble::from_status("listing the agents", &e))?.into_inner().agents;
    agents.sort_by(|a, b| key(a).cmp(&key(b)));
    if as_json {
        return print_json(&json!({ "agents": agents.iter().map(to_json).collect::<Vec<_>>() }));
    }
    if agents.is_empty() {
        return print("no agents yet; `faultline invite --country CC` makes an invite for one\n");
    }
    let mut table = Table::new(&[
        ("agent", Align::Left),
        ("country", Align::Left),
        ("provider", Align::Left),
        ("kind", Align::Left),
        ("state", Align::Left),
        ("list", Align::Right),
        ("results", Align::Right),
        ("version", Align::Left),
        ("cohort", Align::Left),
    ]);
    let at = now();
    for agent in &agents {
        table.row(&row(agent, at));
    }
    let connected = agents.iter().filter(|agent| agent.connected).count();
    let all = counted(u64::try_from(agents.len()).unwrap_or(u64::MAX), "agent");
    print(&format!("{}{all}, {connected} connected\n", table.to_text()))
}

fn key(agent: &Agent) -> (bool, &str, &str, &str) {
    (agent.control, &agent.country, &agent.operator, &agent.agent_id)
}

fn row(agent: &Agent, at: Timestamp) -> Vec<String> {
    let network = if agent.asn == 0 { String::new() } else { format!("AS{}", agent.asn) };
    let provider = match agent.operator.as_str() {
        "" => network,
        // A coordinator without a profile names a provider after its network.
        name if name == network => network,
        name => format!("{name} {network}").trim_end().to_owned(),
    };
    vec![
        // Pseudonyms are random; the beginning is enough to tell them apart.
        agent.agent_id.chars().take(12).collect(),
        agent.country.clone(),
        if provider.is_empty() { "unknown".to_owned() } else { provider },
        if agent.control { "control".to_owned() } else { "volunteer".to_owned() },
        state(agent, at),
        if agent.list_version == 0 { "-".to_owned() } else { format!("v{}", agent.list_version) },
        grouped(agent.measurements),
        agent.agent_version.clone(),
        agent.cohort.clone(),
    ]
}

fn state(agent: &Agent, at: Timestamp) -> String {
    match (agent.connected, agent.paused, agent.last_seen_ms) {
        (true, true, _) => "paused".to_owned(),
        (true, false, _) => "connected".to_owned(),
        (false, _, 0) => "never seen".to_owned(),
        (false, _, ms) => format!("silent for {}", span(at.since(Timestamp::from_unix_ms(ms)).as_secs())),
    }
}

fn to_json(agent: &Agent) -> Value {
    let seen = (agent.last_seen_ms != 0).then(|| Timestamp::from_unix_ms(agent.last_seen_ms).to_string());
    json!({
        "agent_id": agent.agent_id, "country": agent.country, "asn": agent.asn, "operator": agent.operator,
        "control": agent.control, "connected": agent.connected, "paused": agent.paused, "last_seen": seen,
        "agent_version": agent.agent_version, "cohort": agent.cohort, "list_version": agent.list_version,
        "measurements": agent.measurements,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_connected_paused_silent_or_was_never_seen() {
        let at = Timestamp::from_unix_ms(100_000);
        let agent =
            |connected, paused, last_seen_ms| Agent { connected, paused, last_seen_ms, ..Agent::default() };
        assert_eq!(state(&agent(true, false, 1), at), "connected");
        assert_eq!(state(&agent(true, true, 1), at), "paused");
        assert_eq!(state(&agent(false, false, 40_000), at), "silent for 1 min 0 s");
        assert_eq!(state(&agent(false, false, 0), at), "never seen");
    }
}
