//! An incident's questions over the API: a recorded block goes through detection into the store, and readers and
//! operators ask the running coordinator about it.

mod kit;

use anyhow::Context;
use faultline_analysis::replay::{Row, Topology, run};
use faultline_coordinator::store::sqlite::SqliteStore;
use faultline_coordinator::store::{Archive, NewMeasurement, Registry};
use faultline_model::{
    AgentId, Asn, CheckKind, Class, Incident, Judgement, LayerStatus, Timestamp, Verdict, Why,
};
use faultline_proto::operator as wire;
use faultline_proto::operator::note_body::Body;
use faultline_runtime::{OperatorKey, create_private_dir, now};
use kit::{Server, list, measurement};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const NETWORKS: [(u32, &str); 4] =
    [(17557, "PTCL"), (23674, "Nayatel"), (45669, "Jazz"), (9541, "StormFiber")];
const SOCIAL: [&str; 2] = ["https://www.facebook.com/", "https://x.com/"];
const PERIOD: u64 = 300;
/// The block of a recorded morning: from the second hour, for fifty minutes.
const BLOCK: std::ops::Range<u64> = 7_260..10_260;
const LASTS: u64 = 14_400;

/// Recorded rows: three agents per network, every target once a period, Nayatel with forged answers of its own. In the
/// block ways around are tried from Jazz: Tor passes.
fn rows(begin: Timestamp) -> Vec<Row> {
    let mut rows = Vec::new();
    let targets = list(1).targets;
    for cycle in 0..LASTS / PERIOD {
        for (network, (asn, _)) in (0_u64..).zip(NETWORKS) {
            for agent in 0..3_u64 {
                for (number, spec) in (0_u64..).zip(&targets) {
                    let at = cycle * PERIOD + (agent * 101 + number * 17 + network * 7) % PERIOD;
                    let is_hit = BLOCK.contains(&at) && SOCIAL.contains(&spec.target.as_str());
                    let class = match (is_hit, asn) {
                        (false, _) => Class::Ok,
                        (true, 23674) => Class::DnsInjected,
                        (true, _) => Class::TlsReset,
                    };
                    let started_at = begin + Duration::from_secs(at);
                    let row = json!({
                        "id": format!("m-{asn}-{agent}-{number}-{cycle}"), "agent_id": format!("a-{asn}-{agent}"),
                        "asn": asn, "country": "PK", "target": spec.target, "category": spec.category,
                        "started_at": started_at, "received_at": started_at + Duration::from_secs(2),
                        "check": class.layer().as_str(), "outcome": if is_hit { "anomaly" } else { "ok" },
                        "failure": class, "control_ok": true,
                    });
                    rows.push(serde_json::from_value(row).expect("a row"));
                }
            }
        }
    }
    rows.sort_by_key(|row: &Row| (row.received_at, row.id.clone()));
    rows
}

fn topology() -> Topology {
    let asns =
        NETWORKS.map(|(asn, name)| json!({ "asn": asn, "name": name, "country": "PK", "user_share": 0.25 }));
    let targets: Vec<Value> = list(1)
        .targets
        .iter()
        .map(|spec| json!({ "target": spec.target, "category": spec.category, "service": spec.service, "service_name": spec.service_name }))
        .collect();
    let text = json!({ "country": "PK", "utc_offset_min": 300, "base_period_s": PERIOD, "asns": asns, "targets": targets });
    serde_json::from_value(text).expect("a topology")
}

fn stored(row: &Row, check: CheckKind) -> NewMeasurement {
    let mut facts = measurement(row.target.as_str(), row.started_at, row.failure.is_anomaly());
    facts.check = check;
    NewMeasurement {
        measurement: facts,
        agent: row.agent_id.clone(),
        asn: Some(row.asn),
        country: row.country,
        control: false,
        is_home_network: true,
        why: Why::Routine,
        received_at: row.received_at,
        clock_offset_ms: 0,
    }
}

/// Fills a coordinator's store as if it had lived through the morning three days ago, and returns the block.
async fn live_through(data: &Path) -> anyhow::Result<Incident> {
    let begin = now() - Duration::from_secs(3 * 86_400);
    let rows = rows(begin);
    let incidents = run(&topology(), rows.clone())?.incidents;
    let [block] = incidents.as_slice() else { anyhow::bail!("one incident: {incidents:?}") };
    create_private_dir(data)?;
    let (store, _end) = SqliteStore::open(&data.join("faultline.sqlite"))?;
    store.keep_incidents(incidents.clone()).await?;
    let mut classes: Vec<Class> = rows.iter().map(|row| row.failure).collect();
    let mut kept: Vec<NewMeasurement> = rows.iter().map(|row| stored(row, CheckKind::Web)).collect();
    let jazz = Asn::new(45669)?;
    let tried =
        rows.iter().find(|row| row.asn == jazz && row.failure.is_anomaly()).context("a blocked row")?;
    let mut tor = stored(tried, CheckKind::Tor);
    tor.agent = AgentId::new("a-45669-0")?;
    kept.push(tor);
    classes.push(Class::Ok);
    store.append(kept).await?;
    let read = store.measurements_after(0, classes.len()).await?.measurements;
    anyhow::ensure!(read.len() == classes.len(), "all are stored");
    let judged = read.iter().zip(classes).map(|(stored, class)| {
        let status = if class.is_anomaly() { LayerStatus::Blocked } else { LayerStatus::Ok };
        let rule = "recorded".to_owned();
        (stored.position, Judgement { class, layer: class.layer(), status, rule, hop: 0, evidence: vec![] })
    });
    store.note_judgements(judged.collect()).await?;
    Ok(block.clone())
}

async fn start(dir: &Path) -> anyhow::Result<(Server, Incident)> {
    let data = dir.join("data");
    let block = live_through(&data).await?;
    let profile = dir.join("pk.toml");
    let mut text = "country = \"PK\"\nname = \"Pakistan\"\nutc_offset_min = 300\n".to_owned();
    for (asn, name) in NETWORKS {
        text += &format!("[[operator]]\nname = \"{name}\"\nasns = [{asn}]\nuser_share = 0.25\n");
    }
    std::fs::write(&profile, text)?;
    let server = Server::start(&data, &["--profile", &profile.display().to_string()]).await?;
    server.operator().await?.push(&OperatorKey::generate()?, &list(1), true).await?;
    Ok((server, block))
}

fn event(block: &Incident, lead: Duration) -> wire::AddNoteRequest {
    let from = block.onset + lead;
    let event = wire::CalendarEvent {
        name: "an online rally".into(),
        starts_at_ms: from.unix_ms(),
        ends_at_ms: (from + Duration::from_secs(3600)).unix_ms(),
        source: "https://news.example/rally".into(),
    };
    wire::AddNoteRequest {
        country: "PK".into(),
        body: Some(wire::NoteBody { body: Some(Body::Event(event)) }),
    }
}

fn claim(block: &Incident) -> wire::AddNoteRequest {
    let claim = wire::Claim {
        incident: block.id.to_string(),
        by: "PTA".into(),
        words: "technical failure, nationwide".into(),
        source: "https://pta.example/".into(),
    };
    wire::AddNoteRequest {
        country: String::new(),
        body: Some(wire::NoteBody { body: Some(Body::Claim(claim)) }),
    }
}

#[tokio::test]
async fn readers_get_every_answer_and_operators_what_is_held_back() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (server, block) = start(dir.path()).await?;
    assert_eq!(block.verdict, Verdict::NationalBlock, "{block:?}");
    let mut operator = server.operator().await?.client;
    let note = operator
        .add_note(event(&block, Duration::from_secs(1_500)))
        .await?
        .into_inner()
        .note
        .context("kept")?;
    operator.add_note(claim(&block)).await?;
    let path = format!("/api/v1/incidents/{}", block.id);
    let said = server.json(&format!("{path}/explain")).await?;
    assert_eq!(said["onsets"]["answer"], "one_switch", "{}", said["onsets"]);
    assert_eq!(said["restorations"]["answer"], "one_switch", "{}", said["restorations"]);
    assert_eq!(
        (&said["selectivity"]["answer"], &said["nature"]["answer"]),
        (&json!("selective"), &json!("filtering"))
    );
    assert_eq!(
        (&said["cause"]["cause"], &said["circumvention"]["answer"]),
        (&json!("UNKNOWN"), &json!("held_back"))
    );
    let lead = said["announced"]["event"]["lead_min"].as_f64().context("a lead")?;
    assert!((lead - 25.0).abs() < 1.0, "{}", said["announced"]);
    let parts = said["claims"][0]["parts"].as_array().context("parts")?;
    let answers: Vec<&Value> = parts.iter().map(|part| &part["answer"]).collect();
    assert_eq!(answers, ["contradicted", "supported", "cannot_tell"]);
    assert!(!said.to_string().contains("a-45669"), "no vantage point is named");

    let request = wire::ExplainIncidentRequest { id: block.id.to_string() };
    let inner: Value = serde_json::from_str(&operator.explain_incident(request).await?.into_inner().json)?;
    assert_eq!(inner["circumvention"]["classes"][0]["class"], "tor", "{}", inner["circumvention"]);
    assert_eq!(inner["circumvention"]["classes"][0]["answer"], "passed");

    let nayatel = server.json(&format!("{path}/compare?asn=23674")).await?;
    assert_eq!(
        (&nayatel["answer"], &nayatel["own_mechanism"]),
        (&json!("differently"), &json!(true)),
        "{nayatel}"
    );
    let jazz = server.json(&format!("{path}/compare?asn=45669")).await?;
    assert_eq!(jazz["answer"], "the_same", "{jazz}");

    let radar = server.json(&format!("{path}/as/radar")).await?;
    assert_eq!(radar["outage"], json!({ "outageType": "NATIONWIDE", "outageCause": "UNKNOWN" }));
    let stop = server.json(&format!("{path}/as/stop")).await?;
    assert_eq!((&stop["facebook_affected"], &stop["ordered_by"]), (&json!("Yes"), &json!("Unknown")));
    let ioda = server.json(&format!("{path}/as/ioda")).await?;
    assert_eq!(ioda["data"].as_array().map(Vec::len), Some(5), "four networks and the country: {ioda}");
    assert_eq!(server.get(&format!("{path}/as/nothing")).await?.0, 400);

    let calendar = server.json("/api/v1/calendar?country=PK").await?;
    assert_eq!(calendar["events"][0]["name"], "an online rally", "{calendar}");
    operator.withdraw_note(wire::WithdrawNoteRequest { id: note.id }).await?;
    let said = server.json(&format!("{path}/explain")).await?;
    assert_eq!(said["announced"]["answer"], "no_calendar", "{}", said["announced"]);
    Ok(())
}

#[tokio::test]
async fn notes_are_kept_once_belong_to_an_incident_and_need_a_source() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (server, block) = start(dir.path()).await?;
    let mut operator = server.operator().await?.client;
    let first = operator.add_note(claim(&block)).await?.into_inner().note.context("kept")?;
    let again = operator.add_note(claim(&block)).await?.into_inner().note.context("kept")?;
    assert_eq!((first.id, first.noted_at_ms), (again.id, again.noted_at_ms));
    let listed =
        operator.list_notes(wire::ListNotesRequest { country: "PK".into() }).await?.into_inner().notes;
    assert_eq!(listed.len(), 1);
    let unknown = Incident { id: faultline_model::IncidentId::new("none")?, ..block.clone() };
    let refused = operator.add_note(claim(&unknown)).await.expect_err("no such incident");
    assert_eq!(refused.code(), tonic::Code::NotFound);
    let mut bad = event(&block, Duration::ZERO);
    if let Some(Body::Event(event)) = bad.body.as_mut().and_then(|body| body.body.as_mut()) {
        event.source = "ftp://news.example/".into();
    }
    let refused = operator.add_note(bad).await.expect_err("no address of the web");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}");
    let cause = wire::CauseSource {
        incident: block.id.to_string(),
        cause: "government_directed".into(),
        by: "the ministry".into(),
        words: "ordered".into(),
        source: "https://court.example/".into(),
    };
    let body = Some(wire::NoteBody { body: Some(Body::Cause(cause)) });
    operator.add_note(wire::AddNoteRequest { country: String::new(), body }).await?;
    let said = server.json(&format!("/api/v1/incidents/{}/explain", block.id)).await?;
    assert_eq!(said["cause"]["cause"], "GOVERNMENT_DIRECTED", "{}", said["cause"]);
    assert_eq!(said["incident"]["verdict"], "national_block", "no note changes a verdict");
    Ok(())
}
