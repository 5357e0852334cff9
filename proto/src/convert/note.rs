//! Operators' notes, on their way in and out.

use super::{WireError, invalid};
use crate::operator as wire;
use faultline_model::{
    CalendarEvent, Cause, CauseSource, Claim, CountryCode, IncidentId, Note, NoteBody, NoteId, Timestamp,
};
use wire::note_body::Body;

/// Writes a note.
#[must_use]
pub fn note_to_wire(note: &Note) -> wire::Note {
    wire::Note {
        id: note.id.to_string(),
        country: note.country.to_string(),
        noted_at_ms: note.noted_at.unix_ms(),
        withdrawn_at_ms: note.withdrawn_at.map_or(0, Timestamp::unix_ms),
        body: Some(note_body_to_wire(&note.body)),
    }
}

/// Writes what a note says.
#[must_use]
pub fn note_body_to_wire(body: &NoteBody) -> wire::NoteBody {
    let body = match body {
        NoteBody::Event(event) => Body::Event(wire::CalendarEvent {
            name: event.name.clone(),
            starts_at_ms: event.starts_at.unix_ms(),
            ends_at_ms: event.ends_at.unix_ms(),
            source: event.source.clone(),
        }),
        NoteBody::Claim(claim) => Body::Claim(wire::Claim {
            incident: claim.incident.to_string(),
            by: claim.by.clone(),
            words: claim.words.clone(),
            source: claim.source.clone(),
        }),
        NoteBody::Cause(cause) => Body::Cause(wire::CauseSource {
            incident: cause.incident.to_string(),
            cause: cause.cause.as_str().to_owned(),
            by: cause.by.clone(),
            words: cause.words.clone(),
            source: cause.source.clone(),
        }),
    };
    wire::NoteBody { body: Some(body) }
}

/// Reads a note.
///
/// # Errors
/// Names the first field that does not hold what it must.
pub fn note_from_wire(note: wire::Note) -> Result<Note, WireError> {
    let country: CountryCode = note.country.parse().map_err(|e: String| invalid("country", e))?;
    let body = note.body.ok_or_else(|| invalid("body", "is missing"))?;
    Ok(Note {
        id: NoteId::new(note.id).map_err(|e| invalid("id", e))?,
        country,
        noted_at: Timestamp::from_unix_ms(note.noted_at_ms),
        withdrawn_at: (note.withdrawn_at_ms != 0).then(|| Timestamp::from_unix_ms(note.withdrawn_at_ms)),
        body: note_body_from_wire(body, country)?,
    })
}

/// Reads what a note says; an event takes place in the country that is named beside it.
///
/// # Errors
/// Names the first field that does not hold what it must.
pub fn note_body_from_wire(body: wire::NoteBody, country: CountryCode) -> Result<NoteBody, WireError> {
    let incident = |text: String| IncidentId::new(text).map_err(|e| invalid("incident", e));
    let body = match body.body.ok_or_else(|| invalid("body", "is missing"))? {
        Body::Event(event) => NoteBody::Event(CalendarEvent {
            country,
            name: event.name,
            starts_at: Timestamp::from_unix_ms(event.starts_at_ms),
            ends_at: Timestamp::from_unix_ms(event.ends_at_ms),
            source: event.source,
        }),
        Body::Claim(claim) => NoteBody::Claim(Claim {
            incident: incident(claim.incident)?,
            by: claim.by,
            words: claim.words,
            source: claim.source,
        }),
        Body::Cause(cause) => NoteBody::Cause(CauseSource {
            incident: incident(cause.incident)?,
            cause: cause.cause.parse::<Cause>().map_err(|e| invalid("cause", e))?,
            by: cause.by,
            words: cause.words,
            source: cause.source,
        }),
    };
    body.validate().map_err(|e| invalid("body", e))?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_survives_the_wire_and_a_bad_one_is_refused() {
        let country = "PK".parse().expect("valid");
        let incident = IncidentId::new("i1").expect("valid");
        let bodies = [
            NoteBody::Event(CalendarEvent {
                country,
                name: "a rally".into(),
                starts_at: Timestamp::from_unix_ms(1_000),
                ends_at: Timestamp::from_unix_ms(2_000),
                source: "https://news.example/".into(),
            }),
            NoteBody::Cause(CauseSource {
                incident,
                cause: Cause::CableCut,
                by: "the cable's owner".into(),
                words: "cut near the shore".into(),
                source: "https://cable.example/".into(),
            }),
        ];
        for body in bodies {
            let note = Note {
                id: NoteId::new("n1").expect("valid"),
                country,
                noted_at: Timestamp::from_unix_ms(5),
                withdrawn_at: None,
                body,
            };
            assert_eq!(note_from_wire(note_to_wire(&note)).expect("readable"), note);
        }
        let bad = wire::NoteBody { body: Some(Body::Claim(wire::Claim::default())) };
        assert!(note_body_from_wire(bad, country).is_err());
    }
}
