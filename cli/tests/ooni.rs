//! `faultline replay --ooni` as people run it, and on real data where they are at hand.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn faultline(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_faultline");
    Command::new(program).args(arguments).output().expect("the program runs")
}

/// Finds data by others, which lie outside the repository; `FAULTLINE_DATA` names their folder.
fn data(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os("FAULTLINE_DATA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = named.unwrap_or(beside).join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: there is no {}; name the folder of the data in FAULTLINE_DATA", path.display());
    None
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of letters")
}

/// What the reports on the block of Telegram in Kenya say, independently of us: three providers, at their own
/// hours, since 8 November 2023, and never the country.
#[test]
fn the_real_block_in_kenya_is_told_by_provider_and_never_as_national() {
    let Some(path) = data("kenya-2023/observations.csv.gz") else { return };
    let output = faultline(&["replay", "--ooni", text(&path)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said["basis"]["vantage_identity"], "none");
    let incidents = said["incidents"].as_array().expect("incidents");
    let mut named = std::collections::BTreeSet::new();
    for incident in incidents {
        let verdict = incident["verdict"].as_str().expect("a verdict");
        assert!(!matches!(verdict, "national_block" | "category_block"), "{incident}");
        let onset = incident["onset"].as_str().expect("an onset");
        assert!(onset >= "2023-11-08", "{onset}: {}", incident["headline"]);
        if incident["retracted"] == false && matches!(verdict, "isp_block" | "multi_isp_block") {
            named.extend(incident["asns"].as_array().into_iter().flatten().filter_map(|asn| asn.as_u64()));
        }
    }
    assert_eq!(named, [12_455, 33_771, 36_926].into(), "Safaricom's two networks are one family");
    let family = said["basis"]["providers"].as_array().into_iter().flatten().find(|p| p["asn"] == 33_771);
    assert_eq!(family.expect("Safaricom measured")["asns"], serde_json::json!([33_771, 37_061]));
    // One provider blocked all the time, the other by the clock of the examinations.
    let week = |asn: u64, days: usize| {
        let all = said["schedules"].as_array().into_iter().flatten();
        let own = all.clone().find(|schedule| schedule["asn"] == asn).expect("a schedule");
        own["days"][days]["summary"].as_str().expect("words").to_owned()
    };
    assert_eq!(week(12_455, 0), "failed 05-22 UTC");
    assert!(week(12_455, 1).starts_with("failed 08-13, 19-22 UTC"), "{}", week(12_455, 1));
    assert_eq!(week(33_771, 0), "failed 04-08, 10-14 UTC; worked 00-04, 08-10, 14-24 UTC");
    assert!(week(33_771, 1).starts_with("worked"), "{}", week(33_771, 1));
}

#[test]
fn real_measurements_of_every_kind_and_malformed_ones_are_read_or_counted() {
    let Some(folder) = data("ooni") else { return };
    let out = tempfile::tempdir().expect("temporary directory");
    let all = out.path().join("all.jsonl");
    let mut lines = String::new();
    for sub in ["measurements", "malformed"] {
        for entry in std::fs::read_dir(folder.join(sub)).expect("a folder") {
            let file = std::fs::read(entry.expect("an entry").path()).expect("a file");
            if let Ok(value) = serde_json::from_slice::<serde_json::Value>(&file) {
                lines += &format!("{value}\n");
            }
        }
    }
    std::fs::write(&all, lines).expect("written");
    let output = faultline(&["replay", "--ooni", text(&all)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || said.contains("error:"), "no panic: {said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn bad_lines_are_counted_with_their_numbers_and_an_empty_file_is_refused() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = folder.path().join("rows.csv");
    let header = "measurement_start_time,measurement_uid,probe_cc,probe_asn,test_name,input,http_request_url,http_failure";
    let good = "2023-10-15 00:30:52,u1,XZ,64501,web_connectivity,https://x.example/,https://x.example/,";
    std::fs::write(&path, format!("{header}\n{good}\nnonsense\n{good}\n")).expect("written");
    let run = || faultline(&["replay", "--ooni", text(&path)]);
    let output = run();
    assert_eq!(output.stdout, run().stdout, "the same to the byte");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("rows.csv:3: skipped"), "{said}");
    assert!(
        said.contains("1 measurement,") && said.contains("1 vote,"),
        "a repeated row is one vote: {said}"
    );
    std::fs::write(&path, format!("{header}\n")).expect("written");
    let empty = faultline(&["replay", "--ooni", text(&path)]);
    assert_eq!(empty.status.code(), Some(65));
    let neither = faultline(&["replay"]);
    assert_eq!(neither.status.code(), Some(2));
}
