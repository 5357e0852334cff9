//! The null rate of one result: how likely it would fail without any block (method 3.1).
//!
//! ```text
//! p0(i) = clip( max{ p_hist(target, family), p_asn(family, category, t), p_agent(agent, category, t) }, .01, .97 )
//! ```
//! A broken router, a captive portal, a flaky line, evening congestion and a cut cable all raise the local null
//! of exactly the results that they spoil; the median over *other* categories stays low when one, two or three
//! categories are really blocked.
//!
//! Windows lie around the result they judge, as far as data reach. Live, a window that begins with the
//! suspicion is added, so that a line that dies is not judged by its good minutes before.

use super::core::Core;
use super::store::Ms;
use super::world::{CategoryNo, FamilyNo, TargetNo};
use std::collections::HashMap;

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
/// Rates are remembered for moments rounded to this.
const GRID_MS: Ms = 30_000;

/// Rates that were worked out during one evaluation.
#[derive(Debug, Default)]
pub(super) struct Nulls {
    agents: HashMap<(usize, CategoryNo, Ms, Ms), f64>,
    networks: HashMap<(FamilyNo, CategoryNo, Ms, Ms), f64>,
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
}

impl Core {
    /// Returns the null rate of one result.
    pub(super) fn null_rate(&self, nulls: &mut Nulls, question: Question) -> f64 {
        let category = self.world.category(question.target);
        let moment = question.start.div_euclid(GRID_MS) * GRID_MS;
        let since = question.since.unwrap_or(Ms::MAX);
        let agent = *nulls
            .agents
            .entry((question.agent, category, moment, since))
            .or_insert_with(|| self.agent_rate(question.agent, category, moment, question.since));
        let Some(family) = question.family else { return agent.max(PRIOR_RATE).clamp(FLOOR, CEILING) };
        let network = *nulls
            .networks
            .entry((family, category, moment, since))
            .or_insert_with(|| self.network_rate(family, category, moment, question.since));
        let history = self.history_rate(family, question.target, question.start);
        history.max(network).max(agent).clamp(FLOOR, CEILING)
    }

    /// The rate of a cell's own past: `m + sqrt(m (1 - m) / (n + 30))`, at least the network's usual rate at this
    /// hour of local time.
    fn history_rate(&self, family: FamilyNo, target: TargetNo, at: Ms) -> f64 {
        let past = self.cells.past(family, target);
        let weight = past.results + PRIOR_WEIGHT;
        let mean = (past.anomalies + PRIOR_RATE * PRIOR_WEIGHT) / weight;
        let rate = mean + (mean * (1.0 - mean) / weight).sqrt();
        rate.max(self.usual_rate(family, at))
    }

    fn usual_rate(&self, family: FamilyNo, at: Ms) -> f64 {
        let Some(hours) = self.usual.get(&family) else { return 0.0 };
        let local_hour = (at + self.utc_offset_ms).div_euclid(3_600_000).rem_euclid(24);
        hours[usize::try_from(local_hour).unwrap_or(0)]
    }

    /// Median over other categories of the agent's failure rate, the largest over the windows.
    pub(super) fn agent_rate(&self, agent: usize, category: CategoryNo, at: Ms, since: Option<Ms>) -> f64 {
        let mut rate: f64 = 0.0;
        let windows = AGENT_WINDOWS.iter().map(|(length, prior)| (self.window(at, *length), *prior));
        for ((from, to), prior) in windows.chain(since.map(|since| ((since, self.now), 0.6))) {
            let mut counts = vec![(0.0, 0.0); self.world.category_count()];
            for outcome in self.store.agents[agent].between(from, to) {
                let count: &mut (f64, f64) = &mut counts[self.world.category(outcome.target)];
                count.0 += f64::from(u8::from(outcome.class.is_anomaly()));
                count.1 += 1.0;
            }
            let others =
                counts.iter().enumerate().filter(|(other, count)| *other != category && count.1 > 0.0);
            let rates = others.map(|(_, (bad, all))| (bad + PRIOR_RATE * prior) / (all + prior)).collect();
            rate = rate.max(median(rates).unwrap_or(0.0));
        }
        rate
    }

    /// Median over targets of other categories of the network's failure rate, the largest over the windows.
    fn network_rate(&self, family: FamilyNo, category: CategoryNo, at: Ms, since: Option<Ms>) -> f64 {
        let mut rate: f64 = 0.0;
        let windows = NETWORK_WINDOWS.iter().map(|length| self.window(at, *length));
        for (from, to) in windows.chain(since.map(|since| (since, self.now))) {
            let mut rates = Vec::new();
            for target in 0..self.world.targets.len() {
                let entries = self.store.cell(family, target).between(from, to);
                if self.world.category(target) != category && !entries.is_empty() {
                    rates.push(share(entries.iter().map(|entry| entry.class.is_anomaly())));
                }
            }
            rate = rate.max(median(rates).unwrap_or(0.0));
        }
        rate
    }

    /// A window of a length around a moment, moved back where the future is not known yet.
    fn window(&self, at: Ms, length: Ms) -> (Ms, Ms) {
        let to = (at + length / 2).min(self.now);
        (to - length, to)
    }
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

/// Returns the share of `true`.
pub(super) fn share(values: impl Iterator<Item = bool>) -> f64 {
    let (mut yes, mut all) = (0.0, 0.0);
    for value in values {
        yes += f64::from(u8::from(value));
        all += 1.0;
    }
    if all > 0.0 { yes / all } else { 0.0 }
}
