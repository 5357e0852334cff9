//! The pipeline: from stored measurements to published incidents.
//!
//! One task owns the detectors. It reads the archive from where it stopped (so live, late and re-read measurements take
//! one path), judges each measurement beside its controls, gives it to the detector of its country, and evaluates: at
//! once when something failed, at the moment the detector named, and else every two seconds. Incidents that changed are
//! written to the store first and told to readers then. Requests become confirmations.
//!
//! After a restart the newest six hours are read again and the published incidents are given back to the detectors, so
//! that an incident goes on under its id. Who was there before is read as well, and how long nobody could be heard.
//! Nothing is asked of agents until that is done.

mod confirmations;
mod controls;
mod core;
mod diagnoses;
mod presence;

pub(crate) use self::core::{record_of, setup_of};
pub(crate) use confirmations::Confirmations;

use self::core::Core;
use crate::coordinator::Coordinator;
use crate::store::{StoreError, tolerate};
use faultline_analysis::detect::CellView;
use faultline_model::{CountryCode, Incident, Timestamp};
use faultline_runtime::now;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Windows and nulls of the method look back no further than this.
const LOOK_BACK: Duration = Duration::from_secs(6 * 3600);
/// Rows read at once: some megabytes.
const PAGE: usize = 2000;
const PACE: Duration = Duration::from_secs(2);
const MAX_INCIDENTS: usize = 100_000;

/// What readers see of the cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct View {
    pub(crate) at: Timestamp,
    pub(crate) cells: BTreeMap<CountryCode, Vec<CellView>>,
}

/// Why the pipeline stops.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PipelineError {
    /// The store is gone.
    #[error("the pipeline lost the store")]
    Store(#[from] StoreError),
    /// Judging or detecting panicked: an invariant is broken, and what it would say is not to be trusted.
    #[error("judging or detecting panicked")]
    Panic,
}

/// The one task that judges and detects.
pub(crate) struct Pipeline {
    coordinator: Arc<Coordinator>,
    core: Core,
    position: u64,
    /// How far what others measured was read.
    imported: u64,
    next: Option<Timestamp>,
    last_evaluation: Timestamp,
    /// Changes that the store did not take yet; they are tried again.
    unpublished: Vec<Incident>,
    /// What is blocked now.
    open: diagnoses::Open,
}

impl Pipeline {
    /// Takes up where an earlier run stopped.
    pub(crate) async fn resume(coordinator: Arc<Coordinator>) -> Result<Self, PipelineError> {
        let position = coordinator.archive.position_at(now() - LOOK_BACK).await?;
        let incidents = coordinator.registry.incidents(None, None, MAX_INCIDENTS).await?;
        let mut core = Core::default();
        core.set_up(&coordinator);
        let mut open = diagnoses::Open::default();
        incidents.iter().for_each(|incident| open.note(incident));
        core.restore(&coordinator, incidents);
        presence::remember(&coordinator, &mut core, now()).await?;
        diagnoses::remember(&coordinator, now()).await?;
        let last_evaluation = Timestamp::default();
        Ok(Self {
            coordinator,
            core,
            position,
            imported: 0,
            next: None,
            last_evaluation,
            unpublished: Vec::new(),
            open,
        })
    }

    /// Judges and detects until asked to stop.
    pub(crate) async fn run(mut self) -> Result<(), PipelineError> {
        loop {
            let is_urgent = self.take_stored().await?;
            let now = self.core.moment(now());
            let is_due = self.next.is_some_and(|next| next <= now);
            if is_urgent || is_due || now.since(self.last_evaluation) >= PACE {
                self.evaluate(now).await?;
            }
            let until_next =
                self.next.map_or(PACE, |next| next.since(self.core.moment(faultline_runtime::now())));
            tokio::select! {
                () = self.coordinator.stop.cancelled() => return Ok(()),
                () = self.coordinator.stored.notified() => {}
                // At least a moment, lest a detector that is always due takes a whole core.
                () = tokio::time::sleep(until_next.clamp(Duration::from_millis(50), PACE)) => {}
            }
        }
    }

    /// Reads, judges and ingests everything new; true if it cannot wait.
    async fn take_stored(&mut self) -> Result<bool, PipelineError> {
        self.core.set_up(&self.coordinator);
        let mut is_urgent = false;
        loop {
            let page = self.coordinator.archive.measurements_after(self.position, PAGE).await?;
            let is_full = page.is_full;
            self.position = page.position;
            if page.measurements.is_empty() && !is_full {
                return Ok(is_urgent | self.take_imported().await?);
            }
            let coordinator = Arc::clone(&self.coordinator);
            let taken = self.blocking(move |core| core.take(&coordinator, page.measurements)).await?;
            let judgements = taken.judgements;
            is_urgent |= taken.is_urgent;
            if !judgements.is_empty() {
                tolerate(self.coordinator.archive.note_judgements(judgements).await)?;
            }
            if !is_full || self.coordinator.stop.is_cancelled() {
                return Ok(is_urgent | self.take_imported().await?);
            }
        }
    }

    /// Reads what others measured, where a country's profile wants it to count; true if it cannot wait.
    async fn take_imported(&mut self) -> Result<bool, PipelineError> {
        if !self.coordinator.countries.any_counts_imported() {
            return Ok(false);
        }
        let mut is_urgent = false;
        loop {
            let page = tolerate(self.coordinator.archive.imported_after(self.imported, PAGE).await)?;
            let is_full = page.len() == PAGE;
            let Some((last, _)) = page.last() else { return Ok(is_urgent) };
            self.imported = *last;
            let oldest = now() - LOOK_BACK;
            let records = page.into_iter().map(|(_, record)| record);
            let records: Vec<_> = records.filter(|record| record.received_at >= oldest).collect();
            let coordinator = Arc::clone(&self.coordinator);
            is_urgent |= self.blocking(move |core| core.take_imported(&coordinator, records)).await?;
            if !is_full || self.coordinator.stop.is_cancelled() {
                return Ok(is_urgent);
            }
        }
    }

    async fn evaluate(&mut self, now: Timestamp) -> Result<(), PipelineError> {
        let signs = self.coordinator.presence.take_signs();
        self.core.hear(&Arc::clone(&self.coordinator), signs);
        let evaluated = self.blocking(move |core| core.evaluate(now)).await?;
        self.last_evaluation = now;
        self.next = evaluated.next;
        // The asks first: they are what the time to a verdict depends on.
        for (country, ask) in &evaluated.asks {
            confirmations::hand_out(&self.coordinator, *country, ask, now);
        }
        evaluated.changed.iter().for_each(|incident| self.open.note(incident));
        self.open.ask(&self.coordinator, now);
        self.unpublished.extend(evaluated.changed);
        self.publish().await?;
        let Some(cells) = evaluated.cells else { return Ok(()) };
        let view = Arc::new(View { at: now, cells });
        self.coordinator.view.send_if_modified(|held| {
            // Readers are woken only when there is something to see.
            let is_news = held.cells != view.cells;
            *held = view;
            is_news
        });
        Ok(())
    }

    /// Writes changed incidents down, then tells them.
    async fn publish(&mut self) -> Result<(), PipelineError> {
        if self.unpublished.is_empty() {
            return Ok(());
        }
        let kept = self.coordinator.registry.keep_incidents(self.unpublished.clone()).await;
        if kept.is_err() {
            return Ok(tolerate(kept)?);
        }
        for incident in self.unpublished.drain(..) {
            tracing::info!(incident = %incident.id, revision = incident.revision, verdict = %incident.verdict,
                status = incident.status.as_str(), "an incident is published");
            // Without readers there is nobody to tell.
            let _ = self.coordinator.published.send(Arc::new(incident));
        }
        Ok(())
    }

    /// Runs a piece of work on the detectors off the async threads.
    async fn blocking<T, F>(&mut self, work: F) -> Result<T, PipelineError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Core) -> T + Send + 'static,
    {
        let mut core = std::mem::take(&mut self.core);
        let done = tokio::task::spawn_blocking(move || {
            let value = work(&mut core);
            (core, value)
        });
        let (core, value) = done.await.map_err(|_| PipelineError::Panic)?;
        self.core = core;
        Ok(value)
    }
}
