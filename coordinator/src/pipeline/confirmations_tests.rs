//! Who may be asked, and how often.

use super::*;
use crate::store::Budget;
use faultline_model::{Asn, CheckKind};

fn family() -> Asn {
    Asn::new(23674).expect("valid")
}

fn country() -> CountryCode {
    "PK".parse().expect("valid")
}

fn members(count: usize, budget: Budget) -> Vec<Candidate> {
    let member = |number| Candidate {
        id: AgentId::new(format!("a{number}")).expect("valid"),
        group: Group::Family(country(), family()),
        budget,
    };
    (0..count).map(member).collect()
}

fn target(number: usize) -> Target {
    Target::new(&format!("https://t{number}.example/")).expect("valid")
}

fn ask(target: Target, count: usize) -> Ask {
    let (who, reason) = (Who::Family(family()), AskReason::Suspicion);
    Ask { target, check: CheckKind::Web, who, count, reason, exclude: BTreeSet::new() }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(seconds * 1000)
}

fn round(
    confirmations: &Confirmations,
    ask: &Ask,
    candidates: &[Candidate],
    now: Timestamp,
) -> BTreeSet<AgentId> {
    let pool = Pool { ask, country: country(), candidates, per_target: 2 };
    confirmations.choose(ask, &pool, now).into_iter().map(|(agent, _)| agent).collect()
}

#[test]
fn at_most_half_of_a_family_is_asked_and_not_the_same_ones_twice_running() {
    let (confirmations, ten) = (Confirmations::default(), members(10, Budget::Standard));
    let first = round(&confirmations, &ask(target(0), 9), &ten, at(0));
    let second = round(&confirmations, &ask(target(0), 9), &ten, at(20));
    assert_eq!((first.len(), second.len()), (5, 5));
    assert!(first.is_disjoint(&second));
}

#[test]
fn a_family_of_three_is_asked_whole() {
    let (confirmations, three) = (Confirmations::default(), members(3, Budget::Standard));
    assert_eq!(round(&confirmations, &ask(target(0), 3), &three, at(0)).len(), 3);
    assert_eq!(round(&confirmations, &ask(target(0), 3), &three, at(20)).len(), 3);
}

#[test]
fn nobody_is_asked_of_one_target_more_than_twice_in_five_minutes() {
    let (confirmations, three) = (Confirmations::default(), members(3, Budget::Standard));
    for seconds in [0, 20] {
        assert_eq!(round(&confirmations, &ask(target(0), 3), &three, at(seconds)).len(), 3);
    }
    assert_eq!(round(&confirmations, &ask(target(0), 3), &three, at(40)).len(), 0);
    assert_eq!(
        round(&confirmations, &ask(target(1), 3), &three, at(40)).len(),
        3,
        "another target is another matter"
    );
    assert_eq!(round(&confirmations, &ask(target(0), 3), &three, at(301)).len(), 3);
    let (careful, small) = (Confirmations::default(), members(3, Budget::Small));
    assert_eq!(round(&careful, &ask(target(0), 3), &small, at(0)).len(), 3);
    assert_eq!(round(&careful, &ask(target(0), 3), &small, at(20)).len(), 0, "a small budget gives one");
}

#[test]
fn one_stretch_of_trouble_asks_an_agent_forty_times_at_most() {
    let (confirmations, one) = (Confirmations::default(), members(1, Budget::Standard));
    let asked: usize =
        (0..60).map(|number| round(&confirmations, &ask(target(number), 1), &one, at(10)).len()).sum();
    assert_eq!(asked, 40);
    assert_eq!(round(&confirmations, &ask(target(0), 1), &one, at(3700)).len(), 1);
}

#[test]
fn the_excluded_are_never_asked() {
    let (confirmations, three) = (Confirmations::default(), members(3, Budget::Standard));
    let mut ask = ask(target(0), 3);
    ask.exclude.insert(three[1].id.clone());
    let asked = round(&confirmations, &ask, &three, at(0));
    assert!(asked.len() == 2 && !asked.contains(&three[1].id));
}

#[test]
fn a_token_counts_for_its_agent_and_target_once_and_lapses() {
    let (confirmations, one) = (Confirmations::default(), members(1, Budget::Standard));
    let request = ask(target(0), 1);
    let pool = Pool { ask: &request, country: country(), candidates: &one, per_target: 2 };
    let [(agent, token)] = confirmations.choose(&request, &pool, at(0)).try_into().expect("one");
    let stranger = AgentId::new("stranger").expect("valid");
    assert!(confirmations.is_expected(&token, &agent, &target(0)));
    assert!(!confirmations.is_expected(&token, &stranger, &target(0)));
    assert!(!confirmations.is_expected(&token, &agent, &target(1)));
    confirmations.answer(&token);
    assert!(!confirmations.is_expected(&token, &agent, &target(0)), "answered once");
    let [(_, token)] = confirmations.choose(&request, &pool, at(20)).try_into().expect("one");
    round(&confirmations, &ask(target(5), 0), &[], at(20 + 301));
    assert!(!confirmations.is_expected(&token, &agent, &target(0)), "lapsed");
}

#[test]
fn two_agents_of_a_family_diagnose_a_target_in_a_day_and_no_more() {
    let (confirmations, ten) = (Confirmations::default(), members(10, Budget::Standard));
    let diagnoses = |target: Target, seconds: i64| {
        let ask = ask(target, 1);
        let pool = Pool { ask: &ask, country: country(), candidates: &ten, per_target: 2 };
        let group = Group::Family(country(), family());
        confirmations.choose_for_diagnosis(&pool, group, at(seconds)).len()
    };
    assert_eq!(diagnoses(target(0), 0), 2);
    assert_eq!(diagnoses(target(0), 600), 0);
    assert_eq!(diagnoses(target(1), 600), 2, "another target is another matter");
    assert_eq!(diagnoses(target(0), 86_401), 2, "another day");
}
