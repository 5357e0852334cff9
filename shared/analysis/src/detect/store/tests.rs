//! Clean-up: which results count, and when they started.

use super::*;

const MINUTE: Ms = 60_000;

fn outcome(key: u64, raw: Ms, class: Class) -> Outcome {
    let received = raw + 2_000;
    Outcome { start: 0, raw, received, key, target: 0, class, asked: false, control_ok: None, kept: false }
}

fn store() -> (Store, usize) {
    let mut store = Store::new(10 * MINUTE);
    let id = AgentId::new("a").expect("valid");
    let agent = store.agent(&id, Asn::recorded(1).expect("not zero"), Place::Home(0));
    (store, agent)
}

fn starts(store: &Store) -> Vec<Ms> {
    store.cell(0, 0).all().iter().map(|entry| entry.start / MINUTE).collect()
}

#[test]
fn of_results_that_nobody_asked_for_one_counts_in_seven_minutes() {
    let (mut store, agent) = store();
    for (key, minute) in (0..).zip([0, 1, 5, 7, 8, 20]) {
        store.add(agent, outcome(key, minute * MINUTE, Class::Ok), 0);
    }
    assert_eq!(starts(&store), [0, 7, 20]);
}

#[test]
fn what_counts_does_not_depend_on_the_order_of_arrival() {
    let minutes = [0, 3, 7, 9, 14, 15, 21];
    let (mut forward, agent) = store();
    let (mut backward, _) = store();
    for (key, minute) in (0..).zip(minutes) {
        forward.add(agent, outcome(key, minute * MINUTE, Class::Ok), 0);
    }
    for (key, minute) in (0..).zip(minutes).collect::<Vec<_>>().into_iter().rev() {
        backward.add(agent, outcome(key, minute * MINUTE, Class::Ok), 0);
    }
    assert_eq!(starts(&forward), starts(&backward));
    assert_eq!(starts(&forward), [0, 7, 14, 21]);
}

#[test]
fn confirmations_count_twice_in_five_minutes_and_copies_never() {
    let (mut store, agent) = store();
    store.add(agent, outcome(0, 0, Class::TlsReset), 0);
    for (key, second) in (1..).zip([0, 10, 20, 30, 321]) {
        let asked = Outcome { asked: true, ..outcome(key, second * 1_000, Class::TlsReset) };
        store.add(agent, asked, 0);
    }
    let seconds: Vec<Ms> = store.cell(0, 0).all().iter().map(|entry| entry.start / 1_000).collect();
    assert_eq!(seconds, [0, 10, 20, 321]);
}

#[test]
fn a_clock_that_is_wrong_by_hours_is_set_right_once_it_is_known() {
    let (mut store, agent) = store();
    for key in 0..40 {
        let raw = i64::try_from(key).expect("small") * 10 * MINUTE;
        let late = Outcome { received: raw + 180 * MINUTE + 3_000, ..outcome(key, raw, Class::Ok) };
        store.add(agent, late, 0);
    }
    assert_eq!(starts(&store)[..3], [180, 190, 200]);
    let (mut ahead, agent) = self::store();
    let early = Outcome { received: 0, ..outcome(0, 60 * MINUTE, Class::Ok) };
    ahead.add(agent, early, 0);
    assert_eq!(starts(&ahead), [0], "a start never lies after the receipt");
}

#[test]
fn a_failed_control_excuses_what_is_near_and_one_success_outweighs_it() {
    let (mut store, agent) = store();
    let flagged =
        |key, minute: Ms, ok| Outcome { control_ok: Some(ok), ..outcome(key, minute * MINUTE, Class::Ok) };
    store.add(agent, flagged(0, 0, true), 0);
    store.add(agent, flagged(1, 20, false), 0);
    assert!(!store.is_excused(0, 5 * MINUTE) && store.is_excused(0, 21 * MINUTE));
    let id = AgentId::new("control").expect("valid");
    let control = store.agent(&id, Asn::recorded(2).expect("not zero"), Place::Control);
    store.add(control, outcome(2, 60 * MINUTE, Class::TcpTimeout), 0);
    assert!(store.is_excused(0, 61 * MINUTE) && !store.is_control_fine(0, 60 * MINUTE, 70 * MINUTE));
    let other = store.agent(&id, Asn::recorded(3).expect("not zero"), Place::Control);
    store.add(other, outcome(3, 61 * MINUTE, Class::Ok), 0);
    assert!(!store.is_excused(0, 61 * MINUTE) && store.is_control_fine(0, 60 * MINUTE, 70 * MINUTE));
    assert_eq!(store.failing_controls(0, 60 * MINUTE, 70 * MINUTE).len(), 1);
}
