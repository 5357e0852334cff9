//! A small deterministic country: agents on a staggered schedule that answer asks, rules, loss, a clock.
//!
//! Nothing is random but a seeded generator, and nothing waits: time is the time of the next event.

use crate::presence::Off;
use faultline_analysis::detect::{Ask, Detector, Mode, Setup, TargetInfo, Who};
use faultline_model::{
    Access, AgentId, Asn, Baseline, BaselineCell, Category, Class, CountryProfile, Incident, MeasurementId,
    Operator, Presence, Record, Role, ServiceId, Target, Timestamp, Why,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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

/// Who is hit by a rule.
#[derive(Clone, Debug)]
pub enum Hits {
    /// Agents of these providers.
    Providers(Vec<usize>),
    /// These agents, by provider and number.
    Agents(Vec<(usize, usize)>),
    /// Everybody, controls included.
    Everybody,
}

/// One thing that goes wrong for a while.
#[derive(Clone, Debug)]
pub struct Rule {
    pub from: Ms,
    pub to: Ms,
    pub hits: Hits,
    /// Numbers of targets; empty means all.
    pub targets: Vec<usize>,
    pub class: Class,
}

/// What happens.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Agents by provider.
    pub agents: Vec<usize>,
    pub rules: Vec<Rule>,
    /// Probability that a measurement times out by chance.
    pub loss: f64,
    /// A provider with a greater one.
    pub congested: Option<(usize, f64)>,
    /// Successes per cell that a baseline knows of; 0 for none.
    pub baseline: u32,
    pub lasts: Ms,
    /// Measurements that an agent runs at a time.
    pub parallel: usize,
    /// When the coordinator is killed and starts again from its store.
    pub restart_at: Option<Ms>,
    /// Agents that cannot be heard for a while.
    pub offs: Vec<Off>,
    /// Agents that leave in order: provider, number, when.
    pub leaves: Vec<(usize, usize, Ms)>,
    /// A time in which the coordinator does not run.
    pub down: Option<(Ms, Ms)>,
    /// Every provider has a public host that controls look at.
    pub landmarks: bool,
    /// The list has two canaries inside the country.
    pub domestic: bool,
    /// Agents of one number stand in one region.
    pub regions: bool,
    /// Presence is heard in the wrong order.
    pub is_shuffled: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            agents: vec![3; 8],
            rules: vec![],
            loss: 0.0,
            congested: None,
            baseline: 200,
            lasts: 1_080_000,
            parallel: 4,
            restart_at: None,
            offs: vec![],
            leaves: vec![],
            down: None,
            landmarks: false,
            domestic: false,
            regions: false,
            is_shuffled: false,
        }
    }
}

/// The twelve blocked targets: four services with site, app and media.
pub const SOCIAL: [usize; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
pub const PERIOD_MS: Ms = 300_000;
pub const CONTROLS: usize = 2;

/// Of these, mobile networks.
pub const MOBILE: [usize; 4] = [0, 1, 2, 4];

/// Providers as in Pakistan: ASN, name, share of users.
pub const PROVIDERS: [(u32, &str, f64); 8] = [
    (45669, "Jazz", 0.30),
    (59257, "Zong", 0.20),
    (24499, "Telenor", 0.17),
    (45595, "PTCL", 0.14),
    (56167, "Ufone", 0.09),
    (9541, "StormFiber", 0.05),
    (23674, "Nayatel", 0.03),
    (38193, "Transworld", 0.02),
];

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

/// Returns the list of a scenario.
pub fn targets_of(scenario: &Scenario) -> Vec<TargetInfo> {
    let mut targets = targets();
    for id in ["home-a", "home-b"].iter().filter(|_| scenario.domestic) {
        targets.push(TargetInfo {
            target: Target::new(&format!("https://www.{id}.example/")).expect("a valid target"),
            service: ServiceId::new(id).expect("a valid id"),
            service_name: (*id).to_owned(),
            role: Role::Site,
            category: Category::canary(),
            domestic: true,
        });
    }
    targets
}

/// Returns the list: four social services with three targets each, three messengers, three canaries, three others.
pub fn targets() -> Vec<TargetInfo> {
    let services = [
        ("facebook", "Facebook", "GRP", 3),
        ("instagram", "Instagram", "GRP", 3),
        ("x", "X", "GRP", 3),
        ("youtube", "YouTube", "GRP", 3),
        ("whatsapp", "WhatsApp", "COMT", 2),
        ("telegram", "Telegram", "COMT", 1),
        ("bbc", "BBC", "NEWS", 1),
        ("wikipedia", "Wikipedia", "CULTR", 1),
        ("search", "Search", "SRCH", 1),
        ("canary-a", "Canary A", "CTRL", 1),
        ("canary-b", "Canary B", "CTRL", 1),
        ("canary-c", "Canary C", "CTRL", 1),
    ];
    let roles = [Role::Site, Role::AppApi, Role::Media];
    let mut targets = Vec::new();
    for (id, name, category, parts) in services {
        for (part, role) in roles.iter().take(parts).enumerate() {
            let host = ["www", "api", "media"][part];
            targets.push(TargetInfo {
                target: Target::new(&format!("https://{host}.{id}.example/")).expect("a valid target"),
                service: ServiceId::new(id).expect("a valid id"),
                service_name: name.to_owned(),
                role: *role,
                category: Category::new(category).expect("a valid code"),
                domestic: false,
            });
        }
    }
    targets
}

pub fn asn(number: u32) -> Asn {
    Asn::recorded(number).expect("not zero")
}

/// Returns what the coordinator of a scenario knows.
pub fn setup(scenario: &Scenario) -> Setup {
    let operator = |provider: &(u32, &str, f64)| Operator {
        name: provider.1.to_owned(),
        asns: vec![asn(provider.0)],
        access: if MOBILE.iter().any(|mobile| PROVIDERS[*mobile].0 == provider.0) {
            Access::Mobile
        } else {
            Access::Fixed
        },
        user_share: provider.2,
        upstreams: vec![],
    };
    let heard = &PROVIDERS[..scenario.agents.len()];
    let targets = targets_of(scenario);
    let mut baseline = Baseline::default();
    for provider in heard.iter().filter(|_| scenario.baseline > 0) {
        for info in targets.clone() {
            let row = BaselineCell {
                target: info.target,
                asn: asn(provider.0),
                measurements: scenario.baseline,
                anomalies: scenario.baseline / 100,
            };
            baseline.cells.push(row);
        }
    }
    Setup {
        profile: CountryProfile {
            name: "Pakistan".to_owned(),
            utc_offset_min: 300,
            operators: heard.iter().map(operator).collect(),
            ..CountryProfile::unknown("PK".parse().expect("a code"))
        },
        targets,
        baseline,
        base_period: Duration::from_millis(u64::try_from(PERIOD_MS).expect("positive")),
        mode: Mode::Live,
        reference_asns: BTreeSet::new(),
        history: BTreeMap::new(),
        beat: Duration::from_secs(15),
        regions: crate::presence::regions(scenario),
        landmarks: crate::presence::landmarks(scenario),
    }
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
