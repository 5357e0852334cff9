//! What is said besides the verdict: parts of a service, standing blocks, and what is not known yet.

#[path = "properties/world.rs"]
mod world;

use faultline_analysis::detect::{Detector, Setup};
use faultline_model::{Baseline, BaselineCell, Class, Incident, Role, ServiceId, Timestamp};
use std::collections::BTreeSet;
use world::*;

fn country_of(targets: &[usize]) -> Country {
    let (blocked, targets) = (BTreeSet::from([0]), targets.iter().copied().collect());
    Country { agents: vec![5; 5], blocked, targets, class: Class::TlsReset, seed: 5 }
}

/// The first three targets are parts of one service.
fn parted() -> Setup {
    let mut setup = setup();
    for (info, role) in setup.targets.iter_mut().zip([Role::Site, Role::AppApi, Role::Media]) {
        info.service = ServiceId::new("tube").expect("a valid id");
        "Tube".clone_into(&mut info.service_name);
        info.role = role;
    }
    setup
}

fn said(setup: Setup, country: &Country) -> Vec<Incident> {
    run_in(setup, &records(country, |_, _, _, _| false))
}

fn evidence(said: &[Incident]) -> String {
    said.iter().flat_map(|incident| &incident.evidence).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_parts_of_a_service_that_fail_and_those_that_work_are_named() {
    let text = evidence(&said(parted(), &country_of(&[2])));
    assert!(text.contains("Tube: pictures and video fail, pages and the app's requests work"), "{text}");
    let text = evidence(&said(parted(), &country_of(&[0, 1, 2])));
    assert!(!text.contains("Tube: "), "{text}");
}

#[test]
fn a_block_that_lets_a_third_through_is_partly() {
    let quiet = Country { blocked: BTreeSet::new(), ..country_of(&[0]) };
    let lax = records(&quiet, |provider, agent, site, at| {
        let key = u64::try_from(agent).expect("small") + u64::try_from(at).expect("positive");
        provider == 0 && site == 0 && at >= BEGIN_MS && mix(3, key) % 100 < 65
    });
    let text = evidence(&run_in(setup(), &lax));
    assert!(text.contains("partly: "), "{text}");
    assert!(!evidence(&said(setup(), &country_of(&[0]))).contains("partly: "));
}

fn baseline(anomalies: u32) -> Baseline {
    let places = (0..5).flat_map(|provider| (0..CATEGORIES.len()).map(move |site| (provider, site)));
    let cell = |(provider, site)| BaselineCell {
        target: target(site),
        asn: asn(provider),
        measurements: 200,
        anomalies: if (provider, site) == (1, 3) { anomalies } else { 2 },
    };
    Baseline { cells: places.map(cell).collect(), ..Baseline::default() }
}

#[test]
fn cells_without_recorded_days_have_no_baseline_yet() {
    let text = evidence(&said(setup(), &country_of(&[0])));
    assert!(text.contains("no baseline yet for 1 of 1 cells"), "{text}");
    let text = evidence(&said(Setup { baseline: baseline(2), ..setup() }, &country_of(&[0])));
    assert!(!text.contains("no baseline yet"), "{text}");
}

#[test]
fn a_standing_block_is_listed_with_a_date_before_which_it_began() {
    let mut detector = Detector::new(Setup { baseline: baseline(180), ..setup() });
    let quiet = Country { blocked: BTreeSet::new(), ..country_of(&[0]) };
    let records = records(&quiet, |provider, _, site, _| (provider, site) == (1, 3));
    let first = records.iter().map(|record| record.received_at).min().expect("there are some");
    for record in records {
        detector.ingest(record);
    }
    detector.evaluate(Timestamp::from_unix_ms(CYCLES * PERIOD_MS));
    let standing = detector.standing();
    assert_eq!(standing.len(), 1, "{standing:?}");
    assert_eq!((standing[0].asn, &standing[0].target), (asn(1), &target(3)));
    assert_eq!((standing[0].before, standing[0].fails_now), (first, Some(true)));
    assert_eq!(detector.incidents().count(), 0, "a state is no news");
}
