//! The labelled days that come with the project, where they are at hand.
//!
//! They lie outside the repository; `FAULTLINE_CASES` names their folder. What is asserted is what this step of
//! the engine must get right: the verdict, the networks and the targets of every incident of a kind that it
//! knows, and nothing else said about anybody.

use faultline_analysis::replay::{Heartbeat, Row, Topology, run_with_presence};
use faultline_model::{Incident, Verdict};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Truth {
    incidents: Vec<TrueIncident>,
    #[serde(default)]
    tolerated: Vec<Tolerated>,
}

#[derive(Deserialize)]
struct TrueIncident {
    verdict: String,
    asns: BTreeSet<u32>,
    targets: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Tolerated {
    targets: serde_json::Value,
}

fn cases() -> Option<PathBuf> {
    let named = std::env::var_os("FAULTLINE_CASES").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/replay/cases");
    let folder = named.unwrap_or(beside);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no recorded days in {}; name their folder in FAULTLINE_CASES", folder.display());
    None
}

fn play(case: &Path) -> Vec<Incident> {
    let file = File::open(case.join("topology.json")).expect("a case has a topology");
    let topology: Topology = serde_json::from_reader(BufReader::new(file)).expect("it parses");
    let file = File::open(case.join("measurements.jsonl.gz")).expect("a case has measurements");
    let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    let rows = lines.map(|line| serde_json::from_str::<Row>(&line.expect("text")).expect("a row"));
    let file = File::open(case.join("heartbeats.jsonl.gz")).expect("a case has heartbeats");
    let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    let beats = lines.map(|line| serde_json::from_str::<Heartbeat>(&line.expect("text")).expect("a beat"));
    run_with_presence(&topology, rows, beats).expect("a consistent topology").incidents
}

fn asns(incident: &Incident) -> BTreeSet<u32> {
    incident.asns.iter().map(|asn| asn.get()).collect()
}

fn targets(incident: &Incident) -> BTreeSet<String> {
    incident.targets.iter().map(ToString::to_string).collect()
}

fn assert_case(name: &str) {
    let Some(folder) = cases() else { return };
    let case = folder.join(name);
    let file = File::open(case.join("truth.json")).expect("a case has a truth");
    let truth: Truth = serde_json::from_reader(BufReader::new(file)).expect("it parses");
    let said = play(&case);
    let is_tolerated = |incident: &Incident| {
        let allowed = |wanted: &Tolerated| match &wanted.targets {
            serde_json::Value::Array(list) if !incident.targets.is_empty() => {
                targets(incident).iter().all(|target| list.iter().any(|other| other.as_str() == Some(target)))
            }
            _ => false,
        };
        truth.tolerated.iter().any(allowed)
    };
    let standing: Vec<&Incident> = said.iter().filter(|i| !i.retracted && !is_tolerated(i)).collect();
    let mut found = 0;
    for wanted in &truth.incidents {
        let fits = |i: &&&Incident| {
            i.verdict.as_str() == wanted.verdict && asns(i) == wanted.asns && targets(i) == wanted.targets
        };
        assert!(standing.iter().find(fits).is_some(), "{name}: {} is missing in {said:#?}", wanted.verdict);
        found += 1;
    }
    let loud = standing.iter().filter(|incident| incident.verdict != Verdict::InsufficientData).count();
    let quiet_truths = truth.incidents.iter().filter(|i| i.verdict == "insufficient_data").count();
    assert_eq!(loud, found - quiet_truths, "{name}: something false was said: {said:#?}");
}

#[test]
fn the_country_that_lost_four_platforms_for_four_hours() {
    assert_case("national_social_4h");
}

#[test]
fn one_provider_that_resets_by_name() {
    assert_case("isp_sni_reset");
}

#[test]
fn a_site_that_failed_for_everybody() {
    assert_case("site_outage");
}

#[test]
fn one_agent_per_provider() {
    assert_case("sparse");
}

#[test]
fn a_quiet_day_and_a_day_of_flaky_agents() {
    assert_case("quiet");
    assert_case("flaky_agents");
}

#[test]
fn a_country_that_was_shut_down() {
    assert_case("national_shutdown");
}

#[test]
fn a_provider_that_slowed_one_site() {
    assert_case("throttle_isp");
}

#[test]
fn the_same_day_gives_the_same_bytes() {
    let Some(folder) = cases() else { return };
    let [one, other] = [0, 1].map(|_| serde_json::to_string(&play(&folder.join("sparse"))).expect("json"));
    assert_eq!(one, other);
}
