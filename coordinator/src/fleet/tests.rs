//! Who counts as there, and who hears of a plan.

use super::*;
use faultline_model::{Depth, Target, TaskToken};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_000_000_000_000 + seconds * 1000)
}

fn id(name: &str) -> AgentId {
    AgentId::new(name).expect("valid")
}

fn record(name: &str, budget: Budget) -> AgentRecord {
    AgentRecord {
        id: id(name),
        country: "PK".parse().expect("valid"),
        asn: Asn::new(23674).ok(),
        control: false,
        cohort: String::new(),
        agent_version: String::new(),
        kinds: vec![CheckKind::Web],
        budget,
        consent_version: "1".into(),
        enrolled_at: at(-1000),
        last_seen: None,
        paused: false,
        request: [0; 32],
    }
}

fn greeting(budget: Budget) -> Greeting {
    Greeting {
        agent_version: "0.1.0".into(),
        kinds: vec![CheckKind::Web],
        unmeasured: vec![],
        budget,
        paused: false,
        list_version: 1,
        clock_offset_ms: 0,
    }
}

fn beat(paused: bool, seconds: i64) -> Beat {
    Beat { clock_ms: at(seconds).unix_ms() + 70, paused, spooled: 3 }
}

fn task() -> Task {
    Task {
        check: CheckKind::Web,
        target: Target::new("https://x.com/").expect("valid"),
        depth: Depth::Light,
        token: TaskToken::from_bytes([1; 16]),
    }
}

fn open(budget: Budget) -> (Fleet, Line) {
    let fleet = Fleet::new(vec![record("a", budget)]);
    let (line, _) = fleet.connect(&id("a"), None, greeting(budget), at(0)).expect("known");
    (fleet, line)
}

fn candidates(fleet: &Fleet, now: Timestamp) -> usize {
    fleet.candidates(&Countries::default(), (CheckKind::Web, None, 1), now).len()
}

#[test]
fn an_agent_without_a_beat_is_silent_though_its_line_looks_open() {
    for (budget, silent_after) in [(Budget::Standard, 45), (Budget::Small, 180)] {
        let (fleet, _line) = open(budget);
        assert_eq!(candidates(&fleet, at(silent_after - 1)), 1);
        assert_eq!(candidates(&fleet, at(silent_after)), 0);
        assert!(!fleet.views(at(silent_after))[0].is_connected);
        fleet.beat(&id("a"), &beat(false, silent_after), at(silent_after));
        assert_eq!(candidates(&fleet, at(silent_after + 1)), 1);
        assert_eq!(fleet.clock_offset_ms(&id("a")), 70);
    }
}

#[test]
fn a_paused_agent_is_neither_planned_for_nor_asked() {
    let (fleet, _line) = open(Budget::Standard);
    assert!(fleet.beat(&id("a"), &beat(true, 1), at(1)), "a change is told");
    assert!(!fleet.beat(&id("a"), &beat(true, 2), at(2)), "only once");
    assert_eq!(candidates(&fleet, at(2)), 0);
    assert!(fleet.plannable(&Countries::default(), at(2)).is_empty());
}

#[test]
fn an_agent_is_not_asked_about_categories_that_it_does_not_measure() {
    let fleet = Fleet::new(vec![record("a", Budget::Standard)]);
    let religion = Category::new("REL").expect("valid");
    let greeting = Greeting { unmeasured: vec![religion.clone()], ..greeting(Budget::Standard) };
    let _line = fleet.connect(&id("a"), None, greeting, at(0)).expect("known");
    let other = Category::new("GRP").expect("valid");
    for (category, expected) in [(Some(&religion), 0), (Some(&other), 1), (None, 1)] {
        let wanted = (CheckKind::Web, category, 1);
        assert_eq!(fleet.candidates(&Countries::default(), wanted, at(1)).len(), expected);
    }
    assert_eq!(fleet.plannable(&Countries::default(), at(1))[0].unmeasured, [religion]);
}

#[test]
fn an_agent_that_went_is_planned_for_some_minutes_more() {
    let (fleet, line) = open(Budget::Standard);
    assert!(fleet.disconnect(&id("a"), line.number, at(10)));
    assert_eq!(fleet.plannable(&Countries::default(), at(309)).len(), 1);
    assert_eq!(fleet.next_departure(at(11)), Some(at(310)));
    assert!(fleet.plannable(&Countries::default(), at(310)).is_empty());
}

#[test]
fn an_older_stream_s_end_does_not_take_the_newer_one_s_presence() {
    let (fleet, mut older) = open(Budget::Standard);
    let (newer, replaced) = fleet.connect(&id("a"), None, greeting(Budget::Standard), at(1)).expect("known");
    assert!(replaced && older.mailbox.try_recv().is_err());
    assert!(!fleet.disconnect(&id("a"), older.number, at(2)));
    assert!(fleet.views(at(2))[0].is_connected);
    assert!(fleet.disconnect(&id("a"), newer.number, at(3)));
}

#[test]
fn a_full_mailbox_refuses_and_a_stranger_has_none() {
    let (fleet, _line) = open(Budget::Standard);
    assert!((0..MAILBOX).all(|_| fleet.send(&id("a"), task())));
    assert!(!fleet.send(&id("a"), task()));
    assert!(!fleet.send(&id("stranger"), task()));
    assert!(fleet.connect(&id("stranger"), None, greeting(Budget::Standard), at(0)).is_none());
}

#[test]
fn a_plan_reaches_whom_it_is_about_and_leaves_others_what_they_have() {
    let (fleet, line) = open(Budget::Standard);
    fleet.add(record("away", Budget::Standard));
    let mut made = Plan::default();
    let entry = Entry {
        check: CheckKind::Web,
        target: task().target,
        period_ms: 300_000,
        phase_ms: 0,
        depth: Depth::Light,
    };
    made.entries.insert(id("a"), vec![entry]);
    assert!(fleet.differs(&made, 1));
    fleet.apply(&made, 1, 7);
    assert!(!fleet.differs(&made, 1) && fleet.differs(&made, 2));
    assert!(line.plans.has_changed().expect("the fleet lives"));
    assert_eq!(fleet.schedule(&id("a")).generation, 7);
    assert_eq!(fleet.schedule(&id("away")).generation, 0);
}
