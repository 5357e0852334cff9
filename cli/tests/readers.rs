//! The program as readers run it, against a research API that misbehaves on request.

use faultline_proto::research as wire;
use faultline_proto::research::research_service_server::{ResearchService, ResearchServiceServer};
use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// Two incidents on two pages; a watch that breaks after its first message and then goes on.
#[derive(Default)]
struct Unsteady {
    watches: AtomicUsize,
}

fn incident(id: &str, revision: u32) -> wire::Incident {
    wire::Incident {
        id: id.into(),
        country: "PK".into(),
        revision,
        status: "confirmed".into(),
        verdict: "isp_block".into(),
        confidence: 0.97,
        headline: "X is blocked on Nayatel\u{1b}[2J".into(),
        targets: vec!["https://x.com/".into()],
        asns: vec![23674],
        onset_ms: 1_705_758_033_000,
        networks: vec![wire::IncidentNetwork {
            asn: 23674,
            onset_ms: 1_705_758_033_000,
            mechanism: "tls_reset".into(),
            ..Default::default()
        }],
        detected_at_ms: 1_705_758_070_000,
        ..Default::default()
    }
}

#[tonic::async_trait]
impl ResearchService for Unsteady {
    async fn get_matrix(
        &self,
        request: Request<wire::GetMatrixRequest>,
    ) -> Result<Response<wire::GetMatrixResponse>, Status> {
        let country = request.into_inner().country;
        let cell = wire::MatrixCell { state: wire::CellState::Blocked.into(), ..Default::default() };
        let row = wire::MatrixRow { operator: "Nayatel".into(), cells: vec![cell], ..Default::default() };
        let service = wire::MatrixService { id: "x".into(), name: "X".into(), category: "GRP".into() };
        let (services, rows) = (vec![service], vec![row]);
        Ok(Response::new(wire::GetMatrixResponse { country, services, rows, ..Default::default() }))
    }

    async fn list_incidents(
        &self,
        request: Request<wire::ListIncidentsRequest>,
    ) -> Result<Response<wire::ListIncidentsResponse>, Status> {
        let is_first = request.into_inner().page_token.is_empty();
        let (id, next) = if is_first { ("i2", "more") } else { ("i1", "") };
        let incidents = vec![incident(id, 1)];
        Ok(Response::new(wire::ListIncidentsResponse { incidents, next_page_token: next.into() }))
    }

    async fn get_incident(
        &self,
        _: Request<wire::GetIncidentRequest>,
    ) -> Result<Response<wire::GetIncidentResponse>, Status> {
        Err(Status::not_found("no such incident"))
    }

    async fn explain_incident(
        &self,
        _: Request<wire::ExplainIncidentRequest>,
    ) -> Result<Response<wire::ExplainIncidentResponse>, Status> {
        Ok(Response::new(wire::ExplainIncidentResponse { json: "{\"no\": \"explanation\"}".into() }))
    }

    async fn compare_network(
        &self,
        request: Request<wire::CompareNetworkRequest>,
    ) -> Result<Response<wire::CompareNetworkResponse>, Status> {
        let json = format!("{{\"asn\": {}}}", request.get_ref().asn);
        Ok(Response::new(wire::CompareNetworkResponse { json }))
    }

    async fn write_incident(
        &self,
        request: Request<wire::WriteIncidentRequest>,
    ) -> Result<Response<wire::WriteIncidentResponse>, Status> {
        let json = format!("{{\"start_date\": \"2024-01-20\", \"country\": {:?}}}", request.get_ref().id);
        Ok(Response::new(wire::WriteIncidentResponse { json }))
    }

    type WatchIncidentsStream =
        tokio_stream::Iter<std::vec::IntoIter<Result<wire::WatchIncidentsResponse, Status>>>;

    async fn watch_incidents(
        &self,
        _: Request<wire::WatchIncidentsRequest>,
    ) -> Result<Response<Self::WatchIncidentsStream>, Status> {
        let says = |incident| Ok(wire::WatchIncidentsResponse { incident: Some(incident) });
        let messages = match self.watches.fetch_add(1, Ordering::Relaxed) {
            0 => vec![says(incident("i1", 1)), Err(Status::unavailable("restarting"))],
            _ => vec![says(incident("i1", 1)), says(incident("i1", 2))],
        };
        Ok(Response::new(tokio_stream::iter(messages)))
    }
}

async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    let service = ResearchServiceServer::new(Unsteady::default());
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    format!("http://{address}")
}

fn faultline(api: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faultline"));
    command.args(["--api", api]).args(arguments).env_remove("NO_COLOR").kill_on_drop(true);
    command
}

async fn run(api: &str, arguments: &[&str]) -> Output {
    faultline(api, arguments).stdin(Stdio::null()).output().await.expect("the program runs")
}

#[tokio::test]
async fn incidents_come_from_all_pages_in_the_form_of_replay() {
    let output = run(&serve().await, &["incidents", "--json"]).await;
    assert!(output.status.success(), "{output:?}");
    let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let ids: Vec<_> =
        value["incidents"].as_array().expect("a list").iter().map(|i| i["id"].clone()).collect();
    assert_eq!(ids, ["i2", "i1"]);
    let first = &value["incidents"][0];
    assert_eq!(first["onset_by_asn"]["23674"], "2024-01-20T13:40:33Z");
    assert_eq!((first["end"].clone(), first["transit"].clone()), (Value::Null, Value::Null));
    assert_eq!(first["agents"], serde_json::json!([]));
}

#[tokio::test]
async fn a_pipe_gets_no_colours_and_nothing_that_steers_a_terminal() {
    let api = serve().await;
    for arguments in [["incidents"].as_slice(), &["status", "pk"]] {
        let output = run(&api, arguments).await;
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.contains("X is blocked on Nayatel"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}

#[tokio::test]
async fn a_broken_watch_is_taken_up_again_and_repeats_nothing() {
    let api = serve().await;
    let mut child = faultline(&api, &["watch", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut revisions = Vec::new();
    for _ in 0..2 {
        let line = lines.next_line().await.expect("readable").expect("one more line");
        let incident: Value = serde_json::from_str(&line).expect("one JSON object a line");
        revisions.push(incident["revision"].clone());
    }
    assert_eq!(revisions, [1, 2]);
}

#[tokio::test]
async fn an_unreachable_coordinator_and_a_bad_argument_have_their_own_exit_codes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let nobody = format!("http://{}", listener.local_addr().expect("address"));
    drop(listener);
    let output = run(&nobody, &["status", "PK"]).await;
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint:"), "{output:?}");
    assert_eq!(run(&nobody, &["status", "Pakistan"]).await.status.code(), Some(65));
    assert_eq!(run("ftp://x", &["incidents"]).await.status.code(), Some(65));
    assert_eq!(run(&nobody, &["--home", "no/such/home", "agents"]).await.status.code(), Some(78));
    assert_eq!(run(&nobody, &["nonsense"]).await.status.code(), Some(2));
}

const TOPOLOGY: &str = r#"{"country": "PK", "asns": [{"asn": 23674, "name": "Nayatel", "user_share": 0.1}],
    "targets": [{"target": "https://x.com/", "category": "GRP"}]}"#;

fn measurement(number: usize, minute: usize) -> String {
    let failure = if minute < 30 { "ok" } else { "tls_reset" };
    let outcome = if minute < 30 { "ok" } else { "anomaly" };
    format!(
        r#"{{"id":"m{number}","agent_id":"a{}","asn":23674,"country":"PK","target":"https://x.com/","category":"GRP","started_at":"2024-01-20T13:{minute:02}:00Z","received_at":"2024-01-20T13:{minute:02}:01Z","check":"tls","outcome":"{outcome}","failure":"{failure}","control_ok":true}}"#,
        number % 5
    )
}

async fn replay(dir: &Path, out: &str) -> (Vec<u8>, String) {
    let path = dir.join(out);
    let output =
        run("http://127.0.0.1:1", &["replay", &dir.to_string_lossy(), "--out", &path.to_string_lossy()])
            .await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    (std::fs::read(path).expect("written"), said)
}

#[tokio::test]
async fn a_replay_is_the_same_to_the_byte_and_names_the_lines_it_skips() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut lines: Vec<String> = (0..60).map(|number| measurement(number, number)).collect();
    lines.insert(1, "not json".into());
    std::fs::write(dir.path().join("measurements.jsonl"), lines.join("\n")).expect("written");
    std::fs::write(dir.path().join("topology.json"), TOPOLOGY).expect("written");
    let (first, said) = replay(dir.path(), "first.json").await;
    let (second, _) = replay(dir.path(), "second.json").await;
    assert_eq!(first, second);
    assert!(said.contains("measurements.jsonl:2: skipped: "), "{said}");
    assert!(said.contains("60 measurements") && said.contains("1 bad line skipped"), "{said}");
    let value: Value = serde_json::from_slice(&first).expect("JSON");
    assert!(value["incidents"].is_array());
}

#[tokio::test]
async fn an_incident_is_found_by_the_beginning_of_its_id_and_odd_answers_are_no_panic() {
    let api = serve().await;
    let output = run(&api, &["compare", "AS23674", "--incident", "i1", "--json"]).await;
    assert_eq!(output.status.code(), Some(65), "two characters are no id: {output:?}");
    let output = run(&api, &["explain", "nothing-like-it"]).await;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(65) && errors.contains("there is no incident"), "{errors}");
    let whole = "0123456789abcdef0123456789abcdef";
    let output = run(&api, &["compare", "23674", "--incident", whole, "--json"]).await;
    let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["asn"], 23674);
    let output = run(&api, &["explain", whole]).await;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && errors.contains("cannot be read"), "{errors}");
}

#[tokio::test]
async fn incidents_are_written_in_the_columns_of_another_register() {
    let output = run(&serve().await, &["export", "--format", "stop", "--country", "PK"]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("start_date,country,geo_scope"), "{output:?}");
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].starts_with("2024-01-20,i2,"), "{text}");
}
