//! Our side: the agent's own `web` check in a process of its own, over the runtime that the agent uses.

use super::program;
use super::servers::{SILENT_SITE, site};
use anyhow::{Context, Result, ensure};
use faultline_agent::checks::{Check, Diagnosis, Job, WebCheck};
use faultline_agent::net::{AddressPolicy, Net, Roots};
use faultline_model::{
    CheckKind, Depth, Measurement, MeasurementId, Observation, ResolverSpec, Target, Timestamp, Why,
};
use faultline_proto::convert::measurement_to_wire;
use futures_util::future::join_all;
use prost::Message;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The argument that makes this program the agent's side.
pub(super) const ROLE: &str = "ours";
/// The request and the receipt around a measurement that is uploaded, as the agent's own budget counts them.
const AROUND_UPLOAD: usize = 300;

/// The process; it ends with the value.
pub(super) struct Ours {
    child: Child,
    answers: Lines<BufReader<ChildStdout>>,
}

/// What a run of checks brought.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// The longest check of a site that answers, in milliseconds.
    pub(super) slowest_ms: f64,
    /// What its upload would take, for the largest of them.
    pub(super) upload_bytes: usize,
}

impl Outcome {
    /// Returns the bytes of the upload as a number to add.
    pub(super) fn upload(self) -> f64 {
        f64::from(u32::try_from(self.upload_bytes).unwrap_or(u32::MAX))
    }

    fn and(self, other: Self) -> Self {
        Self {
            slowest_ms: self.slowest_ms.max(other.slowest_ms),
            upload_bytes: self.upload_bytes.max(other.upload_bytes),
        }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ours {
    /// Starts the process.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let mut command = Command::new(program()?);
        command.arg(ROLE).arg(folder.join("roots.pem")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting our side")?;
        let out = child.stdout.take().context("our side's output")?;
        let mut ours = Self { child, answers: BufReader::new(out).lines() };
        ours.answer()?;
        Ok(ours)
    }

    /// Returns its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs checks and waits for them.
    pub(super) fn run(&mut self, what: &str, times: usize) -> Result<Outcome> {
        let orders = self.child.stdin.as_mut().context("our side's input")?;
        writeln!(orders, "{what} {times}").context("asking our side")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Outcome> {
        let line = self.answers.next().context("our side ended")??;
        serde_json::from_str(&line).context("reading our side's answer")
    }
}

/// Takes orders from standard input until it ends.
pub(super) fn serve() -> Result<ExitCode> {
    let path = std::env::args().nth(2).context("our side needs the roots")?;
    let roots = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
    let policy = AddressPolicy::for_test_network(&[(443, 443), (53, 53)]);
    let resolver = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53);
    let net = Arc::new(Net::with_policy(&Roots::Only(roots), policy, vec![resolver])?);
    let check = Arc::new(WebCheck::new(net));
    let runtime = faultline_agent::threads::runtime()?;
    say(Outcome::default())?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let (what, times) = line.split_once(' ').context("an order is a word and a number")?;
        let times = times.parse()?;
        say(runtime.block_on(obey(&check, what, times))?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn say(outcome: Outcome) -> Result<()> {
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

async fn obey(check: &WebCheck, what: &str, times: usize) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    match what {
        "light" | "full" => {
            let depth = if what == "full" { Depth::Full } else { Depth::Light };
            for number in 0..times {
                outcome = outcome.and(one(check, &site(number), depth).await?);
            }
        }
        _ => {
            let silent = async {
                if what == "burst-with-silent" {
                    // It ends by its own deadline; the others are not to wait for it.
                    let _ = run(check, SILENT_SITE, Depth::Light).await;
                }
            };
            let sites: Vec<String> = (0..times).map(site).collect();
            let answering = join_all(sites.iter().map(|host| one(check, host, Depth::Light)));
            let mut answering = std::pin::pin!(answering);
            let all = tokio::select! {
                biased;
                () = async { silent.await; std::future::pending().await } => vec![],
                all = &mut answering => all,
            };
            for one in all {
                outcome = outcome.and(one?);
            }
        }
    }
    Ok(outcome)
}

async fn one(check: &WebCheck, host: &str, depth: Depth) -> Result<Outcome> {
    let begun = Instant::now();
    let steps = run(check, host, depth).await?;
    let slowest_ms = begun.elapsed().as_secs_f64() * 1000.0;
    let failed = steps.iter().find(|step| step.failure.is_some());
    ensure!(failed.is_none(), "a step failed: {failed:?}");
    let upload_bytes = upload_bytes(target(host)?, depth, steps);
    Ok(Outcome { slowest_ms, upload_bytes })
}

async fn run(check: &WebCheck, host: &str, depth: Depth) -> Result<Vec<Observation>> {
    let job = Job {
        target: target(host)?,
        depth,
        resolver: Some(resolver()),
        control: None,
        diagnosis: Diagnosis::default(),
    };
    Ok(check.run(job).await?.observations)
}

fn target(host: &str) -> Result<Target> {
    Ok(Target::new(&format!("https://{host}/"))?)
}

fn resolver() -> ResolverSpec {
    let at = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let doh_url = "https://dns.example/dns-query".to_owned();
    ResolverSpec { name: "bench".into(), udp: at(53), doh_url, doh_address: at(443), dot: None }
}

/// Returns how many bytes the upload of a check takes.
fn upload_bytes(target: Target, depth: Depth, observations: Vec<Observation>) -> usize {
    let measurement = Measurement {
        id: MeasurementId::from_bytes([7; 16]),
        check: CheckKind::Web,
        target,
        depth,
        why: Why::Routine,
        token: None,
        list_version: 1,
        started_at: Timestamp::from_unix_ms(1_700_000_000_000),
        duration: Duration::from_millis(80),
        parent: None,
        observations,
    };
    measurement_to_wire(&measurement).encoded_len() + AROUND_UPLOAD
}
