//! `export`: what a coordinator stored of one country, in the format that `faultline replay` reads.
//!
//! # Files
//! - `measurements.jsonl`: every judged measurement that detection read, in the order of storing, with why it was
//!   made; those of controls too, which stand for every country;
//! - `heartbeats.jsonl`: presence as it was heard;
//! - `imported.jsonl`: measurements by others that were imported, which live detection did not read;
//! - `ooni.jsonl`, where asked for: the volunteers' measurements in OONI's format, each beside the nearest control's;
//! - `topology.json`: the profile, the list, the baseline, when the coordinator itself was down, and that this was a
//!   live run.
//!
//! The store is only read, so that the coordinator may go on running. The files hold agents' pseudonyms and are
//! written for their owner alone; they are material for those who run the coordinator, not a publication.

mod ooni;

use crate::config::Settings;
use crate::countries::Countries;
use crate::lists::Lists;
use crate::pipeline::{record_of, setup_of};
use crate::planning::beat_s;
use crate::store::sqlite::SqliteStore;
use crate::store::{AgentRecord, Archive, PresenceEvent, Registry};
use anyhow::{Context, bail};
use faultline_analysis::replay::{Heartbeat, Row, Topology};
use faultline_model::{AgentId, CountryCode, Timestamp};
use faultline_runtime::{create_private_dir, now};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

const PAGE: usize = 5_000;
/// As often as a coordinator looks when nothing happens.
const LOOKS_EVERY_S: f64 = 2.0;
/// A coordinator that runs notes a sign of life of its own every 15 seconds; three missed ones are an outage.
const DOWN: Duration = Duration::from_secs(45);

/// What is to be exported.
#[derive(Clone, Debug)]
pub struct Export {
    /// The country.
    pub country: CountryCode,
    /// Only what was received at or after this moment.
    pub since: Timestamp,
    /// Only what was received before this moment.
    pub until: Option<Timestamp>,
    /// Write OONI's format too.
    pub is_ooni: bool,
}

/// How much was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Measurements.
    pub measurements: u64,
    /// Measurements that were not judged yet, or that weigh nothing because nobody knows their network or target.
    pub left_out: u64,
    /// Presence events of agents.
    pub heartbeats: u64,
    /// Measurements by others.
    pub imported: u64,
    /// Measurements in OONI's format.
    pub ooni: u64,
}

/// Writes a country's stored data into a folder that must not exist or be empty.
///
/// # Errors
/// Says what cannot be read or written.
pub async fn export(settings: Settings, wish: Export, out: &Path) -> anyhow::Result<Exported> {
    let file = settings.data.join("faultline.sqlite");
    if !file.is_file() {
        bail!("{} holds no coordinator's data", settings.data.display());
    }
    let is_taken = |out: &Path| out.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if out.is_file() || is_taken(out) {
        bail!("{} is there already; name a new folder", out.display());
    }
    create_private_dir(out).context("the folder cannot be made")?;
    let (store, _end) = SqliteStore::open(&file)?;
    let lists = Lists::load(&store).await?;
    let until = wish.until.unwrap_or_else(now);
    let profile = Countries::new(settings.profiles).profile(wish.country);
    let setup = setup_of(&lists, profile, &settings.baseline);
    let mut exported = Exported::default();
    let wish = Export { until: Some(until), ..wish };
    measurements(&store, &lists, (&wish, out), &mut exported).await?;
    let (own_outages, lived) = presence(&store, (&wish, out), &mut exported).await?;
    imported(&store, (&wish, out), &mut exported).await?;
    if wish.is_ooni {
        exported.ooni = ooni::write_all(&store, &setup.profile, (&wish, out)).await?;
    }
    // Whoever exports a stopped coordinator's data does it some time after it lived.
    let end = lived.filter(|lived| until.since(*lived) > DOWN).unwrap_or(until);
    let mut topology = Topology::of(&setup, Some(end));
    topology.looks_every_s = Some(LOOKS_EVERY_S);
    topology.own_outages = own_outages;
    let text = serde_json::to_string_pretty(&topology).context("writing the topology")?;
    std::fs::write(out.join("topology.json"), text + "\n").context("writing the topology")?;
    Ok(exported)
}

async fn measurements(
    store: &SqliteStore,
    lists: &Lists,
    (wish, out): (&Export, &Path),
    exported: &mut Exported,
) -> anyhow::Result<()> {
    let mut lines = Lines::create(&out.join("measurements.jsonl"))?;
    let mut position = store.position_at(wish.since).await?;
    loop {
        let page = store.measurements_after(position, PAGE).await?;
        position = page.position;
        for stored in page.measurements {
            let is_of_country = stored.row.country == wish.country || stored.row.control;
            if !is_of_country || !wish.holds(stored.row.received_at) {
                continue;
            }
            let judgement = stored.judgement;
            let record = judgement.and_then(|judgement| record_of(lists, stored.row, &judgement));
            match record {
                Some(record) => {
                    lines.write(&Row::from(record))?;
                    exported.measurements += 1;
                }
                None => exported.left_out += 1,
            }
        }
        if !page.is_full {
            return lines.finish();
        }
    }
}

/// Writes presence down, and returns when nobody at all was heard, not even the coordinator itself, and when it was
/// heard last.
async fn presence(
    store: &SqliteStore,
    (wish, out): (&Export, &Path),
    exported: &mut Exported,
) -> anyhow::Result<(Vec<[Timestamp; 2]>, Option<Timestamp>)> {
    let mut lines = Lines::create(&out.join("heartbeats.jsonl"))?;
    let agents = store.agents().await?.into_iter();
    let agents: BTreeMap<AgentId, AgentRecord> = agents.map(|agent| (agent.id.clone(), agent)).collect();
    let (mut since, mut seen_then) = (wish.since, 0);
    let mut outages = Vec::new();
    let mut lived: Option<Timestamp> = None;
    loop {
        let events: Vec<PresenceEvent> = store.presence_since(since, PAGE + seen_then).await?;
        let is_full = events.len() == PAGE + seen_then;
        for event in events.iter().skip(seen_then).filter(|event| wish.holds(event.at)) {
            if let Some(lived) = lived.filter(|lived| event.at.since(*lived) > DOWN) {
                outages.push([lived, event.at]);
            }
            lived = Some(event.at);
            if let Some(beat) = heartbeat(event, &agents, wish.country) {
                lines.write(&beat)?;
                exported.heartbeats += 1;
            }
        }
        let Some(last) = events.last().filter(|_| is_full) else { break };
        // The next page begins with the events of the last moment, which were seen already.
        seen_then = events.iter().rev().take_while(|event| event.at == last.at).count();
        since = last.at;
    }
    lines.finish()?;
    Ok((outages, lived))
}

/// Reads an event of one of the country's agents, or of a control.
fn heartbeat(
    event: &PresenceEvent,
    agents: &BTreeMap<AgentId, AgentRecord>,
    country: CountryCode,
) -> Option<Heartbeat> {
    let record = agents.get(event.agent.as_ref()?)?;
    (record.country == country || record.control).then_some(())?;
    Some(Heartbeat {
        agent_id: record.id.clone(),
        asn: event.asn.or(record.asn)?,
        at: event.at,
        kind: event.kind,
        control: record.control,
        country: Some(record.country),
        beat_s: beat_s(record.budget),
    })
}

async fn imported(
    store: &SqliteStore,
    (wish, out): (&Export, &Path),
    exported: &mut Exported,
) -> anyhow::Result<()> {
    let mut lines = Lines::create(&out.join("imported.jsonl"))?;
    let mut position = 0;
    loop {
        let page = store.imported_after(position, PAGE).await?;
        let is_full = page.len() == PAGE;
        for (at, record) in page {
            position = at;
            if record.country == wish.country && wish.holds(record.received_at) {
                lines.write(&Row::from(record))?;
                exported.imported += 1;
            }
        }
        if !is_full {
            return lines.finish();
        }
    }
}

impl Export {
    fn holds(&self, at: Timestamp) -> bool {
        at >= self.since && self.until.is_none_or(|until| at < until)
    }
}

/// A file of JSON lines.
struct Lines(BufWriter<File>);

impl Lines {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create_new(path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(BufWriter::new(file)))
    }

    fn write<T: Serialize>(&mut self, value: &T) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.0, value).context("writing a line")?;
        self.0.write_all(b"\n").context("writing a line")
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.0.flush().context("writing a file")
    }
}
