//! `faultline readiness`: which verdicts the vantage points that there are could give.
//!
//! Reads a folder in the replay format, such as `faultline-coordinator export` writes: who beat in the day before the
//! moment asked about is there.

use super::replay::{find, read_topology};
use crate::arguments::ReadinessArguments;
use crate::lines::Lines;
use crate::output::{print, print_json, span};
use crate::show::{Align, Table};
use crate::trouble::{Exit, Trouble};
use anyhow::Result;
use faultline_analysis::readiness::{Answer, Means, Readiness, readiness};
use faultline_analysis::replay::{Heartbeat, Recording, Row, Topology};
use faultline_model::{AgentId, Asn, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
const REGION_AGENTS: usize = 5;

pub(super) fn run(arguments: &ReadinessArguments) -> Result<()> {
    let country = super::country(&arguments.country)?;
    let topology = read_topology(&arguments.data)?;
    if topology.country != country {
        let text =
            format!("{} holds data of {}, not of {country}", arguments.data.display(), topology.country);
        return Err(Trouble::new(Exit::Data, text).into());
    }
    let means = means(arguments, &topology)?;
    let setup =
        topology.setup().map_err(|e| Trouble::new(Exit::Data, "topology.json cannot be used").source(e))?;
    let said = readiness(&setup.profile, &means);
    if arguments.format.json {
        return print_json(&said);
    }
    print(&text(&said))
}

fn means(arguments: &ReadinessArguments, topology: &Topology) -> Result<Means> {
    let mut seen = Seen::default();
    let at = arguments.at;
    if let Some(path) = find(&arguments.data, "heartbeats.jsonl")? {
        let mut beats = Lines::<Heartbeat>::open(&path)?;
        for beat in &mut beats {
            seen.add((beat.agent_id, beat.asn, beat.control), beat.at, at);
        }
        beats.finish()?;
    }
    if let Some(path) = find(&arguments.data, "measurements.jsonl")? {
        let mut rows = Lines::<Row>::open(&path)?;
        for row in &mut rows {
            seen.downloads |= row.check == "throughput";
            seen.add((row.agent_id, row.asn, row.control), row.received_at, at);
        }
        rows.finish()?;
    }
    let from = seen.last.map(|last| last - DAY);
    let recent =
        || seen.agents.iter().filter(|(_, last)| from.is_none_or(|from| **last >= from)).map(|(key, _)| key);
    let reference: BTreeSet<Asn> =
        topology.asns.iter().filter(|row| row.reference).map(|row| row.asn).collect();
    let mut agents: BTreeMap<Asn, usize> = BTreeMap::new();
    let mut controls: BTreeSet<Asn> = BTreeSet::new();
    for (_, asn, control) in recent() {
        if *control || reference.contains(asn) {
            controls.insert(*asn);
        } else {
            *agents.entry(*asn).or_default() += 1;
        }
    }
    let mut regions: BTreeMap<&str, usize> = BTreeMap::new();
    for row in topology.agents.iter().filter(|row| !row.region.is_empty()) {
        *regions.entry(row.region.as_str()).or_default() += 1;
    }
    let canaries =
        topology.targets.iter().filter(|row| row.category.is_canary() && row.hosting != "domestic");
    let covered = seen.first.zip(seen.last).map_or(Duration::ZERO, |(first, last)| last.since(first));
    // Recorded rows say how their control went, so that there was one.
    let control_networks =
        if topology.mode == Recording::Live { controls.len() } else { controls.len().max(2) };
    Ok(Means {
        agents,
        control_networks,
        targets: topology.targets.len(),
        canaries: canaries.count(),
        downloads: usize::from(seen.downloads),
        landmarks: topology.landmarks.len(),
        regions: regions.values().filter(|agents| **agents >= REGION_AGENTS).count(),
        history_days: covered.as_secs_f64() / DAY.as_secs_f64(),
        period_s: topology.base_period_s,
        is_live: topology.mode == Recording::Live,
    })
}

/// Who was heard, and when last.
#[derive(Default)]
struct Seen {
    agents: BTreeMap<(AgentId, Asn, bool), Timestamp>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    downloads: bool,
}

impl Seen {
    fn add(&mut self, key: (AgentId, Asn, bool), when: Timestamp, at: Option<Timestamp>) {
        if at.is_some_and(|at| when > at) {
            return;
        }
        let last = self.agents.entry(key).or_insert(when);
        *last = (*last).max(when);
        self.first = Some(self.first.map_or(when, |first| first.min(when)));
        self.last = self.last.max(Some(when));
    }
}

fn text(said: &Readiness) -> String {
    let mut table = Table::new(&[
        ("provider", Align::Left),
        ("users", Align::Right),
        ("agents", Align::Right),
        ("verdict", Align::Left),
        ("detectable", Align::Left),
        ("what would change it", Align::Left),
    ]);
    for provider in &said.providers {
        for answer in &provider.verdicts {
            let users = format!("{:.0} %", 100.0 * provider.user_share);
            table.row(&row((provider.name.clone(), users, provider.agents.to_string()), answer));
        }
    }
    for answer in &said.country {
        table.row(&row(("the country".to_owned(), String::new(), String::new()), answer));
    }
    let mut text = table.to_text();
    for note in &said.notes {
        let _ = writeln!(text, "{note}");
    }
    text
}

fn row((name, users, agents): (String, String, String), answer: &Answer) -> Vec<String> {
    let when =
        answer.delay_s.map_or_else(|| "no".to_owned(), |delay| format!("after {}", span(delay.into())));
    let fix = match (&answer.missing, &answer.fix) {
        (Some(missing), Some(fix)) => format!("{fix} ({missing})"),
        _ => String::new(),
    };
    vec![name, users, agents, answer.verdict.to_string(), when, fix]
}
