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
/// Who is there is written down this often.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(60);
/// The coordinator's own sign of life, from which a later one learns how long nobody could be heard.
const OWN_BEAT_EVERY: Duration = Duration::from_secs(15);
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

/// Writes presence down until asked to stop: comings and goings at once, who is there every minute.
pub(crate) async fn run_presence(coordinator: Arc<Coordinator>) -> Result<(), StoreError> {
    let mut beat = tokio::time::interval(BEAT_EVERY);
    let mut own = tokio::time::interval(OWN_BEAT_EVERY);
    loop {
        let is_beat = tokio::select! {
            () = coordinator.stop.cancelled() => {
                // Streams end at the same time; what they say on the way is worth a moment's wait.
                tokio::time::sleep(Duration::from_millis(200)).await;
                return flush(&coordinator, false).await;
            }
            _ = beat.tick() => true,
            _ = own.tick() => {
                coordinator.presence.push(own_sign(now()));
                false
            }
            () = coordinator.presence.nudge.notified() => {
                tokio::select! {
                    () = coordinator.stop.cancelled() => {}
                    () = tokio::time::sleep(GATHER) => {}
                }
                false
            }
        };
        if is_beat {
            let counters = coordinator.counters.all();
            tracing::debug!(?counters, "counters");
        }
        tolerate(flush(&coordinator, is_beat).await)?;
    }
}

async fn flush(coordinator: &Coordinator, is_beat: bool) -> Result<(), StoreError> {
    let mut events = coordinator.presence.take();
    if is_beat {
        let at = now();
        let present = coordinator.fleet.views(now()).into_iter().filter(|view| view.is_connected);
        events.extend(present.map(|view| PresenceEvent {
            agent: Some(view.record.id),
            asn: view.network,
            at,
            kind: if view.record.paused { PresenceKind::Paused } else { PresenceKind::Beat },
            clock_offset_ms: view.clock_offset_ms,
            spooled: view.spooled,
        }));
    }
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
