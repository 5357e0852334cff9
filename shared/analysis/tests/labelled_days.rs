//! A few labelled days of our own; `cargo run --release -p faultline-analysis --example labelled` judges all kinds.

mod days;

use days::kinds::{KINDS, SLOW_KINDS, make};
use days::land::Level;
use days::score::{score, stamp};

fn assert_right(kind: &'static str, seed: u64, level: Level) {
    let day = make(kind, seed, level);
    let marks = score(&day.truth, &day.replay(), stamp(day.land.hours * 3600.0));
    let named = day.truth.incidents.len();
    assert_eq!(marks.right, named, "{} seed {}: {:?}", day.kind, day.seed, marks.wrong);
    assert!(marks.retracted + marks.fragments <= 1, "{}: {marks:?}", day.kind);
    assert!(marks.false_incidents.is_empty(), "{}: {:?}", day.kind, marks.false_incidents);
}

#[test]
fn every_kind_of_day_is_known_by_one_name() {
    let mut kinds: Vec<&str> = KINDS.into_iter().chain(SLOW_KINDS).collect();
    let number = kinds.len();
    kinds.sort_unstable();
    kinds.dedup();
    assert!(kinds.len() == number && number >= 20, "{number}");
}

#[test]
fn a_cut_cable_is_no_block() {
    assert_right("cable_cut", 3, Level::Normal);
}

#[test]
fn a_slowed_service_is_told_apart_from_congestion() {
    assert_right("throttle_in_congestion", 3, Level::Hard);
}

#[test]
fn a_power_cut_is_told_by_region_although_some_results_are_late() {
    assert_right("region_off", 5, Level::Normal);
}

#[test]
fn the_same_seed_gives_the_same_day() {
    let [one, other] = [0, 1].map(|_| make("quiet_liars", 9, Level::Hard).data());
    assert_eq!(one, other);
    assert_ne!(one.0, make("quiet_liars", 10, Level::Hard).data().0);
}
