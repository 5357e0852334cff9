//! Narrow ways: lets each direction of a flow carry so many bits a second, as a queue in a router does.

use super::flow::FlowKey;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What would have to wait longer is dropped, so that TCP finds out how narrow the way is.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const MAX_FLOWS: usize = 16_384;

/// When each direction of each flow is free again.
#[derive(Debug, Default)]
pub struct Paces(HashMap<(FlowKey, bool), Instant>);

impl Paces {
    /// Returns when a packet may leave; `None` when the queue before it is too long.
    pub fn pass(
        &mut self,
        flow: (FlowKey, bool),
        bytes: usize,
        kbit_s: u32,
        now: Instant,
    ) -> Option<Instant> {
        if self.0.len() >= MAX_FLOWS {
            self.0.retain(|_, free| *free > now);
        }
        let free = self.0.get(&flow).copied().unwrap_or(now).max(now);
        if free - now > LONGEST_WAIT {
            return None;
        }
        let bits = u32::try_from(bytes * 8).unwrap_or(u32::MAX);
        let leaves = free + Duration::from_secs_f64(f64::from(bits) / (f64::from(kbit_s.max(1)) * 1000.0));
        self.0.insert(flow, leaves);
        Some(leaves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_flow_carries_as_much_as_it_may_and_other_flows_are_free() {
        let key = FlowKey {
            six: false,
            client: (Ipv4Addr::new(1, 1, 1, 1), 40000),
            server: (Ipv4Addr::new(2, 2, 2, 2), 443),
        };
        let (mut paces, now) = (Paces::default(), Instant::now());
        let mut sent = Vec::new();
        while let Some(leaves) = paces.pass((key, true), 1000, 80, now) {
            sent.push(leaves - now);
        }
        assert_eq!(sent[0], Duration::from_millis(100), "8,000 bits at 80,000 a second");
        assert_eq!(sent.len(), 21, "what waits for more than two seconds is dropped");
        assert_eq!(paces.pass((key, false), 1000, 80, now), Some(now + Duration::from_millis(100)));
    }
}
