//! Scenario files: the shipped ones are sound, and bad ones are refused with line and key.

use faultline_model::{Asn, Timestamp, Verdict};
use faultline_tests::country::scenario::{Scenario, ScenarioError};
use faultline_tests::country::timeline::{Part, orders};
use faultline_tests::country::truth::truth;
use std::fs;
use std::path::{Path, PathBuf};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn sound() -> String {
    fs::read_to_string(here("testdata/censors.toml")).expect("the test scenario is there")
}

/// Reads a scenario text that stands beside the test list.
fn read(text: &str) -> Result<Scenario, ScenarioError> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(here("testdata/list.toml"), folder.path().join("list.toml")).expect("the list is copied");
    let file = folder.path().join("test.toml");
    fs::write(&file, text).expect("the scenario is written");
    Scenario::read(&file)
}

#[test]
fn a_bare_file_name_finds_the_list_in_a_folder_above() {
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_country"));
    let told = check.args(["check", "site-down.toml"]).current_dir(here("scenarios")).output();
    let told = told.expect("the program runs");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
}

#[test]
fn the_shipped_scenarios_are_sound() {
    let mut count = 0;
    for entry in fs::read_dir(here("scenarios")).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            Scenario::read(&path).unwrap_or_else(|e| panic!("{e}"));
            count += 1;
        }
    }
    assert!(count >= 6, "{count} scenarios are shipped");
}

/// What to replace by what, and how the problem is told: the text on its line, the key, a part of the message.
const BAD: &[(&str, &str, &str, &str, &str)] = &[
    ("seconds = 600", "seconds = \"600\"", "seconds = ", "seconds", "invalid type"),
    ("seconds = 600", "seconds = 0", "seconds = ", "seconds", "between 1 and"),
    ("seed = 7", "sed = 7", "sed = ", "sed", "unknown field"),
    ("country = \"PK\"", "country = \"pk\"", "country = ", "country", "two capital letters"),
    ("list = \"list.toml\"", "list = \"none.toml\"", "list = ", "list", "none.toml"),
    ("asn = 23674", "asn = 64512", "asn = 64512", "asn", "reserved"),
    ("asn = 45595", "asn = 23674", "name = \"Forges\"", "asn", "already"),
    (
        "upstream = [17557, 38193]",
        "upstream = [174]",
        "upstream = [174]",
        "upstream",
        "no [[gateway]] has asn 174",
    ),
    ("delay_ms = 20", "delay_ms = -20", "delay_ms = ", "delay_ms", "invalid value"),
    ("loss_percent = 20", "loss_percent = 120", "loss_percent = ", "loss_percent", "between 0 and 100"),
    ("delay_ms = 20", "prefix = \"10.1.0.0/16\"", "prefix = ", "prefix", "not public"),
    ("delay_ms = 20", "prefix = \"39.33.7.0/24\"", "Forges", "prefix", "overlaps"),
    ("delay_ms = 20", "user_share = 1.5", "user_share = ", "user_share", "at most 1"),
    ("delay_ms = 20", "agents = 1000", "agents = ", "agents", "at most"),
    ("delay_ms = 20", "access = \"radio\"", "access = ", "access", "unknown variant"),
    ("name = \"Resets\"", "", "[[provider]]", "name", "missing field"),
    ("name = \"Forges\"", "name = \"resets\"", "name = \"resets\"", "name", "occurs twice"),
    ("provider:Resets", "provider:Nobody", "provider:Nobody", "who", "no [[provider]]"),
    ("gateway:38193", "gateway:1", "gateway:1", "who", "no [[gateway]]"),
    ("who = \"site\"", "who = \"everyone\"", "who = \"everyone\"", "who", "none of"),
    ("who = \"site\"", "who = \"nation\"", "how = \"site_down\"", "how", "belong together"),
    ("service:x", "service:orkut", "service:orkut", "whom", "no service"),
    ("twimg.com", "orkut.com", "orkut.com", "whom", "nobody serves"),
    ("how = \"sni_drop\"", "how = \"burn\"", "how = \"burn\"", "how", "unknown variant"),
    (
        "how = \"sni_drop\"",
        "how = \"sni_drop\"\naddress = \"1.2.3.4\"",
        "address = \"1.2.3.4\"",
        "address",
        "only dns_forge",
    ),
    (
        "how = \"sni_drop\"",
        "how = \"sni_drop\"\nmode = \"drop\"",
        "mode = \"drop\"",
        "mode",
        "only site_down",
    ),
    (
        "address = \"203.82.48.83\"\n\n[[rule]]",
        "address = \"x\"\n\n[[rule]]",
        "address = \"x\"",
        "address",
        "not an IPv4",
    ),
    ("how = \"sni_drop\"", "how = \"sni_drop\"\nto = \"601s\"", "to = \"601s\"", "to", "after the end"),
    (
        "how = \"sni_drop\"",
        "how = \"sni_drop\"\nfrom = \"9s\"\nto = \"9s\"",
        "from = \"9s\"",
        "from",
        "before to",
    ),
    ("how = \"sni_drop\"", "how = \"sni_drop\"\nfrom = \"soon\"", "from = \"soon\"", "from", "not a moment"),
    (
        "how = \"blackhole\"",
        "how = \"blackhole\"\nwhom = \"x.com\"",
        "how = \"blackhole\"",
        "whom",
        "everything",
    ),
    ("whom = \"service:x\"\nhow", "how", "how = \"sni_reset\"", "whom", "missing"),
    ("host = \"twitter.com\"", "host = \"x.com\"", "redirect", "host", "occurs twice"),
    ("address = \"104.244.42.1\"", "address = \"192.0.2.1\"", "192.0.2.1", "address", "not public"),
    ("redirect = \"https://x.com/\"", "redirect = \"nowhere\"", "nowhere", "redirect", "not a URL"),
    ("seed = 7", "seed = ", "seed = ", "seed", ""),
    (
        "seed = 7",
        "seed = 7\n[coordinator]\nhost = \"x.com\"",
        "host = ",
        "host",
        "already the name of a site",
    ),
    ("seed = 7", "seed = 7\n[coordinator]\nhost = \"1.2.3.4\"", "host = ", "host", "no full host name"),
    ("provider:Resets", "agent:Resets/2", "agent:Resets/2", "who", "agents 1 to 1"),
    ("provider:Resets", "agent:Resets", "agent:Resets", "who", "none of"),
    ("provider:Resets", "region:Punjab", "region:Punjab", "who", "no [[provider]]"),
    ("provider:Resets", "mobile", "who = \"mobile\"", "who", "this access"),
    ("provider:Resets", "coordinator", "sni_reset", "how", "belong together"),
    ("how = \"blackhole\"", "how = \"coordinator_down\"", "coordinator_down", "how", "belong together"),
    ("whom = \"service:x\"", "whom = \"coordinator\"", "sni_reset", "how", "the coordinator has none"),
    ("whom = \"service:x\"", "whom = \"foreign\"", "sni_reset", "how", "told by addresses"),
    ("whom = \"service:x\"", "whom = [\"foreign\", \"x.com\"]", "foreign", "whom", "stands alone"),
    ("how = \"sni_drop\"", "how = \"power_cut\"", "power_cut", "whom", "takes everything"),
    ("delay_ms = 20", "landmarks = [\"x.com\"]", "landmarks", "landmarks", "occurs twice"),
    ("delay_ms = 20", "rate_kbit_s = 1", "rate_kbit_s", "rate_kbit_s", "between 16 and"),
    (
        "seed = 7",
        "seed = 7\n[[hosting]]\nasn = 23888\nname = \"NTC\"\nupstream = 1",
        "upstream = 1",
        "upstream",
        "no [[gateway]]",
    ),
    (
        "seed = 7",
        "seed = 7\n[[hosting]]\nasn = 23674\nname = \"NTC\"\nupstream = 17557",
        "asn = 23674",
        "asn",
        "already",
    ),
    ("title = \"Surf Safely\"", "inside = \"Nowhere\"", "inside", "inside", "no [[provider]] or [[hosting]]"),
    ("title = \"Surf Safely\"", "inside = \"Forges\"", "address", "address", "where the site stands"),
    ("title = \"Surf Safely\"", "canary = true", "host", "canary", "within the country"),
    (
        "whom = [\"x.com\", \"twimg.com\"]",
        "whom = \"2001:db8::1\"",
        "2001:db8::1",
        "whom",
        "nobody's address",
    ),
    ("how = \"sni_drop\"", "how = \"throttle\"", "throttle", "rate_kbit_s", "missing"),
    ("how = \"sni_drop\"", "how = \"throttle\"\nrate_kbit_s = 8", "rate_kbit_s", "rate_kbit_s", "between 16"),
    (
        "how = \"sni_drop\"",
        "how = \"sni_drop\"\nrate_kbit_s = 64",
        "rate_kbit_s",
        "rate_kbit_s",
        "only throttle",
    ),
    ("how = \"sni_drop\"", "how = \"congestion\"", "congestion", "loss_percent", "missing"),
    (
        "how = \"sni_drop\"",
        "how = \"congestion\"\nloss_percent = 101",
        "loss_percent",
        "loss_percent",
        "between 0",
    ),
    ("how = \"sni_drop\"", "how = \"sni_drop\"\ndelay_ms = 1", "delay_ms", "delay_ms", "only congestion"),
    ("how = \"sni_drop\"", "how = \"http_reset\"\npage = \"x\"", "page", "page", "only http_blockpage"),
    ("how = \"sni_drop\"", "how = \"captive_portal\"", "captive_portal", "how", "on one line"),
    ("how = \"sni_drop\"", "how = \"geo_block\"", "geo_block", "how", "belong together"),
    (
        "how = \"site_down\"\nmode = \"refuse\"",
        "how = \"geo_block\"\nstatus = 404",
        "status",
        "status",
        "403 or 451",
    ),
    (
        "how = \"sni_drop\"",
        "how = \"bad_certificate\"\naddress = \"9.9.9.9\"",
        "9.9.9.9",
        "address",
        "no [[site]]",
    ),
];

#[test]
fn a_bad_file_is_refused_with_line_and_key() {
    for (from, to, on_line, key, message) in BAD.iter().copied() {
        let sound = sound();
        assert!(sound.contains(from), "the test scenario has {from:?}");
        let text = sound.replacen(from, to, 1);
        let Err(ScenarioError::Bad(problems)) = read(&text) else { panic!("{to:?} is refused") };
        let found = problems.iter().any(|problem| {
            let lines: Vec<&str> = text.lines().collect();
            // A problem of a block may be told on the line beside the one that names it.
            let near = lines[problem.line.saturating_sub(2)..(problem.line + 1).min(lines.len())].join("\n");
            problem.key == key && problem.message.contains(message) && near.contains(on_line)
        });
        assert!(found, "{to:?} is told as {on_line:?} {key}: {message}; instead:\n{problems:#?}");
    }
}

#[test]
fn a_problem_is_told_as_file_line_key_and_message() {
    let error = read(&sound().replace("seconds = 600", "seconds = 0")).expect_err("refused").to_string();
    let end = ":4: seconds: must lie between 1 and 604800";
    assert!(error.ends_with(end), "{error}");
}

#[test]
fn orders_carry_the_machines_time() {
    let text =
        sound().replacen("how = \"sni_reset\"", "how = \"sni_reset\"\nfrom = \"1.5s\"\nto = \"2m\"", 1);
    let scenario = read(&text).expect("sound");
    let orders = orders(&scenario, Part::Provider(Asn::new(23674).expect("valid")), 1_000_000);
    assert_eq!((orders[0].from_ms, orders[0].to_ms), (1_001_500, 1_120_000));
    assert!(orders[0].is_active(1_001_500) && !orders[0].is_active(1_120_000));
    assert!(orders[0].addresses.contains(&[104, 244, 42, 1].into()), "a host's address is meant as well");
}

fn shipped(name: &str) -> Scenario {
    Scenario::read(&here("scenarios").join(name)).unwrap_or_else(|e| panic!("{e}"))
}

fn verdict(name: &str) -> Vec<Verdict> {
    let truth = truth(&shipped(name), Timestamp::from_unix_ms(0), 0);
    truth.incidents.iter().map(|incident| incident.verdict).collect()
}

#[test]
fn verdicts_follow_from_the_rules() {
    for name in [
        "pakistan-2024-01-20.toml",
        "nayatel-sni-reset.toml",
        "site-down.toml",
        "one-agent-isp.toml",
        "two-isps-one-gateway.toml",
        "line-cut.toml",
        "mobile-off.toml",
        "national-shutdown.toml",
        "coordinator-blocked.toml",
        "foreign-cut.toml",
        "coordinator-down.toml",
    ] {
        let mut scenario = shipped(name);
        let expected: Vec<Verdict> = scenario.expect.iter().flatten().map(|expect| expect.verdict).collect();
        scenario.expect = None;
        let derived = truth(&scenario, Timestamp::from_unix_ms(0), 0);
        let derived: Vec<Verdict> = derived.incidents.iter().map(|incident| incident.verdict).collect();
        assert_eq!(derived, expected, "{name}");
    }
    assert_eq!(verdict("quiet-loss.toml"), []);
}

#[test]
fn truth_names_the_lists_urls_and_each_networks_moments() {
    let start = Timestamp::from_unix_ms(1_700_000_000_000);
    let truth = truth(&shipped("pakistan-2024-01-20.toml"), start, 5);
    let [incident] = truth.incidents.as_slice() else { panic!("one incident: {:?}", truth.incidents) };
    assert_eq!((incident.asns.len(), truth.agents_total, incident.mechanism.as_str()), (8, 24, "mixed"));
    assert!(incident.targets.contains(&"https://i.ytimg.com/generate_204".to_owned()));
    let nayatel = Asn::new(23674).expect("valid");
    assert_eq!(incident.onset_by_asn[&nayatel].since(start).as_secs(), 60);
    assert_eq!(incident.end_by_asn[&nayatel].since(start).as_secs(), 238);
    assert_eq!(incident.onset.since(start).as_secs(), 60);
    assert_eq!(incident.end.map(|end| end.since(start).as_secs()), Some(243));
}

#[test]
fn a_gateways_rule_concerns_those_who_reach_the_host_through_it() {
    let truth = truth(&read(&sound()).expect("sound"), Timestamp::from_unix_ms(0), 0);
    let behind =
        truth.incidents.iter().find(|incident| incident.transit.is_some()).expect("the gateway's rule");
    let facebook = vec!["https://www.facebook.com/".to_owned()];
    assert_eq!(behind.targets, facebook);
    let numbers: Vec<u32> = behind.asns.iter().map(|asn| asn.get()).collect();
    for single_homed in [45669, 38264, 24499] {
        assert!(numbers.contains(&single_homed), "{numbers:?}");
    }
    assert!(!numbers.contains(&23674), "{numbers:?}");
}

#[test]
fn a_block_at_a_gateway_names_it_and_a_cut_names_no_targets() {
    let at = |name: &str| truth(&shipped(name), Timestamp::from_unix_ms(0), 0).incidents.remove(0);
    let block = at("two-isps-one-gateway.toml");
    let numbers: Vec<u32> = block.asns.iter().map(|asn| asn.get()).collect();
    assert_eq!((numbers, block.transit.map(Asn::get)), (vec![38264, 135_407], Some(38193)));
    let cut = at("foreign-cut.toml");
    assert_eq!((cut.asns.len(), cut.targets.len()), (8, 0));
    let down = at("coordinator-down.toml");
    assert_eq!(
        (down.asns.len(), down.onset, down.end),
        (0, Timestamp::from_unix_ms(60_000), Some(Timestamp::from_unix_ms(360_000)))
    );
}

#[test]
fn each_way_has_its_verdict_and_what_happens_to_one_line_has_none() {
    let scenario = Scenario::read(&here("testdata/ways.toml")).unwrap_or_else(|e| panic!("{e}"));
    let truth = truth(&scenario, Timestamp::from_unix_ms(0), 0);
    let found: Vec<(&str, Verdict)> =
        truth.incidents.iter().map(|i| (i.mechanism.as_str(), i.verdict)).collect();
    for wanted in [
        ("throttle", Verdict::Throttling),
        ("congestion", Verdict::TechnicalFailure),
        ("bad_certificate", Verdict::TargetOutage),
        ("geo_block", Verdict::GeoBlock),
        // With one agent each nobody can be judged.
        ("mixed", Verdict::InsufficientData),
    ] {
        assert!(found.contains(&wanted), "{wanted:?} in {found:?}");
    }
    assert_eq!(found.iter().filter(|(way, _)| *way == "congestion").count(), 1, "not the broken home line");
    assert!(found.iter().all(|(way, _)| !matches!(*way, "quic_drop" | "captive_portal")), "{found:?}");
}

#[test]
fn an_empty_expectation_expects_nothing() {
    let text = format!("expect = []\n{}", sound());
    assert!(truth(&read(&text).expect("sound"), Timestamp::from_unix_ms(0), 0).incidents.is_empty());
}
