//! The names on the way: sent whole first, then with rising reach where something interferes.

use super::super::steps::Begun;
use super::super::way::Path;
use super::{Drawn, INNOCENT, MAX_TTL, WAVE, WHOLE_DEADLINE, place};
use crate::net::opening;
use crate::net::{Echo, Reach};
use faultline_model::{Engine, Fact, Failure, Layer, PathAnswer, PathFact, PathHop, PathProbe};
use futures_util::future::join_all;
use std::net::SocketAddr;
use std::time::Duration;
use url::Url;

/// The answer to a name of limited reach: a connection first, then a router's word or the censor's.
const LIMITED_DEADLINE: Duration = Duration::from_millis(1200);
/// No further wave is begun past this; a wave costs at most about eight more.
const MAX_BYTES: u64 = 48_000;
/// As many as the wire takes.
const MAX_HOPS: usize = 64;

/// Says whether an answer to a connection attempt is the far end's, or of somebody who speaks for it.
pub(super) const fn ends_a_way(answer: PathAnswer) -> bool {
    matches!(answer, PathAnswer::Connected | PathAnswer::Refused)
}

/// Says whether somebody answered the name itself.
const fn is_made(answer: PathAnswer) -> bool {
    matches!(answer, PathAnswer::Reset | PathAnswer::Closed | PathAnswer::Data)
}

/// One name and what came back for it so far.
struct Series<'a> {
    begun: Begun<'a>,
    url: Url,
    fact: PathFact,
}

/// The two names on one way.
pub(super) struct Sweep<'a> {
    way: &'a Path<'a>,
    drawn: &'a Drawn,
    peer: SocketAddr,
    /// The reaches short of the far end.
    reaches: Vec<u8>,
    layer: Layer,
    innocent: Url,
    target: Url,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(way: &'a Path<'a>, drawn: &'a Drawn, url: &Url, peer: SocketAddr) -> Self {
        let end = drawn.fact.distance().unwrap_or(MAX_TTL + 1);
        let mut innocent = url.clone();
        // An ordinary name in place of an ordinary name is always a URL.
        let _ = innocent.set_host(Some(INNOCENT));
        innocent.set_path("/");
        innocent.set_query(None);
        let layer = if url.scheme() == "http" { Layer::Http } else { Layer::Tls };
        Self { way, drawn, peer, reaches: (1..end).collect(), layer, innocent, target: url.clone() }
    }

    /// Sends both names the whole way, and where that shows interference, with rising reach.
    pub(super) async fn run(&self) {
        let mut innocent = self.begin(Engine::Control, &self.innocent);
        self.send_whole(&mut innocent).await;
        let mut target = self.begin(Engine::System, &self.target);
        self.send_whole(&mut target).await;
        let fate = target.fact.whole_way().unwrap_or_default();
        let is_found = match fate {
            PathAnswer::Data => self.is_answered_early(&mut target).await,
            PathAnswer::NotSent => false,
            _ => true,
        };
        if is_found {
            if !is_made(fate) {
                // Silence says nothing where the innocent name meets silence too.
                self.send_limited(&mut innocent, |_| false).await;
            }
            let heard = innocent.fact.clone();
            self.send_limited(&mut target, |fact| is_located(fact, &heard, fate)).await;
            self.send_whole(&mut innocent).await;
        }
        self.end(innocent);
        self.end(target);
    }

    fn begin(&self, engine: Engine, url: &Url) -> Series<'a> {
        let begun = self.way.begin(place(engine), self.layer, Some(self.peer));
        let probe = if self.layer == Layer::Http { PathProbe::Request } else { PathProbe::Hello };
        let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let fact = PathFact { probe, name, hops: vec![] };
        begun.see(Fact::Path(fact.clone()));
        Series { begun, url: url.clone(), fact }
    }

    fn end(&self, series: Series<'_>) {
        let failure = match series.fact.whole_way() {
            Some(PathAnswer::Data) => None,
            Some(PathAnswer::Reset) => Some(Failure::ConnectionReset),
            Some(PathAnswer::Closed) => Some(Failure::Eof),
            Some(PathAnswer::TimeExceeded | PathAnswer::Unreachable) => Some(Failure::HostUnreachable),
            Some(PathAnswer::NotSent) => Some(Failure::unknown("no connection for the name")),
            _ => Some(Failure::Timeout),
        };
        series.begun.end(failure, Fact::Path(series.fact));
    }

    async fn send_whole(&self, series: &mut Series<'_>) {
        let echo = self.send(&series.url, Reach::Whole, WHOLE_DEADLINE).await;
        self.note(series, [(Reach::Whole, echo)]);
    }

    /// Says whether something answers for the server although the packet dies one hop before it.
    async fn is_answered_early(&self, series: &mut Series<'_>) -> bool {
        let Some(last) = self.reaches.last().filter(|_| self.drawn.fact.distance().is_some()) else {
            return false;
        };
        let echo = self.send(&series.url, Reach::Hops(*last), LIMITED_DEADLINE).await;
        self.note(series, [(Reach::Hops(*last), echo)]);
        is_made(echo.answer)
    }

    /// Sends a name with rising reach until there is enough.
    async fn send_limited(&self, series: &mut Series<'_>, is_enough: impl Fn(&PathFact) -> bool) {
        let tried: Vec<u8> = series.fact.hops.iter().map(|hop| hop.ttl).collect();
        let reaches: Vec<u8> = self.reaches.iter().copied().filter(|ttl| !tried.contains(ttl)).collect();
        for wave in reaches.chunks(WAVE) {
            if self.way.session.bytes() > MAX_BYTES || is_enough(&series.fact) {
                return;
            }
            let echoes = join_all(wave.iter().map(|ttl| self.try_twice(&series.url, *ttl))).await;
            self.note(series, echoes.into_iter().flatten());
        }
    }

    /// Tries one reach, and once more after silence where a router is known to speak.
    async fn try_twice(&self, url: &Url, ttl: u8) -> Vec<(Reach, Echo)> {
        let reach = Reach::Hops(ttl);
        let first = self.send(url, reach, LIMITED_DEADLINE).await;
        if first.answer != PathAnswer::Nothing || !self.drawn.is_told(ttl) {
            return vec![(reach, first)];
        }
        vec![(reach, first), (reach, self.send(url, reach, LIMITED_DEADLINE).await)]
    }

    async fn send(&self, url: &Url, reach: Reach, deadline: Duration) -> Echo {
        let payload = match self.layer {
            Layer::Http => opening::request(url),
            _ => url.domain().and_then(opening::hello),
        };
        match payload {
            Some(payload) => self.way.session.probe_payload(self.peer, reach, &payload, deadline).await,
            None => Echo { answer: PathAnswer::NotSent, from: None, took: Duration::ZERO },
        }
    }

    /// Keeps what came back, in the order of reach, what went the whole way last; also for a check that is cut short.
    fn note(&self, series: &mut Series<'_>, echoes: impl IntoIterator<Item = (Reach, Echo)>) {
        for (reach, echo) in echoes {
            if series.fact.hops.len() < MAX_HOPS {
                series.fact.hops.push(self.drawn.mask.hop(reach, &echo));
            }
        }
        series.fact.hops.sort_by_key(|hop| if hop.ttl == 0 { u8::MAX } else { hop.ttl });
        series.begun.see(Fact::Path(series.fact.clone()));
    }
}

/// Says whether it is known where the target's name meets its fate.
fn is_located(target: &PathFact, innocent: &PathFact, fate: PathAnswer) -> bool {
    let limited = target.hops.iter().filter(|hop| hop.ttl > 0);
    if is_made(fate) {
        let first = limited.clone().filter(|hop| is_made(hop.answer)).map(|hop| hop.ttl).min();
        return first.is_some_and(|first| first == 1 || limited.clone().any(|hop| hop.ttl == first - 1));
    }
    let died_elsewhere = |hop: &&PathHop| {
        let is = |fact: &PathFact, answer| fact.hops.iter().any(|o| o.ttl == hop.ttl && o.answer == answer);
        hop.answer == PathAnswer::Nothing
            && is(innocent, PathAnswer::TimeExceeded)
            && !is(target, PathAnswer::TimeExceeded)
    };
    let mut silent: Vec<u8> = limited.filter(died_elsewhere).map(|hop| hop.ttl).collect();
    silent.dedup();
    silent.len() >= 2
}
