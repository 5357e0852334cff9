//! What is remembered of each cell between evaluations.

use super::store::Ms;
use super::world::{FamilyNo, TargetNo};
use faultline_model::IncidentId;
use std::collections::BTreeMap;

/// An operator family and a target.
pub(super) type CellNo = (FamilyNo, TargetNo);

/// The past of a cell in un-alarmed hours, decaying (method 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Past {
    pub(super) results: f64,
    pub(super) anomalies: f64,
}

/// How firmly a cell is said to be blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// Failures without any control to compare with.
    Uncontrolled,
    /// Clear to the agents that are there, which are too few.
    Sparse,
    /// Quorum, evidence, selectivity and control agree.
    Firm,
}

/// A cell's block, from its alarm until its incident is closed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alarm {
    /// When it seems to have begun, judged from this cell alone.
    pub(super) onset: Ms,
    /// When it was raised.
    pub(super) at: Ms,
    /// When it seems to have ended, and when that was noticed.
    pub(super) cleared: Option<Cleared>,
    /// The incident that it belongs to.
    pub(super) incident: Option<IncidentId>,
    /// How firmly it is said.
    pub(super) strength: Strength,
    /// How often it came back after it had been cleared.
    pub(super) returns: u32,
}

/// The end of a cell's block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cleared {
    pub(super) end: Ms,
    pub(super) at: Ms,
}

impl Alarm {
    /// Raises an alarm that no incident tells of yet.
    pub(super) fn new(onset: Ms, at: Ms, strength: Strength) -> Self {
        Self { onset, at, cleared: None, incident: None, strength, returns: 0 }
    }

    /// Says whether the block holds on.
    pub(super) fn is_open(&self) -> bool {
        self.cleared.is_none()
    }

    /// Returns the time over which the block lasted, up to now.
    pub(super) fn span(&self, now: Ms) -> (Ms, Ms) {
        (self.onset, self.cleared.map_or(now, |cleared| cleared.end).max(self.onset))
    }
}

/// One cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) past: Past,
    /// Blocked since before we looked: a state, not news.
    pub(super) is_standing: bool,
    /// Receipt of the newest failure, so that quiet cells cost nothing.
    pub(super) last_bad: Ms,
}

/// All home cells, by family and target. Alarms are few and looked at all the time, so that they have a map of
/// their own.
#[derive(Debug, Default)]
pub(super) struct Cells {
    rows: Vec<Vec<Cell>>,
    alarms: BTreeMap<CellNo, Alarm>,
    changes: u64,
}

impl Cells {
    pub(super) fn get(&self, family: FamilyNo, target: TargetNo) -> Option<&Cell> {
        self.rows.get(family)?.get(target)
    }

    pub(super) fn get_mut(&mut self, family: FamilyNo, target: TargetNo) -> &mut Cell {
        if self.rows.len() <= family {
            self.rows.resize_with(family + 1, Vec::new);
        }
        let row = &mut self.rows[family];
        if row.len() <= target {
            row.resize_with(target + 1, Cell::default);
        }
        &mut row[target]
    }

    /// Notes that an alarm was raised, cleared or taken away.
    pub(super) fn note_change(&mut self) {
        self.changes += 1;
    }

    /// Returns how often alarms changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn past(&self, family: FamilyNo, target: TargetNo) -> Past {
        self.get(family, target).map_or(Past::default(), |cell| cell.past)
    }

    pub(super) fn alarm(&self, family: FamilyNo, target: TargetNo) -> Option<&Alarm> {
        self.alarms.get(&(family, target))
    }

    pub(super) fn alarm_mut(&mut self, family: FamilyNo, target: TargetNo) -> Option<&mut Alarm> {
        self.alarms.get_mut(&(family, target))
    }

    pub(super) fn set_alarm(&mut self, family: FamilyNo, target: TargetNo, alarm: Alarm) {
        self.alarms.insert((family, target), alarm);
    }

    /// Takes an alarm away if it is of this kind.
    pub(super) fn take_alarm_if(&mut self, cell: CellNo, wanted: impl Fn(&Alarm) -> bool) -> Option<Alarm> {
        let is_wanted = self.alarms.get(&cell).is_some_and(wanted);
        if is_wanted { self.alarms.remove(&cell) } else { None }
    }

    /// Keeps only alarms of this kind.
    pub(super) fn keep_alarms(&mut self, wanted: impl Fn(&Alarm) -> bool) {
        self.alarms.retain(|_, alarm| wanted(alarm));
    }

    pub(super) fn has_open_alarm(&self, family: FamilyNo, target: TargetNo) -> bool {
        self.alarm(family, target).is_some_and(Alarm::is_open)
    }

    /// Returns every alarm with its family and target.
    pub(super) fn alarms(&self) -> impl Iterator<Item = (FamilyNo, TargetNo, &Alarm)> {
        self.alarms.iter().map(|((family, target), alarm)| (*family, *target, alarm))
    }

    /// Returns every alarm of a family with its target.
    pub(super) fn alarms_of(&self, family: FamilyNo) -> impl Iterator<Item = (TargetNo, &Alarm)> {
        let own = self.alarms.range((family, 0)..=(family, TargetNo::MAX));
        own.map(|((_, target), alarm)| (*target, alarm))
    }

    /// Returns every cell for change, with its family, target and alarm.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = (CellNo, &mut Cell, Option<&Alarm>)> {
        let alarms = &self.alarms;
        self.rows.iter_mut().enumerate().flat_map(move |(family, row)| {
            row.iter_mut()
                .enumerate()
                .map(move |(target, cell)| ((family, target), cell, alarms.get(&(family, target))))
        })
    }
}
