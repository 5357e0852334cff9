//! What the policy refuses.

use super::*;
use faultline_model::{Category, Limits, Role, ServiceId, TargetSpec, TaskToken};
use faultline_proto::agent::BudgetClass;

const START: i64 = 1_705_758_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(START + seconds * 1000)
}

fn target(name: &str) -> Target {
    Target::new(&format!("https://{name}/")).expect("a target")
}

fn list(names: &[String]) -> TaskList {
    let spec = |name: &String| TargetSpec {
        target: target(name),
        service: ServiceId::new("x").expect("a service"),
        service_name: "X".into(),
        role: Role::Site,
        category: Category::new("GRP").expect("a category"),
        checks: vec![CheckKind::Web],
        domestic: None,
    };
    TaskList {
        name: "core".into(),
        version: 4,
        issued_at: at(-100),
        expires_at: at(86_400 * 2),
        limits: Limits::default(),
        resolvers: vec![],
        targets: names.iter().map(spec).collect(),
        landmarks: vec![],
        throughput_control: None,
        risk: BTreeMap::new(),
        line: faultline_model::LineProbes::default(),
    }
}

fn policy(class: BudgetClass) -> Policy {
    let allowance = Allowance::of(class, false);
    let names: Vec<String> =
        (0..100).map(|n| format!("t{n}.example.com")).chain(["x.com".into(), "y.com".into()]).collect();
    let kinds = BTreeSet::from([CheckKind::Web]);
    Policy::new(allowance, kinds, Some(list(&names)), Ledger::new(&allowance, at(0)))
}

#[test]
fn landmarks_are_looked_at_only_by_controls() {
    let held = |is_control: bool| {
        let mut list = list(&["x.com".into()]);
        let landmark = faultline_model::Landmark {
            target: target("isp.example"),
            country: "PK".parse().expect("a code"),
            asn: faultline_model::Asn::new(23674).expect("a network"),
        };
        list.landmarks.push(landmark);
        let allowance = Allowance::of(BudgetClass::Standard, is_control);
        let kinds = BTreeSet::from([CheckKind::Web]);
        Policy::new(allowance, kinds, Some(list), Ledger::new(&allowance, at(0))).for_control(is_control)
    };
    let (mut volunteer, mut control) = (held(false), held(true));
    assert_eq!(routine(&mut volunteer, "isp.example", at(0)).err(), Some(Refusal::NotInList));
    assert!(routine(&mut control, "isp.example", at(0)).is_ok());
    let asked = confirmation("isp.example", 1);
    assert_eq!(volunteer.admit_confirmation(&asked, at(60)).err(), Some(Refusal::NotInList));
    assert!(control.admit_confirmation(&asked, at(60)).is_ok());
}

fn standard() -> Policy {
    policy(BudgetClass::Standard)
}

fn confirmation(name: &str, number: u32) -> Task {
    Task {
        check: CheckKind::Web,
        target: target(name),
        depth: Depth::Light,
        token: TaskToken::new(format!("c{number}")).expect("a token"),
    }
}

fn routine(policy: &mut Policy, name: &str, now: Timestamp) -> Result<Grant, Refusal> {
    policy.admit_routine(CheckKind::Web, &target(name), Depth::Light, now)
}

#[test]
fn without_a_list_after_its_end_or_outside_of_it_nothing_is_done() {
    let mut policy = standard();
    assert_eq!(routine(&mut policy, "victim.org", at(0)), Err(Refusal::NotInList));
    assert_eq!(policy.admit_confirmation(&confirmation("victim.org", 1), at(0)), Err(Refusal::NotInList));
    assert_eq!(routine(&mut policy, "x.com", at(86_400 * 2)), Err(Refusal::ListExpired));
    policy.list = None;
    assert_eq!(routine(&mut policy, "x.com", at(0)), Err(Refusal::NoList));
    let mut ignorant = standard();
    ignorant.kinds.clear();
    assert_eq!(routine(&mut ignorant, "x.com", at(0)), Err(Refusal::UnknownCheck));
}

#[test]
fn another_page_of_a_listed_host_is_another_target() {
    let mut policy = standard();
    let other = Target::new("https://x.com/search?q=1").expect("a target");
    let refused = policy.admit_routine(CheckKind::Web, &other, Depth::Light, at(0));
    assert_eq!(refused, Err(Refusal::NotInList));
}

#[test]
fn a_target_is_never_run_more_often_than_the_list_and_the_agent_allow() {
    let mut policy = standard();
    assert!(routine(&mut policy, "x.com", at(0)).is_ok());
    assert_eq!(routine(&mut policy, "x.com", at(59)), Err(Refusal::TooSoon));
    assert!(routine(&mut policy, "y.com", at(59)).is_ok(), "another target is not affected");
    assert!(routine(&mut policy, "x.com", at(60)).is_ok());
    policy.list.as_mut().expect("a list").limits.min_interval_s = 1;
    assert_eq!(policy.least_interval(CheckKind::Web), Duration::from_secs(30));
    assert_eq!(routine(&mut policy, "x.com", at(89)), Err(Refusal::TooSoon));
    assert!(routine(&mut policy, "x.com", at(90)).is_ok());
}

#[test]
fn a_clock_that_was_set_back_does_not_silence_a_target_for_years() {
    let mut policy = standard();
    assert!(routine(&mut policy, "x.com", at(1000)).is_ok());
    assert!(routine(&mut policy, "x.com", at(0)).is_ok());
}

#[test]
fn of_a_hundred_confirmations_of_one_target_two_are_done_in_five_minutes() {
    let mut policy = standard();
    let mut done = |from: u32, now| {
        (from..from + 100)
            .filter(|n| policy.admit_confirmation(&confirmation("x.com", *n), now).is_ok())
            .count()
    };
    assert_eq!(done(0, at(0)), 2);
    assert_eq!(done(100, at(299)), 0);
    assert_eq!(done(200, at(300)), 2);
    let mut small = policy_of_small();
    assert!(small.admit_confirmation(&confirmation("x.com", 1), at(0)).is_ok());
    let refused = small.admit_confirmation(&confirmation("x.com", 2), at(0));
    assert_eq!(refused, Err(Refusal::ConfirmationsPerTarget));
}

fn policy_of_small() -> Policy {
    policy(BudgetClass::Small)
}

#[test]
fn forty_confirmations_an_hour_are_enough() {
    let mut policy = standard();
    let all = (0..100).map(|n| confirmation(&format!("t{n}.example.com"), n));
    let done = all.filter(|task| policy.admit_confirmation(task, at(0)).is_ok()).count();
    assert_eq!(done, 40);
    let refused = policy.admit_confirmation(&confirmation("x.com", 500), at(3599));
    assert_eq!(refused, Err(Refusal::ConfirmationsPerHour));
    assert!(policy.admit_confirmation(&confirmation("x.com", 501), at(3600)).is_ok());
}

#[test]
fn a_list_may_forbid_confirmations_altogether() {
    let mut policy = standard();
    policy.list.as_mut().expect("a list").limits.confirmations_per_target = 0;
    let refused = policy.admit_confirmation(&confirmation("x.com", 1), at(0));
    assert_eq!(refused, Err(Refusal::ConfirmationsPerTarget));
}

#[test]
fn a_request_that_comes_twice_is_done_once() {
    let mut policy = standard();
    assert!(policy.admit_confirmation(&confirmation("x.com", 1), at(0)).is_ok());
    assert_eq!(policy.admit_confirmation(&confirmation("x.com", 1), at(1)), Err(Refusal::RepeatedToken));
}

#[test]
fn a_restart_refills_nothing() {
    let mut policy = standard();
    let spent =
        (0..100).filter(|n| routine(&mut policy, &format!("t{n}.example.com"), at(0)).is_ok()).count();
    assert_eq!(spent, 87, "an hour's worth");
    (0..2).for_each(|n| {
        policy.admit_confirmation(&confirmation("x.com", n), at(0)).expect("permitted");
    });
    let saved = serde_json::to_vec(policy.ledger()).expect("saved");
    let ledger: Ledger = serde_json::from_slice(&saved).expect("restored");
    let mut restarted = standard();
    restarted.ledger = ledger;
    assert_eq!(routine(&mut restarted, "t99.example.com", at(1)), Err(Refusal::BudgetChecks));
    assert_eq!(routine(&mut restarted, "t0.example.com", at(1)), Err(Refusal::TooSoon));
    let again = restarted.admit_confirmation(&confirmation("x.com", 9), at(1));
    assert_eq!(again, Err(Refusal::ConfirmationsPerTarget));
    assert_eq!(restarted.admit_confirmation(&confirmation("x.com", 1), at(1)), Err(Refusal::RepeatedToken));
}

#[test]
fn routine_work_never_touches_what_is_kept_for_confirmations() {
    let mut policy = standard();
    (0..100).for_each(|n| drop(routine(&mut policy, &format!("t{n}.example.com"), at(0))));
    assert!(policy.admit_confirmation(&confirmation("x.com", 1), at(0)).is_ok());
    assert!(policy.left(Purse::Routine) < 0.02 && policy.left(Purse::Reserve) > 0.99);
}

fn with_downloads(class: BudgetClass) -> Policy {
    let mut policy = policy(class);
    policy.kinds.insert(CheckKind::Throughput);
    let list = policy.list.as_mut().expect("a list");
    list.targets.iter_mut().for_each(|spec| spec.checks.push(CheckKind::Throughput));
    list.throughput_control = Some(target("canary.org"));
    policy
}

fn download(policy: &mut Policy, name: &str, now: Timestamp) -> Result<Grant, Refusal> {
    policy.admit_routine(CheckKind::Throughput, &target(name), Depth::Light, now)
}

#[test]
fn a_download_is_compared_with_what_the_list_names_and_runs_once_an_hour() {
    let mut policy = with_downloads(BudgetClass::Standard);
    let grant = download(&mut policy, "x.com", at(0)).expect("permitted");
    assert_eq!(grant.control, Some(target("canary.org")));
    assert_eq!(download(&mut policy, "x.com", at(3599)), Err(Refusal::TooSoon));
    assert_eq!(policy.least_interval(CheckKind::Throughput), Duration::from_secs(3600));
    assert!(routine(&mut policy, "x.com", at(60)).is_ok(), "other checks of the target are not affected");
}

#[test]
fn a_download_is_paid_for_by_its_real_bytes_and_never_by_a_small_budget() {
    let mut policy = with_downloads(BudgetClass::Standard);
    let grant = download(&mut policy, "x.com", at(0)).expect("permitted");
    assert_eq!(download(&mut policy, "y.com", at(0)), Err(Refusal::BudgetBytes), "1.46 MB an hour");
    policy.settle(&grant, 150_000);
    assert!(download(&mut policy, "y.com", at(0)).is_ok(), "a slowed download costs little");
    let mut small = with_downloads(BudgetClass::Small);
    assert_eq!(download(&mut small, "x.com", at(0)), Err(Refusal::BudgetBytes));
    assert_eq!(download(&mut small, "x.com", at(86_000)), Err(Refusal::BudgetBytes));
    assert!(routine(&mut small, "x.com", at(86_000)).is_ok());
}

fn in_pakistan(terms: Terms) -> Policy {
    let mut policy = standard().standing_in("PK".parse().expect("a code"), TimeZone::UTC);
    let list = policy.list.as_mut().expect("a list");
    list.risk.insert("PK".parse().expect("a code"), RiskTier::High);
    list.targets[0].category = Category::new("REL").expect("a category");
    let allowance = policy.allowance;
    policy.set_terms(terms, allowance);
    policy
}

fn terms(text: &str) -> Terms {
    Terms::parse(text).expect("terms")
}

#[test]
fn no_list_and_no_confirmation_goes_past_the_volunteers_terms() {
    let mut policy = in_pakistan(Terms::default());
    assert_eq!(routine(&mut policy, "t0.example.com", at(0)), Err(Refusal::CategoryNotAllowed));
    let asked = confirmation("t0.example.com", 1);
    assert_eq!(policy.admit_confirmation(&asked, at(0)), Err(Refusal::CategoryNotAllowed));
    let mut agreed = in_pakistan(terms("allow_categories = [\"REL\"]"));
    assert!(routine(&mut agreed, "t0.example.com", at(0)).is_ok());
    let mut control = in_pakistan(Terms::default()).for_control(true);
    assert!(routine(&mut control, "t0.example.com", at(0)).is_ok(), "a control is an operator's own machine");
}

#[test]
fn in_quiet_hours_and_on_a_metered_line_nothing_is_measured() {
    // The test's clock begins at 13:40 UTC.
    let mut policy = in_pakistan(terms("quiet_hours = [\"13:00-14:00\"]"));
    assert_eq!(routine(&mut policy, "x.com", at(0)), Err(Refusal::QuietHours));
    let asked = confirmation("x.com", 1);
    assert_eq!(policy.admit_confirmation(&asked, at(0)), Err(Refusal::QuietHours));
    assert!(routine(&mut policy, "x.com", at(20 * 60)).is_ok());
    let mut declared = in_pakistan(terms("metered = \"yes\""));
    assert_eq!(routine(&mut declared, "x.com", at(0)), Err(Refusal::MeteredLine));
    let mut seen = in_pakistan(Terms::default());
    seen.set_line(true, false);
    assert_eq!(routine(&mut seen, "x.com", at(0)), Err(Refusal::MeteredLine));
    let mut unworried = in_pakistan(terms("metered = \"no\""));
    unworried.set_line(true, false);
    assert!(routine(&mut unworried, "x.com", at(0)).is_ok());
}

#[test]
fn a_lowered_budget_is_used_up_sooner() {
    let mut policy = standard();
    let allowance = policy.allowance;
    policy.set_terms(terms("checks_per_day = 340"), allowance);
    let done = (0..100).filter(|n| routine(&mut policy, &format!("t{n}.example.com"), at(0)).is_ok()).count();
    assert!(done <= 87, "{done}");
    let later =
        (0..100).filter(|n| routine(&mut policy, &format!("t{n}.example.com"), at(3600)).is_ok()).count();
    assert_eq!(later, 9, "an hour of 340 checks a day, less what is kept back");
}

#[test]
fn ways_around_censorship_are_refused_until_the_volunteer_opted_in_to_each() {
    let mut policy = standard();
    let kinds = [CheckKind::Openvpn, CheckKind::Tor];
    let targets = ["openvpn://o.example.net", "tor://t.example.net"].map(|t| Target::new(t).expect("valid"));
    let mut held = list(&["x.com".into()]);
    for (kind, target) in kinds.iter().zip(&targets) {
        policy.kinds.insert(*kind);
        let spec = TargetSpec { target: target.clone(), checks: vec![*kind], ..held.targets[0].clone() };
        held.targets.push(spec);
    }
    policy.set_list(held);
    let asked = Task { check: kinds[0], target: targets[0].clone(), ..confirmation("x.com", 1) };
    for (kind, target) in kinds.iter().zip(&targets) {
        assert!(!policy.has_opted_in(*kind));
        let refused = policy.admit_routine(*kind, target, Depth::Light, at(0));
        assert_eq!(refused, Err(Refusal::NotOptedIn));
    }
    assert_eq!(policy.admit_confirmation(&asked, at(0)), Err(Refusal::NotOptedIn));
    let mut policy = policy.with_opt_ins(BTreeSet::from([OptIn::Openvpn]));
    assert!(policy.admit_confirmation(&asked, at(0)).is_ok());
    assert!(policy.admit_routine(kinds[0], &targets[0], Depth::Light, at(0)).is_ok());
    let other = policy.admit_routine(kinds[1], &targets[1], Depth::Light, at(0));
    assert_eq!(other, Err(Refusal::NotOptedIn), "each for itself");
    let mut control = policy.for_control(true);
    assert!(control.admit_routine(kinds[1], &targets[1], Depth::Light, at(0)).is_ok());
}

#[test]
fn no_way_around_censorship_leads_to_the_coordinator() {
    let hosts = OwnHosts::of(&["Coordinator.example.net:7443".into()]);
    let mut policy = standard().with_opt_ins(BTreeSet::from([OptIn::Openvpn])).reached_at(hosts);
    policy.kinds.insert(CheckKind::Openvpn);
    let mut held = list(&["x.com".into()]);
    for far in ["openvpn://coordinator.example.net", "openvpn://relay.example.net"] {
        let target = Target::new(far).expect("valid");
        held.targets.push(TargetSpec { target, checks: vec![CheckKind::Openvpn], ..held.targets[0].clone() });
    }
    policy.set_list(held.clone());
    let [own, other] = [1, 2].map(|at: usize| held.targets[at].target.clone());
    let asked = |target: &Target| Task {
        check: CheckKind::Openvpn,
        target: target.clone(),
        ..confirmation("x.com", 1)
    };
    let refused = policy.admit_routine(CheckKind::Openvpn, &own, Depth::Light, at(0));
    assert_eq!(refused, Err(Refusal::CoordinatorHost));
    assert_eq!(policy.admit_confirmation(&asked(&own), at(0)), Err(Refusal::CoordinatorHost));
    assert!(policy.admit_routine(CheckKind::Openvpn, &other, Depth::Light, at(0)).is_ok());
    let mut control = policy.for_control(true);
    assert_eq!(control.admit_confirmation(&asked(&own), at(0)), Err(Refusal::CoordinatorHost));
}

#[test]
fn a_selfcheck_asks_a_canary_of_the_list_in_its_turn_and_nobody_else() {
    let mut policy = standard();
    policy.kinds.insert(CheckKind::Selfcheck);
    assert_eq!(policy.admit_selfcheck(at(0)).err(), Some(Refusal::NotInList), "no canaries, no selfcheck");
    let list = policy.list.as_mut().expect("a list");
    list.targets[0].category = Category::canary();
    list.targets[1].category = Category::canary();
    let asked: BTreeSet<String> = (0..4)
        .map(|minute| policy.admit_selfcheck(at(minute * 60)).expect("permitted").0.host().to_owned())
        .collect();
    assert_eq!(asked, ["t0.example.com", "t1.example.com"].map(String::from).into());
    assert!(!policy.permitted_kinds().contains(&CheckKind::Selfcheck), "nobody else asks for one");
    policy.set_line(false, true);
    assert_eq!(policy.admit_selfcheck(at(300)).err(), Some(Refusal::VpnActive));
    assert_eq!(
        routine(&mut policy, "x.com", at(300)),
        Err(Refusal::VpnActive),
        "another line would be measured"
    );
}
