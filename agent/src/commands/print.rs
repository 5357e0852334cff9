//! A measurement for people: step by step, with timing, coloured on terminals only.

use super::print_path::print_path;
use faultline_model::{
    DownloadEnd, Engine, Fact, Layer, LineFact, LineFilter, Measurement, Observation, SeenResolver,
    TunnelFact, TunnelStage, Variant,
};
use owo_colors::OwoColorize;
use std::io::Write;

/// Writes a line. Whoever reads it may have gone, as `head` does; that is no failure.
pub(super) fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// Prints what was seen, and that this is no judgement.
pub(super) fn print_facts(measurement: &Measurement, bytes: u64) {
    say(format_args!("{}", measurement.target.bold()));
    say(format_args!("{}", "   at ms  took  hop  step".dimmed()));
    for step in &measurement.observations {
        let (at, took) = (step.at.as_millis(), step.took.as_millis());
        let way = way(step);
        match &step.failure {
            None => say(format_args!(
                "{at:>8} {took:>5} {:>4}  {way:<34} {}  {}",
                step.hop,
                "ok".green(),
                seen(step)
            )),
            Some(failure) => {
                say(format_args!(
                    "{at:>8} {took:>5} {:>4}  {way:<34} {}  {}",
                    step.hop,
                    failure.red(),
                    seen(step)
                ));
            }
        }
    }
    print_path(measurement);
    let total = measurement.duration.as_millis();
    say(format_args!("{}", format!("{total} ms, about {} KB on the wire", bytes.div_ceil(1000)).dimmed()));
    say(format_args!(
        "These are facts about one attempt from one place. They do not say whether anything is blocked: \
         that takes other places at the same time."
    ));
}

fn way(step: &Observation) -> String {
    let layer = match step.layer {
        Layer::Dns => "DNS",
        Layer::Tcp => "TCP",
        Layer::Tls => "TLS",
        Layer::Quic => "QUIC",
        Layer::Http => "HTTP",
        Layer::Tunnel => "hand",
    };
    let peer = step.peer.map(|peer| peer.to_string()).unwrap_or_default();
    match (step.layer, step.engine) {
        (Layer::Dns, Engine::System) => format!("{layer}  system resolver"),
        (Layer::Dns, Engine::Control) => format!("{layer}  system resolver, control"),
        (_, Engine::Control) => format!("{layer:<4} control {peer}"),
        (_, Engine::Udp) => format!("{layer}  UDP {peer}"),
        (_, Engine::Doh) => format!("{layer}  HTTPS {peer}"),
        (_, Engine::Dot) => format!("{layer}  TLS {peer}"),
        (Layer::Dns, Engine::Isp) => format!("{layer}  provider's resolver"),
        (_, Engine::Isp) => format!("{layer:<4} {peer}"),
        (_, Engine::Retry) => format!("{layer:<4} {} {peer}", variant(step)),
        (_, Engine::System) => format!("{layer:<4} {peer}"),
    }
}

/// Says which retry a step belongs to.
fn variant(step: &Observation) -> &'static str {
    let variant = match &step.fact {
        Fact::Tls(tls) => tls.variant,
        Fact::Http(http) => http.variant,
        _ => None,
    };
    variant.map(Variant::as_str).unwrap_or_default()
}

fn seen(step: &Observation) -> String {
    match &step.fact {
        Fact::None => String::new(),
        Fact::Dns(dns) => {
            let addresses: Vec<String> = dns.addresses.iter().map(ToString::to_string).collect();
            format!("{} {}", dns.hostname, addresses.join(" "))
        }
        Fact::Tls(tls) => join(&[&tls.version, &tls.alpn, &tls.certificate_issuer]),
        Fact::Quic(quic) => {
            let version =
                if quic.version.is_empty() { String::new() } else { format!("QUICv{}", quic.version) };
            let datagrams =
                format!("{} datagrams sent, {} received", quic.datagrams_sent, quic.datagrams_received);
            join(&[&version, &quic.alpn, &quic.certificate_issuer, &datagrams])
        }
        Fact::Endpoint(endpoint) => endpoint.name.clone(),
        Fact::Path(path) if path.name.is_empty() => "connection attempts".to_owned(),
        Fact::Path(path) => path.name.clone(),
        Fact::Tunnel(tunnel) => tunnel_seen(tunnel),
        Fact::Line(line) => line_seen(line),
        Fact::Throughput(download) if download.status == 0 => download.url.clone(),
        Fact::Throughput(download) => format!(
            "{}, {} bytes in {} ms, {} kbit/s, {}",
            download.status,
            download.body_bytes,
            download.body_ms,
            download.goodput_bps() / 1000,
            end(download.end)
        ),
        Fact::Http(http) if http.status == 0 => http.url.clone(),
        Fact::Http(http) => {
            let more = if http.is_truncated { "+" } else { "" };
            let body = format!("{} {}{more} bytes", http.status, http.body_bytes);
            let title = if http.title.is_empty() { String::new() } else { format!("{:?}", http.title) };
            let location =
                if http.location.is_empty() { String::new() } else { format!("-> {}", http.location) };
            join(&[&body, &title, &location])
        }
    }
}

fn tunnel_seen(tunnel: &TunnelFact) -> String {
    let stage = match tunnel.stage {
        TunnelStage::Sent => "no answer in the protocol",
        TunnelStage::FirstReply => "first reply",
        TunnelStage::Complete => "handshake complete",
    };
    let bytes = format!("{} bytes sent, {} received", tunnel.bytes_sent, tunnel.bytes_received);
    let replies = tunnel.replies.join(" | ");
    join(&[tunnel.protocol.title(), stage, &bytes, &replies])
}

const fn end(end: DownloadEnd) -> &'static str {
    match end {
        DownloadEnd::Complete => "complete",
        DownloadEnd::BytesCap => "ended by the cap on bytes",
        DownloadEnd::TimeCap => "ended by the cap on time",
        DownloadEnd::Broken => "broken",
    }
}

fn join(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(", ")
}

fn line_seen(line: &LineFact) -> String {
    let state = match (line.is_up, line.is_portal) {
        (true, _) => "line up",
        (false, true) => "captive portal",
        (false, false) => "line down",
    };
    let vpn = if line.is_vpn { "behind a VPN" } else { "" };
    let metered = if line.is_metered { "phone or modem" } else { "" };
    let clock = line.clock_offset_ms.map(|offset| format!("clock {offset} ms ahead")).unwrap_or_default();
    let filter = if line.filter == LineFilter::Present { "a filter that somebody ordered" } else { "" };
    let resolver = match &line.resolver {
        SeenResolver::In { network, .. } => format!("its resolver seen in {network}"),
        SeenResolver::Masked | SeenResolver::Untold => String::new(),
    };
    join(&[state, vpn, metered, filter, &resolver, &format!("IPv6 {}", line.ipv6.as_str()), &clock])
}
