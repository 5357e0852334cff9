//! Debug.
use faultline_analysis::detect::*;
use faultline_model::*;
use std::collections::*;
fn main() {
    let s: serde_json::Value = serde_json::from_str(&std::fs::read_to_string("/tmp/dbg-setup.json").unwrap()).unwrap();
    let profile: CountryProfile = serde_json::from_value(s["profile"].clone()).unwrap();
    let targets = s["targets"].as_array().unwrap().iter().map(|t| TargetInfo {
        target: Target::new(t["target"].as_str().unwrap()).unwrap(), service: ServiceId::new(t["service"].as_str().unwrap()).unwrap(),
        service_name: t["name"].as_str().unwrap().into(), role: serde_json::from_value(t["role"].clone()).unwrap(), category: Category::new(t["category"].as_str().unwrap()).unwrap() }).collect();
    let baseline: Baseline = serde_json::from_value(s["baseline"].clone()).unwrap();
    let mut d = Detector::new(Setup { profile, targets, baseline, base_period: std::time::Duration::from_secs(300), mode: Mode::Live, reference_asns: BTreeSet::new(), history: BTreeMap::new() });
    let recs: Vec<Record> = std::fs::read_to_string("/tmp/dbg-records.jsonl").unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let t0 = recs[0].received_at;
    let only: u32 = std::env::args().nth(1).map_or(0, |a| a.parse().unwrap());
    let mut next: Option<Timestamp> = None;
    let step = |d: &mut Detector, now: Timestamp, what: &str| {
        let e = d.evaluate(now);
        for a in &e.asks { println!("{:8.2} ask {:?} {} x{} {:?}", now.seconds_after(t0), a.who, a.target, a.count, a.reason); }
        for i in &e.changed { println!("{:8.2} INCIDENT {} {:?} {:.2} asns {} targets {} end {:?} ends {}", now.seconds_after(t0), i.verdict, i.status, i.confidence, i.asns.len(), i.targets.len(), i.end, i.end_by_asn.len()); }
        let _ = what;
        for v in d.matrix(now) { if v.asn.get() == only && !matches!(v.state, CellState::Ok | CellState::NoData) { println!("{:8.2}   {v:?}", now.seconds_after(t0)); } }
        e.next
    };
    for r in recs {
        while let Some(n) = next { if n < r.received_at { next = step(&mut d, n, "timer"); if next == Some(n) { break; } } else { break; } }
        let now = r.received_at; let anomaly = r.class.is_anomaly();
        d.ingest(r);
        let _ = anomaly;
        next = step(&mut d, now, "record");
    }
}
