//! The null rate of one result: how likely it would fail without any block (method 3.1).
//!
//! ```text
//! p0(i) = clip( max{ p_hist(target, family), p_asn(family, category, t), p_agent(agent, category, t) }, .01, .97 )
//! ```
//! A broken router, a captive portal, a flaky line, evening congestion and a cut cable all raise the local null
//! of exactly the results that they spoil; the median over *other* categories stays low when one, two or three
//! categories are really blocked. Cells with an alarm of their own are left out: what is explained there is no
//! sign of a bad line, and a list on which half of the targets are blocked would else silence the other half.
//!
//! Windows lie around the result they judge, as far as data reach. Live, a window that begins with the
//! suspicion is added, so that a line that dies is not judged by its good minutes before.

use super::cells::Strength;
use super::core::Core;
use super::evidence::count;
use super::store::{Entry, Ms};
use super::world::{CategoryNo, FamilyNo, Place, TargetNo};
use std::collections::{BTreeMap, HashMap};

/// Bounds of the null rate.
const FLOOR: f64 = 0.01;
const CEILING: f64 = 0.97;
/// The rate of a cell without any history, and its weight in results.
pub(super) const PRIOR_RATE: f64 = 0.03;
const PRIOR_WEIGHT: f64 = 30.0;
/// Windows and prior weights of an agent's own rate.
const AGENT_WINDOWS: [(Ms, f64); 2] = [(600_000, 0.6), (1_800_000, 1.0)];
/// Windows of the network's rate.
const NETWORK_WINDOWS: [Ms; 2] = [600_000, 1_200_000];
/// Categories that are left out of a pooled rate, and the results that one needs.
const TRIMMED: usize = 2;
const LEAST_POOLED: f64 = 4.0;
/// Moments are rounded to this, so that rates can be remembered.
const GRID_MS: Ms = 10_000;
/// The same in recorded data, which come once in minutes.
const RECORDED_GRID_MS: Ms = 60_000;
/// Results of windows that ended before this are changed by late ones only.
const SETTLED_MS: Ms = 300_000;
/// More remembered windows than this are forgotten at once.
const MAX_REMEMBERED: usize = 400_000;

/// A window of somebody's results.
type Window = (usize, Ms, Ms);

/// Rates by category, and the state of the results that they rest on.
#[derive(Debug, Default)]
struct Rates {
    by_category: Vec<f64>,
    changes: Changes,
    /// The window was so old that only late results can change it.
    is_settled: bool,
}

/// How often results of a vantage point or a network changed, and how often old ones did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    all: u64,
    late: u64,
}

impl Changes {
    /// Notes a result that started at `start` and came in at `now`.
    pub(super) fn note(&mut self, start: Ms, now: Ms) {
        self.all += 1;
        self.late += u64::from(start < now - SETTLED_MS);
    }

    /// Notes that anything may have changed.
    pub(super) fn note_all(&mut self) {
        self.all += 1;
        self.late += 1;
    }
}

impl Rates {
    fn is_good(&self, changes: Changes, is_lazy: bool) -> bool {
        let is_old_enough = self.is_settled || is_lazy;
        let is_same = if is_old_enough { self.changes.late == changes.late } else { self.changes == changes };
        is_same && !self.by_category.is_empty()
    }
}

/// Rates that were worked out before, good until the vantage point or network has new results.
#[derive(Debug, Default)]
pub(super) struct Nulls {
    agents: HashMap<Window, Rates>,
    networks: HashMap<Window, Rates>,
}

impl Nulls {
    /// Forgets everything if it has become too much.
    pub(super) fn tidy(&mut self) {
        if self.agents.len() + self.networks.len() > MAX_REMEMBERED {
            *self = Self::default();
        }
    }
}

/// What a null rate is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) agent: usize,
    pub(super) family: Option<FamilyNo>,
    pub(super) target: TargetNo,
    pub(super) start: Ms,
    /// When the suspicion began, where there is one.
    pub(super) since: Option<Ms>,
    /// A rate that does not know the last seconds will do.
    pub(super) is_lazy: bool,
}

impl Core {
    /// Returns the null rate of one result.
    pub(super) fn null_rate(&self, nulls: &mut Nulls, question: Question) -> f64 {
        let category = self.world.category(question.target);
        let agent = self.agent_rate(nulls, question, category);
        let Some(family) = question.family else { return agent.max(PRIOR_RATE).clamp(FLOOR, CEILING) };
        let network = self.network_rate(nulls, family, question, category);
        let history = self.history_rate(family, question.target, question.start);
        history.max(network).max(agent).clamp(FLOOR, CEILING)
    }

    /// The rate of a cell's own past: `m + sqrt(m (1 - m) / (n + 30))`, at least the network's usual rate at this
    /// hour of local time.
    pub(super) fn history_rate(&self, family: FamilyNo, target: TargetNo, at: Ms) -> f64 {
        let past = self.cells.past(family, target);
        let weight = past.results + PRIOR_WEIGHT;
        let mean = (past.anomalies + PRIOR_RATE * PRIOR_WEIGHT) / weight;
        let rate = mean + (mean * (1.0 - mean) / weight).sqrt();
        rate.max(self.usual_rate(family, at))
    }

    pub(super) fn usual_rate(&self, family: FamilyNo, at: Ms) -> f64 {
        let Some(hours) = self.usual.get(&family) else { return 0.0 };
        let local_hour = (at + self.utc_offset_ms).div_euclid(3_600_000).rem_euclid(24);
        hours[usize::try_from(local_hour).unwrap_or(0)]
    }

    /// Median over other categories of the agent's failure rate, the largest over the windows.
    fn agent_rate(&self, nulls: &mut Nulls, question: Question, category: CategoryNo) -> f64 {
        let windows = AGENT_WINDOWS
            .iter()
            .map(|(length, prior)| (self.window(question.start, self.stretch(*length)), *prior));
        let stream = question.since.map(|since| (self.until_now(since), AGENT_WINDOWS[0].1));
        let mut rate: f64 = 0.0;
        for ((from, to), prior) in windows.chain(stream) {
            let changes = self.store.agents[question.agent].changes;
            let known = nulls.agents.entry((question.agent, from, to)).or_default();
            if !known.is_good(changes, question.is_lazy) {
                let by_category = self.agent_rates(question.agent, (from, to), prior);
                *known = Rates { by_category, changes, is_settled: to < self.now - SETTLED_MS };
            }
            rate = rate.max(known.by_category[category]);
        }
        rate
    }

    /// For every category, the median over the others of an agent's failure rates in a window.
    fn agent_rates(&self, agent: usize, (from, to): (Ms, Ms), prior: f64) -> Vec<f64> {
        let mut counts = vec![(0.0, 0.0); self.world.category_count()];
        let family = match self.store.agents[agent].place {
            Place::Home(family) => Some(family),
            Place::Reference | Place::Control => None,
        };
        for outcome in self.store.agents[agent].between(from, to) {
            if family.is_some_and(|family| self.is_explained(family, outcome.target)) {
                continue;
            }
            let own: &mut (f64, f64) = &mut counts[self.world.category(outcome.target)];
            own.0 += f64::from(u8::from(outcome.class.is_anomaly()));
            own.1 += 1.0;
        }
        let measured = counts.iter().enumerate().filter(|(_, count)| count.1 > 0.0);
        let rates: Vec<(CategoryNo, f64)> =
            measured.map(|(own, (bad, all))| (own, (bad + PRIOR_RATE * prior) / (all + prior))).collect();
        raise(medians_of_others(&rates, counts.len()), &counts, prior)
    }

    /// Median over targets of other categories of the network's failure rate, the largest over the windows.
    fn network_rate(
        &self,
        nulls: &mut Nulls,
        family: FamilyNo,
        question: Question,
        category: CategoryNo,
    ) -> f64 {
        let windows = NETWORK_WINDOWS.iter().map(|length| self.window(question.start, self.stretch(*length)));
        let mut rate: f64 = 0.0;
        for (from, to) in windows.chain(question.since.map(|since| self.until_now(since))) {
            let changes = self.world.families[family].changes;
            let known = nulls.networks.entry((family, from, to)).or_default();
            if !known.is_good(changes, question.is_lazy) {
                let by_category = self.network_rates(family, (from, to));
                *known = Rates { by_category, changes, is_settled: to < self.now - SETTLED_MS };
            }
            rate = rate.max(known.by_category[category]);
        }
        rate
    }

    /// For every category, the median over targets of the others of a network's failure rates in a window.
    fn network_rates(&self, family: FamilyNo, (from, to): (Ms, Ms)) -> Vec<f64> {
        let mut rates = Vec::new();
        let mut counts = vec![(0.0, 0.0); self.world.category_count()];
        for target in 0..self.world.targets.len() {
            let entries = self.store.cell(family, target).between(from, to);
            if entries.is_empty() || self.is_explained(family, target) {
                continue;
            }
            let (rate, weight) = if self.store.has_cohorts() {
                voiced_share(entries)
            } else {
                (share(entries.iter().map(|entry| entry.class.is_anomaly())), count(entries.len()))
            };
            let category = self.world.category(target);
            rates.push((category, rate));
            let own: &mut (f64, f64) = &mut counts[category];
            *own = (own.0 + rate * weight, own.1 + weight);
        }
        raise(medians_of_others(&rates, counts.len()), &counts, AGENT_WINDOWS[0].1)
    }

    /// Says whether a cell's failures are explained by an alarm of its own.
    fn is_explained(&self, family: FamilyNo, target: TargetNo) -> bool {
        self.cells
            .alarm(family, target)
            .is_some_and(|alarm| alarm.is_open() && alarm.strength == Strength::Firm)
    }

    /// Notes that an alarm of a network was raised or cleared, on which null rates rest.
    pub(super) fn note_alarm(&mut self, family: FamilyNo) {
        self.cells.note_change();
        self.readings.note_family(family);
        self.world.families[family].changes.note_all();
        for agent in self.store.agents.iter_mut().filter(|agent| agent.place == Place::Home(family)) {
            agent.changes.note_all();
        }
    }

    /// A window of a length around a moment, moved back where the future is not known yet.
    fn window(&self, at: Ms, length: Ms) -> (Ms, Ms) {
        let grid = self.grid_ms();
        let middle = at.div_euclid(grid) * grid;
        let to = (middle + length / 2).min(self.rounded_now());
        (to - length, to)
    }

    fn until_now(&self, since: Ms) -> (Ms, Ms) {
        (since, self.rounded_now())
    }

    /// The next round moment: no result can lie after it that does not lie before now.
    pub(super) fn rounded_now(&self) -> Ms {
        let grid = self.grid_ms();
        self.now.div_euclid(grid) * grid + grid
    }

    fn grid_ms(&self) -> Ms {
        if self.is_live() { GRID_MS } else { RECORDED_GRID_MS }
    }
}

/// For every category, the median of the values of the others; 0 where there are none.
fn medians_of_others(values: &[(CategoryNo, f64)], categories: usize) -> Vec<f64> {
    let others = |category: CategoryNo| values.iter().filter(move |(own, _)| *own != category);
    let median_of = |category| median(others(category).map(|(_, value)| *value).collect()).unwrap_or(0.0);
    (0..categories).map(median_of).collect()
}

/// Raises medians to the pooled rate of the other categories.
///
/// Where a window holds one or two results per category, the median of their rates is nearly always 0, however
/// bad the line is. Pooling sees that. Up to two categories of which half or more fails are left out, so that three
/// that are really blocked at once do not excuse each other; categories that fail less are how the line is. (Leaving
/// out the two that fail most in any case would keep a handful of results, and a rate that is too low by chance.)
fn raise(mut medians: Vec<f64>, counts: &[(f64, f64)], prior: f64) -> Vec<f64> {
    for (category, median) in medians.iter_mut().enumerate() {
        let others = counts.iter().enumerate().filter(|(other, count)| *other != category && count.1 > 0.0);
        let mut others: Vec<(f64, f64)> = others.map(|(_, count)| *count).collect();
        others.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1)));
        let mut left = TRIMMED;
        others.retain(|(bad, all)| {
            let is_left_out = left > 0 && 2.0 * bad >= *all;
            left -= usize::from(is_left_out);
            !is_left_out
        });
        let (bad, all) = others.iter().fold((0.0, 0.0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
        if all >= LEAST_POOLED {
            *median = median.max((bad + PRIOR_RATE * prior) / (all + prior));
        }
    }
    medians
}

/// Returns the median, for an even number the mean of the two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Returns the share of anomalies as a mean over voices, and how many voices there are: a cohort that fails at
/// everything must not make a whole network look lossy.
fn voiced_share(entries: &[Entry]) -> (f64, f64) {
    let mut voices: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for entry in entries {
        let own = voices.entry(entry.voice).or_default();
        *own = (own.0 + f64::from(u8::from(entry.class.is_anomaly())), own.1 + 1.0);
    }
    let number = count(voices.len());
    (voices.values().map(|(bad, all)| bad / all).sum::<f64>() / number.max(1.0), number)
}

/// Returns the share of `true`.
pub(super) fn share(values: impl Iterator<Item = bool>) -> f64 {
    let (mut yes, mut all) = (0.0, 0.0);
    for value in values {
        yes += f64::from(u8::from(value));
        all += 1.0;
    }
    if all > 0.0 { yes / all } else { 0.0 }
}
