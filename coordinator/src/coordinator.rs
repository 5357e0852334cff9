//! What all parts of a running coordinator share.

use crate::counters::Counters;
use crate::countries::Countries;
use crate::fleet::Fleet;
use crate::lists::Lists;
use crate::networks::Networks;
use crate::pipeline::{Confirmations, View};
use crate::publish::Shelf;
use crate::store::{Archive, PresenceEvent, Registry};
use faultline_analysis::judge::Fingerprints;
use faultline_model::{Baseline, Incident, OwnHosts, Presence};
use faultline_runtime::tls::CertificateAuthority;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

/// Revisions that wait for a slow reader. One that falls further behind is told everything anew.
const PUBLISHED: usize = 256;
/// Answers that are made at a time; further readers wait.
const ANSWERS: usize = 2;

/// The shared parts.
pub(crate) struct Coordinator {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) archive: Arc<dyn Archive>,
    pub(crate) fleet: Fleet,
    pub(crate) lists: Lists,
    pub(crate) countries: Countries,
    pub(crate) baseline: Baseline,
    /// Names the networks of the routers on measured paths.
    pub(crate) networks: Option<Arc<Networks>>,
    /// By what block pages and forged answers are known.
    pub(crate) fingerprints: Fingerprints,
    pub(crate) authority: CertificateAuthority,
    /// Where agents reach this coordinator, as `host:port`.
    pub(crate) addresses: Vec<String>,
    pub(crate) counters: Counters,
    pub(crate) confirmations: Confirmations,
    /// The sealed hours.
    pub(crate) shelf: Shelf,
    /// Nudges the planner.
    pub(crate) replan: Notify,
    /// Nudges the pipeline: something new is in the archive.
    pub(crate) stored: Notify,
    /// Presence events that wait for the store.
    pub(crate) presence: PresenceQueue,
    /// What readers see of the cells; the pipeline replaces it whole.
    pub(crate) view: watch::Sender<Arc<View>>,
    /// Every revision of every incident, after it is on disk.
    pub(crate) published: broadcast::Sender<Arc<Incident>>,
    /// How many answers to readers' questions are made at a time: each reads much.
    pub(crate) answering: Semaphore,
    pub(crate) stop: CancellationToken,
}

/// What a coordinator is made of.
pub(crate) struct Parts {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) archive: Arc<dyn Archive>,
    pub(crate) fleet: Fleet,
    pub(crate) lists: Lists,
    pub(crate) countries: Countries,
    pub(crate) baseline: Baseline,
    pub(crate) networks: Option<Arc<Networks>>,
    /// By what block pages and forged answers are known.
    pub(crate) fingerprints: Fingerprints,
    pub(crate) authority: CertificateAuthority,
    pub(crate) addresses: Vec<String>,
    pub(crate) shelf: Shelf,
    pub(crate) stop: CancellationToken,
}

impl Coordinator {
    /// Returns the hosts at which agents reach this coordinator.
    pub(crate) fn own_hosts(&self) -> OwnHosts {
        OwnHosts::of(&self.addresses)
    }

    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            registry: parts.registry,
            archive: parts.archive,
            fleet: parts.fleet,
            lists: parts.lists,
            countries: parts.countries,
            baseline: parts.baseline,
            networks: parts.networks,
            fingerprints: parts.fingerprints,
            authority: parts.authority,
            addresses: parts.addresses,
            counters: Counters::default(),
            confirmations: Confirmations::default(),
            shelf: parts.shelf,
            replan: Notify::new(),
            stored: Notify::new(),
            presence: PresenceQueue::default(),
            view: watch::Sender::new(Arc::new(View::default())),
            published: broadcast::Sender::new(PUBLISHED),
            answering: Semaphore::new(ANSWERS),
            stop: parts.stop,
        })
    }
}

/// Presence events on their way to the store, which come from places that cannot wait.
#[derive(Debug, Default)]
pub(crate) struct PresenceQueue {
    events: Mutex<Vec<PresenceEvent>>,
    /// Signs of life for the detectors, which take them every two seconds.
    signs: Mutex<Vec<Presence>>,
    pub(crate) nudge: Notify,
}

impl PresenceQueue {
    /// Adds an event that is written down at once. The queue is bounded by what agents say within the seconds between
    /// two flushes.
    pub(crate) fn push(&self, event: PresenceEvent) {
        self.keep(event);
        self.nudge.notify_one();
    }

    /// Adds an event that is written down with the next ones.
    pub(crate) fn keep(&self, event: PresenceEvent) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// Lets the detectors hear a sign of life.
    pub(crate) fn hear(&self, sign: Presence) {
        self.signs.lock().unwrap_or_else(PoisonError::into_inner).push(sign);
    }

    /// Takes all signs of life.
    pub(crate) fn take_signs(&self) -> Vec<Presence> {
        std::mem::take(&mut *self.signs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes all events.
    pub(crate) fn take(&self) -> Vec<PresenceEvent> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
