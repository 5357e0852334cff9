//! What must be said, and must not be said, when agents go silent.

use crate::presence::{Meanwhile, Off};
use crate::scenarios::{begin, first, show};
use crate::simulator::{EPOCH, Hits, Ms, Outcome, Scenario, play};
use faultline_model::{Basis, Incident, Reach, Status, Verdict};

/// These worlds last longer than others: fewer of them are played, unless `FAULTLINE_SEEDS` says more.
fn seeds() -> std::ops::Range<u64> {
    let all = crate::scenarios::seeds();
    if cfg!(debug_assertions) && std::env::var_os("FAULTLINE_SEEDS").is_none() { 0..2 } else { all }
}

/// A quarter of an hour after everything began.
const BACK: Ms = 1_020_000;

fn off(seed: u64, hits: Hits, meanwhile: Meanwhile) -> Off {
    Off { from: begin(seed), to: BACK + begin(seed) % 1_000, hits, meanwhile }
}

fn everybody() -> Hits {
    Hits::Providers((0..8).collect())
}

fn scenario(offs: Vec<Off>) -> Scenario {
    Scenario { offs, lasts: 1_500_000, ..Scenario::default() }
}

fn the_only(outcome: &Outcome, seed: u64) -> &Incident {
    let standing: Vec<&Incident> = outcome.incidents.iter().filter(|incident| !incident.retracted).collect();
    assert_eq!(standing.len(), 1, "seed {seed}{}", show(outcome));
    standing[0]
}

fn error(moment: Option<faultline_model::Timestamp>, truth: Ms) -> Ms {
    moment.map_or(Ms::MAX, |moment| (moment.unix_ms() - EPOCH - truth).abs())
}

#[test]
fn a_cut_line_is_an_outage_of_one_provider_within_ninety_seconds() {
    for seed in seeds() {
        let world = scenario(vec![off(seed, Hits::Providers(vec![6]), Meanwhile::Fails)]);
        let outcome = play(&world, seed);
        let said = &outcome.said[0];
        assert!(said.at - begin(seed) < 90_000, "seed {seed}{}", show(&outcome));
        assert_eq!(said.incident.verdict, Verdict::IspOutage, "seed {seed}{}", show(&outcome));
        assert_eq!(
            (said.incident.status, said.incident.basis),
            (Status::Suspected, Some(Basis::Silence)),
            "seed {seed}{}",
            show(&outcome)
        );
        let words = "our vantage points went silent: a shutdown, or our channel is blocked";
        assert!(said.incident.headline.starts_with(words), "{}", said.incident.headline);
        let last = the_only(&outcome, seed);
        assert_eq!((last.verdict, last.asns.len()), (Verdict::IspOutage, 1), "seed {seed}{}", show(&outcome));
        assert_eq!((last.status, last.basis), (Status::Confirmed, Some(Basis::Spool)), "{}", show(&outcome));
        assert!(error(Some(last.onset), begin(seed)) < 30_000, "seed {seed}{}", show(&outcome));
        assert!(error(last.end, BACK) < 40_000, "seed {seed}{}", show(&outcome));
        let share: f64 = last.user_share.iter().sum();
        assert!((share - 1.0).abs() < 1e-3 && last.user_share[1] > 0.9, "{:?}", last.user_share);
    }
}

#[test]
fn mobile_off_and_fixed_on_is_a_partial_shutdown() {
    for seed in seeds() {
        let mobile = Hits::Providers(crate::simulator::MOBILE.to_vec());
        for landmarks in [false, true] {
            let world = Scenario { landmarks, ..scenario(vec![off(seed, mobile.clone(), Meanwhile::Fails)]) };
            let outcome = play(&world, seed);
            let last = the_only(&outcome, seed);
            assert_eq!(last.verdict, Verdict::PartialShutdown, "seed {seed}{}", show(&outcome));
            assert_eq!(last.asns.len(), 4, "seed {seed}{}", show(&outcome));
            assert!(last.headline.starts_with("mobile internet is off"), "{}", last.headline);
            assert!(outcome.said[0].at - begin(seed) < 120_000, "seed {seed}{}", show(&outcome));
        }
    }
}

#[test]
fn a_national_shutdown_is_said_from_silence_and_confirmed_by_spools() {
    for seed in seeds() {
        let outcome = play(&scenario(vec![off(seed, everybody(), Meanwhile::Fails)]), seed);
        let early = first(&outcome, |incident| incident.verdict == Verdict::NationalShutdown);
        let early = early.unwrap_or_else(|| panic!("seed {seed}{}", show(&outcome)));
        assert!(early.at - begin(seed) < 120_000, "seed {seed}{}", show(&outcome));
        assert_eq!(
            (early.incident.basis, early.incident.status),
            (Some(Basis::Silence), Status::Suspected),
            "seed {seed}{}",
            show(&outcome)
        );
        assert!(early.incident.headline.starts_with("our vantage points went silent"));
        let last = the_only(&outcome, seed);
        assert_eq!(last.verdict, Verdict::NationalShutdown, "seed {seed}{}", show(&outcome));
        assert_eq!(
            (last.basis, last.status, last.asns.len()),
            (Some(Basis::Spool), Status::Confirmed, 8),
            "seed {seed}{}",
            show(&outcome)
        );
        assert!(last.headline.starts_with("the internet is shut down"), "{}", last.headline);
        assert!(error(Some(last.onset), begin(seed)) < 30_000, "seed {seed}{}", show(&outcome));
        assert!(error(last.end, BACK) < 40_000, "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn a_blocked_channel_is_told_apart_before_any_spool_arrives() {
    for seed in seeds() {
        let world = Scenario { landmarks: true, ..scenario(vec![off(seed, everybody(), Meanwhile::Works)]) };
        let outcome = play(&world, seed);
        let early: Vec<_> = outcome.said.iter().filter(|said| said.at < BACK).collect();
        assert!(!early.is_empty() && early[0].at - begin(seed) < 120_000, "seed {seed}{}", show(&outcome));
        for said in &early {
            assert_eq!(said.incident.verdict, Verdict::ControlChannelBlock, "seed {seed}{}", show(&outcome));
            assert_eq!(said.incident.status, Status::Suspected, "seed {seed}{}", show(&outcome));
        }
        let last = the_only(&outcome, seed);
        assert_eq!(
            (last.verdict, last.basis, last.status),
            (Verdict::ControlChannelBlock, Some(Basis::Spool), Status::Confirmed),
            "seed {seed}{}",
            show(&outcome)
        );
        assert_eq!((last.reach, last.asns.len()), (Some(Reach::All), 8), "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn without_landmarks_the_spools_turn_a_shutdown_into_a_blocked_channel() {
    for seed in seeds() {
        let outcome = play(&scenario(vec![off(seed, everybody(), Meanwhile::Works)]), seed);
        let early = first(&outcome, |incident| incident.verdict == Verdict::NationalShutdown);
        assert!(early.is_some(), "seed {seed}{}", show(&outcome));
        let last = the_only(&outcome, seed);
        assert_eq!(last.verdict, Verdict::ControlChannelBlock, "seed {seed}{}", show(&outcome));
        let said: Vec<Verdict> = last.revisions.iter().map(|revision| revision.verdict).collect();
        assert!(said.contains(&Verdict::NationalShutdown), "what was said stays readable: {said:?}");
    }
}

#[test]
fn hosts_that_fail_from_outside_too_make_a_shutdown_likelier_and_spools_confirm_it() {
    for seed in seeds() {
        let world = Scenario { landmarks: true, ..scenario(vec![off(seed, everybody(), Meanwhile::Fails)]) };
        let outcome = play(&world, seed);
        let early = first(&outcome, |incident| incident.basis == Some(Basis::OutsideIn));
        let early = early.unwrap_or_else(|| panic!("seed {seed}{}", show(&outcome)));
        assert!(early.at < BACK, "seed {seed}{}", show(&outcome));
        assert_eq!(
            (early.incident.verdict, early.incident.status),
            (Verdict::NationalShutdown, Status::Suspected),
            "seed {seed}{}",
            show(&outcome)
        );
        let last = the_only(&outcome, seed);
        assert_eq!((last.basis, last.status), (Some(Basis::Spool), Status::Confirmed), "{}", show(&outcome));
    }
}

#[test]
fn a_country_that_is_cut_off_from_abroad_still_reaches_its_own_sites() {
    for seed in seeds() {
        let world =
            Scenario { domestic: true, ..scenario(vec![off(seed, everybody(), Meanwhile::DomesticWorks)]) };
        let outcome = play(&world, seed);
        let last = the_only(&outcome, seed);
        assert_eq!(
            (last.verdict, last.reach),
            (Verdict::NationalShutdown, Some(Reach::DomesticOnly)),
            "seed {seed}{}",
            show(&outcome)
        );
        assert!(last.headline.contains("sites inside the country still work"), "{}", last.headline);
    }
}

#[test]
fn agents_that_stay_connected_while_everything_abroad_fails_tell_the_same() {
    for seed in seeds() {
        let foreign: Vec<usize> = (0..21).collect();
        let rule = crate::simulator::Rule {
            from: begin(seed),
            to: BACK,
            hits: everybody(),
            targets: foreign,
            class: faultline_model::Class::TcpTimeout,
        };
        let world = Scenario { domestic: true, rules: vec![rule], ..scenario(vec![]) };
        let outcome = play(&world, seed);
        let last = the_only(&outcome, seed);
        assert_eq!(
            (last.verdict, last.reach, last.basis, last.asns.len()),
            (Verdict::NationalShutdown, Some(Reach::DomesticOnly), None, 8),
            "seed {seed}{}",
            show(&outcome)
        );
        assert_eq!(last.status, Status::Confirmed, "seed {seed}{}", show(&outcome));
        assert!(error(last.end, BACK) < 60_000, "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn when_everybody_abroad_falls_silent_too_it_is_our_own_side() {
    for seed in seeds() {
        let outcome = play(&scenario(vec![off(seed, Hits::Everybody, Meanwhile::Works)]), seed);
        for said in &outcome.said {
            assert_eq!(said.incident.verdict, Verdict::CoordinatorOutage, "seed {seed}{}", show(&outcome));
        }
        let last = the_only(&outcome, seed);
        assert!(last.asns.is_empty() && last.end.is_some(), "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn our_own_downtime_is_told_and_blamed_on_nobody() {
    for seed in seeds() {
        let down = (begin(seed), begin(seed) + 300_000);
        let outcome = play(&Scenario { down: Some(down), ..scenario(vec![]) }, seed);
        let last = the_only(&outcome, seed);
        assert_eq!(last.verdict, Verdict::CoordinatorOutage, "seed {seed}{}", show(&outcome));
        assert_eq!(error(Some(last.onset), down.0), 0, "seed {seed}");
        assert_eq!(error(last.end, down.1), 0, "seed {seed}");
    }
}

#[test]
fn a_shutdown_that_begins_while_we_are_down_is_seen_afterwards() {
    for seed in seeds() {
        let down = (begin(seed), begin(seed) + 300_000);
        let offs = vec![Off {
            from: begin(seed) + 60_000,
            to: BACK + 600_000,
            hits: everybody(),
            meanwhile: Meanwhile::Fails,
        }];
        let world = Scenario { down: Some(down), lasts: 2_100_000, ..scenario(offs) };
        let outcome = play(&world, seed);
        let verdicts: Vec<Verdict> = outcome.incidents.iter().map(|incident| incident.verdict).collect();
        assert!(verdicts.contains(&Verdict::CoordinatorOutage), "seed {seed}{}", show(&outcome));
        assert!(verdicts.contains(&Verdict::NationalShutdown), "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn an_evening_on_which_people_switch_off_says_nothing() {
    for seed in seeds() {
        let mut offs = Vec::new();
        for agent in 0..24_usize {
            let turn =
                i64::try_from((agent * 11 + usize::try_from(seed).expect("small") * 5) % 24).expect("small");
            offs.push(Off {
                from: 600_000 + turn * 240_000,
                to: Ms::MAX,
                hits: Hits::Agents(vec![(agent / 3, agent % 3)]),
                meanwhile: Meanwhile::Nothing,
            });
        }
        let outcome = play(&Scenario { offs, lasts: 7_200_000, ..Scenario::default() }, seed);
        assert!(outcome.said.is_empty(), "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn who_leaves_in_order_is_not_silent() {
    for seed in seeds() {
        let leaves = (0..24).map(|agent| (agent / 3, agent % 3, begin(seed))).collect();
        let outcome = play(&Scenario { leaves, ..scenario(vec![]) }, seed);
        assert!(outcome.said.is_empty(), "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn two_agents_that_fall_silent_never_alarm() {
    for seed in seeds() {
        let mut agents = vec![3; 8];
        agents[6] = 2;
        let offs = vec![off(seed, Hits::Providers(vec![6]), Meanwhile::Fails)];
        let outcome = play(&Scenario { agents, ..scenario(offs) }, seed);
        let named = outcome.said.iter().any(|said| said.incident.verdict != Verdict::InsufficientData);
        assert!(!named, "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn one_agents_power_cut_says_nothing() {
    for seed in seeds() {
        let offs = vec![off(seed, Hits::Agents(vec![(0, 1)]), Meanwhile::Nothing)];
        let outcome = play(&scenario(offs), seed);
        assert!(outcome.said.is_empty(), "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn the_order_in_which_signs_are_heard_changes_nothing() {
    for seed in seeds() {
        let world = scenario(vec![off(seed, everybody(), Meanwhile::Fails)]);
        let straight = play(&world, seed);
        let mixed = play(&Scenario { is_shuffled: true, ..world }, seed);
        assert_eq!(straight.incidents, mixed.incidents, "seed {seed}{}", show(&mixed));
    }
}

#[test]
fn a_restart_in_the_middle_of_a_shutdown_continues_the_incident() {
    for seed in seeds() {
        let world = Scenario {
            restart_at: Some(begin(seed) + 120_000),
            ..scenario(vec![off(seed, everybody(), Meanwhile::Fails)])
        };
        let outcome = play(&world, seed);
        let last = the_only(&outcome, seed);
        assert_eq!(last.verdict, Verdict::NationalShutdown, "seed {seed}{}", show(&outcome));
        assert_eq!((last.basis, last.asns.len()), (Some(Basis::Spool), 8), "seed {seed}{}", show(&outcome));
        assert!(outcome.said[0].at < begin(seed) + 120_000, "seed {seed}{}", show(&outcome));
        assert_eq!(outcome.said[0].incident.id, last.id, "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn a_region_without_power_is_told_as_a_region() {
    for seed in seeds() {
        let dark = Hits::Agents((0..8).map(|provider| (provider, 1)).collect());
        let world = Scenario { regions: true, ..scenario(vec![off(seed, dark, Meanwhile::Nothing)]) };
        let outcome = play(&world, seed);
        let last = the_only(&outcome, seed);
        assert_eq!(last.verdict, Verdict::RegionalOutage, "seed {seed}{}", show(&outcome));
        assert!(last.headline.contains("in south"), "{}", last.headline);
        assert!(error(last.end, BACK) < 40_000, "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn a_channel_that_is_blocked_on_one_provider_is_no_outage_of_it() {
    for seed in seeds() {
        let offs = vec![off(seed, Hits::Providers(vec![6]), Meanwhile::Works)];
        let outcome = play(&Scenario { landmarks: true, ..scenario(offs) }, seed);
        for said in &outcome.said {
            assert_eq!(said.incident.verdict, Verdict::ControlChannelBlock, "seed {seed}{}", show(&outcome));
        }
        let last = the_only(&outcome, seed);
        assert_eq!((last.basis, last.asns.len()), (Some(Basis::Spool), 1), "seed {seed}{}", show(&outcome));
        assert!(last.user_share[0] < 1e-9, "nobody's internet is affected: {:?}", last.user_share);
    }
}

#[test]
fn a_silence_that_nothing_explains_afterwards_stays_open_to_doubt() {
    for seed in seeds() {
        let offs = vec![off(seed, Hits::Providers(vec![6]), Meanwhile::Nothing)];
        let outcome = play(&Scenario { lasts: 4_200_000, ..scenario(offs) }, seed);
        let last = the_only(&outcome, seed);
        assert_eq!(last.verdict, Verdict::InsufficientData, "seed {seed}{}", show(&outcome));
        assert_eq!(last.status, Status::Suspected, "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn a_block_of_a_service_while_our_channel_is_blocked_is_still_found_afterwards() {
    for seed in seeds() {
        let rule = crate::simulator::Rule {
            from: begin(seed) + 60_000,
            to: Ms::MAX,
            hits: Hits::Providers(vec![6]),
            targets: vec![3, 4, 5],
            class: faultline_model::Class::TlsReset,
        };
        let offs = vec![off(seed, everybody(), Meanwhile::Works)];
        let outcome = play(&Scenario { rules: vec![rule], landmarks: true, ..scenario(offs) }, seed);
        let found: Vec<Verdict> = outcome.incidents.iter().map(|incident| incident.verdict).collect();
        assert!(found.contains(&Verdict::ControlChannelBlock), "seed {seed}{}", show(&outcome));
        assert!(found.contains(&Verdict::IspBlock), "seed {seed}{}", show(&outcome));
    }
}

#[test]
fn two_providers_behind_one_gateway_are_told_with_it() {
    for seed in seeds() {
        let gateway = Some(crate::simulator::asn(crate::country::GATEWAY));
        let rule = crate::simulator::Rule {
            from: begin(seed),
            to: BACK,
            hits: Hits::Providers(vec![3, 4]),
            targets: vec![6, 7, 8],
            class: faultline_model::Class::TlsReset,
        };
        let block = Scenario { gateways: true, rules: vec![rule], ..scenario(vec![]) };
        let outcome = play(&block, seed);
        let last = the_only(&outcome, seed);
        assert_eq!((last.verdict, last.transit), (Verdict::MultiIspBlock, gateway), "{}", show(&outcome));
        assert!(last.evidence.iter().any(|reason| reason.contains("compatible with filtering at or behind")));
        let offs = vec![off(seed, Hits::Providers(vec![3, 4]), Meanwhile::Fails)];
        let outcome = play(&Scenario { gateways: true, ..scenario(offs) }, seed);
        let last = the_only(&outcome, seed);
        assert_eq!((last.verdict, last.transit), (Verdict::PartialShutdown, gateway), "{}", show(&outcome));
    }
}

#[test]
fn a_shutdown_that_outlasts_a_restarts_memory_still_ends() {
    let seed = 0;
    let offs = vec![Off {
        from: begin(seed),
        to: 30 * 3_600_000,
        hits: Hits::Providers(vec![6, 7]),
        meanwhile: Meanwhile::Nothing,
    }];
    let outcome = play(&Scenario { offs, lasts: 30 * 3_600_000 + 600_000, ..Scenario::default() }, seed);
    let last = outcome.incidents.iter().find(|incident| !incident.retracted).expect("one stands");
    assert!(error(last.end, 30 * 3_600_000) < 60_000, "{}", show(&outcome));
}
