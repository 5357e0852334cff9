//! A coordinator that does what a test tells it: real TLS, real gRPC, no judgement.

use super::eventually;
use faultline_agent::agent::{Agent, Setup, start};
use faultline_agent::checks::Checks;
use faultline_agent::scrub::Own;
use faultline_agent::state::{AgentRecord, BudgetChoice, Home};
use faultline_agent::uplink::{Enrolment, enrol};
use faultline_model::{
    Category, CheckKind, Limits, ResolverSpec, Role, ServiceId, SignedList, Target, TargetSpec, TaskList,
};
use faultline_proto::agent as wire;
use faultline_proto::agent::agent_service_server::{AgentService, AgentServiceServer};
use faultline_proto::agent::enrolment_service_server::{EnrolmentService, EnrolmentServiceServer};
use faultline_proto::agent::watch_schedule_request::Message as FromAgent;
use faultline_proto::agent::watch_schedule_response::Message as ToAgent;
use faultline_proto::convert::list_to_wire;
use faultline_runtime::tls::{CertificateAuthority, PeerIdentity, PeerRole, server_config};
use faultline_runtime::{Invite, OperatorKey, OperatorRoot, Supervisor, now};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

/// Where this coordinator says that it sees every agent.
pub const SEEN_ADDRESS: &str = "39.32.7.209";

type Orders = mpsc::Sender<Result<wire::WatchScheduleResponse, Status>>;

/// What the coordinator has seen and how it misbehaves.
#[derive(Default)]
pub struct Seen {
    pub stored: Mutex<BTreeMap<String, wire::Measurement>>,
    pub arrivals: AtomicUsize,
    pub hellos: Mutex<Vec<wire::Hello>>,
    pub beats: Mutex<Vec<wire::Beat>>,
    pub enrolments: Mutex<Vec<wire::EnrolRequest>>,
    /// So many uploads are stored and then not answered.
    pub answers_to_lose: AtomicUsize,
    /// Ids that are refused.
    pub refuse_all: std::sync::atomic::AtomicBool,
    streams: Mutex<Vec<Orders>>,
}

impl Seen {
    pub fn count(&self) -> usize {
        self.stored.lock().expect("no panic").len()
    }

    pub fn measurements(&self) -> Vec<wire::Measurement> {
        self.stored.lock().expect("no panic").values().cloned().collect()
    }
}

/// The coordinator.
pub struct Coordinator {
    pub seen: Arc<Seen>,
    pub operator: OperatorKey,
    authority: Arc<CertificateAuthority>,
    pub address: String,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Coordinator {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let authority = Arc::new(CertificateAuthority::open(dir.path()).expect("an authority"));
        let mut coordinator = Self {
            seen: Arc::default(),
            operator: OperatorKey::generate().expect("a key"),
            authority,
            address: "127.0.0.1:0".into(),
            stop: CancellationToken::new(),
            server: None,
            _dir: dir,
        };
        coordinator.resume().await;
        coordinator
    }

    /// Listens again at the same address.
    pub async fn resume(&mut self) {
        // While nobody listened, an agent that knocked can have been given this very port for its own end.
        let patience = std::time::Instant::now() + Duration::from_secs(20);
        let listener = loop {
            match TcpListener::bind(&self.address).await {
                Ok(listener) => break listener,
                Err(error) => assert!(std::time::Instant::now() < patience, "the port stays taken: {error}"),
            }
            tokio::task::yield_now().await;
        };
        self.address = listener.local_addr().expect("an address").to_string();
        let identity = self.authority.server_identity(&["127.0.0.1".to_owned()]).expect("an identity");
        let config = server_config(self.authority.certificate(), &identity).expect("a configuration");
        let (sender, receiver) = mpsc::channel(16);
        self.stop = CancellationToken::new();
        let stop = self.stop.clone();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, sender, stop) = (acceptor.clone(), sender.clone(), stop.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = sender.send(Ok::<_, std::io::Error>(Peer { stream, stop })).await;
                    }
                });
            }
        }));
        let service = Service { seen: Arc::clone(&self.seen), authority: Arc::clone(&self.authority) };
        let router = Server::builder()
            .add_service(AgentServiceServer::new(service.clone()))
            .add_service(EnrolmentServiceServer::new(service));
        let stop = self.stop.clone();
        self.server = Some(tokio::spawn(async move {
            let serve = router.serve_with_incoming(ReceiverStream::new(receiver));
            let _ = stop.run_until_cancelled(serve).await;
        }));
    }

    /// Cuts every connection and listens no more, as a killed process does.
    pub async fn kill(&mut self) {
        self.stop.cancel();
        self.seen.streams.lock().expect("no panic").clear();
        if let Some(server) = self.server.take() {
            let _ = server.await;
        }
    }

    pub fn invite(&self, control: bool) -> Invite {
        Invite::new(
            vec![self.address.clone()],
            self.authority.certificate(),
            "token".into(),
            ("PK".parse().expect("a country"), control),
            OperatorRoot::single(&self.operator),
        )
    }

    /// Makes a list of targets.
    pub fn list(&self, version: u64, urls: &[&str], resolvers: Vec<ResolverSpec>) -> TaskList {
        let spec = |url: &&str| TargetSpec {
            target: Target::new(url).expect("a target"),
            service: ServiceId::new("test").expect("a service"),
            service_name: "Test".into(),
            role: Role::Site,
            category: Category::new("GRP").expect("a category"),
            checks: vec![CheckKind::Web],
            domestic: None,
        };
        TaskList {
            name: "core".into(),
            version,
            issued_at: now(),
            expires_at: now() + Duration::from_secs(86_400),
            limits: Limits::default(),
            resolvers,
            targets: urls.iter().map(spec).collect(),
            landmarks: vec![],
            throughput_control: None,
            risk: BTreeMap::new(),
            line: faultline_model::LineProbes::default(),
        }
    }

    /// Signs a list.
    pub fn sign(&self, list: &TaskList) -> SignedList {
        signed_by(&self.operator, list)
    }

    pub async fn send_list(&self, list: SignedList) {
        self.send(ToAgent::List(list_to_wire(list))).await;
    }

    pub async fn send_schedule(&self, generation: u64, entries: Vec<wire::ScheduleEntry>) {
        self.send(ToAgent::Schedule(wire::Schedule { generation, list_version: 1, entries })).await;
    }

    pub async fn confirm(&self, token: &str, target: &str) {
        self.send(ToAgent::Confirmation(wire::Confirmation {
            token: token.into(),
            check: "web".into(),
            target: target.into(),
            depth: wire::Depth::Light.into(),
            valid_for_ms: 60_000,
        }))
        .await;
    }

    /// Sends to the newest stream, waiting for one.
    pub async fn send(&self, message: ToAgent) {
        eventually("an open stream", || async {
            self.seen.streams.lock().expect("no panic").last().is_some_and(|stream| !stream.is_closed())
        })
        .await;
        let stream = self.seen.streams.lock().expect("no panic").last().cloned().expect("a stream");
        let _ = stream.send(Ok(wire::WatchScheduleResponse { message: Some(message) })).await;
    }
}

pub fn signed_by(key: &OperatorKey, list: &TaskList) -> SignedList {
    let document = list.to_bytes();
    SignedList { signatures: vec![key.sign(&document)], document }
}

/// An entry that is due within seconds of now.
pub fn entry_due_soon(target: &str, period_ms: u64) -> wire::ScheduleEntry {
    let soon = u64::try_from(now().unix_ms()).expect("a time") + 200;
    let depth = wire::Depth::Light.into();
    wire::ScheduleEntry {
        check: "web".into(),
        target: target.into(),
        period_ms,
        phase_ms: soon % 60_000,
        depth,
    }
}

/// An agent that has joined a coordinator.
pub struct Joined {
    pub home: Home,
    /// What the agent knows of its own addresses.
    pub own: Arc<Own>,
    _dir: tempfile::TempDir,
}

impl Joined {
    pub async fn to(coordinator: &Coordinator) -> Self {
        Self::standing_as(coordinator, false).await
    }

    /// Joins as a volunteer or, with a control's budget, as an operator's own machine.
    pub async fn standing_as(coordinator: &Coordinator, control: bool) -> Self {
        let invite = coordinator.invite(control);
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::create(&dir.path().join("home")).expect("a home");
        let enrolment = Enrolment {
            check_kinds: vec!["web".into()],
            budget: wire::BudgetClass::Standard,
            consent_version: "test".into(),
        };
        let enrolled = enrol(&invite, enrolment).await.expect("enrolled");
        let record = AgentRecord {
            agent_id: enrolled.agent_id,
            ca: data_encoding::BASE64.encode(&invite.ca()),
            addresses: invite.addresses,
            operators: invite.operators,
            country: invite.country,
            control,
            budget: BudgetChoice::Standard,
            consent_version: "test".into(),
            joined_at: now(),
        };
        home.save_agent(&record, &enrolled.identity).expect("saved");
        Self { home, own: Arc::default(), _dir: dir }
    }

    /// Runs the agent in this process.
    pub fn run(&self, checks: Checks) -> Running {
        self.run_with_journal(checks, None)
    }

    pub fn run_with_journal(&self, checks: Checks, journal: Option<std::path::PathBuf>) -> Running {
        self.run_as(checks, journal, |agent| agent)
    }

    /// Runs the agent with an eye on where this machine's traffic leaves, as the program does.
    pub fn run_watching(&self, checks: Checks) -> Running {
        self.run_as(checks, None, Agent::watching_line)
    }

    fn run_as(
        &self,
        checks: Checks,
        journal: Option<std::path::PathBuf>,
        make: impl FnOnce(Agent) -> Agent,
    ) -> Running {
        let (record, identity) = self.home.agent().expect("a record");
        let agent = Agent::open(self.home.clone(), record, &checks).expect("opened");
        let agent = Arc::new(make(agent.knowing(Arc::clone(&self.own))));
        let mut supervisor = Supervisor::new();
        let stop = supervisor.stop_token();
        start(&agent, checks, Setup { identity, journal }, &mut supervisor).expect("started");
        let ended = tokio::spawn(supervisor.run(Duration::from_secs(5)));
        Running { agent, stop, ended }
    }
}

/// A running agent.
pub struct Running {
    pub agent: Arc<Agent>,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), String>>,
}

impl Running {
    pub async fn stop(self) {
        self.stop.cancel();
        self.ended.await.expect("no panic").expect("stopped in order");
    }

    /// How often something was refused for a reason.
    pub async fn refused(&self, reason: &str) -> u64 {
        self.agent.report().await.since_start.refused.get(reason).copied().unwrap_or(0)
    }
}

#[derive(Clone)]
struct Service {
    seen: Arc<Seen>,
    authority: Arc<CertificateAuthority>,
}

#[tonic::async_trait]
impl EnrolmentService for Service {
    async fn enrol(
        &self,
        request: Request<wire::EnrolRequest>,
    ) -> Result<Response<wire::EnrolResponse>, Status> {
        let request = request.into_inner();
        if request.invite_token != "token" {
            return Err(Status::permission_denied("unknown invite"));
        }
        let peer = PeerIdentity { role: PeerRole::Agent, name: "agent-1".into() };
        let certificate = self.authority.sign_request(&request.certificate_request, &peer);
        let certificate = certificate.map_err(|e| Status::invalid_argument(e.to_string()))?.to_vec();
        self.seen.enrolments.lock().expect("no panic").push(request);
        Ok(Response::new(wire::EnrolResponse { agent_id: "agent-1".into(), certificate }))
    }
}

#[tonic::async_trait]
impl AgentService for Service {
    type WatchScheduleStream = ReceiverStream<Result<wire::WatchScheduleResponse, Status>>;

    async fn watch_schedule(
        &self,
        request: Request<Streaming<wire::WatchScheduleRequest>>,
    ) -> Result<Response<Self::WatchScheduleStream>, Status> {
        let mut inbound = request.into_inner();
        let (sender, receiver) = mpsc::channel(1000);
        let welcome = wire::Welcome {
            beat_interval_s: 2,
            clock_ms: now().unix_ms(),
            country: "PK".into(),
            seen_address: SEEN_ADDRESS.into(),
            seen_asn: 23674,
        };
        let welcome = wire::WatchScheduleResponse { message: Some(ToAgent::Welcome(welcome)) };
        sender.try_send(Ok(welcome)).expect("room");
        let seen = Arc::clone(&self.seen);
        tokio::spawn(async move {
            while let Ok(Some(message)) = inbound.message().await {
                match message.message {
                    Some(FromAgent::Hello(hello)) => {
                        seen.hellos.lock().expect("no panic").push(hello);
                        seen.streams.lock().expect("no panic").push(sender.clone());
                    }
                    Some(FromAgent::Beat(beat)) => seen.beats.lock().expect("no panic").push(beat),
                    None => {}
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn upload(
        &self,
        request: Request<wire::UploadRequest>,
    ) -> Result<Response<wire::UploadResponse>, Status> {
        let refuse = self.seen.refuse_all.load(Ordering::SeqCst);
        let mut receipts = Vec::new();
        for measurement in request.into_inner().measurements {
            self.seen.arrivals.fetch_add(1, Ordering::SeqCst);
            let id = measurement.id.clone();
            let mut stored = self.seen.stored.lock().expect("no panic");
            let outcome = if refuse {
                wire::ReceiptOutcome::Refused
            } else if stored.insert(id.clone(), measurement).is_none() {
                wire::ReceiptOutcome::Stored
            } else {
                wire::ReceiptOutcome::Duplicate
            };
            receipts.push(wire::Receipt { id, outcome: outcome.into(), reason: String::new() });
        }
        let lose = |left: usize| left.checked_sub(1);
        if self.seen.answers_to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lose).is_ok() {
            return Err(Status::unavailable("the answer is lost"));
        }
        Ok(Response::new(wire::UploadResponse { receipts }))
    }
}

/// A connection that is cut when the coordinator is killed.
struct Peer {
    stream: TlsStream<TcpStream>,
    stop: CancellationToken,
}

impl Connected for Peer {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.stop.is_cancelled() {
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
