//! OONI's rows of one target, put into the order of a measurement.

use super::value::{depth, endpoint, failure, has_tag, rows, short, socket, span, text, transaction};
use super::{check_of, page};
use crate::judge::is_public;
use faultline_model::{
    CheckKind, DnsAnswer, Engine, Fact, Failure, Layer, Observation, QuicFact, Target, TlsFact,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use url::{Host, Url};

/// OONI follows ten redirects, its older engines twenty.
const MAX_HOPS: usize = 30;
const MAX_NAME_CHARS: usize = 253;
const MAX_ALIASES: usize = 16;

/// Everything that is known about one target before its steps are put in order.
pub(super) struct Scene<'a> {
    keys: &'a Value,
    /// The URL of each hop, where it is known.
    hops: Vec<Option<Url>>,
    /// Only rows about this host, in a test that looks at several.
    only: Option<&'a str>,
    /// Which addresses each engine gave, and for which names.
    answers: BTreeMap<Engine, BTreeSet<IpAddr>>,
    names: BTreeMap<IpAddr, BTreeSet<String>>,
}

/// One connection's steps.
#[derive(Default)]
struct Line {
    is_system: bool,
    peer: Option<SocketAddr>,
    steps: Vec<Observation>,
}

/// What tells connections of one hop apart: the number that links their rows, or the far end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Transaction(i64),
    Peer(Option<SocketAddr>),
}

type Lines = BTreeMap<(u8, Key), Line>;

impl<'a> Scene<'a> {
    pub(super) fn new(target: &'a Target, keys: &'a Value, is_service: bool) -> Self {
        let mut scene = Self {
            keys,
            hops: vec![Some(target.url())],
            only: is_service.then(|| target.host()),
            answers: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        if !is_service {
            scene.note_hops();
        }
        for (engine, name, address) in rows(keys, "queries").flat_map(answers_of) {
            scene.answers.entry(engine).or_default().insert(address);
            scene.names.entry(address).or_default().insert(name);
        }
        scene
    }

    /// Reads all steps; `None` where there is none.
    pub(super) fn read(&self) -> Option<(CheckKind, Vec<Observation>)> {
        let mut lines = Lines::new();
        self.read_connections(&mut lines);
        let is_quic = self.read_handshakes(&mut lines);
        let unlinked = self.read_requests(&mut lines);
        let mut dns = self.read_queries();
        let mut steps = Vec::new();
        for hop in 0..u8::try_from(MAX_HOPS).unwrap_or(u8::MAX) {
            let (own, others) = self.lines_of(hop, &mut lines);
            steps.extend(dns.remove(&hop).unwrap_or_default());
            steps.extend(own);
            steps.extend(unlinked.iter().filter(|step| step.hop == hop).cloned());
            steps.extend(others);
        }
        self.place_requests(&mut steps);
        self.end(&mut steps);
        (!steps.is_empty()).then(|| (check_of(is_quic), steps))
    }

    fn note_hops(&mut self) {
        for (hop, row) in self.requests() {
            let url = Url::parse(text(&row["request"]["url"])).ok();
            let location = page::header(&row["response"], "location");
            let next = url.as_ref().filter(|_| !location.is_empty()).and_then(|url| url.join(&location).ok());
            let at = usize::from(hop);
            self.hops.resize(self.hops.len().max(at + 2), None);
            // The target itself is hop 0, however the request's URL is written.
            if at > 0 && url.is_some() {
                self.hops[at] = url;
            }
            if self.hops[at + 1].is_none() {
                self.hops[at + 1] = next;
            }
        }
    }

    /// Returns the requests with their hops; OONI writes the last one first.
    fn requests(&self) -> impl Iterator<Item = (u8, &'a Value)> + use<'a> {
        let is_plain = |row: &&Value| row["request"]["tor"]["is_tor"].as_bool() != Some(true);
        let all: Vec<&Value> = rows(self.keys, "requests").filter(is_plain).collect();
        let count = all.len();
        let hop_of = move |(at, row): (usize, &'a Value)| {
            let chained = u8::try_from(count - 1 - at).unwrap_or(u8::MAX);
            (depth(row).unwrap_or(chained), row)
        };
        all.into_iter().enumerate().map(hop_of).filter(|(hop, _)| usize::from(*hop) < MAX_HOPS)
    }

    /// Finds the first hop of a name, and of a port where one is given.
    fn hop_of(&self, name: &str, port: Option<u16>) -> Option<u8> {
        if let Some(only) = self.only {
            return (only == name).then_some(0);
        }
        let is_it = |url: &Option<Url>| {
            url.as_ref().is_some_and(|url| {
                url.host_str() == Some(name)
                    && port.is_none_or(|port| url.port_or_known_default() == Some(port))
            })
        };
        self.hops.iter().position(is_it).and_then(|hop| u8::try_from(hop).ok())
    }

    fn hop_of_peer(&self, row: &Value, peer: SocketAddr) -> Option<u8> {
        let of_name = |name: &String| self.hop_of(name, Some(peer.port()));
        let named = || self.names.get(&peer.ip()).into_iter().flatten().filter_map(of_name).min();
        match (self.only, depth(row)) {
            (None, Some(depth)) => Some(depth),
            (None, None) => Some(named().unwrap_or(0)),
            (Some(only), _) => {
                let is_ours = self.names.get(&peer.ip()).is_some_and(|names| names.contains(only));
                is_ours.then_some(0)
            }
        }
    }

    fn is_system(&self, row: &Value, peer: Option<SocketAddr>) -> bool {
        if row["tags"].as_array().is_some_and(|tags| !tags.is_empty()) {
            return has_tag(row, "classic");
        }
        let own = self.answers.get(&Engine::System);
        own.is_none_or(|own| peer.is_none_or(|peer| own.contains(&peer.ip())))
    }

    fn engine_of(&self, line: &Line) -> Engine {
        let gave = |engine: Engine| {
            let ip = line.peer.map(|peer| peer.ip());
            ip.is_some_and(|ip| self.answers.get(&engine).is_some_and(|addresses| addresses.contains(&ip)))
        };
        match line.is_system {
            true => Engine::System,
            false if !gave(Engine::Doh) && gave(Engine::Udp) => Engine::Udp,
            // An address that only the test helper knew is a second opinion over HTTPS too.
            false => Engine::Doh,
        }
    }

    /// Reads DNS: the answers to all questions about one name of one engine are one step.
    fn read_queries(&self) -> BTreeMap<u8, Vec<Observation>> {
        let mut found: BTreeMap<(u8, Engine, String), Observation> = BTreeMap::new();
        for row in rows(self.keys, "queries") {
            let name = text(&row["hostname"]).trim_end_matches('.').to_ascii_lowercase();
            let Some(engine) = engine(row).filter(|_| is_name(&name) && asks_for_addresses(row)) else {
                continue;
            };
            let named = self.hop_of(&name, None);
            let Some(hop) = depth(row).filter(|_| self.only.is_none()).or(named) else { continue };
            let (at, took) = span(row);
            let step = found.entry((hop, engine, name.clone())).or_insert_with(|| Observation {
                // The system resolver's address can point to the volunteer's home.
                peer: socket(&row["resolver_address"]).filter(|_| engine != Engine::System),
                fact: Fact::Dns(DnsAnswer { hostname: name.clone(), ..DnsAnswer::default() }),
                ..step(Layer::Dns, hop, (at, took))
            });
            step.engine = engine;
            step.took = step.took.max((at + took).saturating_sub(step.at));
            let is_v6_only = text(&row["query_type"]) == "AAAA";
            if step.failure.is_none() || !is_v6_only {
                step.failure = failure(&row["failure"]).or(step.failure.take());
            }
            if let Fact::Dns(answer) = &mut step.fact {
                answer.addresses.extend(answers_of(row).map(|(_, _, address)| address));
                answer.rcode =
                    answer.rcode.or(row["rcode"].as_u64().and_then(|code| u16::try_from(code).ok()));
                note_aliases(row, answer);
            }
        }
        let mut by_hop: BTreeMap<u8, Vec<Observation>> = BTreeMap::new();
        for ((hop, _, _), mut step) in found {
            if let Fact::Dns(answer) = &mut step.fact {
                answer.addresses.sort_unstable();
                answer.addresses.dedup();
                step.failure = match answer.addresses.is_empty() {
                    // A name without IPv6 addresses is no failure.
                    false => None,
                    true => Some(step.failure.unwrap_or(Failure::DnsNoAnswer)),
                };
            }
            by_hop.entry(hop).or_default().push(step);
        }
        by_hop
    }

    fn read_connections(&self, lines: &mut Lines) {
        for row in rows(self.keys, "tcp_connect") {
            let Some(peer) = endpoint(&row["ip"], &row["port"]) else { continue };
            let Some(hop) = self.hop_of_peer(row, peer) else { continue };
            let failed = failure(&row["status"]["failure"]);
            if failed.is_none() && row["status"]["success"].as_bool() != Some(true) {
                continue;
            }
            let step = Observation { peer: Some(peer), failure: failed, ..step(Layer::Tcp, hop, span(row)) };
            self.add(lines, row, step);
        }
    }

    /// Reads TLS and QUIC handshakes; says whether all of them are QUIC.
    fn read_handshakes(&self, lines: &mut Lines) -> bool {
        let (mut quic, mut tls) = (0, 0);
        for row in rows(self.keys, "tls_handshakes") {
            let server_name = short(text(&row["server_name"]), MAX_NAME_CHARS).to_ascii_lowercase();
            let peer = socket(&row["address"]);
            let port = peer.map(|peer| peer.port());
            let named = self.hop_of(&server_name, port);
            let tagged = depth(row).filter(|_| self.only.is_none());
            let Some(hop) = tagged.or(named).or_else(|| self.only.is_none().then_some(0)) else { continue };
            let version = short(text(&row["tls_version"]), 20);
            let alpn = short(text(&row["negotiated_protocol"]), 20);
            let is_quic = matches!(text(&row["network"]), "udp" | "quic");
            let (layer, fact) = if is_quic {
                quic += 1;
                let fact = QuicFact { server_name, version: String::new(), alpn, ..QuicFact::default() };
                (Layer::Quic, Fact::Quic(fact))
            } else {
                tls += 1;
                (Layer::Tls, Fact::Tls(TlsFact { server_name, version, alpn, ..TlsFact::default() }))
            };
            let failed = failure(&row["failure"]);
            self.add(lines, row, Observation { peer, failure: failed, fact, ..step(layer, hop, span(row)) });
        }
        quic > 0 && tls == 0
    }

    /// Reads requests into their connections; returns those that name none.
    fn read_requests(&self, lines: &mut Lines) -> Vec<Observation> {
        let mut unlinked = Vec::new();
        for (hop, row) in self.requests() {
            let fact = page::fact(row);
            let host = Url::parse(&fact.url).ok().and_then(|url| url.host_str().map(str::to_owned));
            let hop = if self.only.is_some() { 0 } else { hop };
            if self.only.is_some_and(|only| host.as_deref() != Some(only)) {
                continue;
            }
            let failed = failure(&row["failure"]);
            if failed.is_none() && fact.status == 0 {
                continue;
            }
            let peer = socket(&row["address"]);
            let step = Observation {
                peer,
                failure: failed,
                fact: Fact::Http(fact),
                ..step(Layer::Http, hop, span(row))
            };
            let key = (hop, Key::Transaction(transaction(row)));
            if transaction(row) != 0 && lines.contains_key(&key) {
                self.add(lines, row, step);
            } else {
                unlinked.push(step);
            }
        }
        unlinked
    }

    fn add(&self, lines: &mut Lines, row: &Value, step: Observation) {
        let key = match transaction(row) {
            0 => Key::Peer(step.peer),
            linked => Key::Transaction(linked),
        };
        let line = lines.entry((step.hop, key)).or_default();
        line.peer = line.peer.or(step.peer);
        line.is_system |= self.is_system(row, step.peer);
        line.steps.push(step);
    }

    /// Takes a hop's connections: those of ordinary programs, the one that got furthest last, and the others.
    fn lines_of(&self, hop: u8, lines: &mut Lines) -> (Vec<Observation>, Vec<Observation>) {
        let rest = lines.split_off(&(hop.saturating_add(1), Key::Transaction(i64::MIN)));
        let mut all: Vec<Line> = std::mem::replace(lines, rest).into_values().collect();
        all.retain(|line| !self.is_beside(hop, line));
        all.sort_by_key(reach);
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for mut line in all {
            let engine = self.engine_of(&line);
            let into = if line.is_system { &mut own } else { &mut others };
            line.steps.sort_by_key(|step| step.layer);
            into.extend(line.steps.into_iter().map(|step| Observation { engine, ..step }));
        }
        (own, others)
    }

    /// Says whether a connection is one that an ordinary program would not make and that says nothing besides.
    fn is_beside(&self, hop: u8, line: &Line) -> bool {
        let url = self.hops.get(usize::from(hop)).and_then(Option::as_ref);
        let port = url.and_then(Url::port_or_known_default);
        let is_other_port = port.is_some() && line.peer.is_some_and(|peer| Some(peer.port()) != port);
        let is_valid = line.steps.iter().any(|step| step.layer == Layer::Tls && step.failure.is_none());
        is_other_port && (line.is_system || !is_valid)
    }

    /// Puts failures that an engine noted for the request alone at the layer at which they must have happened.
    fn place_requests(&self, steps: &mut Vec<Observation>) {
        let mut at = 0;
        while at < steps.len() {
            let step = &steps[at];
            let is_linked = step.peer.is_some() || step.layer != Layer::Http || step.engine != Engine::System;
            let Some(failed) = step.failure.clone().filter(|_| !is_linked) else {
                at += 1;
                continue;
            };
            let hop = step.hop;
            let own = |other: &&Observation| {
                other.hop == hop && other.engine == Engine::System && other.layer != Layer::Http
            };
            if steps.iter().filter(own).any(|other| other.failure.is_some()) {
                // The same failure was noted where it happened.
                steps.remove(at);
                continue;
            }
            let reached = steps.iter().filter(own).map(|other| other.layer).max();
            let is_https = self.hops.get(usize::from(hop)).and_then(Option::as_ref);
            let is_https = is_https.is_some_and(|url| url.scheme() == "https");
            let layer = layer_of(&failed, reached, is_https);
            if layer != Layer::Http {
                steps[at].layer = layer;
                steps[at].fact = Fact::None;
            }
            at += 1;
        }
    }

    /// Adds the end of a measurement that shows neither a page nor a failure.
    fn end(&self, steps: &mut Vec<Observation>) {
        let own = |step: &&Observation| step.engine == Engine::System;
        let is_page = |step: &Observation| matches!(&step.fact, Fact::Http(page) if page.status != 0);
        let ended = steps.iter().filter(own).any(|step| step.failure.is_some() || is_page(step));
        if ended {
            return;
        }
        let said = if self.only.is_some() { None } else { self.said() };
        let last = steps.iter().rfind(own);
        let (reached, hop) = last.map_or((None, 0), |step| (Some(step.layer), step.hop));
        if last.is_none() && said.is_none() {
            // Second opinions alone say nothing about the line.
            steps.clear();
            return;
        }
        let addresses = |step: &Observation| match &step.fact {
            Fact::Dns(answer) => answer.addresses.clone(),
            _ => Vec::new(),
        };
        let given: Vec<IpAddr> = steps.iter().filter(own).flat_map(addresses).collect();
        let is_bogon = !given.is_empty() && !given.iter().any(|address| is_public(*address));
        let is_https = self.hops.first().and_then(Option::as_ref).is_some_and(|url| url.scheme() == "https");
        let (layer, failure) = match said {
            Some(failure) => (layer_of(&failure, reached, is_https), failure),
            // Nobody connects to an address that cannot be a site.
            None if is_bogon && reached == Some(Layer::Dns) => (Layer::Tcp, Failure::AddressDenied),
            None => (Layer::Http, Failure::Interrupted),
        };
        steps.push(Observation {
            failure: Some(failure),
            ..step(layer, hop, (Duration::ZERO, Duration::ZERO))
        });
    }

    /// Returns the failure that the measurement names without a row that shows it.
    fn said(&self) -> Option<Failure> {
        failure(&self.keys["dns_experiment_failure"])
            .or_else(|| failure(&self.keys["http_experiment_failure"]))
    }
}

fn step(layer: Layer, hop: u8, (at, took): (Duration, Duration)) -> Observation {
    Observation { layer, engine: Engine::System, hop, peer: None, at, took, failure: None, fact: Fact::None }
}

/// Says how far a connection got.
fn reach(line: &Line) -> u8 {
    let fine = |layer: Layer| line.steps.iter().any(|step| step.layer == layer && step.failure.is_none());
    let asked = line.steps.iter().any(|step| step.layer == Layer::Http);
    match (fine(Layer::Http), asked, fine(Layer::Tls) || fine(Layer::Quic), fine(Layer::Tcp)) {
        (true, ..) => 4,
        (_, true, ..) => 3,
        (_, _, true, _) => 2,
        (.., true) => 1,
        _ => 0,
    }
}

/// Finds the layer of a failure that is known for the whole request only, from what was reached before.
fn layer_of(failure: &Failure, reached: Option<Layer>, is_https: bool) -> Layer {
    match failure {
        Failure::DnsNxdomain
        | Failure::DnsNoAnswer
        | Failure::DnsRefused
        | Failure::DnsServfail
        | Failure::DnsMisbehaving
        | Failure::DnsBogon => Layer::Dns,
        Failure::ConnectionRefused | Failure::HostUnreachable | Failure::NetworkUnreachable => Layer::Tcp,
        Failure::SslInvalidHostname
        | Failure::SslUnknownAuthority
        | Failure::SslInvalidCertificate
        | Failure::SslFailedHandshake => Layer::Tls,
        Failure::HttpInvalidResponse | Failure::HttpInvalidRedirect | Failure::TooManyRedirects => {
            Layer::Http
        }
        _ => match reached {
            Some(Layer::Dns) => Layer::Tcp,
            // Whoever noted connections and no handshake did not tell TLS from what came after.
            Some(Layer::Tcp) | None if is_https => Layer::Tls,
            _ => Layer::Http,
        },
    }
}

fn engine(row: &Value) -> Option<Engine> {
    match row["engine"].as_str().unwrap_or("system") {
        "system" | "getaddrinfo" | "golang_net_resolver" | "go" | "unknown" | "" => Some(Engine::System),
        "udp" | "tcp" => Some(Engine::Udp),
        "doh" | "doh3" => Some(Engine::Doh),
        "dot" => Some(Engine::Dot),
        _ => None,
    }
}

fn asks_for_addresses(row: &Value) -> bool {
    matches!(row["query_type"].as_str().unwrap_or("ANY"), "A" | "AAAA" | "ANY")
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_CHARS && matches!(Host::parse(name), Ok(Host::Domain(_)))
}

/// Notes the names that an answer leads through.
fn note_aliases(row: &Value, answer: &mut DnsAnswer) {
    let given = rows(row, "answers").filter(|given| text(&given["answer_type"]) == "CNAME");
    for alias in given.map(|given| short(text(&given["hostname"]).trim_end_matches('.'), MAX_NAME_CHARS)) {
        if answer.cnames.len() < MAX_ALIASES && !alias.is_empty() && !answer.cnames.contains(&alias) {
            answer.cnames.push(alias);
        }
    }
}

/// Returns the addresses of one answer, with the engine and the name.
fn answers_of(row: &Value) -> impl Iterator<Item = (Engine, String, IpAddr)> {
    let name = text(&row["hostname"]).trim_end_matches('.').to_ascii_lowercase();
    let engine = engine(row);
    rows(row, "answers").filter_map(move |answer| {
        let address = answer["ipv4"].as_str().or_else(|| answer["ipv6"].as_str())?;
        Some((engine?, name.clone(), address.parse().ok()?))
    })
}
