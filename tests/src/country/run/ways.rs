//! Ways around censorship in a run, by the real way: their far ends stand on the signed list, volunteers opt in to the
//! checks, the coordinator schedules them, and what it judged is read back from it.

use super::{Run, readers};
use crate::country::endpoints::{Far, Ways, check_of, is_ordered};
use crate::country::readers::fetch;
use anyhow::{Context, Result};
use faultline_model::{CheckKind, ProtocolClass};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The category of the far ends' service, which operators have to allow by name.
pub(super) const CATEGORY: &str = "ANON";

impl Run {
    /// Starts the far ends and returns the part of the list that names them; nothing if the scenario has none.
    pub(super) async fn start_ways(&mut self) -> Result<String> {
        if self.country.scenario.endpoints.is_empty() {
            return Ok(String::new());
        }
        let ways = Ways::start(&self.country).await.context("starting the far ends")?;
        let mut text =
            format!("\n[[service]]\nid = \"ways\"\nname = \"Ways around\"\ncategory = \"{CATEGORY}\"\n");
        for (endpoint, far) in &ways.all {
            match far {
                Far::Serves { target, .. } => {
                    let (url, check) = (target.as_str(), check_of(endpoint.class));
                    text.push_str(&format!(
                        "[[service.target]]\nurl = \"{url}\"\nrole = \"site\"\nchecks = [\"{check}\"]\n"
                    ));
                }
                Far::Missing(package) => {
                    let title = endpoint.class.title();
                    self.progress.say(&format!("{title}: not run; apt-get install {package}"));
                }
            }
        }
        self.ways = Some(ways);
        Ok(text)
    }

    /// Returns the checks that volunteers opt in to.
    pub(super) fn opt_ins(&self) -> BTreeSet<CheckKind> {
        self.country.scenario.endpoints.iter().map(|endpoint| check_of(endpoint.class)).collect()
    }

    /// Reads from the coordinator what operators and everybody may know, beside what the censor was ordered to do.
    pub(super) async fn read_ways(&self) -> Result<Option<Value>> {
        if self.ways.is_none() {
            return Ok(None);
        }
        let country = self.country.scenario.country.to_string();
        let text = self.operator(&["circumvention", &country, "--json"]).await?;
        let document: Value =
            serde_json::from_str(&text).context("reading faultline circumvention --json")?;
        let rows = readers::list(document, "rows");
        let path = format!("/api/v1/circumvention?country={country}");
        let public = fetch(&self.socket(), &path).await.context("reading what is public")?;
        let rows: Vec<Value> = rows.into_iter().map(|row| self.beside_orders(row)).collect();
        let right = rows.iter().filter(|row| row["right"] == true).count();
        self.progress.say(&format!(
            "ways around: {right} of {} are as ordered, {} rows are public",
            rows.len(),
            public["rows"].as_array().map_or(0, Vec::len)
        ));
        for row in &rows {
            self.progress.say(&format!(
                "  {} at {}: {} passed, {} blocked, {} unclear {}",
                row["class"], row["operator"], row["passed"], row["blocked"], row["unclear"], row["rules"]
            ));
        }
        Ok(Some(json!({ "rows": rows, "right": right, "public": public["rows"] })))
    }

    /// Reads which things were found to be blocked.
    pub(super) async fn read_diagnoses(&self) -> Result<Vec<Value>> {
        let path = format!("/api/v1/diagnoses?country={}", self.country.scenario.country);
        let document = fetch(&self.socket(), &path).await.context("reading diagnoses")?;
        Ok(readers::list(document, "diagnoses"))
    }

    fn beside_orders(&self, mut row: Value) -> Value {
        let scenario = &self.country.scenario;
        let class: Option<ProtocolClass> = row["class"].as_str().and_then(|class| class.parse().ok());
        let provider = scenario.providers.iter().find(|provider| row["asn"] == provider.asn.get());
        let endpoint = scenario.endpoints.iter().find(|endpoint| Some(endpoint.class) == class);
        if let (Some(provider), Some(endpoint)) = (provider, endpoint) {
            let ordered = is_ordered(scenario, provider, endpoint);
            let count = |key: &str| row[key].as_u64().unwrap_or_default();
            // The rules begin with the timeline, and agents may have measured before.
            let is_right =
                if ordered { count("blocked") > 0 } else { count("passed") > 0 && count("blocked") == 0 };
            row["ordered"] = ordered.into();
            row["right"] = is_right.into();
        }
        row
    }
}
