//! Properties that every plan has.

use super::*;
use faultline_model::{Category, Limits, Role, ServiceId, TargetSpec, Timestamp};
use proptest::prelude::*;

fn list(services: &[usize], cell_period_s: u32) -> TaskList {
    let specs = services.iter().enumerate().flat_map(|(service, targets)| {
        (0..*targets).map(move |target| TargetSpec {
            target: Target::new(&format!("https://t{target}.s{service}.example/")).expect("valid"),
            service: ServiceId::new(&format!("s{service}")).expect("valid"),
            service_name: format!("S{service}"),
            role: Role::Site,
            category: Category::new("GRP").expect("valid"),
            checks: vec![CheckKind::Web],
            domestic: None,
        })
    });
    TaskList {
        name: "core".into(),
        version: 1,
        issued_at: Timestamp::from_unix_ms(0),
        expires_at: Timestamp::from_unix_ms(86_400_000),
        limits: Limits { cell_period_s, ..Limits::default() },
        resolvers: vec![],
        targets: specs.collect(),
        landmarks: vec![],
        throughput_control: None,
        risk: BTreeMap::new(),
        line: faultline_model::LineProbes::default(),
    }
}

fn family(number: u32) -> Group {
    Group::Family("PK".parse().expect("valid"), Asn::new(number).expect("valid"))
}

fn agent(name: &str, group: Group, budget: Budget) -> PlanAgent {
    PlanAgent {
        id: AgentId::new(name).expect("valid"),
        group,
        budget,
        kinds: vec![CheckKind::Web],
        unmeasured: vec![],
    }
}

/// Moments at which somebody of `agents` looks at `target`, within `span_ms` from 0.
fn looks(plan: &Plan, agents: &[PlanAgent], target: &Target, span_ms: u64) -> Vec<(u64, AgentId)> {
    let mut moments = Vec::new();
    for agent in agents {
        for entry in plan.entries[&agent.id].iter().filter(|entry| entry.target == *target) {
            let mut at = entry.phase_ms;
            while at < span_ms {
                moments.push((at, agent.id.clone()));
                at += entry.period_ms;
            }
        }
    }
    moments.sort();
    moments
}

#[test]
fn a_family_of_three_looks_at_each_target_once_a_period_and_takes_turns() {
    let list = list(&[3, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1], 300);
    assert_eq!(list.targets.len(), 21, "the size of the shipped list");
    let agents: Vec<_> = (0..3).map(|n| agent(&format!("a{n}"), family(17557), Budget::Standard)).collect();
    let plan = plan(&list, &agents);
    assert!(plan.costs[0].fits, "{:?}", plan.costs);
    for spec in &list.targets {
        let looks = looks(&plan, &agents, &spec.target, 9 * 300_000);
        assert_eq!(looks.len(), 9, "{}", spec.target);
        for pair in looks.windows(2) {
            assert_eq!(pair[1].0 - pair[0].0, 300_000);
            assert_ne!(pair[0].1, pair[1].1, "another agent each time");
        }
    }
}

#[test]
fn targets_of_one_service_are_far_apart_and_families_are_offset() {
    let list = list(&[4, 3, 2, 2, 2, 2, 2, 1, 1, 1, 1], 300);
    let families: Vec<_> =
        (0..8).map(|n| agent(&format!("f{n}"), family(9000 + n), Budget::Standard)).collect();
    let with_three: Vec<_> = families
        .iter()
        .flat_map(|one| {
            (0..3).map(|n| PlanAgent {
                id: AgentId::new(format!("{}-{n}", one.id)).expect("valid"),
                ..one.clone()
            })
        })
        .collect();
    let plan = plan(&list, &with_three);
    let service =
        |name: &str| list.targets.iter().filter(|spec| spec.service.as_str() == name).collect::<Vec<_>>();
    for (name, count) in [("s0", 4_u64), ("s1", 3), ("s2", 2), ("s6", 2)] {
        let mut moments: Vec<u64> = service(name)
            .iter()
            .flat_map(|spec| looks(&plan, &with_three[..3], &spec.target, 3_000_000))
            .map(|(at, _)| at)
            .collect();
        moments.sort_unstable();
        let widest = moments.windows(2).map(|pair| pair[1] - pair[0]).max().expect("many");
        assert!(widest <= 300_000 / count + 1, "{name}: {widest} ms without a look");
    }
    let target = &list.targets[0].target;
    let mut country = looks(&plan, &with_three, target, 3_000_000);
    country.retain(|(at, _)| *at >= 300_000);
    let widest = country.windows(2).map(|pair| pair[1].0 - pair[0].0).max().expect("many");
    assert!(
        widest <= 300_000 / 8 + 1,
        "somewhere in the country it is looked at every 37.5 s, not {widest} ms"
    );
}

#[test]
fn every_control_looks_at_every_target_once_a_period_between_the_others() {
    let list = list(&[2, 1, 1], 300);
    let controls: Vec<_> =
        (0..2).map(|n| agent(&format!("c{n}"), Group::Control, Budget::Standard)).collect();
    let plan = plan(&list, &controls);
    for spec in &list.targets {
        let looks = looks(&plan, &controls, &spec.target, 3_000_000);
        assert_eq!(looks.len(), 20);
        assert!(looks.windows(2).all(|pair| pair[1].0 - pair[0].0 == 150_000), "{looks:?}");
    }
}

#[test]
fn landmarks_are_looked_at_by_controls_alone() {
    let mut list = list(&[2, 1], 300);
    let landmark = |name: &str| faultline_model::Landmark {
        target: Target::new(&format!("https://{name}.example/")).expect("valid"),
        country: "PK".parse().expect("valid"),
        asn: Asn::new(23674).expect("valid"),
    };
    list.landmarks = vec![landmark("isp-a"), landmark("isp-b")];
    let agents = [agent("a", family(9541), Budget::Standard), agent("c", Group::Control, Budget::Standard)];
    let plan = plan(&list, &agents);
    assert_eq!((plan.entries[&agents[0].id].len(), plan.entries[&agents[1].id].len()), (3, 5));
    let looks = looks(&plan, &agents[1..], &list.landmarks[1].target, 3_000_000);
    assert_eq!(looks.len(), 10, "once in a cell period");
}

#[test]
fn a_list_that_does_not_fit_stretches_the_period_and_says_so() {
    let list = list(&[21], 300);
    let alone = [agent("a", family(9541), Budget::Standard)];
    let plan = plan(&list, &alone);
    assert!(!plan.costs[0].fits);
    assert_eq!(plan.costs[0].cell_period_ms, 864_000, "21 targets in 2,100 checks a day");
    assert_eq!(plan.costs[0].checks_per_day, 2_100);
}

#[test]
fn a_download_is_planned_once_an_hour_for_a_family_and_never_on_a_small_budget() {
    let mut list = list(&[2, 1], 300);
    list.targets[0].checks.push(CheckKind::Throughput);
    let kinds = vec![CheckKind::Web, CheckKind::Throughput];
    let full = |name: &str, budget| PlanAgent { kinds: kinds.clone(), ..agent(name, family(17557), budget) };
    let agents: Vec<_> = (0..3).map(|n| full(&format!("a{n}"), Budget::Standard)).collect();
    let three = plan(&list, &agents);
    for agent in &agents {
        let downloads: Vec<_> =
            three.entries[&agent.id].iter().filter(|entry| entry.check == CheckKind::Throughput).collect();
        assert_eq!(downloads.len(), 1);
        assert_eq!(downloads[0].period_ms, 3 * 3_600_000, "three take turns");
    }
    assert!(three.costs[0].fits);
    assert_eq!(three.costs[0].bytes_per_day, 3 * 96 * 10_000 + 8 * 900_000);
    let small = [full("s", Budget::Small)];
    let lone = plan(&list, &small);
    assert!(lone.entries[&small[0].id].iter().all(|entry| entry.check == CheckKind::Web));
}

#[test]
fn a_list_whose_downloads_exceed_a_lines_bytes_does_not_fit() {
    let mut list = list(&[1, 1, 1], 300);
    list.targets.iter_mut().for_each(|spec| spec.checks.push(CheckKind::Throughput));
    let kinds = vec![CheckKind::Web, CheckKind::Throughput];
    let lone = [PlanAgent { kinds, ..agent("a", family(17557), Budget::Standard) }];
    assert!(!plan(&list, &lone).costs[0].fits, "65 MB a day");
}

#[test]
fn an_agent_is_not_given_checks_that_it_does_not_know() {
    let list = list(&[2], 300);
    let mut old = agent("old", family(9541), Budget::Standard);
    old.kinds.clear();
    assert_eq!(plan(&list, &[old.clone()]).entries[&old.id], vec![]);
}

#[test]
fn an_agent_is_not_counted_on_for_categories_that_it_does_not_measure() {
    let mut list = list(&[2, 2], 300);
    let religion = Category::new("REL").expect("valid");
    list.targets[3].category = religion.clone();
    let mut agents: Vec<_> =
        (0..3).map(|n| agent(&format!("a{n}"), family(17557), Budget::Standard)).collect();
    agents[1].unmeasured = vec![religion];
    let plan = plan(&list, &agents);
    assert!(plan.costs[0].fits);
    let (sensitive, other) = (&list.targets[3].target, &list.targets[0].target);
    assert!(plan.entries[&agents[1].id].iter().all(|entry| entry.target != *sensitive));
    for target in [sensitive, other] {
        let looks = looks(&plan, &agents, target, 12 * 300_000);
        assert_eq!(looks.len(), 12, "{target}: the others take its turns");
        assert!(looks.windows(2).all(|pair| pair[1].0 - pair[0].0 == 300_000 && pair[0].1 != pair[1].1));
    }
    agents.iter_mut().for_each(|agent| agent.unmeasured = vec![list.targets[3].category.clone()]);
    let nobody = super::plan(&list, &agents);
    assert!(nobody.entries.values().flatten().all(|entry| entry.target != *sensitive));
}

#[test]
fn whoever_measures_alone_what_others_do_not_keeps_its_budget() {
    let mut list = list(&[2; 12], 300);
    let religion = Category::new("REL").expect("valid");
    list.targets.iter_mut().skip(2).for_each(|spec| spec.category = religion.clone());
    let mut agents: Vec<_> =
        (0..4).map(|n| agent(&format!("a{n}"), family(17557), Budget::Standard)).collect();
    agents[1..].iter_mut().for_each(|agent| agent.unmeasured = vec![religion.clone()]);
    let plan = plan(&list, &agents);
    assert!(!plan.costs[0].fits, "one line cannot carry 22 targets every five minutes");
    for agent in &agents {
        let checks = checks_per_day(&plan.entries[&agent.id]);
        assert!(checks <= day_budget(agent.budget).routine_checks(), "{checks}");
    }
}

proptest! {
    #[test]
    fn no_budget_is_ever_exceeded_and_every_cell_is_covered(
        services in prop::collection::vec(1_usize..6, 1..20),
        standard in 0_usize..9,
        small in 0_usize..9,
        period in 60_u32..3600,
    ) {
        prop_assume!(standard + small > 0);
        let list = list(&services, period);
        let group = family(9541);
        let mut agents: Vec<_> = (0..standard).map(|n| agent(&format!("a{n}"), group, Budget::Standard)).collect();
        agents.extend((0..small).map(|n| agent(&format!("b{n}"), group, Budget::Small)));
        let plan = plan(&list, &agents);
        let cost = &plan.costs[0];
        for agent in &agents {
            let entries = &plan.entries[&agent.id];
            prop_assert_eq!(entries.len(), list.targets.len());
            prop_assert!(checks_per_day(entries) <= day_budget(agent.budget).routine_checks());
            prop_assert!(entries.iter().all(|e| e.phase_ms < e.period_ms && e.period_ms >= u64::from(period) * 1000));
        }
        let ten = cost.cell_period_ms * 100;
        for spec in &list.targets {
            let count = looks(&plan, &agents, &spec.target, ten).len();
            prop_assert!((96..=104).contains(&count), "{} looks in a hundred periods", count);
        }
        if cost.fits {
            prop_assert!(cost.cell_period_ms <= u64::from(period) * 1000 + 2);
        }
    }

    #[test]
    fn the_order_of_agents_changes_nothing(seed in 0_u64..1000) {
        let list = list(&[3, 2, 1], 300);
        let mut agents: Vec<_> = (0..7).map(|n| agent(&format!("a{n}"), family(9000 + n % 3), Budget::Standard)).collect();
        let first = plan(&list, &agents);
        let shift = usize::try_from(seed).expect("small") % agents.len();
        agents.rotate_left(shift);
        prop_assert_eq!(first, plan(&list, &agents));
    }
}
