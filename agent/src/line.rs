//! The agent's own line, as its services share it: where traffic leaves, and what the last selfcheck showed.

use crate::net::Line;
use faultline_model::{LineFact, LineFilter};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A portal usually stands there when a network is joined, and that is noticed by itself; so a look at the line holds so
/// long for most failures,
const HOLDS: Duration = Duration::from_secs(300);
/// but not for those that a portal makes, and not while there is one.
const HOLDS_AGAINST_SIGNS: Duration = Duration::from_secs(30);

/// What is known of the line.
#[derive(Debug, Default)]
pub struct LineWatch {
    is_watching: bool,
    seen_asn: AtomicU32,
    /// Who holds it looks at the line; others wait for the result.
    pub(crate) last: Mutex<Option<Looked>>,
}

/// One look at the line.
#[derive(Clone, Debug)]
pub(crate) struct Looked {
    at: Instant,
    place: Place,
    /// What was seen; absent if nothing could be asked.
    pub(crate) fact: Option<LineFact>,
}

/// Where the machine stands, as far as it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    line: Option<Line>,
    asn: u32,
}

impl Place {
    /// Says whether the machine was carried elsewhere. A line that is gone, or whose network nobody has named yet, is
    /// no other one.
    pub(crate) fn has_moved_from(&self, before: &Self) -> bool {
        let is_other_line = match (&self.line, &before.line) {
            (Some(now), Some(then)) => now.has_moved_from(then),
            _ => false,
        };
        is_other_line || (self.asn != before.asn && self.asn != 0 && before.asn != 0)
    }
}

impl LineWatch {
    /// Watches the machine's own tables. Without it nothing is known of where traffic leaves, as tests on one machine
    /// need.
    #[must_use]
    pub fn watching() -> Self {
        Self { is_watching: true, ..Self::default() }
    }

    /// Reads where traffic leaves now.
    #[must_use]
    pub fn read(&self) -> Option<Line> {
        if self.is_watching { Line::read() } else { None }
    }

    /// Notes in which network the coordinator sees the agent.
    pub fn seen_in(&self, asn: u32) {
        self.seen_asn.store(asn, Ordering::Relaxed);
    }

    /// Returns what the last look showed if a filter of the subscriber's own choice stands on this line.
    pub(crate) async fn filtered(&self) -> Option<LineFact> {
        let last = self.last.lock().await;
        let looked = last.as_ref().filter(|looked| !self.place().has_moved_from(&looked.place))?;
        looked.fact.clone().filter(|fact| fact.filter == LineFilter::Present)
    }

    pub(crate) fn place(&self) -> Place {
        Place { line: self.read(), asn: self.seen_asn.load(Ordering::Relaxed) }
    }
}

impl Looked {
    pub(crate) fn now(place: Place, fact: Option<LineFact>) -> Self {
        Self { at: Instant::now(), place, fact }
    }

    pub(crate) fn is_portal(&self) -> bool {
        self.fact.as_ref().is_some_and(|fact| fact.is_portal)
    }

    /// Says whether the look still tells about a place; `has_signs` means that a portal's own marks were seen since.
    pub(crate) fn holds(&self, place: &Place, has_signs: bool) -> bool {
        let is_short = has_signs || self.is_portal();
        let most = if is_short { HOLDS_AGAINST_SIGNS } else { HOLDS };
        self.at.elapsed() < most && !place.has_moved_from(&self.place)
    }

    /// Says whether it is time for a routine look.
    pub(crate) fn is_older_than(&self, interval: Duration) -> bool {
        self.at.elapsed() >= interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(asn: u32) -> Place {
        Place { line: None, asn }
    }

    #[test]
    fn another_network_by_the_coordinators_word_is_another_place() {
        assert!(place(2).has_moved_from(&place(1)));
        assert!(!place(1).has_moved_from(&place(1)));
        assert!(!place(0).has_moved_from(&place(1)) && !place(1).has_moved_from(&place(0)), "nobody said");
    }

    #[test]
    fn a_look_holds_at_its_place_and_no_longer_than_a_portal_may_need() {
        let looked = Looked::now(place(1), Some(LineFact { is_up: true, ..LineFact::default() }));
        assert!(looked.holds(&place(1), false) && looked.holds(&place(1), true));
        assert!(!looked.holds(&place(2), false), "carried elsewhere");
        let before = |seconds| Looked { at: Instant::now() - Duration::from_secs(seconds), ..looked.clone() };
        assert!(before(60).holds(&place(1), false) && !before(60).holds(&place(1), true));
        assert!(!before(301).holds(&place(1), false));
    }
}
