//! A live run that is written down and replayed says what was said live.

use crate::simulator::{EPOCH, Hits, Outcome, Rule, SOCIAL, Scenario, play, setup};
use faultline_analysis::replay::{Row, Topology, run};
use faultline_model::{Class, Incident, Timestamp, Verdict};

fn rule(hits: Hits, targets: &[usize], class: Class) -> Rule {
    Rule { from: 420_000, to: 900_000, hits, targets: targets.to_vec(), class }
}

fn worlds() -> Vec<Scenario> {
    let with = |rules: Vec<Rule>| Scenario { rules, ..Scenario::default() };
    vec![
        Scenario { loss: 0.02, lasts: 420_000, ..Scenario::default() },
        with(vec![rule(Hits::Providers(vec![6]), &[9], Class::TlsReset)]),
        with(vec![rule(Hits::Providers((0..8).collect()), &SOCIAL, Class::TlsTimeout)]),
        Scenario { loss: 0.02, ..with(vec![rule(Hits::Providers(vec![0, 3]), &SOCIAL, Class::DnsInjected)]) },
        with(vec![rule(Hits::Everybody, &[20], Class::TcpTimeout)]),
    ]
}

/// Writes a run as files would hold it, and reads it back.
fn written(scenario: &Scenario, outcome: &Outcome) -> (String, Vec<String>) {
    let until = Timestamp::from_unix_ms(EPOCH + scenario.lasts);
    let topology = serde_json::to_string(&Topology::of(&setup(scenario), Some(until))).expect("writes");
    let rows = outcome.stored.iter().cloned().map(Row::from);
    (topology, rows.map(|row| serde_json::to_string(&row).expect("writes")).collect())
}

fn replayed(topology: &str, rows: &[String]) -> Vec<Incident> {
    let topology: Topology = serde_json::from_str(topology).expect("reads");
    let rows = rows.iter().map(|row| serde_json::from_str::<Row>(row).expect("reads"));
    run(&topology, rows).expect("consistent").incidents
}

#[test]
fn a_recorded_live_run_replays_to_the_same_incidents() {
    let mut said = 0;
    for (number, scenario) in worlds().iter().enumerate() {
        let outcome = play(scenario, 7);
        let (topology, rows) = written(scenario, &outcome);
        let incidents = replayed(&topology, &rows);
        assert_eq!(incidents, outcome.incidents, "world {number}");
        said += incidents.len();
    }
    assert!(said >= 4, "blocks were told: {said}");
}

#[test]
fn looks_besides_those_that_the_detector_names_change_no_verdict() {
    let scenario = &worlds()[1];
    let outcome = play(scenario, 0);
    let (topology, rows) = written(scenario, &outcome);
    let mut topology: Topology = serde_json::from_str(&topology).expect("reads");
    topology.looks_every_s = Some(2.0);
    let topology = serde_json::to_string(&topology).expect("writes");
    let incidents = replayed(&topology, &rows);
    assert_eq!(incidents.len(), outcome.incidents.len());
    for (paced, lived) in incidents.iter().zip(&outcome.incidents) {
        assert_eq!(
            (paced.verdict, &paced.asns, &paced.targets),
            (lived.verdict, &lived.asns, &lived.targets)
        );
        assert!(paced.onset.seconds_after(lived.onset).abs() < 1.0);
        let ends = paced.end.zip(lived.end).expect("both are over");
        assert!(ends.0.seconds_after(ends.1).abs() < 5.0);
        assert_eq!(paced.verdict, Verdict::IspBlock);
    }
}

#[test]
fn the_same_recording_gives_the_same_to_the_byte() {
    let scenario = &worlds()[3];
    let outcome = play(scenario, 1);
    let (topology, rows) = written(scenario, &outcome);
    let text = || serde_json::to_string(&replayed(&topology, &rows)).expect("writes");
    assert_eq!(text(), text());
}
