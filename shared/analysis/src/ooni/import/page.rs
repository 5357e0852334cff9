//! A request and its answer as an HTTP fact.

use super::value::{self, is_yes, text};
use data_encoding::BASE64;
use faultline_model::HttpFact;
use serde_json::Value;
use std::borrow::Cow;

const MAX_TITLE_CHARS: usize = 200;
const MAX_LOCATION_CHARS: usize = 512;
const MAX_SERVER_CHARS: usize = 100;
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
    let words = String::from_utf8_lossy(inner.unwrap_or_default()).into_owned();
    value::short(&words.split_whitespace().collect::<Vec<_>>().join(" "), MAX_TITLE_CHARS)
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
