//! Presence: when agents were heard, and what their silence says (method 3.5).
//!
//! An agent's beats are kept as *runs*: stretches over which no gap was longer than three beats. A *fall* is the end of
//! a run that nobody announced: the agent did not pause, did not leave in order, and is not heard from another network.
//! Runs are a function of the set of signs that were heard, so that their order does not matter.
//!
//! While our own side was down nobody could be heard: a run that reaches into such a time goes on for a grace
//! afterwards, in which agents find their way back.

mod cuts;
mod dead;
mod habit;
mod landmarks;
mod silence;
mod spool;

pub(super) use cuts::{Cause, Cut, Group};
pub(super) use landmarks::{Landmarks, Outside};
pub(super) use silence::BURST_MS;
pub(super) use spool::Late;

use super::core::Core;
use super::ms;
use super::store::{Ms, RETENTION_MS};
use super::world::{FamilyNo, Place};
use faultline_model::{AgentId, Asn, IncidentId, Presence, PresenceKind};
use std::collections::{BTreeMap, BTreeSet};

/// Missed beats that are silence.
const MISSED: Ms = 3;
/// After our own side was down, agents have so long to come back before their silence counts.
const GRACE_MS: Ms = 150_000;
/// Who was not heard for so long is forgotten.
const GONE_MS: Ms = 14 * 86_400_000;
/// Who fell silent so long ago is no longer expected.
const EXPECTED_MS: Ms = 3_000_000;

/// A stretch over which an agent was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    from: Ms,
    to: Ms,
    /// Silence after the last sign from which on the run is over.
    after: Ms,
}

/// One agent in one network.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) place: Place,
    runs: Vec<Run>,
    /// Moments at which it paused or left in order.
    leaves: BTreeSet<Ms>,
}

/// An agent in a network; who roams is two.
pub(super) type HeardKey = (AgentId, Asn);

/// Where an agent stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// It is heard.
    Here,
    /// It fell silent at this moment and nobody knows why.
    Gone(Ms),
    /// It is not expected: paused, left, moved, or gone for long.
    Away,
}

/// Everything that was heard.
#[derive(Debug, Default)]
pub(super) struct Presences {
    pub(super) agents: BTreeMap<HeardKey, Heard>,
    queue: BTreeSet<Presence>,
    /// Times in which our own side was down.
    pub(super) own: BTreeMap<Ms, Ms>,
    /// Which of them readers were told.
    pub(super) told: BTreeSet<Ms>,
    /// An outage of our own side that was open before a restart, with its beginning.
    pub(super) open_own: Option<(IncidentId, Ms)>,
    /// Cuts of networks, regions and the country.
    pub(super) cuts: BTreeMap<Group, Cut>,
    pub(super) landmarks: Landmarks,
    /// When everything was looked at last.
    looked: Ms,
    /// Something was heard since.
    is_fresh: bool,
    /// Live: when dead networks were looked for last.
    dead_looked: Ms,
    /// Live: no agent falls silent before this, as far as was heard.
    quiet_until: Option<Ms>,
}

impl Heard {
    /// Enters a sign of life.
    fn hear(&mut self, at: Ms, after: Ms) {
        let place = self.runs.partition_point(|run| run.from <= at);
        let before = place.checked_sub(1).map(|before| self.runs[before]);
        match before {
            Some(run) if at <= run.to => {
                if at == run.to {
                    self.runs[place - 1].after = run.after.max(after);
                }
            }
            Some(run) if at - run.to <= run.after => {
                self.runs[place - 1].to = at;
                self.runs[place - 1].after = after;
                self.join(place - 1);
            }
            _ => {
                self.runs.insert(place, Run { from: at, to: at, after });
                self.join(place);
            }
        }
    }

    /// Joins a run to the next one if the gap between them has become short.
    fn join(&mut self, at: usize) {
        while let Some(next) = self.runs.get(at + 1).copied() {
            let run = self.runs[at];
            if next.from - run.to > run.after {
                return;
            }
            self.runs[at] = Run { from: run.from, to: next.to.max(run.to), after: next.after };
            self.runs.remove(at + 1);
        }
    }

    fn has_left(&self, from: Ms, to: Ms) -> bool {
        self.leaves.range(from..=to).next().is_some()
    }

    /// Returns every fall until now with the moment of return, if there was one.
    fn falls(&self) -> impl Iterator<Item = (Run, Option<Ms>)> + '_ {
        self.runs.iter().enumerate().filter_map(|(at, run)| {
            let back = self.runs.get(at + 1).map(|next| next.from);
            (!self.has_left(run.to, back.unwrap_or(Ms::MAX))).then_some((*run, back))
        })
    }

    /// Says whether it was heard in a span.
    pub(super) fn was_heard(&self, from: Ms, to: Ms) -> bool {
        self.runs.iter().any(|run| run.from <= to && run.to >= from)
    }

    /// Returns when it was first heard after a moment.
    fn first_after(&self, moment: Ms) -> Option<Ms> {
        self.runs.iter().map(|run| run.from).find(|from| *from > moment)
    }

    /// Returns when it was heard last.
    fn last(&self) -> Option<Run> {
        self.runs.last().copied()
    }

    /// Returns for how long it was heard in a span.
    fn heard_ms(&self, from: Ms, to: Ms) -> Ms {
        self.runs.iter().map(|run| (run.to.min(to) - run.from.max(from)).max(0)).sum()
    }

    /// Forgets old runs but the last one: a shutdown may last for days, and who it took must be known at its end.
    fn forget(&mut self, before: Ms) {
        let last = self.last();
        self.runs.retain(|run| run.to >= before || Some(*run) == last);
        self.leaves = self.leaves.split_off(&before);
    }
}

impl Presences {
    /// Returns the moment at which a run that ended at `at` counts as ended, given when our own side was down.
    fn bridged(&self, run: Run) -> Ms {
        let mut to = run.to;
        for (down, up) in &self.own {
            // Beats of the last seconds before are missing in what was written down.
            if to >= down - run.after && to < *up {
                to = *up + (GRACE_MS - run.after).max(0);
            }
        }
        to
    }

    /// Returns when somebody falls silent next if nothing more is heard, after a moment.
    pub(super) fn next_fall(&self, now: Ms) -> Option<Ms> {
        let ends = self.agents.values().filter_map(|heard| {
            let run = heard.last()?;
            (!heard.has_left(run.to, Ms::MAX)).then(|| self.bridged(run) + run.after + 1)
        });
        ends.filter(|at| *at > now).min()
    }

    /// Says whether agents outside the country are known, and none of them was heard after a moment.
    pub(super) fn is_outside_unsure(&self, after: Ms) -> bool {
        let mut outside =
            self.agents.values().filter(|heard| !matches!(heard.place, Place::Home(_))).peekable();
        let is_known = outside.peek().is_some();
        is_known && !outside.any(|heard| heard.last().is_some_and(|run| run.to > after))
    }

    /// Returns when an agent outside the country was first heard again after a moment.
    pub(super) fn heard_outside(&self, after: Ms) -> Option<Ms> {
        let outside = self.agents.values().filter(|heard| !matches!(heard.place, Place::Home(_)));
        outside.flat_map(|heard| &heard.runs).map(|run| run.from).filter(|from| *from > after).min()
    }

    fn enter(&mut self, sign: &Presence, place: Place, usual: Ms) {
        let key = (sign.agent.clone(), sign.asn);
        let at = ms(sign.at);
        let heard =
            self.agents.entry(key).or_insert(Heard { place, runs: Vec::new(), leaves: BTreeSet::new() });
        heard.place = place;
        let after = sign.beat_s.map_or(usual, |beat| Ms::from(beat) * 1000 * MISSED);
        match sign.kind {
            PresenceKind::Came | PresenceKind::Beat => heard.hear(at, after),
            // A broken stream is no sign of life: it is often noticed long after the last one.
            PresenceKind::Went => {}
            PresenceKind::Paused | PresenceKind::Left => {
                heard.leaves.insert(at);
            }
        }
    }
}

impl Core {
    /// Takes a sign of presence; it counts once the clock has reached it.
    pub(super) fn hear(&mut self, sign: Presence) {
        self.presences.queue.insert(sign);
    }

    /// Notes a time in which our own side was down: nobody's silence in it says anything.
    pub(super) fn note_own_outage(&mut self, from: Ms, to: Ms) {
        if to > from {
            let up = self.presences.own.entry(from).or_insert(to);
            *up = (*up).max(to);
            self.presences.is_fresh = true;
        }
    }

    /// Enters what was heard until now.
    pub(super) fn take_presence(&mut self) {
        let usual = self.beat_ms() * MISSED;
        while let Some(sign) = self.presences.queue.first() {
            if ms(sign.at) > self.now {
                break;
            }
            let Some(sign) = self.presences.queue.pop_first() else { break };
            let Some(place) = self.world.place_of_vantage(sign.asn, sign.country, sign.control) else {
                continue;
            };
            self.presences.enter(&sign, place, usual);
            self.presences.quiet_until = None;
            self.presences.is_fresh = true;
        }
    }

    /// An upload is a sign of life of an agent that beats.
    pub(super) fn hear_upload(&mut self, agent: &AgentId, asn: Asn, at: Ms) {
        let usual = self.beat_ms() * MISSED;
        if let Some(heard) = self.presences.agents.get_mut(&(agent.clone(), asn)) {
            let after = heard.last().map_or(usual, |run| run.after);
            heard.hear(at, after);
        }
    }

    /// Forgets what is too old, once an hour.
    pub(super) fn forget_presence(&mut self) {
        let before = self.now - RETENTION_MS;
        for heard in self.presences.agents.values_mut() {
            heard.forget(before);
        }
        let gone = self.now - GONE_MS;
        self.presences.agents.retain(|_, heard| heard.last().is_some_and(|run| run.to >= gone));
        self.presences.own.retain(|_, up| *up >= before);
        self.presences.landmarks.forget(before);
    }

    /// Returns where an agent stands now.
    pub(super) fn stand(&self, key: &HeardKey, heard: &Heard) -> Stand {
        let Some(run) = heard.last() else { return Stand::Away };
        if heard.has_left(run.to, self.now) {
            return Stand::Away;
        }
        let end = self.presences.bridged(run);
        if self.now - end <= run.after {
            return Stand::Here;
        }
        if self.now - end > EXPECTED_MS + run.after || self.has_moved(key, run.to) {
            return Stand::Away;
        }
        Stand::Gone(run.to)
    }

    /// Says whether an agent was heard from another network after a moment.
    pub(super) fn has_moved(&self, key: &HeardKey, after: Ms) -> bool {
        let first = Asn::recorded(1).expect("not zero");
        let mut own = self.presences.agents.range((key.0.clone(), first)..);
        let mut own = std::iter::from_fn(|| own.next().filter(|((id, _), _)| *id == key.0));
        own.any(|((_, asn), heard)| *asn != key.1 && heard.last().is_some_and(|run| run.to > after))
    }

    /// Returns the agents of a family.
    pub(super) fn members(&self, family: FamilyNo) -> impl Iterator<Item = (&HeardKey, &Heard)> {
        self.presences.agents.iter().filter(move |(_, heard)| heard.place == Place::Home(family))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Ms = 15_000;

    fn heard(beats: &[Ms]) -> Heard {
        let mut heard = Heard { place: Place::Control, runs: Vec::new(), leaves: BTreeSet::new() };
        for at in beats {
            heard.hear(*at, 3 * BEAT);
        }
        heard
    }

    #[test]
    fn three_missed_beats_end_a_run_in_whatever_order_they_are_heard() {
        let beats = [0, 15_000, 30_000, 70_000, 130_000, 140_000];
        let forward = heard(&beats);
        assert_eq!(forward.runs.len(), 2, "{:?}", forward.runs);
        let mut backward: Vec<Ms> = beats.to_vec();
        backward.reverse();
        assert_eq!(heard(&backward).runs, forward.runs);
        let mixed = heard(&[130_000, 15_000, 70_000, 140_000, 0, 30_000]);
        assert_eq!(mixed.runs, forward.runs);
    }

    #[test]
    fn who_leaves_in_order_does_not_fall() {
        let mut left = heard(&[0, 15_000, 200_000]);
        left.leaves.insert(16_000);
        let falls: Vec<Ms> = left.falls().map(|(run, _)| run.to).collect();
        assert_eq!(falls, [200_000]);
        left.leaves.insert(201_000);
        assert_eq!(left.falls().count(), 0);
    }

    #[test]
    fn the_last_sign_of_a_silent_agent_is_kept_for_days() {
        let mut silent = heard(&[0, 15_000, 400_000]);
        silent.forget(10_000_000);
        assert_eq!(silent.runs.iter().map(|run| run.to).collect::<Vec<_>>(), [400_000]);
        silent.hear(20_000_000, 3 * BEAT);
        assert_eq!(silent.first_after(500_000), Some(20_000_000));
    }

    #[test]
    fn our_own_downtime_is_bridged_with_a_grace() {
        let mut presences = Presences::default();
        presences.own.insert(100_000, 400_000);
        let run = heard(&[80_000]).last().expect("one");
        assert_eq!(presences.bridged(run) + run.after, 400_000 + GRACE_MS);
        let early = heard(&[10_000]).last().expect("one");
        assert_eq!(presences.bridged(early), 10_000, "it had fallen silent before");
    }
}
