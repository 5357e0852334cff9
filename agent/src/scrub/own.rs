//! The line's own addresses, as far as the agent learns them, and where its coordinator is. In memory only.

use super::Scrubber;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A line that changes its address daily for two weeks is covered; what is older is forgotten.
const MAX_LEARNT: usize = 16;

/// Learns addresses and makes the scrubber for them.
#[derive(Default)]
pub struct Own(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// What the machine's own interfaces have.
    local: Vec<IpAddr>,
    /// What others said that they see, the newest last.
    learnt: VecDeque<IpAddr>,
    /// Where the coordinator was reached, the newest last. Nothing of it is scrubbed.
    coordinator: VecDeque<IpAddr>,
    scrubber: Arc<Scrubber>,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Own([scrubbed])")
    }
}

impl Own {
    /// Notes the addresses of the machine's interfaces.
    pub fn local(&self, addresses: Vec<IpAddr>) {
        let mut inner = self.inner();
        if inner.local != addresses {
            inner.local = addresses;
            inner.renew();
        }
    }

    /// Notes an address at which somebody outside sees the line.
    pub fn seen_as(&self, address: IpAddr) {
        let address = address.to_canonical();
        let mut inner = self.inner();
        if inner.learnt.contains(&address) {
            return;
        }
        inner.learnt.push_back(address);
        if inner.learnt.len() > MAX_LEARNT {
            inner.learnt.pop_front();
        }
        inner.renew();
    }

    /// Notes an address of the coordinator.
    pub fn coordinator_at(&self, address: IpAddr) {
        let address = address.to_canonical();
        let mut inner = self.inner();
        if inner.coordinator.contains(&address) {
            return;
        }
        inner.coordinator.push_back(address);
        if inner.coordinator.len() > MAX_LEARNT {
            inner.coordinator.pop_front();
        }
    }

    /// Says whether the coordinator was reached at an address.
    #[must_use]
    pub fn is_coordinator(&self, address: IpAddr) -> bool {
        self.inner().coordinator.contains(&address.to_canonical())
    }

    /// Returns the scrubber for what is known now.
    #[must_use]
    pub fn scrubber(&self) -> Arc<Scrubber> {
        Arc::clone(&self.inner().scrubber)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn renew(&mut self) {
        let all: Vec<IpAddr> = self.local.iter().chain(&self.learnt).copied().collect();
        self.scrubber = Arc::new(Scrubber::new(&all));
    }
}
