//! When to run what: the coordinator's schedule, cut to what the policy allows, and the moments that follow from it.

use crate::policy::{Policy, Refusal};
use faultline_model::{CheckKind, Depth, MAX_TARGETS, Target, Timestamp};
use faultline_proto::agent as wire;
use faultline_proto::convert::task_from_entry;
use std::collections::BTreeSet;

/// Runs begin up to this share of their period early or late, so that nothing on the wire has a fixed period.
const JITTER: f64 = 0.05;
/// But no more than this: a longer jitter opens gaps between agents that take turns, in which onsets are lost.
const MAX_JITTER_MS: i64 = 7_000;
/// A list names each target at most once, and each of its checks at most once.
const KINDS: usize = 3;
/// Longer periods are cut to this.
const MAX_PERIOD_MS: u64 = 86_400_000;

/// One recurring task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What is run.
    pub check: CheckKind,
    /// Against what.
    pub target: Target,
    /// How much of it.
    pub depth: Depth,
    period_ms: i64,
    phase_ms: i64,
}

/// Reads a schedule; what the policy does not allow is left out or mended, and named.
#[must_use]
pub fn accept(schedule: &wire::Schedule, policy: &Policy, now: Timestamp) -> (Vec<Entry>, Vec<Refusal>) {
    if schedule.entries.len() > MAX_TARGETS * KINDS {
        return (vec![], vec![Refusal::TooManyEntries]);
    }
    let (mut entries, mut refusals, mut seen) = (vec![], vec![], BTreeSet::new());
    for entry in &schedule.entries {
        let Ok((check, target, depth)) = task_from_entry(entry) else {
            refusals.push(Refusal::Malformed);
            continue;
        };
        if let Err(refusal) = policy.allows(check, &target, now) {
            refusals.push(refusal);
            continue;
        }
        if !seen.insert((check, target.clone())) {
            refusals.push(Refusal::DuplicateEntry);
            continue;
        }
        let least = u64::try_from(policy.least_interval(check).as_millis()).unwrap_or(MAX_PERIOD_MS);
        if entry.period_ms < least {
            refusals.push(Refusal::PeriodTooShort);
        }
        let period = entry.period_ms.clamp(least, MAX_PERIOD_MS.max(least));
        let as_ms = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (period_ms, phase_ms) = (as_ms(period), as_ms(entry.phase_ms % period));
        entries.push(Entry { check, target, depth, period_ms, phase_ms });
    }
    (entries, refusals)
}

/// The moments at which entries are due.
#[derive(Debug, Default)]
pub struct Timetable {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    /// The planned moment, without jitter.
    planned_ms: i64,
    due_ms: i64,
}

impl Timetable {
    /// Lays out a schedule from now on, with regard to when each entry was last run.
    #[must_use]
    pub fn new(entries: Vec<Entry>, policy: &Policy, now: Timestamp) -> Self {
        let slots = entries.into_iter().map(|entry| {
            let last = policy.last_run(entry.check, &entry.target).filter(|last| *last <= now);
            // A run of less than half a period ago was this occurrence, done early.
            let after = last.map_or(i64::MIN, |last| last.unix_ms() + entry.period_ms / 2);
            let planned_ms = next_occurrence(&entry, now.unix_ms().max(after));
            let due_ms = planned_ms + jitter(&entry);
            Slot { entry, planned_ms, due_ms }
        });
        Self { slots: slots.collect() }
    }

    /// Returns how many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Says whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns when the next entry is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.slots.iter().map(|slot| slot.due_ms).min().map(Timestamp::from_unix_ms)
    }

    /// Takes the entry that is due longest, and plans its next occurrence. What was missed by more than half a period
    /// (paused, asleep, nothing free) is not made up for.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<Entry> {
        loop {
            let now_ms = now.unix_ms();
            let slot =
                self.slots.iter_mut().filter(|slot| slot.due_ms <= now_ms).min_by_key(|slot| slot.due_ms)?;
            let is_missed = now_ms - slot.due_ms > slot.entry.period_ms / 2;
            slot.planned_ms = next_occurrence(&slot.entry, now_ms.max(slot.planned_ms + 1));
            slot.due_ms = slot.planned_ms + jitter(&slot.entry);
            if !is_missed {
                return Some(slot.entry.clone());
            }
        }
    }

    /// Puts the occurrence that was just taken off until a moment at which it may be run.
    pub fn postpone(&mut self, entry: &Entry, until: Timestamp) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.entry == *entry) {
            slot.planned_ms -= entry.period_ms;
            slot.due_ms = until.unix_ms();
        }
    }
}

/// The first moment not before `from_ms` that is congruent to the phase.
fn next_occurrence(entry: &Entry, from_ms: i64) -> i64 {
    from_ms + (entry.phase_ms - from_ms).rem_euclid(entry.period_ms)
}

fn jitter(entry: &Entry) -> i64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a period is at most a day"
    )]
    let most = ((entry.period_ms as f64 * JITTER) as i64).min(MAX_JITTER_MS);
    if most == 0 { 0 } else { rand::random_range(-most..=most) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Allowance, Ledger};
    use faultline_model::{Category, Limits, Role, ServiceId, TargetSpec, TaskList};

    const MINUTE: i64 = 60_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_705_758_000_000 + ms)
    }

    fn policy() -> Policy {
        let spec = |name: &str| TargetSpec {
            target: Target::new(&format!("https://{name}/")).expect("a target"),
            service: ServiceId::new("x").expect("a service"),
            service_name: "X".into(),
            role: Role::Site,
            category: Category::new("GRP").expect("a category"),
            checks: vec![CheckKind::Web],
            domestic: None,
        };
        let list = TaskList {
            name: "core".into(),
            version: 1,
            issued_at: at(0),
            expires_at: at(86_400_000),
            limits: Limits::default(),
            resolvers: vec![],
            targets: vec![spec("x.com"), spec("y.com")],
            landmarks: vec![],
            throughput_control: None,
            risk: std::collections::BTreeMap::new(),
            line: faultline_model::LineProbes::default(),
        };
        let allowance = Allowance::of(wire::BudgetClass::Standard, false);
        Policy::new(allowance, BTreeSet::from([CheckKind::Web]), Some(list), Ledger::new(&allowance, at(0)))
    }

    fn entry(target: &str, period_ms: u64) -> wire::ScheduleEntry {
        let depth = wire::Depth::Light.into();
        wire::ScheduleEntry { check: "web".into(), target: target.into(), period_ms, phase_ms: 1000, depth }
    }

    fn accept_all(entries: Vec<wire::ScheduleEntry>) -> (Vec<Entry>, Vec<Refusal>) {
        accept(&wire::Schedule { generation: 1, list_version: 1, entries }, &policy(), at(0))
    }

    #[test]
    fn what_the_list_does_not_hold_never_enters_the_schedule() {
        let (entries, refusals) = accept_all(vec![
            entry("https://x.com/", 300_000),
            entry("https://victim.org/", 300_000),
            entry("https://192.168.1.1/", 300_000),
            wire::ScheduleEntry { check: "scan".into(), ..entry("https://y.com/", 300_000) },
            entry("https://x.com/", 300_000),
        ]);
        assert_eq!(entries.len(), 1);
        let expected = [Refusal::NotInList, Refusal::Malformed, Refusal::Malformed, Refusal::DuplicateEntry];
        assert_eq!(refusals, expected);
    }

    #[test]
    fn a_period_that_is_too_short_is_mended_and_counted() {
        for period in [0, 1, 59_999] {
            let (entries, refusals) = accept_all(vec![entry("https://x.com/", period)]);
            assert_eq!((entries[0].period_ms, refusals.as_slice()), (60_000, &[Refusal::PeriodTooShort][..]));
        }
        assert_eq!(accept_all(vec![entry("https://x.com/", u64::MAX)]).0[0].period_ms, 86_400_000);
    }

    #[test]
    fn a_schedule_larger_than_any_list_is_refused_whole() {
        let (entries, refusals) = accept_all(vec![entry("https://x.com/", 300_000); MAX_TARGETS * KINDS + 1]);
        assert!(entries.is_empty() && refusals == [Refusal::TooManyEntries]);
    }

    #[test]
    fn each_occurrence_comes_once_near_its_phase() {
        let (entries, _) = accept_all(vec![entry("https://x.com/", 300_000)]);
        let mut timetable = Timetable::new(entries, &policy(), at(0));
        let mut runs = vec![];
        for ms in (0..3_500_000).step_by(500) {
            if timetable.pop_due(at(ms)).is_some() {
                runs.push(ms);
            }
        }
        assert_eq!(runs.len(), 12, "{runs:?}");
        for run in runs {
            let off = (at(run).unix_ms() - 1000 + 150_000).rem_euclid(300_000) - 150_000;
            assert!(off.abs() <= 7_500, "{off} ms off its phase");
        }
    }

    #[test]
    fn what_was_missed_during_a_pause_is_not_made_up_for() {
        let (entries, _) = accept_all(vec![entry("https://x.com/", 300_000)]);
        let mut timetable = Timetable::new(entries, &policy(), at(0));
        let long_after = at(600 * MINUTE + 200_000);
        let count = (0..10).filter(|_| timetable.pop_due(long_after).is_some()).count();
        assert!(count <= 1);
        assert!(timetable.next_due().is_some_and(|due| due > long_after || count == 0));
    }

    #[test]
    fn a_new_schedule_does_not_repeat_what_was_just_run() {
        let mut policy = policy();
        let (entries, _) = accept_all(vec![entry("https://x.com/", 300_000)]);
        // Phase 1000 of the Unix time: the next planned occurrence after 0 is at `first`.
        let first = next_occurrence(&entries[0], at(0).unix_ms());
        let early = Timestamp::from_unix_ms(first - 10_000);
        policy.admit_routine(CheckKind::Web, &entries[0].target, Depth::Light, early).expect("permitted");
        let timetable = Timetable::new(entries, &policy, early + std::time::Duration::from_secs(1));
        let due = timetable.next_due().expect("an entry").unix_ms();
        assert!(due >= first + 280_000, "the same occurrence again");
    }

    #[test]
    fn jitter_at_the_least_interval_delays_runs_and_skips_none() {
        let mut policy = policy();
        let (entries, _) = accept_all(vec![entry("https://x.com/", 60_000)]);
        let mut timetable = Timetable::new(entries, &policy, at(0));
        let mut runs = vec![];
        for ms in (0..600_000).step_by(100) {
            while let Some(entry) = timetable.pop_due(at(ms)) {
                match policy.admit_routine(entry.check, &entry.target, entry.depth, at(ms)) {
                    Ok(_) => runs.push(ms),
                    Err(refusal) => {
                        assert_eq!(refusal, Refusal::TooSoon);
                        let last = policy.last_run(entry.check, &entry.target).expect("a run");
                        timetable.postpone(&entry, last + policy.least_interval(entry.check));
                    }
                }
            }
        }
        assert!(runs.windows(2).all(|pair| pair[1] - pair[0] >= 60_000), "{runs:?}");
        assert!((8..=10).contains(&runs.len()), "{runs:?}");
    }
}
