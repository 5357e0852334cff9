//! The questions that readers ask of an incident, answered from the store: [`faultline_analysis::tell`] with what it reads.
//!
//! Answers are made when they are asked for and kept nowhere. One answer reads the judged results of the incident's time,
//! at most [`MAX_ROWS`]; only two are made at a time, so that readers cannot keep the store from its work.

use super::{ApiError, research};
use crate::coordinator::Coordinator;
use crate::ingest::corrected;
use crate::store::{JudgedRow, JudgedSpan};
use faultline_analysis::detect::TargetInfo;
use faultline_analysis::tell::mapping::{self, Form};
use faultline_analysis::tell::{Audience, Comparison, Context, Explanation, Sight, compare, explain};
use faultline_model::{Asn, CountryProfile, Incident, Note, Timestamp};
use faultline_runtime::now;
use std::time::Duration;

/// More judged results are not read for one answer: the oldest of its time are.
const MAX_ROWS: usize = 300_000;
/// More earlier incidents are not compared.
const MAX_INCIDENTS: usize = 2_000;
/// Results of the hour before show what was usual.
const BEFORE: Duration = Duration::from_secs(3_600);
/// Results that waited in a spool are read so long after the end.
const LATE: Duration = Duration::from_secs(6 * 3_600);

/// Everything that an answer rests on, read from the store.
pub(super) struct Material {
    incident: Incident,
    incidents: Vec<Incident>,
    profile: CountryProfile,
    targets: Vec<TargetInfo>,
    sights: Vec<Sight>,
    notes: Vec<Note>,
    since: Timestamp,
    now: Timestamp,
    period_s: f64,
}

impl Material {
    async fn read(coordinator: &Coordinator, id: &str) -> Result<Self, ApiError> {
        let incident = research::one(coordinator, id).await?;
        let (country, now) = (incident.country, now());
        let incidents = coordinator.registry.incidents(Some(country), None, MAX_INCIDENTS).await?;
        let notes = coordinator.registry.notes(country).await?;
        let to = (incident.end.unwrap_or(now) + LATE).min(now + Duration::from_secs(1));
        let span = JudgedSpan { country, from: incident.onset - BEFORE, to };
        let rows = coordinator.archive.judged_between(span, MAX_ROWS).await?;
        let first = coordinator.archive.first_received().await?;
        let oldest = incidents.iter().map(|incident| incident.onset).min().unwrap_or(incident.onset);
        let newest = coordinator.lists.newest();
        Ok(Self {
            targets: targets(coordinator, &incident),
            period_s: newest.map_or(300.0, |kept| f64::from(kept.list.limits.cell_period_s)),
            profile: coordinator.countries.profile(country),
            sights: rows.into_iter().map(sight).collect(),
            since: first.map_or(oldest, |first| first.min(oldest)),
            incident,
            incidents,
            notes,
            now,
        })
    }

    fn context(&self, audience: Audience) -> Context<'_> {
        Context {
            incident: &self.incident,
            incidents: &self.incidents,
            profile: &self.profile,
            targets: &self.targets,
            sights: &self.sights,
            notes: &self.notes,
            since: self.since,
            now: self.now,
            period_s: self.period_s,
            audience,
        }
    }
}

/// Answers every question of an incident.
pub(super) async fn explanation(
    coordinator: &Coordinator,
    id: &str,
    audience: Audience,
) -> Result<Explanation, ApiError> {
    work(coordinator, id, move |material| explain(&material.context(audience))).await
}

/// Compares one provider with the others of an incident.
pub(super) async fn comparison(
    coordinator: &Coordinator,
    id: &str,
    asn: u32,
) -> Result<Comparison, ApiError> {
    let asn = Asn::recorded(asn).map_err(|e| ApiError::Invalid(format!("asn: {e}")))?;
    work(coordinator, id, move |material| compare(&material.context(Audience::Public), asn)).await
}

/// Writes an incident in the form of another register.
pub(super) async fn written(
    coordinator: &Coordinator,
    id: &str,
    form: &str,
) -> Result<serde_json::Value, ApiError> {
    let form: Form = form.parse().map_err(ApiError::Invalid)?;
    work(coordinator, id, move |material| {
        let said = explain(&material.context(Audience::Public));
        mapping::write(form, &material.incident, &said, &material.profile)
    })
    .await
}

/// Reads what an answer rests on and makes it off the async threads.
async fn work<T, F>(coordinator: &Coordinator, id: &str, make: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce(&Material) -> T + Send + 'static,
{
    let closed = || ApiError::Refused("the coordinator is stopping".into());
    let _permit = coordinator.answering.acquire().await.map_err(|_| closed())?;
    let material = Material::read(coordinator, id).await?;
    tokio::task::spawn_blocking(move || make(&material)).await.map_err(|_| closed())
}

/// The targets of the newest list, and those of the incident that older ones named.
fn targets(coordinator: &Coordinator, incident: &Incident) -> Vec<TargetInfo> {
    let newest = coordinator.lists.newest();
    let listed = newest.iter().flat_map(|kept| &kept.list.targets);
    let mut targets: Vec<TargetInfo> = listed.map(|spec| TargetInfo::of(spec, incident.country)).collect();
    for target in &incident.targets {
        if targets.iter().all(|info| info.target != *target)
            && let Some(spec) = coordinator.lists.spec(target)
        {
            targets.push(TargetInfo::of(&spec, incident.country));
        }
    }
    targets
}

fn sight(row: JudgedRow) -> Sight {
    Sight {
        at: corrected(row.started_at, row.clock_offset_ms),
        agent: row.agent,
        asn: row.asn,
        control: row.control,
        target: row.target,
        check: row.check,
        class: row.class,
        status: row.status,
    }
}
