//! Each rule does what it says, from its first moment to its last, and to nobody else: real sockets in a real
//! country, one country per test.

mod cuts;
mod domestic;
mod links;
mod ways;

use faultline_tests::country::launch::namespace_options;
use faultline_tests::country::netns;
use faultline_tests::country::scenario::Scenario;
use faultline_tests::country::visit::Visited;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

const COUNTRY: &str = env!("CARGO_BIN_EXE_country");
const PATIENCE_MS: &str = "3000";

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

/// Finds a namespace and its resolver: `NAME` is a provider's subscriber, `NAME/2` its second agent, `outside` the
/// first control.
fn place(scenario: &Scenario, name: &str) -> (String, Ipv4Addr) {
    if name == "outside" {
        return (netns::control(1), Ipv4Addr::new(8, 8, 8, 8));
    }
    let (name, number) = name.split_once('/').unwrap_or((name, "0"));
    let provider = scenario.provider(name).expect("the scenario has the provider");
    (netns::agent(provider.asn, number.parse().expect("a number")), provider.resolver)
}

/// Runs tools of `country` one after the other, each somewhere in the country, and returns the lines they print.
fn play(file: &str, steps: &[(&str, &str)]) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file);
    let scenario = Scenario::read(&file).unwrap_or_else(|e| panic!("{e}"));
    let mut script = String::new();
    for (name, tool) in steps {
        let (namespace, resolver) = place(&scenario, name);
        let (tool, arguments) = tool.split_once(' ').expect("a tool and what it is for");
        let mut given = String::new();
        if !arguments.contains("--resolver") {
            given.push_str(&format!("--resolver {resolver} "));
        }
        if !arguments.contains("--patience-ms") {
            given.push_str(&format!("--patience-ms {PATIENCE_MS}"));
        }
        script.push_str(&format!(
            "nsenter --net=/run/netns/{namespace} -- {COUNTRY} {tool} {given} {arguments}\n"
        ));
    }
    let mut command = Command::new(COUNTRY);
    command.arg("shell").arg(&file).args(["--control", "1", "--", "sh", "-c"]).arg(script);
    let output = command.output().expect("the country runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), steps.len(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    lines
}

/// Visits pages one after the other.
fn visits(file: &str, steps: &[(&str, &str)]) -> Vec<Visited> {
    let steps: Vec<(&str, String)> =
        steps.iter().map(|(name, url)| (*name, format!("visit {url}"))).collect();
    let steps: Vec<(&str, &str)> = steps.iter().map(|(name, tool)| (*name, tool.as_str())).collect();
    play(file, &steps).iter().map(|line| serde_json::from_str(line).expect("an outcome")).collect()
}

/// Tells a visit in a few words.
fn outcome(visited: &Visited) -> String {
    match (&visited.failed, &visited.error, &visited.status) {
        (Some(step), Some(error), _) => format!("{step} {error}"),
        (_, _, Some(status)) => status.trim_start_matches("HTTP/1.1 ").to_owned(),
        _ => "nothing".to_owned(),
    }
}

fn outcomes(file: &str, steps: &[(&str, &str)]) -> Vec<String> {
    visits(file, steps).iter().map(outcome).collect()
}
