//! What happens on a labelled day, and the rows and beats that agents then deliver.

use super::draw::Draw;
use super::land::{Agent, Land, count, is_in};
use super::score::{Truth, stamp};
use faultline_analysis::replay::{Heartbeat, Row, Topology};
use faultline_model::{AgentId, Asn, Category, Class, MeasurementId, PresenceKind, Target, Why};
use serde_json::json;

/// The moment at which data begin: mid-morning, local time, on some day.
pub const BEGIN_S: i64 = 1_741_590_000;

/// Whom something hits.
#[derive(Clone, Debug)]
pub enum Whom {
    Everybody,
    Home,
    Families(Vec<usize>),
    Agents(Vec<usize>),
}

/// Something that happens.
#[derive(Clone, Debug)]
pub enum What {
    /// Targets fail in one of these ways, with this probability.
    Fails { sites: Vec<usize>, ways: Vec<Class>, rate: f64 },
    /// Downloads of targets are slow.
    Slows { sites: Vec<usize>, rate: f64 },
    /// The site itself is down: controls fail too with the second probability.
    Down { sites: Vec<usize>, rate: f64, controls: f64 },
    /// Everything abroad fails with this probability, canaries too; downloads are slow as often.
    Degrades { rate: f64 },
    /// Agents cannot reach us; what they measure works or not, and they deliver it afterwards or never.
    Silences { works: bool, delivers: f64 },
    /// Agents report this whatever they see.
    Lies { sites: Vec<usize>, class: Class, flood: usize },
}

/// What happens to whom, and when, in seconds of the day.
#[derive(Clone, Debug)]
pub struct Event {
    pub what: What,
    pub whom: Whom,
    pub spans: Vec<(f64, f64)>,
    /// Seconds by which each family is late, by family number.
    pub delays: Vec<f64>,
}

/// A whole day.
#[derive(Clone, Debug)]
pub struct Day {
    pub kind: &'static str,
    pub seed: u64,
    pub land: Land,
    pub events: Vec<Event>,
    pub truth: Truth,
    /// Probability that a home agent's beat is lost.
    pub lost_beats: f64,
    pub late_uploads: f64,
}

impl Event {
    fn hits(&self, land: &Land, agent: usize, at: f64) -> bool {
        let family = land.family_of(agent);
        let is_meant = match &self.whom {
            Whom::Everybody => true,
            Whom::Home => family.is_some(),
            Whom::Families(families) => family.is_some_and(|family| families.contains(&family)),
            Whom::Agents(agents) => agents.contains(&agent),
        };
        let delay = family.and_then(|family| self.delays.get(family)).copied().unwrap_or(0.0);
        is_meant && is_in(&self.spans, at - delay)
    }
}

struct Made {
    row: Row,
    at: i64,
}

impl Day {
    /// Makes the rows, in the order of receipt, and the beats.
    pub fn data(&self) -> (Vec<Row>, Vec<Heartbeat>) {
        let mut made: Vec<Made> = Vec::new();
        let mut beats: Vec<Heartbeat> = Vec::new();
        for agent in 0..self.land.agents.len() {
            let mut draw = Draw::new(&[self.seed, 77, u64::try_from(agent).expect("small")]);
            self.measure(agent, &mut draw, &mut made);
            self.beat(agent, &mut draw, &mut beats);
        }
        made.sort_by(|a, b| (a.at, a.row.id.as_str()).cmp(&(b.at, b.row.id.as_str())));
        beats.sort_by(|a, b| (a.at, a.agent_id.as_str()).cmp(&(b.at, b.agent_id.as_str())));
        (made.into_iter().map(|made| made.row).collect(), beats)
    }

    fn end(&self) -> f64 {
        self.land.hours * 3600.0
    }

    fn measure(&self, agent: usize, draw: &mut Draw, made: &mut Vec<Made>) {
        let land = &self.land;
        for site in 0..land.sites.len() {
            let kinds: &[(&str, f64)] = if land.sites[site].download {
                &[("chain", 1.0), ("throughput", 3.0)]
            } else {
                &[("chain", 1.0)]
            };
            for (check, factor) in kinds {
                let period = land.period * factor;
                let mut at = draw.unit() * period;
                while at < self.end() {
                    let start = (at + draw.normal() * 15.0).clamp(0.0, self.end());
                    at += period;
                    if is_in(&land.agents[agent].on, start) {
                        let is_download = *check == "throughput";
                        for copy in 0..=self.copies(agent, site, start) {
                            self.one((agent, site, is_download), start + count(copy) * 20.0, draw, made);
                        }
                    }
                }
            }
        }
    }

    fn copies(&self, agent: usize, site: usize, at: f64) -> usize {
        let own = self.events.iter().filter(|event| event.hits(&self.land, agent, at));
        let floods = own.filter_map(|event| match &event.what {
            What::Lies { sites, flood, .. } if sites.contains(&site) => Some(*flood),
            _ => None,
        });
        floods.max().unwrap_or(0)
    }

    fn one(
        &self,
        (agent, site, is_download): (usize, usize, bool),
        at: f64,
        draw: &mut Draw,
        made: &mut Vec<Made>,
    ) {
        let land = &self.land;
        let it = &land.agents[agent];
        let class = self.outcome((agent, site, is_download), at, draw);
        let silence = self.silence(agent, at);
        let is_cut_off = is_in(&it.broken, at) || silence.is_some();
        let mut received = at + 1.5 + draw.wait(3.0);
        if draw.chance(self.late_uploads) {
            received += draw.between(60.0, 900.0);
        }
        if is_cut_off {
            if silence.is_some_and(|delivers| !draw.chance(delivers)) {
                return;
            }
            received = self.back(agent, at) + draw.wait(40.0);
        }
        if received >= self.end() || !is_in(&it.on, received) && draw.chance(0.5) {
            return;
        }
        let check = if is_download { "throughput" } else { class.layer().as_str() };
        let id =
            format!("{}-{site}-{}-{}", it.id, if is_download { "d" } else { "c" }, draw.whole(0, 1 << 40));
        let place = &land.sites[site];
        let received_at = stamp(received);
        made.push(Made {
            at: received_at.unix_ms(),
            row: Row {
                id: MeasurementId::new(id).expect("a valid id"),
                agent_id: AgentId::new(it.id.clone()).expect("a valid id"),
                asn: Asn::recorded(land.nets[it.net].asn).expect("not zero"),
                country: if land.nets[it.net].reference { "XN" } else { "XL" }.parse().expect("valid"),
                target: Target::new(&place.url).expect("a valid target"),
                category: Category::new(place.category).expect("a valid category"),
                started_at: stamp(at + it.skew),
                received_at,
                check: check.to_owned(),
                outcome: if class == Class::Ok { "ok" } else { "anomaly" }.to_owned(),
                failure: class,
                control_ok: self.control(site, at, draw),
                why: Why::Routine,
                control: false,
            },
        });
    }

    /// Says how a measurement ends.
    fn outcome(&self, (agent, site, is_download): (usize, usize, bool), at: f64, draw: &mut Draw) -> Class {
        let land = &self.land;
        let it = &land.agents[agent];
        let place = &land.sites[site];
        let is_domestic = place.hosting == "domestic";
        if is_in(&it.broken, at) {
            return if draw.chance(0.6) { Class::LocalNetworkDown } else { Class::TcpTimeout };
        }
        let mut slow: f64 = 0.01;
        for event in self.events.iter().filter(|event| event.hits(land, agent, at)) {
            match &event.what {
                What::Lies { sites, class, .. } if sites.contains(&site) && !is_download => return *class,
                What::Silences { works: false, .. } => {
                    return *draw.pick(&[
                        Class::TcpTimeout,
                        Class::TcpTimeout,
                        Class::DnsTimeout,
                        Class::LocalNetworkDown,
                    ]);
                }
                What::Fails { sites, ways, rate } if sites.contains(&site) && draw.chance(*rate) => {
                    return if is_download { Class::HttpTimeout } else { *draw.pick(ways) };
                }
                What::Down { sites, rate, .. } if sites.contains(&site) && draw.chance(*rate) => {
                    return *draw.pick(&[
                        Class::HttpTimeout,
                        Class::HttpStatusDiff,
                        Class::TcpTimeout,
                        Class::TlsTimeout,
                    ]);
                }
                What::Slows { sites, rate } if sites.contains(&site) => slow = slow.max(*rate),
                What::Degrades { rate } if !is_domestic => {
                    if draw.chance(*rate) {
                        return *draw.pick(&[
                            Class::TcpTimeout,
                            Class::TlsTimeout,
                            Class::HttpTimeout,
                            Class::DnsTimeout,
                        ]);
                    }
                    slow = slow.max(0.8 * rate);
                }
                _ => {}
            }
        }
        let rate = self.rate(it, at) * if is_domestic { 0.5 } else { 1.0 };
        if draw.chance(rate.min(0.9)) {
            return match draw.unit() {
                way if way < 0.5 => Class::TcpTimeout,
                way if way < 0.65 => Class::TlsTimeout,
                way if way < 0.78 => Class::HttpTimeout,
                way if way < 0.86 => Class::TcpReset,
                way if way < 0.92 => Class::DnsNxdomain,
                way if way < 0.97 => Class::HttpStatusDiff,
                _ => Class::TlsReset,
            };
        }
        if is_download && draw.chance((slow + 0.3 * rate).min(0.95)) { Class::Throttled } else { Class::Ok }
    }

    fn rate(&self, it: &Agent, at: f64) -> f64 {
        let net = &self.land.nets[it.net];
        let bad = if is_in(&it.bad, at) { 0.25 } else { 0.0 };
        (net.rate * it.quality * evening(net.evening, at)).min(0.5) + bad
    }

    fn control(&self, site: usize, at: f64, draw: &mut Draw) -> Option<bool> {
        let downs = self.events.iter().filter(|event| is_in(&event.spans, at));
        let fails = downs.filter_map(|event| match &event.what {
            What::Down { sites, controls, .. } if sites.contains(&site) => Some(*controls),
            _ => None,
        });
        let fails = fails.fold(0.006, f64::max);
        if draw.chance(0.04) { None } else { Some(!draw.chance(fails)) }
    }

    /// Returns whether an agent is kept from us at a moment, and how surely it delivers afterwards.
    fn silence(&self, agent: usize, at: f64) -> Option<f64> {
        let own = self.events.iter().filter(|event| event.hits(&self.land, agent, at));
        let mut silences = own.filter_map(|event| match event.what {
            What::Silences { delivers, .. } => Some(delivers),
            _ => None,
        });
        silences.next()
    }

    fn back(&self, agent: usize, mut at: f64) -> f64 {
        while is_in(&self.land.agents[agent].broken, at) || self.silence(agent, at).is_some() {
            at += 15.0;
        }
        at
    }

    fn beat(&self, agent: usize, draw: &mut Draw, beats: &mut Vec<Heartbeat>) {
        let it = &self.land.agents[agent];
        let mut at = draw.unit() * self.land.beat;
        while at < self.end() {
            let is_heard = is_in(&it.on, at) && !is_in(&it.broken, at) && self.silence(agent, at).is_none();
            if is_heard && !draw.chance(self.lost_beats) {
                beats.push(Heartbeat {
                    agent_id: AgentId::new(it.id.clone()).expect("a valid id"),
                    asn: Asn::recorded(self.land.nets[it.net].asn).expect("not zero"),
                    at: stamp(at),
                    kind: PresenceKind::Beat,
                    control: false,
                    country: None,
                    beat_s: None,
                });
            }
            at += self.land.beat + draw.normal() * 1.5;
        }
    }

    /// Writes down what a coordinator knows beforehand.
    pub fn topology(&self) -> serde_json::Value {
        let land = &self.land;
        let hour_rates = |net: usize| -> serde_json::Value {
            let it = &land.nets[net];
            // Recorded on other days: right to a fifth.
            let mut draw = Draw::new(&[self.seed, 5, u64::try_from(net).expect("small")]);
            let rate = |hour: usize| {
                let at = (count(hour) - 5.0 - local_begin_hour()).rem_euclid(24.0) * 3600.0 + 1800.0;
                it.rate * evening(it.evening, at) + 0.02
            };
            let mut rates: Vec<f64> = (0..24).map(rate).collect();
            rates.iter_mut().for_each(|rate| *rate *= draw.between(0.8, 1.2));
            let slow: Vec<f64> = rates.iter().map(|rate| 0.01 + 0.3 * rate).collect();
            json!({"anomaly_by_local_hour": rates, "throttled_by_local_hour": slow})
        };
        let history: serde_json::Map<String, serde_json::Value> =
            (0..land.nets.len()).map(|net| (land.nets[net].asn.to_string(), hour_rates(net))).collect();
        json!({
            "country": "XL", "utc_offset_min": 300, "heartbeat_period_s": land.beat, "base_period_s": land.period,
            "transits": [64_901, 64_902, 64_903],
            "asns": land.nets.iter().map(|net| json!({
                "asn": net.asn, "name": format!("net-{}", net.asn), "country": if net.reference { "XN" } else { "XL" },
                "kind": if net.mobile { "mobile" } else { "fixed" }, "user_share": net.share,
                "upstreams": net.upstreams, "reference": net.reference,
                "operator": if net.reference { json!(null) } else { json!(format!("company-{}", net.family)) },
            })).collect::<Vec<_>>(),
            "agents": land.agents.iter().map(|agent| json!({
                "agent_id": agent.id, "asn": land.nets[agent.net].asn, "region": format!("region-{}", agent.region),
            })).collect::<Vec<_>>(),
            "targets": land.sites.iter().map(|site| json!({
                "target": site.url, "category": site.category, "hosting": site.hosting, "https": site.url.starts_with("https"),
            })).collect::<Vec<_>>(),
            "history": history,
        })
    }

    /// Replays the day.
    pub fn replay(&self) -> Vec<faultline_model::Incident> {
        let topology: Topology = serde_json::from_value(self.topology()).expect("a valid topology");
        let (rows, beats) = self.data();
        let output = faultline_analysis::replay::run_with_presence(&topology, rows, beats);
        output.expect("a consistent topology").incidents
    }
}

/// Data begin at this hour of local time; the evening is at its worst at half past eight.
fn local_begin_hour() -> f64 {
    let hour = BEGIN_S.rem_euclid(86_400) / 3600;
    f64::from(i32::try_from(hour).expect("small"))
}

fn evening(factor: f64, at: f64) -> f64 {
    let local = (local_begin_hour() + 5.0 + at / 3600.0).rem_euclid(24.0);
    1.0 + (factor - 1.0) * (-(local - 20.5) * (local - 20.5) / 3.0).exp()
}
