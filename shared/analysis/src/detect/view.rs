//! What a reader sees of one cell.

use super::cells::Strength;
use super::core::Core;
use super::evidence::{count, vote};
use super::store::{Entry, Ms};
use super::world::{FamilyNo, TargetNo};
use faultline_model::{Asn, Class, ServiceId, Target, Timestamp};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The state of a cell in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CellState {
    /// Recent results are fine.
    Ok,
    /// A failure is being looked into.
    Suspected,
    /// Part of a published or provable block.
    Blocked,
    /// The site itself fails.
    Down,
    /// There are failures and too few vantage points or no control to say more.
    Insufficient,
    /// No recent result.
    NoData,
}

impl CellState {
    /// Returns the state's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Suspected => "suspected",
            Self::Blocked => "blocked",
            Self::Down => "down",
            Self::Insufficient => "insufficient",
            Self::NoData => "no_data",
        }
    }
}

/// One cell: an operator family and a target, now.
#[derive(Clone, Debug, PartialEq)]
pub struct CellView {
    /// The family's main ASN.
    pub asn: Asn,
    /// The family's name.
    pub operator: String,
    /// The target.
    pub target: Target,
    /// The target's service.
    pub service: ServiceId,
    /// The state.
    pub state: CellState,
    /// Successes among the counted results of the last window (four base periods).
    pub ok: u32,
    /// Anomalies among them.
    pub anomalies: u32,
    /// Different agents among them.
    pub agents: u32,
    /// Since when the state holds, where it is not `ok`.
    pub since: Option<Timestamp>,
    /// The newest counted result.
    pub last_at: Option<Timestamp>,
    /// Evidence for a block: the natural logarithm of the e-value.
    pub ln_e: f64,
    /// The most frequent class among the anomalies.
    pub mechanism: Option<Class>,
}

impl Core {
    /// Describes every cell.
    pub(super) fn matrix(&self, now: Ms) -> Vec<CellView> {
        let mut families: Vec<FamilyNo> = self.world.heard().collect();
        families.sort_by_key(|family| self.world.families[*family].asn);
        let mut targets: Vec<TargetNo> = (0..self.world.targets.len()).collect();
        targets.sort_by_key(|target| {
            let info = &self.world.targets[*target];
            (&info.service, info.role, &info.target)
        });
        let cells = families.iter().flat_map(|family| targets.iter().map(move |target| (*family, *target)));
        cells.map(|(family, target)| self.view(family, target, now)).collect()
    }

    fn view(&self, family: FamilyNo, target: TargetNo, now: Ms) -> CellView {
        let window = self.base_ms.saturating_mul(4);
        let entries = self.store.cell(family, target).between(now - window, now);
        let bad: Vec<&Entry> = entries.iter().filter(|entry| entry.class.is_anomaly()).collect();
        let mut classes: BTreeMap<Class, usize> = BTreeMap::new();
        for entry in &bad {
            *classes.entry(entry.class).or_default() += 1;
        }
        let reading = self.readings.get((family, target));
        let (state, since) = self.cell_state(family, target, entries);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        CellView {
            asn: self.world.families[family].asn,
            operator: self.world.families[family].name.clone(),
            target: self.world.targets[target].target.clone(),
            service: self.world.targets[target].service.clone(),
            state,
            ok: number(entries.len() - bad.len()),
            anomalies: number(bad.len()),
            agents: number(vote(entries).agents),
            since: since.map(Timestamp::from_unix_ms),
            last_at: entries.last().map(|entry| Timestamp::from_unix_ms(entry.start)),
            ln_e: reading.map_or(0.0, |reading| reading.ln_e),
            mechanism: classes
                .into_iter()
                .max_by_key(|(class, n)| (*n, Reverse(*class)))
                .map(|(class, _)| class),
        }
    }

    fn cell_state(&self, family: FamilyNo, target: TargetNo, entries: &[Entry]) -> (CellState, Option<Ms>) {
        let outage = self.incidents.outages.get(&target).filter(|outage| outage.cleared.is_none());
        if let Some(outage) = outage {
            return (CellState::Down, Some(outage.onset));
        }
        if let Some(alarm) = self.cells.alarm(family, target).filter(|alarm| alarm.is_open()) {
            let state =
                if alarm.strength == Strength::Firm { CellState::Blocked } else { CellState::Insufficient };
            return (state, Some(alarm.onset));
        }
        if self.is_standing(family, target) {
            return (CellState::Blocked, None);
        }
        if entries.is_empty() {
            return (CellState::NoData, None);
        }
        let stream = self.readings.get((family, target)).and_then(|reading| reading.stream);
        let votes = vote(entries);
        match stream {
            Some(stream) if stream.votes.bad >= 1.0 => {
                let state =
                    if self.active_in(family) < 3 { CellState::Insufficient } else { CellState::Suspected };
                (state, Some(stream.since))
            }
            _ if votes.bad > 0.5 * count(votes.agents) => {
                let state = if votes.agents < 3 { CellState::Insufficient } else { CellState::Suspected };
                (state, entries.iter().find(|entry| entry.class.is_anomaly()).map(|entry| entry.start))
            }
            _ => (CellState::Ok, None),
        }
    }
}
