//! Readings of cells, and which of them have to be taken anew.
//!
//! Recorded data are looked at every two minutes, and every cell with a failure in its longest window is read then.
//! Live, a result comes every few milliseconds, and of a country with 20,000 cells next to nothing changes with it. So
//! a cell is read anew only when
//! - it has a new result itself, or its target a new control result;
//! - two of its agents see a failure and anybody on its network delivered something, because what else works there
//!   decides what the failures are worth;
//! - an alarm, a cut or an outage changed what counts on its network or target;
//! - its last reading is about ten seconds old, because windows move on ([`REFRESH_MS`], spread out by the cell's
//!   number so that not all fall due at once).
//!
//! A reading that nobody renews differs from a fresh one by less than that time, and can carry no alarm: one agent
//! never does.

use super::cells::CellNo;
use super::core::Core;
use super::evidence::{Reading, SIBLING_LN_E};
use super::store::Ms;
use super::world::{FamilyNo, TargetNo};
use std::collections::{BTreeMap, BTreeSet};

/// Live: a reading is renewed after this, and up to a half more.
const REFRESH_MS: Ms = 8_000;

/// Readings of cells with recent failures, with indexes.
#[derive(Debug, Default)]
pub(super) struct Reads {
    readings: BTreeMap<CellNo, Reading>,
    due: BTreeMap<CellNo, Ms>,
    queue: BTreeSet<(Ms, CellNo)>,
    streams: BTreeSet<CellNo>,
    by_target: BTreeMap<TargetNo, BTreeMap<FamilyNo, Ms>>,
    strong: BTreeSet<CellNo>,
    agreed: BTreeSet<CellNo>,
    /// Cells with new results.
    dirty: BTreeSet<CellNo>,
    /// Networks with new results.
    touched: BTreeSet<FamilyNo>,
    /// Networks and targets on which something changed what counts.
    families: BTreeSet<FamilyNo>,
    targets: BTreeSet<TargetNo>,
    cuts: BTreeMap<FamilyNo, (Ms, Ms)>,
}

impl Reads {
    pub(super) fn get(&self, cell: CellNo) -> Option<&Reading> {
        self.readings.get(&cell)
    }

    /// Returns the networks with readings.
    pub(super) fn families(&self) -> BTreeSet<FamilyNo> {
        self.readings.keys().map(|(family, _)| *family).collect()
    }

    /// Returns the readings of a network.
    pub(super) fn of_family(&self, family: FamilyNo) -> impl Iterator<Item = &Reading> {
        self.readings.range((family, 0)..=(family, TargetNo::MAX)).map(|(_, reading)| reading)
    }

    /// Returns the readings with an open suspicion.
    pub(super) fn streams(&self) -> impl Iterator<Item = &Reading> {
        self.streams.iter().filter_map(|cell| self.readings.get(cell))
    }

    /// Returns the number of open suspicions.
    pub(super) fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Returns when the suspicions on a target began.
    pub(super) fn stream_starts(&self, target: TargetNo) -> impl Iterator<Item = Ms> + '_ {
        self.by_target.get(&target).into_iter().flatten().map(|(_, since)| *since)
    }

    /// Returns the readings whose evidence counts for siblings, which are all that may be rejected.
    pub(super) fn strong(&self) -> impl Iterator<Item = &Reading> {
        self.strong.iter().filter_map(|cell| self.readings.get(cell))
    }

    /// Takes a reading away; the cell is read again at the next look.
    pub(super) fn remove(&mut self, cell: CellNo) {
        self.enter(cell, None, 0);
        self.dirty.insert(cell);
    }

    /// Notes a new result of a cell.
    pub(super) fn note_result(&mut self, (family, target): CellNo) {
        self.dirty.insert((family, target));
        self.touched.insert(family);
    }

    /// Notes that something changed what counts on a network.
    pub(super) fn note_family(&mut self, family: FamilyNo) {
        self.families.insert(family);
    }

    /// Notes that something changed what counts on a target.
    pub(super) fn note_target(&mut self, target: TargetNo) {
        self.targets.insert(target);
    }

    /// Returns the networks with new results, and forgets them.
    pub(super) fn take_touched(&mut self) -> BTreeSet<FamilyNo> {
        std::mem::take(&mut self.touched)
    }

    fn enter(&mut self, cell: CellNo, reading: Option<Reading>, now: Ms) {
        if let Some(due) = self.due.remove(&cell) {
            self.queue.remove(&(due, cell));
        }
        self.streams.remove(&cell);
        self.strong.remove(&cell);
        self.agreed.remove(&cell);
        if let Some(row) = self.by_target.get_mut(&cell.1) {
            row.remove(&cell.0);
        }
        let Some(reading) = reading else {
            self.readings.remove(&cell);
            return;
        };
        let spread = Ms::try_from((cell.0 * 31 + cell.1 * 17) % 4_000).unwrap_or(0);
        let due = now + REFRESH_MS + spread;
        self.due.insert(cell, due);
        self.queue.insert((due, cell));
        if let Some(stream) = reading.stream {
            self.streams.insert(cell);
            self.by_target.entry(cell.1).or_default().insert(cell.0, stream.since);
        }
        if reading.ln_e > SIBLING_LN_E {
            self.strong.insert(cell);
        }
        if reading.is_agreed() {
            self.agreed.insert(cell);
        }
        self.readings.insert(cell, reading);
    }
}

impl Core {
    /// Reads what has to be read anew.
    pub(super) fn read_cells(&mut self) {
        let cells = if self.is_live() { self.live_cells() } else { self.all_cells() };
        let mut nulls = std::mem::take(&mut self.nulls);
        for cell in cells {
            let reading =
                if self.is_readable(cell) { self.read_cell(&mut nulls, cell.0, cell.1) } else { None };
            self.readings.enter(cell, reading, self.now);
        }
        self.nulls = nulls;
    }

    /// Says whether a cell is no standing block and has a failure in its longest window.
    fn is_readable(&self, (family, target): CellNo) -> bool {
        let recent = self.now - self.reach_ms();
        self.cells.get(family, target).is_some_and(|cell| !cell.is_standing && cell.last_bad >= recent)
    }

    fn all_cells(&mut self) -> BTreeSet<CellNo> {
        let reads = &mut self.readings;
        reads.dirty.clear();
        reads.families.clear();
        reads.targets.clear();
        let heard = self.world.heard();
        let cells =
            heard.flat_map(|family| (0..self.world.targets.len()).map(move |target| (family, target)));
        let cells = cells.filter(|cell| self.is_readable(*cell) || self.readings.get(*cell).is_some());
        cells.collect()
    }

    fn live_cells(&mut self) -> BTreeSet<CellNo> {
        self.note_cuts();
        let reads = &mut self.readings;
        let mut cells = std::mem::take(&mut reads.dirty);
        while let Some((_, cell)) = reads.queue.first().filter(|(due, _)| *due <= self.now).copied() {
            reads.queue.pop_first();
            cells.insert(cell);
        }
        for family in &reads.touched {
            cells.extend(reads.agreed.range((*family, 0)..=(*family, TargetNo::MAX)));
        }
        let (families, targets) = (std::mem::take(&mut reads.families), std::mem::take(&mut reads.targets));
        for family in families {
            cells.extend((0..self.world.targets.len()).map(|target| (family, target)));
        }
        for target in targets {
            cells.extend(self.world.heard().map(|family| (family, target)));
        }
        cells.retain(|cell| self.is_readable(*cell) || self.readings.get(*cell).is_some());
        cells
    }

    /// Finds networks whose cut began, ended or was explained since the last look.
    fn note_cuts(&mut self) {
        if self.presences.cuts.is_empty() && self.readings.cuts.is_empty() {
            return;
        }
        let cuts: BTreeMap<FamilyNo, (Ms, Ms)> =
            self.cut_families().into_iter().map(|family| (family, self.cut_span(family))).collect();
        let reads = &mut self.readings;
        for family in cuts.keys().chain(reads.cuts.keys()) {
            if cuts.get(family) != reads.cuts.get(family) {
                reads.families.insert(*family);
            }
        }
        reads.cuts = cuts;
    }

    /// Marks every cell to be read anew.
    pub(super) fn note_everything(&mut self) {
        let families: Vec<FamilyNo> = self.world.heard().collect();
        for family in families {
            self.readings.note_family(family);
        }
    }
}
