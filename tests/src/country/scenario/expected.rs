//! Reads what ought to be found, where it does not follow from the rules.

use super::check::Notes;
use super::raw::{self, Texts};
use super::{Expect, Scenario, Tolerated};
use faultline_model::Asn;
use toml::Spanned;

/// Reads an `[[expect]]` block.
pub(super) fn expect(notes: &mut Notes<'_>, scenario: &Scenario, raw: &raw::Expect) -> Option<Expect> {
    let at = raw.verdict.span().start;
    let asns = raw.asns.as_ref().map(|numbers| provider_asns(notes, scenario, numbers, at));
    let transit = match raw.transit {
        Some(number) => Some(notes.keep(at, "transit", Asn::new(number))?),
        None => None,
    };
    let targets = raw.targets.as_ref().map(|t| listed(notes, scenario, t));
    Some(Expect { verdict: *raw.verdict.get_ref(), asns, targets, transit })
}

/// Reads a `[[tolerated]]` block.
pub(super) fn tolerated(notes: &mut Notes<'_>, scenario: &Scenario, raw: &raw::Tolerated) -> Tolerated {
    let asns = raw.asns.as_ref().map(|numbers| provider_asns(notes, scenario, numbers, 0));
    let targets = raw.targets.as_ref().map(|t| listed(notes, scenario, t));
    Tolerated { verdict: raw.verdict, asns, targets }
}

fn provider_asns(notes: &mut Notes<'_>, scenario: &Scenario, numbers: &[u32], at: usize) -> Vec<Asn> {
    let mut asns = Vec::new();
    for number in numbers {
        match scenario.providers.iter().find(|p| p.asn.get() == *number) {
            Some(provider) => asns.push(provider.asn),
            None => notes.add(at, "asns", format!("no [[provider]] has asn {number}")),
        }
    }
    asns
}

fn listed(notes: &mut Notes<'_>, scenario: &Scenario, raw: &Spanned<Texts>) -> Vec<String> {
    for url in &raw.get_ref().0 {
        if !scenario.list.targets.iter().any(|listed| listed.target.as_str() == url) {
            notes.add(raw.span().start, "targets", format!("{url:?} is no target of the list"));
        }
    }
    raw.get_ref().0.clone()
}
