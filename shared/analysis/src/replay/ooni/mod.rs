//! Replay of OONI's data, whose rows carry no agent.
//!
//! # From rows to votes
//! A measurement (one `measurement_uid`) is gathered from its [`Step`]s, in any order and however often a row is
//! repeated: what counts is which layers were fine and which failed, never how many rows said so. For every
//! target of a measurement that gives one vote: fine if the deepest layer that was tried succeeded once, else
//! the class of the first layer that never succeeded. IPv6 that a line does not have, and failures of the line
//! itself, are no vote.
//!
//! # Who voted
//! Nobody knows. The votes of one network and hour are dealt out to [`SLOTS`] anonymous vantage points, one fewer
//! than a quorum needs: one eager hand within one hour is never a quorum, and is worth no more evidence than
//! the method's cap for that many vantage points.
//!
//! # How dense
//! The base period is the time in which a cell gets five votes, as the middle vote sees its cell (`density`):
//! five vantage points in a period are what the method calls comfortable. All spans of the method stretch with
//! it ([`crate::detect::Mode::Anonymous`]).
//!
//! # Providers
//! Networks that a profile names belong together as it says; others do when their data name the same
//! organisation.

mod density;
mod gather;
mod providers;
mod schedule;
mod services;
mod sign;

pub use gather::{Gathered, Measured, Step};
pub use schedule::{Days, Hour, HourVotes, Schedule};
pub use sign::{Sign, answer, sign};

use super::{Output, play};
use crate::detect::{Detector, LIVE_BEAT, Mode, Setup, TargetInfo, service_of};
use faultline_model::{
    AgentId, Asn, Baseline, Category, CheckKind, CountryCode, CountryProfile, MeasurementId, ProfileError,
    Record, Role, ServiceId, Target, Timestamp, Why,
};
use serde::Serialize;
use services::Services;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Anonymous vantage points of one network in one hour; one fewer than a quorum (method 3.3).
pub const SLOTS: usize = 2;
const HOUR_MS: i64 = 3_600_000;
/// With fewer kinds of sites, what fails "elsewhere" says nothing about a line; all count as one kind then.
const LEAST_KINDS: usize = 6;
/// In the method the detector looks five times in a base period.
const LOOKS: u32 = 5;

/// Why OONI data cannot be replayed.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum OoniError {
    /// No measurement gave a vote.
    #[error("no measurement of a known kind is among the rows")]
    Empty,
    /// The profile is of another country than the data.
    #[error("the profile is of {profile}, the data are of {data}")]
    Country {
        /// The profile's country.
        profile: CountryCode,
        /// The country that is replayed.
        data: CountryCode,
    },
    /// The profile contradicts itself.
    #[error("the profile is inconsistent")]
    Profile(#[source] ProfileError),
}

/// One provider, as the votes were counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provider {
    /// The ASN by which incidents name it.
    pub asn: Asn,
    /// Its name.
    pub name: String,
    /// All its networks that measured.
    pub asns: Vec<Asn>,
    /// Its votes.
    pub votes: usize,
}

/// What an OONI replay rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Footing {
    /// Always `none`: OONI publishes no identity of vantage points.
    pub vantage_identity: &'static str,
    /// What that means, for people.
    pub note: String,
    /// The country.
    pub country: CountryCode,
    /// The base period that the density of the data gives.
    pub base_period_s: u64,
    /// Measurements that gave votes.
    pub measurements: usize,
    /// Votes: one per measurement and target.
    pub votes: usize,
    /// Measurements of other countries, which are left out.
    pub elsewhere: usize,
    /// The providers, most votes first.
    pub providers: Vec<Provider>,
}

/// What an OONI replay says.
#[derive(Clone, Debug, Serialize)]
pub struct OoniOutput {
    /// What it rests on.
    pub basis: Footing,
    /// The week of every provider that an incident names.
    pub schedules: Vec<Schedule>,
    /// The incidents, as of any replay.
    #[serde(flatten)]
    pub output: Output,
}

/// One vote of an anonymous vantage point.
#[derive(Clone, Debug)]
pub(super) struct Vote {
    at: Timestamp,
    asn: Asn,
    slot: usize,
    target: Target,
    class: faultline_model::Class,
    control_ok: Option<bool>,
}

/// Runs the detector over gathered measurements of one country.
///
/// # Errors
/// Says what is missing or contradictory.
pub fn run(gathered: &Gathered, profile: Option<&CountryProfile>) -> Result<OoniOutput, OoniError> {
    let country = match profile {
        Some(profile) => profile.country,
        None => gathered.main_country().ok_or(OoniError::Empty)?,
    };
    let organisations = gathered.organisations();
    let (all, own) = (gathered.len(), gathered.of(country));
    let mut services = Services::find(&gathered.services(), &own);
    let (measurements, votes) = (own.len(), deal(own, &mut services));
    if votes.is_empty() {
        return Err(match (profile, gathered.main_country()) {
            (Some(profile), Some(data)) => OoniError::Country { profile: profile.country, data },
            _ => OoniError::Empty,
        });
    }
    let (profile, providers) = providers::find(profile, country, &organisations, &votes);
    profile.validate().map_err(OoniError::Profile)?;
    let base_period = density::base_period(&profile, &votes);
    let families: BTreeMap<Asn, Asn> = profile
        .operators
        .iter()
        .flat_map(|operator| operator.asns.iter().map(|asn| (*asn, operator.main_asn())))
        .collect();
    let setup = Setup {
        targets: targets(&votes, &services),
        profile,
        baseline: Baseline::default(),
        base_period,
        mode: Mode::Anonymous,
        reference_asns: BTreeSet::new(),
        history: BTreeMap::new(),
        slow_history: BTreeMap::new(),
        beat: LIVE_BEAT,
        regions: BTreeMap::new(),
        cohorts: BTreeMap::new(),
        landmarks: BTreeMap::new(),
    };
    let categories: BTreeMap<Target, Category> =
        setup.targets.iter().map(|info| (info.target.clone(), info.category.clone())).collect();
    let number = votes.len();
    let utc_offset_min = setup.profile.utc_offset_min;
    let records = votes
        .iter()
        .cloned()
        .enumerate()
        .map(|(number, vote)| (vote.at, Some(record(number, vote, country, &categories))));
    let mut output = play(Detector::new(setup), records, base_period / LOOKS);
    let mut schedules = schedule::schedules(&output.incidents, &votes, (&families, utc_offset_min));
    for schedule in &mut schedules {
        schedule.targets = services.members(&schedule.targets);
    }
    let note = note(base_period);
    for incident in &mut output.incidents {
        services.spell_out(incident, |asn| families.get(&asn).copied().unwrap_or(asn));
        let named = providers.iter().filter(|provider| incident.asns.contains(&provider.asn));
        for provider in named.filter(|provider| provider.asns.len() > 1) {
            let all: Vec<String> = provider.asns.iter().map(Asn::to_string).collect();
            incident.evidence.push(format!("{} is {}, counted as one", provider.name, all.join(", ")));
        }
        incident.evidence.push(note.clone());
    }
    let basis = Footing {
        vantage_identity: "none",
        note,
        country,
        base_period_s: base_period.as_secs(),
        measurements,
        votes: number,
        elsewhere: all - measurements,
        providers,
    };
    Ok(OoniOutput { basis, schedules, output })
}

fn note(base_period: Duration) -> String {
    format!(
        "no vantage identity: each measurement is one anonymous vote, at most {SLOTS} vantage points are counted \
         per network and hour, and windows stretch to a base period of {} minutes, the density of the data",
        base_period.as_secs() / 60
    )
}

/// Deals the votes of a network and hour out to its anonymous vantage points, in the order of their starts.
fn deal(mut measured: Vec<Measured>, services: &mut Services) -> Vec<Vote> {
    measured.sort_by(|a, b| (a.at, &a.uid).cmp(&(b.at, &b.uid)));
    let mut dealt: BTreeMap<(Asn, i64), usize> = BTreeMap::new();
    let mut votes = Vec::new();
    for measurement in measured {
        let hour = measurement.at.unix_ms().div_euclid(HOUR_MS);
        let number = dealt.entry((measurement.asn, hour)).or_default();
        let slot = *number % SLOTS;
        *number += 1;
        for (target, class) in services.join(&measurement) {
            votes.push(Vote {
                at: measurement.at,
                asn: measurement.asn,
                slot,
                target,
                class,
                control_ok: measurement.control_ok,
            });
        }
    }
    votes
}

fn record(
    number: usize,
    vote: Vote,
    country: CountryCode,
    categories: &BTreeMap<Target, Category>,
) -> Record {
    let hour = vote.at.unix_ms().div_euclid(HOUR_MS);
    Record {
        id: MeasurementId::new(format!("vote-{number}")).expect("letters, digits and a dash"),
        agent: AgentId::new(format!("anonymous-{}-{hour}-{}", vote.asn.get(), vote.slot))
            .expect("letters, digits and dashes"),
        asn: vote.asn,
        country,
        category: categories.get(&vote.target).cloned().unwrap_or_else(unknown),
        target: vote.target,
        started_at: vote.at,
        received_at: vote.at,
        check: CheckKind::Web,
        class: vote.class,
        control_ok: vote.control_ok,
        why: Why::Routine,
        control: false,
    }
}

/// The category of what no list names.
fn unknown() -> Category {
    Category::new("MISC").expect("a constant category is valid")
}

/// Lists the targets under their services and kinds.
fn targets(votes: &[Vote], services: &Services) -> Vec<TargetInfo> {
    let all: BTreeSet<&Target> = votes.iter().map(|vote| &vote.target).collect();
    let kinds: BTreeSet<&str> = all.iter().map(|target| kind(target.host())).collect();
    let is_varied = kinds.len() >= LEAST_KINDS;
    let number = |target: &Target| kinds.iter().position(|name| *name == kind(target.host())).unwrap_or(0);
    let info = |target: &Target| {
        let named = services.name(target).cloned();
        TargetInfo {
            service: named
                .as_deref()
                .and_then(|name| ServiceId::new(&name.replace('_', "-")).ok())
                .unwrap_or_else(|| service_of(target.host())),
            service_name: named.unwrap_or_else(|| target.host().to_owned()),
            role: Role::Site,
            category: if is_varied { numbered(number(target)) } else { unknown() },
            target: target.clone(),
            domestic: false,
        }
    };
    all.into_iter().map(info).collect()
}

/// Names a kind of site after the label that its owner chose: `bbc` of `www.bbc.co.uk`.
fn kind(host: &str) -> &str {
    let labels: Vec<&str> = host.rsplit('.').collect();
    let is_suffix = |label: &str| matches!(label, "co" | "com" | "org" | "net" | "gov" | "edu" | "ac" | "go");
    match labels.as_slice() {
        [_, second, third, ..] if is_suffix(second) => third,
        [_, second, ..] => second,
        _ => host,
    }
}

/// Writes a number as a category: kinds without a code of the test lists.
fn numbered(mut number: usize) -> Category {
    let mut text = String::from("X");
    for _ in 0..4 {
        let letter = u8::try_from(number % 26).unwrap_or(0);
        text.push(char::from(b'A' + letter));
        number /= 26;
    }
    Category::new(&text).unwrap_or_else(|_| unknown())
}

#[cfg(test)]
mod tests;
