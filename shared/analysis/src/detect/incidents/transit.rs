//! Behind whom: does one gateway explain which networks block? (method 3.7)
//!
//! ```text
//! ln BF(x) = sum over testable networks of ln(blocked ? q : 1 - q) - [ k ln p + (n - k) ln(1 - p) ]
//! q = .95 for a network that buys from x alone, .35 from x and others, .03 otherwise;  p = (k + .5)/(n + 1)
//! ```
//! A gateway is named only if the factor is at least ten and beats every other gateway's. With two networks this
//! says that they are compatible with it, no more.

use super::super::core::Core;
use super::super::evidence::count;
use super::super::world::FamilyNo;
use super::statement::Stance;
use faultline_model::Asn;
use std::collections::{BTreeMap, BTreeSet};

const ONLY: f64 = 0.95;
const AMONG_OTHERS: f64 = 0.35;
const NOT: f64 = 0.03;
/// Natural logarithm of the least factor.
const LEAST: f64 = std::f64::consts::LN_10;

impl Core {
    /// Names the gateway that explains which networks block, if one does.
    pub(super) fn transit(&self, stances: &BTreeMap<FamilyNo, Stance>) -> Option<Asn> {
        let testable = self.testable(stances);
        let is_known =
            |family: &FamilyNo| stances.get(family).is_some_and(|stance| *stance != Stance::Unknown);
        let families: Vec<FamilyNo> = testable.into_iter().filter(is_known).collect();
        let gateways: BTreeSet<Asn> = families
            .iter()
            .flat_map(|family| self.world.families[*family].upstreams.iter().copied())
            .collect();
        let mut factors: Vec<(f64, Asn)> =
            gateways.into_iter().map(|gateway| (self.factor(gateway, &families, stances), gateway)).collect();
        factors.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (best, gateway) = *factors.first()?;
        let is_alone = factors.get(1).is_none_or(|(second, _)| best > second + 1e-9);
        (best >= LEAST && is_alone).then_some(gateway)
    }

    fn factor(&self, gateway: Asn, families: &[FamilyNo], stances: &BTreeMap<FamilyNo, Stance>) -> f64 {
        let is_blocked = |family: &FamilyNo| stances.get(family) == Some(&Stance::Blocked);
        let blocked = families.iter().filter(|family| is_blocked(family)).count();
        let p = (count(blocked) + 0.5) / (count(families.len()) + 1.0);
        let mut factor = 0.0;
        for family in families {
            let upstreams = &self.world.families[*family].upstreams;
            let q = match (upstreams.contains(&gateway), upstreams.len()) {
                (true, 1) => ONLY,
                (true, _) => AMONG_OTHERS,
                (false, _) => NOT,
            };
            let (own, base) = if is_blocked(family) { (q, p) } else { (1.0 - q, 1.0 - p) };
            factor += own.ln() - base.ln();
        }
        factor
    }
}
