//! When and how often results come, and when they are looked at, decides nothing.

use crate::world::*;
use faultline_analysis::detect::Detector;
use faultline_model::{Incident, MeasurementId, Record, Timestamp};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use std::time::Duration;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_order_of_ingestion_changes_nothing(country in country(2..5), seed in any::<u64>()) {
        let records = records(&country, |_, _, _, _| false);
        prop_assert_eq!(run(&records), run(&shuffle(&records, seed)));
    }

    #[test]
    fn uploads_that_are_minutes_late_do_not_change_the_final_statement(country in country(3..5), seed in any::<u64>()) {
        let records = records(&country, |_, _, _, _| false);
        let mut late = records.clone();
        for (number, record) in late.iter_mut().enumerate() {
            let delay = mix(seed, u64::try_from(number).expect("small")) % 90;
            record.received_at = record.received_at + Duration::from_secs(delay);
        }
        prop_assert_eq!(statements(&run(&records)), statements(&run(&late)));
    }

    #[test]
    fn repeating_an_agents_results_does_not_raise_the_evidence(country in country(3..5), agent in 0..3_usize) {
        let records = records(&country, |_, _, _, _| false);
        let mut doubled = records.clone();
        for record in records.iter().filter(|record| record.agent.as_str().ends_with(&format!("-{agent}"))) {
            for copy in 0..3 {
                let id = MeasurementId::new(format!("{}-{copy}", record.id)).expect("a valid id");
                doubled.push(Record { id, ..record.clone() });
            }
        }
        let mut detectors = [Detector::new(setup()), Detector::new(setup())];
        for (detector, records) in detectors.iter_mut().zip([&records, &doubled]) {
            for record in records {
                detector.ingest(record.clone());
            }
        }
        for tick in 1..=CYCLES * PERIOD_MS / TICK_MS {
            let now = Timestamp::from_unix_ms(tick * TICK_MS);
            for detector in &mut detectors {
                detector.evaluate(now);
            }
            let [once, often] = detectors.each_ref().map(|detector| detector.matrix(now));
            for (once, often) in once.iter().zip(&often) {
                prop_assert!(often.ln_e <= once.ln_e + 1e-9, "{once:?} {often:?}");
            }
        }
    }

    #[test]
    fn a_record_that_comes_twice_is_one(country in country(2..5)) {
        let records = records(&country, |_, _, _, _| false);
        let twice: Vec<Record> = records.iter().flat_map(|record| [record.clone(), record.clone()]).collect();
        prop_assert_eq!(run(&records), run(&twice));
    }

    #[test]
    fn what_an_agent_delivers_an_hour_late_ends_as_if_it_had_come_in_time(country in country(3..5), agent in 0..3_usize) {
        let records = records(&country, |_, _, _, _| false);
        let mut late = records.clone();
        for record in late.iter_mut().filter(|record| record.agent.as_str().ends_with(&format!("-{agent}"))) {
            let back = Timestamp::from_unix_ms((CYCLES - 1) * PERIOD_MS);
            // Spooled from the third cycle on, uploaded at once.
            if record.started_at.unix_ms() > 2 * PERIOD_MS {
                record.received_at = record.received_at.max(back);
            }
        }
        prop_assert_eq!(statements(&run(&records)), statements(&run(&late)));
    }

    #[test]
    fn looking_twice_as_often_ends_with_the_same(country in country(3..5)) {
        let records = records(&country, |_, _, _, _| false);
        let mut detector = Detector::new(setup());
        for record in &records {
            detector.ingest(record.clone());
        }
        for look in 1..=(CYCLES + 1) * PERIOD_MS * 2 / TICK_MS {
            detector.evaluate(Timestamp::from_unix_ms(look * TICK_MS / 2));
        }
        let often: Vec<Incident> = detector.incidents().cloned().collect();
        prop_assert_eq!(statements(&run(&records)), statements(&often));
    }

    #[test]
    fn a_restart_in_the_middle_ends_with_the_same(country in country(3..5), tick in 26..44_i64) {
        let records = records(&country, |_, _, _, _| false);
        let mut first = Detector::new(setup());
        for record in &records {
            first.ingest(record.clone());
        }
        (1..=tick).for_each(|tick| {
            first.evaluate(Timestamp::from_unix_ms(tick * TICK_MS));
        });
        let mut second = Detector::new(setup());
        second.restore(first.incidents().cloned().collect());
        for record in &records {
            second.ingest(record.clone());
        }
        (tick..=(CYCLES + 1) * PERIOD_MS / TICK_MS).for_each(|tick| {
            second.evaluate(Timestamp::from_unix_ms(tick * TICK_MS));
        });
        let resumed: Vec<Incident> = second.incidents().cloned().collect();
        prop_assert_eq!(statements(&run(&records)), statements(&resumed));
    }

    #[test]
    fn another_day_says_the_same(country in country(2..5), days in 1..700_i64) {
        let records = records(&country, |_, _, _, _| false);
        let moved = |at: Timestamp| at + Duration::from_secs(u64::try_from(days).expect("positive") * 86_400);
        let mut detector = Detector::new(setup());
        for record in &records {
            let (started_at, received_at) = (moved(record.started_at), moved(record.received_at));
            detector.ingest(Record { started_at, received_at, ..record.clone() });
        }
        (1..=(CYCLES + 1) * PERIOD_MS / TICK_MS).for_each(|tick| {
            detector.evaluate(moved(Timestamp::from_unix_ms(tick * TICK_MS)));
        });
        let later: Vec<Incident> = detector.incidents().cloned().collect();
        prop_assert_eq!(statements(&run(&records)), statements(&later));
    }
}
