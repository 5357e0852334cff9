//! The state behind the detector: what was received, what is known of each cell, and the clock.

use super::cells::{CellNo, Cells, Past};
use super::degraded::Degraded;
use super::evidence::count;
use super::incidents::Incidents;
use super::null::{Nulls, share};
use super::plan::Plan;
use super::presence::{Group, Presences};
use super::reads::Reads;
use super::setup::{Mode, Setup};
use super::slow::Slow;
use super::store::{Entry, Ms, Outcome, Store, hash};
use super::world::{FamilyNo, Place, TargetNo, World};
use super::{Evaluation, ms};
use faultline_model::{CheckKind, Class, MeasurementId, Record, Timestamp, Why};
use std::collections::{BTreeMap, BTreeSet, HashSet};

const HOUR_MS: Ms = 3_600_000;
/// The past loses this part an hour (method 3.1).
const DECAY: f64 = 0.97;
/// Recorded data: in the first two hours standing blocks are recognised (method 3.1).
const WARM_UP_MS: Ms = 2 * HOUR_MS;
/// A finished hour enters the past after this, when most of its results have come.
const HOUR_GRACE_MS: Ms = 300_000;
/// A recorded or remembered rate from which a cell counts as blocked already.
const STANDING_RATE: f64 = 0.5;
/// Results that such a statement needs.
const STANDING_RESULTS: usize = 6;
/// Recorded days weigh at most this many results, so that they can be unlearnt.
const MAX_BASELINE: f64 = 500.0;

/// Ids that were taken, in two generations, so that memory stays bounded.
#[derive(Debug, Default)]
struct Seen {
    young: HashSet<MeasurementId>,
    old: HashSet<MeasurementId>,
    turned: Ms,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) world: World,
    pub(super) store: Store,
    pub(super) cells: Cells,
    pub(super) incidents: Incidents,
    pub(super) plan: Plan,
    pub(super) now: Ms,
    pub(super) base_ms: Ms,
    pub(super) utc_offset_ms: Ms,
    /// The short name of local time, where the profile gives one.
    pub(super) time_zone: Option<String>,
    pub(super) usual: BTreeMap<FamilyNo, [f64; 24]>,
    /// Cells of which recorded ordinary days are known.
    pub(super) recorded: BTreeSet<CellNo>,
    /// Usual shares of slow downloads by hour of local time.
    pub(super) usual_slow: BTreeMap<FamilyNo, [f64; 24]>,
    pub(super) slow: Slow,
    pub(super) degraded: Degraded,
    /// Agents with a recent result, by family.
    pub(super) active: Vec<Vec<usize>>,
    /// How many voices they are.
    pub(super) voices: Vec<usize>,
    /// Cells with recent failures, as of their last reading.
    pub(super) readings: Reads,
    pub(super) setup: Setup,
    pub(super) presences: Presences,
    pub(super) nulls: Nulls,
    /// Live: when active agents were counted.
    pub(super) counted: Ms,
    /// Live: when ends were looked for everywhere.
    pub(super) ends_looked: Ms,
    queue: BTreeMap<(Ms, MeasurementId), Record>,
    seen: Seen,
    pub(super) first: Option<Ms>,
    hour: Option<i64>,
    pub(super) is_warm: bool,
}

impl Core {
    pub(super) fn new(setup: Setup) -> Self {
        let world = World::new(&setup);
        let base_ms = base_ms(&setup);
        let mut core = Self {
            world,
            store: Store::new(token_base(&setup)),
            cells: Cells::default(),
            incidents: Incidents::default(),
            plan: Plan::default(),
            now: Ms::MIN / 4,
            base_ms,
            utc_offset_ms: 0,
            time_zone: None,
            usual: BTreeMap::new(),
            recorded: BTreeSet::new(),
            usual_slow: BTreeMap::new(),
            slow: Slow::default(),
            degraded: Degraded::default(),
            active: Vec::new(),
            voices: Vec::new(),
            readings: Reads::default(),
            setup,
            presences: Presences::default(),
            nulls: Nulls::default(),
            counted: 0,
            ends_looked: 0,
            queue: BTreeMap::new(),
            seen: Seen::default(),
            first: None,
            hour: None,
            is_warm: false,
        };
        core.store.set_cohorts(&core.setup.cohorts);
        core.learn();
        core
    }

    pub(super) fn update(&mut self, setup: Setup) {
        self.world.update(&setup);
        self.base_ms = base_ms(&setup);
        let mut families = BTreeMap::new();
        for agent in &self.store.agents {
            if matches!(agent.place, Place::Home(_)) {
                families.insert(agent.asn, self.world.family_of(agent.asn));
            }
        }
        self.store.set_cohorts(&setup.cohorts);
        self.store.rearrange(token_base(&setup), |agent| match families.get(&agent.asn) {
            Some(family) if agent.place != Place::Control => {
                if setup.reference_asns.contains(&agent.asn) {
                    Place::Reference
                } else {
                    Place::Home(*family)
                }
            }
            _ => agent.place,
        });
        for family in families.into_values() {
            self.world.families[family].is_heard = true;
        }
        self.setup = setup;
        self.nulls = Nulls::default();
        self.note_everything();
        self.learn();
    }

    pub(super) fn is_live(&self) -> bool {
        self.setup.mode == Mode::Live
    }

    /// Says whether vantage points have no identity.
    pub(super) fn is_anonymous(&self) -> bool {
        self.setup.mode == Mode::Anonymous
    }

    /// Takes a record into the queue; it counts once the clock has reached its receipt.
    pub(super) fn ingest(&mut self, record: Record) -> bool {
        if self.seen.old.contains(&record.id) || !self.seen.young.insert(record.id.clone()) {
            return false;
        }
        self.queue.insert((ms(record.received_at), record.id.clone()), record);
        true
    }

    pub(super) fn evaluate(&mut self, now: Timestamp) -> Evaluation {
        self.now = self.now.max(ms(now));
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let record = entry.remove();
            self.take(&record);
        }
        self.update_silence();
        self.roll_hours();
        self.nulls.tidy();
        self.update_alarms();
        self.update_dead();
        self.update_outages();
        self.update_degraded();
        self.update_slow();
        let mut nulls = std::mem::take(&mut self.nulls);
        let changed = self.update_incidents(&mut nulls);
        self.nulls = nulls;
        let asks = if self.is_live() { self.plan_asks() } else { Vec::new() };
        Evaluation { changed, asks, next: self.next_evaluation() }
    }

    fn take(&mut self, record: &Record) {
        match record.check {
            CheckKind::Web => {}
            CheckKind::Throughput => return self.take_download(record),
            // Whether QUIC passes says nothing about the chain, and has no verdict of its own yet.
            _ => return,
        }
        if matches!(record.class, Class::LocalNetworkDown | Class::Throttled) {
            return;
        }
        if self.take_landmark(record) {
            return;
        }
        let Some(place) = self.world.place_of(record) else { return };
        self.hear_upload(&record.agent, record.asn, ms(record.received_at));
        let Some(target) = self.world.target_of(record) else { return };
        let agent = self.store.agent(&record.agent, record.asn, place);
        self.note_active(agent, place);
        let received = ms(record.received_at);
        self.first = Some(self.first.map_or(received, |first| first.min(received)));
        let outcome = Outcome {
            start: 0,
            raw: ms(record.started_at),
            received,
            key: hash(record.id.as_str()),
            target,
            class: record.class,
            asked: record.why == Why::Confirmation,
            control_ok: record.control_ok,
            kept: false,
        };
        let flips = self.store.flips;
        let (start, has_moved_others) = self.store.add(agent, outcome, self.now);
        // What records say of their controls decides what counts on every network.
        if self.store.flips != flips {
            self.readings.note_target(target);
        }
        if let Place::Home(family) = place {
            self.world.families[family].is_heard = true;
            let changes = &mut self.world.families[family].changes;
            if has_moved_others {
                self.readings.note_family(family);
                changes.note_all();
            } else {
                changes.note(start, self.now);
            }
            if record.class.is_anomaly() {
                let cell = self.cells.get_mut(family, target);
                cell.last_bad = cell.last_bad.max(received);
            }
            self.readings.note_result((family, target));
        } else {
            self.readings.note_target(target);
        }
    }

    /// Takes over what the setup says of the past.
    fn learn(&mut self) {
        let setup = &self.setup;
        self.utc_offset_ms = Ms::from(setup.profile.utc_offset_min) * 60_000;
        self.time_zone.clone_from(&setup.profile.time_zone);
        self.usual.clear();
        self.usual_slow.clear();
        for (history, usual) in
            [(&setup.history, &mut self.usual), (&setup.slow_history, &mut self.usual_slow)]
        {
            for (asn, hours) in history {
                if setup.reference_asns.contains(asn) {
                    continue;
                }
                let family = self.world.family_of(*asn);
                let usual = usual.entry(family).or_insert([0.0; 24]);
                for (rate, other) in usual.iter_mut().zip(hours) {
                    *rate = rate.max(*other);
                }
            }
        }
        self.learn_baseline();
    }

    fn learn_baseline(&mut self) {
        let mut sums: BTreeMap<(FamilyNo, TargetNo), (f64, f64)> = BTreeMap::new();
        for row in &self.setup.baseline.cells {
            if let Some(target) = self.world.target(&row.target) {
                let sum = sums.entry((self.world.family_of(row.asn), target)).or_default();
                *sum = (
                    sum.0 + f64::from(row.anomalies.min(row.measurements)),
                    sum.1 + f64::from(row.measurements),
                );
            }
        }
        self.recorded = sums.keys().copied().collect();
        for ((family, target), (anomalies, results)) in sums {
            let cell = self.cells.get_mut(family, target);
            if cell.past == Past::default() && results > 0.0 {
                let scale = (MAX_BASELINE / results).min(1.0);
                cell.past = Past { results: results * scale, anomalies: anomalies * scale };
                cell.is_standing = results >= 10.0 && anomalies / results >= STANDING_RATE;
            }
        }
    }

    /// Lets finished hours enter the past of cells that were not blocked in them.
    fn roll_hours(&mut self) {
        let long = self.stretch(HOUR_MS);
        let hour = (self.now - self.past_grace_ms(HOUR_GRACE_MS)).div_euclid(long);
        let last = *self.hour.get_or_insert(hour);
        for finished in last.max(hour - 48)..hour {
            self.roll_hour(finished * long, long);
        }
        if hour > last {
            self.hour = Some(hour);
            self.store.forget(self.now - self.retention_ms());
            self.forget_slow();
            self.forget_presence();
            self.nulls = Nulls::default();
            if self.now - self.seen.turned > self.retention_ms() {
                self.seen.old = std::mem::take(&mut self.seen.young);
                self.seen.turned = self.now;
            }
        }
        let warm_at = self.first.map(|first| first + self.stretch(WARM_UP_MS));
        if !self.is_warm && !self.is_live() && warm_at.is_some_and(|at| self.now >= at) {
            self.is_warm = true;
            self.find_standing();
        }
    }

    fn roll_hour(&mut self, from: Ms, long: Ms) {
        for family in 0..self.world.families.len() {
            for target in 0..self.world.targets.len() {
                // A cell exists from its first hour on, so that successes are remembered too.
                self.cells.get_mut(family, target);
            }
        }
        let Self { cells, store, presences, degraded, .. } = self;
        for ((family, target), cell, alarm) in cells.all_mut() {
            let overlaps = alarm.is_some_and(|alarm| {
                let (onset, end) = alarm.span(Ms::MAX);
                onset < from + long && end >= from
            });
            cell.past.results *= DECAY;
            cell.past.anomalies *= DECAY;
            let cut = presences.cuts.get(&Group::Family(family));
            let is_cut = cut
                .is_some_and(|cut| !cut.is_channel && cut.low < from + HOUR_MS && cut.until(Ms::MAX) >= from);
            // What a network suffers for a while is no measure of how it usually is.
            let suffers = degraded.alarms.get(&family).is_some_and(|alarm| {
                let (onset, end) = alarm.span(Ms::MAX);
                onset < from + long && end >= from
            });
            if overlaps || is_cut || suffers {
                continue;
            }
            let entries = store.cell(family, target).between(from, from + long - 1);
            let counted = entries.iter().filter(|entry| !store.is_excused(target, entry.start));
            let (results, anomalies) = heard_of(counted);
            cell.past.results += results;
            cell.past.anomalies += anomalies;
        }
    }

    /// Marks cells that were mostly failing when recorded data began: a state, not news.
    fn find_standing(&mut self) {
        let families: Vec<FamilyNo> = self.world.heard().collect();
        for family in families {
            for target in 0..self.world.targets.len() {
                let entries = self.store.cell(family, target).all();
                let bad = share(entries.iter().map(|entry| entry.class.is_anomaly()));
                if entries.len() >= STANDING_RESULTS && bad >= STANDING_RATE {
                    self.cells.get_mut(family, target).is_standing = true;
                }
            }
        }
    }

    /// Returns the share of the covered users that a family has; without any known shares all count alike.
    pub(super) fn share_of(&self, family: FamilyNo) -> f64 {
        let known: f64 = self.world.families.iter().map(|family| family.share).sum();
        if known > 0.0 {
            self.world.families[family].share
        } else {
            1.0 / count(self.world.heard().count().max(1))
        }
    }

    /// Returns the time between two beats of an agent.
    pub(super) fn beat_ms(&self) -> Ms {
        Ms::try_from(self.setup.beat.as_millis()).unwrap_or(Ms::MAX).clamp(1_000, 86_400_000)
    }

    fn next_evaluation(&mut self) -> Option<Timestamp> {
        let queued = self.queue.keys().next().map(|(received, _)| *received);
        let planned = if self.is_live() { self.plan.next(self.now) } else { None };
        let silent = if self.is_live() { self.next_silence() } else { None };
        let next = queued.into_iter().chain(planned).chain(silent).min()?;
        Some(Timestamp::from_unix_ms(next.max(self.now + 1)))
    }
}

/// The base period of the schedule's tokens; where nobody handed out tasks, there are no tokens.
fn token_base(setup: &Setup) -> Ms {
    if setup.mode == Mode::Anonymous { 0 } else { base_ms(setup) }
}

fn base_ms(setup: &Setup) -> Ms {
    Ms::try_from(setup.base_period.as_millis()).unwrap_or(Ms::MAX).clamp(1_000, 86_400_000)
}

/// Counts results and anomalies, of agents that were invited together as many as the busiest of them delivered.
fn heard_of<'a>(entries: impl Iterator<Item = &'a Entry>) -> (f64, f64) {
    let mut voices: BTreeMap<usize, BTreeMap<usize, (f64, f64)>> = BTreeMap::new();
    for entry in entries {
        let agent = voices.entry(entry.voice).or_default().entry(entry.agent).or_default();
        *agent = (agent.0 + 1.0, agent.1 + f64::from(u8::from(entry.class.is_anomaly())));
    }
    voices.values().fold((0.0, 0.0), |sum, agents| {
        let (all, bad) = agents.values().fold((0.0, 0.0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
        let most = agents.values().map(|own| own.0).fold(0.0, f64::max);
        (sum.0 + most, sum.1 + most * bad / all)
    })
}
