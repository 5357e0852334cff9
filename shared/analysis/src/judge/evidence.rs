//! What a measurement's steps show, gathered once for all rules.

use super::Fingerprints;
use super::address::is_near;
use faultline_model::{
    CheckKind, DnsAnswer, Engine, Fact, Failure, HttpFact, LaterReply, Layer, LineFact, Measurement,
    Observation, PathFact, PathProbe, ProtocolClass, QuicFact, ThroughputFact, TlsFact, TunnelFact,
};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The facts of one measurement, in the shape that rules ask for.
pub(crate) struct Evidence<'a> {
    measurement: &'a Measurement,
    /// The first step that failed on the way of ordinary programs and was not made good by another address.
    pub(crate) failed: Option<&'a Observation>,
    /// By what block pages and forged answers are known.
    pub(crate) fingerprints: &'a Fingerprints,
}

impl<'a> Evidence<'a> {
    /// Gathers the facts.
    pub(crate) fn read(measurement: &'a Measurement, fingerprints: &'a Fingerprints) -> Self {
        let steps = &measurement.observations;
        let lasts = |at: &usize| !steps[at + 1..].iter().any(|later| makes_good(&steps[*at], later));
        let failed = (0..steps.len()).filter(|at| is_failure(&steps[*at])).find(lasts);
        Self { measurement, failed: failed.map(|at| &steps[at]), fingerprints }
    }

    /// Returns what was run.
    pub(crate) fn check(&self) -> CheckKind {
        self.measurement.check
    }

    /// Returns what the QUIC handshake showed.
    pub(crate) fn quic(&self) -> Option<&'a QuicFact> {
        self.measurement.observations.iter().find_map(|step| match &step.fact {
            Fact::Quic(fact) => Some(fact),
            _ => None,
        })
    }

    /// Returns what a selfcheck saw of the line.
    pub(crate) fn line(&self) -> Option<&'a LineFact> {
        self.measurement.observations.iter().find_map(|step| match &step.fact {
            Fact::Line(line) => Some(line),
            _ => None,
        })
    }

    /// Returns the handshakes of circumvention protocols, in order.
    pub(crate) fn tunnels(&self) -> impl Iterator<Item = &'a TunnelFact> {
        self.measurement.observations.iter().filter_map(|step| match &step.fact {
            Fact::Tunnel(fact) => Some(fact),
            _ => None,
        })
    }

    /// Returns the way around censorship that was measured.
    pub(crate) fn protocol_class(&self) -> Option<ProtocolClass> {
        self.measurement.check.protocol_class(&self.measurement.target)
    }

    /// Returns the timed download of the target, or of its paired control.
    pub(crate) fn download(&self, engine: Engine) -> Option<&'a ThroughputFact> {
        download_of(self.measurement, engine)
    }

    /// Returns what probes of limited reach showed: at a layer, of the target or of the innocent name.
    pub(crate) fn path(&self, probes: &[PathProbe], engine: Engine) -> Option<&'a PathFact> {
        self.measurement.observations.iter().find_map(|step| match &step.fact {
            Fact::Path(fact) if step.engine == engine && probes.contains(&fact.probe) => Some(fact),
            _ => None,
        })
    }

    /// Returns every step, whichever way it took.
    pub(crate) fn observations(&self) -> &'a [Observation] {
        &self.measurement.observations
    }

    /// Says whether any step was tried at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.measurement.observations.is_empty()
    }

    /// Returns the target's host name.
    pub(crate) fn host(&self) -> &'a str {
        self.measurement.target.host()
    }

    /// Returns the hop at which the measurement failed, 0 if it did not.
    pub(crate) fn hop(&self) -> u8 {
        self.failed.map_or(0, |step| step.hop)
    }

    /// Returns the addresses that the system's resolver gave for the failing hop's name.
    pub(crate) fn system_addresses(&self) -> Vec<IpAddr> {
        self.system_addresses_at(self.hop())
    }

    /// Returns the names through which the system resolver's answer for the failing hop leads.
    pub(crate) fn system_aliases(&self) -> impl Iterator<Item = &'a str> {
        let hop = self.hop();
        let own = self.steps(move |step| step.engine == Engine::System && step.hop == hop);
        own.flat_map(|step| match &step.fact {
            Fact::Dns(answer) => answer.cnames.as_slice(),
            _ => &[],
        })
        .map(String::as_str)
    }

    /// Returns the addresses that the system's resolver gave for a hop's name.
    pub(crate) fn system_addresses_at(&self, hop: u8) -> Vec<IpAddr> {
        self.addresses(|step| step.engine == Engine::System && step.hop == hop)
    }

    /// Returns the addresses that public resolvers gave for the same name.
    pub(crate) fn public_addresses(&self) -> Vec<IpAddr> {
        self.public_addresses_at(self.hop())
    }

    /// Returns the addresses that public resolvers gave for a hop's name: those that came encrypted, or else the truth
    /// that came behind a forged answer, or else those over UDP.
    ///
    /// An answer over plain UDP can be forged on its way just as the system's.
    pub(crate) fn public_addresses_at(&self, hop: u8) -> Vec<IpAddr> {
        let encrypted = self.opinions(hop, &[Engine::Doh, Engine::Dot]);
        if !encrypted.is_empty() {
            return encrypted;
        }
        let later = self.raced(hop).into_iter().flat_map(|(_, addresses)| addresses).collect::<Vec<_>>();
        if later.is_empty() { self.opinions(hop, &[Engine::Udp]) } else { later }
    }

    /// Returns the addresses that some engines gave for a hop's name.
    pub(crate) fn opinions(&self, hop: u8, engines: &[Engine]) -> Vec<IpAddr> {
        let name = self.name_at(hop);
        self.addresses(|step| engines.contains(&step.engine) && name.is_none_or(|name| is_about(step, name)))
    }

    /// Returns what some engines were answered about a hop's name, each with how it failed.
    pub(crate) fn answers_at(
        &self,
        hop: u8,
        engines: &'a [Engine],
    ) -> impl Iterator<Item = (&'a DnsAnswer, Option<&'a Failure>)> {
        let name = self.name_at(hop);
        let ours = self.steps(move |step| engines.contains(&step.engine) && step.hop == hop);
        ours.filter(move |step| name.is_none_or(|name| is_about(step, name))).filter_map(|step| {
            match &step.fact {
                Fact::Dns(answer) => Some((answer, step.failure.as_ref())),
                _ => None,
            }
        })
    }

    /// Lists how asking some engines failed.
    pub(crate) fn opinion_failures(&self, engines: &'a [Engine]) -> impl Iterator<Item = &'a Failure> {
        self.steps(|step| step.layer == Layer::Dns && engines.contains(&step.engine))
            .filter_map(|step| step.failure.as_ref())
    }

    /// Lists the DNS steps of a hop at which a second, different answer to the same question came, with the addresses
    /// that came later. A question that was sent twice may well be answered twice.
    pub(crate) fn raced(&self, hop: u8) -> Vec<(u16, Vec<IpAddr>)> {
        let mut raced = Vec::new();
        for (at, step) in self.numbered(|step| step.layer == Layer::Dns && step.hop == hop) {
            let Fact::Dns(answer) = &step.fact else { continue };
            let differs =
                |later: &&LaterReply| match (answer.addresses.is_empty(), later.addresses.is_empty()) {
                    (true, true) => false,
                    (false, false) => are_apart(&answer.addresses, &later.addresses),
                    _ => true,
                };
            let is_repeated = answer.questions_sent > 2;
            let others: Vec<&LaterReply> = answer.later.iter().filter(differs).collect();
            if !others.is_empty() && !is_repeated {
                raced.push((at, others.iter().flat_map(|later| later.addresses.iter().copied()).collect()));
            }
        }
        raced
    }

    /// Lists the positions of the steps that a statement about a layer of a hop rests on: the failed step, or the layer's
    /// steps on the way of ordinary programs; for DNS all answers, and those also where a connection led to an address
    /// that nobody else was given.
    pub(crate) fn supporting(&self, layer: Layer, hop: u8) -> Vec<u16> {
        let mut positions = BTreeSet::new();
        let is_dns = |step: &Observation| step.layer == Layer::Dns && step.hop == hop;
        if layer == Layer::Dns || self.is_misled(hop) {
            positions.extend(self.numbered(is_dns).map(|(at, _)| at));
        }
        let failed = self.failed.filter(|step| step.hop == hop);
        let is_deciding = |step: &Observation| match failed {
            Some(failed) => std::ptr::eq(step, failed),
            None => {
                let is_page = layer == Layer::Dns && step.layer == Layer::Http;
                (step.layer == layer || is_page) && step.hop == hop && step.engine == Engine::System
            }
        };
        positions.extend(self.numbered(is_deciding).map(|(at, _)| at));
        positions.into_iter().collect()
    }

    /// Says whether the way led to addresses that are not those of other resolvers.
    fn is_misled(&self, hop: u8) -> bool {
        let (own, public) = (self.system_addresses_at(hop), self.public_addresses_at(hop));
        let is_apart = !own.is_empty() && !public.is_empty() && are_apart(&own, &public);
        is_apart || !self.raced(hop).is_empty()
    }

    /// Returns how connections to the addresses of public resolvers ended: `Some(true)` where a handshake was
    /// valid, `Some(false)` where all failed, `None` where none was tried. Connections to the resolvers
    /// themselves do not count.
    pub(crate) fn public_handshake(&self) -> Option<bool> {
        let name = self.name_at(self.hop()).unwrap_or(self.host());
        let addresses = self.public_addresses();
        let mut outcome = None;
        for step in self.steps(|step| step.engine != Engine::System) {
            let is_ours = match &step.fact {
                Fact::Tls(fact) => fact.server_name == name,
                _ => step.layer == Layer::Tcp && step.peer.is_some_and(|peer| addresses.contains(&peer.ip())),
            };
            if is_ours && step.layer == Layer::Tls && step.failure.is_none() {
                return Some(true);
            }
            if is_ours && step.failure.is_some() {
                outcome = Some(false);
            }
        }
        outcome
    }

    /// Says whether a TLS handshake was valid at the given hop on the way of ordinary programs.
    pub(crate) fn is_handshake_valid(&self, hop: u8) -> bool {
        self.handshake_at(hop).is_some()
    }

    /// Returns the last HTTP exchange on the way of ordinary programs, with its hop.
    pub(crate) fn last_page(&self) -> Option<(u8, &'a HttpFact)> {
        let page = |step: &'a Observation| match &step.fact {
            Fact::Http(fact) if step.engine == Engine::System && fact.status != 0 => Some((step.hop, fact)),
            _ => None,
        };
        self.measurement.observations.iter().filter_map(page).next_back()
    }

    /// Returns every HTTP exchange on the way of ordinary programs, with its hop.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (u8, &'a HttpFact)> {
        self.measurement.observations.iter().filter_map(|step| match &step.fact {
            Fact::Http(fact) if step.engine == Engine::System => Some((step.hop, fact)),
            _ => None,
        })
    }

    /// Returns the failure of the deciding step.
    pub(crate) fn failure(&self) -> Option<&'a Failure> {
        self.failed.and_then(|step| step.failure.as_ref())
    }

    /// Returns the name of a hop's host: the one that was resolved, or that of the URL.
    pub(crate) fn name_at(&self, hop: u8) -> Option<&'a str> {
        let steps = || self.steps(move |step| step.hop == hop && step.engine == Engine::System);
        let resolved = steps().find_map(|step| match &step.fact {
            Fact::Dns(answer) => Some(answer.hostname.as_str()),
            _ => None,
        });
        let asked = || {
            steps().find_map(|step| match &step.fact {
                Fact::Tls(tls) => Some(tls.server_name.as_str()),
                _ => None,
            })
        };
        resolved.or_else(asked).or_else(|| (hop == 0).then(|| self.host())).filter(|name| !name.is_empty())
    }

    /// Returns the valid handshake of a hop on the way of ordinary programs.
    pub(crate) fn handshake_at(&self, hop: u8) -> Option<&'a TlsFact> {
        let valid =
            |step: &Observation| step.hop == hop && step.engine == Engine::System && step.failure.is_none();
        self.steps(valid).find_map(|step| match &step.fact {
            Fact::Tls(fact) => Some(fact),
            _ => None,
        })
    }

    /// Returns the last hop that was reached.
    pub(crate) fn last_hop(&self) -> u8 {
        self.steps(|step| step.engine == Engine::System).map(|step| step.hop).max().unwrap_or(0)
    }

    fn numbered(
        &self,
        wanted: impl Fn(&Observation) -> bool,
    ) -> impl Iterator<Item = (u16, &'a Observation)> {
        (0_u16..).zip(&self.measurement.observations).filter(move |(_, step)| wanted(step))
    }

    fn addresses(&self, wanted: impl Fn(&Observation) -> bool) -> Vec<IpAddr> {
        let mut all = Vec::new();
        for step in self.steps(wanted) {
            if let Fact::Dns(answer) = &step.fact {
                all.extend(answer.addresses.iter().copied());
            }
        }
        all
    }

    fn steps(&self, wanted: impl Fn(&Observation) -> bool) -> impl Iterator<Item = &'a Observation> {
        self.measurement.observations.iter().filter(move |step| wanted(step))
    }
}

/// Returns a measurement's timed download of one side.
pub(super) fn download_of(measurement: &Measurement, engine: Engine) -> Option<&ThroughputFact> {
    measurement.observations.iter().find_map(|step| match &step.fact {
        Fact::Throughput(fact) if step.engine == engine => Some(fact),
        _ => None,
    })
}

fn is_failure(step: &Observation) -> bool {
    step.engine == Engine::System && step.failure.is_some()
}

/// Says whether a later step made an earlier failure good: another address of the same hop answered.
fn makes_good(failed: &Observation, later: &Observation) -> bool {
    later.engine == Engine::System
        && later.failure.is_none()
        && later.hop == failed.hop
        && later.layer >= failed.layer
}

/// Says whether a DNS step is about a name.
fn is_about(step: &Observation, name: &str) -> bool {
    matches!(&step.fact, Fact::Dns(answer) if answer.hostname == name)
}

/// Says whether two sets of addresses share neither an address nor a small network.
pub(crate) fn are_apart(one: &[IpAddr], other: &[IpAddr]) -> bool {
    !one.iter().any(|a| other.iter().any(|b| a == b || is_near(*a, *b)))
}
