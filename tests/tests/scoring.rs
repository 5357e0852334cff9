//! The judge of runs: what passes, what fails, and what is passed over.

use faultline_tests::country::score::{RunResult, Score, score};
use serde_json::{Value, json};

const ONSET: &str = "2024-01-20T13:41:00Z";
const END: &str = "2024-01-20T13:44:00Z";

fn truth() -> Value {
    json!({
        "schema": "faultline-truth/1", "kind": "test", "seed": 1, "country": "PK",
        "start": "2024-01-20T13:40:00Z", "end": "2024-01-20T13:45:30Z",
        "agents_total": 24, "agent_days": 0.1, "measurements": 100,
        "incidents": [{
            "id": "T1", "verdict": "isp_block", "mechanism": "sni_reset", "country": "PK", "asns": [23674],
            "targets": ["https://x.com/"], "agents": [], "onset": ONSET, "end": END,
            "onset_by_asn": {"23674": ONSET}, "end_by_asn": {"23674": END}, "transit": null
        }],
        "tolerated": [{"verdict": "*", "asns": "*", "targets": ["https://www.torproject.org/"]}]
    })
}

fn said() -> Value {
    json!({
        "id": "i1", "verdict": "isp_block", "asns": [23674], "targets": ["https://x.com/"], "onset": ONSET,
        "end": END, "onset_by_asn": {"23674": "2024-01-20T13:41:04Z"}, "end_by_asn": {"23674": END},
        "detected_at": "2024-01-20T13:41:20Z", "retracted": false,
        "revisions": [
            {"published_at": "2024-01-20T13:41:20Z", "verdict": "insufficient_data", "asns": [23674], "targets": []},
            {"published_at": "2024-01-20T13:41:50Z", "verdict": "isp_block", "asns": [23674],
             "targets": ["https://x.com/"]}
        ]
    })
}

fn judge(incidents: &[Value]) -> Score {
    let result: RunResult =
        serde_json::from_value(json!({"truth": truth(), "incidents": incidents})).expect("a result");
    score(&result)
}

/// Returns the right incident with one key changed.
fn but(key: &str, value: Value) -> Value {
    let mut said = said();
    said[key] = value;
    said
}

#[test]
fn the_right_incident_passes_with_its_delays() {
    let score = judge(&[said()]);
    assert!(score.pass, "{score}");
    let row = &score.rows[0];
    assert_eq!((row.first_published_s, row.right_published_s), (Some(20.0), Some(50.0)));
    assert_eq!(row.onset_error_s.values().copied().collect::<Vec<_>>(), [4.0]);
}

#[test]
fn anything_wrong_about_it_fails() {
    let wrong = [
        but("verdict", json!("multi_isp_block")),
        but("asns", json!([23674, 9541])),
        but("targets", json!(["https://x.com/", "https://www.bbc.com/"])),
        but("end", Value::Null),
        but("onset_by_asn", json!({"23674": "2024-01-20T13:42:30Z"})),
        but("end_by_asn", json!({"23674": "2024-01-20T13:45:20Z"})),
        but("retracted", json!(true)),
    ];
    for said in wrong {
        assert!(!judge(std::slice::from_ref(&said)).pass, "{said}");
    }
    assert!(!judge(&[]).pass, "silence");
}

#[test]
fn a_second_incident_is_false_or_a_fragment() {
    let elsewhere = but("asns", json!([9541]));
    let score = judge(&[said(), elsewhere]);
    assert_eq!((score.pass, score.false_incidents.len(), score.fragments.len()), (false, 1, 0));
    let score = judge(&[but("verdict", json!("isp_outage")), said()]);
    assert_eq!((score.pass, score.false_incidents.len(), score.fragments.len()), (false, 0, 1));
    assert!(score.rows[0].pass, "the better one is the match");
}

#[test]
fn notes_tolerated_and_withdrawn_statements_are_passed_over() {
    let mut note = but("verdict", json!("agent_local"));
    note["asns"] = json!([9541]);
    let mut tolerated = but("asns", json!([9541]));
    tolerated["targets"] = json!(["https://www.torproject.org/"]);
    let mut withdrawn = but("retracted", json!(true));
    withdrawn["asns"] = json!([9541]);
    let score = judge(&[said(), note, tolerated, withdrawn]);
    assert!(score.pass, "{score}");
    assert_eq!(score.retracted, 1);
}
