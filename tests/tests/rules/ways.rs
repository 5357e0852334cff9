//! Ways of tampering: with names, requests, certificates and speed.

use super::{is_possible, outcome, outcomes, play, visits};
use faultline_tests::country::ask::Asked;
use faultline_tests::country::visit::Visited;

const FILE: &str = "ways.toml";
const WRONG_NAME: &str = "certificate not valid for name";

fn is_wrong_certificate(visited: &Visited) -> bool {
    visited.failed.as_deref() == Some("tls") && visited.error.as_ref().is_some_and(|e| e.contains(WRONG_NAME))
}

#[test]
fn a_forged_answer_wins_the_race_and_the_true_one_comes_later() {
    if !is_possible() {
        return;
    }
    let lines = play(
        FILE,
        &[
            ("Injects", "ask --race facebook.com --resolver 8.8.8.8"),
            ("Injects", "ask --race facebook.com"),
            ("Injects", "ask --race twimg.com --resolver 8.8.8.8"),
            ("Downstream", "ask --race x.com --resolver 1.1.1.1"),
            ("Downstream", "ask --race x.com"),
            ("Fine", "ask --race x.com --resolver 8.8.8.8"),
        ],
    );
    let races: Vec<Vec<String>> = lines.iter().map(|l| serde_json::from_str(l).expect("answers")).collect();
    assert_eq!((races[0].len(), races[0][0].as_str()), (2, "Non-Existent Domain"), "{races:?}");
    assert_eq!((races[1].len(), &races[1]), (2, &races[0]), "the provider's resolver is raced too");
    assert_eq!(races[2].len(), 1, "another name");
    assert_eq!((races[3].len(), races[3][0].as_str()), (2, "203.82.48.83"), "{races:?}");
    assert_eq!(races[4], races[5], "what does not pass the gateway is true: {races:?}");
    assert_eq!(races[3][1], races[5][0], "the truth comes second");
}

#[test]
fn names_requests_and_certificates_are_tampered_with_while_the_rules_hold() {
    if !is_possible() {
        return;
    }
    let said = visits(
        FILE,
        &[
            ("Injects", "https://x.com/"),
            ("Http", "http://x.com/"),
            ("Impostor", "https://x.com/"),
            ("Injects", "--until failed https://x.com/"),
            ("Http", "--until failed http://x.com/"),
            ("Impostor", "--until failed https://x.com/"),
            ("Http", "https://x.com/"),
            ("Http", "http://example.com/"),
            ("Fine", "http://x.com/"),
            ("Fine", "https://x.com/"),
            ("Injects", "--until ok https://x.com/"),
            ("Http", "--until ok http://x.com/"),
            ("Impostor", "--until ok https://x.com/"),
        ],
    );
    let (fine, moved) = ("200 OK", "301 Moved Permanently");
    let words: Vec<String> = said.iter().map(outcome).collect();
    assert_eq!(words[..3], [fine, moved, fine]);
    assert_eq!(said[3].address, Some([10, 10, 34, 36].into()), "{words:?}");
    assert_eq!(words[4], "http reset");
    assert!(is_wrong_certificate(&said[5]), "{words:?}");
    assert_eq!(words[6..], [fine, moved, moved, fine, fine, moved, fine]);
}

#[test]
fn a_block_page_comes_with_status_200_and_only_in_the_clear() {
    if !is_possible() {
        return;
    }
    let steps = [
        ("Http", "http://www.facebook.com/"),
        ("Http", "https://www.facebook.com/"),
        ("Fine", "http://www.facebook.com/"),
    ];
    assert_eq!(outcomes(FILE, &steps), ["200 OK", "200 OK", "301 Moved Permanently"]);
}

#[test]
fn quic_vanishes_and_the_rest_of_the_host_does_not() {
    if !is_possible() {
        return;
    }
    let lines = play(
        FILE,
        &[
            ("No QUIC", "quic x.com"),
            ("No QUIC", "quic www.facebook.com"),
            ("No QUIC", "visit https://x.com/"),
            ("Fine", "quic x.com"),
        ],
    );
    assert_eq!(
        (lines[0].as_str(), lines[1].as_str(), lines[3].as_str()),
        ("\"timeout\"", "\"answer\"", "\"answer\"")
    );
    assert!(lines[2].contains("200 OK"), "{}", lines[2]);
}

#[test]
fn a_throttled_host_is_slow_and_others_are_not() {
    if !is_possible() {
        return;
    }
    let patient = "--patience-ms 20000 https://pbs.twimg.com/";
    let by_address = "--patience-ms 20000 https://media.example/";
    let steps = [
        ("Slow", patient),
        ("Slow", by_address),
        ("Slow", "https://x.com/"),
        ("Fine", patient),
        ("Fine", by_address),
    ];
    let said = visits(FILE, &steps);
    assert!(said.iter().all(|visited| visited.failed.is_none()), "{said:?}");
    // 64 KB are 524 kbit, and a little more with headers and the handshake.
    let times: Vec<f64> = said.iter().filter_map(|visited| visited.total_ms).collect();
    let (slow, free) = times.split_at(2);
    assert!(slow.iter().all(|time| *time >= 2500.0), "{times:?}");
    assert!(free.iter().all(|time| *time < slow[0].min(slow[1])), "{times:?}");
}

#[test]
fn a_congested_line_delays_and_loses_and_a_broken_one_loses_nearly_all() {
    if !is_possible() {
        return;
    }
    let count = "ask example.com --resolver 8.8.8.8 --times 400";
    let steps = [("Jammed", count), ("Fine", count), ("Homes/2", count), ("Homes/3", count)];
    let lines = play(FILE, &steps);
    let answered: Vec<u32> =
        lines.iter().map(|l| serde_json::from_str::<Asked>(l).expect("an outcome").answered).collect();
    // Both ways at 30 % leave 196 of 400, give or take 10; both ways at 80 % leave 16.
    assert!((146..=246).contains(&answered[0]), "{answered:?}");
    assert!(answered[2] <= 45, "{answered:?}");
    assert!(answered[1] >= 390 && answered[3] >= 390, "{answered:?}");
}

#[test]
fn a_site_refuses_the_country_and_serves_everybody_else() {
    if !is_possible() {
        return;
    }
    let page = "https://example.com/";
    let said = outcomes(FILE, &[("Fine", page), ("outside", page), ("Fine", "https://x.com/")]);
    assert_eq!(said, ["451 Unavailable For Legal Reasons", "200 OK", "200 OK"]);
}

#[test]
fn wrong_certificates_come_from_sites_and_from_block_pages() {
    if !is_possible() {
        return;
    }
    let steps = [
        ("Fine", "https://en.wikipedia.org/"),
        ("outside", "https://en.wikipedia.org/"),
        ("Impostor", "https://www.facebook.com/"),
        ("Fine", "https://www.facebook.com/"),
    ];
    let said = visits(FILE, &steps);
    assert!(said[..3].iter().all(is_wrong_certificate), "{said:?}");
    assert_eq!(outcome(&said[3]), "200 OK");
    assert!(said[2].error.as_ref().is_some_and(|e| e.contains("blockpage.nayatel.pk")), "{said:?}");
}

#[test]
fn a_captive_portal_answers_everything_on_one_line() {
    if !is_possible() {
        return;
    }
    let steps = [
        ("Homes/1", "http://x.com/"),
        ("Homes/1", "https://x.com/"),
        ("Homes/1", "--address 8.8.8.8 https://dns.google/"),
        ("Homes/3", "https://x.com/"),
        ("Homes/1", "--address 8.8.8.8 http://x.com:7443/"),
    ];
    let said = visits(FILE, &steps);
    assert_eq!(outcome(&said[0]), "200 OK");
    assert!(said[1..3].iter().all(is_wrong_certificate), "{said:?}");
    assert_eq!(said[0].address, said[1].address, "every name has the portal's address");
    assert_eq!(outcome(&said[3]), "200 OK");
    assert_eq!(outcome(&said[4]), "tcp refused");
}
