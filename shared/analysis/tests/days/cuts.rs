//! Kinds of days on which networks are off, slow or bad rather than selective.

use super::day::{What, Whom};
use super::kinds::Maker;
use super::land::Land;
use faultline_model::Verdict;
use std::collections::BTreeSet;

impl Maker {
    pub(super) fn silence(&mut self, families: &[usize], span: (f64, f64), verdict: Verdict, works: bool) {
        let delivers = if self.is_hard() { 0.6 } else { 0.9 };
        self.happen(What::Silences { works, delivers }, Whom::Families(families.to_vec()), vec![span]);
        self.tell(verdict, families, &[], span);
    }

    pub(super) fn mobile_off(&mut self) {
        let mut draw = self.draw.clone();
        let is_mobile = |land: &Land, family: usize| land.nets[land.nets_of(family)[0]].mobile;
        let mobile: Vec<usize> =
            self.land.families(1).into_iter().filter(|family| is_mobile(&self.land, *family)).collect();
        for family in &mobile {
            let size = draw.whole(4, 8);
            self.land.populate(&mut draw, *family, size);
        }
        self.draw = draw;
        let span = self.span();
        self.silence(&mobile, span, Verdict::PartialShutdown, false);
    }

    pub(super) fn region_off(&mut self) {
        let region = self.draw.whole(0, 4);
        let own = |land: &Land, agent: usize| {
            land.family_of(agent).is_some() && land.agents[agent].region == region
        };
        let all: Vec<usize> =
            (0..self.land.agents.len()).filter(|agent| self.land.family_of(*agent).is_some()).collect();
        for agent in all {
            if self.draw.chance(0.08) {
                self.land.agents[agent].region = region;
            }
        }
        let agents: Vec<usize> =
            (0..self.land.agents.len()).filter(|agent| own(&self.land, *agent)).collect();
        let span = self.span();
        // Power goes within some minutes, and machines that are off measure nothing.
        for agent in &agents {
            let (off, back) =
                (span.0 + self.draw.between(0.0, 420.0), span.1 + self.draw.between(0.0, 900.0));
            let on: Vec<(f64, f64)> = self.land.agents[*agent]
                .on
                .iter()
                .flat_map(|(from, to)| [(*from, to.min(off)), (from.max(back), *to)])
                .collect();
            self.land.agents[*agent].on = on.into_iter().filter(|(from, to)| to > from).collect();
        }
        let families: BTreeSet<usize> =
            agents.iter().filter_map(|agent| self.land.family_of(*agent)).collect();
        let families: Vec<usize> = families.into_iter().collect();
        self.tell(Verdict::RegionalOutage, &families, &[], span);
    }

    pub(super) fn isp_off(&mut self) {
        let family = self.family(4);
        let span = self.span();
        self.silence(&[family], span, Verdict::IspOutage, false);
    }

    pub(super) fn all_off(&mut self, works: bool, verdict: Verdict) {
        let families = self.land.families(1);
        let span = self.span();
        self.silence(&families, span, verdict, works);
    }

    pub(super) fn own_outage(&mut self) {
        let from = self.draw.between(3.5, 5.0) * 3600.0;
        let span = (from, from + self.draw.between(1200.0, 4000.0));
        self.happen(What::Silences { works: true, delivers: 0.95 }, Whom::Everybody, vec![span]);
        let families = self.land.families(1);
        self.tell(Verdict::CoordinatorOutage, &families, &[], span);
    }

    pub(super) fn throttle(&mut self, is_national: bool) {
        let families = if is_national { self.land.families(1) } else { vec![self.family(5)] };
        let downloads = self.land.sites(|site| site.download && site.category != "CTRL");
        let number = if is_national { 2 } else { 1 };
        let sites = self.draw.several(&downloads, number);
        let span = (3.3 * 3600.0, 6.5 * 3600.0);
        let rate = if self.is_hard() { 0.8 } else { 0.92 };
        self.happen(What::Slows { sites: sites.clone(), rate }, Whom::Families(families.clone()), vec![span]);
        self.tell(Verdict::Throttling, &families, &sites, span);
    }

    /// A cable is cut: half of everything abroad fails for several providers, nothing stands out.
    pub(super) fn cable(&mut self) {
        let families = self.land.families(4);
        let number = self.draw.whole(2, 4);
        let hit = self.draw.several(&families, number);
        let span = self.span();
        let rate = if self.is_hard() { self.draw.between(0.4, 0.6) } else { self.draw.between(0.45, 0.7) };
        self.happen(What::Degrades { rate }, Whom::Families(hit.clone()), vec![span]);
        self.tell(Verdict::TechnicalFailure, &hit, &[], span);
    }
}
