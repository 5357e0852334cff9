//! What agents, networks, targets and cohorts are called, and who else is there, decides nothing.

use crate::world::*;
use faultline_analysis::detect::Setup;
use faultline_model::{AgentId, Asn, CheckKind, Class, MeasurementId, Operator, Record, Target};
use proptest::prelude::{any, prop_assert_eq, proptest};
use std::collections::{BTreeMap, BTreeSet};

/// Statements with networks and targets under other names.
fn renamed(
    records: &[Record],
    asn: impl Fn(Asn) -> Asn,
    target: impl Fn(&Target) -> Target,
) -> BTreeSet<(String, Vec<Target>, Vec<Asn>)> {
    let one = |(verdict, targets, asns): (String, Vec<Target>, Vec<Asn>)| {
        let mut targets: Vec<Target> = targets.iter().map(&target).collect();
        let mut asns: Vec<Asn> = asns.into_iter().map(&asn).collect();
        targets.sort();
        asns.sort();
        (verdict, targets, asns)
    };
    statements(&run(records)).into_iter().map(one).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_names_of_agents_do_not_matter(country in country(2..5), seed in any::<u64>()) {
        let records = records(&country, |_, _, _, _| false);
        let rename = |record: &Record| {
            let sum = record.agent.as_str().bytes().fold(seed, |sum, byte| mix(sum, u64::from(byte)));
            Record { agent: AgentId::new(format!("z-{sum:016x}")).expect("a valid id"), ..record.clone() }
        };
        let renamed: Vec<Record> = records.iter().map(rename).collect();
        prop_assert_eq!(run(&records), run(&renamed));
    }

    #[test]
    fn the_numbers_of_networks_do_not_matter(country in country(2..5), shift in 1..5_u32) {
        let records = records(&country, |_, _, _, _| false);
        let other = |asn: Asn| Asn::recorded(64_512 + (asn.get() - 64_512 + shift) % 5 + 100).expect("not zero");
        let moved: Vec<Record> = records.iter().map(|r| Record { asn: other(r.asn), ..r.clone() }).collect();
        let mut there = setup();
        for operator in &mut there.profile.operators {
            operator.asns = operator.asns.iter().map(|asn| other(*asn)).collect();
        }
        let said = statements(&run_in(there, &moved));
        prop_assert_eq!(renamed(&records, other, Clone::clone), said);
    }

    #[test]
    fn the_names_of_targets_do_not_matter(country in country(2..5)) {
        let records = records(&country, |_, _, _, _| false);
        let other = |target: &Target| {
            let host: String = target.host().chars().rev().filter(|c| *c != '.' && *c != '-').collect();
            Target::new(&format!("https://x{host}.example/")).expect("a valid target")
        };
        let moved: Vec<Record> =
            records.iter().map(|r| Record { target: other(&r.target), ..r.clone() }).collect();
        let mut there = setup();
        there.targets.iter_mut().for_each(|info| info.target = other(&info.target));
        prop_assert_eq!(renamed(&records, |asn| asn, other), statements(&run_in(there, &moved)));
    }

    #[test]
    fn the_order_of_lists_does_not_matter(country in country(2..5)) {
        let records = records(&country, |_, _, _, _| false);
        let mut there = setup();
        there.targets.reverse();
        there.profile.operators.reverse();
        prop_assert_eq!(statements(&run(&records)), statements(&run_in(there, &records)));
    }

    #[test]
    fn a_healthy_provider_that_is_added_changes_no_finding_about_one_provider(country in country(3..5), one in 0..5_usize) {
        let country = Country { blocked: BTreeSet::from([one]), ..country };
        let before = records(&country, |_, _, _, _| false);
        let mut there = setup();
        let operator = Operator { name: "isp-new".to_owned(), asns: vec![asn(9)], user_share: 0.0, ..there.profile.operators[0].clone() };
        there.profile.operators.push(operator);
        let mut more = before.clone();
        for record in before.iter().filter(|record| record.asn == asn((one + 1) % 5)) {
            let id = MeasurementId::new(format!("n-{}", record.id)).expect("a valid id");
            let agent = AgentId::new(format!("n-{}", record.agent)).expect("a valid id");
            more.push(Record { id, agent, asn: asn(9), class: Class::Ok, ..record.clone() });
        }
        more.sort_by_key(|record| record.received_at);
        prop_assert_eq!(statements(&run(&before)), statements(&run_in(there, &more)));
    }

    #[test]
    fn providers_of_which_nobody_is_heard_change_nothing(country in country(3..5)) {
        let records = records(&country, |_, _, _, _| false);
        let mut there = setup();
        for number in 10..14 {
            let like = there.profile.operators[0].clone();
            let name = format!("isp-{number}");
            there.profile.operators.push(Operator { name, asns: vec![asn(number)], user_share: 0.0, ..like });
        }
        prop_assert_eq!(statements(&run(&records)), statements(&run_in(there, &records)));
    }

    #[test]
    fn what_comes_from_elsewhere_or_is_no_chain_changes_nothing(country in country(2..5), seed in any::<u64>()) {
        let records = records(&country, |_, _, _, _| false);
        let mut mixed = records.clone();
        for (number, record) in records.iter().enumerate() {
            let id = MeasurementId::new(format!("e{number}")).expect("a valid id");
            let like = Record { id, class: Class::TlsReset, ..record.clone() };
            mixed.push(match mix(seed, u64::try_from(number).expect("small")) % 3 {
                0 => Record { country: "XY".parse().expect("a code"), ..like },
                1 => Record { check: CheckKind::Quic, ..like },
                _ => Record { class: Class::LocalNetworkDown, ..like },
            });
        }
        prop_assert_eq!(statements(&run(&records)), statements(&run(&mixed)));
    }

    #[test]
    fn what_cohorts_are_called_does_not_matter(country in country(4..7), size in 1..3_usize) {
        let records = records(&country, |_, _, _, _| false);
        let with = |name: &dyn Fn(usize) -> String| {
            let members = (0..5).flat_map(|isp| (0..size).map(move |agent| (isp, agent)));
            let id = |(isp, agent)| AgentId::new(format!("a-{isp}-{agent}")).expect("a valid id");
            let cohorts: BTreeMap<AgentId, String> =
                members.map(|member| (id(member), name(member.0))).collect();
            run_in(Setup { cohorts, ..setup() }, &records)
        };
        prop_assert_eq!(with(&|isp| format!("friends {isp}")), with(&|isp| format!("z{}", 9 - isp)));
    }
}
