//! The agent's own program: what it holds in memory idle, and when two hundred targets are due at once.
//!
//! It runs in a network of its own, as a machine behind a router does, with a home on disk as `join` and a coordinator leave
//! it; the coordinator itself is away. While the volunteer's pause holds, all targets come due; then it is lifted.

use super::namespace::run;
use super::proc::resident_mib;
use super::program;
use super::servers::{self, Place, site};
use anyhow::{Context, Result, ensure};
use faultline_agent::state::{AgentRecord, BudgetChoice, Home};
use faultline_model::SignedList;
use faultline_model::{
    Category, CheckKind, Limits, LineProbes, Role, ServiceId, Target, TargetSpec, TaskList,
};
use faultline_proto::agent as wire;
use faultline_runtime::tls::{CertificateAuthority, Identity, PeerIdentity, PeerRole};
use faultline_runtime::{OperatorKey, OperatorRoot, now};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The sites' and the resolver's addresses, and the agent's own behind its router.
const SITES: &str = "45.60.1.1";
const ROUTER: &str = "192.168.77.1";
const OWN: &str = "192.168.77.2/24";
/// Due every minute, within seconds of a moment.
const PERIOD_MS: u64 = 60_000;
const DUE_AFTER: Duration = Duration::from_secs(12);
/// Longer than runs are moved about, shorter than until they count as missed.
const PAUSE_AFTER_DUE: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(60);

/// What the program takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// Resident memory before anything is measured, MiB.
    pub(super) idle_mib: f64,
    /// The most that was resident while all targets were measured at once, MiB.
    pub(super) burst_mib: f64,
    /// The size of its file, MiB.
    pub(super) binary_mib: f64,
}

/// Measures the agent's program, if it is built: beside this one's folder, or where `FAULTLINE_AGENT` says.
pub(super) fn measure(folder: &Path, targets: usize) -> Result<Option<Taken>> {
    let beside = program()?.parent().and_then(Path::parent).map(|folder| folder.join("faultline-agent"));
    let named = std::env::var_os("FAULTLINE_AGENT").map(PathBuf::from).or(beside);
    let Some(binary) = named.filter(|path| path.exists()) else {
        eprintln!("the agent's program is not built: cargo build --release -p faultline-agent");
        return Ok(None);
    };
    let folder = folder.join("agent");
    fs::create_dir(&folder).context("making a folder")?;
    run(Command::new("ip").args(["link", "add", "line0", "type", "veth", "peer", "name", "line1"]))?;
    run(Command::new("ip").args(["addr", "add", &format!("{ROUTER}/24"), "dev", "line0"]))?;
    run(Command::new("ip").args(["addr", "add", SITES, "dev", "lo"]))?;
    run(Command::new("ip").args(["link", "set", "line0", "up"]))?;
    let place = Place { sites: SITES.parse()?, resolver: ROUTER.parse()? };
    let servers = servers::start_at(&folder, place)?;
    let home = furnish(&folder.join("home"), targets)?;
    home.set_paused(true)?;
    let agent = Agent::start(&binary, &folder, &home)?;
    agent.wait("its first report", |status| status["held"]["entries"] == targets)?;
    sleep(DUE_AFTER + PAUSE_AFTER_DUE);
    let idle_mib = resident_mib(agent.0.id(), "VmRSS")?;
    home.set_paused(false)?;
    agent.wait("all measurements", |status| status["spool"]["waiting"].as_u64() >= Some(targets as u64))?;
    let burst_mib = resident_mib(agent.0.id(), "VmHWM")?;
    drop(servers);
    #[expect(clippy::cast_precision_loss, reason = "a program is far below 2^52 bytes")]
    let binary_mib =
        fs::metadata(&binary).context("looking at the agent's program")?.len() as f64 / 1_048_576.0;
    Ok(Some(Taken { idle_mib, burst_mib, binary_mib }))
}

/// The running program; it ends with the value.
struct Agent(Child, Home);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Agent {
    fn start(binary: &Path, folder: &Path, home: &Home) -> Result<Self> {
        let resolvers = folder.join("resolv.conf");
        fs::write(&resolvers, format!("nameserver {ROUTER}\n")).context("naming the resolver")?;
        let script = format!(
            "mount --bind {resolvers} /etc/resolv.conf\n\
             until ip addr add {OWN} dev line1 2>/dev/null; do sleep 0.05; done\n\
             ip link set lo up && ip link set line1 up && ip route add default via {ROUTER}\n\
             exec {binary} --home {home} run --roots {roots}",
            resolvers = resolvers.display(),
            binary = binary.display(),
            home = home.dir().display(),
            roots = folder.join("roots.pem").display(),
        );
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--", "sh", "-ec", &script]).stdout(Stdio::null());
        let agent = Self(command.spawn().context("starting the agent")?, home.clone());
        let begun = Instant::now();
        let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        while network(&agent.0.id().to_string()) == network("self") {
            ensure!(begun.elapsed() < PATIENCE, "the agent's network is not made");
            sleep(Duration::from_millis(20));
        }
        run(Command::new("ip").args(["link", "set", "line1", "netns", &agent.0.id().to_string()]))?;
        Ok(agent)
    }

    fn wait(&self, what: &str, is_so: impl Fn(&serde_json::Value) -> bool) -> Result<()> {
        let begun = Instant::now();
        let read = || fs::read(self.1.dir().join("status.json")).ok();
        while !read()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .is_some_and(|status| is_so(&status))
        {
            ensure!(begun.elapsed() < PATIENCE, "the agent never came to {what}");
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

/// Writes the home of a control that has joined and holds a list and a schedule.
fn furnish(dir: &Path, targets: usize) -> Result<Home> {
    let home = Home::create(dir)?;
    let authority_dir = dir.with_file_name("authority");
    fs::create_dir(&authority_dir)?;
    let authority = CertificateAuthority::open(&authority_dir)?;
    let (key, request) = Identity::request()?;
    let peer = PeerIdentity { role: PeerRole::Agent, name: "agent-1".into() };
    let identity = Identity::new(key, &authority.sign_request(&request, &peer)?)?;
    let operator = OperatorKey::generate()?;
    let record = AgentRecord {
        agent_id: "agent-1".into(),
        ca: data_encoding::BASE64.encode(authority.certificate()),
        addresses: vec![format!("{ROUTER}:7443")],
        operators: OperatorRoot::single(&operator),
        country: "PK".parse().map_err(anyhow::Error::msg)?,
        control: true,
        budget: BudgetChoice::Standard,
        consent_version: String::new(),
        joined_at: now(),
    };
    home.save_agent(&record, &identity)?;
    let document = list(targets)?.to_bytes();
    home.save_list(SignedList { signatures: vec![operator.sign(&document)], document })?;
    let due = u64::try_from(now().unix_ms())? + u64::try_from(DUE_AFTER.as_millis())?;
    let entries = (0..targets).map(|number| wire::ScheduleEntry {
        check: CheckKind::Web.as_str().to_owned(),
        target: format!("https://{}/", site(number)),
        period_ms: PERIOD_MS,
        phase_ms: due % PERIOD_MS,
        depth: wire::Depth::Light.into(),
    });
    home.save_schedule(&wire::Schedule { generation: 1, list_version: 1, entries: entries.collect() })?;
    Ok(home)
}

fn list(targets: usize) -> Result<TaskList> {
    let spec = |number: usize| -> Result<TargetSpec> {
        Ok(TargetSpec {
            target: Target::new(&format!("https://{}/", site(number)))?,
            service: ServiceId::new("bench").map_err(anyhow::Error::msg)?,
            service_name: "Bench".into(),
            role: Role::Site,
            category: Category::new("NEWS").map_err(anyhow::Error::msg)?,
            checks: vec![CheckKind::Web],
            domestic: None,
        })
    };
    Ok(TaskList {
        name: "core".into(),
        version: 1,
        issued_at: now(),
        expires_at: now() + Duration::from_secs(86_400),
        limits: Limits::default(),
        resolvers: vec![],
        targets: (0..targets).map(spec).collect::<Result<_>>()?,
        landmarks: vec![],
        throughput_control: None,
        risk: BTreeMap::new(),
        line: LineProbes::default(),
    })
}
