//! Two reconcilers on the store: raw rows beyond the retention time go, and presence is written down.

use crate::coordinator::Coordinator;
use crate::store::{PresenceEvent, PresenceKind, StoreError, tolerate};
use faultline_model::Timestamp;
use faultline_runtime::now;
use std::sync::Arc;
use std::time::Duration;

const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// Rows per transaction, so that uploads never wait long behind it.
const PRUNE_ROWS: usize = 2_000;
/// Beats are written down this often, with the coordinator's own sign of life, from which a later one learns how long
/// nobody could be heard.
const BEATS_EVERY: Duration = Duration::from_secs(15);
/// Comings and goings are gathered for a moment: after a restart they come in thousands.
const GATHER: Duration = Duration::from_secs(1);

/// Deletes what is older than `keep` until asked to stop.
pub(crate) async fn run_retention(coordinator: Arc<Coordinator>, keep: Duration) -> Result<(), StoreError> {
    loop {
        loop {
            let pruned = tolerate(coordinator.archive.prune(now() - keep, PRUNE_ROWS).await)?;
            if pruned > 0 {
                tracing::debug!(pruned, "rows beyond the retention time are gone");
            }
            if pruned < PRUNE_ROWS || coordinator.stop.is_cancelled() {
                break;
            }
        }
        tokio::select! {
            () = coordinator.stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(PRUNE_EVERY) => {}
        }
    }
}

/// Writes presence down until asked to stop: comings and goings at once, beats a few seconds later.
pub(crate) async fn run_presence(coordinator: Arc<Coordinator>) -> Result<(), StoreError> {
    let mut beats = tokio::time::interval(BEATS_EVERY);
    loop {
        tokio::select! {
            () = coordinator.stop.cancelled() => {
                // Streams end at the same time; what they say on the way is worth a moment's wait.
                tokio::time::sleep(Duration::from_millis(200)).await;
                return flush(&coordinator).await;
            }
            _ = beats.tick() => {
                coordinator.presence.keep(own_sign(now()));
                let counters = coordinator.counters.all();
                tracing::debug!(?counters, "counters");
            }
            () = coordinator.presence.nudge.notified() => {
                tokio::select! {
                    () = coordinator.stop.cancelled() => {}
                    () = tokio::time::sleep(GATHER) => {}
                }
            }
        }
        tolerate(flush(&coordinator).await)?;
    }
}

async fn flush(coordinator: &Coordinator) -> Result<(), StoreError> {
    let events = coordinator.presence.take();
    if !events.is_empty() {
        coordinator.archive.append_presence(events).await?;
    }
    let dirty = coordinator.fleet.take_dirty();
    if !dirty.is_empty() {
        coordinator.registry.note_agents(dirty).await?;
    }
    Ok(())
}

/// The coordinator's own sign of life.
fn own_sign(at: Timestamp) -> PresenceEvent {
    let kind = PresenceKind::Beat;
    PresenceEvent { agent: None, asn: None, at, kind, clock_offset_ms: 0, spooled: 0 }
}
