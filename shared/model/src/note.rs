//! What operators add to the record beside measurements: announced events, claims by others, sources for a cause.
//!
//! A note never changes a verdict. Nothing is deleted: a note that was wrong is withdrawn and stays readable.

use crate::{CountryCode, IncidentId, NoteId, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

const MAX_WORDS: usize = 300;
const MAX_URL: usize = 512;

/// Why a note cannot be kept.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoteError {
    /// A text is missing, too long, or holds control characters.
    #[error("{0} must have 1 to {MAX_WORDS} printable characters")]
    Words(&'static str),
    /// A source is no address of the web.
    #[error("{0:?} is no http or https address of at most {MAX_URL} characters")]
    Url(String),
    /// An event ends before it begins, or lasts for more than a year.
    #[error("an event must end after it begins, and last for at most a year")]
    Span,
}

/// An event that was announced beforehand: a rally, an exam, an election day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarEvent {
    /// Where it takes place; beside a note's own country in one JSON object.
    #[serde(rename = "in")]
    pub country: CountryCode,
    /// What it is.
    pub name: String,
    /// When it was announced to begin.
    pub starts_at: Timestamp,
    /// When it was announced to end.
    pub ends_at: Timestamp,
    /// Where it was announced.
    pub source: String,
}

/// What somebody says about an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The incident that it is about.
    pub incident: IncidentId,
    /// Whose claim it is, such as `PTA`.
    pub by: String,
    /// The claim in its own words.
    pub words: String,
    /// Where it was made.
    pub source: String,
}

/// Why something happened, as somebody else says. Packets never tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// An authority ordered it.
    GovernmentDirected,
    /// A cable broke.
    CableCut,
    /// The power failed.
    PowerOutage,
    /// Equipment failed or was misconfigured.
    TechnicalProblem,
    /// Work that was planned.
    Maintenance,
    /// The weather or a natural disaster.
    Weather,
    /// An attack over the network.
    Cyberattack,
    /// Military action.
    MilitaryAction,
    /// Anything else; the words say what.
    Other,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 9] = [
        Self::GovernmentDirected,
        Self::CableCut,
        Self::PowerOutage,
        Self::TechnicalProblem,
        Self::Maintenance,
        Self::Weather,
        Self::Cyberattack,
        Self::MilitaryAction,
        Self::Other,
    ];

    /// Returns the cause's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GovernmentDirected => "government_directed",
            Self::CableCut => "cable_cut",
            Self::PowerOutage => "power_outage",
            Self::TechnicalProblem => "technical_problem",
            Self::Maintenance => "maintenance",
            Self::Weather => "weather",
            Self::Cyberattack => "cyberattack",
            Self::MilitaryAction => "military_action",
            Self::Other => "other",
        }
    }
}

impl std::str::FromStr for Cause {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        let known = Self::ALL.into_iter().find(|cause| cause.as_str() == text);
        known.ok_or_else(|| {
            format!("{:?} is no cause; there are {}", text.chars().take(40).collect::<String>(), names())
        })
    }
}

/// A source that names a cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseSource {
    /// The incident that it is about.
    pub incident: IncidentId,
    /// The cause that it names.
    pub cause: Cause,
    /// Who says so.
    pub by: String,
    /// What is said, in a few words.
    pub words: String,
    /// Where it is said.
    pub source: String,
}

/// What a note says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NoteBody {
    /// An announced event.
    Event(CalendarEvent),
    /// A claim about an incident.
    Claim(Claim),
    /// A source for an incident's cause.
    Cause(CauseSource),
}

/// One note of the operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Derived from what it says, so that saying it twice is one note.
    pub id: NoteId,
    /// The country that it concerns.
    pub country: CountryCode,
    /// When it was kept first.
    pub noted_at: Timestamp,
    /// When it was withdrawn, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Timestamp>,
    /// What it says.
    #[serde(flatten)]
    pub body: NoteBody,
}

impl NoteBody {
    /// Checks what the types alone cannot hold.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn validate(&self) -> Result<(), NoteError> {
        match self {
            Self::Event(event) => {
                words("the event's name", &event.name)?;
                address(&event.source)?;
                let lasts = event.ends_at.seconds_after(event.starts_at);
                if lasts > 0.0 && lasts <= 366.0 * 86_400.0 { Ok(()) } else { Err(NoteError::Span) }
            }
            Self::Claim(claim) => {
                words("the claim's author", &claim.by)?;
                words("the claim", &claim.words)?;
                address(&claim.source)
            }
            Self::Cause(cause) => {
                words("the source's author", &cause.by)?;
                words("what the source says", &cause.words)?;
                address(&cause.source)
            }
        }
    }

    /// Returns the incident that it is about, if it is about one.
    #[must_use]
    pub const fn incident(&self) -> Option<&IncidentId> {
        match self {
            Self::Event(_) => None,
            Self::Claim(claim) => Some(&claim.incident),
            Self::Cause(cause) => Some(&cause.incident),
        }
    }
}

fn words(what: &'static str, text: &str) -> Result<(), NoteError> {
    let number = text.trim().chars().count();
    let is_fine = (1..=MAX_WORDS).contains(&number) && !text.chars().any(char::is_control);
    if is_fine { Ok(()) } else { Err(NoteError::Words(what)) }
}

fn address(text: &str) -> Result<(), NoteError> {
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let is_fine = text.len() <= MAX_URL && Url::parse(text).is_ok_and(|url| is_web(&url));
    if is_fine { Ok(()) } else { Err(NoteError::Url(text.chars().take(80).collect())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(from: &str, to: &str, source: &str) -> NoteBody {
        NoteBody::Event(CalendarEvent {
            country: "PK".parse().expect("valid"),
            name: "an online rally".into(),
            starts_at: from.parse().expect("valid"),
            ends_at: to.parse().expect("valid"),
            source: source.into(),
        })
    }

    #[test]
    fn a_note_needs_words_an_address_and_a_sensible_span() {
        let (from, to) = ("2024-01-20T15:00:00Z", "2024-01-20T18:00:00Z");
        assert_eq!(event(from, to, "https://news.example/1").validate(), Ok(()));
        assert_eq!(event(to, from, "https://news.example/1").validate(), Err(NoteError::Span));
        assert!(matches!(event(from, to, "javascript:alert(1)").validate(), Err(NoteError::Url(_))));
        let claim = NoteBody::Claim(Claim {
            incident: IncidentId::new("i1").expect("valid"),
            by: "PTA".into(),
            words: "  ".into(),
            source: "https://news.example/2".into(),
        });
        assert_eq!(claim.validate(), Err(NoteError::Words("the claim")));
    }

    #[test]
    fn a_note_is_read_back_as_it_was_written() {
        let note = Note {
            id: NoteId::from_bytes([7; 16]),
            country: "PK".parse().expect("valid"),
            noted_at: Timestamp::from_unix_ms(1_000),
            withdrawn_at: None,
            body: event("2024-01-20T15:00:00Z", "2024-01-20T18:00:00Z", "https://news.example/1"),
        };
        let text = serde_json::to_string(&note).expect("written");
        assert!(text.contains(r#""kind":"event""#), "{text}");
        assert_eq!(serde_json::from_str::<Note>(&text).expect("read"), note);
    }

    #[test]
    fn every_cause_is_read_by_its_name() {
        assert!(Cause::ALL.into_iter().all(|cause| cause.as_str().parse() == Ok(cause)));
        assert!("revenge".parse::<Cause>().is_err());
    }
}
