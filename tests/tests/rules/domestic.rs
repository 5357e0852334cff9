//! Sites within the country: reachable from both sides, and from within when the outside is gone.

use super::{is_possible, outcomes};

const FILE: &str = "domestic.toml";
const FOREIGN: &str = "https://example.com/";
const GOVERNMENT: &str = "https://www.pakistan.gov.pk/";
const LANDMARK: &str = "https://www.one.example/";

#[test]
fn foreign_traffic_is_cut_and_domestic_sites_go_on() {
    if !is_possible() {
        return;
    }
    let said = outcomes(
        FILE,
        &[
            ("One", FOREIGN),
            ("outside", LANDMARK),
            ("One", &format!("--until failed {FOREIGN}")),
            ("One", FOREIGN),
            ("Two", FOREIGN),
            ("outside", LANDMARK),
            ("One", GOVERNMENT),
            ("Two", LANDMARK),
            ("One", "https://shop.two.example/"),
            ("One", &format!("--until ok {FOREIGN}")),
            ("outside", LANDMARK),
        ],
    );
    assert_eq!(said[..2], ["200 OK", "200 OK"]);
    assert_eq!(said[3..6], ["tcp timeout", "tcp timeout", "tcp timeout"]);
    assert_eq!(said[6..], ["200 OK", "200 OK", "200 OK", "200 OK", "200 OK"]);
}

#[test]
fn hosts_within_the_country_are_reached_from_everywhere() {
    if !is_possible() {
        return;
    }
    let said = outcomes(
        FILE,
        &[
            ("outside", GOVERNMENT),
            ("outside", "https://speed.two.example/"),
            ("Two", "https://www.two.example/"),
            ("Two", "https://speed.two.example/"),
        ],
    );
    assert_eq!(said, ["200 OK", "200 OK", "200 OK", "200 OK"]);
}
