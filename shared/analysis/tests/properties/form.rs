//! What holds for every incident that is ever published.

use crate::world::*;
use faultline_analysis::detect::Detector;
use faultline_model::{IncidentId, Timestamp};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use std::collections::BTreeMap;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn revisions_only_grow_and_nothing_disappears(country in country(2..5), seed in any::<u64>()) {
        let records = records(&country, |provider, _, site, at| {
            let key = u64::try_from(provider * 10 + site).expect("small");
            mix(seed ^ key, u64::try_from(at / 900_000).expect("positive")) % 100 < 4
        });
        let mut detector = Detector::new(setup());
        for record in &records {
            detector.ingest(record.clone());
        }
        let mut known: BTreeMap<IncidentId, u32> = BTreeMap::new();
        for tick in 1..=(CYCLES + 1) * PERIOD_MS / TICK_MS {
            detector.evaluate(Timestamp::from_unix_ms(tick * TICK_MS));
            let now: BTreeMap<IncidentId, u32> = detector.incidents().map(|i| (i.id.clone(), i.revision)).collect();
            for (id, revision) in &known {
                prop_assert!(now.get(id).is_some_and(|newer| newer >= revision), "{id} is gone or older");
            }
            known = now;
        }
    }

    #[test]
    fn every_incident_is_consistent_in_itself(country in country(2..6)) {
        for incident in run(&records(&country, |_, _, _, _| false)) {
            let numbers: Vec<u32> = incident.revisions.iter().map(|revision| revision.revision).collect();
            prop_assert_eq!(numbers, (1..=incident.revision).collect::<Vec<u32>>());
            prop_assert!(incident.onset <= incident.detected_at, "{:?}", incident.headline);
            prop_assert!(incident.end.is_none_or(|end| end >= incident.onset), "{:?}", incident.headline);
            prop_assert!((0.0..=1.0).contains(&incident.confidence));
            prop_assert!(incident.user_share.iter().all(|share| (0.0..=1.0).contains(share)));
            for (asn, [low, high]) in &incident.onset_interval_by_asn {
                let onset = incident.onset_by_asn.get(asn).copied().unwrap_or(*low);
                prop_assert!(*low <= onset && onset <= *high, "{asn}: {low} {onset} {high}");
                prop_assert!(incident.asns.contains(asn), "{asn} is not named");
            }
            prop_assert!(!incident.evidence.is_empty() && !incident.headline.is_empty());
        }
    }

    #[test]
    fn an_onset_lies_between_the_last_success_and_the_first_failure(country in country(3..5)) {
        for incident in run(&records(&country, |_, _, _, _| false)).iter().filter(|incident| is_block(incident)) {
            for [low, high] in incident.onset_interval_by_asn.values() {
                let begin = Timestamp::from_unix_ms(BEGIN_MS);
                prop_assert!(*low <= begin && begin <= *high, "{low} .. {high}: {}", incident.headline);
            }
        }
    }
}
