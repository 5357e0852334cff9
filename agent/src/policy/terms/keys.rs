//! The keys of `terms.toml`: how each is read, written and explained. File and command line take the same way.

use super::sensitive::{CIRCUMVENTION, DIAGNOSE, SENSITIVE, Sensitive, cost_of};
use super::{Metered, QuietHours, Terms, TermsError};
use crate::state::BudgetChoice;
use faultline_model::{Category, Target};
use std::collections::BTreeSet;

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `lists`.
    Lists,
    /// `allow_categories`.
    AllowCategories,
    /// `refuse_categories`.
    RefuseCategories,
    /// `refuse_hosts`.
    RefuseHosts,
    /// `allow_checks`.
    AllowChecks,
    /// `quiet_hours`.
    QuietHours,
    /// `metered`.
    Metered,
    /// `budget`.
    Budget,
    /// `checks_per_day`.
    ChecksPerDay,
    /// `megabytes_per_day`.
    MegabytesPerDay,
    /// `log`.
    Log,
}

/// All keys in the order in which they are shown, with what each means.
pub const KEYS: &[(Key, &str, &str)] = &[
    (Key::Lists, "lists", "lists whose targets are measured; of others only the canaries are"),
    (
        Key::AllowCategories,
        "allow_categories",
        "sensitive categories that may be measured where the risk is high",
    ),
    (Key::RefuseCategories, "refuse_categories", "categories that are never measured"),
    (Key::RefuseHosts, "refuse_hosts", "hosts that are never measured, with everything below them"),
    (Key::AllowChecks, "allow_checks", "checks that look like circumvention and may be run"),
    (Key::QuietHours, "quiet_hours", "local times at which nothing is measured, such as 23:00-07:00"),
    (
        Key::Metered,
        "metered",
        "yes: measure nothing; no: measure on any line; detect: not over phones and modems",
    ),
    (Key::Budget, "budget", "standard: 3,000 checks and 50 MB a day; small: 600 and 10 MB"),
    (Key::ChecksPerDay, "checks_per_day", "lowers the budget's checks a day"),
    (Key::MegabytesPerDay, "megabytes_per_day", "lowers the budget's megabytes a day"),
    (Key::Log, "log", "on: keep a log of what was measured on this machine's disk"),
];

const MAX_VALUES: usize = 1000;

/// The names of all keys.
pub(super) fn names() -> String {
    KEYS.iter().map(|(_, name, _)| *name).collect::<Vec<_>>().join(", ")
}

impl Key {
    /// Finds a key by its name.
    ///
    /// # Errors
    /// Lists the keys that there are.
    pub fn named(name: &str) -> Result<Self, TermsError> {
        let known = KEYS.iter().find(|(_, known, _)| *known == name);
        known.map(|(key, ..)| *key).ok_or_else(|| TermsError::UnknownKey(name.chars().take(40).collect()))
    }

    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        KEYS.iter().find(|(key, ..)| *key == self).map_or("", |(_, name, _)| name)
    }

    const fn is_list(self) -> bool {
        matches!(
            self,
            Self::Lists
                | Self::AllowCategories
                | Self::RefuseCategories
                | Self::RefuseHosts
                | Self::AllowChecks
                | Self::QuietHours
        )
    }
}

impl Terms {
    /// Replaces a key's value; no value at all brings its default back.
    ///
    /// # Errors
    /// Says which value the key cannot take, and what it takes.
    pub fn set(&mut self, key: Key, values: &[String]) -> Result<(), TermsError> {
        let wrong = |value: &str, expected: &str| TermsError::Value {
            key: key.name(),
            value: value.chars().take(60).collect(),
            expected: expected.to_owned(),
        };
        if values.len() > MAX_VALUES || (values.len() > 1 && !key.is_list()) {
            let expected = if key.is_list() { "at most 1000 values" } else { "use one value" };
            return Err(wrong(&values.join(" "), expected));
        }
        let (default, first) = (Self::default(), values.first().map(String::as_str));
        let each = |read: fn(&str) -> Result<String, String>| -> Result<BTreeSet<String>, TermsError> {
            values.iter().map(|value| read(value).map_err(|expected| wrong(value, &expected))).collect()
        };
        let number = |most: u32| match first.map(|text| (text, text.parse::<u32>())) {
            None => Ok(None),
            Some((_, Ok(number))) if (1..=most).contains(&number) => Ok(Some(number)),
            Some((text, _)) => Err(wrong(text, &format!("use a whole number from 1 to {most}"))),
        };
        match key {
            Key::Lists if values.is_empty() => self.lists = default.lists,
            Key::Lists => self.lists = each(list_name)?,
            Key::AllowCategories => self.allow_categories = each(sensitive_category)?,
            Key::RefuseCategories => self.refuse_categories = each(category)?,
            Key::RefuseHosts => self.refuse_hosts = each(host)?,
            Key::AllowChecks => self.allow_checks = each(sensitive_check)?,
            Key::QuietHours => {
                let hours = values.iter().map(|value| value.parse().map_err(|e: String| wrong(value, &e)));
                self.quiet_hours = hours.collect::<Result<Vec<QuietHours>, _>>()?;
            }
            Key::Metered => {
                self.metered = match first {
                    None | Some("detect") => Metered::Detect,
                    Some("yes" | "true") => Metered::Yes,
                    Some("no" | "false") => Metered::No,
                    Some(other) => return Err(wrong(other, "use yes, no or detect")),
                }
            }
            Key::Budget => {
                self.budget = match first {
                    None => None,
                    Some("standard") => Some(BudgetChoice::Standard),
                    Some("small") => Some(BudgetChoice::Small),
                    Some(other) => return Err(wrong(other, "use standard or small")),
                }
            }
            Key::ChecksPerDay => self.checks_per_day = number(100_000)?,
            Key::MegabytesPerDay => self.megabytes_per_day = number(100_000)?,
            Key::Log => {
                self.log = match first {
                    None | Some("off" | "false") => false,
                    Some("on" | "true") => true,
                    Some(other) => return Err(wrong(other, "use on or off")),
                }
            }
        }
        Ok(())
    }

    /// Returns a key's value as it is typed; nothing for one that is not set.
    #[must_use]
    pub fn get(&self, key: Key) -> Vec<String> {
        let all = |set: &BTreeSet<String>| set.iter().cloned().collect();
        let one = |text: &str| vec![text.to_owned()];
        let number = |number: Option<u32>| number.iter().map(ToString::to_string).collect();
        match key {
            Key::Lists => all(&self.lists),
            Key::AllowCategories => all(&self.allow_categories),
            Key::RefuseCategories => all(&self.refuse_categories),
            Key::RefuseHosts => all(&self.refuse_hosts),
            Key::AllowChecks => all(&self.allow_checks),
            Key::QuietHours => self.quiet_hours.iter().map(ToString::to_string).collect(),
            Key::Metered => one(match self.metered {
                Metered::Detect => "detect",
                Metered::Yes => "yes",
                Metered::No => "no",
            }),
            Key::Budget => match self.budget {
                None => vec![],
                Some(BudgetChoice::Standard) => one("standard"),
                Some(BudgetChoice::Small) => one("small"),
            },
            Key::ChecksPerDay => number(self.checks_per_day),
            Key::MegabytesPerDay => number(self.megabytes_per_day),
            Key::Log => one(if self.log { "on" } else { "off" }),
        }
    }

    /// Returns the file's text: every key that differs from its default.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let default = Self::default();
        let mut text =
            String::from("# The volunteer's terms; faultline-agent terms shows what each key means.\n");
        for (key, name, _) in KEYS {
            let values = self.get(*key);
            if values == default.get(*key) {
                continue;
            }
            let quoted: Vec<String> =
                values.iter().map(|value| toml::Value::String(value.clone()).to_string()).collect();
            let value = if key.is_list() { format!("[{}]", quoted.join(", ")) } else { quoted.concat() };
            text.push_str(&format!("{name} = {value}\n"));
        }
        text
    }

    /// Returns what a value newly agrees to, with what it can cost.
    #[must_use]
    pub fn agrees_to(&self, key: Key, values: &[String]) -> Vec<&'static Sensitive> {
        let (held, all) = match key {
            Key::AllowCategories => (&self.allow_categories, SENSITIVE),
            Key::AllowChecks => (&self.allow_checks, CIRCUMVENTION),
            _ => return vec![],
        };
        let is_new = |value: &&String| !held.contains(value.as_str());
        let find =
            |value: &String| cost_of(all, value).or_else(|| (value == DIAGNOSE.code).then_some(&DIAGNOSE));
        values.iter().filter(is_new).filter_map(find).collect()
    }
}

fn list_name(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err("use a list's name, such as core".to_owned()) }
}

fn category(text: &str) -> Result<String, String> {
    let category = Category::new(text)?;
    if category.is_canary() {
        Err("canaries tell a dead line from a block and cannot be refused".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn sensitive_category(text: &str) -> Result<String, String> {
    let known = || SENSITIVE.iter().map(|sensitive| sensitive.code).collect::<Vec<_>>().join(", ");
    let is_known = cost_of(SENSITIVE, text).is_some();
    if is_known {
        Ok(text.to_owned())
    } else {
        Err(format!("needs no opt-in; the categories that do are {}", known()))
    }
}

fn sensitive_check(text: &str) -> Result<String, String> {
    let known = || CIRCUMVENTION.iter().map(|sensitive| sensitive.code).collect::<Vec<_>>().join(", ");
    let is_known = text == DIAGNOSE.code || cost_of(CIRCUMVENTION, text).is_some();
    if is_known {
        Ok(text.to_owned())
    } else {
        Err(format!("needs no opt-in; the checks that do are {}, diagnose", known()))
    }
}

/// A host is normalised as a target's is.
fn host(text: &str) -> Result<String, String> {
    let as_host = || {
        Target::new(&format!("https://{text}/"))
            .ok()
            .filter(|target| target.as_str().matches('/').count() == 3)
    };
    let target = Target::new(text).ok().or_else(as_host);
    target
        .map(|target| target.host().to_owned())
        .ok_or_else(|| "use a host name, such as www.example.com".to_owned())
}
