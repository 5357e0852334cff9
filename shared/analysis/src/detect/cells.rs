//! What is remembered of each cell between evaluations.

use super::store::Ms;
use super::world::{FamilyNo, TargetNo};
use faultline_model::IncidentId;

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
    pub(super) alarm: Option<Alarm>,
    /// Receipt of the newest failure, so that quiet cells cost nothing.
    pub(super) last_bad: Ms,
}

/// All home cells, by family and target.
#[derive(Debug, Default)]
pub(super) struct Cells {
    rows: Vec<Vec<Cell>>,
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
        self.get(family, target)?.alarm.as_ref()
    }

    pub(super) fn has_open_alarm(&self, family: FamilyNo, target: TargetNo) -> bool {
        self.alarm(family, target).is_some_and(Alarm::is_open)
    }

    /// Returns every alarm with its family and target.
    pub(super) fn alarms(&self) -> impl Iterator<Item = (FamilyNo, TargetNo, &Alarm)> {
        self.rows.iter().enumerate().flat_map(|(family, row)| {
            row.iter()
                .enumerate()
                .filter_map(move |(target, cell)| cell.alarm.as_ref().map(|alarm| (family, target, alarm)))
        })
    }

    /// Returns every cell for change, with its family and target.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = (FamilyNo, TargetNo, &mut Cell)> {
        self.rows.iter_mut().enumerate().flat_map(|(family, row)| {
            row.iter_mut().enumerate().map(move |(target, cell)| (family, target, cell))
        })
    }
}
