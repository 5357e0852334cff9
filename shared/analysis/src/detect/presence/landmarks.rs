//! Landmarks: public hosts inside networks, which controls look at from outside.
//!
//! When agents of a network are silent and its landmarks answer, the network is there and only our own channel is
//! gone; when they fail too, the network is cut off. A landmark counts only if it was seen to answer: many hosts never
//! do. A mobile operator's hosts stand in its core and go on answering when its radio is switched off, so that their
//! answers clear nothing there.

use super::super::store::{Ms, hash};
use super::super::world::{FamilyNo, Place};
use super::super::{core::Core, ms};
use super::{Cut, Group};
use faultline_model::{Class, Record, Target};
use std::collections::{BTreeMap, BTreeSet};

/// A landmark that answered so long before a silence is one that answers.
const KNOWN_MS: Ms = 7_200_000;
/// After the last moment at which a silence may have begun, results that are so much later are of it.
const SLACK_MS: Ms = 5_000;
/// Failures that say that a network cannot be reached.
const LEAST_FAILURES: usize = 2;

/// What controls see of a silent network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Outside {
    /// Its hosts answer.
    Answers,
    /// They answered before and do not now.
    Fails,
    /// Nobody looked, or nothing is known.
    Unknown,
}

/// One look of a control at a landmark.
#[derive(Clone, Copy, Debug)]
struct Look {
    target: u64,
    network: u32,
    received: Ms,
    is_ok: bool,
}

/// Looks by family, in the order of their starts.
#[derive(Debug, Default)]
pub(in super::super) struct Landmarks {
    looks: BTreeMap<FamilyNo, BTreeMap<(Ms, u64), Look>>,
}

impl Landmarks {
    pub(super) fn forget(&mut self, before: Ms) {
        for looks in self.looks.values_mut() {
            *looks = looks.split_off(&(before, 0));
        }
    }
}

impl Core {
    /// Takes a control's look at a landmark; false if the record is none.
    pub(in super::super) fn take_landmark(&mut self, record: &Record) -> bool {
        let Some(asn) = self.setup.landmarks.get(&record.target).copied() else { return false };
        if self.world.target(&record.target).is_some() {
            return false;
        }
        if record.control {
            let family = self.world.family_of(asn);
            let look = Look {
                target: hash(record.target.as_str()),
                network: record.asn.get(),
                received: ms(record.received_at),
                is_ok: answers(record.class),
            };
            let key = (ms(record.started_at), hash(record.id.as_str()));
            self.presences.landmarks.looks.entry(family).or_default().insert(key, look);
        }
        true
    }

    /// Returns the landmarks of a family.
    pub(in super::super) fn landmarks_of(&self, family: FamilyNo) -> impl Iterator<Item = &Target> {
        let own = self.setup.landmarks.iter();
        own.filter(move |(_, asn)| self.world.family_named(**asn) == Some(family)).map(|(target, _)| target)
    }

    /// Says what controls see of a network since it fell silent.
    pub(in super::super) fn outside(&self, family: FamilyNo, cut: &Cut) -> Outside {
        let Some(looks) = self.presences.landmarks.looks.get(&family) else { return Outside::Unknown };
        let (since, until) = (cut.high + SLACK_MS, cut.until(self.now));
        let before = looks.range((cut.low - KNOWN_MS, 0)..=(cut.low, u64::MAX));
        let known: BTreeSet<u64> =
            before.filter(|(_, look)| look.is_ok).map(|(_, look)| look.target).collect();
        let mut newest: BTreeMap<(u64, u32), bool> = BTreeMap::new();
        let mut failures = 0;
        for look in looks.range((since, 0)..).take_while(|((start, _), _)| *start <= until).map(|(_, l)| l) {
            if look.is_ok || known.contains(&look.target) {
                newest.insert((look.target, look.network), look.is_ok);
                failures += usize::from(!look.is_ok);
            }
        }
        let fine = newest.values().filter(|is_ok| **is_ok).count();
        if newest.is_empty() {
            Outside::Unknown
        } else if 2 * fine >= newest.len() {
            Outside::Answers
        } else if failures >= LEAST_FAILURES && fine == 0 {
            Outside::Fails
        } else {
            Outside::Unknown
        }
    }

    /// Returns networks that may be cut, with the moment since when looks from outside would tell.
    pub(in super::super) fn silence_suspects(&self) -> BTreeMap<FamilyNo, Ms> {
        let mut suspects: BTreeMap<FamilyNo, Ms> = BTreeMap::new();
        for (group, cut) in self.presences.cuts.iter().filter(|(_, cut)| cut.is_open()) {
            if let Group::Family(family) = group {
                suspects.insert(*family, cut.high + SLACK_MS);
            }
        }
        for (group, census) in self.census() {
            let Group::Family(family) = group else { continue };
            let recent = census.falls.iter().filter(|at| self.now - **at <= super::BURST_MS).count();
            if recent >= 2 && 2 * recent >= census.expected {
                let last = census.falls.last().copied().unwrap_or(self.now);
                suspects.entry(family).or_insert(last + self.beat_ms() + SLACK_MS);
            }
        }
        suspects
    }

    /// Returns when a landmark of a family was last looked at, if after a moment.
    pub(in super::super) fn landmark_seen(&self, family: FamilyNo, target: &Target, since: Ms) -> Option<Ms> {
        let wanted = hash(target.as_str());
        let looks = self.presences.landmarks.looks.get(&family)?;
        let own = looks.range((since, 0)..).filter(|(_, look)| look.target == wanted);
        own.map(|(_, look)| look.received).max()
    }

    /// Returns the share of agents outside the country that fell silent about a moment, and how many were expected.
    pub(in super::super) fn silent_outside(&self, low: Ms) -> (usize, usize) {
        let (mut expected, mut silent) = (0, 0);
        for heard in self.presences.agents.values() {
            if matches!(heard.place, Place::Home(_))
                || heard.heard_ms(low - 3_000_000, low + super::BURST_MS) == 0
            {
                continue;
            }
            let fall = self.falls_of(heard).find(|(fell, _)| (fell - low).abs() <= super::BURST_MS);
            expected += 1;
            silent += usize::from(fall.is_some());
        }
        (silent, expected)
    }
}

/// Says whether a host was reached, whatever it said: a refusal comes from somebody who is there.
fn answers(class: Class) -> bool {
    let says = [Class::HttpStatusDiff, Class::HttpBlockpage, Class::TlsCertMismatch, Class::TcpRefused];
    !class.is_anomaly() || says.contains(&class)
}
