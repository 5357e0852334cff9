//! Connections that lead elsewhere than their clients believe: to an impostor or to a captive portal.

use super::flow::FlowKey;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const MAX_DIVERSIONS: usize = 16_384;
const IDLE: Duration = Duration::from_secs(120);

/// A connection as the place that it really leads to sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Behind {
    six: bool,
    client: (Ipv4Addr, u16),
    target: (Ipv4Addr, u16),
}

/// The connections that are diverted.
#[derive(Debug, Default)]
pub struct Diversions {
    targets: HashMap<FlowKey, (Ipv4Addr, Instant)>,
    originals: HashMap<Behind, Ipv4Addr>,
}

impl Diversions {
    /// Diverts a connection that begins; with no target it goes where it is meant to go.
    pub fn begin(&mut self, key: FlowKey, target: Option<Ipv4Addr>, now: Instant) {
        let Some(target) = target else {
            self.targets.remove(&key);
            return;
        };
        self.make_room(now);
        self.targets.insert(key, (target, now));
        self.originals.insert(behind(&key, target), key.server.0);
    }

    /// Returns where a connection really leads.
    pub fn target(&mut self, key: &FlowKey, now: Instant) -> Option<Ipv4Addr> {
        let (target, seen) = self.targets.get_mut(key)?;
        *seen = now;
        Some(*target)
    }

    /// Returns whom the client believes to hear when a server answers it.
    #[must_use]
    pub fn original(&self, key: &FlowKey) -> Option<Ipv4Addr> {
        self.originals.get(&behind(key, key.server.0)).copied()
    }

    fn make_room(&mut self, now: Instant) {
        if self.targets.len() < MAX_DIVERSIONS {
            return;
        }
        self.targets.retain(|_, (_, seen)| now.duration_since(*seen) < IDLE);
        if self.targets.len() >= MAX_DIVERSIONS {
            self.targets.clear();
        }
        let kept: Vec<Behind> = self.targets.iter().map(|(key, (target, _))| behind(key, *target)).collect();
        self.originals.retain(|behind, _| kept.contains(behind));
    }
}

const fn behind(key: &FlowKey, target: Ipv4Addr) -> Behind {
    Behind { six: key.six, client: key.client, target: (target, key.server.1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diverted_connection_leads_there_and_back() {
        let (site, portal) = (Ipv4Addr::new(2, 2, 2, 2), Ipv4Addr::new(3, 3, 3, 3));
        let key = FlowKey { six: false, client: (Ipv4Addr::new(1, 1, 1, 1), 40000), server: (site, 443) };
        let answer = FlowKey { server: (portal, 443), ..key };
        let (mut diversions, now) = (Diversions::default(), Instant::now());
        assert_eq!((diversions.target(&key, now), diversions.original(&answer)), (None, None));
        diversions.begin(key, Some(portal), now);
        assert_eq!((diversions.target(&key, now), diversions.original(&answer)), (Some(portal), Some(site)));
        diversions.begin(key, None, now);
        assert_eq!(diversions.target(&key, now), None, "its ports are used again");
    }
}
