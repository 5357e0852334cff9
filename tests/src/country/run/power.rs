//! What a scenario has the run itself do: agents without power, a coordinator that is down.

use super::Run;
use crate::country::chaos::Victim;
use crate::country::scenario::{How, Scenario, Who};
use anyhow::Result;
use std::collections::BTreeSet;
use std::time::Duration;

/// Returns who is off at a moment of the timeline.
fn off_at(scenario: &Scenario, elapsed: Duration) -> BTreeSet<Victim> {
    let mut off = BTreeSet::new();
    let seats = scenario.seats_of(&Who::Nation);
    for rule in scenario.rules.iter().filter(|rule| rule.from <= elapsed && elapsed < rule.to) {
        match rule.how {
            How::CoordinatorDown => {
                off.insert(Victim::Coordinator);
            }
            How::PowerCut => {
                let dark = scenario.seats_of(&rule.who);
                let places = seats.iter().zip(0..).filter(|(seat, _)| dark.contains(seat));
                off.extend(places.map(|(_, place)| Victim::Agent(place)));
            }
            _ => {}
        }
    }
    off
}

impl Run {
    /// Kills whose power went and starts again whose power came back.
    pub(super) async fn follow_power(&mut self, elapsed: Duration) -> Result<()> {
        let wanted = off_at(&self.country.scenario, elapsed);
        for victim in self.off.difference(&wanted).copied().collect::<Vec<_>>() {
            let says_ready = victim == Victim::Coordinator;
            self.service(victim).start(says_ready).await?;
        }
        for victim in wanted.difference(&self.off).copied().collect::<Vec<_>>() {
            self.service(victim).kill().await;
        }
        self.off = wanted;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn who_is_off_follows_from_the_rules_that_hold() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dark.toml");
        let scenario = Scenario::read(&file).expect("sound");
        let off = |seconds| off_at(&scenario, Duration::from_secs(seconds)).into_iter().collect::<Vec<_>>();
        assert_eq!(off(0), []);
        assert_eq!(off(1), [Victim::Coordinator, Victim::Agent(0), Victim::Agent(2), Victim::Agent(3)]);
        assert_eq!(off(3), [Victim::Coordinator], "the rule about the region is over");
        assert_eq!(off(4), []);
    }
}
