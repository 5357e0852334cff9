//! The small clients for a country's shell.

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use faultline_tests::country::ask;
use faultline_tests::country::visit::{Visit, visit};
use serde::Serialize;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::interval;
use url::Url;

/// Between two visits that wait for a change.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Args)]
pub struct AskArgs {
    /// The name.
    host: String,
    /// The resolver; by default the system's.
    #[arg(long)]
    resolver: Option<IpAddr>,
    /// How many times.
    #[arg(long, default_value_t = 1)]
    times: u32,
    /// Asks once and lists every answer that comes until the deadline, the first one first.
    #[arg(long)]
    race: bool,
    /// Asks over TLS a resolver that has a certificate for this name.
    #[arg(long, value_name = "NAME")]
    tls: Option<String>,
    /// Certificates to trust; by default those of the emulated world.
    #[arg(long, default_value = "/run/country/roots.pem")]
    roots: PathBuf,
    /// Deadline, milliseconds.
    #[arg(long, default_value_t = 3000)]
    patience_ms: u64,
}

#[derive(Args)]
pub struct QuicArgs {
    /// The host.
    host: String,
    /// The resolver; by default the system's.
    #[arg(long)]
    resolver: Option<IpAddr>,
    /// Deadline, milliseconds.
    #[arg(long, default_value_t = 3000)]
    patience_ms: u64,
}

#[derive(Args)]
pub struct VisitArgs {
    /// The pages.
    #[arg(required = true)]
    urls: Vec<Url>,
    /// Certificates to trust; by default those of the emulated world.
    #[arg(long, default_value = "/run/country/roots.pem")]
    roots: PathBuf,
    /// Connects to this address instead of resolving the name.
    #[arg(long)]
    address: Option<IpAddr>,
    /// Asks this resolver instead of the system's.
    #[arg(long)]
    resolver: Option<IpAddr>,
    /// Looks for an IPv6 address.
    #[arg(long)]
    six: bool,
    /// Cuts the ClientHello after so many bytes.
    #[arg(long)]
    split: Option<usize>,
    /// Deadline of every step, milliseconds.
    #[arg(long, default_value_t = 3000)]
    patience_ms: u64,
    /// Visits each page so many times.
    #[arg(long, default_value_t = 1)]
    times: u32,
    /// Visits each page again and again until it comes to this, and says what came of the last visit.
    #[arg(long)]
    until: Option<Until>,
}

/// What a visit comes to.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Until {
    /// The page came.
    Ok,
    /// Something failed.
    Failed,
}

/// Asks a resolver.
pub async fn ask(args: AskArgs) -> Result<ExitCode> {
    let patience = Duration::from_millis(args.patience_ms);
    if let Some(name) = &args.tls {
        let answer = ask::over_tls(args.resolver, (name, &args.roots), &args.host, patience).await;
        return print(&answer.map_err(|e| e.to_string()));
    }
    if args.race {
        return print(&ask::race(args.resolver, &args.host, patience).await.context("asking")?);
    }
    print(&ask::ask(args.resolver, &args.host, args.times, patience).await.context("asking")?)
}

/// Says whether a host answers QUIC.
pub async fn quic(args: QuicArgs) -> Result<ExitCode> {
    let patience = Duration::from_millis(args.patience_ms);
    print(&ask::greet(args.resolver, &args.host, patience).await.context("greeting")?)
}

fn print(outcome: &impl Serialize) -> Result<ExitCode> {
    println!("{}", serde_json::to_string(outcome).context("writing the outcome")?);
    Ok(ExitCode::SUCCESS)
}

/// Visits pages and says what came of it.
pub async fn visits(args: VisitArgs) -> Result<ExitCode> {
    let mut failed = false;
    for url in &args.urls {
        for _ in 0..args.times {
            let plan = Visit {
                url: url.clone(),
                roots: args.roots.clone(),
                address: args.address,
                resolver: args.resolver,
                six: args.six,
                split: args.split,
                patience: Duration::from_millis(args.patience_ms),
            };
            let mut visited = visit(&plan).await;
            let mut pause = interval(PAUSE);
            while args.until.is_some_and(|until| (until == Until::Failed) != visited.failed.is_some()) {
                pause.tick().await;
                visited = visit(&plan).await;
            }
            failed |= visited.failed.is_some();
            println!("{}", serde_json::to_string(&visited).context("writing the outcome")?);
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
