//! A real coordinator process and real clients over mutual TLS.

#![allow(dead_code, reason = "each test file uses its own part of the kit")]

use anyhow::{Context, bail};
use faultline_model::{
    Category, CheckKind, DnsAnswer, Engine, Fact, Failure, HttpFact, Layer, Limits, Measurement,
    MeasurementId, Observation, Role, ServiceId, SignedList, Target, TargetSpec, TaskList, TaskToken,
    Timestamp, Why,
};
use faultline_proto::agent as wire;
use faultline_proto::agent::agent_service_client::AgentServiceClient;
use faultline_proto::agent::enrolment_service_client::EnrolmentServiceClient;
use faultline_proto::agent::watch_schedule_request::Message as FromAgent;
use faultline_proto::agent::watch_schedule_response::Message as ToAgent;
use faultline_proto::convert::{list_to_wire, measurement_to_wire};
use faultline_proto::operator as operator_wire;
use faultline_proto::operator::operator_service_client::OperatorServiceClient;
use faultline_runtime::tls::{Identity, client_config};
use faultline_runtime::{OperatorKey, OperatorRoot, now, random_bytes};
use hyper_util::rt::TokioIo;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// No state is waited for longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running coordinator.
pub struct Server {
    pub child: Child,
    pub listen: SocketAddr,
    pub http: SocketAddr,
    pub data: PathBuf,
    log: tokio::task::JoinHandle<String>,
}

impl Server {
    /// Starts a coordinator on free ports.
    pub async fn start(data: &Path, more: &[&str]) -> anyhow::Result<Self> {
        Self::start_at(data, "127.0.0.1:0", more).await
    }

    /// Starts a coordinator that listens at an address.
    pub async fn start_at(data: &Path, listen: &str, more: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_faultline-coordinator"))
            .args(["serve", "--listen", listen, "--http", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .env("FAULTLINE_LOG", "debug,h2=info,hyper=info")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut errors = child.stderr.take().context("stderr")?;
        let log = tokio::spawn(async move {
            let mut text = Vec::new();
            let _ = errors.read_to_end(&mut text).await;
            if let Some(path) = std::env::var_os("FAULTLINE_TEST_LOG") {
                let _ = std::fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .and_then(|mut f| std::io::Write::write_all(&mut f, &text));
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await??;
        let Some(line) = line else { bail!("no ready line: {}", log.await?) };
        let ready: Value = serde_json::from_str(&line)?;
        let address = |key: &str| ready[key].as_str().context("an address")?.parse().context("an address");
        Ok(Self { child, listen: address("listen")?, http: address("http")?, data: data.to_owned(), log })
    }

    /// Sends a signal to this very process.
    pub async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let id = self.child.id().context("running")?.to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().await?;
        anyhow::ensure!(status.success(), "kill -s {name} {id}");
        Ok(())
    }

    /// Stops with SIGTERM and returns the exit code and the log.
    pub async fn stop(mut self) -> anyhow::Result<(Option<i32>, String)> {
        self.signal("TERM").await?;
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        Ok((status.code(), self.log.await?))
    }

    /// Ends with SIGKILL and returns the log.
    pub async fn kill(mut self) -> anyhow::Result<String> {
        self.child.kill().await?;
        Ok(self.log.await?)
    }

    fn credential(&self) -> anyhow::Result<(CertificateDer<'static>, Identity)> {
        let text = std::fs::read(self.data.join("operator.json"))?;
        let value: Value = serde_json::from_slice(&text)?;
        let ca = value["ca_pem"].as_str().context("ca_pem")?;
        let ca =
            CertificateDer::from_pem_slice(ca.as_bytes()).map_err(|e| anyhow::anyhow!("ca_pem: {e:?}"))?;
        Ok((ca, serde_json::from_value(value["identity"].clone())?))
    }

    /// Returns a channel under an identity, or none, from a source address.
    pub async fn channel(&self, identity: Option<&Identity>, from: &str) -> anyhow::Result<Channel> {
        let (ca, _) = self.credential()?;
        let config = Arc::new(client_config(&ca, identity)?);
        let (target, from) = (self.listen, from.parse::<SocketAddr>()?);
        let connect = move |_| {
            let config = Arc::clone(&config);
            async move {
                let socket = TcpSocket::new_v4()?;
                socket.bind(from)?;
                let stream: TcpStream = socket.connect(target).await?;
                stream.set_nodelay(true)?;
                let name =
                    rustls_pki_types::ServerName::try_from("127.0.0.1").map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(TokioIo::new(TlsConnector::from(config).connect(name, stream).await?))
            }
        };
        let endpoint = Endpoint::from_static("http://coordinator").timeout(PATIENCE);
        Ok(endpoint.connect_with_connector(tower::service_fn(connect)).await?)
    }

    pub async fn operator(&self) -> anyhow::Result<Operator> {
        let (_, identity) = self.credential()?;
        let channel = self.channel(Some(&identity), "127.0.0.1:0").await?;
        Ok(Operator { client: OperatorServiceClient::new(channel), cohort: String::new() })
    }

    /// Invites and enrols one agent.
    pub async fn enrol(&self, wish: Wish<'_>) -> anyhow::Result<Agent> {
        let token = self.operator().await?.invite_in(wish.country, wish.asn, wish.control, 0).await?;
        let channel = self.channel(None, wish.from).await?;
        let (key, request) = enrol_request(&token, wish.control)?;
        let response = EnrolmentServiceClient::new(channel).enrol(request).await?.into_inner();
        let identity = Identity::new(key, &CertificateDer::from(response.certificate))?;
        let channel = self.channel(Some(&identity), wish.from).await?;
        Ok(Agent { id: response.agent_id, client: AgentServiceClient::new(channel), identity })
    }

    /// Gets a path over plain HTTP and returns status, headers and body.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, String, String)> {
        self.get_with(path, "").await
    }

    /// Reads a page with more header lines, each ended by CR and LF.
    pub async fn get_with(&self, path: &str, more: &str) -> anyhow::Result<(u16, String, String)> {
        use tokio::io::AsyncWriteExt;
        let mut stream = TcpStream::connect(self.http).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await??;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").context("a head and a body")?;
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        Ok((status, head.to_lowercase(), body.to_owned()))
    }

    pub async fn json(&self, path: &str) -> anyhow::Result<Value> {
        let (status, _, body) = self.get(path).await?;
        anyhow::ensure!(status == 200, "{path}: {status} {body}");
        Ok(serde_json::from_str(&body)?)
    }
}

/// Who shall be enrolled.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    pub asn: u32,
    pub control: bool,
    pub country: &'a str,
    pub from: &'a str,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self { asn: 23674, control: false, country: "PK", from: "127.0.0.1:0" }
    }
}

/// Makes a device key and an enrolment request.
pub fn enrol_request(token: &str, control: bool) -> anyhow::Result<(String, wire::EnrolRequest)> {
    let (key, certificate_request) = Identity::request()?;
    let request = wire::EnrolRequest {
        invite_token: token.to_owned(),
        certificate_request,
        agent_version: "0.1.0".into(),
        check_kinds: vec!["web".into()],
        control,
        budget: wire::BudgetClass::Standard.into(),
        consent_version: if control { String::new() } else { "1".into() },
    };
    Ok((key, request))
}

/// The operators' side.
pub struct Operator {
    pub client: OperatorServiceClient<Channel>,
    /// The cohort of whoever is invited; empty: strangers, each of whom has a voice.
    pub cohort: String,
}

impl Operator {
    pub async fn invite(&mut self, asn: u32, control: bool, valid_for_s: u32) -> anyhow::Result<String> {
        self.invite_in("PK", asn, control, valid_for_s).await
    }

    pub async fn invite_in(
        &mut self,
        country: &str,
        asn: u32,
        control: bool,
        valid_for_s: u32,
    ) -> anyhow::Result<String> {
        let request = operator_wire::CreateInvitesRequest {
            count: 1,
            country: if control { "DE".into() } else { country.into() },
            asn,
            control,
            cohort: self.cohort.clone(),
            valid_for_s,
        };
        let tokens = self.client.create_invites(request).await?.into_inner().tokens;
        tokens.into_iter().next().context("a token")
    }

    pub async fn push(
        &mut self,
        key: &OperatorKey,
        list: &TaskList,
        accept: bool,
    ) -> Result<u64, tonic::Status> {
        let document = list.to_bytes();
        let signed = SignedList { signatures: vec![key.sign(&document)], document };
        let request = operator_wire::PushTaskListRequest {
            list: Some(list_to_wire(signed)),
            operator_root: OperatorRoot::single(key).to_json(),
            accept_over_budget: accept,
        };
        Ok(self.client.push_task_list(request).await?.into_inner().version)
    }

    pub async fn agents(&mut self) -> anyhow::Result<Vec<operator_wire::Agent>> {
        Ok(self.client.list_agents(operator_wire::ListAgentsRequest {}).await?.into_inner().agents)
    }
}

/// An enrolled agent.
pub struct Agent {
    pub id: String,
    pub client: AgentServiceClient<Channel>,
    pub identity: Identity,
}

impl Agent {
    pub async fn upload(
        &mut self,
        measurements: &[Measurement],
    ) -> Result<Vec<wire::Receipt>, tonic::Status> {
        let measurements = measurements.iter().map(measurement_to_wire).collect();
        Ok(self.client.upload(wire::UploadRequest { measurements }).await?.into_inner().receipts)
    }

    /// Opens the stream.
    pub async fn watch(&mut self, list_version: u64) -> anyhow::Result<Watch> {
        let (beats, requests) = mpsc::channel(16);
        let hello = wire::Hello {
            list_version,
            generation: 0,
            agent_version: "0.1.0".into(),
            check_kinds: vec!["web".into()],
            clock_ms: now().unix_ms(),
            budget: wire::BudgetClass::Standard.into(),
            paused: false,
            unmeasured_categories: vec![],
        };
        beats.send(wire::WatchScheduleRequest { message: Some(FromAgent::Hello(hello)) }).await?;
        let messages = self.client.watch_schedule(ReceiverStream::new(requests)).await?.into_inner();
        Ok(Watch { beats, messages })
    }
}

/// An agent's open stream.
pub struct Watch {
    pub beats: mpsc::Sender<wire::WatchScheduleRequest>,
    pub messages: tonic::Streaming<wire::WatchScheduleResponse>,
}

impl Watch {
    pub async fn next(&mut self) -> anyhow::Result<ToAgent> {
        let message = tokio::time::timeout(PATIENCE, self.messages.message()).await??;
        message.and_then(|message| message.message).context("the stream ended")
    }

    /// Reads until a message is as wanted.
    pub async fn until<T>(&mut self, wanted: impl Fn(ToAgent) -> Option<T>) -> anyhow::Result<T> {
        loop {
            if let Some(found) = wanted(self.next().await?) {
                return Ok(found);
            }
        }
    }

    pub async fn schedule(&mut self) -> anyhow::Result<wire::Schedule> {
        self.until(|message| match message {
            ToAgent::Schedule(schedule) => Some(schedule),
            _ => None,
        })
        .await
    }

    pub async fn beat(&self, paused: bool) -> anyhow::Result<()> {
        let beat = wire::Beat { clock_ms: now().unix_ms(), paused, spooled: 0 };
        Ok(self.beats.send(wire::WatchScheduleRequest { message: Some(FromAgent::Beat(beat)) }).await?)
    }
}

/// Returns a list of four social targets, a messenger and a canary.
pub fn list(version: u64) -> TaskList {
    let spec = |service: &str, category: &str, url: &str| TargetSpec {
        target: Target::new(url).expect("a good URL"),
        service: ServiceId::new(service).expect("a good id"),
        service_name: service.to_uppercase(),
        role: Role::Site,
        category: Category::new(category).expect("a good code"),
        checks: vec![CheckKind::Web],
        domestic: None,
    };
    TaskList {
        name: "core".into(),
        version,
        issued_at: now(),
        expires_at: now() + Duration::from_secs(86_400),
        limits: Limits::default(),
        resolvers: vec![],
        landmarks: vec![],
        targets: vec![
            spec("facebook", "GRP", "https://www.facebook.com/"),
            spec("x", "GRP", "https://x.com/"),
            spec("youtube", "MMED", "https://www.youtube.com/"),
            spec("whatsapp", "COMT", "https://web.whatsapp.com/"),
            spec("wikipedia", "CULTR", "https://www.wikipedia.org/"),
            spec("canary", "CTRL", "https://example.com/"),
        ],
        throughput_control: None,
        risk: std::collections::BTreeMap::new(),
        line: faultline_model::LineProbes::default(),
    }
}

/// Returns a measurement that went through, or was reset in the TLS handshake.
pub fn measurement(target: &str, started_at: Timestamp, is_reset: bool) -> Measurement {
    let target = Target::new(target).expect("a good URL");
    let host = target.host().to_owned();
    let step = |layer, at, fact| Observation {
        layer,
        engine: Engine::System,
        hop: 0,
        peer: (layer != Layer::Dns).then(|| "93.184.216.34:443".parse().expect("an address")),
        at: Duration::from_millis(at),
        took: Duration::from_millis(20),
        failure: None,
        fact,
    };
    let addresses = vec!["93.184.216.34".parse().expect("an address")];
    let tls = faultline_model::TlsFact { server_name: host.clone(), ..Default::default() };
    let mut observations = vec![
        step(Layer::Dns, 0, Fact::Dns(DnsAnswer { hostname: host, addresses, ..Default::default() })),
        step(Layer::Tcp, 20, Fact::None),
        step(Layer::Tls, 40, Fact::Tls(tls)),
    ];
    if is_reset {
        observations[2].failure = Some(Failure::ConnectionReset);
        observations[2].fact = Fact::None;
    } else {
        let page = HttpFact { url: target.to_string(), status: 200, body_bytes: 900, ..Default::default() };
        observations.push(step(Layer::Http, 60, Fact::Http(page)));
    }
    Measurement {
        id: MeasurementId::from_bytes(random_bytes()),
        check: CheckKind::Web,
        target,
        depth: faultline_model::Depth::Light,
        why: Why::Routine,
        token: None,
        list_version: 1,
        started_at,
        duration: Duration::from_millis(80),
        parent: None,
        observations,
    }
}

/// Returns the answer to a confirmation.
pub fn answer(confirmation: &wire::Confirmation, is_reset: bool) -> Measurement {
    let mut answer = measurement(&confirmation.target, now(), is_reset);
    answer.why = Why::Confirmation;
    answer.token = TaskToken::new(confirmation.token.clone()).ok();
    answer
}

/// Waits until a question is answered with yes.
pub async fn wait_until<F: Future<Output = anyhow::Result<bool>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> anyhow::Result<()> {
    let asking = async {
        while !ask().await? {
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, asking).await.with_context(|| format!("waiting until {what}"))?
}
