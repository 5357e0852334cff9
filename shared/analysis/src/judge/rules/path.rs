//! Rules about probes of limited reach: between which hops a name is interfered with.
//!
//! A packet of reach n dies at the n-th router. If somebody answers it nevertheless (a reset, an end, a page), the answer
//! was made at or before that router; the least such n, and the reach below it that was not answered so, enclose the
//! place. For a name that meets silence the same is read from the routers' own words: where a router says that the
//! innocent name's packet died there and says nothing of the target's, the target's was dropped at or before it.
//!
//! What only happens to packets that go the whole way happens at the far end, or directly before it.

use super::super::{ControlFact, Evidence, Fingerprints};
use super::{Finding, by_layer, got_past, local};
use faultline_model::{
    Asn, CheckKind, Class, Engine, Judgement, Layer, LayerStatus, Measurement, PathAnswer, PathFact, PathHop,
    PathProbe, PathResponder,
};
use std::net::IpAddr;

const NAMES: [PathProbe; 2] = [PathProbe::Hello, PathProbe::Request];

/// One hop of a way, as far as it may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathPoint {
    /// How many hops from the vantage point.
    pub hop: u8,
    /// Who answers there.
    pub responder: PathResponder,
    /// The router's address, if it may be told.
    pub address: Option<IpAddr>,
    /// The router's network, if it is known.
    pub asn: Option<Asn>,
}

/// Where a name is interfered with: behind one hop, and at or before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathLocus {
    /// The last hop that packets with the name reach unharmed; absent if even the first is too far.
    pub behind: Option<PathPoint>,
    /// The first hop at or before which the name meets its fate; absent if only the far end is.
    pub until: Option<PathPoint>,
}

impl PathLocus {
    /// Returns the network that the place is in, if both its hops are in one and the same, or only one is known.
    ///
    /// Between two networks the place is on the border, and no network is named.
    #[must_use]
    pub fn network(&self) -> Option<Asn> {
        let asn = |point: Option<PathPoint>| point.and_then(|point| point.asn);
        match (asn(self.behind), asn(self.until)) {
            (Some(a), Some(b)) if a != b => None,
            (a, b) => a.or(b),
        }
    }
}

/// Says where a path measurement found its target's name interfered with, if it did.
#[must_use]
pub fn locate(measurement: &Measurement) -> Option<PathLocus> {
    let evidence = Evidence::read(measurement, Fingerprints::shared());
    let target = evidence.path(&NAMES, Engine::System)?;
    let place = find_place(target, evidence.path(&NAMES, Engine::Control))?;
    let drawn = evidence.path(&[PathProbe::Connect], Engine::System);
    let point = |hop: u8| PathPoint { hop, ..point_of(drawn, hop) };
    Some(PathLocus { behind: place.behind.filter(|hop| *hop > 0).map(point), until: place.until.map(point) })
}

/// Judges a `path` measurement.
pub(in super::super) fn apply(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Judgement {
    let controls: Vec<&ControlFact> = controls
        .iter()
        .copied()
        .filter(|control| matches!(control.check, CheckKind::Path | CheckKind::Web))
        .collect();
    if let Some(finding) = local::find(evidence) {
        return finding.judged(LayerStatus::Insufficient);
    }
    let finding = find(evidence).or_else(|| by_layer(evidence, &controls));
    let Some(finding) = finding else { return Finding::new(Class::Ok, "path.none").judged(LayerStatus::Ok) };
    let status = match finding.rule.as_ref() {
        "path.not_sent" => LayerStatus::Insufficient,
        _ => beside_controls(finding.layer, &controls),
    };
    finding.judged(status)
}

/// Judges what became of the target's name; DNS and the connection itself are judged by their own rules.
fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    let target = evidence.path(&NAMES, Engine::System)?;
    let innocent = evidence.path(&NAMES, Engine::Control);
    let is_http = target.probe == PathProbe::Request;
    let layer = if is_http { Layer::Http } else { Layer::Tls };
    let place = find_place(target, innocent);
    let is_on_the_way = place.is_some_and(|place| place.until.is_some());
    let fate = target.whole_way()?;
    let is_any_name = innocent.and_then(PathFact::whole_way) == Some(fate);
    let class = |http, tls| if is_http { http } else { tls };
    let reset = class(Class::HttpReset, Class::TlsReset);
    let timeout = class(Class::HttpTimeout, Class::TlsTimeout);
    let (class, rule) = match fate {
        PathAnswer::Data if is_on_the_way && is_http => (Class::HttpBlockpage, "path.page.hop"),
        PathAnswer::Data if is_on_the_way => (Class::TlsCertMismatch, "path.answer.hop"),
        PathAnswer::Data => return None,
        PathAnswer::NotSent => (timeout, "path.not_sent"),
        PathAnswer::Reset if is_on_the_way => (reset, "path.reset.hop"),
        PathAnswer::Closed if is_on_the_way => (reset, "path.close.hop"),
        PathAnswer::Nothing if is_on_the_way => (timeout, "path.drop.hop"),
        // Whatever the name, the address answers so: the place is the same, the name is not the reason.
        PathAnswer::Reset | PathAnswer::Closed if is_any_name => (reset, "path.reset.any_name"),
        _ if is_any_name => (timeout, "path.drop.any_name"),
        PathAnswer::Reset => (reset, "path.reset.end"),
        PathAnswer::Closed => (reset, "path.close.end"),
        _ if place.is_some() => (timeout, "path.drop.end"),
        _ => (timeout, "path.drop.unlocated"),
    };
    Some(Finding::at(class, layer, rule))
}

fn beside_controls(layer: Layer, controls: &[&ControlFact]) -> LayerStatus {
    match controls {
        [] => LayerStatus::Insufficient,
        some if some.iter().any(|control| got_past(control, layer)) => LayerStatus::Blocked,
        _ => LayerStatus::Down,
    }
}

/// The reaches that enclose the place.
#[derive(Clone, Copy)]
struct Place {
    behind: Option<u8>,
    until: Option<u8>,
}

/// Finds the place; nothing if the name got through, or if it cannot be told.
fn find_place(target: &PathFact, innocent: Option<&PathFact>) -> Option<Place> {
    let fate = target.whole_way()?;
    match fate {
        PathAnswer::Reset | PathAnswer::Closed | PathAnswer::Data => {
            let until = least(target, |hop| is_made(hop.answer));
            let is_limited = target.hops.iter().any(|hop| hop.ttl > 0);
            // An answer from the far end is what a server is for.
            let is_interference = until.is_some() || fate != PathAnswer::Data;
            let behind = target.hops.iter().map(|hop| hop.ttl).filter(|ttl| *ttl > 0);
            let behind = behind.filter(|ttl| until.is_none_or(|until| *ttl < until)).max();
            (is_interference && is_limited).then_some(Place { behind, until })
        }
        PathAnswer::Nothing => find_drop(target, innocent?),
        _ => None,
    }
}

/// Reads where silence begins from the reaches at which a router spoke of the innocent name's packet.
fn find_drop(target: &PathFact, innocent: &PathFact) -> Option<Place> {
    if innocent.whole_way() == Some(PathAnswer::Nothing) {
        return None;
    }
    let died = |fact: &PathFact, ttl| {
        fact.hops.iter().any(|hop| hop.ttl == ttl && hop.answer == PathAnswer::TimeExceeded)
    };
    let behind =
        target.hops.iter().filter(|hop| hop.ttl > 0 && died(target, hop.ttl)).map(|hop| hop.ttl).max();
    let is_silent = |hop: &PathHop| died(innocent, hop.ttl) && !died(target, hop.ttl);
    let until = least(target, |hop| behind.is_none_or(|behind| hop.ttl > behind) && is_silent(hop));
    // A router that speaks beyond the silence shows that the silence was chance.
    (behind.is_some() || until.is_some()).then_some(Place { behind, until })
}

fn least(fact: &PathFact, is_it: impl Fn(&PathHop) -> bool) -> Option<u8> {
    fact.hops.iter().filter(|hop| hop.ttl > 0 && is_it(hop)).map(|hop| hop.ttl).min()
}

const fn is_made(answer: PathAnswer) -> bool {
    matches!(answer, PathAnswer::Reset | PathAnswer::Closed | PathAnswer::Data)
}

fn point_of(drawn: Option<&PathFact>, ttl: u8) -> PathPoint {
    let hops = drawn.map_or(&[][..], |fact| &fact.hops);
    let told = hops.iter().find(|hop| hop.ttl == ttl && hop.responder != PathResponder::Untold);
    let hop = told.copied().unwrap_or_default();
    PathPoint { hop: ttl, responder: hop.responder, address: hop.address, asn: hop.asn }
}
