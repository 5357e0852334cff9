//! What is kept of an answer's head and of a page that looks wrong, bounded and without what could name somebody.

use super::page::bounded;
use crate::net::http::Reply;
use faultline_model::{Header, HttpFact};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::collections::BTreeSet;
use std::io::Write;
use url::Url;

const MAX_HEADER_NAMES: usize = 64;
const MAX_HEADER_NAME_BYTES: usize = 64;
const MAX_VALUE_CHARS: usize = 200;
const MAX_VALUE_BYTES: usize = 256;
const MAX_VALUES_BYTES: usize = 1024;
/// What a page may cost in an upload.
const MAX_DEFLATED_BYTES: usize = 4 * 1024;

/// Headers that describe the server, a proxy or the page. Cookies, traces of requests and names of nearby machines, all
/// of which can lead to one visitor, are not among them.
const TELLING: [&str; 14] = [
    "alt-svc",
    "cache-control",
    "cf-mitigated",
    "content-encoding",
    "content-length",
    "content-type",
    "proxy-agent",
    "retry-after",
    "server",
    "strict-transport-security",
    "transfer-encoding",
    "via",
    "x-powered-by",
    "x-squid-error",
];

/// Returns the names of an answer's headers, sorted, each once.
pub(super) fn header_names(reply: &Reply) -> Vec<String> {
    let names: BTreeSet<&str> = reply.headers.keys().map(http::HeaderName::as_str).collect();
    let short = names.into_iter().filter(|name| name.len() <= MAX_HEADER_NAME_BYTES);
    short.take(MAX_HEADER_NAMES).map(str::to_owned).collect()
}

/// Returns the telling headers with their values, as many as there is room for.
pub(super) fn telling_headers(reply: &Reply) -> Vec<Header> {
    let mut room = MAX_VALUES_BYTES;
    let mut headers = Vec::new();
    for name in TELLING {
        let Some(value) = reply.headers.get(name) else { continue };
        let value =
            bounded(&String::from_utf8_lossy(value.as_bytes()), MAX_VALUE_CHARS, MAX_VALUE_BYTES.min(room));
        room -= value.len();
        headers.push(Header { name: name.to_owned(), value });
    }
    headers
}

/// Says whether a page is worth keeping: it is no ordinary answer, anybody on the way could have written it, or
/// it says neither what it is nor who served it.
pub(super) fn looks_wrong(url: &Url, fact: &HttpFact) -> bool {
    let is_ordinary = (200..400).contains(&fact.status);
    let is_anonymous = fact.title.is_empty() && fact.server.is_empty();
    fact.status != 0 && (!is_ordinary || url.scheme() == "http" || is_anonymous)
}

/// Deflates the beginning of a body, as much as there is room for.
pub(super) fn deflated(body: &[u8]) -> Vec<u8> {
    let mut kept = body;
    while !kept.is_empty() {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        let written = encoder.write_all(kept).and_then(|()| encoder.finish());
        match written {
            Ok(bytes) if bytes.len() <= MAX_DEFLATED_BYTES => return bytes,
            // A page of noise grows when it is deflated; a shorter one fits.
            Ok(_) => kept = &kept[..kept.len() / 2],
            Err(_) => break,
        }
    }
    vec![]
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::DeflateDecoder;
    use http::HeaderValue;
    use proptest::prelude::*;
    use std::io::Read;

    fn inflated(bytes: &[u8]) -> Vec<u8> {
        let mut body = vec![];
        if !bytes.is_empty() {
            DeflateDecoder::new(bytes).read_to_end(&mut body).expect("deflated");
        }
        body
    }

    #[test]
    fn header_names_are_all_kept_and_values_only_of_telling_ones() {
        let mut reply = Reply::default();
        for (name, value) in
            [("Set-Cookie", "id=7"), ("Via", "1.1 proxy (squid)"), ("X-Client-IP", "39.32.7.9")]
        {
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
            reply.headers.append(name, HeaderValue::from_static(value));
        }
        reply.headers.append("via", HeaderValue::from_static("again"));
        assert_eq!(header_names(&reply), ["set-cookie", "via", "x-client-ip"]);
        let via = Header { name: "via".into(), value: "1.1 proxy (squid)".into() };
        assert_eq!(telling_headers(&reply), [via]);
    }

    #[test]
    fn a_hundred_headers_and_long_values_are_bounded() {
        let mut reply = Reply::default();
        for number in 0..100 {
            let name = http::HeaderName::from_bytes(format!("x-{number}").as_bytes()).expect("a name");
            reply.headers.insert(name, HeaderValue::from_static("x"));
        }
        for name in TELLING {
            reply.headers.insert(name, HeaderValue::from_bytes(&[0xe9; 4000]).expect("a value"));
        }
        assert_eq!(header_names(&reply).len(), MAX_HEADER_NAMES);
        let headers = telling_headers(&reply);
        assert!(headers.iter().map(|header| header.value.len()).sum::<usize>() <= MAX_VALUES_BYTES);
        assert!(headers.iter().all(|header| header.value.len() <= MAX_VALUE_BYTES));
    }

    #[test]
    fn what_looks_wrong_is_told_from_what_does_not() {
        let url = |text: &str| text.parse::<Url>().expect("a URL");
        let good = HttpFact { status: 200, title: "X".into(), ..HttpFact::default() };
        assert!(!looks_wrong(&url("https://x.com/"), &good));
        assert!(looks_wrong(&url("http://x.com/"), &good), "anybody could have written it");
        assert!(looks_wrong(&url("https://x.com/"), &HttpFact { status: 403, ..good.clone() }));
        assert!(looks_wrong(&url("https://x.com/"), &HttpFact { title: String::new(), ..good.clone() }));
        assert!(!looks_wrong(&url("http://x.com/"), &HttpFact { status: 0, ..good }), "nothing came");
    }

    #[test]
    fn noise_is_cut_and_text_is_kept_whole() {
        let noise: Vec<u8> = (0_u32..16_384).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let bytes = deflated(&noise);
        assert!(!bytes.is_empty() && bytes.len() <= MAX_DEFLATED_BYTES);
        let text = b"<p>blocked</p>".repeat(1000);
        assert_eq!(inflated(&deflated(&text)), text);
        assert!(deflated(b"").is_empty());
    }

    proptest! {
        #[test]
        fn what_is_kept_is_the_beginning(body in proptest::collection::vec(any::<u8>(), 0..20_000)) {
            // Nothing deflates to nothing, which is no stream that could be read.
            let bytes = deflated(&body);
            prop_assert!(bytes.len() <= MAX_DEFLATED_BYTES);
            prop_assert!(bytes.is_empty() == body.is_empty() && body.starts_with(&inflated(&bytes)));
        }
    }
}
