//! A small deterministic country: agents on a staggered schedule that answer asks, rules, loss, a clock.
//!
//! Nothing is random but a seeded generator, and nothing waits: time is the time of the next event.

pub use crate::country::{
    CONTROLS, Fault, Hits, MOBILE, PERIOD_MS, PROVIDERS, Rule, SOCIAL, Scenario, asn, setup, targets,
    targets_of,
};
use faultline_analysis::detect::{Ask, Detector, TargetInfo, Who};
use faultline_model::{AgentId, CheckKind, Class, Incident, MeasurementId, Presence, Record, Timestamp, Why};
use std::collections::{BTreeMap, BTreeSet};

/// Simulated milliseconds since the beginning of the world.
pub type Ms = i64;

/// 2024-01-20T13:00:00Z, so that sentences look familiar.
pub const EPOCH: Ms = 1_705_755_600_000;

/// A seeded generator (Knuth's MMIX constants); good enough for delays and loss.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d);
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Returns a number between the two, the upper one excluded.
    pub fn between(&mut self, low: Ms, high: Ms) -> Ms {
        low + Ms::try_from(self.next()).expect("31 bits fit") % (high - low).max(1)
    }

    /// Returns true with a probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        f64::from(u32::try_from(self.next()).expect("31 bits fit")) / f64::from(1_u32 << 31) < probability
    }
}

/// One published state, with the moment in simulated time.
#[derive(Clone, Debug)]
pub struct Said {
    pub at: Ms,
    pub incident: Incident,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Outcome {
    pub said: Vec<Said>,
    /// Receipt of the first failing result of any rule.
    pub first_failure: Option<Ms>,
    /// Asks handed out, by agent.
    pub handed_out: BTreeMap<(usize, usize), usize>,
    pub incidents: Vec<Incident>,
    /// Every record, in the order in which they came.
    pub stored: Vec<Record>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A measurement begins: provider (or the controls' number), agent, target, asked for.
    Start((usize, usize), usize, bool),
    /// Its record arrives.
    Arrive(usize),
    /// The detector wanted to look again.
    Look,
    /// An agent beats.
    Beat((usize, usize)),
    /// A control looks at a provider's public host.
    Landmark(usize, usize),
    /// The coordinator stops, and starts again.
    Stop,
    Again,
}

pub struct World<'a> {
    pub scenario: &'a Scenario,
    targets: Vec<TargetInfo>,
    pub random: Random,
    pub detector: Detector,
    queue: BTreeSet<(Ms, u64, Event)>,
    order: u64,
    pub records: Vec<Record>,
    stored: Vec<Record>,
    pub heard: Vec<Presence>,
    /// When each agent's running measurements end.
    pub busy: BTreeMap<(usize, usize), Vec<Ms>>,
    /// When each agent was asked for a target.
    asked: BTreeMap<(usize, usize, usize), Vec<Ms>>,
    outcome: Outcome,
    is_down: bool,
}

/// Plays a scenario.
pub fn play(scenario: &Scenario, seed: u64) -> Outcome {
    let mut world = World {
        scenario,
        targets: targets_of(scenario),
        random: Random::new(seed),
        detector: Detector::new(setup(scenario)),
        queue: BTreeSet::new(),
        order: 0,
        records: Vec::new(),
        stored: Vec::new(),
        heard: Vec::new(),
        busy: BTreeMap::new(),
        asked: BTreeMap::new(),
        outcome: Outcome::default(),
        is_down: false,
    };
    world.schedule();
    world.schedule_presence();
    world.run();
    world.outcome.incidents = world.detector.incidents().cloned().collect();
    world.outcome.incidents.sort_by_key(|incident| incident.detected_at);
    world.outcome.stored = std::mem::take(&mut world.stored);
    world.outcome
}

impl World<'_> {
    pub fn push(&mut self, at: Ms, event: Event) {
        self.order += 1;
        self.queue.insert((at, self.order, event));
    }

    /// Spreads every provider's targets evenly over the period, and its agents over the targets.
    fn schedule(&mut self) {
        let controls = self.scenario.agents.len();
        let step = PERIOD_MS / Ms::try_from(self.targets.len()).expect("small");
        for provider in 0..=controls {
            let agents = if provider == controls { CONTROLS } else { self.scenario.agents[provider] };
            let shift = self.random.between(0, step);
            let mut cycle = 0;
            while PERIOD_MS * Ms::try_from(cycle).expect("small") < self.scenario.lasts {
                for target in 0..self.targets.len() {
                    let slot = Ms::try_from((target * 8 + provider * 5) % self.targets.len()).expect("small");
                    let at = PERIOD_MS * Ms::try_from(cycle).expect("small") + slot * step + shift;
                    if provider == controls {
                        for agent in 0..agents {
                            let half = PERIOD_MS / 2 * Ms::try_from(agent).expect("small");
                            self.push(at + half, Event::Start((provider, agent), target, false));
                        }
                    } else if agents > 0 {
                        let agent = (target + cycle) % agents;
                        self.push(at, Event::Start((provider, agent), target, false));
                    }
                }
                cycle += 1;
            }
        }
    }

    fn run(&mut self) {
        let mut restart = self.scenario.restart_at;
        while let Some((at, _, event)) = self.queue.pop_first() {
            if at > self.scenario.lasts {
                break;
            }
            if restart.is_some_and(|moment| at >= moment) {
                restart = None;
                self.restart();
            }
            match event {
                Event::Start((provider, agent), target, asked) => {
                    self.start(at, (provider, agent), target, asked);
                }
                Event::Arrive(number) => {
                    if self.is_down {
                        continue;
                    }
                    let record = self.records[number].clone();
                    self.stored.push(record.clone());
                    self.detector.ingest(record);
                    self.look(at);
                }
                Event::Look => self.look(at),
                Event::Beat(agent) => self.beat(at, agent),
                Event::Landmark(provider, control) => self.look_at_landmark(at, provider, control),
                Event::Stop => self.is_down = true,
                Event::Again => {
                    self.is_down = false;
                    self.restart();
                    let (from, to) = self.scenario.down.expect("it was down");
                    let moment = |ms: Ms| Timestamp::from_unix_ms(EPOCH + ms);
                    self.detector.note_own_outage(moment(from), moment(to));
                    self.look(at);
                }
            }
        }
    }

    fn restart(&mut self) {
        let published: Vec<Incident> = self.detector.incidents().cloned().collect();
        self.detector = Detector::new(setup(self.scenario));
        self.detector.restore(published);
        for record in &self.stored {
            self.detector.ingest(record.clone());
        }
        for sign in &self.heard {
            self.detector.hear(sign.clone());
        }
    }

    fn start(&mut self, at: Ms, (provider, agent): (usize, usize), target: usize, asked: bool) {
        let running = self.busy.entry((provider, agent)).or_default();
        running.retain(|end| *end > at);
        if asked && running.len() >= self.scenario.parallel {
            let free = *running.iter().min().expect("not empty");
            self.push(free, Event::Start((provider, agent), target, asked));
            return;
        }
        if !self.is_measuring(at, provider, agent) {
            return;
        }
        let class = self.outcome_of(at, provider, agent, target);
        let takes = match class {
            Class::Ok => self.random.between(300, 1_500),
            Class::TcpTimeout | Class::TlsTimeout | Class::HttpTimeout => {
                10_000 + self.random.between(100, 600)
            }
            _ => self.random.between(100, 800),
        };
        let end = at + takes;
        self.busy.entry((provider, agent)).or_default().push(end);
        let received = self.delivered(end, provider, agent) + self.random.between(50, 400);
        if class.is_anomaly() && self.rule_at(at, provider, agent, target).is_some() {
            self.outcome.first_failure =
                Some(self.outcome.first_failure.map_or(received, |first| first.min(received)));
        }
        let number = self.records.len();
        self.records.push(self.record(number, (at, received), (provider, agent), (target, class, asked)));
        self.push(received, Event::Arrive(number));
    }

    fn outcome_of(&mut self, at: Ms, provider: usize, agent: usize, target: usize) -> Class {
        let loss = match self.scenario.congested {
            Some((congested, loss)) if congested == provider => loss,
            _ => self.scenario.loss,
        };
        let own =
            |fault: &&Fault| fault.providers.contains(&provider) && (fault.from..fault.to).contains(&at);
        let loss = self.scenario.faults.iter().find(own).map_or(loss, |fault| fault.rate);
        let is_lost = self.random.chance(loss);
        let off = self.off_class(at, provider, agent, target);
        match off.or_else(|| self.rule_at(at + 100, provider, agent, target)) {
            Some(class) => class,
            None if is_lost => Class::TcpTimeout,
            None => Class::Ok,
        }
    }

    fn rule_at(&self, at: Ms, provider: usize, agent: usize, target: usize) -> Option<Class> {
        let controls = self.scenario.agents.len();
        let applies = |rule: &&Rule| {
            let hits = match &rule.hits {
                Hits::Providers(providers) => providers.contains(&provider),
                Hits::Agents(agents) => provider != controls && agents.contains(&(provider, agent)),
                Hits::Everybody => true,
            };
            hits && (rule.from..rule.to).contains(&at)
                && (rule.targets.is_empty() || rule.targets.contains(&target))
        };
        self.scenario.rules.iter().find(applies).map(|rule| rule.class)
    }

    fn record(
        &self,
        number: usize,
        (started, received): (Ms, Ms),
        (provider, agent): (usize, usize),
        (target, class, asked): (usize, Class, bool),
    ) -> Record {
        let control = provider == self.scenario.agents.len();
        let info = &self.targets[target];
        let network =
            if control { 24940 + u32::try_from(agent).expect("small") } else { PROVIDERS[provider].0 };
        Record {
            id: MeasurementId::new(format!("m{number}")).expect("a valid id"),
            agent: agent_id(provider, agent),
            asn: asn(network),
            country: if control { "DE" } else { "PK" }.parse().expect("a code"),
            target: info.target.clone(),
            category: info.category.clone(),
            started_at: Timestamp::from_unix_ms(EPOCH + started),
            received_at: Timestamp::from_unix_ms(EPOCH + received),
            check: CheckKind::Web,
            class,
            control_ok: None,
            why: if asked { Why::Confirmation } else { Why::Routine },
            control,
        }
    }

    pub fn look(&mut self, at: Ms) {
        if self.is_down {
            return;
        }
        let evaluation = self.detector.evaluate(Timestamp::from_unix_ms(EPOCH + at));
        for incident in evaluation.changed {
            self.outcome.said.push(Said { at, incident });
        }
        for ask in &evaluation.asks {
            self.hand_out(at, ask);
        }
        if let Some(next) = evaluation.next {
            let next = (next.unix_ms() - EPOCH).max(at + 1);
            self.queue.retain(|(_, _, event)| *event != Event::Look);
            self.push(next, Event::Look);
        }
    }

    /// Chooses agents as a coordinator does: allowed, not excluded, asked least.
    fn hand_out(&mut self, at: Ms, ask: &Ask) {
        if let Some(provider) = crate::presence::landmark_of(&ask.target) {
            self.ask_landmark(at, provider);
            return;
        }
        let target = self.targets.iter().position(|info| info.target == ask.target).expect("a listed target");
        let controls = self.scenario.agents.len();
        let mut candidates: Vec<(usize, usize)> = Vec::new();
        for provider in 0..=controls {
            let number = if provider == controls { CONTROLS } else { self.scenario.agents[provider] };
            candidates.extend((0..number).map(|agent| (provider, agent)));
        }
        let fits = |(provider, agent): &(usize, usize)| match &ask.who {
            Who::Family(family) => *provider < controls && PROVIDERS[*provider].0 == family.get(),
            Who::Agents(agents) => agents.contains(&agent_id(*provider, *agent)),
            Who::Controls => *provider == controls,
        };
        candidates.retain(|(provider, agent)| {
            let asked = self.asked.get(&(*provider, *agent, target));
            let recent = asked.map_or(0, |moments| moments.iter().filter(|m| at - **m < 300_000).count());
            fits(&(*provider, *agent))
                && self.is_heard(at, *provider, *agent)
                && recent < 2
                && !ask.exclude.contains(&agent_id(*provider, *agent))
        });
        candidates.sort_by_key(|agent| (self.outcome.handed_out.get(agent).copied().unwrap_or(0), *agent));
        for (provider, agent) in candidates.into_iter().take(ask.count) {
            self.asked.entry((provider, agent, target)).or_default().push(at);
            *self.outcome.handed_out.entry((provider, agent)).or_default() += 1;
            let delay = self.random.between(50, 700);
            self.push(at + delay, Event::Start((provider, agent), target, true));
        }
    }
}

pub fn agent_id(provider: usize, agent: usize) -> AgentId {
    AgentId::new(format!("a-{provider}-{agent}")).expect("a valid id")
}
