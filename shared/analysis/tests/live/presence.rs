//! Beats, agents that cannot be heard, and hosts that controls look at from outside.

use crate::simulator::{
    CONTROLS, EPOCH, Event, Hits, Ms, PERIOD_MS, PROVIDERS, Scenario, World, agent_id, asn,
};
use faultline_model::{
    AgentId, Asn, Category, CheckKind, Class, MeasurementId, Presence, PresenceKind, Record, Target,
    Timestamp, Why,
};
use std::collections::BTreeMap;

const BEAT_MS: Ms = 15_000;

/// What agents that cannot be heard measure meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// They are off, and measure nothing.
    Nothing,
    /// Everything fails.
    Fails,
    /// Everything works: only our channel is gone.
    Works,
    /// Sites inside the country work.
    DomesticWorks,
}

/// Agents that cannot be heard for a while.
#[derive(Clone, Debug)]
pub struct Off {
    pub from: Ms,
    pub to: Ms,
    pub hits: Hits,
    pub meanwhile: Meanwhile,
}

impl Off {
    fn hits(&self, at: Ms, provider: usize, agent: usize, controls: usize) -> bool {
        let hits = match &self.hits {
            Hits::Providers(providers) => providers.contains(&provider),
            Hits::Agents(agents) => provider != controls && agents.contains(&(provider, agent)),
            Hits::Everybody => true,
        };
        hits && (self.from..self.to).contains(&at)
    }
}

/// Returns the public hosts of a scenario.
pub fn landmarks(scenario: &Scenario) -> BTreeMap<Target, Asn> {
    let providers = if scenario.landmarks { &PROVIDERS[..scenario.agents.len()] } else { &[] };
    let own = providers.iter().enumerate();
    own.map(|(number, provider)| (landmark(number), asn(provider.0))).collect()
}

/// Returns the regions of a scenario's agents.
pub fn regions(scenario: &Scenario) -> BTreeMap<AgentId, String> {
    let names = ["north", "south", "east"];
    let all = scenario.agents.iter().enumerate().filter(|_| scenario.regions);
    let all = all.flat_map(|(provider, agents)| (0..*agents).map(move |agent| (provider, agent)));
    all.map(|(provider, agent)| (agent_id(provider, agent), names[agent % 3].to_owned())).collect()
}

fn landmark(provider: usize) -> Target {
    Target::new(&format!("https://isp-{provider}.example/")).expect("a valid target")
}

/// Returns the provider whose public host a target is.
pub fn landmark_of(target: &Target) -> Option<usize> {
    (0..PROVIDERS.len()).find(|provider| landmark(*provider) == *target)
}

impl World<'_> {
    pub fn schedule_presence(&mut self) {
        let controls = self.scenario.agents.len();
        for provider in 0..=controls {
            let agents = if provider == controls { CONTROLS } else { self.scenario.agents[provider] };
            for agent in 0..agents {
                let phase = self.random.between(0, BEAT_MS);
                self.push(phase, Event::Beat((provider, agent)));
            }
        }
        if let Some((from, to)) = self.scenario.down {
            self.push(from, Event::Stop);
            self.push(to, Event::Again);
        }
        for provider in (0..controls).filter(|_| self.scenario.landmarks) {
            for control in 0..CONTROLS {
                let mut at = self.random.between(0, PERIOD_MS);
                while at < self.scenario.lasts {
                    self.push(at, Event::Landmark(provider, control));
                    at += PERIOD_MS;
                }
            }
        }
    }

    fn off_at(&self, at: Ms, provider: usize, agent: usize) -> Option<&Off> {
        let controls = self.scenario.agents.len();
        self.scenario.offs.iter().find(|off| off.hits(at, provider, agent, controls))
    }

    fn has_left(&self, at: Ms, provider: usize, agent: usize) -> bool {
        self.scenario.leaves.iter().any(|(p, a, when)| (*p, *a) == (provider, agent) && at >= *when)
    }

    /// Says whether an agent's beats reach the coordinator.
    pub fn is_heard(&self, at: Ms, provider: usize, agent: usize) -> bool {
        let is_down = self.scenario.down.is_some_and(|(from, to)| (from..to).contains(&at));
        !is_down && self.off_at(at, provider, agent).is_none() && !self.has_left(at, provider, agent)
    }

    pub fn is_measuring(&self, at: Ms, provider: usize, agent: usize) -> bool {
        let is_off = self.off_at(at, provider, agent).is_some_and(|off| off.meanwhile == Meanwhile::Nothing);
        !is_off && !self.has_left(at, provider, agent)
    }

    /// Returns what an agent that cannot be heard sees of a target.
    pub fn off_class(&self, at: Ms, provider: usize, agent: usize, target: usize) -> Option<Class> {
        let is_domestic = self.scenario.domestic && target >= crate::simulator::targets().len();
        match self.off_at(at, provider, agent)?.meanwhile {
            Meanwhile::Works | Meanwhile::Nothing => None,
            Meanwhile::DomesticWorks if is_domestic => None,
            Meanwhile::Fails | Meanwhile::DomesticWorks => Some(Class::TcpTimeout),
        }
    }

    /// Returns when a result reaches the coordinator: at once, or when the agent is back.
    pub fn delivered(&mut self, end: Ms, provider: usize, agent: usize) -> Ms {
        let mut at = end;
        if let Some(off) = self.off_at(end, provider, agent) {
            at = off.to;
        }
        if let Some((_, to)) = self.scenario.down.filter(|(from, to)| (*from..*to).contains(&at)) {
            at = to;
        }
        if at == end { end } else { at + self.random.between(2_000, 30_000) }
    }

    pub fn beat(&mut self, at: Ms, (provider, agent): (usize, usize)) {
        let is_leaving =
            self.scenario.leaves.iter().any(|(p, a, when)| (*p, *a) == (provider, agent) && at >= *when);
        if self.is_heard(at, provider, agent) || is_leaving {
            let kind = if is_leaving { PresenceKind::Left } else { PresenceKind::Beat };
            let control = provider == self.scenario.agents.len();
            let network =
                if control { 24940 + u32::try_from(agent).expect("small") } else { PROVIDERS[provider].0 };
            let sign = Presence {
                at: Timestamp::from_unix_ms(EPOCH + at),
                agent: agent_id(provider, agent),
                asn: asn(network),
                country: if control { "DE" } else { "PK" }.parse().expect("a code"),
                control,
                kind,
                beat_s: None,
            };
            self.heard.push(sign.clone());
            if self.scenario.is_shuffled {
                // The newest ones are told again in the opposite order.
                for sign in self.heard.iter().rev().take(40) {
                    self.detector.hear(sign.clone());
                }
            } else {
                self.detector.hear(sign);
            }
        }
        if !is_leaving {
            let pause = BEAT_MS + self.random.between(-1_500, 1_500);
            self.push(at + pause, Event::Beat((provider, agent)));
        }
    }

    pub fn ask_landmark(&mut self, at: Ms, provider: usize) {
        for control in 0..CONTROLS {
            let delay = self.random.between(50, 700);
            self.push(at + delay, Event::Landmark(provider, control));
        }
    }

    /// A control looks: the host answers unless its provider is cut off.
    pub fn look_at_landmark(&mut self, at: Ms, provider: usize, control: usize) {
        let is_cut = self.off_at(at, provider, 0).is_some_and(|off| {
            !matches!(off.meanwhile, Meanwhile::Works) && !crate::simulator::MOBILE.contains(&provider)
        });
        let class = if is_cut { Class::TcpTimeout } else { Class::Ok };
        let takes = if is_cut { 10_000 } else { 600 };
        let number = self.records.len();
        self.records.push(Record {
            id: MeasurementId::new(format!("m{number}")).expect("a valid id"),
            agent: agent_id(self.scenario.agents.len(), control),
            asn: asn(24940 + u32::try_from(control).expect("small")),
            country: "DE".parse().expect("a code"),
            target: landmark(provider),
            category: Category::canary(),
            started_at: Timestamp::from_unix_ms(EPOCH + at),
            received_at: Timestamp::from_unix_ms(EPOCH + at + takes),
            check: CheckKind::Web,
            class,
            control_ok: None,
            why: Why::Routine,
            control: true,
        });
        self.push(at + takes, Event::Arrive(number));
    }
}
