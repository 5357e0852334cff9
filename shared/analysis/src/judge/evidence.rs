//! What a measurement's steps show, gathered once for all rules.

use super::Fingerprints;
use super::address::is_near;
use faultline_model::{
    CheckKind, Engine, Fact, Failure, HttpFact, Layer, Measurement, Observation, ProtocolClass, QuicFact,
    ThroughputFact, TunnelFact,
};
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
        self.addresses(|step| step.engine == Engine::System && step.hop == self.hop())
    }

    /// Returns the addresses that public resolvers gave for the same name, over UDP and HTTPS together.
    ///
    /// An answer over plain UDP can be forged on its way just as the system's; it counts only where no answer
    /// over HTTPS came.
    pub(crate) fn public_addresses(&self) -> Vec<IpAddr> {
        let name = self.hop_name();
        let over = |engine: Engine| {
            self.addresses(move |step| step.engine == engine && name.is_none_or(|name| is_about(step, name)))
        };
        let doh = over(Engine::Doh);
        if doh.is_empty() { over(Engine::Udp) } else { doh }
    }

    /// Returns how connections to the addresses of public resolvers ended: `Some(true)` where a handshake was
    /// valid, `Some(false)` where all failed, `None` where none was tried. Connections to the resolvers
    /// themselves do not count.
    pub(crate) fn public_handshake(&self) -> Option<bool> {
        let name = self.hop_name().unwrap_or(self.host());
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
        let valid = |step: &&Observation| {
            step.layer == Layer::Tls
                && step.hop == hop
                && step.engine == Engine::System
                && step.failure.is_none()
        };
        self.measurement.observations.iter().any(|step| valid(&step))
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

    fn hop_name(&self) -> Option<&'a str> {
        let own = |step: &'a Observation| match &step.fact {
            Fact::Dns(answer) if step.engine == Engine::System && step.hop == self.hop() => {
                Some(answer.hostname.as_str())
            }
            _ => None,
        };
        self.measurement.observations.iter().find_map(own)
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
