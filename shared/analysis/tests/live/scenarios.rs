//! What must be said, about whom, and how soon.

use crate::simulator::{EPOCH, Hits, Ms, Outcome, Rule, SOCIAL, Said, Scenario, play};
use faultline_model::{Class, Incident, Status, Verdict};

/// How many worlds a scenario is played in: `FAULTLINE_SEEDS`, else few in unoptimised builds.
pub fn seeds() -> std::ops::Range<u64> {
    let wanted = std::env::var("FAULTLINE_SEEDS").ok().and_then(|text| text.parse().ok());
    0..wanted.unwrap_or(if cfg!(debug_assertions) { 4 } else { 12 })
}
pub const BEGIN: Ms = 420_000;
pub const END: Ms = 900_000;

pub fn begin(seed: u64) -> Ms {
    BEGIN + Ms::try_from(seed).expect("small") * 7_919 % 60_000
}

fn rule(seed: u64, hits: Hits, targets: &[usize], class: Class) -> Rule {
    Rule { from: begin(seed), to: END, hits, targets: targets.to_vec(), class }
}

fn median(mut values: Vec<Ms>) -> Ms {
    values.sort_unstable();
    values[values.len() / 2]
}

pub fn first(outcome: &Outcome, wanted: impl Fn(&Incident) -> bool) -> Option<&Said> {
    outcome.said.iter().find(|said| wanted(&said.incident))
}

pub fn show(outcome: &Outcome) -> String {
    let mut text = String::new();
    for said in &outcome.said {
        let i = &said.incident;
        let change = i.revisions.last().map_or("", |revision| revision.change.as_str());
        text += &format!(
            "\n  {:7.1} s {} {:?} r{} {} ISPs {} targets {:?} | {change}",
            f64::from(i32::try_from(said.at).expect("small")) / 1000.0,
            i.verdict,
            i.status,
            i.revision,
            i.asns.len(),
            i.targets.len(),
            i.services,
        );
    }
    text
}

fn mixed_classes() -> Vec<(usize, Class)> {
    let classes = [Class::TlsReset, Class::TlsTimeout, Class::DnsInjected, Class::TcpTimeout];
    (0..8).map(|provider| (provider, classes[provider % 4])).collect()
}

/// Plays the 2024-01-20 case and returns the delays to the full statement.
fn category(classes: &[(usize, Class)], change: impl Fn(&mut Scenario)) -> Vec<Ms> {
    let mut delays = Vec::new();
    for seed in seeds() {
        let rules = classes.iter();
        let rules =
            rules.map(|(provider, class)| rule(seed, Hits::Providers(vec![*provider]), &SOCIAL, *class));
        let mut scenario = Scenario { rules: rules.collect(), ..Scenario::default() };
        change(&mut scenario);
        let outcome = play(&scenario, seed);
        let is_full =
            |i: &Incident| i.verdict == Verdict::CategoryBlock && i.asns.len() == 8 && i.services.len() == 4;
        let said = first(&outcome, is_full);
        let said = said.unwrap_or_else(|| panic!("seed {seed}: no full statement{}", show(&outcome)));
        delays.push(said.at - begin(seed));
        if std::env::var("SHOW").is_ok() {
            println!(
                "seed {seed}: begin {} first failure {:?} {}",
                begin(seed),
                outcome.first_failure,
                show(&outcome)
            );
        }
        let standing: Vec<_> = outcome.incidents.iter().filter(|incident| !incident.retracted).collect();
        assert_eq!(standing.len(), 1, "seed {seed}{}", show(&outcome));
        let incident = standing[0];
        assert_eq!(incident.services.len(), 4, "seed {seed}{}", show(&outcome));
    }
    delays
}

#[test]
fn the_four_platforms_on_all_providers_are_named_within_a_minute() {
    let delays = category(&mixed_classes(), |_| {});
    assert!(delays.iter().all(|delay| *delay < 60_000) && median(delays.clone()) < 40_000, "{delays:?}");
}

#[test]
fn a_country_of_timeouts_is_named_within_a_minute() {
    let timeouts: Vec<(usize, Class)> = (0..8).map(|provider| (provider, Class::TlsTimeout)).collect();
    let delays = category(&timeouts, |_| {});
    assert!(median(delays.clone()) < 50_000 && delays.iter().all(|d| *d < 70_000), "{delays:?}");
}

#[test]
fn without_a_baseline_and_with_loss_it_is_said_as_well() {
    let delays = category(&mixed_classes(), |scenario| {
        scenario.baseline = 0;
        scenario.loss = 0.01;
    });
    assert!(median(delays.clone()) < 45_000 && delays.iter().all(|d| *d < 70_000), "{delays:?}");
}

#[test]
fn agents_that_run_two_checks_at_a_time_suffice() {
    let delays = category(&mixed_classes(), |scenario| scenario.parallel = 2);
    assert!(median(delays.clone()) < 50_000 && delays.iter().all(|d| *d < 75_000), "{delays:?}");
}

#[test]
fn the_end_is_found_within_a_minute_on_every_provider() {
    for seed in seeds() {
        let rules = mixed_classes().into_iter();
        let rules =
            rules.map(|(provider, class)| rule(seed, Hits::Providers(vec![provider]), &SOCIAL, class));
        let outcome = play(&Scenario { rules: rules.collect(), ..Scenario::default() }, seed);
        let over = first(&outcome, |incident| incident.end.is_some() && !incident.retracted);
        let over = over.unwrap_or_else(|| panic!("seed {seed}: no end{}", show(&outcome)));
        assert!(over.at - END < 60_000, "seed {seed}{}", show(&outcome));
        let last = outcome.incidents.iter().find(|incident| !incident.retracted).expect("one stands");
        for (asn, onset) in &last.onset_by_asn {
            let error = onset.unix_ms() - EPOCH - begin(seed);
            assert!(error.abs() < 60_000, "seed {seed} {asn}: onset off by {error} ms{}", show(&outcome));
        }
        assert_eq!(last.end_by_asn.len(), 8, "seed {seed}");
        for (asn, end) in &last.end_by_asn {
            let error = end.unix_ms() - EPOCH - END;
            assert!(error.abs() < 60_000, "seed {seed} {asn}: end off by {error} ms{}", show(&outcome));
        }
    }
}

/// Plays a block on Nayatel alone and returns the delays from the first failing result to publication.
fn one_provider(targets: &[usize], class: Class, change: impl Fn(&mut Scenario)) -> Vec<Ms> {
    let mut delays = Vec::new();
    for seed in seeds() {
        let mut scenario = Scenario {
            rules: vec![rule(seed, Hits::Providers(vec![6]), targets, class)],
            ..Scenario::default()
        };
        change(&mut scenario);
        let outcome = play(&scenario, seed);
        let said = first(&outcome, |incident| incident.verdict == Verdict::IspBlock);
        let said = said.unwrap_or_else(|| panic!("seed {seed}: not found{}", show(&outcome)));
        if std::env::var("SHOW").is_ok() {
            println!(
                "seed {seed}: begin {} first failure {:?} {}",
                begin(seed),
                outcome.first_failure,
                show(&outcome)
            );
        }
        delays.push(said.at - outcome.first_failure.expect("something failed"));
        let standing: Vec<_> = outcome.incidents.iter().filter(|incident| !incident.retracted).collect();
        assert_eq!(standing.len(), 1, "seed {seed}{}", show(&outcome));
        assert_eq!(standing[0].verdict, Verdict::IspBlock, "seed {seed}{}", show(&outcome));
        assert_eq!(standing[0].asns.len(), 1, "seed {seed}{}", show(&outcome));
        assert_eq!(standing[0].targets.len(), targets.len(), "seed {seed}{}", show(&outcome));
        assert_eq!(standing[0].status, Status::Confirmed, "seed {seed}{}", show(&outcome));
        assert!(
            outcome.said.iter().all(|said| said.incident.verdict == Verdict::IspBlock),
            "{}",
            show(&outcome)
        );
        let end = standing[0].end.unwrap_or_else(|| panic!("seed {seed}: no end{}", show(&outcome)));
        assert!((end.unix_ms() - EPOCH - END).abs() < 60_000, "seed {seed}{}", show(&outcome));
    }
    delays
}

#[test]
fn one_service_reset_on_one_provider_is_found_in_seconds() {
    let delays = one_provider(&[3, 4, 5], Class::TlsReset, |_| {});
    assert!(median(delays.clone()) < 8_000 && delays.iter().all(|d| *d < 20_000), "{delays:?}");
}

#[test]
fn one_service_forged_on_one_provider_is_found_in_seconds() {
    let delays = one_provider(&[6, 7, 8], Class::DnsInjected, |_| {});
    assert!(median(delays.clone()) < 8_000 && delays.iter().all(|d| *d < 20_000), "{delays:?}");
}

#[test]
fn one_service_dropped_on_one_provider_is_found_within_two_rounds() {
    let delays = one_provider(&[0, 1, 2], Class::TlsTimeout, |_| {});
    assert!(median(delays.clone()) < 25_000 && delays.iter().all(|d| *d < 27_000), "{delays:?}");
    let fresh = one_provider(&[0, 1, 2], Class::TcpTimeout, |scenario| scenario.baseline = 0);
    assert!(median(fresh.clone()) < 27_000 && fresh.iter().all(|d| *d < 35_000), "{fresh:?}");
}

#[test]
fn one_target_on_one_provider_is_found_too() {
    let delays = one_provider(&[14], Class::TlsReset, |_| {});
    assert!(delays.iter().all(|d| *d < 20_000), "{delays:?}");
}

#[test]
fn a_site_that_is_down_everywhere_is_never_a_block() {
    for (seed, class) in
        seeds().zip([Class::TcpTimeout, Class::TcpRefused, Class::HttpTimeout].iter().cycle())
    {
        let down = rule(seed, Hits::Everybody, &[15], *class);
        let outcome = play(&Scenario { rules: vec![down], ..Scenario::default() }, seed);
        let said = outcome.said.iter().map(|said| said.incident.verdict);
        assert!(said.clone().count() > 0, "seed {seed}: nothing was said");
        assert!(said.clone().all(|v| v == Verdict::TargetOutage), "seed {seed}{}", show(&outcome));
        assert_eq!(outcome.incidents.len(), 1, "seed {seed}{}", show(&outcome));
        assert_eq!(outcome.incidents[0].targets.len(), 1, "seed {seed}{}", show(&outcome));
        assert_eq!(outcome.incidents[0].asns.len(), 8, "seed {seed}{}", show(&outcome));
        let delay = outcome.said[0].at - begin(seed);
        assert!(delay < 120_000, "seed {seed}: {delay}{}", show(&outcome));
        assert!(outcome.incidents[0].end.is_some(), "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn a_provider_with_one_or_two_agents_is_never_named_as_blocking() {
    for seed in seeds() {
        for number in [1, 2] {
            let mut agents = vec![3; 8];
            agents[6] = number;
            let block = rule(seed, Hits::Providers(vec![6]), &[3, 4, 5], Class::TlsReset);
            let scenario =
                Scenario { rules: vec![block], agents, lasts: END + 600_000, ..Scenario::default() };
            let outcome = play(&scenario, seed);
            let said: Vec<Verdict> = outcome.said.iter().map(|said| said.incident.verdict).collect();
            assert!(!said.is_empty(), "seed {seed}: nothing was said");
            assert!(said.iter().all(|v| *v == Verdict::InsufficientData), "seed {seed}{}", show(&outcome));
            assert_eq!(outcome.incidents.len(), 1, "seed {seed}{}", show(&outcome));
            assert!(outcome.incidents[0].end.is_some(), "seed {seed}{}", show(&outcome));
            assert_eq!(outcome.incidents[0].targets.len(), 3, "the whole service: {seed}{}", show(&outcome));
        }
    }
}

#[test]
fn loss_publishes_nothing() {
    for seed in seeds() {
        let scenario = Scenario {
            loss: 0.02,
            lasts: 3_600_000,
            baseline: if seed % 2 == 0 { 200 } else { 0 },
            ..Scenario::default()
        };
        let outcome = play(&scenario, seed);
        assert!(outcome.said.is_empty(), "seed {seed}{}", show(&outcome));
        let most = outcome.handed_out.values().max().copied().unwrap_or(0);
        assert!(most < 120, "seed {seed}: an agent was asked {most} times in an hour");
    }
}

#[test]
fn congestion_of_one_provider_publishes_nothing() {
    // Twelve worlds even where others are played in four: the seventh once said something.
    for seed in 0..seeds().end.max(12) {
        let scenario =
            Scenario { loss: 0.01, congested: Some((3, 0.2)), lasts: 1_800_000, ..Scenario::default() };
        let outcome = play(&scenario, seed);
        assert!(outcome.said.is_empty(), "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn two_providers_that_block_different_things_are_two_incidents() {
    for seed in seeds() {
        let one = rule(seed, Hits::Providers(vec![6]), &[6, 7, 8], Class::TlsReset);
        let other = rule(seed, Hits::Providers(vec![1]), &[15], Class::DnsInjected);
        let outcome = play(&Scenario { rules: vec![one, other], ..Scenario::default() }, seed);
        let standing: Vec<_> = outcome.incidents.iter().filter(|incident| !incident.retracted).collect();
        assert_eq!(standing.len(), 2, "seed {seed}{}", show(&outcome));
        let mut sizes: Vec<usize> = standing.iter().map(|incident| incident.targets.len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 3], "seed {seed}{}", show(&outcome));
        for incident in standing {
            assert_eq!((incident.verdict, incident.asns.len()), (Verdict::IspBlock, 1), "seed {seed}");
        }
    }
}

#[test]
fn a_provider_that_blocks_more_than_the_country_does_not_change_the_countrys_verdict() {
    for seed in seeds() {
        let everybody = (0..8).collect();
        let national = rule(seed, Hits::Providers(everybody), &SOCIAL, Class::TlsReset);
        let own = rule(seed, Hits::Providers(vec![2]), &[15], Class::TcpRefused);
        let outcome = play(&Scenario { rules: vec![own, national], ..Scenario::default() }, seed);
        let standing: Vec<_> = outcome.incidents.iter().filter(|incident| !incident.retracted).collect();
        let country = standing.iter().find(|incident| incident.verdict == Verdict::CategoryBlock);
        let country = country.unwrap_or_else(|| panic!("seed {seed}{}", show(&outcome)));
        assert_eq!((country.asns.len(), country.targets.len()), (8, 12), "seed {seed}{}", show(&outcome));
        let own = standing.iter().find(|incident| incident.verdict == Verdict::IspBlock);
        let own = own.unwrap_or_else(|| panic!("seed {seed}: the provider's own{}", show(&outcome)));
        assert_eq!((own.asns.len(), own.targets.len()), (1, 1), "seed {seed}{}", show(&outcome));
        assert_eq!(standing.len(), 2, "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn a_dead_provider_is_an_outage_and_no_block() {
    for seed in seeds() {
        let dead = rule(seed, Hits::Providers(vec![2]), &[], Class::TcpTimeout);
        let outcome = play(&Scenario { rules: vec![dead], ..Scenario::default() }, seed);
        assert_eq!(outcome.incidents.len(), 1, "seed {seed}{}", show(&outcome));
        let incident = &outcome.incidents[0];
        assert_eq!((incident.verdict, incident.basis), (Verdict::IspOutage, None), "{}", show(&outcome));
        assert_eq!(incident.status, Status::Confirmed, "seed {seed}{}", show(&outcome));
        let delay = outcome.said[0].at - begin(seed);
        assert!(delay < 120_000, "seed {seed}: {delay}{}", show(&outcome));
        let end = incident.end.unwrap_or_else(|| panic!("seed {seed}: no end{}", show(&outcome)));
        assert!((end.unix_ms() - EPOCH - END).abs() < 60_000, "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn a_broken_agent_is_nobodys_fault() {
    for seed in seeds() {
        let all = rule(seed, Hits::Agents(vec![(0, 1)]), &[], Class::TlsTimeout);
        let some = rule(seed, Hits::Agents(vec![(4, 2)]), &SOCIAL, Class::TlsReset);
        let outcome = play(&Scenario { rules: vec![all, some], ..Scenario::default() }, seed);
        assert!(outcome.said.is_empty(), "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn a_block_that_spreads_stays_one_incident() {
    for seed in seeds() {
        let mut rules = Vec::new();
        for provider in 0..8 {
            let late = Ms::try_from(provider).expect("small") * 15_000;
            let rule = rule(seed, Hits::Providers(vec![provider]), &SOCIAL, Class::TlsReset);
            rules.push(Rule { from: rule.from + late, ..rule });
        }
        let outcome = play(&Scenario { rules, ..Scenario::default() }, seed);
        let standing: Vec<_> = outcome.incidents.iter().filter(|incident| !incident.retracted).collect();
        assert_eq!(standing.len(), 1, "seed {seed}{}", show(&outcome));
        assert_eq!(standing[0].verdict, Verdict::CategoryBlock, "seed {seed}{}", show(&outcome));
        assert_eq!(standing[0].asns.len(), 8, "seed {seed}{}", show(&outcome));
        assert_eq!(outcome.said[0].incident.id, standing[0].id, "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn a_restart_in_the_middle_continues_the_incident() {
    for seed in seeds() {
        let rules = mixed_classes().into_iter();
        let rules =
            rules.map(|(provider, class)| rule(seed, Hits::Providers(vec![provider]), &SOCIAL, class));
        let after = 5_000 + 9_000 * Ms::try_from(seed).expect("small");
        let scenario =
            Scenario { rules: rules.collect(), restart_at: Some(begin(seed) + after), ..Scenario::default() };
        let outcome = play(&scenario, seed);
        let standing: Vec<_> = outcome.incidents.iter().filter(|incident| !incident.retracted).collect();
        assert_eq!(standing.len(), 1, "seed {seed}{}", show(&outcome));
        assert_eq!(standing[0].services.len(), 4, "seed {seed}{}", show(&outcome));
        assert_eq!(standing[0].asns.len(), 8, "seed {seed}{}", show(&outcome));
        let numbers: Vec<u32> = standing[0].revisions.iter().map(|revision| revision.revision).collect();
        let wanted: Vec<u32> = (1..=standing[0].revision).collect();
        assert_eq!(numbers, wanted, "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn nobody_is_asked_more_than_the_budget_allows() {
    let rules = mixed_classes().into_iter();
    let rules = rules.map(|(provider, class)| rule(0, Hits::Providers(vec![provider]), &SOCIAL, class));
    let scenario = Scenario {
        rules: rules.map(|r| Rule { to: 3_000_000, ..r }).collect(),
        lasts: 3_600_000,
        ..Scenario::default()
    };
    let outcome = play(&scenario, 0);
    let most = outcome.handed_out.iter().filter(|((provider, _), _)| *provider < 8).map(|(_, n)| *n).max();
    assert!(most.is_some_and(|most| most <= 60), "{most:?}");
}
