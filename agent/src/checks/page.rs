//! What is kept of a page: a few bounded facts, never the page.

use super::body;
use crate::net::http::Reply;
use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use faultline_model::{Depth, HttpFact};
use http::HeaderName;
use http::header::{LOCATION, SERVER};
use url::Url;

/// What is read of a body. In the clear it is the same for each depth, so that hashes of cut pages can be compared; and it
/// is below the 8 KB that are read at once with a head of ordinary size: with one byte more, a server that sends long TLS
/// records makes a page twice as dear.
const BODY_BYTES: usize = 6 * 1024;
/// What a light check reads of a body over TLS, where nobody compares bodies: the title stands at the beginning.
const LIGHT_BYTES: usize = 3 * 1024;
const MAX_TITLE_CHARS: usize = 200;
const MAX_TITLE_BYTES: usize = 800;
const MAX_SERVER_CHARS: usize = 100;
const MAX_SERVER_BYTES: usize = 256;
pub(super) const MAX_LOCATION_CHARS: usize = 512;
pub(super) const MAX_LOCATION_BYTES: usize = 2048;

/// Returns how much of a page is read.
pub(super) fn body_limit(depth: Depth, url: &Url) -> usize {
    if depth == Depth::Light && url.scheme() == "https" { LIGHT_BYTES } else { BODY_BYTES }
}

/// Reads a reply's facts.
pub(super) fn fact(url: &Url, reply: &Reply) -> HttpFact {
    let sha256 = HEXLOWER.encode(digest::digest(&digest::SHA256, &reply.body).as_ref());
    HttpFact {
        url: url.to_string(),
        status: reply.status,
        body_bytes: reply.body_bytes,
        is_truncated: reply.is_truncated,
        body_sha256: if reply.status == 0 { String::new() } else { sha256 },
        title: bounded(&title(&reply.body), MAX_TITLE_CHARS, MAX_TITLE_BYTES),
        location: bounded(&header(reply, &LOCATION), MAX_LOCATION_CHARS, MAX_LOCATION_BYTES),
        server: bounded(&header(reply, &SERVER), MAX_SERVER_CHARS, MAX_SERVER_BYTES),
        header_names: body::header_names(reply),
        headers: body::telling_headers(reply),
        version: reply.version.to_owned(),
        ..HttpFact::default()
    }
}

/// Reads a reply's facts in a full check, which also keeps a page that looks wrong.
pub(super) fn thorough_fact(url: &Url, reply: &Reply) -> HttpFact {
    let fact = fact(url, reply);
    let is_kept = body::looks_wrong(url, &fact);
    HttpFact { body_deflated: if is_kept { body::deflated(&reply.body) } else { vec![] }, ..fact }
}

/// Returns where a redirect points, whole.
pub(super) fn location(reply: &Reply) -> Option<String> {
    let is_redirect = matches!(reply.status, 301 | 302 | 303 | 307 | 308);
    Some(header(reply, &LOCATION)).filter(|text| is_redirect && !text.is_empty())
}

fn header(reply: &Reply, name: &HeaderName) -> String {
    reply
        .headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default()
}

/// Cuts foreign text to its bounds and drops what could disturb a terminal or a log.
pub(super) fn bounded(text: &str, max_chars: usize, max_bytes: usize) -> String {
    let mut kept = String::new();
    for char in text.chars().filter(|char| !char.is_control()).take(max_chars) {
        if kept.len() + char.len_utf8() > max_bytes {
            break;
        }
        kept.push(char);
    }
    kept
}

/// Finds the text of the first `title` element, white space collapsed.
fn title(body: &[u8]) -> String {
    let Some(open) = find(body, b"<title") else { return String::new() };
    let rest = &body[open..];
    let Some(begin) = rest.iter().position(|byte| *byte == b'>') else { return String::new() };
    let rest = &rest[begin + 1..];
    let text = &rest[..find(rest, b"</title").unwrap_or(rest.len())];
    String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window.eq_ignore_ascii_case(needle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn reply(status: u16, body: &[u8]) -> Reply {
        Reply { status, body_bytes: body.len() as u64, body: body.to_vec(), ..Reply::default() }
    }

    fn url() -> Url {
        "https://x.com/".parse().expect("a URL")
    }

    #[test]
    fn a_title_is_found_in_any_case_with_attributes_and_without_its_end() {
        let title = |body: &str| fact(&url(), &reply(200, body.as_bytes())).title;
        assert_eq!(title("<html><TITLE lang=en>\n Access\t denied </TiTle>x"), "Access denied");
        assert_eq!(title("<title>cut off"), "cut off");
        assert_eq!(title("<p>none"), "");
        assert_eq!(title("<title"), "");
        assert_eq!(title(&format!("<title>{}", "é".repeat(900))).chars().count(), 200);
    }

    #[test]
    fn binary_headers_are_bounded_and_printable() {
        let mut reply = reply(302, b"");
        let odd = HeaderValue::from_bytes(&[0xff; 2000]).expect("a header");
        reply.headers.insert(SERVER, odd.clone());
        reply.headers.insert(LOCATION, odd);
        let fact = fact(&url(), &reply);
        assert!(fact.server.len() <= 256 && fact.location.len() <= 2048);
        assert_eq!(location(&reply).map(|text| text.chars().count()), Some(2000));
        assert_eq!(bounded("a\u{1b}[31m\nb", 10, 100), "a[31mb");
    }

    proptest! {
        #[test]
        fn no_page_breaks_the_bounds(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let title = fact(&url(), &reply(200, &[b"<title>", &body[..]].concat())).title;
            prop_assert!(title.len() <= 800 && title.chars().count() <= 200);
        }
    }
}
