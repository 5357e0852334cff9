//! What must never be said, and what must be, whatever the numbers.

use crate::world::*;
use faultline_analysis::detect::Setup;
use faultline_model::{AgentId, Asn, Class, Incident, MeasurementId, Record, Verdict};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::subsequence;
use std::collections::{BTreeMap, BTreeSet};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_right_thing_is_said(country in country(3..5)) {
        let said = run(&records(&country, |_, _, _, _| false));
        let named: BTreeSet<Asn> = country.blocked.iter().map(|provider| asn(*provider)).collect();
        let standing: Vec<&Incident> = said.iter().filter(|incident| !incident.retracted).collect();
        prop_assert_eq!(standing.len(), usize::from(!named.is_empty()), "{:?}", statements(&said));
        for incident in standing {
            prop_assert!(is_block(incident));
            prop_assert_eq!(incident.asns.iter().copied().collect::<BTreeSet<Asn>>(), named.clone());
            prop_assert_eq!(incident.targets.len(), country.targets.len());
            let sum: f64 = incident.user_share.iter().sum();
            prop_assert!((sum - 1.0).abs() < 0.001);
        }
    }

    #[test]
    fn successes_of_more_agents_never_create_an_alarm(country in country(3..5), more in 1..4_usize) {
        let few = |provider: usize, agent: usize, site: usize, at: i64| {
            at >= BEGIN_MS && country.targets.contains(&site) && agent < 2 && provider.is_multiple_of(2)
        };
        let quiet = Country { blocked: BTreeSet::new(), ..country.clone() };
        let records = records(&quiet, few);
        let mut extended = records.clone();
        for (number, record) in records.iter().enumerate().filter(|(_, record)| record.agent.as_str().ends_with("-0")) {
            for copy in 0..more {
                let id = MeasurementId::new(format!("x{number}-{copy}")).expect("a valid id");
                let agent = AgentId::new(format!("{}-more-{copy}", record.agent)).expect("a valid id");
                extended.push(Record { id, agent, class: Class::Ok, ..record.clone() });
            }
        }
        let before: Vec<Incident> = run(&records).into_iter().filter(is_block).collect();
        let after: Vec<Incident> = run(&extended).into_iter().filter(is_block).collect();
        prop_assert!(after.len() <= before.len(), "{:?} {:?}", statements(&before), statements(&after));
    }

    #[test]
    fn a_country_of_two_agent_providers_never_names_one(country in country(1..3)) {
        for incident in run(&records(&country, |_, _, _, _| false)) {
            prop_assert!(incident.verdict != Verdict::IspBlock, "{:?}", incident.headline);
            prop_assert!(country.blocked.len() > 3 || !is_block(&incident), "{:?}", incident.headline);
        }
    }

    #[test]
    fn failure_of_everything_is_no_block(country in country(2..6), dead in subsequence((0..5).collect::<Vec<usize>>(), 1..=5)) {
        let quiet = Country { blocked: BTreeSet::new(), ..country };
        let records = records(&quiet, |provider, _, _, at| at >= BEGIN_MS && dead.contains(&provider));
        let said = run(&records);
        prop_assert!(!said.iter().any(is_block), "{:?}", statements(&said));
    }

    #[test]
    fn one_agent_alone_never_makes_a_statement_about_a_provider(country in country(3..6), share in 1..10_i64) {
        let quiet = Country { blocked: BTreeSet::new(), ..country };
        let records = records(&quiet, |provider, agent, site, at| {
            agent == 0 && provider < 3 && i64::try_from(site).expect("small") < share && at >= BEGIN_MS
        });
        let said = run(&records);
        prop_assert!(!said.iter().any(is_block), "{:?}", statements(&said));
    }

    #[test]
    fn a_failing_control_excuses_everybody(country in country(3..5)) {
        let mut records = records(&country, |_, _, _, _| false);
        for record in &mut records {
            let site = CATEGORIES.len();
            let is_hit = (0..site).any(|site| country.targets.contains(&site) && record.target == target(site));
            let is_failing = is_hit && record.started_at.unix_ms() >= BEGIN_MS - 120_000;
            record.control_ok = Some(!is_failing);
        }
        let said = run(&records);
        prop_assert!(!said.iter().any(is_block), "{:?}", statements(&said));
    }

    #[test]
    fn scattered_failures_are_nothing(country in country(3..8), seed in any::<u64>(), percent in 0..8_u64) {
        let quiet = Country { blocked: BTreeSet::new(), ..country };
        let records = records(&quiet, |provider, agent, site, at| {
            let key = u64::try_from((provider * 100 + agent) * 100 + site).expect("small");
            mix(seed ^ key, u64::try_from(at).expect("positive")) % 100 < percent
        });
        prop_assert_eq!(statements(&run(&records)), BTreeSet::new());
    }

    #[test]
    fn without_any_control_nobody_is_named(country in country(3..5)) {
        let mut records = records(&country, |_, _, _, _| false);
        records.iter_mut().for_each(|record| record.control_ok = None);
        let said = run(&records);
        prop_assert!(!said.iter().any(is_block), "{:?}", statements(&said));
    }

    #[test]
    fn one_cohort_never_makes_a_statement_about_a_provider(country in country(3..30)) {
        let members = country.agents.iter().enumerate().flat_map(|(isp, agents)| (0..*agents).map(move |agent| (isp, agent)));
        let id = |(isp, agent)| AgentId::new(format!("a-{isp}-{agent}")).expect("a valid id");
        let cohorts: BTreeMap<AgentId, String> = members.map(|member| (id(member), "one".to_owned())).collect();
        let records = records(&country, |_, _, _, _| false);
        let said = run_in(Setup { cohorts, ..setup() }, &records);
        prop_assert!(!said.iter().any(|i| i.verdict == Verdict::IspBlock), "{:?}", statements(&said));
    }

    #[test]
    fn a_block_on_canaries_alone_is_no_block(country in country(3..5)) {
        let canaries = Country { targets: BTreeSet::from([8, 9]), ..country };
        let said = run(&records(&canaries, |_, _, _, _| false));
        prop_assert!(!said.iter().any(is_block), "{:?}", statements(&said));
    }
}
