//! What was known of everybody's presence before a restart.
//!
//! The store has every beat, comings and goings, and the coordinator's own signs of life. A gap in the
//! latter is a time in which nobody could be heard; silence in it says nothing about anybody.

use super::core::Core;
use crate::coordinator::Coordinator;
use crate::planning::beat_s;
use crate::store::{PresenceEvent, StoreError};
use faultline_model::{Presence, Timestamp};
use std::time::Duration;

/// Habits of older days are learnt anew; who was there lately is what must not be forgotten.
const LOOK_BACK: Duration = Duration::from_secs(2 * 3600);
const MAX_EVENTS: usize = 500_000;
/// A shorter gap between two signs of life of the coordinator is no outage.
const SHORT: Duration = Duration::from_secs(45);

/// Reads the presence of the last hours back, and notes for how long this coordinator did not run.
pub(super) async fn remember(
    coordinator: &Coordinator,
    core: &mut Core,
    now: Timestamp,
) -> Result<(), StoreError> {
    let events = coordinator.archive.presence_since(now - LOOK_BACK, MAX_EVENTS).await?;
    let lived = events.iter().map(|event| event.at).filter(|at| *at <= now).max();
    let signs = events.iter().filter_map(|event| sign(coordinator, event)).collect();
    core.hear(coordinator, signs);
    // Who was silent for longer than that is known by its last sign of life.
    core.hear(coordinator, last_signs(coordinator, now - LOOK_BACK));
    if let Some(from) = lived.filter(|from| now.since(*from) > SHORT) {
        tracing::info!(
            down_s = now.since(from).as_secs(),
            "nobody could be heard while the coordinator was down"
        );
        core.note_own_outage(from, now);
    }
    Ok(())
}

/// Returns the last signs of life of agents that were heard before a moment and are not paused.
fn last_signs(coordinator: &Coordinator, before: Timestamp) -> Vec<Presence> {
    let views = coordinator.fleet.views(before).into_iter().filter(|view| !view.record.paused);
    let signs = views.filter_map(|view| {
        Some(Presence {
            at: view.record.last_seen.filter(|seen| *seen < before)?,
            agent: view.record.id,
            asn: view.network?,
            country: view.record.country,
            control: view.record.control,
            kind: faultline_model::PresenceKind::Beat,
            beat_s: beat_s(view.record.budget),
        })
    });
    signs.collect()
}

/// Reads an event back; nothing for the coordinator's own, for strangers, and for unknown networks.
fn sign(coordinator: &Coordinator, event: &PresenceEvent) -> Option<Presence> {
    let record = coordinator.fleet.record(event.agent.as_ref()?)?;
    Some(Presence {
        at: event.at,
        agent: record.id,
        asn: event.asn.or(record.asn)?,
        country: record.country,
        control: record.control,
        kind: event.kind,
        beat_s: beat_s(record.budget),
    })
}
