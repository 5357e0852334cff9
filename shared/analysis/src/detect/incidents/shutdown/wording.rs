//! Sentences about networks that go off, and about our own channel.

use super::super::super::core::Core;
use super::super::super::presence::{Cause, Group, Late, Outside};
use super::super::super::world::FamilyNo;
use super::super::statement::{Stance, Statement};
use super::super::wording::list;
use super::Event;
use super::verdict::Finding;
use faultline_model::{Access, Basis, Reach, Timestamp, Verdict};

/// Networks that are described one by one; the rest is counted.
const DESCRIBED: usize = 12;

impl Core {
    /// Writes the headline of an event.
    pub(in super::super) fn shutdown_headline(&self, statement: &Statement, span: &str) -> String {
        let whom = self.whom(statement);
        let silence = "our vantage points went silent: a shutdown, or our channel is blocked";
        let reach = match statement.reach {
            Some(Reach::DomesticOnly) => "; sites inside the country still work",
            _ => "",
        };
        match (statement.verdict, statement.basis) {
            (Verdict::CoordinatorOutage, _) => {
                format!("our own side was out of reach, {span}; nothing can be said about networks meanwhile")
            }
            (Verdict::ControlChannelBlock, Some(Basis::Spool)) => format!(
                "agents on {whom} could not reach us, {span}; their networks worked, so that our channel was blocked"
            ),
            (Verdict::ControlChannelBlock, _) => format!(
                "our channel seems to be blocked for agents on {whom}, {span}: hosts inside their networks answer"
            ),
            (Verdict::InsufficientData, _) => format!(
                "vantage points on {whom} went silent, {span}; they are too few to tell a provider from homes"
            ),
            (Verdict::RegionalOutage, _) => {
                let region = statement.region.as_deref().unwrap_or("one region");
                format!("vantage points of all providers in {region} went silent, {span}, as in a power cut")
            }
            (_, Some(Basis::Silence)) => format!("{silence}; {whom}, {span}"),
            (Verdict::NationalShutdown, Some(Basis::OutsideIn)) => format!(
                "the internet seems to be shut down for customers of {whom}, {span}: agents are silent, and hosts inside their networks are out of reach from abroad"
            ),
            (Verdict::NationalShutdown, _) => {
                format!("the internet is shut down for customers of {whom}, {span}{reach}")
            }
            (Verdict::PartialShutdown, _) if self.is_all_mobile(statement) => {
                format!("mobile internet is off for customers of {whom}, {span}{reach}; fixed lines work")
            }
            (Verdict::PartialShutdown, _) => {
                format!("the internet is cut for customers of {whom}, {span}{reach}; others are not affected")
            }
            _ => format!("{whom} has no working internet, {span}{reach}"),
        }
    }

    fn whom(&self, statement: &Statement) -> String {
        let names: Vec<String> =
            statement.families.iter().map(|f| self.world.families[*f].name.clone()).collect();
        let all = statement.stances.len();
        let is_silent_country = statement.verdict == Verdict::NationalShutdown
            || (statement.verdict == Verdict::ControlChannelBlock && names.len() > DESCRIBED);
        if is_silent_country && names.len() >= all {
            format!("all {} measured providers", names.len())
        } else if is_silent_country {
            format!("{} of {all} measured providers", names.len())
        } else {
            list(&names)
        }
    }

    fn is_all_mobile(&self, statement: &Statement) -> bool {
        let is_mobile = |family: &FamilyNo| self.world.families[*family].access == Access::Mobile;
        statement.families.iter().all(is_mobile)
            && statement.stances.iter().any(|(f, s)| *s == Stance::Cleared && !is_mobile(f))
    }

    /// Gives the reasons for what is said of an event.
    pub(super) fn explain_event(
        &self,
        event: &Event,
        finding: &Finding,
        statement: &Statement,
    ) -> Vec<String> {
        let mut reasons = Vec::new();
        if finding.verdict == Verdict::CoordinatorOutage {
            let (silent, expected) = self.silent_outside(event.low());
            reasons.push(format!(
                "{silent} of {expected} agents outside the country went silent too: it is our side, and all statements from silence rest"
            ));
            return reasons;
        }
        match finding.basis {
            Some(Basis::Silence) => reasons.push(
                "this rests on silence alone: nothing measured tells a shutdown from a block of our channel yet"
                    .to_owned(),
            ),
            Some(Basis::OutsideIn) => {
                reasons.push("this rests on what controls see of the networks from outside".to_owned());
            }
            Some(Basis::Spool) => {
                reasons.push("this rests on what agents measured meanwhile and delivered afterwards".to_owned());
            }
            None => {}
        }
        if let Some(region) = &finding.region {
            reasons.push(format!("the region {region} explains who is silent better than networks do"));
        }
        for family in finding.families.iter().take(DESCRIBED) {
            reasons.push(self.describe_cut(*family, event, finding));
        }
        if finding.families.len() > DESCRIBED {
            reasons.push(format!("{} more providers show the same", finding.families.len() - DESCRIBED));
        }
        reasons.extend(self.describe_fine(finding, statement));
        if let Some(gateway) = statement.transit {
            let name = self.gateway_name(gateway);
            reasons.push(format!("which networks are off is compatible with a cut at or behind {name}"));
        }
        match finding.reach {
            Some(Reach::DomesticOnly) => {
                reasons.push("canaries inside the country are reached, nothing beyond it is".to_owned());
            }
            Some(Reach::None) => {
                reasons.push("canaries inside the country are not reached either".to_owned());
            }
            Some(Reach::All) | None => {}
        }
        reasons
    }

    fn describe_cut(&self, family: FamilyNo, event: &Event, finding: &Finding) -> String {
        let name = self.family_name(self.world.families[family].asn);
        let cut = event.cuts.get(&Group::Family(family));
        if cut.is_some_and(|cut| cut.cause == Cause::Dead) {
            let (from, to) = cut.map_or((self.now, self.now), |cut| (cut.high, cut.until(self.now)));
            let entries = self.foreign(family, from, to);
            let bad = entries.iter().filter(|entry| entry.class.is_anomaly()).count();
            return format!(
                "{name}: agents are connected, and {bad} of {} results on everything abroad failed",
                entries.len()
            );
        }
        let (expected, silent) = finding.silent.get(&family).copied().unwrap_or_default();
        let last = cut.map_or(String::new(), |cut| {
            format!("; last sign of life {}", self.local_time(Timestamp::from_unix_ms(cut.low)))
        });
        let late = match finding.late.get(&family) {
            Some(Late::Fine) => "; what they delivered afterwards is fine",
            Some(Late::Failing) => "; what they delivered afterwards failed",
            Some(Late::Mixed) => "; what they delivered afterwards partly failed",
            _ => "",
        };
        let is_mobile = self.world.families[family].access == Access::Mobile;
        let outside = match finding.outside.get(&family) {
            Some(Outside::Answers) if is_mobile => {
                "; its hosts answer from outside, which a mobile core does also when the radio is off"
            }
            Some(Outside::Answers) => "; its hosts answer from outside",
            Some(Outside::Fails) => "; its hosts do not answer from outside any more",
            _ => "",
        };
        format!("{name}: {silent} of {expected} agents fell silent together{last}{late}{outside}")
    }

    fn describe_fine(&self, finding: &Finding, statement: &Statement) -> Vec<String> {
        let names = |wanted: Stance| -> Vec<String> {
            let own = finding.stances.iter();
            let own = own.filter(|(family, s)| **s == wanted && !statement.families.contains(family));
            own.map(|(family, _)| self.world.families[*family].name.clone()).collect()
        };
        let (cleared, unknown) = (names(Stance::Cleared), names(Stance::Unknown));
        let mut reasons = Vec::new();
        if !cleared.is_empty() {
            reasons.push(format!("agents on {} are heard as usual", list(&cleared)));
        }
        if !unknown.is_empty() {
            reasons.push(format!("too little is known of {}", list(&unknown)));
        }
        reasons
    }
}
