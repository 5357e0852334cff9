//! What every store must do with notes and with judgements that are read back: a part of the contract.

use super::contract::measurement;
use super::{Archive, JudgedSpan, Registry};
use faultline_model::{CalendarEvent, Class, Judgement, LayerStatus, Note, NoteBody, NoteId, Timestamp};
use std::path::Path;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn note(id: &str, noted_at: i64) -> Note {
    let country = "PK".parse().expect("valid");
    Note {
        id: NoteId::new(id).expect("valid"),
        country,
        noted_at: at(noted_at),
        withdrawn_at: None,
        body: NoteBody::Event(CalendarEvent {
            country,
            name: format!("rally {id}"),
            starts_at: at(10_000),
            ends_at: at(20_000),
            source: "https://news.example/".into(),
        }),
    }
}

pub(super) async fn a_note_is_kept_once_and_a_withdrawn_one_stays_readable<S: Registry>(
    dir: &Path,
    open: impl Fn(&Path) -> S,
) {
    let store = open(dir);
    let (first, second) = (note("n1", 1_000), note("n2", 2_000));
    assert_eq!(store.keep_note(second.clone()).await.expect("kept"), second);
    assert_eq!(store.keep_note(first.clone()).await.expect("kept"), first);
    let again = Note { noted_at: at(9_000), ..first.clone() };
    assert_eq!(store.keep_note(again).await.expect("kept"), first, "kept as it was first");
    assert!(store.withdraw_note(first.id.clone(), at(5_000)).await.expect("withdrawn"));
    assert!(store.withdraw_note(first.id.clone(), at(6_000)).await.expect("withdrawn"));
    assert!(!store.withdraw_note(NoteId::new("none").expect("valid"), at(7_000)).await.expect("asked"));
    drop(store);
    let withdrawn = Note { withdrawn_at: Some(at(5_000)), ..first };
    let country = "PK".parse().expect("valid");
    assert_eq!(open(dir).notes(country).await.expect("read"), [withdrawn, second]);
    assert_eq!(open(dir).notes("IN".parse().expect("valid")).await.expect("read"), []);
}

pub(super) async fn judgements_are_read_back_by_country_and_arrival<S: Archive>(
    dir: &Path,
    open: impl Fn(&Path) -> S,
) {
    let store = open(dir);
    assert_eq!(store.first_received().await.expect("read"), None);
    let mut foreign = measurement("foreign", 2_000);
    foreign.country = "IN".parse().expect("valid");
    let mut control = measurement("control", 3_000);
    (control.control, control.country) = (true, "DE".parse().expect("valid"));
    let rows = vec![measurement("a", 1_000), foreign, control, measurement("unjudged", 4_000)];
    store.append(rows).await.expect("stored");
    let read = store.measurements_after(0, 3).await.expect("read").measurements;
    let judged = Judgement {
        class: Class::TlsReset,
        layer: Class::TlsReset.layer(),
        status: LayerStatus::Blocked,
        rule: "test".into(),
        hop: 0,
        evidence: vec![],
    };
    let judgements = read.iter().map(|stored| (stored.position, judged.clone()));
    store.note_judgements(judgements.collect()).await.expect("noted");
    let span = |from, to| JudgedSpan { country: "PK".parse().expect("valid"), from: at(from), to: at(to) };
    let rows = store.judged_between(span(0, 9_000), 10).await.expect("read");
    let [own, control] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((own.control, own.class, own.started_at), (false, Class::TlsReset, at(500)));
    assert_eq!((control.control, control.status), (true, LayerStatus::Blocked));
    assert_eq!(store.judged_between(span(1_001, 3_000), 10).await.expect("read"), []);
    assert_eq!(store.judged_between(span(0, 9_000), 1).await.expect("read").len(), 1);
    assert_eq!(store.first_received().await.expect("read"), Some(at(1_000)));
}
