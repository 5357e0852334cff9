//! Which fingerprints confirm, which veto, and which are left out.

use super::super::tests::{Builder, assert_judged};
use super::super::{ControlFact, judge_with};
use super::{Fingerprints, KnownPage, Page};
use faultline_model::{Class, DnsAnswer, Engine, Fact, Header, HttpFact, Layer, LayerStatus};
use std::io::Write;

const HEADER: &str = "name,scope,other_names,location_found,pattern_type,pattern,confidence_no_fp,expected_countries,source,exp_url,notes\n";

fn http(rows: &str) -> (Fingerprints, Vec<super::Loaded>) {
    let text = format!("{HEADER}{rows}");
    Fingerprints::with_files([("fingerprints_http.csv", text.as_bytes())])
}

fn titled(title: &str) -> HttpFact {
    HttpFact { status: 200, title: title.to_owned(), ..HttpFact::default() }
}

fn control() -> ControlFact {
    let addresses = vec!["157.240.0.35".parse().expect("an address")];
    ControlFact { addresses, http_status: 200, ..ControlFact::default() }
}

#[test]
fn only_national_and_provider_scopes_confirm() {
    for (scope, confirms) in
        [("nat", true), ("isp", true), ("prod", false), ("inst", false), ("vbw", false), ("injb", false)]
    {
        let (known, _) = http(&format!("x.1,{scope},,body,contains,Access is denied,5,,,,\n"));
        let page = titled("Access is denied here");
        assert_eq!(known.page(&page).is_some(), confirms, "{scope}");
    }
}

#[test]
fn a_false_positive_pattern_vetoes_whatever_else_matches() {
    let (known, loaded) =
        http("x.1,nat,,body,contains,Access is denied,5,,,,\nx.2,fp,,body,contains,parked domain,5,,,,\n");
    assert_eq!((loaded[0].patterns, loaded[0].refused), (2, 0));
    assert_eq!(known.page(&titled("Access is denied")), Some(KnownPage::Blocked("x.1")));
    assert_eq!(known.page(&titled("Access is denied: parked domain")), Some(KnownPage::Harmless("x.2")));
    assert_eq!(known.page(&titled("Welcome")), None);
}

#[test]
fn patterns_are_looked_for_where_they_belong() {
    let (known, _) = http(
        "x.1,isp,,header.location,prefix,http://blocked.example/,5,,,,\nx.2,nat,,header.server,full,Filter/1.0,5,,,,\nx.3,nat,,body,regexp,URL .* is banned,5,,,,\n",
    );
    let location = HttpFact { location: "http://blocked.example/?u=1".into(), ..HttpFact::default() };
    let server = HttpFact { server: "Filter/1.0".into(), ..HttpFact::default() };
    assert_eq!(known.page(&location), Some(KnownPage::Blocked("x.1")));
    assert_eq!(known.page(&server), Some(KnownPage::Blocked("x.2")));
    assert_eq!(known.page(&HttpFact { server: "Filter/1.01".into(), ..HttpFact::default() }), None);
    assert_eq!(known.page(&titled("URL x.com\n/a is banned")), Some(KnownPage::Blocked("x.3")));
    assert_eq!(known.page(&titled("http://blocked.example/")), None, "a header's text in a body");
}

#[test]
fn censored_planets_names_say_their_scope_and_its_patterns_see_the_whole_answer() {
    let pages = r#"{"fingerprint":"b_nat_xz_1","pattern":"Server: Wall/2\\.0"}

{"fingerprint":"a_prod_x_1","pattern":"Web Filter"}
{"fingerprint":"c_isp_xz_1","pattern":"<title>.*stop here</title>"}"#;
    let harmless = r#"{"fingerprint":"x_fp_y","pattern":"Too many requests"}"#;
    let (known, loaded) = Fingerprints::with_files([
        ("censoredplanet_blockpage_signatures.json", pages.as_bytes()),
        ("false_positive_signatures.json", harmless.as_bytes()),
    ]);
    assert_eq!(loaded.iter().map(|file| file.patterns).collect::<Vec<_>>(), [3, 1]);
    let wall = HttpFact { server: "Wall/2.0".into(), ..HttpFact::default() };
    assert_eq!(known.page(&wall), Some(KnownPage::Blocked("b_nat_xz_1")));
    assert_eq!(known.page(&titled("Web Filter")), None);
    assert_eq!(known.page(&titled("you must stop here")), Some(KnownPage::Blocked("c_isp_xz_1")));
    assert_eq!(known.page(&titled("Too many requests, stop here")), Some(KnownPage::Harmless("x_fp_y")));
}

#[test]
fn bad_and_expensive_patterns_are_counted_and_the_rest_is_used() {
    let huge = "(a{500}){500}";
    let long = "y".repeat(3000);
    let rows = format!(
        "x.1,nat,,body,regexp,(unclosed,5,,,,\nx.2,nat,,body,regexp,{huge},5,,,,\nx.3,nat,,body,contains,{long},5,,,,\nx.4,nat,,body,contains,ab,5,,,,\nx.5,nat,,body,regexp,(abcd)*,5,,,,\nx.6,nat,,dns,full,neither of both,5,,,,\nx.7,nat,,footer,full,whatever,5,,,,\nx.8,nat,,body,contains,Access is denied,5,,,,\n"
    );
    let (known, loaded) = http(&rows);
    assert_eq!((loaded[0].patterns, loaded[0].refused), (1, 7), "{:?}", loaded[0].reasons);
    assert_eq!(known.page(&titled("Access is denied")), Some(KnownPage::Blocked("x.8")));
    let (_, nonsense) =
        Fingerprints::with_files([("blockpage_signatures.json", b"\xff\n{}\n[1]".as_slice())]);
    assert_eq!((nonsense[0].patterns, nonsense[0].refused), (0, 3));
}

#[test]
fn a_forged_answers_address_confirms_unless_a_control_was_given_it_too() {
    let text = format!("{HEADER}x.1,isp,,dns,full,203.82.50.1,5,,,,\nx.2,vbw,,dns,full,203.82.50.2,5,,,,\n");
    let (known, _) = Fingerprints::with_files([("ooni_fingerprints_dns.csv", text.as_bytes())]);
    let page = |address: &str| {
        Builder::new("http://www.facebook.com/").dns(Engine::System, &[address], None).tcp(None).step(
            Layer::Http,
            Engine::System,
            Fact::Http(titled("")),
            None,
        )
    };
    let judged = judge_with(&page("203.82.50.1").0, &[control()], &known);
    assert_eq!((judged.class, judged.rule.as_str()), (Class::DnsInjected, "dns.forged.known"));
    assert_eq!(judge_with(&page("203.82.50.2").0, &[control()], &known).status, LayerStatus::Ok);
    let same = ControlFact { addresses: vec!["203.82.50.1".parse().expect("an address")], ..control() };
    assert_eq!(judge_with(&page("203.82.50.1").0, &[same], &known).status, LayerStatus::Ok);
    let alone = judge_with(&page("203.82.50.1").0, &[], &known);
    assert_eq!(alone.status, LayerStatus::Insufficient, "no control, no verdict");
}

#[test]
fn an_alias_of_a_forged_answer_confirms_too() {
    let text = format!("{HEADER}x.1,nat,,dns,full,Stop.Example.id,5,,,,\n");
    let (known, _) = Fingerprints::with_files([("fingerprints_dns.csv", text.as_bytes())]);
    assert_eq!(known.alias("stop.example.id."), Some("x.1"));
    let answer = DnsAnswer {
        hostname: "www.facebook.com".into(),
        addresses: vec!["203.82.50.9".parse().expect("an address")],
        cnames: vec!["stop.example.id".into()],
        ..DnsAnswer::default()
    };
    let page = Builder::new("http://www.facebook.com/")
        .step(Layer::Dns, Engine::System, Fact::Dns(answer), None)
        .tcp(None)
        .step(Layer::Http, Engine::System, Fact::Http(titled("")), None);
    assert_eq!(judge_with(&page.0, &[control()], &known).rule, "dns.forged.known");
}

#[test]
fn recorded_bodies_and_headers_are_looked_at() {
    let (known, _) =
        http("x.1,nat,,body,contains,Access is denied,5,,,,\nx.2,nat,,header.via,full,wall,5,,,,\n");
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"<html>Access is denied</html>").expect("written");
    let body_deflated = encoder.finish().expect("deflated");
    let body = HttpFact { body_deflated: body_deflated.clone(), ..HttpFact::default() };
    assert_eq!(known.page(&body), Some(KnownPage::Blocked("x.1")));
    let cut = HttpFact { body_deflated: body_deflated[..4].to_vec(), ..HttpFact::default() };
    assert_eq!(known.page(&cut), None);
    let headers = vec![Header { name: "via".into(), value: "wall".into() }];
    assert_eq!(known.page(&HttpFact { headers, ..HttpFact::default() }), Some(KnownPage::Blocked("x.2")));
}

#[test]
fn the_built_in_block_page_is_known_without_any_file() {
    let blocked =
        Builder::new("http://www.facebook.com/").dns(Engine::System, &["157.240.0.35"], None).tcp(None).step(
            Layer::Http,
            Engine::System,
            Fact::Http(titled("Surf Safely! This site is PROHIBITED for viewership from within Pakistan")),
            None,
        );
    assert_judged(&blocked, &[control()], Class::HttpBlockpage, LayerStatus::Blocked, "http.blockpage.known");
}

#[test]
fn a_long_body_is_cut_at_a_letter() {
    let page = Page::new(vec![("server".into(), "x".into())], &"ä".repeat(100_000));
    assert!(page.body().len() <= 64 * 1024 && page.text().starts_with("Server: x\n\n"));
}
