//! What operators and readers do beside a run: note announced events and an authority's claim, and ask every question of
//! every incident.

use super::Run;
use anyhow::{Context, Result};
use faultline_model::Timestamp;
use serde_json::{Value, json};

const SOURCE: &str = "https://news.example/announced";

impl Run {
    /// Says whether the scenario has anything to ask about.
    pub(super) fn has_questions(&self) -> bool {
        let scenario = &self.country.scenario;
        !scenario.events.is_empty() || scenario.claim.is_some()
    }

    /// Notes the announced events as an operator does, before anything happens.
    pub(super) async fn note_events(&self, start_ms: i64) -> Result<()> {
        let country = self.country.scenario.country.to_string();
        let start = Timestamp::from_unix_ms(start_ms);
        for event in &self.country.scenario.events {
            let (from, to) = ((start + event.from).to_string(), (start + event.to).to_string());
            let times = ["--from", from.as_str(), "--to", to.as_str()];
            let about =
                ["calendar", "add", event.name.as_str(), "--country", country.as_str(), "--source", SOURCE];
            self.operator(&[&about[..], &times[..]].concat()).await?;
        }
        Ok(())
    }

    /// Notes the claim about every incident that stands, and returns the answers to all questions, with one comparison
    /// for each provider.
    pub(super) async fn ask_questions(&self) -> Result<Value> {
        let mut all = Vec::new();
        let stands = |incident: &&Value| incident["retracted"] == false;
        for incident in self.incidents.iter().filter(stands) {
            let id = incident["id"].as_str().context("an incident has an id")?;
            if let Some(claim) = &self.country.scenario.claim {
                let about = ["claim", "add", claim.as_str(), "--by", "the regulator", "--source", SOURCE];
                self.operator(&[&about[..], &["--incident", id, "--json"]].concat()).await?;
            }
            let said = self.read(&["explain", id, "--json"]).await?;
            let mut comparisons = Vec::new();
            for provider in &self.country.scenario.providers {
                let asn = provider.asn.get().to_string();
                comparisons.push(self.read(&["compare", &asn, "--incident", id, "--json"]).await?);
            }
            all.push(json!({ "explanation": said, "comparisons": comparisons }));
        }
        Ok(Value::Array(all))
    }

    async fn read(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.operator(arguments).await?;
        serde_json::from_str(&text).with_context(|| format!("reading faultline {}", arguments.join(" ")))
    }
}
