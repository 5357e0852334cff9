//! Who can be asked now.

use super::{Fleet, group_of};
use crate::countries::Countries;
use crate::planning::Group;
use crate::store::Budget;
use faultline_model::{AgentId, Category, CheckKind, Timestamp};

/// A connected agent that can be asked to confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) id: AgentId,
    pub(crate) group: Group,
    pub(crate) budget: Budget,
}

impl Fleet {
    /// Returns the connected agents that are not paused, know the check, measure the target's category, and hold the list's
    /// version or a newer one.
    pub(crate) fn candidates(
        &self,
        countries: &Countries,
        (check, category, list_version): (CheckKind, Option<&Category>, u64),
        now: Timestamp,
    ) -> Vec<Candidate> {
        let members = self.members();
        let ready = members.values().filter(|member| {
            member.is_connected(now)
                && !member.record.paused
                && member.record.kinds.contains(&check)
                && !category.is_some_and(|category| member.unmeasured.contains(category))
                && member.list_version >= list_version
        });
        ready
            .map(|member| Candidate {
                id: member.record.id.clone(),
                group: group_of(countries, &member.record, member.network),
                budget: member.record.budget,
            })
            .collect()
    }
}
