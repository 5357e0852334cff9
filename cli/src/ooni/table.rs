//! Observation CSV: one row per step or per connection, with a header that names its columns.

use super::{Head, Line, asn, host_of, moment, subject};
use faultline_analysis::replay::ooni::{Sign, answer, sign};
use faultline_model::{Failure, Layer, MeasurementId};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Columns without which a row says nothing.
const NEEDED: [&str; 5] = ["measurement_start_time", "measurement_uid", "probe_cc", "probe_asn", "test_name"];

/// The header of an observation file.
#[derive(Debug)]
pub(crate) struct Table {
    columns: BTreeMap<String, usize>,
}

/// One row, by column.
struct Fields<'a> {
    columns: &'a BTreeMap<String, usize>,
    record: csv::StringRecord,
}

impl Fields<'_> {
    fn get(&self, name: &str) -> &str {
        self.columns.get(name).and_then(|at| self.record.get(*at)).unwrap_or("").trim()
    }

    /// Says whether a step was tried: its success is told, either way, or its failure is named.
    fn is_told(&self, success: &str, failure: &str) -> bool {
        matches!(self.get(success), "1" | "1.0" | "True" | "true") || !self.get(failure).is_empty()
    }

    fn sign(&self, layer: Layer, failure: &str, is_v6: bool) -> Option<Sign> {
        let text = self.get(failure);
        let failure = (!text.is_empty()).then(|| Failure::parse(text));
        sign(layer, failure.as_ref(), is_v6)
    }
}

impl Table {
    /// Reads the header.
    pub(crate) fn new(line: &[u8]) -> Result<Self, String> {
        let header = record(line)?;
        let columns: BTreeMap<String, usize> = header
            .iter()
            .enumerate()
            .map(|(at, name)| (name.trim().trim_start_matches('\u{feff}').to_owned(), at))
            .collect();
        match NEEDED.iter().find(|name| !columns.contains_key(**name)) {
            Some(missing) => Err(format!("the header has no column {missing}")),
            None => Ok(Self { columns }),
        }
    }

    /// Reads a row.
    pub(crate) fn read(&self, line: &[u8]) -> Result<Line, String> {
        let fields = Fields { columns: &self.columns, record: record(line)? };
        if fields.record.len() != self.columns.len() {
            return Err(format!(
                "the row has {} fields, the header {}",
                fields.record.len(),
                self.columns.len()
            ));
        }
        let Some(subject) = subject(fields.get("test_name"), fields.get("input")) else {
            return Ok(Line::OtherTest);
        };
        let head = Head {
            uid: MeasurementId::new(fields.get("measurement_uid")).map_err(|e| e.to_string())?,
            at: moment(fields.get("measurement_start_time"))?,
            country: fields.get("probe_cc").parse()?,
            asn: asn(fields.get("probe_asn"))?,
            organisation: fields.get("probe_as_org_name").chars().take(120).collect(),
            subject: subject?,
            control_ok: None,
        };
        let hostname = fields.get("hostname");
        let signs = signs(&fields);
        let url = fields.get("http_request_url");
        let host = if hostname.is_empty() && !url.is_empty() { host_of(url) } else { hostname.to_owned() };
        Ok(Line::Steps(signs.into_iter().filter_map(|sign| head.step(&host, sign)).collect()))
    }
}

fn signs(fields: &Fields<'_>) -> Vec<Sign> {
    let address = fields.get("ip").parse::<IpAddr>().ok();
    let is_v6 = address.is_some_and(|address| address.is_ipv6());
    let mut signs = Vec::new();
    if !fields.get("dns_engine").is_empty() || !fields.get("dns_failure").is_empty() {
        let own = fields.sign(Layer::Dns, "dns_failure", is_v6);
        let forged = fields.get("dns_answer").parse::<IpAddr>().ok().and_then(answer);
        signs.extend(forged.or(own));
    }
    if fields.is_told("tcp_success", "tcp_failure") {
        signs.extend(fields.sign(Layer::Tcp, "tcp_failure", is_v6));
    }
    if fields.is_told("tls_success", "tls_failure") {
        signs.extend(fields.sign(Layer::Tls, "tls_failure", is_v6));
    }
    if !fields.get("http_request_url").is_empty() {
        signs.extend(fields.sign(Layer::Http, "http_failure", is_v6));
    }
    signs
}

fn record(line: &[u8]) -> Result<csv::StringRecord, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line);
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(true) => Ok(record),
        Ok(false) => Err("the row is empty".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
