//! The `path` check finds the hop at which a name is interfered with: the real agent, real routers, real packets.
//!
//! `cargo build --workspace --bins` puts the agent beside `country`; `./test` does that first.

use faultline_analysis::judge::{ControlFact, PathLocus, judge, locate};
use faultline_model::{
    Engine, Fact, LayerStatus, Measurement, PathAnswer, PathFact, PathProbe, PathResponder,
};
use faultline_tests::country::launch::namespace_options;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

const COUNTRY: &str = env!("CARGO_BIN_EXE_country");
/// The routers of the two gateways, and of the backbone behind them.
const PTCL: &str = "119.159.1.1";
const TRANSWORLD: &str = "119.159.2.1";
const BACKBONE: &str = "119.159.252.1";

/// Says whether this machine allows namespaces; without them there is no country to test.
fn is_possible() -> bool {
    match namespace_options() {
        Ok(_) => true,
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            false
        }
    }
}

/// Measures paths one after the other as a provider's subscriber; fails if what is printed holds her or her provider's
/// address.
fn paths(provider: &str, urls: &[&str]) -> Vec<Measurement> {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/paths.toml");
    let agent = Path::new(COUNTRY).with_file_name("faultline-agent");
    let agent = agent.display();
    let script: String = urls
        .iter()
        .map(|url| format!("{agent} check --check path --json --roots /run/country/roots.pem {url}; "))
        .collect();
    let script = format!("ip -4 -o address show dev eth0 | cut -d' ' -f7; {script}");
    let mut command = Command::new(COUNTRY);
    command.arg("shell").arg(scenario).args(["--provider", provider, "--", "sh", "-c", &script]);
    let output = command.output().expect("the country runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let (own, printed) = text.split_once('\n').expect("an address and measurements");
    let own = own.trim().trim_end_matches("/32");
    let network = own.rsplit_once('.').map(|(network, _)| format!("{network}.")).expect("an address");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(printed.lines().count(), urls.len(), "{text}{errors}");
    assert!(!printed.contains(&network), "{network} is in {printed}");
    printed.lines().map(|line| serde_json::from_str(line).expect("a measurement")).collect()
}

fn fact(measurement: &Measurement, probe: PathProbe, engine: Engine) -> &PathFact {
    let facts = measurement.observations.iter().filter(|step| step.engine == engine);
    let mut of = facts.filter_map(|step| match &step.fact {
        Fact::Path(path) if path.probe == probe => Some(path),
        _ => None,
    });
    of.next_back().unwrap_or_else(|| panic!("no such series: {measurement:?}"))
}

/// A hop with its router's address.
type Seen = Option<(u8, String)>;

/// Returns the rule, and the hops around the place with the addresses of their routers.
fn found(measurement: &Measurement) -> (String, Seen, Seen) {
    let control = ControlFact { http_status: 200, ..ControlFact::default() };
    let judgement = judge(measurement, &[control]);
    let place = locate(measurement).unwrap_or(PathLocus { behind: None, until: None });
    let told = |address: Option<IpAddr>| address.map_or("masked".to_owned(), |a| a.to_string());
    let behind = place.behind.map(|point| (point.hop, told(point.address)));
    let until = place.until.map(|point| (point.hop, told(point.address)));
    (judgement.rule, behind, until)
}

fn at(hop: u8, address: &str) -> Option<(u8, String)> {
    Some((hop, address.to_owned()))
}

#[test]
fn a_block_at_a_gateway_two_hops_away_is_placed_behind_its_router() {
    if !is_possible() {
        return;
    }
    let urls = ["https://x.com/", "https://www.facebook.com/", "https://example.com/"];
    let measured = paths("Behind PTCL", &urls);
    let [reset, dropped, fine] = measured.as_slice() else { panic!("three measurements") };
    assert_eq!(found(reset), ("path.reset.hop".into(), at(2, PTCL), at(3, BACKBONE)));
    assert_eq!(found(dropped), ("path.drop.hop".into(), at(2, PTCL), at(3, BACKBONE)));
    assert_eq!(found(fine), ("path.none".into(), None, None));
    assert_eq!(judge(fine, &[]).status, LayerStatus::Ok);

    let drawn = fact(reset, PathProbe::Connect, Engine::System);
    let way: Vec<(u8, PathResponder)> = drawn.hops.iter().map(|hop| (hop.ttl, hop.responder)).collect();
    let expected = [PathResponder::Home, PathResponder::Router, PathResponder::Router, PathResponder::Target];
    assert_eq!(way, (1..).zip(expected).collect::<Vec<_>>(), "the subscriber's side is masked");
    let innocent = fact(reset, PathProbe::Hello, Engine::Control);
    assert_eq!(innocent.whole_way(), Some(PathAnswer::Data), "the same address answers another name");
}

#[test]
fn a_block_at_the_provider_is_placed_before_the_gateway() {
    if !is_possible() {
        return;
    }
    let measured = paths("Blocks itself", &["https://x.com/", "https://www.facebook.com/"]);
    let rule = "path.reset.hop".to_owned();
    assert_eq!(found(&measured[0]), (rule, at(1, "masked"), at(2, TRANSWORLD)));
    assert_eq!(found(&measured[1]).0, "path.none");
}

#[test]
fn a_forged_page_over_plain_http_is_placed_like_a_reset() {
    if !is_possible() {
        return;
    }
    let measured = paths("Behind PTCL", &["http://en.wikipedia.org/"]);
    assert_eq!(found(&measured[0]), ("path.page.hop".into(), at(2, PTCL), at(3, BACKBONE)));
    let fine = paths("Fine", &["http://en.wikipedia.org/", "https://x.com/"]);
    assert!(fine.iter().all(|measured| found(measured).0 == "path.none"), "{fine:?}");
}
