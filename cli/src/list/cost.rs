//! What a list asks of volunteers, by the house's budget table, and what the coordinator says it costs.

use crate::output::{counted, grouped};
use crate::show::{Align, Table};
use faultline_model::{Depth, TaskList};
use faultline_proto::operator::{Agent, AgentCost};
use std::collections::BTreeMap;

/// Checks a day that a schedule may use of one agent: the budget less the 30 % kept back for confirmations.
const STANDARD_CHECKS: u64 = 2100;
const SMALL_CHECKS: u64 = 420;
/// And bytes, in the same way.
const STANDARD_BYTES: u64 = 35_000_000;

/// What one provider's agents have to do together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    targets: u64,
    period_s: u64,
    landmarks: u64,
    /// Routine checks per provider and day.
    pub checks_per_day: u64,
    /// Their bytes, at the most that each kind is expected to cost.
    bytes_per_day: u64,
}

impl Need {
    /// Counts a list's checks.
    pub(crate) fn of(list: &TaskList) -> Self {
        let period_s = u64::from(list.limits.cell_period_s.max(list.limits.min_interval_s));
        let mut by_period: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        let checks = list.targets.iter().flat_map(|spec| &spec.checks);
        for check in checks.filter(|check| check.is_routine()) {
            let (count, bytes) = by_period.entry(period_s.max(check.least_interval().as_secs())).or_default();
            *count += 1;
            *bytes += check.expected_bytes(Depth::Light);
        }
        let a_day = |part: fn(&(u64, u64)) -> u64| {
            by_period.iter().map(|(period, cost)| (part(cost) * 86_400).div_ceil(*period)).sum()
        };
        Self {
            targets: list.targets.len() as u64,
            period_s,
            landmarks: list.landmarks.len() as u64,
            checks_per_day: a_day(|cost| cost.0),
            bytes_per_day: a_day(|cost| cost.1),
        }
    }

    /// Returns how many agents of the default budget a provider needs to keep the period.
    pub(crate) fn standard_agents(self) -> u64 {
        self.checks_per_day.div_ceil(STANDARD_CHECKS).max(self.bytes_per_day.div_ceil(STANDARD_BYTES))
    }

    /// Writes the need for people.
    pub(crate) fn to_text(self) -> String {
        let agents = self.standard_agents().max(1);
        let per_agent = self.checks_per_day.div_ceil(agents);
        let landmarks = match self.landmarks {
            0 => String::new(),
            some => format!("{} for controls alone\n", counted(some, "landmark")),
        };
        format!(
            "{} every {} s: {} a day on every provider, for {} of the default budget \
             ({} checks and {} MB a day each) or {} of the small one\n{landmarks}",
            counted(self.targets, "target"),
            self.period_s,
            counted(self.checks_per_day, "check"),
            counted(self.standard_agents(), "agent"),
            grouped(per_agent),
            megabytes(self.bytes_per_day.div_ceil(agents)),
            self.checks_per_day.div_ceil(SMALL_CHECKS),
        )
    }

    /// Names the providers that have fewer agents than the period needs, where the coordinator knows any.
    pub(crate) fn short_of(self, agents: &[Agent], country: Option<&str>) -> Vec<String> {
        let mut by_provider: BTreeMap<String, u64> = BTreeMap::new();
        let counted = agents.iter().filter(|agent| !agent.control);
        for agent in counted.filter(|agent| country.is_none_or(|country| agent.country == country)) {
            *by_provider.entry(provider(agent)).or_default() += 1;
        }
        let few = by_provider.into_iter().filter(|(_, count)| *count < self.standard_agents());
        few.map(|(name, count)| format!("{name} ({count})")).collect()
    }
}

fn provider(agent: &Agent) -> String {
    match (agent.operator.is_empty(), agent.asn) {
        (false, _) => agent.operator.clone(),
        (true, 0) => format!("unknown network in {}", agent.country),
        (true, asn) => format!("AS{asn}"),
    }
}

fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Writes what the coordinator says the list costs, worst first.
pub(crate) fn cost_table(costs: &[AgentCost]) -> String {
    let mut table = Table::new(&[
        ("provider", Align::Left),
        ("agents", Align::Right),
        ("checks/agent/day", Align::Right),
        ("MB/agent/day", Align::Right),
        ("cell period", Align::Right),
        ("fits", Align::Left),
    ]);
    for cost in costs {
        table.row(&[
            cost.operator.clone(),
            cost.agents.to_string(),
            grouped(cost.checks_per_day.into()),
            megabytes(cost.bytes_per_day),
            format!("{} s", cost.cell_period_s),
            if cost.fits { "yes".to_owned() } else { "NO, slower".to_owned() },
        ]);
    }
    table.to_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_model::Timestamp;

    #[test]
    fn the_core_list_needs_three_agents_of_the_default_budget() {
        let text = include_str!("../../../lists/core.toml");
        let (draft, _) = super::super::parse("core.toml", text).expect("a good list");
        let need = Need::of(&draft.into_list(1, Timestamp::from_unix_ms(0)));
        assert_eq!((need.checks_per_day, need.standard_agents()), (6048, 3));
        assert!(need.to_text().contains("6,048 checks a day"), "{}", need.to_text());
        let agent =
            |operator: &str, control| Agent { operator: operator.into(), control, ..Agent::default() };
        let agents = [agent("PTCL", false), agent("PTCL", false), agent("", true)];
        assert_eq!(need.short_of(&agents, None), ["PTCL (2)"]);
    }

    #[test]
    fn a_download_is_counted_once_an_hour_with_its_bytes() {
        let text = include_str!("../../../lists/core.toml");
        let (draft, _) = super::super::parse("core.toml", text).expect("a good list");
        let mut list = draft.into_list(1, Timestamp::from_unix_ms(0));
        let web = Need::of(&list);
        for spec in &mut list.targets[..5] {
            spec.checks.push(faultline_model::CheckKind::Throughput);
        }
        let need = Need::of(&list);
        assert_eq!(need.checks_per_day - web.checks_per_day, 5 * 24);
        assert_eq!(need.bytes_per_day - web.bytes_per_day, 5 * 24 * 900_000);
        assert_eq!(need.standard_agents(), 5, "168 MB a day are more than four agents carry");
    }
}
