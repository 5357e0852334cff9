//! `faultline country`: a profile drafted from tables, and what a profile leaves unsaid.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn faultline(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_faultline");
    Command::new(program).args(arguments).output().expect("the program runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of letters")
}

const NAMES: &str = "asn,name,operator,access\n\
    64501,FIRST-AS,First Telecom,fixed\nAS64502,FIRST-MOB,First Telecom,\n64503,SECOND-AS,Second,mobile\n\
    64504,THIRD-AS,,fixed\n64505,TINY-AS,,\n";
const SHARES: &str =
    "asn,percent,source\n64501,30,a survey\n64502,10,a survey\n64503,35,a survey\n64504,15,a survey\n";
const UPSTREAMS: &str =
    "asn,upstream,weight\n64503,64501,0.9\n64504,64501,0.6\n64504,64900,0.4\n64503,64900,0.05\n";

/// Writes the tables and drafts a profile from them.
fn draft(folder: &Path, more: &[&str]) -> Output {
    let tables = [("names.csv", NAMES), ("shares.csv", SHARES), ("upstreams.csv", UPSTREAMS)];
    let paths = tables.map(|(name, rows)| {
        let path = folder.join(name);
        std::fs::write(&path, rows).expect("written");
        path
    });
    let mut arguments = vec!["country", "init", "xz", "--asn-names", text(&paths[0])];
    arguments.extend(["--shares", text(&paths[1]), "--upstreams", text(&paths[2])]);
    arguments.extend(more);
    faultline(&arguments)
}

#[test]
fn a_draft_joins_networks_of_one_company_and_finds_the_gateway() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let out = folder.path().join("xz.toml");
    let more = [
        "--name",
        "Xanadu",
        "--utc-offset",
        "-90",
        "--risk-tier",
        "high",
        "--languages",
        "xa,en",
        "--out",
        text(&out),
    ];
    let output = draft(folder.path(), &more);
    assert!(output.status.success(), "{}", said(&output));
    let profile: faultline_model::CountryProfile =
        toml::from_str(&std::fs::read_to_string(&out).expect("a draft")).expect("a profile");
    assert_eq!(profile.validate(), Ok(()));
    let operators: Vec<(&str, usize, bool)> = profile
        .operators
        .iter()
        .map(|operator| (operator.name.as_str(), operator.asns.len(), operator.upstreams.is_empty()))
        .collect();
    assert_eq!(operators, [("First Telecom", 2, false), ("Second", 1, false), ("THIRD-AS", 1, false)]);
    assert_eq!(profile.gateways.len(), 1, "a seller outside the table is no gateway of the country");
    assert_eq!(profile.gateways[0].asn.get(), 64_501);
    assert_eq!((profile.utc_offset_min, profile.languages.len()), (-90, 2));
    assert!(profile.sources.iter().any(|source| source.name == "a survey"));
    let check = faultline(&["country", "check", text(&out), "--json"]);
    assert!(check.status.success(), "{}", said(&check));
    let report: Value = serde_json::from_slice(&check.stdout).expect("JSON");
    assert_eq!((&report["is_complete"], &report["gaps"]), (&Value::Bool(true), &Value::Array(vec![])));
    let again = draft(folder.path(), &["--out", text(&out)]);
    assert_eq!(again.status.code(), Some(77), "a reviewed profile is not overwritten");
}

#[test]
fn the_same_tables_give_the_same_draft_and_a_bad_row_is_named() {
    let folder = tempfile::tempdir().expect("temporary directory");
    assert_eq!(draft(folder.path(), &[]).stdout, draft(folder.path(), &[]).stdout);
    let bad = folder.path().join("bad.csv");
    std::fs::write(&bad, "asn,name\n64501,x\nsomething,y\n").expect("written");
    let output = faultline(&["country", "init", "XZ", "--asn-names", text(&bad)]);
    assert_eq!(output.status.code(), Some(65));
    assert!(said(&output).contains("line 3"), "{}", said(&output));
}

#[test]
fn a_check_names_what_is_missing_and_which_verdicts_that_disables() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = folder.path().join("bare.toml");
    std::fs::write(&path, "country = \"XZ\"\nname = \"Xanadu\"\n").expect("written");
    let output = faultline(&["country", "check", text(&path)]);
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("no operator family is named") && shown.contains("national_block"), "{shown}");
    std::fs::write(&path, "country = \"XZ\"\nname = 3\n").expect("written");
    assert_eq!(faultline(&["country", "check", text(&path)]).status.code(), Some(65));
}

#[test]
fn the_shipped_profile_is_valid_has_sources_and_says_honestly_what_it_lacks() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles/pk.toml");
    let output = faultline(&["country", "check", text(&path), "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let keys: Vec<&str> =
        report["gaps"].as_array().into_iter().flatten().filter_map(|gap| gap["key"].as_str()).collect();
    assert_eq!(keys, ["operator.user_share"], "nobody publishes the shares");
    assert_eq!((&report["operators"], &report["gateways"]), (&17.into(), &2.into()));
    assert_eq!(output.status.code(), Some(1));
}
