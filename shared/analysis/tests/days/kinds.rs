//! The kinds of labelled days.

use super::day::{Day, Event, What, Whom};
use super::draw::Draw;
use super::land::{Land, Level, count};
use super::score::{Fact, Tolerated, Truth, stamp};
use faultline_model::{Class, Verdict};

/// Every kind.
pub const KINDS: [&str; 28] = [
    "quiet",
    "quiet_captive",
    "quiet_congestion",
    "quiet_churn",
    "quiet_liars",
    "standing_unblocked",
    "gateway_block",
    "few_agents",
    "timeouts_only",
    "dns_one_isp",
    "lax_block",
    "block_with_site_outage",
    "block_skewed_clocks",
    "block_churn",
    "block_hidden_by_liars",
    "flapping",
    "staggered",
    "national_mixed",
    "category",
    "site_down",
    "cdn_partial",
    "geo_block",
    "mobile_off",
    "region_off",
    "isp_off",
    "channel_block",
    "shutdown_spools",
    "own_outage",
];
/// Kinds of slow days.
pub const SLOW_KINDS: [&str; 4] =
    ["throttle_isp", "throttle_national", "throttle_in_congestion", "cable_cut"];

const RESETS: [Class; 4] = [Class::TlsReset, Class::TlsReset, Class::TlsReset, Class::TlsTimeout];
const TIMEOUTS: [Class; 3] = [Class::TcpTimeout, Class::TlsTimeout, Class::HttpTimeout];
const FORGED: [Class; 4] = [Class::DnsBogon, Class::DnsInjected, Class::DnsInjected, Class::DnsNxdomain];
const PAGES: [Class; 3] = [Class::HttpBlockpage, Class::HttpBlockpage, Class::TlsCertMismatch];

/// Makes a day of a kind.
pub fn make(kind: &'static str, seed: u64, level: Level) -> Day {
    let number = kind.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut draw = Draw::new(&[seed, number, u64::from(level == Level::Hard)]);
    let land = Land::draw(&mut draw, level);
    let mut maker = Maker { draw, land, events: Vec::new(), truth: Truth::default(), lost: 0.01, late: 0.01 };
    maker.fill(kind);
    let Maker { land, events, truth, lost, late, .. } = maker;
    Day { kind, seed: seed ^ number, land, events, truth, lost_beats: lost, late_uploads: late }
}

pub(super) struct Maker {
    pub(super) draw: Draw,
    pub(super) land: Land,
    events: Vec<Event>,
    truth: Truth,
    lost: f64,
    late: f64,
}

impl Maker {
    fn fill(&mut self, kind: &str) {
        match kind {
            "quiet" => {}
            "quiet_captive" => self.captive(),
            "quiet_congestion" => self.congestion(),
            "quiet_churn" => self.churn(),
            "quiet_liars" => self.liars(true),
            "standing_unblocked" => self.standing(),
            "gateway_block" => self.gateway(),
            "few_agents" => self.few(),
            "timeouts_only" => self.one_isp(&TIMEOUTS, 1),
            "dns_one_isp" => self.one_isp(&FORGED, 3),
            "lax_block" => self.lax(),
            "block_with_site_outage" => self.with_outage(),
            "block_skewed_clocks" => self.skewed(),
            "block_churn" => self.block_churn(),
            "block_hidden_by_liars" => self.liars(false),
            "flapping" => self.flapping(),
            "staggered" => self.staggered(),
            "national_mixed" => self.national_mixed(),
            "category" => self.category(),
            "site_down" => self.site_down(false),
            "cdn_partial" => self.site_down(true),
            "geo_block" => self.geo(),
            "mobile_off" => self.mobile_off(),
            "region_off" => self.region_off(),
            "isp_off" => self.isp_off(),
            "channel_block" => self.all_off(true, Verdict::ControlChannelBlock),
            "shutdown_spools" => self.all_off(false, Verdict::NationalShutdown),
            "own_outage" => self.own_outage(),
            "throttle_isp" => self.throttle(false),
            "throttle_national" => self.throttle(true),
            "throttle_in_congestion" => {
                self.throttle(false);
                self.congestion();
            }
            "cable_cut" => self.cable(),
            other => panic!("no kind is called {other}"),
        }
    }

    pub(super) fn is_hard(&self) -> bool {
        self.land.level == Level::Hard
    }

    /// How surely a censor hits.
    fn compliance(&mut self) -> f64 {
        if self.is_hard() { self.draw.between(0.78, 0.95) } else { self.draw.between(0.92, 0.99) }
    }

    /// A span in the middle of the day.
    pub(super) fn span(&mut self) -> (f64, f64) {
        let from = self.draw.between(3.2, 4.5) * 3600.0;
        (from, from + self.draw.between(1.3, 3.5) * 3600.0)
    }

    /// A family with enough agents.
    pub(super) fn family(&mut self, least: usize) -> usize {
        let mut families = self.land.families(least);
        if families.is_empty() {
            let mut draw = self.draw.clone();
            self.land.populate(&mut draw, 0, least);
            families = vec![0];
        }
        *self.draw.pick(&families)
    }

    fn sites(&mut self, number: usize) -> Vec<usize> {
        let open = self.land.sites(|site| site.category != "CTRL" && site.hosting != "domestic");
        self.draw.several(&open, number)
    }

    pub(super) fn happen(&mut self, what: What, whom: Whom, spans: Vec<(f64, f64)>) {
        self.events.push(Event { what, whom, spans, delays: Vec::new() });
    }

    pub(super) fn tell(&mut self, verdict: Verdict, families: &[usize], sites: &[usize], span: (f64, f64)) {
        self.truth.incidents.push(Fact {
            verdict,
            asns: families.iter().map(|family| self.land.asn(*family)).collect(),
            targets: sites.iter().map(|site| self.land.sites[*site].url.clone()).collect(),
            onset: stamp(span.0),
            end: stamp(span.1),
            transit: None,
        });
    }

    fn tolerate(&mut self, verdict: Option<Verdict>, sites: &[usize]) {
        let targets = sites.iter().map(|site| self.land.sites[*site].url.clone()).collect();
        self.truth.tolerated.push(Tolerated { verdict, targets });
    }

    fn one_isp(&mut self, ways: &[Class], number: usize) {
        let family = self.family(4);
        let (sites, rate, span) = (self.sites(number), self.compliance(), self.span());
        let ways = ways.to_vec();
        self.happen(
            What::Fails { sites: sites.clone(), ways, rate },
            Whom::Families(vec![family]),
            vec![span],
        );
        self.tell(Verdict::IspBlock, &[family], &sites, span);
    }

    fn captive(&mut self) {
        let end = self.land.hours * 3600.0;
        for agent in 0..self.land.agents.len() {
            if self.draw.chance(0.25) {
                let from = self.draw.between(0.0, end);
                let to = from + self.draw.between(900.0, 9000.0);
                self.land.agents[agent].bad.push((from, to));
                if self.draw.chance(0.4) {
                    let sites = self.land.sites(|_| true);
                    let what = What::Fails { sites, ways: PAGES.to_vec(), rate: 0.9 };
                    self.happen(what, Whom::Agents(vec![agent]), vec![(from, to)]);
                }
            }
        }
    }

    /// Some providers lose more and more for hours, and it waxes and wanes; nothing stands out.
    fn congestion(&mut self) {
        let families = self.land.families(3);
        let families = self.draw.several(&families, 2);
        for family in families {
            let from = self.draw.between(2.5, 4.0) * 3600.0;
            let peak =
                if self.is_hard() { self.draw.between(0.1, 0.2) } else { self.draw.between(0.05, 0.12) };
            for step in 0..8 {
                let at = from + count(step) * 1500.0;
                let rate = peak * (0.4 + 0.6 * (1.0 - (count(step) - 3.5).abs() / 3.5));
                self.happen(What::Degrades { rate }, Whom::Families(vec![family]), vec![(at, at + 1500.0)]);
            }
        }
        self.tolerate(Some(Verdict::TechnicalFailure), &[]);
    }

    fn churn(&mut self) {
        self.shake(0.8);
        self.lost = 0.06;
        self.late = 0.1;
    }

    /// Gives many agents short sessions.
    fn shake(&mut self, part: f64) {
        let end = self.land.hours * 3600.0;
        for agent in 0..self.land.agents.len() {
            if self.land.family_of(agent).is_some() && self.draw.chance(part) {
                let mut on = Vec::new();
                let mut at = self.draw.wait(900.0);
                while at < end {
                    let to = at + 900.0 + self.draw.wait(5400.0);
                    on.push((at, to));
                    at = to + self.draw.wait(1200.0);
                }
                self.land.agents[agent].on = on;
            }
        }
    }

    fn liars(&mut self, is_claim: bool) {
        let family = self.family(5);
        let agents = self.land.agents_of(family);
        let number = agents.len() / 5;
        let liars = self.draw.several(&agents, number.max(1));
        let (sites, span) = (self.sites(2), self.span());
        let flood = if self.is_hard() { 3 } else { 0 };
        let class = if is_claim { Class::TlsReset } else { Class::Ok };
        if !is_claim {
            let rate = self.compliance();
            let what = What::Fails { sites: sites.clone(), ways: RESETS.to_vec(), rate };
            self.happen(what, Whom::Families(vec![family]), vec![span]);
            self.tell(Verdict::IspBlock, &[family], &sites, span);
        }
        // Liars come first, because the first event that hits decides.
        let lie = Event {
            what: What::Lies { sites, class, flood },
            whom: Whom::Agents(liars),
            spans: vec![span],
            delays: Vec::new(),
        };
        self.events.insert(0, lie);
    }

    fn standing(&mut self) {
        let family = self.family(4);
        let (sites, rate) = (self.sites(2), self.compliance());
        let to = self.draw.between(4.0, 7.0) * 3600.0;
        let what = What::Fails { sites: sites.clone(), ways: RESETS.to_vec(), rate };
        self.happen(what, Whom::Families(vec![family]), vec![(-3600.0, to)]);
        self.tolerate(None, &sites);
    }

    fn gateway(&mut self) {
        let mut draw = self.draw.clone();
        let all: Vec<usize> = self.land.families(1);
        let behind: Vec<usize> = all.iter().copied().take(4).skip(1).collect();
        for family in &all {
            let is_behind = behind.contains(family);
            for net in self.land.nets_of(*family) {
                self.land.nets[net].upstreams = if is_behind { vec![64_901] } else { vec![64_902] };
            }
            if is_behind {
                self.land.populate(&mut draw, *family, 5);
            }
        }
        self.draw = draw;
        let (sites, rate, span) = (self.sites(2), self.compliance(), self.span());
        let what = What::Fails { sites: sites.clone(), ways: RESETS.to_vec(), rate };
        self.happen(what, Whom::Families(behind.clone()), vec![span]);
        self.tell(Verdict::MultiIspBlock, &behind, &sites, span);
        if let Some(fact) = self.truth.incidents.last_mut() {
            fact.transit = Some(64_901);
        }
    }

    fn few(&mut self) {
        let mut draw = self.draw.clone();
        let family = *draw.pick(&self.land.families(1));
        let size = draw.whole(1, 2);
        self.land.populate(&mut draw, family, size);
        for agent in self.land.agents_of(family) {
            let it = &mut self.land.agents[agent];
            (it.on, it.broken, it.quality) = (vec![(0.0, 1e9)], Vec::new(), 1.0);
        }
        self.draw = draw;
        let (sites, span) = (self.sites(2), self.span());
        let rate = 0.95;
        let what = What::Fails { sites: sites.clone(), ways: RESETS.to_vec(), rate };
        self.happen(what, Whom::Families(vec![family]), vec![span]);
        self.tell(Verdict::InsufficientData, &[family], &sites, span);
    }

    fn lax(&mut self) {
        let family = self.family(6);
        let rate = if self.is_hard() { 0.65 } else { 0.78 };
        let (sites, span) = (self.sites(2), self.span());
        let what = What::Fails { sites: sites.clone(), ways: RESETS.to_vec(), rate };
        self.happen(what, Whom::Families(vec![family]), vec![span]);
        self.tell(Verdict::IspBlock, &[family], &sites, span);
    }

    fn with_outage(&mut self) {
        let family = self.family(5);
        let (sites, rate) = (self.sites(1), self.compliance());
        let span = (3.0 * 3600.0, 6.5 * 3600.0);
        let what = What::Fails { sites: sites.clone(), ways: RESETS.to_vec(), rate };
        self.happen(what, Whom::Families(vec![family]), vec![span]);
        self.tell(Verdict::IspBlock, &[family], &sites, span);
        let down = (4.5 * 3600.0, 5.3 * 3600.0);
        self.happen(
            What::Down { sites: sites.clone(), rate: 0.95, controls: 0.95 },
            Whom::Everybody,
            vec![down],
        );
        let families = self.land.families(1);
        self.tell(Verdict::TargetOutage, &families, &sites, down);
    }

    fn skewed(&mut self) {
        self.one_isp(&RESETS, 2);
        for agent in 0..self.land.agents.len() {
            if self.draw.chance(0.3) {
                self.land.agents[agent].skew = self.draw.between(-10_800.0, 10_800.0);
            }
        }
        self.late = 0.15;
    }

    fn block_churn(&mut self) {
        let family = self.family(6);
        self.shake(0.6);
        let (sites, rate, span) = (self.sites(2), self.compliance(), self.span());
        let what = What::Fails { sites: sites.clone(), ways: RESETS.to_vec(), rate };
        self.happen(what, Whom::Families(vec![family]), vec![span]);
        self.tell(Verdict::IspBlock, &[family], &sites, span);
    }

    fn flapping(&mut self) {
        let family = self.family(5);
        let (sites, rate) = (self.sites(2), self.compliance());
        let mut spans = Vec::new();
        let mut at = 3.0 * 3600.0;
        for _ in 0..4 {
            let to = at + self.draw.between(1500.0, 2700.0);
            spans.push((at, to));
            at = to + self.draw.between(600.0, 1200.0);
        }
        let span = (spans[0].0, spans[3].1);
        let what = What::Fails { sites: sites.clone(), ways: RESETS.to_vec(), rate };
        self.happen(what, Whom::Families(vec![family]), spans);
        self.tell(Verdict::IspBlock, &[family], &sites, span);
    }

    fn staggered(&mut self) {
        let families = self.land.families(1);
        let sites = self.sites(2);
        let rate = self.compliance();
        let from = 2.5 * 3600.0;
        let most = families.iter().copied().max().unwrap_or(0) + 1;
        let delays: Vec<f64> = (0..most).map(|family| count(family) * 10_800.0 / count(most)).collect();
        let what = What::Fails { sites: sites.clone(), ways: RESETS.to_vec(), rate };
        // Delays move the end as well; it lies beyond the day.
        self.events.push(Event { what, whom: Whom::Home, spans: vec![(from, 1e6)], delays });
        self.tell(Verdict::NationalBlock, &families, &sites, (from, self.land.hours * 3600.0));
    }

    fn national_mixed(&mut self) {
        let families = self.land.families(1);
        let sites = vec![2, 8, 10];
        let (rate, span) = (self.compliance(), self.span());
        for family in &families {
            let ways = self.draw.pick(&[&RESETS[..], &TIMEOUTS[..], &FORGED[..], &PAGES[..]]).to_vec();
            let delay = self.draw.between(0.0, 900.0);
            let what = What::Fails { sites: sites.clone(), ways, rate };
            self.happen(what, Whom::Families(vec![*family]), vec![(span.0 + delay, span.1 + delay)]);
        }
        self.tell(Verdict::NationalBlock, &families, &sites, span);
    }

    fn category(&mut self) {
        let families = self.land.families(1);
        let sites = self.land.sites(|site| matches!(site.category, "GRP" | "MMED"));
        let (rate, span) = (self.compliance(), self.span());
        let what = What::Fails { sites: sites.clone(), ways: RESETS.to_vec(), rate };
        let delays = (0..12).map(|_| self.draw.between(0.0, 400.0)).collect();
        self.events.push(Event { what, whom: Whom::Home, spans: vec![span], delays });
        self.tell(Verdict::CategoryBlock, &families, &sites, span);
    }

    fn site_down(&mut self, is_cdn: bool) {
        let families = self.land.families(1);
        let sites = if is_cdn { self.land.sites(|site| site.hosting == "cdn-A") } else { self.sites(1) };
        let span = self.span();
        let (rate, controls) = if is_cdn { (0.75, 0.05) } else { (0.97, 0.97) };
        self.happen(What::Down { sites: sites.clone(), rate, controls }, Whom::Everybody, vec![span]);
        self.tell(Verdict::TargetOutage, &families, &sites, span);
    }

    fn geo(&mut self) {
        let families = self.land.families(1);
        let https = self.land.sites(|site| site.url.starts_with("https") && site.category != "CTRL");
        let sites = self.draw.several(&https, 1);
        let span = self.span();
        let what = What::Fails { sites: sites.clone(), ways: vec![Class::HttpStatusDiff], rate: 0.97 };
        self.happen(what, Whom::Home, vec![span]);
        self.tell(Verdict::GeoBlock, &families, &sites, span);
    }
}
