//! What the volunteer's terms refuse.

use super::*;
use faultline_model::{Role, ServiceId, Target};
use proptest::prelude::*;

fn spec(host: &str, category: &str) -> TargetSpec {
    TargetSpec {
        target: Target::new(&format!("https://{host}/")).expect("a target"),
        service: ServiceId::new("x").expect("a service"),
        service_name: "X".into(),
        role: Role::Site,
        category: Category::new(category).expect("a category"),
        checks: vec![CheckKind::Web],
        domestic: None,
    }
}

fn ask(terms: &Terms, category: &str, risk: Option<RiskTier>) -> Result<(), Refusal> {
    terms.refuses((CheckKind::Web, &spec("x.com", category)), "core", risk)
}

#[test]
fn where_the_risk_is_high_each_sensitive_category_needs_its_own_opt_in() {
    let codes = ["REL", "LGBT", "HUMR", "POLR", "ANON", "MILX", "PORN", "GMB"];
    for code in codes {
        let mut terms = Terms::default();
        assert_eq!(ask(&terms, code, Some(RiskTier::High)), Err(Refusal::CategoryNotAllowed), "{code}");
        assert_eq!(
            ask(&terms, code, None),
            Err(Refusal::CategoryNotAllowed),
            "an undecided risk is a high one"
        );
        assert_eq!(ask(&terms, code, Some(RiskTier::Standard)), Ok(()));
        terms.set(Key::AllowCategories, &[code.to_owned()]).expect("a code");
        assert_eq!(ask(&terms, code, Some(RiskTier::High)), Ok(()), "{code}");
        for other in codes.iter().filter(|other| **other != code) {
            assert_eq!(
                ask(&terms, other, Some(RiskTier::High)),
                Err(Refusal::CategoryNotAllowed),
                "{code} is not {other}"
            );
        }
    }
    assert_eq!(ask(&Terms::default(), "GRP", None), Ok(()));
}

#[test]
fn of_a_list_that_was_not_chosen_only_the_canaries_are_measured() {
    let ask = |terms: &Terms, category: &str| {
        terms.refuses((CheckKind::Web, &spec("x.com", category)), "extended", Some(RiskTier::Standard))
    };
    let mut terms = Terms::default();
    assert_eq!(ask(&terms, "GRP"), Err(Refusal::ListNotChosen));
    assert_eq!(ask(&terms, "CTRL"), Ok(()));
    terms.set(Key::Lists, &["core".into(), "extended".into()]).expect("names");
    assert_eq!(ask(&terms, "GRP"), Ok(()));
}

#[test]
fn what_the_volunteer_refuses_is_refused_whatever_the_list_says() {
    let mut terms = Terms::default();
    terms.set(Key::RefuseCategories, &["NEWS".into()]).expect("a code");
    terms.set(Key::RefuseHosts, &["Example.COM".into()]).expect("a host");
    assert_eq!(ask(&terms, "NEWS", Some(RiskTier::Standard)), Err(Refusal::CategoryRefused));
    for (host, refused) in [("example.com", true), ("www.example.com", true), ("notexample.com", false)] {
        let asked = terms.refuses((CheckKind::Web, &spec(host, "GRP")), "core", None);
        assert_eq!(asked == Err(Refusal::HostRefused), refused, "{host}");
    }
}

#[test]
fn terms_survive_their_file_and_a_new_file_says_only_what_differs() {
    let mut terms = Terms::default();
    assert_eq!(Terms::parse(&terms.to_toml()), Ok(terms.clone()));
    let given: &[(Key, &[&str])] = &[
        (Key::Lists, &["core", "news"]),
        (Key::AllowCategories, &["REL", "POLR"]),
        (Key::RefuseCategories, &["CULTR"]),
        (Key::RefuseHosts, &["x.com"]),
        (Key::AllowChecks, &["tor"]),
        (Key::QuietHours, &["23:00-07:00", "12:00-13:00"]),
        (Key::Metered, &["yes"]),
        (Key::Budget, &["small"]),
        (Key::ChecksPerDay, &["100"]),
        (Key::MegabytesPerDay, &["5"]),
        (Key::Log, &["on"]),
    ];
    assert_eq!(given.len(), KEYS.len());
    for (key, values) in given {
        terms.set(*key, &values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>()).expect("values");
    }
    assert_eq!(Terms::parse(&terms.to_toml()), Ok(terms.clone()));
    for (key, ..) in KEYS {
        terms.set(*key, &[]).expect("a default");
    }
    assert_eq!(terms, Terms::default());
}

#[test]
fn a_bad_value_is_an_error_that_names_its_key() {
    let bad = [
        ("quiet_hours = [\"late\"]", "quiet_hours"),
        ("metered = \"perhaps\"", "metered"),
        ("allow_categories = [\"NEWS\"]", "allow_categories"),
        ("refuse_categories = [\"CTRL\"]", "refuse_categories"),
        ("refuse_hosts = [\"a b\"]", "refuse_hosts"),
        ("allow_checks = [\"web\"]", "allow_checks"),
        ("budget = \"large\"", "budget"),
        ("checks_per_day = -1", "checks_per_day"),
        ("megabytes_per_day = 0", "megabytes_per_day"),
        ("log = \"maybe\"", "log"),
        ("log = [\"on\", \"off\"]", "log"),
        ("quiet_hour = []", "quiet_hour"),
        ("lists = [\"\"]", "lists"),
        ("budget = ", "terms.toml"),
    ];
    for (text, key) in bad {
        let error = Terms::parse(text).expect_err(text).to_string();
        assert!(error.contains(key), "{text}: {error}");
    }
    let plain = Terms::parse("log = true\nchecks_per_day = 7\nmetered = \"no\"").expect("plain values");
    assert!(plain.log && plain.checks_per_day == Some(7) && plain.metered == Metered::No);
}

#[test]
fn terms_lower_a_budget_and_never_raise_it() {
    use faultline_proto::agent::BudgetClass;
    let small = Allowance::of(BudgetClass::Small, false);
    let mut terms = Terms::default();
    terms.set(Key::ChecksPerDay, &["100".into()]).expect("a number");
    terms.set(Key::MegabytesPerDay, &["90000".into()]).expect("a number");
    let lowered = terms.lower(small);
    assert_eq!((lowered.checks_per_day, lowered.bytes_per_day), (100, small.bytes_per_day));
}

#[test]
fn agreeing_shows_what_is_new_and_nothing_else() {
    let mut terms = Terms::default();
    terms.set(Key::AllowCategories, &["REL".into()]).expect("a code");
    let new = terms.agrees_to(Key::AllowCategories, &["REL".into(), "MILX".into()]);
    assert_eq!(new.iter().map(|sensitive| sensitive.code).collect::<Vec<_>>(), ["MILX"]);
    assert_eq!(terms.agrees_to(Key::AllowChecks, &["diagnose".into(), "tor".into()]).len(), 2);
    assert!(terms.agrees_to(Key::RefuseCategories, &["NEWS".into()]).is_empty());
}

proptest! {
    #[test]
    fn no_text_panics_and_no_accepted_text_loses_anything(text in "\\PC{0,120}") {
        if let Ok(terms) = Terms::parse(&text) {
            prop_assert_eq!(Terms::parse(&terms.to_toml()), Ok(terms));
        }
    }
}
