//! What people read while a country runs: what happens in it, and what Faultline says about it.

use super::middlebox::Signature;
use super::scenario::{How, Rule, Scenario, Who, Whom};
use super::timeline::now_ms;
use faultline_model::Access;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

const BAD: &str = "31";
const GOOD: &str = "32";
const SAID: &str = "1;33";
const FAINT: &str = "2";

/// Prints to standard error, or not at all.
pub struct Progress {
    quiet: bool,
    colours: bool,
    start_ms: Option<i64>,
    coming: Vec<(Duration, &'static str, String)>,
    revisions: BTreeMap<String, u64>,
}

impl Progress {
    /// Starts in silence or aloud; colours are for terminals.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { quiet, colours, start_ms: None, coming: Vec::new(), revisions: BTreeMap::new() }
    }

    /// Says something about the set-up.
    pub fn say(&self, text: &str) {
        self.print(FAINT, text);
    }

    /// Says something that went wrong; also when quiet.
    pub fn warn(&self, text: &str) {
        eprintln!("{}", self.painted(BAD, text));
    }

    /// Notes that the timeline starts at this moment, and what is going to happen.
    pub fn start(&mut self, scenario: &Scenario, start_ms: i64) {
        self.start_ms = Some(start_ms);
        for rule in &scenario.rules {
            let text = sentence(scenario, rule);
            self.coming.push((rule.from, BAD, text.clone()));
            if rule.to < scenario.length {
                self.coming.push((rule.to, GOOD, format!("over: {text}")));
            }
        }
        self.coming.sort_by_key(|(at, ..)| *at);
    }

    /// Says what has happened in the country since the last call.
    pub fn tick(&mut self) {
        let now = self.elapsed();
        let due = self.coming.iter().take_while(|(at, ..)| *at <= now).count();
        for (at, colour, text) in self.coming.drain(..due).collect::<Vec<_>>() {
            self.print(colour, &format!("{:>5.0} s  {text}", at.as_secs_f64()));
        }
    }

    /// Says what is new among the incidents.
    pub fn incidents(&mut self, incidents: &[Value]) {
        for incident in incidents {
            let id = incident["id"].as_str().unwrap_or_default().to_owned();
            let revision = incident["revision"].as_u64().unwrap_or(0);
            if self.revisions.insert(id, revision) != Some(revision) {
                let text = format!("{:>5.0} s  {}", self.elapsed().as_secs_f64(), announcement(incident));
                self.print(SAID, &text);
            }
        }
    }

    /// Says something with the time since the start.
    pub fn event(&self, text: &str) {
        self.print(FAINT, &format!("{:>5.0} s  {text}", self.elapsed().as_secs_f64()));
    }

    fn elapsed(&self) -> Duration {
        let ms = self.start_ms.map_or(0, |start| now_ms() - start);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    fn print(&self, colour: &str, text: &str) {
        if !self.quiet {
            eprintln!("{}", self.painted(colour, text));
        }
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn announcement(incident: &Value) -> String {
    let text = |key: &str| incident[key].as_str().unwrap_or_default().to_owned();
    let state = match (incident["retracted"].as_bool(), incident["end"].as_str()) {
        (Some(true), _) => "withdrawn".to_owned(),
        (_, Some(_)) => format!("{}, ended", text("status")),
        _ => text("status"),
    };
    let asns: Vec<String> =
        incident["asns"].as_array().into_iter().flatten().map(|n| format!("AS{n}")).collect();
    let confidence = incident["confidence"].as_f64().unwrap_or(0.0);
    let headline = text("headline");
    let about = if headline.is_empty() { asns.join(" ") } else { headline };
    format!("Faultline: {} ({state}, {confidence:.2}): {about}", text("verdict"))
}

/// Says in a sentence what a rule does.
#[must_use]
pub fn sentence(scenario: &Scenario, rule: &Rule) -> String {
    let name = |asn| {
        let provider = scenario.providers.iter().find(|p| p.asn == asn).map(|p| p.name.as_str());
        let gateway = scenario.gateways.iter().find(|g| g.asn == asn).map(|g| g.name.as_str());
        format!("{} ({asn})", provider.or(gateway).unwrap_or("somebody"))
    };
    let who = match &rule.who {
        Who::Providers(asns) => asns.iter().map(|asn| name(*asn)).collect::<Vec<_>>().join(", "),
        Who::Gateway(asn) => format!("gateway {}", name(*asn)),
        Who::Nation => "every provider".to_owned(),
        Who::Access(access) => {
            format!("every {} provider", if *access == Access::Mobile { "mobile" } else { "fixed" })
        }
        Who::Region(region) => format!("region {region}"),
        Who::Agents(seats) => {
            let names = seats.iter().map(|seat| format!("agent {} of {}", seat.number, name(seat.asn)));
            names.collect::<Vec<_>>().join(", ")
        }
        Who::Site => "the site".to_owned(),
        Who::Coordinator => "the coordinator".to_owned(),
    };
    let how = match &rule.how {
        How::DnsForge(Some(address)) => format!("DNS forged to {address}"),
        How::DnsForge(None) => "DNS denies the name".to_owned(),
        How::DnsInject(Some(address)) => format!("DNS answered with {address} on the path"),
        How::DnsInject(None) => "DNS denied on the path".to_owned(),
        How::SniClose => "TLS ended by server name".to_owned(),
        How::HttpReset => "HTTP reset by host".to_owned(),
        How::HttpDrop => "HTTP swallowed by host".to_owned(),
        How::HttpClose => "HTTP ended by host".to_owned(),
        How::Ipv6Drop => "IPv6 vanishes".to_owned(),
        How::HttpBlockpage(_) => "HTTP answered with a block page".to_owned(),
        How::QuicDrop => "QUIC vanishes".to_owned(),
        How::Protocol(Signature::OpenvpnDrop) => "OpenVPN over UDP vanishes".to_owned(),
        How::Protocol(Signature::OpenvpnReset) => "OpenVPN over TCP is reset".to_owned(),
        How::Protocol(Signature::WireguardDrop) => "WireGuard vanishes".to_owned(),
        How::Throttle(rate) => format!("slowed to {rate} kbit/s"),
        How::Congestion(line) => {
            let (delay, loss) = (line.delay_ms, line.loss_percent);
            format!("congested: {delay} ms more, {loss} % lost")
        }
        How::BadCertificate(_) => "a wrong certificate".to_owned(),
        How::CaptivePortal(_) => "a captive portal answers everything".to_owned(),
        How::GeoBlock(status) => format!("refuses the country with status {status}"),
        How::AddressDrop => "packets to the addresses vanish".to_owned(),
        How::AddressRefuse => "connections are refused".to_owned(),
        How::SniReset => "TLS reset by server name".to_owned(),
        How::SniDrop => "TLS swallowed by server name".to_owned(),
        How::Blackhole => "nothing gets through".to_owned(),
        How::PowerCut => "no power".to_owned(),
        How::CoordinatorDown => "its program is down".to_owned(),
        How::SiteGone => "down for everybody, silent".to_owned(),
        How::SiteRefuses => "down for everybody, refusing".to_owned(),
    };
    match &rule.whom {
        Whom::Everything => format!("{who}: {how}"),
        Whom::Coordinator if rule.who == Who::Coordinator => format!("{who}: {how}"),
        Whom::Coordinator => format!("{who}: {how}: the coordinator"),
        Whom::Foreign => format!("{who}: {how}: everything foreign"),
        Whom::Named { hosts, addresses } => {
            let addresses = addresses.iter().map(ToString::to_string);
            let whom: Vec<String> = names(scenario, hosts).into_iter().chain(addresses).collect();
            format!("{who}: {how}: {}", whom.join(", "))
        }
    }
}

/// Writes whole services by their names and other hosts as such.
fn names(scenario: &Scenario, hosts: &[String]) -> Vec<String> {
    let mut rest: Vec<&String> = hosts.iter().collect();
    let mut names: Vec<String> = Vec::new();
    for listed in &scenario.list.targets {
        let own = scenario.list.hosts_of(&listed.service);
        if own.iter().all(|host| rest.contains(&host)) {
            names.push(listed.service_name.clone());
            rest.retain(|host| !own.contains(host));
        }
    }
    names.extend(rest.into_iter().cloned());
    names
}
