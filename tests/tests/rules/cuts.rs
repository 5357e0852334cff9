//! People who are cut off: everything, our channel only, one kind of access, one line.

use super::{is_possible, outcomes};

const FILE: &str = "cuts.toml";
const COORDINATOR: &str = "https://coordinator.faultline.example/";
const SITE: &str = "https://example.com/";

#[test]
fn a_cut_line_carries_nothing_until_it_is_mended_and_a_blocked_coordinator_is_back_when_the_rule_ends() {
    if !is_possible() {
        return;
    }
    let said = outcomes(
        FILE,
        &[
            ("Cut", SITE),
            ("By address", COORDINATOR),
            ("Cut", &format!("--until failed {SITE}")),
            ("By address", &format!("--until failed {COORDINATOR}")),
            ("Cut", "--address 116.202.1.10 https://coordinator.faultline.example/"),
            ("By address", COORDINATOR),
            ("By address", SITE),
            ("Fine", SITE),
            ("Fine", COORDINATOR),
            ("outside", SITE),
            ("outside", "https://www.cut.example/"),
            ("outside", "https://www.byaddress.example/"),
            ("Cut", &format!("--until ok {SITE}")),
            ("By address", &format!("--until ok {COORDINATOR}")),
            ("outside", "https://www.cut.example/"),
        ],
    );
    assert_eq!(said[..2], ["200 OK", "200 OK"]);
    assert_eq!(said[4..10], ["tcp timeout", "tcp timeout", "200 OK", "200 OK", "200 OK", "200 OK"]);
    assert_eq!(said[10..12], ["tcp timeout", "200 OK"], "hosts inside, seen from outside");
    assert_eq!(said[12..], ["200 OK", "200 OK", "200 OK"]);
}

#[test]
fn mobile_networks_are_off_and_fixed_lines_are_on() {
    if !is_possible() {
        return;
    }
    let at = "--address 151.101.0.10 https://example.com/";
    let said = outcomes(FILE, &[("Mobile", SITE), ("Mobile too", at), ("Fine", SITE), ("Downstream", SITE)]);
    assert_eq!(said, ["dns timeout", "tcp timeout", "200 OK", "200 OK"]);
}

#[test]
fn the_coordinator_alone_is_blocked_by_its_server_name_or_its_name() {
    if !is_possible() {
        return;
    }
    let said = outcomes(
        FILE,
        &[
            ("By server name", COORDINATOR),
            ("By server name", SITE),
            ("By name", COORDINATOR),
            ("By name", "--resolver 1.1.1.1 https://coordinator.faultline.example/"),
            ("By name", SITE),
        ],
    );
    assert_eq!(said, ["tls reset", "200 OK", "dns no such name", "200 OK", "200 OK"]);
}

#[test]
fn a_gateway_blocks_the_coordinator_for_those_behind_it() {
    if !is_possible() {
        return;
    }
    let said = outcomes(FILE, &[("Downstream", COORDINATOR), ("Downstream", SITE), ("Fine", COORDINATOR)]);
    assert_eq!(said, ["tcp refused", "200 OK", "200 OK"]);
}

#[test]
fn one_agents_line_is_dead_and_its_neighbours_are_not() {
    if !is_possible() {
        return;
    }
    let said = outcomes(FILE, &[("Fine/2", SITE), ("Fine/1", SITE), ("Fine", SITE)]);
    assert_eq!(said, ["dns timeout", "200 OK", "200 OK"]);
}
