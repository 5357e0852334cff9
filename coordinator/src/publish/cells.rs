//! What the public may read of an hour: cells in which nobody can be told from the others.
//!
//! A cell is one target on one provider in one hour of measuring. It is published where at least `k` vantage points
//! measured it, and says no more than whether they reached it:
//! - `mixed` only where at least `k` did and at least `k` did not, else what most of them saw;
//! - how many there were as a lower bound out of a coarse ladder, so that no difference of two cells counts anybody;
//! - no totals, no number of measurements, no times within the hour.
//!
//! A provider without a cell reads `hidden`, whether it has two volunteers or none. The rule is that of k-anonymity
//! (Samarati and Sweeney 1998) with a floor on both sides of the answer.

use faultline_model::{AgentId, Asn, Target, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const HOUR_MS: i64 = 3_600_000;
/// Vantage points of a published cell, and where measuring is dangerous.
pub(super) const K: usize = 3;
pub(super) const K_AT_RISK: usize = 5;
/// What may be said about how many there were.
const LADDER: [usize; 6] = [3, 5, 10, 25, 100, 1000];

/// Returns when a moment's hour begins.
pub(super) fn hour_of(at: Timestamp) -> Timestamp {
    Timestamp::from_unix_ms(at.unix_ms().div_euclid(HOUR_MS) * HOUR_MS)
}

/// One judged measurement of a volunteer.
#[derive(Clone, Debug)]
pub(super) struct Vote {
    pub(super) at: Timestamp,
    pub(super) asn: Asn,
    pub(super) target: Target,
    pub(super) agent: AgentId,
    pub(super) has_failed: bool,
}

/// What the public reads about a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// Most reached it.
    Fine,
    /// At least `k` reached it and at least `k` did not.
    Mixed,
    /// Most did not reach it.
    Failing,
    /// Too few measured; the provider's other targets are hidden too.
    Hidden,
}

impl Outcome {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Mixed => "mixed",
            Self::Failing => "failing",
            Self::Hidden => "hidden",
        }
    }
}

/// One row for the public.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    /// When the hour of measuring begins.
    pub(super) hour: Timestamp,
    pub(super) asn: Asn,
    /// Absent where the whole provider is hidden.
    pub(super) target: Option<Target>,
    pub(super) outcome: Outcome,
    /// At least so many vantage points; 0 where hidden.
    pub(super) at_least: u32,
}

/// How many measurements each vantage point made of a cell, and how many of them failed.
type Voices<'a> = BTreeMap<&'a AgentId, (usize, usize)>;

/// Makes the public's rows of votes; `providers` read `hidden` where nothing else can be said of them.
pub(super) fn cells(votes: &[Vote], providers: &BTreeSet<Asn>, k: usize) -> Vec<Cell> {
    let mut voices: BTreeMap<(Timestamp, Asn, &Target), Voices<'_>> = BTreeMap::new();
    for vote in votes {
        let place = (hour_of(vote.at), vote.asn, &vote.target);
        let voice = voices.entry(place).or_default().entry(&vote.agent).or_default();
        voice.0 += 1;
        voice.1 += usize::from(vote.has_failed);
    }
    let hours: BTreeSet<Timestamp> = voices.keys().map(|(hour, _, _)| *hour).collect();
    let mut cells = Vec::new();
    let mut told = BTreeSet::new();
    for ((hour, asn, target), voices) in voices {
        let Some((outcome, at_least)) = say(&voices, k) else { continue };
        told.insert((hour, asn));
        cells.push(Cell { hour, asn, target: Some(target.clone()), outcome, at_least });
    }
    for (hour, asn) in hours.iter().flat_map(|hour| providers.iter().map(|asn| (*hour, *asn))) {
        if !told.contains(&(hour, asn)) {
            cells.push(Cell { hour, asn, target: None, outcome: Outcome::Hidden, at_least: 0 });
        }
    }
    cells.sort();
    cells
}

/// Every vantage point has one voice: what most of its measurements say.
fn say(voices: &Voices<'_>, k: usize) -> Option<(Outcome, u32)> {
    let failing = voices.values().filter(|(all, failed)| failed * 2 > *all).count();
    let fine = voices.len() - failing;
    let rung = LADDER.iter().rev().find(|rung| **rung >= k && **rung <= voices.len())?;
    let outcome = match (fine >= k, failing >= k) {
        (true, true) => Outcome::Mixed,
        _ if failing > fine => Outcome::Failing,
        _ => Outcome::Fine,
    };
    Some((outcome, u32::try_from(*rung).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asn(number: u32) -> Asn {
        Asn::recorded(number).expect("a number")
    }

    fn vote((hour, network, target, agent): (i64, u32, u8, u8), has_failed: bool) -> Vote {
        Vote {
            at: Timestamp::from_unix_ms(hour * HOUR_MS + 60_000),
            asn: asn(network),
            target: Target::new(&format!("https://t{target}.example/")).expect("a target"),
            agent: AgentId::new(format!("agent-{network}-{agent}")).expect("an id"),
            has_failed,
        }
    }

    fn any_votes() -> impl Strategy<Value = Vec<Vote>> {
        let one = ((0_i64..2, 1_u32..4, 0_u8..3, 0_u8..9), any::<bool>());
        proptest::collection::vec(one.prop_map(|(place, has_failed)| vote(place, has_failed)), 0..200)
    }

    fn agents<'a>(votes: &'a [Vote], cell: &Cell) -> BTreeMap<&'a AgentId, (usize, usize)> {
        let mut agents: BTreeMap<&AgentId, (usize, usize)> = BTreeMap::new();
        let is_in = |vote: &&Vote| {
            (hour_of(vote.at), vote.asn, Some(&vote.target)) == (cell.hour, cell.asn, cell.target.as_ref())
        };
        for vote in votes.iter().filter(is_in) {
            let voice = agents.entry(&vote.agent).or_default();
            *voice = (voice.0 + 1, voice.1 + usize::from(vote.has_failed));
        }
        agents
    }

    proptest! {
        #[test]
        fn no_cell_shows_fewer_than_k_and_none_shows_a_minority_of_fewer(
            votes in any_votes(), k in 3_usize..6,
        ) {
            for cell in cells(&votes, &BTreeSet::new(), k) {
                let agents = agents(&votes, &cell);
                prop_assert!(agents.len() >= k && agents.len() >= cell.at_least as usize);
                if cell.outcome == Outcome::Mixed {
                    let failing = agents.values().filter(|(all, failed)| failed * 2 > *all).count();
                    prop_assert!(failing >= k && agents.len() - failing >= k);
                }
            }
        }

        /// What a cell says of their number is a rung, never the number.
        #[test]
        fn differences_of_cells_count_nobody(votes in any_votes(), k in 3_usize..6) {
            for cell in cells(&votes, &BTreeSet::new(), k) {
                prop_assert!(LADDER.contains(&(cell.at_least as usize)) && cell.at_least as usize >= k);
            }
            let mut bounds: Vec<u32> =
                cells(&votes, &BTreeSet::new(), k).iter().map(|cell| cell.at_least).collect();
            bounds.sort_unstable();
            bounds.dedup();
            // Two lower bounds differ by nothing, or by at least two vantage points that nobody can name.
            prop_assert!(bounds.windows(2).all(|pair| pair[1] - pair[0] >= 2));
        }

        #[test]
        fn how_often_somebody_measures_changes_nothing(votes in any_votes()) {
            let twice: Vec<Vote> = votes.iter().chain(&votes).cloned().collect();
            prop_assert_eq!(cells(&votes, &BTreeSet::new(), K), cells(&twice, &BTreeSet::new(), K));
        }
    }

    #[test]
    fn a_provider_of_two_volunteers_and_one_of_none_read_the_same() {
        let votes = [vote((5, 1, 0, 0), true), vote((5, 1, 0, 1), true)];
        let both = cells(&votes, &BTreeSet::from([asn(1), asn(2)]), K);
        let said: Vec<(u32, Outcome, u32)> =
            both.iter().map(|cell| (cell.asn.get(), cell.outcome, cell.at_least)).collect();
        assert_eq!(said, [(1, Outcome::Hidden, 0), (2, Outcome::Hidden, 0)]);
    }

    #[test]
    fn one_dissenter_among_many_is_not_shown() {
        let votes: Vec<Vote> = (0..9).map(|agent| vote((5, 1, 0, agent), agent == 0)).collect();
        let [cell] = cells(&votes, &BTreeSet::new(), K).try_into().expect("one cell");
        assert_eq!((cell.outcome, cell.at_least), (Outcome::Fine, 5));
    }
}
