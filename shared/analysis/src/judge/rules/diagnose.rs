//! Rules about `diagnose`: which thing is blocked.
//!
//! Each retry changes one thing, and a rule needs two of them: one that passes because the thing is absent, and one that
//! fails, elsewhere, because it is there. What one retry alone shows, a site can do by itself: close on a name that it
//! does not know, or be down.
//!
//! | rule | passes | fails |
//! | --- | --- | --- |
//! | `diagnose.dns` | the target's own way at an address that only other resolvers give | the system's answer, or the way at its address |
//! | `diagnose.sni` | the same address with another name in the hello | the name at an unrelated address, at another of its own, or whole where its halves pass |
//! | `diagnose.host` | the same address with another name in the request | the name at an unrelated address, in the same way |
//! | `diagnose.address` | an unrelated address with the target's name | the same address with any name |
//! | `diagnose.quic` | the same address over TLS | QUIC there, while controls get an answer |
//! | `diagnose.inconclusive` | | anything else, also what passes by now |

use super::super::evidence::are_apart;
use super::super::{ControlFact, Evidence};
use super::{Finding, beside_controls, dns, views_at};
use faultline_model::{
    CheckKind, Class, Engine, Fact, Failure, HttpFact, Judgement, Layer, LayerStatus, Observation, Variant,
};

/// How far a retry came.
#[derive(Clone, Copy, Debug)]
enum Saw<'a> {
    /// No connection was made.
    Unreached(&'a Failure),
    /// The connection stood, and nothing of the far end's own came over it.
    Cut(&'a Failure),
    /// The far end said something of its own, if only that it is not the named site.
    Answered,
    /// The far end is the named site, as far as can be told.
    Passed,
}

impl Saw<'_> {
    fn is_answer(self) -> bool {
        matches!(self, Self::Answered | Self::Passed)
    }
}

/// Judges a `diagnose` measurement.
pub(super) fn apply(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Judgement {
    let Some(finding) = find(evidence) else {
        return inconclusive();
    };
    let seen = |check: CheckKind| {
        let own: Vec<&ControlFact> =
            controls.iter().copied().filter(|control| control.check == check).collect();
        views_at(evidence, &own, evidence.hop())
    };
    // A site that is down looks blocked to every retry; controls know.
    let status = match finding.layer {
        Layer::Quic => beside_controls(Layer::Quic, &seen(CheckKind::Quic)),
        layer => beside_controls(layer, &seen(CheckKind::Web)),
    };
    finding.judged(status)
}

fn inconclusive() -> Judgement {
    Finding::new(Class::Ok, "diagnose.inconclusive").judged(LayerStatus::Insufficient)
}

fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    let retries = Retries { evidence };
    let same = retries.saw(Variant::Same)?;
    retries
        .find_dns(same)
        .or_else(|| retries.find_name(same))
        .or_else(|| retries.find_host())
        .or_else(|| retries.find_address(same))
        .or_else(|| retries.find_quic(same))
}

struct Retries<'a, 'b> {
    evidence: &'b Evidence<'a>,
}

impl<'a> Retries<'a, '_> {
    /// The name in DNS: what the system's resolver says does not lead to the site, what others say does.
    fn find_dns(&self, same: Saw<'_>) -> Option<Finding> {
        let is_refused = self.evidence.failed.is_some_and(|step| step.layer == Layer::Dns);
        if is_refused && matches!(same, Saw::Passed) {
            // The unchanged way went on at an address that others gave.
            let class = dns::find(self.evidence)?.class;
            return Some(Finding::new(class, "diagnose.dns"));
        }
        let (own, public) = (self.evidence.system_addresses(), self.evidence.public_addresses());
        let is_forged = !own.is_empty() && !public.is_empty() && are_apart(&own, &public);
        let is_there = matches!(self.saw(Variant::OtherAddress), Some(Saw::Passed));
        let is_here = matches!(same, Saw::Passed) && !self.is_page_elsewhere(Variant::OtherAddress);
        (is_forged && is_there && !is_here).then(|| Finding::new(Class::DnsInjected, "diagnose.dns"))
    }

    /// The name in the hello.
    fn find_name(&self, same: Saw<'a>) -> Option<Finding> {
        let Saw::Cut(failure) = same else { return None };
        if self.layer_of(Variant::Same)? != Layer::Tls {
            return None;
        }
        let cut = |variant| matches!(self.saw(variant), Some(Saw::Cut(_)));
        let is_other_name_answered = self.saw(Variant::InnocentSni).is_some_and(Saw::is_answer);
        let is_cut_elsewhere = cut(Variant::InnocentAddress);
        let is_spared_in_halves = matches!(self.saw(Variant::SplitHello), Some(Saw::Passed));
        let is_sure = is_cut_elsewhere || is_spared_in_halves || cut(Variant::OtherAddress);
        // Where the system's address is a forged one, no other name is answered there either.
        let is_everywhere = is_cut_elsewhere && cut(Variant::OtherAddress);
        let class = if *failure == Failure::Timeout { Class::TlsTimeout } else { Class::TlsReset };
        (is_everywhere || is_other_name_answered && is_sure).then(|| Finding::new(class, "diagnose.sni"))
    }

    /// The name in the request: the exchange is cut, or somebody else's page comes, at unrelated addresses alike.
    fn find_host(&self) -> Option<Finding> {
        let is_other_name_answered = self.saw(Variant::InnocentHost).is_some_and(Saw::is_answer);
        if !is_other_name_answered {
            return None;
        }
        let [same, elsewhere] = [Variant::Same, Variant::InnocentAddress].map(|variant| self.saw(variant));
        if self.layer_of(Variant::Same)? == Layer::Http
            && let (Some(Saw::Cut(failure)), Some(Saw::Cut(_))) = (same, elsewhere)
        {
            let class = if *failure == Failure::Timeout { Class::HttpTimeout } else { Class::HttpReset };
            return Some(Finding::new(class, "diagnose.host"));
        }
        let page = self.page(Variant::Same)?;
        let is_everywhere = self.page(Variant::InnocentAddress).is_some_and(|other| is_alike(page, other));
        let is_by_name = self.page(Variant::InnocentHost).is_some_and(|other| !is_alike(page, other));
        let could_be_block_page =
            matches!(page.status, 200 | 301..=308 | 403 | 451) && !self.leads_home(page);
        let is_host = is_everywhere && is_by_name && could_be_block_page;
        is_host.then(|| Finding::new(Class::HttpBlockpage, "diagnose.host"))
    }

    /// The address: nothing is answered there under any name, while the name passes elsewhere.
    fn find_address(&self, same: Saw<'a>) -> Option<Finding> {
        let class = match same {
            Saw::Unreached(Failure::ConnectionRefused) => Class::TcpRefused,
            Saw::Unreached(Failure::ConnectionReset) => Class::TcpReset,
            Saw::Unreached(_) => Class::TcpTimeout,
            Saw::Cut(Failure::Timeout) => Class::TlsTimeout,
            Saw::Cut(_) => Class::TlsReset,
            Saw::Answered | Saw::Passed => return None,
        };
        let innocent = self.saw(Variant::InnocentSni).or_else(|| self.saw(Variant::InnocentHost));
        let is_any_name_lost = innocent.is_some_and(|saw| !saw.is_answer());
        let is_name_fine = [Variant::InnocentAddress, Variant::OtherAddress]
            .into_iter()
            .any(|variant| self.saw(variant).is_some_and(Saw::is_answer));
        (is_any_name_lost && is_name_fine).then(|| Finding::new(class, "diagnose.address"))
    }

    /// QUIC: the same address passes over TLS.
    fn find_quic(&self, same: Saw<'_>) -> Option<Finding> {
        let is_lost = self.steps().any(|step| step.layer == Layer::Quic && step.failure.is_some());
        let is_quic = matches!(same, Saw::Passed) && is_lost;
        is_quic.then(|| Finding::at(Class::TlsTimeout, Layer::Quic, "diagnose.quic"))
    }

    fn steps(&self) -> impl Iterator<Item = &'a Observation> {
        self.evidence.observations().iter().filter(|step| step.engine == Engine::Retry)
    }

    /// Returns the last step of a retry.
    fn last(&self, variant: Variant) -> Option<&'a Observation> {
        self.steps().filter(|step| variant_of(step) == Some(variant)).last()
    }

    fn layer_of(&self, variant: Variant) -> Option<Layer> {
        self.last(variant).map(|step| step.layer)
    }

    fn page(&self, variant: Variant) -> Option<&'a HttpFact> {
        match &self.last(variant)?.fact {
            Fact::Http(page) if page.status != 0 => Some(page),
            _ => None,
        }
    }

    /// Returns how far a retry came; nothing if it was not made, or if this machine's own line ended it.
    fn saw(&self, variant: Variant) -> Option<Saw<'a>> {
        let step = self.last(variant)?;
        let Some(failure) = &step.failure else {
            return (step.layer != Layer::Tcp).then_some(Saw::Passed);
        };
        let is_own = matches!(
            failure,
            Failure::NetworkDown
                | Failure::NetworkUnreachable
                | Failure::Interrupted
                | Failure::AddressDenied
        );
        if is_own {
            return None;
        }
        let is_cut = matches!(
            failure,
            Failure::Timeout | Failure::ConnectionReset | Failure::ConnectionAborted | Failure::Eof
        );
        let has_spoken = match &step.fact {
            Fact::Tls(fact) => !fact.certificate_sha256.is_empty(),
            Fact::Http(fact) => fact.status != 0,
            _ => false,
        };
        Some(match step.layer {
            Layer::Tcp => Saw::Unreached(failure),
            _ if is_cut && !has_spoken => Saw::Cut(failure),
            _ => Saw::Answered,
        })
    }

    /// Says whether another retry got a page that differs from the unchanged way's.
    fn is_page_elsewhere(&self, variant: Variant) -> bool {
        let pages = self.page(Variant::Same).zip(self.page(variant));
        pages.is_some_and(|(same, other)| !is_alike(same, other))
    }

    /// A site that sends its visitors to itself, such as to TLS, is no block page, and many unrelated servers do so
    /// with any name.
    fn leads_home(&self, page: &HttpFact) -> bool {
        let host = page.location.split("://").nth(1).unwrap_or_default();
        let host = host.split(['/', ':', '?']).next().unwrap_or_default();
        let own = self.evidence.host();
        let bare = |name: &'_ str| name.strip_prefix("www.").unwrap_or(name).to_ascii_lowercase();
        !host.is_empty() && bare(host) == bare(own)
    }
}

fn variant_of(step: &Observation) -> Option<Variant> {
    match &step.fact {
        Fact::Tls(fact) => fact.variant,
        Fact::Http(fact) => fact.variant,
        _ => None,
    }
}

/// Says whether two pages are the same in what can be compared without keeping them.
fn is_alike(one: &HttpFact, other: &HttpFact) -> bool {
    one.status == other.status
        && one.title == other.title
        && one.location == other.location
        && (one.body_sha256 == other.body_sha256 || !one.title.is_empty() || !one.location.is_empty())
}
