//! The middlebox acts by what packets carry: real TLS through real namespaces, one country per test.

use faultline_tests::country::ask::Asked;
use faultline_tests::country::launch::namespace_options;
use faultline_tests::country::visit::Visited;
use std::path::Path;
use std::process::Command;

const COUNTRY: &str = env!("CARGO_BIN_EXE_country");

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

/// Runs `country` as a subscriber of a provider of the test scenario, and returns the lines that it prints.
fn as_subscriber(provider: &str, arguments: &[&str]) -> Vec<String> {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/censors.toml");
    let output = Command::new(COUNTRY)
        .arg("shell")
        .arg(scenario)
        .args(["--provider", provider, "--", COUNTRY])
        .args(arguments)
        .output()
        .expect("the country runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(!text.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(str::to_owned).collect()
}

fn visit(provider: &str, arguments: &[&str]) -> Vec<Visited> {
    // On a line that loses packets every step may need several attempts.
    let patience: &[&str] = if provider == "Loses" { &["20000"] } else { &["2000"] };
    let lines = as_subscriber(provider, &[&["visit", "--patience-ms"], patience, arguments].concat());
    lines.iter().map(|line| serde_json::from_str(line).expect("an outcome")).collect()
}

fn outcome(visited: &Visited) -> (&str, &str) {
    (visited.failed.as_deref().unwrap_or("none"), visited.error.as_deref().unwrap_or("none"))
}

fn is_fine(visited: &Visited) -> bool {
    visited.status.as_deref() == Some("HTTP/1.1 200 OK")
}

#[test]
fn a_reset_by_name_is_a_reset_and_other_names_are_untouched() {
    if !is_possible() {
        return;
    }
    let visits = visit("Resets", &["https://x.com/", "https://pbs.twimg.com/", "https://www.facebook.com/"]);
    assert_eq!(outcome(&visits[0]), ("tls", "reset"));
    assert_eq!(outcome(&visits[1]), ("tls", "reset"), "the service's other host");
    assert!(is_fine(&visits[2]), "{visits:?}");
}

#[test]
fn a_hello_in_two_segments_is_caught_all_the_same() {
    if !is_possible() {
        return;
    }
    for bytes in ["1", "60", "1200"] {
        let visits = visit("Resets", &["--split", bytes, "https://x.com/", "https://example.com/"]);
        assert_eq!(outcome(&visits[0]), ("tls", "reset"), "cut after {bytes} bytes");
        assert!(is_fine(&visits[1]), "cut after {bytes} bytes: {visits:?}");
    }
}

#[test]
fn a_swallowed_connection_times_out_and_other_names_are_untouched() {
    if !is_possible() {
        return;
    }
    let visits = visit("Swallows", &["https://x.com/", "https://example.com/"]);
    assert_eq!(outcome(&visits[0]), ("tls", "timeout"));
    assert!(is_fine(&visits[1]), "{visits:?}");
}

#[test]
fn addresses_are_dropped_or_refused() {
    if !is_possible() {
        return;
    }
    let visits = visit("Addresses", &["https://x.com/", "https://www.facebook.com/", "https://example.com/"]);
    assert_eq!(outcome(&visits[0]), ("tcp", "timeout"));
    assert_eq!(outcome(&visits[1]), ("tcp", "refused"));
    assert!(is_fine(&visits[2]), "{visits:?}");
}

#[test]
fn a_forging_resolver_lies_and_public_ones_do_not() {
    if !is_possible() {
        return;
    }
    let visits = visit("Forges", &["https://x.com/", "https://www.facebook.com/", "https://example.com/"]);
    assert_eq!(visits[0].address, Some([203, 82, 48, 83].into()));
    assert_eq!(visits[0].failed.as_deref(), Some("tls"), "the forged host has no certificate for the name");
    assert_eq!(outcome(&visits[1]), ("dns", "no such name"));
    assert!(is_fine(&visits[2]), "{visits:?}");
    let visits = visit("Forges", &["--resolver", "1.1.1.1", "https://x.com/", "https://www.facebook.com/"]);
    assert!(visits.iter().all(is_fine), "{visits:?}");
}

#[test]
fn a_blackhole_takes_everything() {
    if !is_possible() {
        return;
    }
    let visits = visit("Off", &["https://example.com/"]);
    assert_eq!(outcome(&visits[0]), ("dns", "timeout"));
    let visits = visit("Off", &["--address", "104.244.42.1", "https://x.com/"]);
    assert_eq!(outcome(&visits[0]), ("tcp", "timeout"));
}

#[test]
fn a_gateway_censors_those_behind_it() {
    if !is_possible() {
        return;
    }
    let visits = visit("Downstream", &["https://www.facebook.com/", "https://x.com/"]);
    assert_eq!(outcome(&visits[0]), ("tls", "reset"));
    assert!(is_fine(&visits[1]), "{visits:?}");
    assert!(is_fine(&visit("Loses", &["https://www.facebook.com/"])[0]));
}

#[test]
fn a_site_that_is_down_is_down_for_everybody() {
    if !is_possible() {
        return;
    }
    for provider in ["Resets", "Downstream"] {
        let visits = visit(provider, &["https://en.wikipedia.org/"]);
        assert_eq!(outcome(&visits[0]), ("tcp", "refused"), "{provider}");
    }
}

#[test]
fn a_line_delays_by_what_its_scenario_says() {
    if !is_possible() {
        return;
    }
    let visits = visit("Resets", &["--times", "20", "https://example.com/"]);
    let mut times: Vec<f64> = visits.iter().filter_map(|visited| visited.connect_ms).collect();
    times.sort_by(f64::total_cmp);
    assert_eq!(times.len(), 20);
    // There and back: twice 20 ms, and up to twice 5 ms by chance; a busy machine adds to some of them.
    assert!(times[0] >= 40.0, "{times:?}");
    assert!(times[10] <= 65.0, "{times:?}");
}

#[test]
fn a_line_loses_as_many_packets_as_its_scenario_says() {
    if !is_possible() {
        return;
    }
    let lines = as_subscriber("Loses", &["ask", "x.com", "--resolver", "8.8.8.8", "--times", "1000"]);
    let asked: Asked = serde_json::from_str(&lines[0]).expect("an outcome");
    // A question and its answer each get through four times in five: 640 of 1,000, give or take 15.
    assert!((560..=720).contains(&asked.answered), "{asked:?}");
}
