//! The country of a labelled day: networks, agents, targets.
//!
//! Assumptions, on purpose not those of the shipped cases: cadence, beat and size vary from day to day; lines fail in
//! bursts (a two-state chain per agent), not independently; quality has a heavy tail; a third of the home computers is
//! switched off for some time; companies may own two networks; a few networks have one or two agents only.

use super::draw::Draw;

/// How hard a day is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Ordinary lines.
    Normal,
    /// Worse lines, laxer censors, fewer agents, more skew.
    Hard,
}

/// One network.
#[derive(Clone, Debug)]
pub struct Net {
    pub asn: u32,
    pub family: usize,
    pub share: f64,
    pub mobile: bool,
    pub upstreams: Vec<u32>,
    pub reference: bool,
    /// Failure rate of ordinary hours, and how much the evening multiplies it.
    pub rate: f64,
    pub evening: f64,
}

/// One agent.
#[derive(Clone, Debug)]
pub struct Agent {
    pub id: String,
    pub net: usize,
    pub region: usize,
    /// Multiplies the network's failure rate.
    pub quality: f64,
    /// Added to what its clock shows, in seconds.
    pub skew: f64,
    /// Times in which it is on, in seconds of the day's data.
    pub on: Vec<(f64, f64)>,
    /// Times in which its own line is down or captive.
    pub broken: Vec<(f64, f64)>,
    /// Times in which its line loses much (the bad state of the chain).
    pub bad: Vec<(f64, f64)>,
}

/// One target.
#[derive(Clone, Debug)]
pub struct Site {
    pub url: String,
    pub category: &'static str,
    pub hosting: &'static str,
    pub download: bool,
}

/// A country on a day.
#[derive(Clone, Debug)]
pub struct Land {
    pub level: Level,
    pub period: f64,
    pub beat: f64,
    pub hours: f64,
    pub nets: Vec<Net>,
    pub agents: Vec<Agent>,
    pub sites: Vec<Site>,
}

const TRANSITS: [u32; 3] = [64_901, 64_902, 64_903];
const SITES: [(&str, &str, &str, bool); 20] = [
    ("https://face.example/", "GRP", "own-f", true),
    ("https://pictures.example/", "GRP", "own-f", true),
    ("https://short.example/", "GRP", "own-s", true),
    ("https://video.example/", "MMED", "own-v", true),
    ("https://chat.example/", "COMT", "own-c", false),
    ("https://calls.example/", "COMT", "own-d", false),
    ("https://mail.example/", "COMT", "own-m", false),
    ("https://world-news.example/", "NEWS", "cdn-A", true),
    ("https://exile-news.example/", "NEWS", "cdn-B", false),
    ("http://home-news.example/", "NEWS", "domestic", false),
    ("http://party.example/", "POLR", "own-p", false),
    ("https://rights.example/", "HUMR", "cdn-A", false),
    ("https://encyclopedia.example/", "CULTR", "own-e", false),
    ("https://library.example/", "CULTR", "cloud-C", false),
    ("https://onions.example/", "ANON", "own-o", false),
    ("https://shop.example/", "COMM", "cdn-A", false),
    ("https://canary-one.example/", "CTRL", "cdn-B", true),
    ("https://canary-two.example/", "CTRL", "cloud-C", true),
    ("https://canary-three.example/", "CTRL", "own-k", false),
    ("https://canary-home.example/", "CTRL", "domestic", false),
];

impl Land {
    /// Draws a country.
    pub fn draw(draw: &mut Draw, level: Level) -> Self {
        let is_hard = level == Level::Hard;
        let hours = 9.0;
        let families = draw.whole(if is_hard { 5 } else { 6 }, 10);
        let mut nets = Vec::new();
        for family in 0..families {
            let mobile = family % 3 == 1;
            let upstreams = if draw.chance(0.6) { 1 } else { 2 };
            let upstreams = draw.several(&TRANSITS[..2 + usize::from(is_hard)], upstreams);
            let share = 1.0 / (count(family) + 1.5) * draw.between(0.7, 1.3);
            let rate = draw.between(0.012, 0.03) * if is_hard { 1.8 } else { 1.0 };
            let evening = draw.between(1.2, if is_hard { 3.0 } else { 2.0 });
            let twins = 1 + usize::from(draw.chance(0.25));
            for twin in 0..twins {
                nets.push(Net {
                    asn: 64_520 + u32::try_from(nets.len()).expect("few"),
                    family,
                    share: share / count(twins),
                    mobile,
                    upstreams: upstreams.clone(),
                    reference: false,
                    rate: rate * (1.0 + 0.1 * count(twin)),
                    evening,
                });
            }
        }
        let total: f64 = nets.iter().map(|net| net.share).sum();
        nets.iter_mut().for_each(|net| net.share = (net.share / total * 1e4).round() / 1e4);
        for number in 0..2 {
            let asn = 64_700 + number;
            let upstreams = Vec::new();
            nets.push(Net {
                asn,
                family: 90,
                share: 0.0,
                mobile: false,
                upstreams,
                reference: true,
                rate: 0.02,
                evening: 1.3,
            });
        }
        let mut land = Self {
            level,
            period: *draw.pick(&[450.0, 600.0, 720.0]),
            beat: *draw.pick(&[60.0, 90.0, 150.0]),
            hours,
            nets,
            agents: Vec::new(),
            sites: SITES
                .iter()
                .map(|(url, category, hosting, download)| Site {
                    url: (*url).to_owned(),
                    category,
                    hosting,
                    download: *download,
                })
                .collect(),
        };
        for family in 0..families {
            let size = match draw.whole(0, 9) {
                0 if family > 2 => draw.whole(1, 2),
                1..=4 => draw.whole(4, 6),
                _ if is_hard => draw.whole(4, 9),
                _ => draw.whole(5, 12),
            };
            land.populate(draw, family, size);
        }
        for net in 0..land.nets.len() {
            if land.nets[net].reference {
                (0..3).for_each(|_| land.add_agent(draw, net));
            }
        }
        land
    }

    /// Gives a family so many agents, spread over its networks.
    pub fn populate(&mut self, draw: &mut Draw, family: usize, size: usize) {
        let nets = self.nets_of(family);
        let is_own = |agent: &Agent| nets.contains(&agent.net);
        let have = self.agents.iter().filter(|agent| is_own(agent)).count();
        if have > size {
            let mut left = size;
            self.agents.retain(|agent| {
                let keeps = !nets.contains(&agent.net) || left > 0;
                left -= usize::from(keeps && nets.contains(&agent.net));
                keeps
            });
        }
        for number in have..size {
            self.add_agent(draw, nets[number % nets.len()]);
        }
    }

    fn add_agent(&mut self, draw: &mut Draw, net: usize) {
        let is_hard = self.level == Level::Hard;
        let end = self.hours * 3600.0;
        let skew = match draw.unit() {
            skewed if skewed < 0.04 => draw.between(-7200.0, 7200.0),
            skewed if skewed < 0.12 => draw.between(-200.0, 200.0),
            _ => draw.normal() * 4.0,
        };
        let mut on = vec![(0.0, end)];
        if !self.nets[net].reference && draw.chance(if is_hard { 0.35 } else { 0.2 }) {
            on = sessions(draw, end, if is_hard { 3.0 } else { 5.0 });
        }
        let mut broken = Vec::new();
        if !self.nets[net].reference && draw.chance(if is_hard { 0.15 } else { 0.06 }) {
            let from = draw.between(0.0, end);
            broken.push((from, from + draw.between(600.0, 7200.0)));
        }
        let mut bad = Vec::new();
        let mut at = draw.wait(5400.0);
        while at < end {
            let lasts = draw.wait(if is_hard { 420.0 } else { 240.0 });
            bad.push((at, at + lasts));
            at += lasts + draw.wait(5400.0);
        }
        let number = self.agents.len();
        let quality = (draw.normal() * 0.6).exp().clamp(0.2, 5.0);
        let region = draw.whole(0, 4);
        self.agents.push(Agent { id: format!("v{number:03}"), net, region, quality, skew, on, broken, bad });
    }

    /// Returns the networks of a family.
    pub fn nets_of(&self, family: usize) -> Vec<usize> {
        (0..self.nets.len())
            .filter(|net| self.nets[*net].family == family && !self.nets[*net].reference)
            .collect()
    }

    /// Returns the families with at least so many agents.
    pub fn families(&self, least: usize) -> Vec<usize> {
        let mut families: Vec<usize> =
            self.nets.iter().filter(|net| !net.reference).map(|net| net.family).collect();
        families.dedup();
        families.retain(|family| self.agents_of(*family).len() >= least);
        families
    }

    /// Returns the agents of a family.
    pub fn agents_of(&self, family: usize) -> Vec<usize> {
        (0..self.agents.len()).filter(|agent| self.family_of(*agent) == Some(family)).collect()
    }

    /// Returns an agent's family; nothing for one abroad.
    pub fn family_of(&self, agent: usize) -> Option<usize> {
        let net = &self.nets[self.agents[agent].net];
        (!net.reference).then_some(net.family)
    }

    /// Returns the ASN by which a family is named: its first network's.
    pub fn asn(&self, family: usize) -> u32 {
        self.nets[self.nets_of(family)[0]].asn
    }

    /// Returns the targets of a kind.
    pub fn sites(&self, wanted: impl Fn(&Site) -> bool) -> Vec<usize> {
        (0..self.sites.len()).filter(|site| wanted(&self.sites[*site])).collect()
    }
}

/// Says whether a moment lies in one of some spans.
pub fn is_in(spans: &[(f64, f64)], at: f64) -> bool {
    spans.iter().any(|(from, to)| at >= *from && at < *to)
}

fn sessions(draw: &mut Draw, end: f64, mean_hours: f64) -> Vec<(f64, f64)> {
    let mut on = Vec::new();
    let mut at = 0.0;
    while at < end {
        let to = at + 600.0 + draw.wait(mean_hours * 3600.0);
        on.push((at, to));
        at = to + 300.0 + draw.wait(2400.0);
    }
    on
}

pub fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).expect("small"))
}
