//! Foreign values, read leniently: whatever is not what it should be reads as nothing.

use crate::ooni::failure;
use faultline_model::{Failure, Timestamp};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Rows of one kind in a measurement that are looked at.
const MAX_ROWS: usize = 500;
/// No test runs longer.
const MAX_SECONDS: f64 = 24.0 * 3600.0;

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn is_yes(value: &Value) -> bool {
    value.as_bool() == Some(true)
}

/// Cuts a text and drops what could steer a terminal.
pub(super) fn short(text: &str, chars: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(chars).collect()
}

pub(super) fn rows<'a>(keys: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    keys[name].as_array().map_or(&[][..], Vec::as_slice).iter().take(MAX_ROWS).filter(|row| row.is_object())
}

pub(super) fn failure(value: &Value) -> Option<Failure> {
    value.as_str().filter(|text| !text.is_empty()).map(failure::parse)
}

/// Reads a number of seconds that can be one.
pub(super) fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().filter(|seconds| (0.0..=MAX_SECONDS).contains(seconds))?;
    Some(Duration::from_secs_f64(seconds))
}

/// Reads a row's beginning and length; old engines wrote only the end.
pub(super) fn span(row: &Value) -> (Duration, Duration) {
    let end = seconds(&row["t"]).unwrap_or_default();
    let start = seconds(&row["t0"]).unwrap_or(end).min(end);
    (start, end - start)
}

/// Reads OONI's times: `2023-10-15 00:30:52`, with or without a fraction and `+00:00`; all are UTC.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let mut text = text.trim().chars().take(40).collect::<String>().replacen(' ', "T", 1);
    if !text.ends_with('Z') && !text.contains('+') {
        text.push('Z');
    }
    text.parse().ok()
}

/// Reads an endpoint; the addresses that a probe scrubbed read as nothing.
pub(super) fn endpoint(ip: &Value, port: &Value) -> Option<SocketAddr> {
    let ip: IpAddr = text(ip).parse().ok()?;
    let port = port.as_u64().or_else(|| text(port).parse().ok())?;
    Some(SocketAddr::new(ip, u16::try_from(port).ok()?))
}

pub(super) fn socket(value: &Value) -> Option<SocketAddr> {
    text(value).parse().ok()
}

/// Reads the tag that names the redirect hop.
pub(super) fn depth(row: &Value) -> Option<u8> {
    let tags = row["tags"].as_array()?;
    tags.iter().find_map(|tag| text(tag).strip_prefix("depth=")?.parse().ok())
}

pub(super) fn has_tag(row: &Value, wanted: &str) -> bool {
    row["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| text(tag) == wanted))
}

/// Reads the number that links the rows of one connection; 0 links nothing.
pub(super) fn transaction(row: &Value) -> i64 {
    row["transaction_id"].as_i64().unwrap_or(0)
}
