//! A page as the text that patterns are looked for in.

use faultline_model::HttpFact;
use flate2::read::DeflateDecoder;
use std::io::Read;

/// More of a body is not looked at: block pages are short, and what they say stands at the top.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// An answer's head and body as text.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    body_at: usize,
    headers: Vec<(String, String)>,
}

impl Page {
    /// Reads what was recorded of a page. Where no body was recorded its title stands for it.
    pub(crate) fn of(fact: &HttpFact) -> Self {
        let recorded = fact.headers.iter().map(|header| (header.name.clone(), header.value.clone()));
        let mut headers: Vec<(String, String)> = recorded.collect();
        for (name, value) in [("location", &fact.location), ("server", &fact.server)] {
            if !value.is_empty() && !headers.iter().any(|(known, _)| known == name) {
                headers.push((name.to_owned(), value.clone()));
            }
        }
        let body = inflate(&fact.body_deflated);
        if !body.is_empty() {
            return Self::new(headers, &body);
        }
        let body =
            if fact.title.is_empty() { String::new() } else { format!("<title>{}</title>", fact.title) };
        Self::new(headers, &body)
    }

    pub(crate) fn new(headers: Vec<(String, String)>, body: &str) -> Self {
        let mut text = String::new();
        for (name, value) in &headers {
            // As answers are written: `Server: nginx`.
            let mut written = name.clone();
            if let Some(first) = written.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            text.extend([written.as_str(), ": ", value, "\n"]);
        }
        text.push('\n');
        let body_at = text.len();
        text.push_str(&body[..body.floor_char_boundary(MAX_BODY_BYTES)]);
        Self { text, body_at, headers }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn body_at(&self) -> usize {
        self.body_at
    }

    pub(super) fn body(&self) -> &str {
        &self.text[self.body_at..]
    }

    pub(super) fn header<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }
}

/// Returns a recorded body as text, as much of it as is looked at; a damaged one as far as it reads.
fn inflate(deflated: &[u8]) -> String {
    let mut body = Vec::new();
    // What was read before the damage is kept in `body`.
    let _ = DeflateDecoder::new(deflated).take(MAX_BODY_BYTES as u64).read_to_end(&mut body);
    String::from_utf8_lossy(&body).into_owned()
}
