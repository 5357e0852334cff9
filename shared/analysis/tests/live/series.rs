//! A series: three short blocks around three announced events, one with a mechanism of Nayatel's own, and a cable fault
//! during a fourth. Every question is asked of what the live detector published, as readers get it: as JSON.

use crate::scenarios::show;
use crate::simulator::{
    EPOCH, Fault, Hits, Ms, Outcome, PROVIDERS, Rule, SOCIAL, Scenario, asn, play, setup,
};
use faultline_analysis::detect::Setup;
use faultline_analysis::tell::{Audience, Context, Explanation, Sight, compare, explain};
use faultline_model::{
    CalendarEvent, Cause, CauseSource, Claim, Class, Incident, Note, NoteBody, NoteId, Status, Timestamp,
    Verdict,
};
use serde_json::Value;
use std::sync::OnceLock;

const MINUTE: Ms = 60_000;
const HOUR: Ms = 60 * MINUTE;
const WHOLE: Ms = 5 * HOUR + 30 * MINUTE;
/// Beginnings of the blocks, how long they last, and how long before the announced event they begin.
const BLOCKS: [Ms; 3] = [20 * MINUTE, 93 * MINUTE, 165 * MINUTE];
const LASTS: [Ms; 3] = [24 * MINUTE, 26 * MINUTE, 22 * MINUTE];
const LEAD: [Ms; 3] = [20 * MINUTE, 25 * MINUTE, 15 * MINUTE];
/// The event during which a cable breaks begins before that.
const FAULT: (Ms, Ms) = (4 * HOUR, 4 * HOUR + 52 * MINUTE);
const BROKEN: [usize; 3] = [3, 4, 6];
const NAYATEL: usize = 6;

struct Series {
    outcome: Outcome,
    setup: Setup,
    sights: Vec<Sight>,
    notes: Vec<Note>,
    blocks: Vec<Incident>,
    fault: Incident,
}

fn moment(at: Ms) -> Timestamp {
    Timestamp::from_unix_ms(EPOCH + at)
}

fn note(name: &str, body: NoteBody) -> Note {
    body.validate().expect("a valid note");
    let country = "PK".parse().expect("a code");
    Note { id: NoteId::new(name).expect("valid"), country, noted_at: moment(0), withdrawn_at: None, body }
}

fn event(name: &str, from: Ms, to: Ms) -> Note {
    let event = CalendarEvent {
        country: "PK".parse().expect("a code"),
        name: name.to_owned(),
        starts_at: moment(from),
        ends_at: moment(to),
        source: "https://news.example/announced".to_owned(),
    };
    note(name, NoteBody::Event(event))
}

fn claim(name: &str, incident: &Incident) -> Note {
    let claim = Claim {
        incident: incident.id.clone(),
        by: "PTA".to_owned(),
        words: "technical failure, nationwide".to_owned(),
        source: "https://pta.example/statement".to_owned(),
    };
    note(name, NoteBody::Claim(claim))
}

fn scenario() -> Scenario {
    let block = |number: usize, providers: Vec<usize>, class: Class| Rule {
        from: BLOCKS[number],
        to: BLOCKS[number] + LASTS[number],
        hits: Hits::Providers(providers),
        targets: SOCIAL.to_vec(),
        class,
    };
    let all: Vec<usize> = (0..PROVIDERS.len()).collect();
    let others: Vec<usize> = all.iter().copied().filter(|provider| *provider != NAYATEL).collect();
    Scenario {
        rules: vec![
            block(0, all.clone(), Class::TlsReset),
            block(1, others, Class::TlsReset),
            block(1, vec![NAYATEL], Class::DnsInjected),
            block(2, all, Class::TlsReset),
        ],
        faults: vec![Fault { from: FAULT.0, to: FAULT.1, providers: BROKEN.to_vec(), rate: 0.5 }],
        loss: 0.01,
        lasts: WHOLE,
        ..Scenario::default()
    }
}

/// Plays the series once for all tests.
fn series() -> &'static Series {
    static SERIES: OnceLock<Series> = OnceLock::new();
    SERIES.get_or_init(|| {
        let scenario = scenario();
        let outcome = play(&scenario, 1);
        println!("{}", show(&outcome));
        let said: Vec<&Incident> = outcome.incidents.iter().filter(|incident| !incident.retracted).collect();
        let blocks: Vec<Incident> = said
            .iter()
            .filter(|one| one.verdict == Verdict::CategoryBlock)
            .map(|one| (*one).clone())
            .collect();
        let faults: Vec<&&Incident> =
            said.iter().filter(|one| one.verdict == Verdict::TechnicalFailure).collect();
        assert_eq!((said.len(), blocks.len(), faults.len()), (4, 3, 1), "{}", show(&outcome));
        let fault = (*faults[0]).clone();
        let mut notes: Vec<Note> = (0..3)
            .map(|number| {
                let from = BLOCKS[number] + LEAD[number];
                event(["rally-one", "rally-two", "rally-three"][number], from, from + 30 * MINUTE)
            })
            .collect();
        notes.push(event("rally-four", 4 * HOUR - 20 * MINUTE, 5 * HOUR));
        notes
            .extend(blocks.iter().zip(["claim-a", "claim-b", "claim-c"]).map(|(one, name)| claim(name, one)));
        notes.push(claim("claim-d", &fault));
        let sights = outcome.stored.iter().map(Sight::from).collect();
        Series { setup: setup(&scenario), sights, notes, blocks, fault, outcome }
    })
}

impl Series {
    fn context<'a>(&'a self, incident: &'a Incident, notes: &'a [Note]) -> Context<'a> {
        Context {
            incident,
            incidents: &self.outcome.incidents,
            profile: &self.setup.profile,
            targets: &self.setup.targets,
            sights: &self.sights,
            notes,
            // What was recorded of quiet days beforehand.
            since: moment(-14 * 24 * HOUR),
            now: moment(WHOLE),
            period_s: 300.0,
            audience: Audience::Public,
        }
    }

    /// Explains an incident as readers get it.
    fn json(&self, incident: &Incident) -> Value {
        let said = explain(&self.context(incident, &self.notes));
        let value = serde_json::to_value(&said).expect("JSON");
        let back: Explanation = serde_json::from_value(value.clone()).expect("read back");
        assert_eq!(back, said, "what is written is read back as it was");
        value
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn answer<'a>(said: &'a Value, question: &str) -> &'a str {
    assert!(said[question]["against"].as_str().is_some_and(|against| !against.is_empty()), "{question}");
    said[question]["answer"].as_str().expect("an answer")
}

fn part<'a>(said: &'a Value, part: &str) -> &'a str {
    let parts = said["claims"][0]["parts"].as_array().expect("parts");
    let found = parts.iter().find(|one| one["part"] == part).unwrap_or_else(|| panic!("{part} in {parts:?}"));
    found["answer"].as_str().expect("an answer")
}

#[test]
fn the_blocks_began_and_ended_as_by_one_switch() {
    for block in &series().blocks {
        let said = series().json(block);
        for question in ["onsets", "restorations"] {
            assert_eq!(answer(&said, question), "one_switch", "{}", said[question]);
            assert_eq!(said[question]["moments"].as_array().map(Vec::len), Some(8), "{}", said[question]);
            assert!(number(&said[question]["range_s"]) < 150.0, "{}", said[question]);
            let odds = &said[question]["independent"];
            assert_eq!((&odds["words"], &odds["p"]), (&"below 1 in 10,000".into(), &1e-4.into()));
        }
    }
}

#[test]
fn the_blocks_single_out_social_services_and_the_fault_nothing() {
    for block in &series().blocks {
        let said = series().json(block);
        let selectivity = &said["selectivity"];
        assert_eq!(answer(&said, "selectivity"), "selective", "{selectivity}");
        assert!(number(&selectivity["index"]) > 0.8, "{selectivity}");
        assert_eq!((&selectivity["canaries_fine"], &selectivity["canaries"]), (&3.into(), &3.into()));
        let exclusivity = &selectivity["exclusivity"];
        assert_eq!(
            (&exclusivity["category"], &exclusivity["hits"]),
            (&"GRP".into(), &12.into()),
            "{exclusivity}"
        );
        assert_eq!(exclusivity["blind"]["words"], "below 1 in 10,000", "{exclusivity}");
        let hit: Vec<&str> = selectivity["services"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|one| one["service"].as_str())
            .collect();
        assert_eq!(hit, ["Facebook", "Instagram", "X", "YouTube"]);
    }
    let said = series().json(&series().fault);
    assert_eq!(answer(&said, "selectivity"), "not_selective", "{}", said["selectivity"]);
    assert!(number(&said["selectivity"]["index"]).abs() < 0.2, "{}", said["selectivity"]);
}

#[test]
fn the_blocks_are_filtering_the_fault_is_a_fault_and_nobody_is_named() {
    for block in &series().blocks {
        let said = series().json(block);
        assert_eq!(answer(&said, "nature"), "filtering", "{}", said["nature"]);
        assert_eq!(said["cause"]["cause"], "UNKNOWN");
        assert!(
            said["incident"]["model_score_is"].as_str().is_some_and(|text| text.starts_with("a model score"))
        );
    }
    let said = series().json(&series().fault);
    assert_eq!(answer(&said, "nature"), "fault", "{}", said["nature"]);
    assert_eq!(
        (&said["incident"]["verdict"], &said["cause"]["cause"]),
        (&"technical_failure".into(), &"UNKNOWN".into())
    );
    assert_eq!(series().fault.status, Status::Confirmed);
}

#[test]
fn minutes_before_the_announced_events_are_told() {
    for (number_of, block) in series().blocks.iter().enumerate() {
        let said = series().json(block);
        assert_eq!(answer(&said, "announced"), "before_event", "{}", said["announced"]);
        let event = &said["announced"]["event"];
        assert_eq!(event["name"], ["rally-one", "rally-two", "rally-three"][number_of]);
        let lead = f64::from(i32::try_from(LEAD[number_of] / MINUTE).expect("small"));
        assert!((number(&event["lead_min"]) - lead).abs() < 1.5, "{event}");
    }
    let last = series().json(&series().blocks[2]);
    let met = &last["announced"]["series"];
    assert_eq!((&met["met"], &met["incidents"]), (&3.into(), &3.into()));
    assert_eq!(met["chance"]["words"], "below 1 in 10,000", "{met}");
    let fault = series().json(&series().fault);
    assert_eq!(answer(&fault, "announced"), "during_event", "{}", fault["announced"]);
    assert_eq!(fault["announced"]["event"]["name"], "rally-four");
}

#[test]
fn hours_are_counted_per_provider_and_service_over_the_series() {
    let said = series().json(&series().blocks[2]);
    let lost = &said["hours_lost"];
    assert_eq!(lost["episodes"].as_array().map(Vec::len), Some(3), "{lost}");
    let rows = lost["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 8 * 4, "eight providers, four services");
    let truth = 1.2;
    for row in rows {
        assert!((number(&row["hours"]) - truth).abs() < 0.1 && row["episodes"] == 3, "{row}");
    }
    let fault = series().json(&series().fault);
    let rows = fault["hours_lost"]["rows"].as_array().expect("rows");
    assert!(rows.iter().all(|row| row["service"] == "everything") && rows.len() == 3, "{rows:?}");
}

#[test]
fn users_are_affected_cleared_or_unknown() {
    let said = series().json(&series().blocks[0]);
    assert!(number(&said["users"]["affected"]) > 0.99, "{}", said["users"]);
    let fault = series().json(&series().fault);
    let users = &fault["users"];
    assert!((number(&users["affected"]) - 0.26).abs() < 0.01, "{users}");
    assert!((number(&users["cleared"]) - 0.74).abs() < 0.01, "{users}");
    for provider in users["providers"].as_array().expect("providers") {
        let is_broken = BROKEN.iter().any(|broken| provider["asn"] == PROVIDERS[*broken].0);
        assert_eq!(provider["stance"], if is_broken { "affected" } else { "cleared" }, "{provider}");
    }
}

#[test]
fn later_blocks_resemble_earlier_ones_and_the_fault_none() {
    let [first, second, third] = series().blocks.as_slice() else { panic!("three blocks") };
    let ids = |said: &Value| -> Vec<String> {
        let alike = said["resembles"]["incidents"].as_array().expect("a list").iter();
        alike.filter_map(|one| one["id"].as_str().map(str::to_owned)).collect()
    };
    assert!(ids(&series().json(first)).is_empty(), "nothing came before");
    assert_eq!(ids(&series().json(second)), [first.id.to_string()]);
    let said = series().json(third);
    let mut alike = ids(&said);
    alike.sort();
    let mut earlier = [first.id.to_string(), second.id.to_string()];
    earlier.sort();
    assert_eq!(alike, earlier);
    let parts = &said["resembles"]["incidents"][0]["parts"];
    assert_eq!((number(&parts["targets"]), number(&parts["networks"])), (1.0, 1.0), "{parts}");
    let fault = series().json(&series().fault);
    assert_eq!(answer(&fault, "resembles"), "none", "{}", fault["resembles"]);
    assert_eq!(fault["resembles"]["compared"], 3);
    assert!(number(&fault["resembles"]["highest"]) < 0.6);
}

#[test]
fn the_same_claim_is_contradicted_for_the_blocks_and_supported_for_the_fault() {
    for block in &series().blocks {
        let said = series().json(block);
        assert_eq!(part(&said, "technical_failure"), "contradicted", "{}", said["claims"]);
        assert_eq!(part(&said, "nationwide"), "supported", "{}", said["claims"]);
        assert_eq!(part(&said, "intent"), "cannot_tell");
    }
    let said = series().json(&series().fault);
    assert_eq!(part(&said, "technical_failure"), "supported", "{}", said["claims"]);
    assert_eq!(part(&said, "nationwide"), "contradicted", "{}", said["claims"]);
    assert_eq!(part(&said, "intent"), "cannot_tell");
}

#[test]
fn nayatel_did_its_own_in_one_and_the_same_as_the_others_in_two() {
    let nayatel = asn(PROVIDERS[NAYATEL].0);
    let said: Vec<_> = series()
        .blocks
        .iter()
        .map(|block| compare(&series().context(block, &series().notes), nayatel))
        .collect();
    for (number, comparison) in said.iter().enumerate() {
        let is_own = number == 1;
        assert_eq!(comparison.own_mechanism, is_own, "{comparison:?}");
        assert_eq!(comparison.said.answer, if is_own { "differently" } else { "the_same" }, "{comparison:?}");
        let onset = comparison.onset.as_ref().expect("known");
        assert_eq!(onset.answer, "with_the_others", "{onset:?}");
        assert_eq!(comparison.services_shared, ["Facebook", "Instagram", "X", "YouTube"]);
    }
    assert_eq!(said[1].mechanism.as_deref(), Some("dns_injected"));
    let jazz = compare(&series().context(&series().fault, &series().notes), asn(PROVIDERS[0].0));
    assert_eq!(jazz.said.answer, "not_affected", "{jazz:?}");
}

#[test]
fn a_cause_is_told_only_as_somebody_elses_word() {
    let fault = &series().fault;
    let says = |name: &str, cause: Cause, by: &str| {
        let source = CauseSource {
            incident: fault.id.clone(),
            cause,
            by: by.to_owned(),
            words: "cut near the shore".to_owned(),
            source: "https://cable.example/notice".to_owned(),
        };
        note(name, NoteBody::Cause(source))
    };
    let mut notes = vec![says("source-a", Cause::CableCut, "the cable's owner")];
    let cause = explain(&series().context(fault, &notes)).cause;
    assert_eq!((cause.cause.as_str(), cause.sources.len()), ("CABLE_CUT", 1));
    assert!(cause.sentence.starts_with("according to the cable's owner"), "{}", cause.sentence);
    notes.push(says("source-b", Cause::PowerOutage, "a newspaper"));
    assert_eq!(explain(&series().context(fault, &notes)).cause.cause, "DISPUTED");
    notes.iter_mut().for_each(|note| note.withdrawn_at = Some(moment(WHOLE)));
    assert_eq!(explain(&series().context(fault, &notes)).cause.cause, "UNKNOWN");
    // No note changes an answer about what happened.
    let with = explain(&series().context(fault, &series().notes));
    let without = explain(&series().context(fault, &[]));
    assert_eq!(
        (with.nature, with.selectivity, with.users),
        (without.nature, without.selectivity, without.users)
    );
}
