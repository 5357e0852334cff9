//! Measures how long a large day takes to replay, and how long a live update takes.
//!
//! `speed day`: 1,000 agents on 20 providers, 30 targets, every 10 minutes for a day. `speed live`: 100 providers, 200
//! targets, three agents each. Times are of the processor, so that a busy machine changes them little; they include
//! making the rows.

use faultline_analysis::detect::{Detector, Mode};
use faultline_analysis::replay::{Row, Topology, run};
use faultline_model::{AgentId, Asn, CheckKind, Class, MeasurementId, Record, Target, Timestamp, Why};
use serde_json::json;
use std::error::Error;

const BEGIN_MS: i64 = 1_741_590_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("day") => day(),
        Some("live") => live(),
        _ => Err("usage: speed day|live".into()),
    }
}

fn mix(a: u64, b: u64) -> u64 {
    let mut word = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn topology(providers: u32, targets: usize, period_s: u32) -> Result<Topology, Box<dyn Error>> {
    let kinds = ["GRP", "NEWS", "COMT", "CTRL", "CULTR"];
    let target = |number: usize| {
        let url = format!("https://site-{number}.example/");
        json!({"target": url, "category": kinds[number % kinds.len()], "hosting": "own"})
    };
    let network = |number: u32| json!({"asn": 64_512 + number, "name": format!("p{number}"), "country": "XL", "user_share": 1.0 / f64::from(providers)});
    Ok(serde_json::from_value(json!({
        "country": "XL", "utc_offset_min": 0, "heartbeat_period_s": 60.0, "base_period_s": period_s,
        "transits": [], "asns": (0..providers).map(network).collect::<Vec<_>>(), "agents": [],
        "targets": (0..targets).map(target).collect::<Vec<_>>(), "history": {},
    }))?)
}

fn record(number: u64, (agent, asn): (u64, u32), (target, kind): (&Target, usize), at: i64) -> Record {
    let kinds = ["GRP", "NEWS", "COMT", "CTRL", "CULTR"];
    let fails = mix(number, 7) % 100 < 3;
    let at = Timestamp::from_unix_ms(at);
    Record {
        id: MeasurementId::new(format!("m{number}")).expect("a valid id"),
        agent: AgentId::new(format!("a{agent}")).expect("a valid id"),
        asn: Asn::recorded(asn).expect("not zero"),
        country: "XL".parse().expect("valid"),
        target: target.clone(),
        category: faultline_model::Category::new(kinds[kind % kinds.len()]).expect("valid"),
        started_at: at,
        received_at: at + std::time::Duration::from_secs(3),
        check: CheckKind::Web,
        class: if fails { Class::TcpTimeout } else { Class::Ok },
        control_ok: Some(true),
        why: Why::Routine,
        control: false,
    }
}

/// Returns the processor's time of this process in seconds.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn day() -> Result<(), Box<dyn Error>> {
    let (agents, targets, providers) = (1_000_u64, 30_u64, 20_u32);
    let topology = topology(providers, 30, 600)?;
    let names: Vec<Target> = topology.targets.iter().map(|row| row.target.clone()).collect();
    let each = 600_000 / (agents * targets);
    let rows = (0..144 * agents * targets).map(|number| {
        let place = number % (agents * targets);
        // Neighbours in time are different agents and targets.
        let (agent, target) = (place % agents, (place / agents + place) % targets);
        let asn = 64_512 + u32::try_from(agent).expect("small") % providers;
        let target = usize::try_from(target).expect("small");
        let at = BEGIN_MS + i64::try_from(number * each.max(1)).expect("small");
        Row::from(record(number, (agent, asn), (&names[target], target), at))
    });
    let before = cpu();
    let incidents = run(&topology, rows)?.incidents.len();
    println!("{} rows in {:.1} s, {incidents} incidents", 144 * agents * targets, cpu() - before);
    Ok(())
}

fn live() -> Result<(), Box<dyn Error>> {
    let (providers, targets) = (100_u64, 200_u64);
    let topology = topology(100, 200, 300)?;
    let names: Vec<Target> = topology.targets.iter().map(|row| row.target.clone()).collect();
    let mut setup = topology.setup()?;
    setup.mode = Mode::Live;
    let mut detector = Detector::new(setup);
    let make = |number: u64| {
        let place = mix(number / (providers * targets), 3).wrapping_add(number) % (providers * targets);
        let (provider, target) = (place % providers, (place / providers) % targets);
        let agent = provider * 3 + mix(number, 5) % 3;
        let target = usize::try_from(target).expect("small");
        let asn = 64_512 + u32::try_from(provider).expect("small");
        let at = BEGIN_MS + i64::try_from(number * 15).expect("small");
        record(number, (agent, asn), (&names[target], target), at)
    };
    // Twenty minutes fill the windows.
    let fill = 80_000;
    for number in 0..fill {
        let record = make(number);
        let at = record.received_at;
        detector.ingest(record);
        if number % 8_000 == 0 {
            detector.evaluate(at);
        }
    }
    let updates = 1_000;
    let before = cpu();
    for number in fill..fill + updates {
        let record = make(number);
        let at = record.received_at;
        detector.ingest(record);
        detector.evaluate(at);
    }
    let each = (cpu() - before) * 1000.0 / 1_000.0;
    println!("{updates} updates, {each:.3} ms each, {} incidents", detector.incidents().count());
    Ok(())
}
