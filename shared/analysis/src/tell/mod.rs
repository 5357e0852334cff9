//! The questions that readers ask of an incident, answered from what was published and judged.
//!
//! How much together, how selective, fault or filtering, how long before what was announced, how many hours of what,
//! for whom, like what, and which ways around passed ([`explain`]); whether one provider did as the others ([`compare`]);
//! what becomes of claims ([`answer_claim`]); what others' data say ([`corroborate`]); and the same in the words of
//! others' registers ([`mapping`]). Section 3.7 of the method.
//!
//! # Invariants
//! - *Nothing flows back*: no answer changes a verdict or a score, and the calendar enters none.
//! - *Each names its alternative*: what was tested against, in `against`.
//! - *No false precision*: odds end at one in ten thousand ([`Odds`]), and confidence is a model's score.
//! - *No author*: the cause is unknown unless operators attached somebody's statement, and then it is theirs.
//! - Pure functions: the same context gives the same answers.

mod announced;
mod claims;
mod compare;
pub mod corroborate;
mod hours;
pub mod mapping;
mod nature;
mod odds;
mod people;
mod resembles;
mod selectivity;
mod sight;
mod synchrony;
mod ways;

pub use announced::{Announced, Coincidence, Neighbour};
pub use claims::{ClaimAnswer, PartAnswer, answer_claim};
pub use compare::{Comparison, Lag, compare};
pub use hours::{HoursLost, Lost};
pub use nature::Nature;
pub use odds::Odds;
pub use people::{Provider, Users};
pub use resembles::{Alike, Parts, Resembles};
pub use selectivity::{Exclusivity, Selectivity, ServiceHit};
pub use sight::Sight;
pub use synchrony::{Moment, Synchrony};
pub use ways::{Audience, Way, Ways};

use crate::detect::TargetInfo;
use faultline_model::{
    CalendarEvent, CountryProfile, Incident, IncidentId, Note, NoteBody, NoteId, Status, Timestamp, Verdict,
};
use serde::{Deserialize, Serialize};
use sight::Scene;
use synchrony::Turn;

/// What an answer says, and against what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The answer in a word, for programs.
    pub answer: String,
    /// The answer in a sentence.
    pub sentence: String,
    /// The alternative that it was tested against.
    pub against: String,
}

impl Said {
    fn new(answer: &str, sentence: String, against: &str) -> Self {
        Self { answer: answer.to_owned(), sentence, against: against.to_owned() }
    }
}

/// Everything that answers rest on.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The incident that is asked about.
    pub incident: &'a Incident,
    /// Every incident of the country, this one may be among them.
    pub incidents: &'a [Incident],
    /// What is known of the country.
    pub profile: &'a CountryProfile,
    /// The monitored targets.
    pub targets: &'a [TargetInfo],
    /// Judged results of the time of the incident and around it.
    pub sights: &'a [Sight],
    /// The operators' notes on the country.
    pub notes: &'a [Note],
    /// When measuring of the country began, as far as is known.
    pub since: Timestamp,
    /// The moment of asking.
    pub now: Timestamp,
    /// The time within which a target is measured once from a network, in seconds.
    pub period_s: f64,
    /// Who asks.
    pub audience: Audience,
}

/// The incident that is asked about, in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Which.
    pub id: IncidentId,
    /// The revision that was read.
    pub revision: u32,
    /// What it is.
    pub verdict: Verdict,
    /// How firmly.
    pub status: Status,
    /// It was withdrawn.
    pub retracted: bool,
    /// What is said of it.
    pub headline: String,
    /// When it began.
    pub onset: Timestamp,
    /// When it ended.
    pub end: Option<Timestamp>,
    /// The model's score.
    pub model_score: f64,
    /// What that number is.
    pub model_score_is: String,
}

/// Who says why it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CauseAnswer {
    /// `UNKNOWN`, or the cause that attached sources name; `DISPUTED` where they differ.
    pub cause: String,
    /// What that rests on.
    pub sentence: String,
    /// The attached sources.
    pub sources: Vec<faultline_model::CauseSource>,
}

/// What the answers rest on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Footing {
    /// Results that were read.
    pub results: usize,
    /// Vantage points that they came from.
    pub agents: usize,
    /// When measuring of the country began, as far as is known.
    pub since: Timestamp,
    /// The moment of asking.
    pub at: Timestamp,
}

/// Every question of an incident, answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The incident.
    pub incident: Asked,
    /// Who says why.
    pub cause: CauseAnswer,
    /// How much together it began.
    pub onsets: Synchrony,
    /// How much together it was restored.
    pub restorations: Synchrony,
    /// What was singled out.
    pub selectivity: Selectivity,
    /// Fault, filtering, or the site.
    pub nature: Nature,
    /// How it lies to what was announced.
    pub announced: Announced,
    /// Hours lost over its series.
    pub hours_lost: HoursLost,
    /// Who was affected.
    pub users: Users,
    /// What it resembles.
    pub resembles: Resembles,
    /// Which ways around passed.
    pub circumvention: Ways,
    /// What becomes of claims about it.
    pub claims: Vec<ClaimAnswer>,
    /// What all this rests on.
    pub footing: Footing,
}

/// Answers every question of an incident.
#[must_use]
pub fn explain(context: &Context<'_>) -> Explanation {
    let Context { incident, now, .. } = *context;
    let scene = scene(context);
    let selectivity = selectivity::selectivity(&scene);
    let nature = nature::nature(&scene, &selectivity);
    let series = hours::series(incident, context.incidents);
    let calendar = calendar(context.notes);
    let (results, agents) = scene.footing();
    let mut explanation = Explanation {
        incident: asked(incident),
        cause: cause(context),
        onsets: synchrony::synchrony(&scene, Turn::Onset),
        restorations: synchrony::synchrony(&scene, Turn::End),
        announced: announced::announced(incident, &series, &calendar, (context.since, now)),
        hours_lost: hours::hours_lost(&scene, &series),
        users: people::users(&scene),
        resembles: resembles::resembles(incident, context.incidents, context.targets, now),
        circumvention: ways::ways(incident, context.profile, context.sights, (now, context.audience)),
        selectivity,
        nature,
        claims: Vec::new(),
        footing: Footing { results, agents, since: context.since, at: now },
    };
    let claims = valid(context.notes).filter_map(|note| match &note.body {
        NoteBody::Claim(claim) if claim.incident == incident.id => Some((note, claim)),
        _ => None,
    });
    explanation.claims =
        claims.map(|(note, claim)| answer_claim(note.id.clone(), claim, incident, &explanation)).collect();
    explanation
}

fn scene<'a>(context: &Context<'a>) -> Scene<'a> {
    Scene::new(
        (context.incident, context.profile),
        context.targets,
        context.sights,
        (context.now, context.period_s),
    )
}

fn asked(incident: &Incident) -> Asked {
    Asked {
        id: incident.id.clone(),
        revision: incident.revision,
        verdict: incident.verdict,
        status: incident.status,
        retracted: incident.retracted,
        headline: incident.headline.clone(),
        onset: incident.onset,
        end: incident.end,
        model_score: incident.confidence,
        model_score_is: "a model score, not a probability: there is no calibration table yet".to_owned(),
    }
}

fn valid(notes: &[Note]) -> impl Iterator<Item = &Note> {
    notes.iter().filter(|note| note.withdrawn_at.is_none())
}

/// Returns the announced events that stand.
fn calendar(notes: &[Note]) -> Vec<(NoteId, &CalendarEvent)> {
    let events = valid(notes).filter_map(|note| match &note.body {
        NoteBody::Event(event) => Some((note.id.clone(), event)),
        _ => None,
    });
    events.collect()
}

fn cause(context: &Context<'_>) -> CauseAnswer {
    let sources: Vec<faultline_model::CauseSource> = valid(context.notes)
        .filter_map(|note| match &note.body {
            NoteBody::Cause(source) if source.incident == context.incident.id => Some(source.clone()),
            _ => None,
        })
        .collect();
    let Some(first) = sources.first() else {
        let sentence =
            "packets show what failed and how, never why or on whose word; nobody attached a source"
                .to_owned();
        return CauseAnswer { cause: "UNKNOWN".to_owned(), sentence, sources };
    };
    let agree = sources.iter().all(|source| source.cause == first.cause);
    let (cause, sentence) = if agree {
        let names: Vec<&str> = sources.iter().map(|source| source.by.as_str()).collect();
        (
            first.cause.as_str().to_uppercase(),
            format!("according to {}; measurements neither show nor exclude it", names.join(" and ")),
        )
    } else {
        ("DISPUTED".to_owned(), "the attached sources name different causes".to_owned())
    };
    CauseAnswer { cause, sentence, sources }
}
