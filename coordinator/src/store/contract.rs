//! What every store must do. `store_contract!` makes one test per promise; its argument opens the store that a
//! directory holds, and may be called again for the same directory.

mod apart;

pub(super) use apart::{
    a_release_survives_and_never_shrinks, handshakes_and_diagnoses_are_told_apart_from_the_rest,
};

use super::{
    AgentRecord, AppendOutcome, Archive, Budget, ImportedRecord, InviteRecord, NewMeasurement, PresenceEvent,
    PresenceKind, Redeemed, Registry,
};
use faultline_model::{
    AgentId, Asn, Category, CheckKind, Class, Depth, Engine, Fact, Failure, Incident, IncidentId, Judgement,
    Layer, LayerStatus, Measurement, MeasurementId, Observation, Record, Revision, Status, Target, Timestamp,
    Verdict, Why,
};
use faultline_runtime::{OperatorKey, OperatorRoot};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Makes the tests of a store.
macro_rules! store_contract {
    ($open:expr) => {
        $crate::store::contract::store_contract!($open;
            an_invite_is_good_once_and_a_repeated_request_gets_the_same_agent,
            a_lapsed_unknown_or_other_kind_of_invite_is_refused,
            what_agents_said_last_survives,
            lists_and_the_root_survive,
            generations_rise_over_restarts,
            a_measurement_is_stored_once_and_a_conflict_is_told,
            what_others_measured_is_stored_once_and_apart,
            measurements_come_back_in_order_as_they_were,
            judgements_are_noted_and_counted_by_cell,
            revisions_are_never_lost_and_an_older_state_never_wins,
            incidents_are_paged_newest_first,
            old_rows_go_and_positions_are_not_reused,
            presence_survives,
            handshakes_and_diagnoses_are_told_apart_from_the_rest,
            a_release_survives_and_never_shrinks,
            a_note_is_kept_once_and_a_withdrawn_one_stays_readable,
            judgements_are_read_back_by_country_and_arrival,
            one_failing_operation_does_not_spoil_others);
    };
    ($open:expr; $($name:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            let dir = tempfile::tempdir().expect("temporary directory");
            $crate::store::contract::$name(dir.path(), $open).await;
        })+
    };
}
pub(super) use super::contract_notes::{
    a_note_is_kept_once_and_a_withdrawn_one_stays_readable, judgements_are_read_back_by_country_and_arrival,
};
pub(super) use store_contract;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn asn(number: u32) -> Asn {
    Asn::new(number).expect("valid")
}

fn invite(token: u8, control: bool) -> InviteRecord {
    InviteRecord {
        token: [token; 32],
        country: "PK".parse().expect("valid"),
        asn: Some(asn(23674)),
        control,
        cohort: "friends".into(),
        created_at: at(1_000),
        expires_at: at(10_000),
    }
}

fn agent(name: &str) -> AgentRecord {
    AgentRecord {
        id: AgentId::new(name).expect("valid"),
        country: "XX".parse().expect("valid"),
        asn: None,
        control: false,
        cohort: String::new(),
        agent_version: "0.1.0".into(),
        kinds: vec![CheckKind::Web],
        budget: Budget::Small,
        consent_version: "1".into(),
        enrolled_at: at(2_000),
        last_seen: None,
        paused: false,
        request: [name.len() as u8; 32],
    }
}

pub(crate) fn measurement(id: &str, received_at: i64) -> NewMeasurement {
    NewMeasurement {
        measurement: Measurement {
            id: MeasurementId::new(id).expect("valid"),
            check: CheckKind::Web,
            target: Target::new("https://x.com/").expect("valid"),
            depth: Depth::Light,
            why: Why::Routine,
            token: None,
            list_version: 1,
            started_at: at(received_at - 500),
            duration: Duration::from_millis(80),
            parent: None,
            observations: vec![Observation {
                layer: Layer::Tls,
                engine: Engine::System,
                hop: 0,
                peer: None,
                at: Duration::from_millis(20),
                took: Duration::from_millis(60),
                failure: Some(Failure::ConnectionReset),
                fact: Fact::None,
            }],
        },
        agent: AgentId::new("a1").expect("valid"),
        asn: Some(asn(23674)),
        country: "PK".parse().expect("valid"),
        control: false,
        is_home_network: true,
        why: Why::Routine,
        received_at: at(received_at),
        clock_offset_ms: -7,
    }
}

pub(super) fn incident(id: &str, onset: i64, revision: u32) -> Incident {
    let target = Target::new("https://x.com/").expect("valid");
    let revisions = (1..=revision).map(|revision| Revision {
        revision,
        published_at: at(onset + i64::from(revision)),
        verdict: Verdict::IspBlock,
        status: Status::Suspected,
        asns: vec![asn(23674)],
        targets: vec![target.clone()],
        confidence: 0.5,
        end: None,
        retracted: false,
        change: format!("revision {revision}"),
    });
    Incident {
        id: IncidentId::new(id).expect("valid"),
        country: "PK".parse().expect("valid"),
        revision,
        status: Status::Suspected,
        verdict: Verdict::IspBlock,
        confidence: 0.5,
        headline: format!("headline {revision}"),
        services: vec![],
        targets: vec![target.clone()],
        asns: vec![asn(23674)],
        agents: vec![],
        onset: at(onset),
        end: None,
        onset_by_asn: BTreeMap::new(),
        end_by_asn: BTreeMap::new(),
        onset_interval_by_asn: BTreeMap::new(),
        detected_at: at(onset + 1),
        transit: None,
        basis: None,
        reach: None,
        retracted: false,
        mechanisms: BTreeMap::new(),
        mechanism_by_asn: BTreeMap::new(),
        user_share: [0.1, 0.2, 0.7],
        evidence: vec!["evidence".into()],
        revisions: revisions.collect(),
    }
}

pub(super) async fn an_invite_is_good_once_and_a_repeated_request_gets_the_same_agent<S: Registry>(
    dir: &Path,
    open: impl Fn(&Path) -> S,
) {
    let store = open(dir);
    store.add_invites(vec![invite(1, false)]).await.expect("kept");
    let mut elsewhere = agent("first");
    elsewhere.asn = Some(asn(17557));
    let Redeemed::Agent(kept, differs) = store.redeem([1; 32], elsewhere).await.expect("asked") else {
        panic!("a good invite was refused")
    };
    assert_eq!(
        (kept.country.to_string().as_str(), kept.cohort.as_str()),
        ("PK", "friends"),
        "the invite decides"
    );
    assert_eq!((kept.asn, differs), (Some(asn(17557)), true), "the look-up wins and the difference is told");
    drop(store);
    let store = open(dir);
    assert_eq!(store.redeem([1; 32], agent("another")).await.expect("asked"), Redeemed::Refused);
    let repeat = AgentRecord { request: kept.request, ..agent("other-name") };
    assert_eq!(store.redeem([1; 32], repeat).await.expect("asked"), Redeemed::Agent(kept.clone(), false));
    assert_eq!(store.agents().await.expect("listed"), vec![*kept]);
}

pub(super) async fn a_lapsed_unknown_or_other_kind_of_invite_is_refused<S: Registry>(
    dir: &Path,
    open: impl Fn(&Path) -> S,
) {
    let store = open(dir);
    store.add_invites(vec![invite(1, false), invite(2, true)]).await.expect("kept");
    let late = AgentRecord { enrolled_at: at(10_001), ..agent("late") };
    for (token, agent) in [([1; 32], late), ([9; 32], agent("unknown")), ([2; 32], agent("no-control"))] {
        assert_eq!(store.redeem(token, agent).await.expect("asked"), Redeemed::Refused);
    }
    assert!(store.agents().await.expect("listed").is_empty());
    let expected = store.redeem([1; 32], agent("good")).await.expect("asked");
    assert!(matches!(expected, Redeemed::Agent(kept, false) if kept.asn == Some(asn(23674))));
}

pub(super) async fn what_agents_said_last_survives<S: Registry>(dir: &Path, open: impl Fn(&Path) -> S) {
    let store = open(dir);
    store.add_invites(vec![invite(1, false)]).await.expect("kept");
    let Redeemed::Agent(mut kept, _) = store.redeem([1; 32], agent("a")).await.expect("asked") else {
        panic!("refused")
    };
    kept.last_seen = Some(at(5_000));
    kept.paused = true;
    kept.agent_version = "0.2.0".into();
    kept.budget = Budget::Standard;
    store.note_agents(vec![(*kept).clone()]).await.expect("noted");
    drop(store);
    assert_eq!(open(dir).agents().await.expect("listed"), vec![*kept]);
}

pub(super) async fn lists_and_the_root_survive<S: Registry>(dir: &Path, open: impl Fn(&Path) -> S) {
    let store = open(dir);
    assert_eq!(store.operator_root().await.expect("asked"), None);
    let key = OperatorKey::generate().expect("key");
    let root = OperatorRoot::single(&key);
    let list = |document: &[u8]| faultline_model::SignedList {
        document: document.to_vec(),
        signatures: vec![key.sign(document)],
    };
    store.keep_list(3, list(b"three"), root.clone()).await.expect("kept");
    store.keep_list(12, list(b"twelve"), root.clone()).await.expect("kept");
    assert!(
        store.keep_list(12, list(b"another"), root.clone()).await.is_err(),
        "a version is never replaced"
    );
    drop(store);
    let store = open(dir);
    assert_eq!(store.lists().await.expect("read"), vec![list(b"three"), list(b"twelve")]);
    assert_eq!(store.operator_root().await.expect("asked"), Some(root));
}

pub(super) async fn generations_rise_over_restarts<S: Registry>(dir: &Path, open: impl Fn(&Path) -> S) {
    let store = open(dir);
    let first = store.next_generation(1).await.expect("counted");
    let second = store.next_generation(100).await.expect("counted");
    drop(store);
    let third = open(dir).next_generation(1).await.expect("counted");
    assert_eq!((first, second, third), (1, 100, 101));
}

pub(super) async fn a_measurement_is_stored_once_and_a_conflict_is_told<S: Archive>(
    dir: &Path,
    open: impl Fn(&Path) -> S,
) {
    let store = open(dir);
    let row = measurement("m1", 10_000);
    let mut altered = row.clone();
    altered.measurement.duration = Duration::from_millis(81);
    let mut stolen = row.clone();
    stolen.agent = AgentId::new("thief").expect("valid");
    let mut later = row.clone();
    later.received_at = at(20_000);
    let batch = vec![row.clone(), row.clone(), altered.clone(), measurement("m2", 10_000)];
    let conflict = AppendOutcome::Conflict(MeasurementId::new("m1").expect("valid"));
    let (stored, duplicate) = (AppendOutcome::Stored, AppendOutcome::Duplicate);
    let expected = vec![stored.clone(), duplicate.clone(), conflict.clone(), stored];
    assert_eq!(store.append(batch).await.expect("stored"), expected);
    drop(store);
    let store = open(dir);
    let again = store.append(vec![later, altered, stolen]).await.expect("asked");
    assert_eq!(again, vec![duplicate, conflict.clone(), conflict]);
    assert_eq!(store.measurements_after(0, 10).await.expect("read").measurements.len(), 2);
    assert_eq!(store.counts().await.expect("counted"), vec![(AgentId::new("a1").expect("valid"), 2)]);
}

pub(super) async fn what_others_measured_is_stored_once_and_apart<S: Archive>(
    dir: &Path,
    open: impl Fn(&Path) -> S,
) {
    let store = open(dir);
    store.append(vec![measurement("live", 1_000)]).await.expect("stored");
    let imported = |id: &str, started_at: i64| ImportedRecord {
        record: Record {
            id: MeasurementId::new(id).expect("valid"),
            agent: AgentId::new("theirs").expect("valid"),
            asn: asn(23674),
            country: "PK".parse().expect("valid"),
            target: Target::new("https://x.com/").expect("valid"),
            category: Category::new("GRP").expect("valid"),
            started_at: at(started_at),
            received_at: at(started_at),
            check: CheckKind::Web,
            class: Class::TlsReset,
            control_ok: Some(true),
            why: Why::Routine,
            control: false,
        },
        source: "a survey".into(),
        imported_at: at(5_000),
    };
    let rows = vec![imported("one", 1), imported("one", 1), imported("live", 1), imported("two", 2)];
    use AppendOutcome::{Conflict, Duplicate, Stored};
    assert_eq!(store.append_imported(rows).await.expect("stored"), [Stored, Duplicate, Duplicate, Stored]);
    let changed = imported("one", 9);
    let id = changed.record.id.clone();
    assert_eq!(store.append_imported(vec![changed]).await.expect("answered"), [Conflict(id)]);
    drop(store);
    let store = open(dir);
    let kept = store.imported_after(0, 10).await.expect("read");
    let ids: Vec<&str> = kept.iter().map(|(_, record)| record.id.as_str()).collect();
    assert_eq!(ids, ["one", "two"]);
    assert_eq!(store.imported_after(kept[0].0, 10).await.expect("read").len(), 1);
    assert_eq!(store.measurements_after(0, 10).await.expect("read").measurements.len(), 1, "kept apart");
    assert_eq!(store.prune(at(6_000), 10).await.expect("pruned"), 3, "and forgotten as the rest is");
}

pub(super) async fn measurements_come_back_in_order_as_they_were<S: Archive>(
    dir: &Path,
    open: impl Fn(&Path) -> S,
) {
    let store = open(dir);
    let mut odd = measurement("odd", 2_000);
    odd.asn = None;
    odd.control = true;
    odd.is_home_network = false;
    odd.why = Why::Confirmation;
    let rows = vec![measurement("first", 1_000), odd, measurement("third", 3_000)];
    store.append(rows.clone()).await.expect("stored");
    let read = store.measurements_after(0, 10).await.expect("read").measurements;
    assert_eq!(read.iter().map(|stored| stored.row.clone()).collect::<Vec<_>>(), rows);
    assert!(read.windows(2).all(|pair| pair[0].position < pair[1].position));
    let middle = store.position_at(at(2_000)).await.expect("found");
    let rest = store.measurements_after(middle, 1).await.expect("read");
    assert!(rest.is_full);
    assert_eq!(rest.measurements[0].row.measurement.id.as_str(), "odd");
    let end = store.position_at(at(9_000)).await.expect("found");
    let nothing = store.measurements_after(end, 10).await.expect("read");
    assert!(nothing.measurements.is_empty() && !nothing.is_full && nothing.position == end);
}

pub(super) async fn judgements_are_noted_and_counted_by_cell<S: Archive>(
    dir: &Path,
    open: impl Fn(&Path) -> S,
) {
    let store = open(dir);
    let mut quic = measurement("quic", 3_900_000);
    quic.measurement.check = CheckKind::Quic;
    let rows =
        vec![measurement("a", 3_700_000), measurement("b", 3_800_000), measurement("c", 7_300_000), quic];
    store.append(rows).await.expect("stored");
    let judged = |class: Class| Judgement {
        class,
        layer: class.layer(),
        status: LayerStatus::Blocked,
        rule: "test".into(),
        hop: 2,
        evidence: vec![0, 3],
    };
    let read = store.measurements_after(0, 10).await.expect("read").measurements;
    let classes = [Class::TlsReset, Class::Ok, Class::LocalNetworkDown, Class::TlsTimeout];
    let judgements = read.iter().zip(classes).map(|(stored, class)| (stored.position, judged(class)));
    store.note_judgements(judgements.collect()).await.expect("noted");
    let read = store.measurements_after(0, 1).await.expect("read").measurements;
    assert_eq!(read[0].judgement, Some(judged(Class::TlsReset)));
    let counts = store.cell_counts(at(0)).await.expect("counted");
    let [count] = counts.as_slice() else { panic!("{counts:?}") };
    assert_eq!((count.hour, count.measurements, count.anomalies), (at(3_600_000), 2, 1));
}

pub(super) async fn revisions_are_never_lost_and_an_older_state_never_wins<S: Registry>(
    dir: &Path,
    open: impl Fn(&Path) -> S,
) {
    let store = open(dir);
    let (second, third) = (incident("i1", 1_000, 2), incident("i1", 1_000, 3));
    store.keep_incidents(vec![third.clone(), second]).await.expect("kept");
    drop(store);
    let store = open(dir);
    let id = IncidentId::new("i1").expect("valid");
    assert_eq!(store.incident(id).await.expect("read"), Some(third));
    assert_eq!(store.incident(IncidentId::new("none").expect("valid")).await.expect("read"), None);
}

pub(super) async fn incidents_are_paged_newest_first<S: Registry>(dir: &Path, open: impl Fn(&Path) -> S) {
    let store = open(dir);
    let mut foreign = incident("x", 9_000, 1);
    foreign.country = "IN".parse().expect("valid");
    let incidents = vec![incident("a", 1_000, 1), incident("b", 3_000, 1), incident("c", 3_000, 1), foreign];
    store.keep_incidents(incidents).await.expect("kept");
    let pakistan = Some("PK".parse().expect("valid"));
    let names = |page: Vec<Incident>| page.iter().map(|one| one.id.to_string()).collect::<Vec<_>>().join("");
    assert_eq!(names(store.incidents(None, None, 10).await.expect("read")), "xbca");
    assert_eq!(names(store.incidents(pakistan, None, 2).await.expect("read")), "bc");
    let after = IncidentId::new("b").expect("valid");
    assert_eq!(names(store.incidents(pakistan, Some(after), 2).await.expect("read")), "ca");
    let unknown = IncidentId::new("unknown").expect("valid");
    assert_eq!(names(store.incidents(pakistan, Some(unknown), 2).await.expect("read")), "");
}

pub(super) async fn old_rows_go_and_positions_are_not_reused<S: Archive>(
    dir: &Path,
    open: impl Fn(&Path) -> S,
) {
    let store = open(dir);
    store.append(vec![measurement("a", 1_000), measurement("b", 2_000)]).await.expect("stored");
    let last = store.measurements_after(0, 10).await.expect("read").measurements[1].position;
    assert_eq!(store.prune(at(5_000), 1).await.expect("pruned"), 1);
    assert_eq!(store.prune(at(5_000), 10).await.expect("pruned"), 1);
    assert_eq!(store.position_at(at(0)).await.expect("found"), last);
    store.append(vec![measurement("c", 6_000)]).await.expect("stored");
    assert!(store.measurements_after(0, 10).await.expect("read").measurements[0].position > last);
}

pub(super) async fn presence_survives<S: Archive>(dir: &Path, open: impl Fn(&Path) -> S) {
    let event = |ms, agent: Option<&str>, kind| PresenceEvent {
        agent: agent.map(|name| AgentId::new(name).expect("valid")),
        asn: agent.map(|_| asn(23674)),
        at: at(ms),
        kind,
        clock_offset_ms: -3,
        spooled: 4,
    };
    let events = vec![
        event(1_000, None, PresenceKind::Beat),
        event(2_000, Some("a"), PresenceKind::Came),
        event(3_000, Some("a"), PresenceKind::Went),
    ];
    let store = open(dir);
    store.append_presence(events.clone()).await.expect("stored");
    drop(store);
    let store = open(dir);
    assert_eq!(store.presence_since(at(0), 10).await.expect("read"), events);
    assert_eq!(store.presence_since(at(1_500), 1).await.expect("read"), events[1..2]);
}

pub(super) async fn one_failing_operation_does_not_spoil_others<S: Registry + Archive>(
    dir: &Path,
    open: impl Fn(&Path) -> S,
) {
    let store = open(dir);
    store.add_invites(vec![invite(1, false)]).await.expect("kept");
    // The second invite's token is taken, so the whole operation fails, its first invite included.
    let failing = store.add_invites(vec![invite(2, false), invite(1, false)]);
    let (failed, stored) = tokio::join!(failing, store.append(vec![measurement("m", 1_000)]));
    assert!(failed.is_err());
    assert_eq!(stored.expect("stored"), vec![AppendOutcome::Stored]);
    assert_eq!(store.redeem([2; 32], agent("a")).await.expect("asked"), Redeemed::Refused);
}
