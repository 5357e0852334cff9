//! What this agent agrees to do. Nothing that a coordinator sends goes past here.
//!
//! A check is run only if (check, target) stands in the signed list that is held and has not lapsed, if neither the
//! list's limits nor the agent's own are exceeded, and if the volunteer's budget pays for it. Everything else is
//! refused with a reason that is counted and shown. The module is pure: the moment is passed in, and the [`Ledger`]
//! that the caller keeps on disk makes a restart refill nothing.

mod budget;
pub mod terms;

pub use budget::{Allowance, Budget, Lack, Purse};
pub use terms::{Terms, TermsError};

use crate::checks::Diagnosis;
use faultline_model::{
    Category, CheckKind, CountryCode, Depth, OptIn, OwnHosts, ResolverSpec, RiskTier, Target, TargetSpec,
    Task, TaskList, Timestamp,
};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The time over which confirmations of one target are counted.
const CONFIRMATION_WINDOW: Duration = Duration::from_secs(300);
/// The time over which all confirmations are counted.
const CONFIRMATION_HOUR: Duration = Duration::from_secs(3600);
/// Tokens that are remembered, so that a request that comes twice is done once.
const REMEMBERED_TOKENS: usize = 256;

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// No signed list is held.
    NoList,
    /// The list that is held has lapsed.
    ListExpired,
    /// The (check, target) does not stand in the list.
    NotInList,
    /// The message cannot be read.
    Malformed,
    /// This agent does not know the check.
    UnknownCheck,
    /// The last run was too short ago.
    TooSoon,
    /// A period below the least interval; the least interval is used instead.
    PeriodTooShort,
    /// The schedule names a (check, target) twice.
    DuplicateEntry,
    /// The schedule is larger than any list.
    TooManyEntries,
    /// Enough confirmations of this target.
    ConfirmationsPerTarget,
    /// Enough confirmations in this hour.
    ConfirmationsPerHour,
    /// The confirmation's token was seen before.
    RepeatedToken,
    /// The confirmation lapsed before it could be run.
    TooLate,
    /// The day's checks are used up for now.
    BudgetChecks,
    /// The day's bytes are used up for now.
    BudgetBytes,
    /// Too much is under way.
    Busy,
    /// The volunteer has paused measuring.
    Paused,
    /// The volunteer refuses the target's category.
    CategoryRefused,
    /// The target's category needs an opt-in here.
    CategoryNotAllowed,
    /// The volunteer refuses the target's host.
    HostRefused,
    /// The volunteer has not chosen this list.
    ListNotChosen,
    /// It is one of the volunteer's quiet hours.
    QuietHours,
    /// The line is paid for by the byte.
    MeteredLine,
    /// Traffic leaves through a tunnel of this machine, so that another line would be measured.
    VpnActive,
    /// The check needs a consent of its own, which the volunteer has not given.
    NotOptedIn,
    /// The far end of a circumvention check is the coordinator itself.
    CoordinatorHost,
}

impl Refusal {
    /// Returns a stable code for counters and `status`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoList => "no_list",
            Self::ListExpired => "list_expired",
            Self::NotInList => "not_in_list",
            Self::Malformed => "malformed",
            Self::UnknownCheck => "unknown_check",
            Self::TooSoon => "too_soon",
            Self::PeriodTooShort => "period_too_short",
            Self::DuplicateEntry => "duplicate_entry",
            Self::TooManyEntries => "too_many_entries",
            Self::ConfirmationsPerTarget => "confirmations_per_target",
            Self::ConfirmationsPerHour => "confirmations_per_hour",
            Self::RepeatedToken => "repeated_token",
            Self::TooLate => "too_late",
            Self::BudgetChecks => "budget_checks",
            Self::BudgetBytes => "budget_bytes",
            Self::Busy => "busy",
            Self::Paused => "paused",
            Self::CategoryRefused => "category_refused",
            Self::CategoryNotAllowed => "category_needs_opt_in",
            Self::HostRefused => "host_refused",
            Self::ListNotChosen => "list_not_chosen",
            Self::QuietHours => "quiet_hours",
            Self::MeteredLine => "metered_line",
            Self::VpnActive => "vpn_active",
            Self::NotOptedIn => "not_opted_in",
            Self::CoordinatorHost => "coordinator_host",
        }
    }
}

/// What was done so far, as far as it limits what may be done next. Kept on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    budget: Budget,
    /// The last routine run of each (check, target), for as long as it matters.
    routine: BTreeMap<CheckKind, BTreeMap<String, Timestamp>>,
    /// Confirmations of the last hour.
    confirmations: VecDeque<(String, Timestamp)>,
    tokens: VecDeque<String>,
}

impl Ledger {
    /// Makes the ledger of an agent that has done nothing yet.
    #[must_use]
    pub fn new(allowance: &Allowance, now: Timestamp) -> Self {
        Self {
            budget: Budget::full(allowance, now),
            routine: BTreeMap::new(),
            confirmations: VecDeque::new(),
            tokens: VecDeque::new(),
        }
    }
}

/// Permission for one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The version of the list that allows it.
    pub list_version: u64,
    /// The list's resolver for second opinions.
    pub resolver: Option<ResolverSpec>,
    /// What the list wants downloads compared with; never chosen by anybody else.
    pub control: Option<Target>,
    /// What the list gives a diagnosis to compare with; never chosen by anybody else.
    pub diagnosis: Diagnosis,
    purse: Purse,
    expected: u64,
}

/// The agent's policy.
#[derive(Debug)]
pub struct Policy {
    terms: Terms,
    country: Option<CountryCode>,
    zone: TimeZone,
    is_metered: bool,
    is_vpn: bool,
    /// What the budget's class gives, as far as the terms leave it.
    allowance: Allowance,
    kinds: BTreeSet<CheckKind>,
    list: Option<TaskList>,
    ledger: Ledger,
    is_control: bool,
    own_hosts: OwnHosts,
}

impl Policy {
    /// Makes the policy of an agent that knows some kinds of checks, under the terms of somebody who changed none.
    #[must_use]
    pub fn new(
        allowance: Allowance,
        kinds: BTreeSet<CheckKind>,
        list: Option<TaskList>,
        ledger: Ledger,
    ) -> Self {
        Self {
            terms: Terms::default(),
            country: None,
            zone: TimeZone::UTC,
            is_metered: false,
            is_vpn: false,
            allowance,
            kinds,
            list,
            ledger,
            is_control: false,
            own_hosts: OwnHosts::default(),
        }
    }

    /// Places the agent: its country decides which categories need an opt-in, its zone when quiet hours are.
    #[must_use]
    pub fn standing_in(self, country: CountryCode, zone: TimeZone) -> Self {
        Self { country: Some(country), zone, ..self }
    }

    /// Names the hosts at which the coordinator is reached: no way around censorship may lead there.
    #[must_use]
    pub fn reached_at(self, own_hosts: OwnHosts) -> Self {
        Self { own_hosts, ..self }
    }

    /// Puts the volunteer's terms in force, with the allowance that their budget gives.
    pub fn set_terms(&mut self, terms: Terms, granted: Allowance) {
        self.allowance = terms.lower(granted);
        self.terms = terms;
    }

    /// Notes whether the line looks as if it were paid for by the byte, and whether traffic leaves through a tunnel.
    pub fn set_line(&mut self, is_metered: bool, is_vpn: bool) {
        self.is_metered = is_metered;
        self.is_vpn = is_vpn;
    }

    /// Returns the volunteer's terms.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Returns how dangerous measuring is here, as the operators signed it.
    #[must_use]
    pub fn risk(&self) -> Option<RiskTier> {
        self.list.as_ref()?.risk.get(&self.country?).copied()
    }

    /// Returns the kinds that this agent knows and the terms permit: those that it announces.
    #[must_use]
    pub fn permitted_kinds(&self) -> BTreeSet<CheckKind> {
        // Nobody else asks for a selfcheck.
        let permits = |kind: &&CheckKind| **kind != CheckKind::Selfcheck && self.has_opted_in(**kind);
        self.kinds.iter().filter(permits).copied().collect()
    }

    /// Returns the categories of the held list of which nothing is measured here, whatever the reason is: what planning has
    /// to know, and no more. Whether somebody refused a category or never agreed to it stays here, and so does a refused
    /// host that shares its category with others.
    #[must_use]
    pub fn unmeasured_categories(&self) -> BTreeSet<Category> {
        let Some(list) = self.list.as_ref().filter(|_| !self.is_control) else { return BTreeSet::new() };
        let is_measured = |spec: &&TargetSpec| {
            let mut checks = spec.checks.iter();
            checks.any(|check| self.terms.refuses((*check, spec), &list.name, self.risk()).is_ok())
        };
        let all: BTreeSet<&Category> = list.targets.iter().map(|spec| &spec.category).collect();
        let measured: BTreeSet<&Category> =
            list.targets.iter().filter(is_measured).map(|spec| &spec.category).collect();
        all.difference(&measured).map(|category| (*category).clone()).collect()
    }

    /// Says whether this is a moment and a line on which the volunteer wants to be measured at all.
    ///
    /// # Errors
    /// Returns why not.
    pub fn allows_now(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.terms.is_quiet(now, &self.zone) {
            return Err(Refusal::QuietHours);
        }
        let is_metered = match self.terms.metered {
            terms::Metered::Detect => self.is_metered,
            terms::Metered::Yes => true,
            terms::Metered::No => false,
        };
        if is_metered {
            return Err(Refusal::MeteredLine);
        }
        if self.is_vpn { Err(Refusal::VpnActive) } else { Ok(()) }
    }

    /// Makes it the policy of a control, which may also look at the list's landmarks.
    #[must_use]
    pub fn for_control(self, is_control: bool) -> Self {
        Self { is_control, ..self }
    }

    /// Makes it the policy of a volunteer who agreed to more than every agent's checks.
    #[must_use]
    pub fn with_opt_ins(mut self, opt_ins: BTreeSet<OptIn>) -> Self {
        self.terms.allow_checks.extend(opt_ins.into_iter().map(|opt_in| opt_in.to_string()));
        self
    }

    /// Says whether a check needs no consent of its own, or has it. A control is an operator's own machine.
    #[must_use]
    pub fn has_opted_in(&self, check: CheckKind) -> bool {
        self.is_control || self.terms.permits_check(check, self.risk())
    }

    /// Returns the list that is held.
    #[must_use]
    pub const fn list(&self) -> Option<&TaskList> {
        self.list.as_ref()
    }

    /// Takes a list whose signatures were verified.
    pub fn set_list(&mut self, list: TaskList) {
        self.list = Some(list);
    }

    /// Returns what has to be kept on disk.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Returns what the line may be used for in a day.
    #[must_use]
    pub const fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// Returns the share of a purse that is left, 0 to 1.
    #[must_use]
    pub fn left(&self, purse: Purse) -> f64 {
        self.ledger.budget.left(&self.allowance, purse)
    }

    /// Returns the least time between two routine runs of one (check, target): the list's, but never less than the
    /// kind's own.
    #[must_use]
    pub fn least_interval(&self, check: CheckKind) -> Duration {
        let list = self.list.as_ref().map_or(0, |list| list.limits.min_interval_s);
        Duration::from_secs(list.into()).max(check.least_interval())
    }

    /// Returns when a (check, target) was last run routinely.
    #[must_use]
    pub fn last_run(&self, check: CheckKind, target: &Target) -> Option<Timestamp> {
        self.ledger.routine.get(&check)?.get(target.as_str()).copied()
    }

    /// Says whether the held list allows a check of a target now.
    ///
    /// # Errors
    /// Returns why not.
    pub fn allows(&self, check: CheckKind, target: &Target, now: Timestamp) -> Result<&TaskList, Refusal> {
        let list = self.list.as_ref().ok_or(Refusal::NoList)?;
        if list.expires_at <= now {
            return Err(Refusal::ListExpired);
        }
        if !self.kinds.contains(&check) {
            return Err(Refusal::UnknownCheck);
        }
        if self.own_hosts.are_met_by(check, target) {
            return Err(Refusal::CoordinatorHost);
        }
        if self.is_control && list.allows_landmark(check, target) {
            return Ok(list);
        }
        let spec = list.find(target).filter(|_| list.allows(check, target)).ok_or(Refusal::NotInList)?;
        // A control is an operator's own machine: what it must not do, its operator does not sign.
        if !self.is_control {
            self.terms.refuses((check, spec), &list.name, self.risk())?;
        }
        Ok(list)
    }

    /// Permits one routine run and enters it into the ledger.
    ///
    /// # Errors
    /// Returns why not; the ledger is unchanged then.
    pub fn admit_routine(
        &mut self,
        check: CheckKind,
        target: &Target,
        depth: Depth,
        now: Timestamp,
    ) -> Result<Grant, Refusal> {
        self.allows_now(now)?;
        let list = self.allows(check, target, now)?;
        if !check.is_routine() {
            return Err(Refusal::NotInList);
        }
        let allowed = Allowed::by(list, target);
        // A run in the future means that the clock was set back; it limits nothing.
        let last = self.last_run(check, target).filter(|last| *last <= now);
        if last.is_some_and(|last| now.since(last) < self.least_interval(check)) {
            return Err(Refusal::TooSoon);
        }
        let grant = self.pay(Purse::Routine, (check, depth), allowed, now)?;
        let runs = self.ledger.routine.entry(check).or_default();
        // Targets of former lists are forgotten once they limit nothing.
        runs.retain(|_, last| now.since(*last) < Duration::from_secs(86_400));
        runs.insert(target.to_string(), now);
        Ok(grant)
    }

    /// Permits one look at the agent's own line by a canary of the list, each in its turn, and enters its cost.
    ///
    /// # Errors
    /// Returns why not; the ledger is unchanged then.
    pub fn admit_selfcheck(&mut self, now: Timestamp) -> Result<(Target, Grant), Refusal> {
        self.allows_now(now)?;
        let list = self.list.as_ref().ok_or(Refusal::NoList)?;
        let canaries: Vec<&Target> = list.canaries().collect();
        let turn = usize::try_from(now.unix_ms() / 60_000).unwrap_or_default();
        let target = (*canaries.get(turn % canaries.len().max(1)).ok_or(Refusal::NotInList)?).clone();
        let list = self.allows(CheckKind::Selfcheck, &target, now)?;
        let allowed = Allowed::by(list, &target);
        let grant = self.pay(Purse::Routine, (CheckKind::Selfcheck, Depth::Light), allowed, now)?;
        Ok((target, grant))
    }

    /// Permits one confirmation and enters it into the ledger.
    ///
    /// # Errors
    /// Returns why not; the ledger is unchanged then.
    pub fn admit_confirmation(&mut self, task: &Task, now: Timestamp) -> Result<Grant, Refusal> {
        self.allows_now(now)?;
        let list = self.allows(task.check, &task.target, now)?;
        let allowed = Allowed::by(list, &task.target);
        let is_diagnosis = task.check == CheckKind::Diagnose;
        let last = self.last_run(task.check, &task.target).filter(|last| *last <= now);
        if is_diagnosis && last.is_some_and(|last| now.since(last) < self.least_interval(task.check)) {
            return Err(Refusal::TooSoon);
        }
        let per_target = list.limits.confirmations_per_target.min(self.allowance.confirmations_per_target);
        if self.ledger.tokens.iter().any(|token| token == task.token.as_str()) {
            return Err(Refusal::RepeatedToken);
        }
        let is_recent = |at: Timestamp, window| at <= now && now.since(at) < window;
        self.ledger.confirmations.retain(|(_, at)| is_recent(*at, CONFIRMATION_HOUR));
        let same = |(target, at): &&(String, Timestamp)| {
            target == task.target.as_str() && is_recent(*at, CONFIRMATION_WINDOW)
        };
        if self.ledger.confirmations.iter().filter(same).count() >= per_target as usize {
            return Err(Refusal::ConfirmationsPerTarget);
        }
        if self.ledger.confirmations.len() >= self.allowance.confirmations_per_hour as usize {
            return Err(Refusal::ConfirmationsPerHour);
        }
        let grant = self.pay(Purse::Reserve, (task.check, task.depth), allowed, now)?;
        self.ledger.confirmations.push_back((task.target.to_string(), now));
        self.ledger.tokens.push_back(task.token.to_string());
        if is_diagnosis {
            self.ledger.routine.entry(task.check).or_default().insert(task.target.to_string(), now);
        }
        if self.ledger.tokens.len() > REMEMBERED_TOKENS {
            self.ledger.tokens.pop_front();
        }
        Ok(grant)
    }

    /// Enters what a permitted check really cost.
    pub fn settle(&mut self, grant: &Grant, bytes: u64) {
        self.ledger.budget.settle(&self.allowance, grant.purse, (grant.expected, bytes));
    }

    fn pay(
        &mut self,
        purse: Purse,
        (check, depth): (CheckKind, Depth),
        allowed: Allowed,
        now: Timestamp,
    ) -> Result<Grant, Refusal> {
        let expected = check.expected_bytes(depth);
        self.ledger.budget.take(&self.allowance, purse, expected, now).map_err(|lack| match lack {
            Lack::Checks => Refusal::BudgetChecks,
            Lack::Bytes => Refusal::BudgetBytes,
        })?;
        let Allowed { list_version, resolver, control, diagnosis } = allowed;
        Ok(Grant { list_version, resolver, control, diagnosis, purse, expected })
    }
}

/// What the list says about every check that it allows.
struct Allowed {
    list_version: u64,
    resolver: Option<ResolverSpec>,
    control: Option<Target>,
    diagnosis: Diagnosis,
}

impl Allowed {
    fn by(list: &TaskList, target: &Target) -> Self {
        let (resolver, control) = (list.resolvers.first().cloned(), list.throughput_control().cloned());
        let diagnosis = Diagnosis {
            innocent: list.innocent(target).cloned(),
            allows_quic: list.allows(CheckKind::Quic, target),
            line: list.line.clone(),
        };
        Self { list_version: list.version, resolver, control, diagnosis }
    }
}

#[cfg(test)]
mod tests;
