//! What part of a service fails, whether it fails partly, and whether anything is known of ordinary days.

use super::super::core::Core;
use super::super::evidence::{count, vote};
use super::super::world::{FamilyNo, TargetNo};
use super::statement::Statement;
use super::wording::list;
use faultline_model::{Role, ServiceId};
use std::collections::BTreeSet;

/// Results from which on "partly" is said, and the shares between which it is.
const PARTLY_RESULTS: usize = 8;
const PARTLY: (f64, f64) = (0.34, 0.8);

impl Core {
    /// Says which parts of a service fail and which work, for services of which other parts were measured.
    pub(super) fn describe_parts(&self, statement: &Statement) -> Vec<String> {
        let services: BTreeSet<&ServiceId> =
            statement.targets.iter().map(|target| &self.world.targets[*target].service).collect();
        services.into_iter().filter_map(|service| self.describe_service(service, statement)).collect()
    }

    fn describe_service(&self, service: &ServiceId, statement: &Statement) -> Option<String> {
        let own =
            (0..self.world.targets.len()).filter(|target| self.world.targets[*target].service == *service);
        let (failing, rest): (Vec<TargetNo>, Vec<TargetNo>) =
            own.partition(|target| statement.targets.contains(target));
        let working: Vec<TargetNo> =
            rest.into_iter().filter(|target| self.is_working(*target, statement)).collect();
        let name = &self.world.targets[*failing.first()?].service_name;
        if working.is_empty() {
            return None;
        }
        let (bad, fine) = (self.part_names(&failing), self.part_names(&working));
        Some(format!("{name}: {} fail, {} work", list(&bad), list(&fine)))
    }

    /// Says whether agents of the affected networks reach a target meanwhile.
    fn is_working(&self, target: TargetNo, statement: &Statement) -> bool {
        let to = statement.end.unwrap_or(self.now);
        let entries =
            statement.families.iter().flat_map(|f| self.evidence_between(*f, target, statement.onset, to));
        let votes = vote(&entries.collect::<Vec<_>>());
        votes.agents >= 1 && votes.is_clear()
    }

    fn part_names(&self, targets: &[TargetNo]) -> Vec<String> {
        let roles: BTreeSet<Role> = targets.iter().map(|target| self.world.targets[*target].role).collect();
        let name = |role: Role| match role {
            Role::Site => "pages",
            Role::AppApi => "the app's requests",
            Role::Media => "pictures and video",
        };
        roles.into_iter().map(|role| name(role).to_owned()).collect()
    }

    /// Says that only a part of the attempts fails, where it is so.
    pub(super) fn describe_partly(&self, statement: &Statement) -> Option<String> {
        let (mut bad, mut all) = (0, 0);
        for family in &statement.families {
            let from = statement.onsets.get(family).map_or(statement.onset, |change| change.first_after);
            let to = statement.ends.get(family).copied().unwrap_or(self.now);
            for entry in self.pooled(*family, &statement.targets, (from, to)) {
                all += 1;
                bad += usize::from(entry.class.is_anomaly());
            }
        }
        let share = count(bad) / count(all.max(1));
        (all >= PARTLY_RESULTS && share > PARTLY.0 && share < PARTLY.1)
            .then(|| format!("partly: {bad} of {all} attempts fail, the others get through"))
    }

    /// Says of how many cells nothing is known but what was just measured.
    pub(super) fn describe_baseline(&self, statement: &Statement) -> Option<String> {
        if self.is_anonymous() {
            return None;
        }
        let cells = statement.families.iter().flat_map(|f| statement.targets.iter().map(move |t| (*f, *t)));
        let cells: Vec<(FamilyNo, TargetNo)> = cells.collect();
        let without = cells.iter().filter(|cell| !self.has_baseline(**cell)).count();
        (without > 0).then(|| {
            format!(
                "no baseline yet for {without} of {} cells: less than two weeks of history, so that 3 % of failures are taken as usual",
                cells.len()
            )
        })
    }

    fn has_baseline(&self, (family, target): (FamilyNo, TargetNo)) -> bool {
        self.usual.contains_key(&family) || self.recorded.contains(&(family, target))
    }
}
