//! Both families of addresses, narrow links, and resolvers over TLS.

use super::{is_possible, outcome, outcomes, play, visits};

const FILE: &str = "links.toml";

#[test]
fn everybody_is_reached_over_ipv6_as_well() {
    if !is_possible() {
        return;
    }
    let steps = [
        ("Fine", "--six https://x.com/"),
        ("Fine", "https://x.com/"),
        ("Fine", "--six --resolver 2a0e:4000::808:808 https://x.com/"),
        ("Fine", "--six https://coordinator.faultline.example/"),
        ("outside", "--six https://www.fine.example/"),
        ("Downstream", "--six https://x.com/"),
        ("Resets", "--six https://example.com/"),
    ];
    let said = visits(FILE, &steps);
    let words: Vec<String> = said.iter().map(outcome).collect();
    assert_eq!(words, vec!["200 OK"; steps.len()]);
    assert_eq!(said[0].address.map(|a| a.to_string()).as_deref(), Some("2a0e:4000::68f4:2a01"));
    // There and back: twice 20 ms.
    assert!(said[6].connect_ms.is_some_and(|ms| ms >= 40.0), "{:?}", said[6]);
}

#[test]
fn rules_mean_both_families() {
    if !is_possible() {
        return;
    }
    let said = outcomes(
        FILE,
        &[
            ("Resets", "--six https://x.com/"),
            ("Resets", "https://x.com/"),
            ("Addresses", "--six https://x.com/"),
            ("Addresses", "https://pbs.twimg.com/"),
            ("Addresses", "--six https://www.facebook.com/"),
            ("Off", "--six https://example.com/"),
            ("Resets", "--six https://example.com/"),
        ],
    );
    let dropped = "tcp timeout";
    assert_eq!(said, ["tls reset", "tls reset", dropped, dropped, "tcp refused", "dns timeout", "200 OK"]);
}

#[test]
fn impostors_and_forged_answers_come_over_ipv6_too() {
    if !is_possible() {
        return;
    }
    let said = visits(FILE, &[("Impostor", "--six https://x.com/"), ("Fine", "--six https://x.com/")]);
    assert!(said[0].error.as_ref().is_some_and(|e| e.contains("not valid for name")), "{said:?}");
    assert_eq!(outcome(&said[1]), "200 OK");
    let lines = play(
        FILE,
        &[
            ("Injects", "ask --race x.com --resolver 2a0e:4000::808:808"),
            ("Injects", "visit --six https://x.com/"),
        ],
    );
    assert_eq!(lines[0], r#"["10.10.34.36","104.244.42.1"]"#, "over IPv6, with the truth behind it");
    assert!(lines[1].contains("2a0e:4000::a0a:2224"), "{}", lines[1]);
}

#[test]
fn a_narrow_link_carries_no_more_than_its_rate() {
    if !is_possible() {
        return;
    }
    let page = "--patience-ms 20000 https://pbs.twimg.com/";
    let said = visits(FILE, &[("Narrow", page), ("Downstream", page), ("Fine", page)]);
    assert!(said.iter().all(|visited| visited.failed.is_none()), "{said:?}");
    // 64 KB are 524 kbit.
    let times: Vec<f64> = said.iter().filter_map(|visited| visited.total_ms).collect();
    assert!(times[0] >= 2300.0 && times[1] >= 2300.0, "{times:?}");
    assert!(times[2] < times[0].min(times[1]), "{times:?}");
}

#[test]
fn public_resolvers_answer_over_tls() {
    if !is_possible() {
        return;
    }
    let lines = play(
        FILE,
        &[
            ("Fine", "ask x.com --tls dns.google --resolver 8.8.8.8"),
            ("Injects", "ask x.com --tls cloudflare-dns.com --resolver 1.1.1.1"),
            ("outside", "ask x.com --tls cloudflare-dns.com --resolver 104.16.249.249"),
            ("Fine", "ask x.com --tls dns.google --resolver 2a0e:4000::808:808"),
            ("Fine", "ask x.com --tls dns.quad9.net --resolver 8.8.8.8"),
        ],
    );
    let truth = r#"{"Ok":"104.244.42.1"}"#;
    assert_eq!(lines[..4], [truth; 4], "also where questions over UDP are raced");
    assert!(lines[4].contains("not valid for name"), "{}", lines[4]);
}
