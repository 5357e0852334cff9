//! Fingerprints: texts and addresses by which block pages, forged answers and harmless pages are known.
//!
//! A few are built in; the rest load at run time from files in the formats of OONI (`fingerprints_dns.csv`,
//! `fingerprints_http.csv`) and of Censored Planet (`blockpage_signatures.json`, `false_positive_signatures.json`).
//! Only national and provider scopes confirm. A false-positive pattern vetoes whatever else the page looks like.
//! Everything else (products, institutions, vague words) is read and confirms nothing: the same words stand on
//! pages that no censor wrote.
//!
//! Files are foreign bytes. Their patterns are matched in linear time, by one automaton for all plain texts and by
//! bounded regular expressions; a pattern that is bad, expensive or matches everything is counted and left out.

mod built_in;
mod load;
mod page;

#[cfg(test)]
mod tests;

pub use load::{Loaded, MAX_FILE_BYTES, MAX_PATTERNS, RefusedPattern};
pub(crate) use page::Page;

use aho_corasick::AhoCorasick;
use faultline_model::HttpFact;
use regex::Regex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

/// What a match says, by who is known to show such a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// A whole country's block page or forged answer: confirms.
    National,
    /// A provider's block page or forged answer: confirms.
    Provider,
    /// A filtering product, wherever it stands: confirms nothing.
    Product,
    /// A school's, a company's or another institution's own filter: confirms nothing.
    Institution,
    /// Words that block pages share with others: confirms nothing.
    Vague,
    /// A page that looks like a block page and is none: vetoes.
    FalsePositive,
    /// A scope that this program does not know: confirms nothing.
    Other,
}

impl Scope {
    /// Says whether a match confirms interference.
    #[must_use]
    pub const fn confirms(self) -> bool {
        matches!(self, Self::National | Self::Provider)
    }
}

/// A set of fingerprints, cheap to clone.
#[derive(Clone, Debug)]
pub struct Fingerprints(Arc<Set>);

#[derive(Debug)]
struct Set {
    /// Addresses to which forged answers point.
    addresses: BTreeMap<IpAddr, Entry>,
    /// Names through which forged answers lead.
    aliases: BTreeMap<String, Entry>,
    /// Plain texts that lie anywhere in a body or an answer: one automaton, and what each of its texts means.
    texts: AhoCorasick,
    text_entries: Vec<(Place, Entry)>,
    /// Patterns that are tried one by one.
    patterns: Vec<(Place, Pattern, Entry)>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    scope: Scope,
}

/// Where a pattern is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Body,
    /// Head and body together, as Censored Planet keeps answers.
    Anywhere,
    /// The value of a header, by its name in lower case.
    Header(String),
}

#[derive(Clone, Debug)]
enum Pattern {
    Full(String),
    Prefix(String),
    Contains(String),
    Regex(Regex),
}

impl Pattern {
    fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Full(whole) => text == whole,
            Self::Prefix(start) => text.starts_with(start.as_str()),
            Self::Contains(part) => text.contains(part.as_str()),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// What a page is known as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownPage<'a> {
    /// A block page, by the fingerprint's name.
    Blocked(&'a str),
    /// A page that is known to be harmless, by the fingerprint's name.
    Harmless(&'a str),
}

static BUILT_IN: LazyLock<Fingerprints> = LazyLock::new(|| load::Gathering::built_in().finish().0);

impl Default for Fingerprints {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Fingerprints {
    /// Returns the built-in fingerprints.
    #[must_use]
    pub fn built_in() -> Self {
        BUILT_IN.clone()
    }

    /// Returns the one set of built-in fingerprints that everybody shares.
    pub(crate) fn shared() -> &'static Self {
        &BUILT_IN
    }

    /// Returns the built-in fingerprints and those of files, and what became of each file. A file is told apart by the
    /// end of its name, such as `fingerprints_dns.csv`; one of another name is no fingerprint file and left out.
    #[must_use]
    pub fn with_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> (Self, Vec<Loaded>) {
        let mut gathering = load::Gathering::built_in();
        files.into_iter().for_each(|(name, bytes)| gathering.add_file(name, bytes));
        gathering.finish()
    }

    /// Says whether a file of this name holds fingerprints.
    #[must_use]
    pub fn is_file(name: &str) -> bool {
        load::Format::of(name).is_some()
    }

    /// Returns the name of the fingerprint that knows an address as one to which forged answers point.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> Option<&str> {
        self.0.addresses.get(&address).filter(|entry| entry.scope.confirms()).map(|entry| entry.name.as_str())
    }

    /// Returns the name of the fingerprint that knows an alias as one through which forged answers lead.
    #[must_use]
    pub fn alias(&self, name: &str) -> Option<&str> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.0.aliases.get(&name).filter(|entry| entry.scope.confirms()).map(|entry| entry.name.as_str())
    }

    /// Says whether an address belongs to a filter that the subscriber ordered.
    pub(crate) fn is_subscriber_filter(address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(v4) if built_in::SUBSCRIBER_FILTERS.contains(&v4))
    }

    /// Says what a page is known as, if it is: a veto wins over whatever confirms.
    #[must_use]
    pub fn page(&self, fact: &HttpFact) -> Option<KnownPage<'_>> {
        let page = Page::of(fact);
        let mut known = None;
        for entry in self.matches(&page) {
            if entry.scope == Scope::FalsePositive {
                return Some(KnownPage::Harmless(&entry.name));
            }
            if entry.scope.confirms() && known.is_none() {
                known = Some(KnownPage::Blocked(&entry.name));
            }
        }
        known
    }

    fn matches<'a, 'p>(&'a self, page: &'p Page) -> impl Iterator<Item = &'a Entry> + use<'a, 'p> {
        let set = &*self.0;
        let texts = set.texts.find_overlapping_iter(page.text()).filter_map(|found| {
            let (place, entry) = &set.text_entries[found.pattern().as_usize()];
            (*place == Place::Anywhere || found.start() >= page.body_at()).then_some(entry)
        });
        let patterns = set.patterns.iter().filter(|(place, pattern, _)| match place {
            Place::Anywhere => pattern.is_in(page.text()),
            Place::Body => pattern.is_in(page.body()),
            Place::Header(name) => page.header(name).any(|value| pattern.is_in(value)),
        });
        texts.chain(patterns.map(|(_, _, entry)| entry))
    }
}
