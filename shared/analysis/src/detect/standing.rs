//! Blocks that were there before we began to look: a state, not news, and listed as one.

use super::core::Core;
use super::evidence::count;
use super::null::share;
use super::world::{FamilyNo, TargetNo};
use faultline_model::{Asn, ServiceId, Target, Timestamp};
use serde::Serialize;

/// A cell that failed mostly when its data began, or in what a baseline recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// The family's main ASN.
    pub asn: Asn,
    /// The family's name.
    pub operator: String,
    /// The target.
    pub target: Target,
    /// The target's service.
    pub service: ServiceId,
    /// It began before this moment, at which our own data begin; nobody knows when.
    pub before: Timestamp,
    /// Most of the results of the last four base periods fail as well; nothing where there are none.
    pub fails_now: Option<bool>,
}

impl Core {
    /// Lists the standing blocks of the networks that were ever heard.
    pub(super) fn standing(&self) -> Vec<Standing> {
        let Some(first) = self.first else { return Vec::new() };
        let mut families: Vec<FamilyNo> = self.world.heard().collect();
        families.sort_by_key(|family| self.world.families[*family].asn);
        let mut listed = Vec::new();
        for family in families {
            let targets = (0..self.world.targets.len()).filter(|target| self.is_standing(family, *target));
            let mut targets: Vec<TargetNo> =
                targets.filter(|target| !self.world.is_canary(*target)).collect();
            targets.sort_by_key(|target| &self.world.targets[*target].target);
            for target in targets {
                let window = self.base_ms.saturating_mul(4);
                let recent = self.store.cell(family, target).between(self.now - window, self.now);
                let bad = share(recent.iter().map(|entry| entry.class.is_anomaly()));
                listed.push(Standing {
                    asn: self.world.families[family].asn,
                    operator: self.world.families[family].name.clone(),
                    target: self.world.targets[target].target.clone(),
                    service: self.world.targets[target].service.clone(),
                    before: Timestamp::from_unix_ms(first),
                    fails_now: (count(recent.len()) > 0.0).then_some(bad >= 0.5),
                });
            }
        }
        listed
    }
}
