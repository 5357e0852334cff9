//! The rows of a measurement, one list per protocol, linked by transaction numbers.

use super::failure;
use crate::judge::is_public;
use data_encoding::BASE64;
use faultline_model::{DnsAnswer, Engine, Fact, Failure, HttpFact, Layer, Measurement, Observation};
use flate2::read::DeflateDecoder;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};

/// No recorded body is longer.
const MAX_BODY_BYTES: u64 = 512 * 1024;
/// OONI numbers lookups and connections in ranges of their own.
const FIRST_LOOKUP: u64 = 10_001;
const FIRST_CONNECTION: u64 = 50_001;

/// The far end of a connection, and its number.
type Connection = (Option<SocketAddr>, u64);

#[derive(Default)]
struct Rows {
    queries: Vec<Value>,
    later: Vec<Value>,
    tcp_connect: Vec<Value>,
    tls_handshakes: Vec<Value>,
    requests: Vec<Value>,
    network_events: Vec<Value>,
    /// The connections of an engine and hop, on which later steps with the same peer go on.
    open: BTreeMap<(Engine, u8), Vec<Connection>>,
    connections: u64,
}

/// Writes the rows of all steps.
pub(super) fn write(measurement: &Measurement) -> Value {
    let mut rows = Rows::default();
    for step in &measurement.observations {
        // A retry changes what is asked, and a paired control is another target.
        if matches!(step.engine, Engine::Retry | Engine::Control) {
            continue;
        }
        rows.add(step);
    }
    // The last request comes first.
    rows.requests.reverse();
    json!({
        "queries": rows.queries,
        "x_dns_duplicate_responses": rows.later,
        "tcp_connect": rows.tcp_connect,
        "tls_handshakes": rows.tls_handshakes,
        "requests": rows.requests,
        "network_events": rows.network_events,
    })
}

impl Rows {
    fn add(&mut self, step: &Observation) {
        match (step.layer, &step.fact) {
            (_, Fact::Dns(answer)) => self.add_query(step, answer),
            // Policy refused: nothing was sent.
            (Layer::Tcp, _) if step.failure == Some(Failure::AddressDenied) => {}
            (Layer::Tcp, _) => self.add_connection(step),
            (Layer::Tls, Fact::Tls(tls)) => {
                self.add_handshake(step, "tcp", (&tls.server_name, &tls.version, &tls.alpn));
            }
            (Layer::Quic, Fact::Quic(quic)) => {
                self.connect(step);
                self.add_handshake(step, "udp", (&quic.server_name, "", &quic.alpn));
            }
            (_, Fact::Http(page)) => self.add_request(step, page),
            (_, Fact::Throughput(download)) => {
                let page = HttpFact {
                    url: download.url.clone(),
                    status: download.status,
                    body_bytes: download.body_bytes,
                    is_truncated: true,
                    ..HttpFact::default()
                };
                let begin = step.at.as_secs_f64() + f64::from(download.head_ms) / 1000.0;
                let mut sum = 0;
                for (at, bytes) in download.bins.iter().enumerate() {
                    sum += u64::from(*bytes);
                    let t = begin + (at as f64 + 1.0) * f64::from(download.bin_ms) / 1000.0;
                    self.event(step, "bytes_received_cumulative", (t, sum));
                }
                self.add_request(step, &page);
            }
            // A step that failed before there was anything to see, such as an interruption.
            _ => {}
        }
    }

    fn add_query(&mut self, step: &Observation, answer: &DnsAnswer) {
        let id = FIRST_LOOKUP + self.queries.len() as u64;
        let (engine, kinds): (_, &[&str]) = match step.engine {
            Engine::System => ("getaddrinfo", &["ANY"]),
            Engine::Doh => ("doh", &["A", "AAAA"]),
            Engine::Dot => ("dot", &["A", "AAAA"]),
            _ => ("udp", &["A", "AAAA"]),
        };
        let resolver = step.peer.filter(|peer| is_public(peer.ip()) && step.engine != Engine::System);
        let row = |kind: &str, addresses: &[IpAddr], failed: Option<&Failure>| {
            let mut answers: Vec<Value> = answer
                .cnames
                .iter()
                .map(|alias| json!({"answer_type": "CNAME", "hostname": alias, "ttl": null}))
                .collect();
            answers.extend(addresses.iter().filter(|address| fits(kind, address)).map(address_row));
            let mut row = linked(step, id);
            row.insert("engine".into(), engine.into());
            row.insert("hostname".into(), answer.hostname.clone().into());
            row.insert("query_type".into(), kind.into());
            row.insert(
                "resolver_address".into(),
                resolver.map(|peer| peer.to_string()).unwrap_or_default().into(),
            );
            row.insert("answers".into(), answers.into());
            row.insert("failure".into(), failed.map(failure).into());
            row.insert("rcode".into(), answer.rcode.into());
            Value::Object(row)
        };
        for kind in kinds {
            let has_any = answer.addresses.iter().any(|address| fits(kind, address));
            // A second family that gave nothing says nothing.
            if *kind != "AAAA" || has_any {
                self.queries.push(row(kind, &answer.addresses, step.failure.as_ref()));
            }
        }
        for later in &answer.later {
            let kind = if later.addresses.iter().any(IpAddr::is_ipv6) { "AAAA" } else { "A" };
            self.later.push(row(kind, &later.addresses, later.failure.as_ref()));
        }
    }

    fn connect(&mut self, step: &Observation) -> u64 {
        let id = FIRST_CONNECTION + self.connections;
        self.connections += 1;
        self.open.entry((step.engine, step.hop)).or_default().push((step.peer, id));
        id
    }

    fn connection(&mut self, step: &Observation) -> u64 {
        let open = self.open.get(&(step.engine, step.hop)).map_or(&[][..], Vec::as_slice);
        let same = open.iter().rev().find(|(peer, _)| *peer == step.peer);
        match same.or_else(|| open.last().filter(|_| step.peer.is_none())) {
            Some((_, id)) => *id,
            None => self.connect(step),
        }
    }

    fn add_connection(&mut self, step: &Observation) {
        let Some(peer) = step.peer else { return };
        let id = self.connect(step);
        let failed = step.failure.as_ref().map(failure);
        let mut row = linked(step, id);
        row.insert("ip".into(), peer.ip().to_string().into());
        row.insert("port".into(), peer.port().into());
        row.insert("status".into(), json!({"success": failed.is_none(), "failure": failed}));
        self.tcp_connect.push(Value::Object(row));
        self.event(step, "connect", ((step.at + step.took).as_secs_f64(), 0));
    }

    fn add_handshake(
        &mut self,
        step: &Observation,
        network: &str,
        (name, version, alpn): (&str, &str, &str),
    ) {
        let id = self.connection(step);
        let mut row = linked(step, id);
        row.insert("network".into(), network.into());
        row.insert("address".into(), step.peer.map(|peer| peer.to_string()).into());
        row.insert("server_name".into(), name.into());
        row.insert("failure".into(), step.failure.as_ref().map(failure).into());
        row.insert("tls_version".into(), version.into());
        row.insert("negotiated_protocol".into(), alpn.into());
        row.insert("cipher_suite".into(), "".into());
        row.insert("no_tls_verify".into(), false.into());
        row.insert("peer_certificates".into(), json!([]));
        self.tls_handshakes.push(Value::Object(row));
        let kind = if network == "udp" { "quic_handshake" } else { "tls_handshake" };
        self.event(step, &format!("{kind}_start"), (step.at.as_secs_f64(), 0));
        self.event(step, &format!("{kind}_done"), ((step.at + step.took).as_secs_f64(), 0));
    }

    fn add_request(&mut self, step: &Observation, page: &HttpFact) {
        let id = self.connection(step);
        let network = if page.version.starts_with('3') { "udp" } else { "tcp" };
        let mut headers: BTreeMap<&str, &str> =
            page.headers.iter().map(|header| (header.name.as_str(), header.value.as_str())).collect();
        for (name, value) in [("location", &page.location), ("server", &page.server)] {
            if !value.is_empty() {
                headers.insert(name, value);
            }
        }
        let list: Vec<[&str; 2]> = headers.iter().map(|(name, value)| [*name, *value]).collect();
        let body = inflate(&page.body_deflated);
        // Most bodies are not recorded: what is written is then less than what was read.
        let is_cut = page.is_truncated || (body.len() as u64) < page.body_bytes;
        let mut row = linked(step, id);
        row.insert("failure".into(), step.failure.as_ref().map(failure).into());
        row.insert("network".into(), network.into());
        row.insert("address".into(), step.peer.map(|peer| peer.to_string()).into());
        row.insert(
            "request".into(),
            json!({"url": page.url, "method": "GET", "headers": {}, "headers_list": [], "body": "",
                   "body_is_truncated": false, "x_transport": network}),
        );
        row.insert(
            "response".into(),
            json!({"code": page.status, "headers": headers, "headers_list": list, "body": text(&body),
                   "body_is_truncated": is_cut}),
        );
        self.requests.push(Value::Object(row));
    }

    fn event(&mut self, step: &Observation, operation: &str, (t, bytes): (f64, u64)) {
        let id = self.connection(step);
        let mut row = linked(step, id);
        row.insert("operation".into(), operation.into());
        row.insert("t".into(), t.into());
        row.insert("address".into(), step.peer.map(|peer| peer.to_string()).into());
        row.insert("proto".into(), (if step.layer == Layer::Quic { "udp" } else { "tcp" }).into());
        row.insert("num_bytes".into(), bytes.into());
        let failed = step.failure.as_ref().filter(|_| !operation.ends_with("_start"));
        row.insert("failure".into(), failed.map(failure).into());
        self.network_events.push(Value::Object(row));
    }
}

/// Begins a row with what all rows have: when, which connection, which hop and way.
fn linked(step: &Observation, id: u64) -> Map<String, Value> {
    let mut tags = vec![Value::from(format!("depth={}", step.hop))];
    match step.engine {
        Engine::System => tags.insert(0, "classic".into()),
        Engine::Isp => tags.push("isp".into()),
        _ => {}
    }
    let mut row = Map::new();
    row.insert("t0".into(), step.at.as_secs_f64().into());
    row.insert("t".into(), (step.at + step.took).as_secs_f64().into());
    row.insert("transaction_id".into(), id.into());
    row.insert("tags".into(), tags.into());
    row
}

fn fits(kind: &str, address: &IpAddr) -> bool {
    kind == "ANY" || address.is_ipv6() == (kind == "AAAA")
}

fn address_row(address: &IpAddr) -> Value {
    match address {
        IpAddr::V4(address) => json!({"answer_type": "A", "ipv4": address.to_string(), "ttl": null}),
        IpAddr::V6(address) => json!({"answer_type": "AAAA", "ipv6": address.to_string(), "ttl": null}),
    }
}

fn inflate(deflated: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    // What was read before the damage is kept.
    let _ = DeflateDecoder::new(deflated).take(MAX_BODY_BYTES).read_to_end(&mut body);
    body
}

/// Writes bytes as OONI does: text where they are text, else base64.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({"format": "base64", "data": BASE64.encode(bytes)}),
    }
}
