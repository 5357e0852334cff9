//! Fingerprint files, read with bounds.

use super::{Entry, Fingerprints, Pattern, Place, Scope, Set, built_in};
use aho_corasick::AhoCorasick;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

/// The largest file that is read; OONI's largest has 300 KB.
pub const MAX_FILE_BYTES: usize = 16 << 20;
/// The most patterns that one file may hold.
pub const MAX_PATTERNS: usize = 20_000;
/// Longer patterns are pages, not fingerprints.
const MAX_PATTERN_BYTES: usize = 2_000;
/// Shorter texts are in every page.
const MIN_TEXT_CHARS: usize = 4;
/// What one compiled expression may occupy, in bytes; also the most that its cache grows to.
const MAX_REGEX_BYTES: usize = 256 << 10;
/// All expressions together, so that a long file of dear ones cannot fill the memory.
const MAX_REGEXES: usize = 500;
/// Refusals that are kept with their reason.
const MAX_TOLD: usize = 20;

/// What became of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Loaded {
    /// The file's name.
    pub file: String,
    /// Patterns that are in use.
    pub patterns: u64,
    /// Patterns that were left out.
    pub refused: u64,
    /// The first of those, with the reason.
    pub reasons: Vec<RefusedPattern>,
}

/// A pattern that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedPattern {
    /// The fingerprint's name, or the line where it has none.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// The formats, told apart by the end of a file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OoniDns,
    OoniHttp,
    BlockPages,
    FalsePositives,
}

impl Format {
    pub(super) fn of(name: &str) -> Option<Self> {
        let known = [
            ("fingerprints_dns.csv", Self::OoniDns),
            ("fingerprints_http.csv", Self::OoniHttp),
            ("blockpage_signatures.json", Self::BlockPages),
            ("false_positive_signatures.json", Self::FalsePositives),
        ];
        known.into_iter().find(|(end, _)| name.ends_with(end)).map(|(_, format)| format)
    }
}

/// A row of OONI's tables; the columns that say nothing here are left out.
#[derive(Debug, Deserialize)]
struct OoniRow {
    name: String,
    scope: String,
    location_found: String,
    pattern_type: String,
    pattern: String,
}

/// A line of Censored Planet's files.
#[derive(Debug, Deserialize)]
struct PlanetRow {
    fingerprint: String,
    pattern: String,
}

/// Fingerprints on their way into a set.
#[derive(Clone, Default)]
pub(super) struct Gathering {
    addresses: BTreeMap<IpAddr, Entry>,
    aliases: BTreeMap<String, Entry>,
    texts: Vec<String>,
    text_entries: Vec<(Place, Entry)>,
    patterns: Vec<(Place, Pattern, Entry)>,
    regexes: usize,
    loaded: Vec<Loaded>,
}

impl Gathering {
    /// Returns those that need no file; their expressions are compiled once.
    pub(super) fn built_in() -> Self {
        static BUILT_IN: LazyLock<Gathering> = LazyLock::new(Gathering::compile_built_in);
        BUILT_IN.clone()
    }

    fn compile_built_in() -> Self {
        let mut all = Self::default();
        let entry = |name: &str| Entry { name: format!("faultline.{name}"), scope: Scope::Provider };
        for (name, start) in built_in::BLOCK_LOCATIONS {
            let place = Place::Header("location".to_owned());
            all.patterns.push((place, Pattern::Prefix(start.to_owned()), entry(name)));
        }
        for (name, pattern) in built_in::BLOCK_TITLES {
            let pattern = compile(pattern).expect("the built-in patterns compile");
            all.patterns.push((Place::Body, Pattern::Regex(pattern), entry(name)));
        }
        all
    }

    pub(super) fn add_file(&mut self, name: &str, bytes: &[u8]) {
        let Some(format) = Format::of(name) else { return };
        self.loaded.push(Loaded { file: name.to_owned(), ..Loaded::default() });
        if bytes.len() > MAX_FILE_BYTES {
            self.note("the file", Err(format!("larger than {} MB", MAX_FILE_BYTES >> 20)));
            return;
        }
        match format {
            Format::OoniDns | Format::OoniHttp => self.add_ooni(bytes),
            Format::BlockPages => self.add_planet(bytes, scope_of_planet),
            Format::FalsePositives => self.add_planet(bytes, |_| Scope::FalsePositive),
        }
    }

    pub(super) fn finish(self) -> (Fingerprints, Vec<Loaded>) {
        let mut loaded = self.loaded;
        let (mut texts, mut text_entries) = (self.texts, self.text_entries);
        let automaton = AhoCorasick::new(&texts).or_else(|error| {
            // Only beyond two thousand million states; without the texts the rest still works.
            if let Some(last) = loaded.last_mut() {
                last.refused += texts.len() as u64;
                last.reasons.push(RefusedPattern { name: "all texts".into(), reason: error.to_string() });
            }
            texts.clear();
            text_entries.clear();
            AhoCorasick::new(&texts)
        });
        let set = Set {
            addresses: self.addresses,
            aliases: self.aliases,
            texts: automaton.expect("an automaton of nothing can be built"),
            text_entries,
            patterns: self.patterns,
        };
        (Fingerprints(Arc::new(set)), loaded)
    }

    fn add_ooni(&mut self, bytes: &[u8]) {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        for (at, row) in reader.deserialize::<OoniRow>().take(MAX_PATTERNS).enumerate() {
            match row {
                Ok(row) => {
                    let outcome = self.add_ooni_row(&row);
                    self.note(&row.name, outcome);
                }
                Err(error) => self.note(&format!("row {}", at + 1), Err(short(&error))),
            }
        }
    }

    fn add_ooni_row(&mut self, row: &OoniRow) -> Result<(), String> {
        let entry = Entry { name: printable(&row.name), scope: scope_of_ooni(&row.scope) };
        if row.location_found == "dns" {
            return self.add_answer(&row.pattern, entry);
        }
        let place = match row.location_found.as_str() {
            "body" => Place::Body,
            other => match other.strip_prefix("header.") {
                Some(name) => Place::Header(name.to_ascii_lowercase()),
                None => return Err("an unknown place".to_owned()),
            },
        };
        check_length(&row.pattern)?;
        let pattern = match row.pattern_type.as_str() {
            "full" => Pattern::Full(row.pattern.clone()),
            "prefix" => Pattern::Prefix(row.pattern.clone()),
            "contains" => Pattern::Contains(row.pattern.clone()),
            "regexp" => Pattern::Regex(self.compile(&row.pattern)?),
            _ => return Err("an unknown kind of pattern".to_owned()),
        };
        self.add(place, pattern, entry);
        Ok(())
    }

    /// Adds Censored Planet's lines; every pattern is a regular expression over the whole answer.
    fn add_planet(&mut self, bytes: &[u8], scope: fn(&str) -> Scope) {
        let lines = bytes.split(|byte| *byte == b'\n').enumerate();
        for (at, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()).take(MAX_PATTERNS) {
            match serde_json::from_slice::<PlanetRow>(line) {
                Ok(row) => {
                    let outcome = self.add_planet_row(&row, scope(&row.fingerprint));
                    self.note(&row.fingerprint, outcome);
                }
                Err(error) => self.note(&format!("line {}", at + 1), Err(short(&error))),
            }
        }
    }

    fn add_planet_row(&mut self, row: &PlanetRow, scope: Scope) -> Result<(), String> {
        check_length(&row.pattern)?;
        let pattern = match literal(&row.pattern) {
            Some(text) => Pattern::Contains(text),
            None => Pattern::Regex(self.compile(&row.pattern)?),
        };
        self.add(Place::Anywhere, pattern, Entry { name: printable(&row.fingerprint), scope });
        Ok(())
    }

    /// Adds an answer: an address, or an alias that it leads through. The scope that confirms wins where two rows name
    /// one address.
    fn add_answer(&mut self, pattern: &str, entry: Entry) -> Result<(), String> {
        let pattern = pattern.trim().trim_end_matches('.').to_ascii_lowercase();
        if let Ok(address) = pattern.parse::<IpAddr>() {
            let is_confirmed = self.addresses.get(&address).is_some_and(|known| known.scope.confirms());
            if !is_confirmed {
                self.addresses.insert(address, entry);
            }
            return Ok(());
        }
        let is_name = pattern.contains('.')
            && pattern.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        if !is_name {
            return Err("neither an address nor a name".to_owned());
        }
        self.aliases.insert(pattern, entry);
        Ok(())
    }

    fn add(&mut self, place: Place, pattern: Pattern, entry: Entry) {
        match pattern {
            Pattern::Contains(text) if !matches!(place, Place::Header(_)) => {
                self.texts.push(text);
                self.text_entries.push((place, entry));
            }
            pattern => self.patterns.push((place, pattern, entry)),
        }
    }

    fn compile(&mut self, pattern: &str) -> Result<Regex, String> {
        if self.regexes == MAX_REGEXES {
            return Err(format!("more than {MAX_REGEXES} regular expressions"));
        }
        let regex = compile(pattern)?;
        self.regexes += 1;
        Ok(regex)
    }

    fn note(&mut self, name: &str, outcome: Result<(), String>) {
        let Some(loaded) = self.loaded.last_mut() else { return };
        match outcome {
            Ok(()) => loaded.patterns += 1,
            Err(reason) => {
                loaded.refused += 1;
                if loaded.reasons.len() < MAX_TOLD {
                    loaded.reasons.push(RefusedPattern { name: printable(name), reason });
                }
            }
        }
    }
}

fn check_length(pattern: &str) -> Result<(), String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(format!("longer than {MAX_PATTERN_BYTES} bytes"));
    }
    if pattern.chars().count() < MIN_TEXT_CHARS {
        return Err(format!("shorter than {MIN_TEXT_CHARS} characters"));
    }
    Ok(())
}

/// Compiles an expression whose cost is bounded; the crate matches in time linear in the text.
fn compile(pattern: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(pattern);
    // Both projects look for their patterns across lines.
    builder
        .dot_matches_new_line(true)
        .size_limit(MAX_REGEX_BYTES)
        .dfa_size_limit(MAX_REGEX_BYTES)
        .nest_limit(20);
    let regex = builder.build().map_err(|error| short(&error))?;
    if regex.is_match("") { Err("matches everything".to_owned()) } else { Ok(regex) }
}

/// Returns the text that an expression stands for, if it is one without any operator.
fn literal(pattern: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(char::is_ascii_punctuation)?),
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => return None,
            c => text.push(c),
        }
    }
    Some(text)
}

fn scope_of_ooni(scope: &str) -> Scope {
    match scope {
        "nat" => Scope::National,
        "isp" => Scope::Provider,
        "prod" => Scope::Product,
        "inst" => Scope::Institution,
        "vbw" => Scope::Vague,
        "fp" => Scope::FalsePositive,
        _ => Scope::Other,
    }
}

/// Censored Planet's names begin with a letter and their scope: `b_nat_ir_national_1`.
fn scope_of_planet(name: &str) -> Scope {
    match name.split('_').nth(1) {
        Some("nat") => Scope::National,
        Some("isp") => Scope::Provider,
        Some("prod") => Scope::Product,
        Some("corp") => Scope::Institution,
        Some("gen") => Scope::Vague,
        _ => Scope::Other,
    }
}

fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(60).collect()
}

fn short(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("unreadable");
    printable(last.trim().trim_start_matches("error: "))
}
