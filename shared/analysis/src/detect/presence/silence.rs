//! Which groups fell silent together (method 3.5).
//!
//! Tested are operator families with at least three expected agents, regions with five, and the country; alarmed are
//! those that e-BH rejects at one percent and of which at least seven in ten fell within one burst.

use super::super::core::Core;
use super::super::evidence::count;
use super::super::store::Ms;
use super::super::world::{FamilyNo, Place};
use super::habit::{Habits, burst, ln_ratio};
use super::{Cause, Group, Heard, Stand};
use faultline_model::AgentId;
use std::collections::{BTreeMap, BTreeSet};

/// Falls of one event lie within this.
pub(in super::super) const BURST_MS: Ms = 960_000;
/// The same within a region, whose power goes step by step.
const REGION_BURST_MS: Ms = 1_440_000;
/// A burst of middle length, for live beats.
const MIDDLE_MS: Ms = 240_000;
/// Agents that a group must have, and the share that must fall.
const LEAST_FAMILY: usize = 3;
const LEAST_REGION: usize = 5;
const LEAST_COUNTRY: usize = 5;
const COUNTRY_FAMILIES: usize = 3;
const LEAST_SHARE: f64 = 0.7;
/// The hour before a burst that tells whether others fall silent too.
const RECENT_MS: Ms = 3_600_000;
/// Live: how often everything is looked at.
const PACE_MS: Ms = 500;

/// The agents of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Census {
    /// Expected agents.
    pub(super) expected: usize,
    /// Last signs of those that are silent, sorted.
    pub(super) falls: Vec<Ms>,
    families: BTreeSet<FamilyNo>,
}

impl Core {
    /// Looks at everybody's presence and raises and ends cuts.
    pub(in super::super) fn update_silence(&mut self) {
        self.take_presence();
        if self.is_live() && self.now - self.presences.looked < PACE_MS {
            return;
        }
        (self.presences.looked, self.presences.is_fresh) = (self.now, false);
        self.end_silences();
        let groups = self.census();
        let tested = groups.iter().filter(|(group, census)| is_tested(group, census));
        let tested: Vec<(&Group, &Census)> = tested.collect();
        let mut order: Vec<(f64, &Group, Ms)> = Vec::new();
        for (group, census) in &tested {
            if let Some((ln_e, begin)) = self.read_silence(group, census) {
                order.push((ln_e, group, begin));
            }
        }
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        let threshold = (count(tested.len().max(1)) / super::super::alarm::ALPHA).ln();
        let kept = (1..=order.len()).rev().find(|k| order[k - 1].0 >= threshold - count(*k).ln());
        let raised: Vec<(Group, (Ms, Ms))> = order[..kept.unwrap_or(0)]
            .iter()
            .map(|(_, group, begin)| {
                ((*group).clone(), self.onset_of(&groups[*group].falls, (*begin, width_of(group))))
            })
            .collect();
        for (group, span) in raised {
            self.raise_cut(group, Cause::Silent, span);
        }
        self.join_country(&groups);
    }

    /// Says when to look again if nobody says anything.
    pub(in super::super) fn next_silence(&mut self) -> Option<Ms> {
        let waits = if self.now - self.presences.looked < PACE_MS && self.presences.is_fresh {
            Some(self.presences.looked + PACE_MS)
        } else {
            None
        };
        // A beat only puts a fall off: an early look does no harm, and saves asking every agent at every result.
        let known = self.presences.quiet_until.filter(|at| *at > self.now);
        let next = known.or_else(|| self.presences.next_fall(self.now));
        self.presences.quiet_until = next;
        next.into_iter().chain(waits).min()
    }

    /// Counts the agents of every group.
    pub(super) fn census(&self) -> BTreeMap<Group, Census> {
        let mut groups: BTreeMap<Group, Census> = BTreeMap::new();
        let mut cohorts: BTreeMap<(Group, &str), Vec<Option<Ms>>> = BTreeMap::new();
        for (key, heard) in &self.presences.agents {
            let Place::Home(family) = heard.place else { continue };
            let stand = self.stand(key, heard);
            if stand == Stand::Away {
                continue;
            }
            let region = self.region_of(&key.0).map(|region| Group::Region(region.to_owned()));
            for group in [Group::Family(family), Group::Country].into_iter().chain(region) {
                let fall = if let Stand::Gone(at) = stand { Some(at) } else { None };
                let census = groups.entry(group.clone()).or_default();
                census.families.insert(family);
                if let Some(cohort) = self.setup.cohorts.get(&key.0) {
                    cohorts.entry((group, cohort)).or_default().push(fall);
                    continue;
                }
                census.expected += 1;
                census.falls.extend(fall);
            }
        }
        // Those who were invited together are one voice.
        for ((group, _), falls) in cohorts {
            let census = groups.entry(group).or_default();
            census.expected += 1;
            census.falls.extend(voice(falls));
        }
        for census in groups.values_mut() {
            census.falls.sort_unstable();
        }
        groups
    }

    /// Returns ln of a group's e-value and the beginning of its burst, if enough of it fell.
    fn read_silence(&self, group: &Group, census: &Census) -> Option<(f64, Ms)> {
        let widest = width_of(group);
        let (held, begin) = burst(&census.falls, widest);
        if count(held) < LEAST_SHARE * count(census.expected) {
            return None;
        }
        let habits = self.habits(group, begin);
        let widths: BTreeSet<Ms> =
            [3 * self.beat_ms(), MIDDLE_MS.max(3 * self.beat_ms()), widest].into_iter().collect();
        let mut mean = 0.0;
        for width in &widths {
            let (held, _) = burst(&census.falls, *width);
            mean += ln_ratio(census.expected, held, habits.churn(*width)).exp();
        }
        Some(((mean / count(widths.len())).ln(), begin))
    }

    /// Learns a group's habit from what was before a burst.
    fn habits(&self, group: &Group, begin: Ms) -> Habits {
        let mut habits = Habits::default();
        let until = begin - BURST_MS;
        for (key, heard) in &self.presences.agents {
            if !matches!(heard.place, Place::Home(_)) {
                continue;
            }
            let falls: Vec<Ms> = self.falls_of(heard).map(|(fell, _)| fell).collect();
            let before = falls.iter().filter(|fell| **fell < until).count();
            let heard_ms = heard.heard_ms(Ms::MIN, until);
            habits.country.add(before, heard_ms);
            if self.belongs(group, key, heard) && *group != Group::Country {
                habits.own.add(before, heard_ms);
            } else {
                let recent = falls.iter().filter(|fell| (until - RECENT_MS..until).contains(fell)).count();
                habits.recent.add(recent, heard.heard_ms(until - RECENT_MS, until));
            }
        }
        habits
    }

    /// Returns an agent's falls, without those that our own downtime explains.
    pub(in super::super) fn falls_of<'a>(
        &'a self,
        heard: &'a Heard,
    ) -> impl Iterator<Item = (Ms, Option<Ms>)> + 'a {
        heard.falls().filter_map(|(run, back)| {
            let end = self.presences.bridged(run) + run.after;
            (back.unwrap_or(self.now) > end).then_some((run.to, back))
        })
    }

    /// Returns between which moments a burst began: its last sign of life, and the first sign that should have come.
    fn onset_of(&self, falls: &[Ms], (begin, width): (Ms, Ms)) -> (Ms, Ms) {
        let beat = self.beat_ms();
        let held: Vec<Ms> = falls.iter().copied().filter(|at| (begin..=begin + width).contains(at)).collect();
        let low = held.iter().copied().max().unwrap_or(begin);
        let due = held.iter().filter(|at| **at > low - 2 * beat).map(|at| at + beat).min();
        (low, due.unwrap_or(low + beat).clamp(low, low + beat))
    }

    /// While the country is cut, networks whose every agent fell silent with it are cut too, few as they may be.
    fn join_country(&mut self, groups: &BTreeMap<Group, Census>) {
        let Some(cut) = self.presences.cuts.get(&Group::Country).filter(|cut| cut.is_open()) else { return };
        let (from, to) = (cut.low - BURST_MS, cut.low + BURST_MS);
        let mut joining = Vec::new();
        for (group, census) in groups {
            let near: Vec<Ms> = census.falls.iter().copied().filter(|at| (from..=to).contains(at)).collect();
            let is_open = self.presences.cuts.get(group).is_some_and(super::Cut::is_open);
            if matches!(group, Group::Family(_))
                && !is_open
                && !near.is_empty()
                && near.len() == census.expected
            {
                joining.push((group.clone(), self.onset_of(&near, (near[0], 2 * BURST_MS))));
            }
        }
        for (group, span) in joining {
            self.raise_cut(group, Cause::Silent, span);
        }
    }

    /// Returns the region of an agent, where it is known.
    pub(in super::super) fn region_of(&self, agent: &AgentId) -> Option<&str> {
        self.setup.regions.get(agent).map(String::as_str)
    }
}

/// Returns the moment at which something happened to most of those who speak with one voice, if it did.
pub(super) fn voice(moments: Vec<Option<Ms>>) -> Option<Ms> {
    let all = moments.len();
    let mut known: Vec<Ms> = moments.into_iter().flatten().collect();
    known.sort_unstable();
    if 2 * known.len() > all { known.get(known.len() / 2).copied() } else { None }
}

/// Returns the width of a burst that may take all of a group.
fn width_of(group: &Group) -> Ms {
    if matches!(group, Group::Region(_)) { REGION_BURST_MS } else { BURST_MS }
}

fn is_tested(group: &Group, census: &Census) -> bool {
    match group {
        Group::Family(_) => census.expected >= LEAST_FAMILY,
        Group::Region(_) => census.expected >= LEAST_REGION && census.families.len() >= 2,
        Group::Country => census.expected >= LEAST_COUNTRY && census.families.len() >= COUNTRY_FAMILIES,
    }
}
