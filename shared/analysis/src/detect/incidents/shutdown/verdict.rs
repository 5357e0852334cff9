//! The word for an event, and what it rests on (method 3.5).
//!
//! In this order: agents outside the country are silent too, so it is our own side; a region explains it better than
//! networks; at least 70 % of the testable networks with at least 70 % of their users are off; one network; several.
//! Then what came late, or what controls see from outside, may turn it into a block of our channel.

use super::super::super::core::Core;
use super::super::super::evidence::count;
use super::super::super::null::share;
use super::super::super::presence::{BURST_MS, Cause, Cut, Group, Late, Outside};
use super::super::super::store::Ms;
use super::super::super::world::FamilyNo;
use super::super::statement::Stance;
use super::Event;
use faultline_model::{Access, Basis, Reach, Status, Verdict};
use std::collections::{BTreeMap, BTreeSet};

const NATIONAL_SHARE: f64 = 0.70;
const NATIONAL_LEAST: usize = 3;
const OUTSIDE_SILENT: f64 = 0.6;
const OUTSIDE_LEAST: usize = 2;
const TESTABLE: usize = 3;
/// Who was heard within this before an event was expected.
const EXPECTED_MS: Ms = 3_000_000;
/// After an end, late results are awaited for so long before it is said that nothing came.
const LATE_MS: Ms = 1_800_000;
/// Agents up to which silence alone is too little once it is over.
const FEW: usize = 3;
/// Probability of an agent's silence inside and outside a silent region or set of networks, and the price of naming one.
const IN_REGION: f64 = 0.92;
const IN_SET: f64 = 0.95;
const NOT_IN: f64 = 0.05;
const PRICE: f64 = 3.0;
const CLEARED: f64 = 0.35;
/// Results on domestic canaries that say whether the country's own sites are reached.
const REACH_RESULTS: usize = 2;
const REACH_SHARE: f64 = 0.7;

/// What is found out about an event.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) status: Status,
    pub(super) basis: Option<Basis>,
    pub(super) reach: Option<Reach>,
    pub(super) region: Option<String>,
    pub(super) families: BTreeSet<FamilyNo>,
    pub(super) stances: BTreeMap<FamilyNo, Stance>,
    pub(super) late: BTreeMap<FamilyNo, Late>,
    pub(super) outside: BTreeMap<FamilyNo, Outside>,
    /// Agents of each family that were expected, and how many fell silent.
    pub(super) silent: BTreeMap<FamilyNo, (usize, usize)>,
}

impl Core {
    /// Finds out what an event is.
    pub(super) fn find(&self, event: &Event) -> Finding {
        let mut finding = Finding {
            verdict: Verdict::IspOutage,
            status: Status::Suspected,
            basis: None,
            reach: None,
            region: None,
            families: event.families().map(|(family, _)| family).collect(),
            stances: BTreeMap::new(),
            late: BTreeMap::new(),
            outside: BTreeMap::new(),
            silent: self.silent_by_family(event.low()),
        };
        let (silent, expected) = self.silent_outside(event.low());
        let is_silent = event.cuts.values().any(|cut| cut.cause == Cause::Silent);
        if is_silent && expected >= OUTSIDE_LEAST && count(silent) >= OUTSIDE_SILENT * count(expected) {
            finding.verdict = Verdict::CoordinatorOutage;
            finding.status = Status::Confirmed;
            finding.families.clear();
            self.take_stances(&mut finding);
            return finding;
        }
        if let Some((region, families)) = self.best_region(event) {
            finding.families = families;
            finding.region = Some(region);
        }
        self.weigh_basis(event, &mut finding);
        self.take_stances(&mut finding);
        if finding.verdict != Verdict::ControlChannelBlock {
            finding.verdict = self.name_cut(&finding);
            // That a whole country is off is confirmed by what its agents deliver afterwards, by nothing less.
            if finding.verdict == Verdict::NationalShutdown && finding.basis == Some(Basis::OutsideIn) {
                finding.status = Status::Suspected;
            }
            self.doubt_few(event, &mut finding);
        }
        finding.reach = self.reach_of(event, &finding);
        finding
    }

    /// Counts by family the agents that were expected when an event began, and those that it silenced.
    fn silent_by_family(&self, low: Ms) -> BTreeMap<FamilyNo, (usize, usize)> {
        let mut counts = BTreeMap::new();
        for family in 0..self.world.families.len() {
            let (mut expected, mut silent) = (0, 0);
            for (key, heard) in self.members(family) {
                if !self.was_expected(key, heard, low) {
                    continue;
                }
                let fall = self.falls_of(heard).find(|(fell, _)| (fell - low).abs() <= BURST_MS);
                expected += 1;
                silent += usize::from(fall.is_some());
            }
            if expected > 0 {
                counts.insert(family, (expected, silent));
            }
        }
        counts
    }

    /// Says which networks are off, which are not, and of which too little is known.
    fn take_stances(&self, finding: &mut Finding) {
        for family in 0..self.world.families.len() {
            let (expected, silent) = finding.silent.get(&family).copied().unwrap_or_default();
            let stance = if finding.families.contains(&family) {
                if finding.verdict == Verdict::ControlChannelBlock {
                    Stance::Cleared
                } else {
                    Stance::Blocked
                }
            } else if finding.verdict == Verdict::CoordinatorOutage {
                Stance::Unknown
            } else if (expected >= 2 && count(silent) <= CLEARED * count(expected))
                || (expected == 0 && self.active_in(family) >= 2)
            {
                Stance::Cleared
            } else {
                Stance::Unknown
            };
            if expected > 0 || self.world.families[family].is_heard || finding.families.contains(&family) {
                finding.stances.insert(family, stance);
            }
        }
    }

    fn name_cut(&self, finding: &Finding) -> Verdict {
        if finding.region.is_some() {
            return Verdict::RegionalOutage;
        }
        let testable: BTreeSet<FamilyNo> = (0..self.world.families.len())
            .filter(|family| {
                let (expected, _) = finding.silent.get(family).copied().unwrap_or_default();
                expected.max(self.active_in(*family)) >= TESTABLE || finding.families.contains(family)
            })
            .collect();
        let users = |families: &BTreeSet<FamilyNo>| families.iter().map(|f| self.share_of(*f)).sum::<f64>();
        let is_national = finding.families.len() >= NATIONAL_LEAST
            && count(finding.families.len()) >= NATIONAL_SHARE * count(testable.len())
            && users(&finding.families) >= NATIONAL_SHARE * users(&testable);
        match finding.families.len() {
            _ if is_national => Verdict::NationalShutdown,
            0 | 1 => Verdict::IspOutage,
            _ => Verdict::PartialShutdown,
        }
    }

    /// Decides what the statement rests on, and whether it is our channel that is gone.
    fn weigh_basis(&self, event: &Event, finding: &mut Finding) {
        let silent: Vec<(FamilyNo, &Cut)> = self.silent_cuts(event, finding);
        if silent.is_empty() {
            return;
        }
        finding.basis = Some(Basis::Silence);
        for (family, cut) in &silent {
            finding.late.insert(*family, self.late(*family, cut));
            finding.outside.insert(*family, self.outside(*family, cut));
        }
        let late = |wanted: Late| finding.late.values().filter(|late| **late == wanted).count();
        let (fine, failing, mixed) = (late(Late::Fine), late(Late::Failing), late(Late::Mixed));
        if fine > 0 && count(fine) >= NATIONAL_SHARE * count(fine + failing + mixed) {
            let failing = families_with(&finding.late, Late::Failing);
            finding.families.retain(|family| !failing.contains(family));
            finding.verdict = Verdict::ControlChannelBlock;
            finding.basis = Some(Basis::Spool);
            finding.status = Status::Confirmed;
        } else if failing > fine {
            let fine = families_with(&finding.late, Late::Fine);
            finding.families.retain(|family| !fine.contains(family));
            finding.basis = Some(Basis::Spool);
            finding.status = Status::Confirmed;
        } else {
            self.look_from_outside(finding);
        }
    }

    fn look_from_outside(&self, finding: &mut Finding) {
        // A mobile operator's hosts answer from its core while its radio is off.
        let is_fixed = |family: &FamilyNo| self.world.families[*family].access == Access::Fixed;
        let of = |wanted: Outside| finding.outside.iter().filter(move |(_, outside)| **outside == wanted);
        let answers = of(Outside::Answers).filter(|(family, _)| is_fixed(family)).count();
        let fails = of(Outside::Fails).count();
        if answers > 0 && answers >= fails {
            finding.verdict = Verdict::ControlChannelBlock;
            finding.basis = Some(Basis::OutsideIn);
        } else if fails > answers {
            finding.basis = Some(Basis::OutsideIn);
            finding.status = Status::Confirmed;
        }
    }

    /// Returns the silent cuts that concern the families named.
    fn silent_cuts<'a>(&self, event: &'a Event, finding: &Finding) -> Vec<(FamilyNo, &'a Cut)> {
        let region = finding.region.clone().and_then(|region| event.cuts.get(&Group::Region(region)));
        let cut = |family: &FamilyNo| event.cuts.get(&Group::Family(*family)).or(region);
        let own = finding.families.iter().filter_map(|family| Some((*family, cut(family)?)));
        own.filter(|(_, cut)| cut.cause == Cause::Silent).collect()
    }

    /// Once a silence of few agents is over and nothing came of it, nobody can tell a provider from homes.
    fn doubt_few(&self, event: &Event, finding: &mut Finding) {
        let Some(ended) = event.ended() else { return };
        let silent: usize =
            finding.families.iter().filter_map(|f| finding.silent.get(f)).map(|(_, k)| k).sum();
        let is_bare = finding.basis == Some(Basis::Silence)
            && finding.late.values().all(|late| *late == Late::Nothing)
            && self.now - ended.at >= LATE_MS;
        if is_bare && silent <= FEW && finding.verdict == Verdict::IspOutage {
            finding.verdict = Verdict::InsufficientData;
        }
    }

    /// Returns the region whose silence explains an event better than networks do, with the networks of its agents.
    fn best_region(&self, event: &Event) -> Option<(String, BTreeSet<FamilyNo>)> {
        let regions = event.cuts.keys().filter_map(|group| match group {
            Group::Region(region) => Some(region.clone()),
            _ => None,
        });
        let regions: Vec<String> = regions.collect();
        if regions.is_empty() {
            return None;
        }
        let set: BTreeSet<FamilyNo> = event.families().map(|(family, _)| family).collect();
        let mut by_set = -PRICE * count(set.len());
        let mut scores = vec![-PRICE; regions.len()];
        let mut named: Vec<BTreeSet<FamilyNo>> = vec![BTreeSet::new(); regions.len()];
        for family in 0..self.world.families.len() {
            for (key, heard) in self.members(family) {
                if !self.was_expected(key, heard, event.low()) {
                    continue;
                }
                let fall = self.falls_of(heard).find(|(fell, _)| (fell - event.low()).abs() <= BURST_MS);
                by_set += ln_silence(fall.is_some(), if set.contains(&family) { IN_SET } else { NOT_IN });
                for (at, region) in regions.iter().enumerate() {
                    let is_in = self.region_of(&key.0) == Some(region.as_str());
                    scores[at] += ln_silence(fall.is_some(), if is_in { IN_REGION } else { NOT_IN });
                    if is_in && fall.is_some() {
                        named[at].insert(family);
                    }
                }
            }
        }
        let (at, score) = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
        (*score > by_set).then(|| (regions[at].clone(), named[at].clone()))
    }

    fn was_expected(
        &self,
        key: &super::super::super::presence::HeardKey,
        heard: &super::super::super::presence::Heard,
        low: Ms,
    ) -> bool {
        heard.was_heard(low - EXPECTED_MS, low + BURST_MS) && !self.has_moved(key, low + BURST_MS)
    }

    /// Says how far people on the named networks still reach.
    fn reach_of(&self, event: &Event, finding: &Finding) -> Option<Reach> {
        if finding.verdict == Verdict::ControlChannelBlock {
            return (finding.basis == Some(Basis::Spool)).then_some(Reach::All);
        }
        if matches!(finding.basis, Some(Basis::Silence | Basis::OutsideIn)) {
            return None;
        }
        let mut fine = Vec::new();
        for family in &finding.families {
            let Some(cut) = event.cuts.get(&Group::Family(*family)) else { continue };
            let entries = self.domestic(*family, cut.high, cut.until(self.now));
            fine.extend(entries.iter().map(|entry| !entry.class.is_anomaly()));
        }
        let part = share(fine.iter().copied());
        match fine.len() >= REACH_RESULTS {
            true if part >= REACH_SHARE => Some(Reach::DomesticOnly),
            true if part <= 1.0 - REACH_SHARE => Some(Reach::None),
            _ => None,
        }
    }
}

fn families_with(late: &BTreeMap<FamilyNo, Late>, wanted: Late) -> BTreeSet<FamilyNo> {
    late.iter().filter(|(_, late)| **late == wanted).map(|(family, _)| *family).collect()
}

fn ln_silence(is_silent: bool, probability: f64) -> f64 {
    if is_silent { probability.ln() } else { (1.0 - probability).ln() }
}
