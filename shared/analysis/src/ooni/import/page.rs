//! A request and its answer as an HTTP fact.

use super::value::{self, is_yes, text};
use data_encoding::BASE64;
use faultline_model::{Header, HttpFact};
use flate2::{Compression, write::DeflateEncoder};
use serde_json::Value;
use std::borrow::Cow;
use std::io::Write;

const MAX_TITLE_CHARS: usize = 200;
const MAX_LOCATION_CHARS: usize = 512;
const MAX_SERVER_CHARS: usize = 100;
/// As many as an agent records; names alone, as the values may say who asked.
const MAX_HEADERS: usize = 64;
/// Headers whose values tell block pages apart and name nobody.
const NAMED_HEADERS: [&str; 4] = ["content-type", "via", "x-app-url", "x-squid-error"];
/// How much of a body is kept: block pages are short.
const BODY_WITHIN: usize = 24 * 1024;
/// What an agent may record, deflated.
const MAX_DEFLATED: usize = 8 * 1024;
/// Titles stand at the top.
const TITLE_WITHIN: usize = 128 * 1024;

/// Reads one row of `requests`.
pub(super) fn fact(row: &Value) -> HttpFact {
    let response = &row["response"];
    let body = bytes(&response["body"]);
    let status = response["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    HttpFact {
        url: value::short(text(&row["request"]["url"]), MAX_LOCATION_CHARS),
        status: status.filter(|code| (100..1000).contains(code)).unwrap_or(0),
        body_bytes: body.len() as u64,
        is_truncated: is_yes(&response["body_is_truncated"]),
        title: title(&body),
        location: value::short(&header(response, "location"), MAX_LOCATION_CHARS),
        server: value::short(&header(response, "server"), MAX_SERVER_CHARS),
        header_names: header_names(response),
        headers: named_headers(response),
        body_deflated: deflate(&body),
        ..HttpFact::default()
    }
}

/// Reads what OONI writes as a text or, where it is none, as base64; what is neither reads as nothing.
fn bytes(value: &Value) -> Cow<'_, [u8]> {
    match value {
        Value::String(text) => Cow::Borrowed(text.as_bytes()),
        Value::Object(_) => Cow::Owned(BASE64.decode(text(&value["data"]).as_bytes()).unwrap_or_default()),
        _ => Cow::Borrowed(&[]),
    }
}

/// Returns the first header of a name, whatever its case.
pub(super) fn header(response: &Value, wanted: &str) -> String {
    let headers = response["headers"].as_object();
    let single = headers.into_iter().flatten().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let listed = || {
        let list = response["headers_list"].as_array()?;
        let is_wanted = |pair: &&Value| bytes(&pair[0]).eq_ignore_ascii_case(wanted.as_bytes());
        list.iter().find(is_wanted).map(|pair| &pair[1])
    };
    let value = single.map(|(_, value)| value).or_else(listed);
    value.map(|value| String::from_utf8_lossy(&bytes(value)).into_owned()).unwrap_or_default()
}

pub(super) fn header_names(response: &Value) -> Vec<String> {
    let name = |name: &str| value::short(name, 64).to_ascii_lowercase();
    let single = response["headers"].as_object().into_iter().flatten().map(|(key, _)| name(key));
    let listed = response["headers_list"].as_array().map_or(&[][..], Vec::as_slice).iter();
    let listed = listed.map(|pair| name(&String::from_utf8_lossy(&bytes(&pair[0]))));
    let mut names: Vec<String> = single.chain(listed).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(MAX_HEADERS);
    names
}

fn named_headers(response: &Value) -> Vec<Header> {
    let found = NAMED_HEADERS.iter().map(|name| (*name, value::short(&header(response, name), 256)));
    let found = found.filter(|(_, value)| !value.is_empty());
    found.map(|(name, value)| Header { name: name.to_owned(), value }).collect()
}

/// Deflates the beginning of a body, cut so that it fits what an agent may record.
fn deflate(body: &[u8]) -> Vec<u8> {
    let mut kept = body.len().min(BODY_WITHIN);
    while kept > 0 {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        let deflated = encoder.write_all(&body[..kept]).and_then(|()| encoder.finish()).unwrap_or_default();
        if deflated.len() <= MAX_DEFLATED {
            return deflated;
        }
        // Random bytes do not shrink at all, so that this ends soon.
        kept = kept.min(MAX_DEFLATED * 2) / 2;
    }
    Vec::new()
}

fn title(body: &[u8]) -> String {
    let top = &body[..body.len().min(TITLE_WITHIN)];
    let lower = top.to_ascii_lowercase();
    let find = |from: usize, part: &[u8]| {
        lower[from..].windows(part.len()).position(|window| window == part).map(|at| from + at)
    };
    let inner = find(0, b"<title").and_then(|open| {
        let start = find(open, b">")? + 1;
        Some(&top[start..find(start, b"</title")?])
    });
    title_of(&String::from_utf8_lossy(inner.unwrap_or_default()))
}

/// Cuts a title as agents do.
pub(super) fn title_of(text: &str) -> String {
    value::short(&text.split_whitespace().collect::<Vec<_>>().join(" "), MAX_TITLE_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_are_read_as_text_and_as_base64_and_bad_ones_as_nothing() {
        let page = |body: Value| fact(&json!({"response": {"code": 200, "body": body}}));
        let text = page(json!("<HTML><TITLE lang=en> Two\n words </TITLE>"));
        assert_eq!((text.title.as_str(), text.body_bytes), ("Two words", 41));
        let coded = page(json!({"format": "base64", "data": "PHRpdGxlPng8L3RpdGxlPg=="}));
        assert_eq!((coded.title.as_str(), coded.body_bytes), ("x", 16));
        let bad = page(json!({"format": "base64", "data": "PHRpdGxlPng8L3RpdGxlPg="}));
        assert_eq!((bad.title.as_str(), bad.body_bytes), ("", 0));
        assert_eq!(page(json!([1])).status, 200);
    }

    #[test]
    fn headers_are_found_in_either_form_whatever_their_case() {
        let row = json!({"response": {"headers": {"LOCATION": "/a"}, "headers_list": [["Server", {"format": "base64", "data": "eA=="}]]}});
        let fact = fact(&row);
        assert_eq!((fact.location.as_str(), fact.server.as_str()), ("/a", "x"));
    }
}
