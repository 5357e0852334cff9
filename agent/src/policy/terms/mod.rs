//! The volunteer's terms: what this agent may be asked for, whatever a list or a coordinator says.
//!
//! They stand in `terms.toml` in the agent's home; a key that is left out has its default, and without the file every
//! key has. [`Terms::refuses`] is the one place at which a task meets them: [`super::Policy::allows`] asks it for
//! schedules, confirmations and selfchecks alike, before any socket is opened. A wrong value is an error that names its
//! key, never a default in silence.

mod keys;
mod quiet;
mod sensitive;

pub use keys::{KEYS, Key};
pub use quiet::{QuietHours, local_zone};
pub use sensitive::{CIRCUMVENTION, SENSITIVE, Sensitive, cost_of};

use super::{Allowance, Refusal};
use crate::state::BudgetChoice;
use faultline_model::{Category, CheckKind, RiskTier, TargetSpec};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};

/// Why the terms cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// The file is no TOML.
    #[error("terms.toml: {0}")]
    Syntax(String),
    /// A key that does not exist.
    #[error("terms.toml: {0:?} is no key; the keys are {known}", known = keys::names())]
    UnknownKey(String),
    /// A value that the key cannot take.
    #[error("terms.toml: {key} = {value:?}: {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        expected: String,
    },
}

/// What to do about lines that are paid for by the byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Metered {
    /// Look at what the line goes through, and measure nothing over a phone or a modem.
    #[default]
    Detect,
    /// This line is metered: measure nothing.
    Yes,
    /// Measure on any line.
    No,
}

/// The volunteer's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Names of the lists whose targets are measured; of other lists only the canaries are.
    pub lists: BTreeSet<String>,
    /// Sensitive categories and circumvention checks that the volunteer agreed to, each by its own name.
    pub allow_categories: BTreeSet<String>,
    /// Categories that are never measured here, wherever this is.
    pub refuse_categories: BTreeSet<String>,
    /// Hosts that are never measured here; a name includes the names below it.
    pub refuse_hosts: BTreeSet<String>,
    /// Checks that need their own opt-in, and have it.
    pub allow_checks: BTreeSet<String>,
    /// Times of the day at which nothing is measured.
    pub quiet_hours: Vec<QuietHours>,
    /// What to do about metered lines.
    pub metered: Metered,
    /// Replaces the budget that was chosen when joining.
    pub budget: Option<BudgetChoice>,
    /// Lowers the budget's checks a day.
    pub checks_per_day: Option<u32>,
    /// Lowers the budget's bytes a day.
    pub megabytes_per_day: Option<u32>,
    /// Keeps a log of what was measured on this machine's disk.
    pub log: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            lists: BTreeSet::from(["core".to_owned()]),
            allow_categories: BTreeSet::new(),
            refuse_categories: BTreeSet::new(),
            refuse_hosts: BTreeSet::new(),
            allow_checks: BTreeSet::new(),
            quiet_hours: Vec::new(),
            metered: Metered::default(),
            budget: None,
            checks_per_day: None,
            megabytes_per_day: None,
            log: false,
        }
    }
}

impl Terms {
    /// Reads a file's text.
    ///
    /// # Errors
    /// Names the key at fault.
    pub fn parse(text: &str) -> Result<Self, TermsError> {
        let table: BTreeMap<String, toml::Value> =
            toml::from_str(text).map_err(|e| TermsError::Syntax(e.message().to_owned()))?;
        let mut terms = Self::default();
        for (name, value) in table {
            let key = Key::named(&name)?;
            let values = match value {
                toml::Value::Array(values) => values.iter().map(plain).collect(),
                single => vec![plain(&single)],
            };
            terms.set(key, &values)?;
        }
        Ok(terms)
    }

    /// Returns what of a list's entry or check is refused, if anything is.
    ///
    /// # Errors
    /// Says which of the terms refuses it.
    pub fn refuses(
        &self,
        (check, spec): (CheckKind, &TargetSpec),
        list: &str,
        risk: Option<RiskTier>,
    ) -> Result<(), Refusal> {
        let category = spec.category.as_str();
        if self.refuse_categories.contains(category) {
            return Err(Refusal::CategoryRefused);
        }
        if self.refuse_hosts.iter().any(|host| is_at_or_below(spec.target.host(), host)) {
            return Err(Refusal::HostRefused);
        }
        if !self.permits_check(check, risk) {
            return Err(Refusal::NotOptedIn);
        }
        if spec.category.is_canary() {
            return Ok(());
        }
        if !self.lists.contains(list) {
            return Err(Refusal::ListNotChosen);
        }
        if is_high(risk) && is_sensitive(&spec.category) && !self.allow_categories.contains(category) {
            return Err(Refusal::CategoryNotAllowed);
        }
        Ok(())
    }

    /// Says whether a kind of check may be run at all; only such kinds are announced.
    #[must_use]
    pub fn permits_check(&self, check: CheckKind, risk: Option<RiskTier>) -> bool {
        let needs_opt_in = check.opt_in().is_some() || (check == CheckKind::Diagnose && is_high(risk));
        !needs_opt_in || self.allow_checks.contains(check.as_str())
    }

    /// Says whether the volunteer wants quiet at a moment.
    #[must_use]
    pub fn is_quiet(&self, now: faultline_model::Timestamp, zone: &TimeZone) -> bool {
        self.quiet_hours.iter().any(|hours| hours.contain(now, zone))
    }

    /// Lowers an allowance to what the terms say; they never raise it.
    #[must_use]
    pub fn lower(&self, allowance: Allowance) -> Allowance {
        let bytes = self.megabytes_per_day.map_or(u64::MAX, |megabytes| u64::from(megabytes) * 1_000_000);
        Allowance {
            checks_per_day: allowance.checks_per_day.min(self.checks_per_day.unwrap_or(u32::MAX)),
            bytes_per_day: allowance.bytes_per_day.min(bytes),
            ..allowance
        }
    }
}

/// A country whose tier nobody signed counts as one of high risk: it is the volunteer who would pay for a guess.
#[must_use]
pub fn is_high(risk: Option<RiskTier>) -> bool {
    risk != Some(RiskTier::Standard)
}

fn is_sensitive(category: &Category) -> bool {
    cost_of(SENSITIVE, category.as_str()).is_some()
}

fn is_at_or_below(host: &str, name: &str) -> bool {
    host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
