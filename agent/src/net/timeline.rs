//! When the bytes of a body came, in coarse bins.

use std::time::Duration;
use tokio::time::Instant;

/// As many bins as the wire takes.
const MAX_BINS: usize = 64;

/// Bytes of a body by the time since the answer's head.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    asked_at: Option<Instant>,
    head_at: Option<Instant>,
    last_at: Option<Instant>,
    bins: Vec<u32>,
}

impl Timeline {
    /// The length of a bin.
    pub const BIN: Duration = Duration::from_millis(500);

    /// Notes that the request is being sent.
    pub(crate) fn ask(&mut self, now: Instant) {
        self.asked_at = Some(now);
    }

    /// Notes that the answer's head has come.
    pub(crate) fn head(&mut self, now: Instant) {
        self.head_at = Some(now);
        self.last_at = Some(now);
    }

    /// Notes bytes of the body. What comes after the last bin is counted into it.
    pub(crate) fn add(&mut self, bytes: usize, now: Instant) {
        let Some(head) = self.head_at else { return };
        self.last_at = Some(now);
        let bin = (now.duration_since(head).as_millis() / Self::BIN.as_millis()) as usize;
        let bin = bin.min(MAX_BINS - 1);
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, 0);
        }
        self.bins[bin] = self.bins[bin].saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Notes that nothing more was waited for.
    pub(crate) fn end(&mut self, now: Instant) {
        if self.head_at.is_some() {
            self.last_at = Some(now);
            self.add(0, now);
        }
    }

    /// Returns the time from the request to the answer's head.
    #[must_use]
    pub fn head_after(&self) -> Duration {
        between(self.asked_at, self.head_at)
    }

    /// Returns the time from the answer's head to the last thing that was waited for.
    #[must_use]
    pub fn body_took(&self) -> Duration {
        between(self.head_at, self.last_at)
    }

    /// Returns the bytes by bin.
    #[must_use]
    pub fn bins(&self) -> &[u32] {
        &self.bins
    }
}

fn between(from: Option<Instant>, to: Option<Instant>) -> Duration {
    from.zip(to).map(|(from, to)| to.saturating_duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_fall_into_the_bin_of_their_moment_and_silence_leaves_empty_ones() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut line = Timeline::default();
        line.add(9, at(0));
        line.ask(at(0));
        line.head(at(80));
        for (bytes, ms) in [(10, 80), (5, 579), (7, 580), (1, 2090)] {
            line.add(bytes, at(ms));
        }
        line.end(at(3100));
        assert_eq!(line.bins(), [15, 7, 0, 0, 1, 0, 0], "nothing counts before the head");
        assert_eq!((line.head_after().as_millis(), line.body_took().as_millis()), (80, 3020));
        line.add(3, at(10_000_000));
        assert_eq!(line.bins().len(), MAX_BINS);
    }
}
