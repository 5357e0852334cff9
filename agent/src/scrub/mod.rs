//! Takes the volunteer out of what was seen: the line's own addresses and subscribers' phone numbers, which some block
//! pages, portals and forged certificates write into titles, headers, redirects and bodies.
//!
//! The module is pure: it is told the addresses, which [`Own`] keeps in memory only. An address is found in all forms of
//! `forms`: text in either order, with any separator, percent-encoded or as an entity, hexadecimal, decimal and
//! base64, at any alignment; of an IPv6 address the first 64 bits are enough, because they name a home. What is found is
//! replaced by [`MARK`]; where a field has to stay an address it becomes the unspecified one. A body is scrubbed before it
//! is hashed: from a hash over a page that differs in nothing but an address, that address could be found by trying all.

mod forms;
mod own;
mod phone;

pub use own::Own;

use crate::net::is_public;
use faultline_model::{Measurement, WideNetwork};
use forms::{Form, Width};
use serde_json::Value;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

/// What stands where something was taken out.
pub const MARK: &str = "[scrubbed]";

/// Fields that hold no foreign text, and must stay as they are: hashes, and a body that was scrubbed before it was
/// deflated, both of which hold digits by chance.
const KEPT: [&str; 11] = [
    "id",
    "check",
    "target",
    "token",
    "why",
    "depth",
    "kind",
    "parent",
    "body_deflated",
    "body_sha256",
    "certificate_sha256",
];

/// Finds what belongs to the volunteer.
#[derive(Clone, Default)]
pub struct Scrubber {
    own: Vec<IpAddr>,
    forms: Vec<Form>,
    /// The forms that can begin with a byte.
    by_first: Vec<Vec<u16>>,
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scrubber([scrubbed])")
    }
}

impl Scrubber {
    /// Makes a scrubber for the line's own addresses. Loopback is nobody's.
    #[must_use]
    pub fn new(own: &[IpAddr]) -> Self {
        let is_own = |address: &&IpAddr| !address.is_loopback() && !address.is_unspecified();
        let own: Vec<IpAddr> = own.iter().filter(is_own).copied().collect();
        let forms: Vec<Form> = own.iter().flat_map(|address| forms::of(*address)).collect();
        let mut by_first = vec![Vec::new(); 256];
        for (index, form) in (0..).zip(&forms) {
            let first = form.text[0];
            by_first[usize::from(first)].push(index);
            if form.ignores_case && first.is_ascii_alphabetic() {
                by_first[usize::from(first ^ 0x20)].push(index);
            }
        }
        Self { own, forms, by_first }
    }

    /// Returns foreign bytes without what belongs to the volunteer.
    #[must_use]
    pub fn scrub_bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let mut found = self.find(bytes);
        found.extend(phone::find(bytes));
        if found.is_empty() {
            return Cow::Borrowed(bytes);
        }
        found.sort_by_key(|range| range.start);
        let mut kept = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for range in found {
            if range.start >= from {
                kept.extend_from_slice(&bytes[from..range.start]);
                kept.extend_from_slice(MARK.as_bytes());
            }
            from = from.max(range.end);
        }
        kept.extend_from_slice(&bytes[from..]);
        Cow::Owned(kept)
    }

    /// Returns foreign text without what belongs to the volunteer.
    #[must_use]
    pub fn scrub_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.scrub_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// Takes the volunteer out of every text of a measurement, whatever kinds of facts it has: what is added to the
    /// vocabulary later is scrubbed too. A measurement that cannot be put together again is not kept at all.
    #[must_use]
    pub fn scrub(&self, measurement: Measurement) -> Option<Measurement> {
        let mut value = serde_json::to_value(&measurement).ok()?;
        let target = measurement.target.as_str();
        let is_changed = self.walk(&mut value, &[target, measurement.target.host()]);
        if is_changed { serde_json::from_value(value).ok() } else { Some(measurement) }
    }

    fn walk(&self, value: &mut Value, kept: &[&str]) -> bool {
        match value {
            Value::String(text) if !kept.contains(&text.as_str()) => match self.scrub_field(text) {
                Some(scrubbed) => {
                    *text = scrubbed;
                    true
                }
                None => false,
            },
            Value::Array(values) => {
                let mut is_changed = false;
                for value in values {
                    is_changed |= self.walk(value, kept);
                }
                is_changed
            }
            Value::Object(fields) => {
                let mut is_changed = false;
                for (_, value) in fields.iter_mut().filter(|(name, _)| !KEPT.contains(&name.as_str())) {
                    is_changed |= self.walk(value, kept);
                }
                is_changed
            }
            _ => false,
        }
    }

    /// An address stays an address: its field can hold nothing else.
    fn scrub_field(&self, text: &str) -> Option<String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return self.is_own(address).then(|| unspecified(address).to_string());
        }
        if let Ok(peer) = text.parse::<SocketAddr>() {
            let scrubbed = || SocketAddr::new(unspecified(peer.ip()), peer.port()).to_string();
            return self.is_own(peer.ip()).then(scrubbed);
        }
        match self.scrub_text(text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(scrubbed) => Some(scrubbed),
        }
    }

    /// Says whether an address is the line's own, or lies in the same /64, or carries one that is.
    #[must_use]
    pub fn is_own(&self, address: IpAddr) -> bool {
        let same = |own: &IpAddr| match (own, address) {
            (IpAddr::V6(own), IpAddr::V6(other)) => own.to_bits() >> 64 == other.to_bits() >> 64,
            (IpAddr::V4(own), IpAddr::V6(other)) => forms::embedded(other).contains(own),
            (own, other) => *own == other,
        };
        self.own.iter().any(same)
    }

    /// Says whether an address lies in a network in which one of the line's own addresses of its family lies, or whether that
    /// cannot be told because none is known.
    #[must_use]
    pub fn is_beside(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let same_family = |own: &&IpAddr| own.is_ipv4() == address.is_ipv4() && is_public(**own);
        let mut known = self.own.iter().filter(same_family).peekable();
        known.peek().is_none() || known.any(|own| WideNetwork::of(*own) == WideNetwork::of(address))
    }

    fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if self.forms.is_empty() {
            return found;
        }
        let mut at = 0;
        while at < bytes.len() {
            let candidates = &self.by_first[usize::from(bytes[at])];
            let matching = candidates.iter().map(|index| &self.forms[usize::from(*index)]);
            let ends = matching.filter(|form| form.is_at(bytes, at)).map(|form| widen(bytes, at, form));
            match ends.max_by_key(|range| range.end) {
                Some(range) => {
                    at = range.end;
                    found.push(range);
                }
                None => at += 1,
            }
        }
        if self.own.iter().any(IpAddr::is_ipv6) || bytes.contains(&b':') {
            found.extend(self.find_v6(bytes));
        }
        found
    }

    /// IPv6 has many spellings; each run that could be one is read.
    fn find_v6(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        let mut found = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let length = bytes[at..].iter().take_while(|byte| is_part(byte)).count();
            let run = &bytes[at..at + length];
            if run.iter().filter(|byte| **byte == b':').count() >= 2 {
                let text = String::from_utf8_lossy(run);
                let text = text.trim_end_matches('.');
                let read =
                    [text, text.strip_suffix(':').unwrap_or(text)].into_iter().find_map(|t| t.parse().ok());
                if read.is_some_and(|address: Ipv6Addr| self.is_own(address.into())) {
                    found.push(at..at + length);
                }
            }
            at += length.max(1);
        }
        found
    }
}

/// What belongs to the same word as the form goes with it.
fn widen(bytes: &[u8], at: usize, form: &Form) -> Range<usize> {
    let belongs: fn(&u8) -> bool = match form.width {
        Width::Itself => return at..at + form.text.len(),
        Width::Hex => |byte| byte.is_ascii_hexdigit(),
        Width::Base64 => |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'_' | b'-' | b'/'),
        Width::Colons => |byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.' | b'%' | b'-'),
    };
    let end = at + form.text.len();
    let before = bytes[..at].iter().rev().take_while(|byte| belongs(byte)).count();
    let end = end + bytes[end..].iter().take_while(|byte| belongs(byte)).count();
    let is_padding = |byte: &&u8| form.width == Width::Base64 && **byte == b'=';
    let padding = bytes[end..].iter().take_while(is_padding).count();
    at - before..end + padding
}

const fn unspecified(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

#[cfg(test)]
mod tests;
