//! The coordinator's program.

use clap::{Parser, Subcommand};
use faultline_coordinator::config::{RawSettings, Settings};
use faultline_coordinator::serve::serve;
use faultline_runtime::init_telemetry;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// `EX_CONFIG`.
const BAD_CONFIG: u8 = 78;

/// Keeps task lists, plans agents, stores what they saw, and says where the internet broke.
#[derive(Parser)]
#[command(name = "faultline-coordinator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the coordinator. Needs no configuration for a first run.
    Serve(ServeArguments),
}

#[derive(clap::Args)]
struct ServeArguments {
    /// Where everything that must survive is kept [default: ./faultline-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A TOML file; config.example.toml lists every key. Flags win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where agents and operators connect [default: 0.0.0.0:7443]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where readers connect: live page and research API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// A name or address under which agents reach this coordinator; repeatable
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Vec<String>,
    /// A country profile (TOML); repeatable
    #[arg(long = "profile", value_name = "FILE")]
    profiles: Vec<PathBuf>,
    /// Which network an address belongs to: CSV start,end,asn,name
    #[arg(long, value_name = "FILE")]
    networks: Option<PathBuf>,
    /// Recorded ordinary days: JSON written by `faultline baseline`
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Command::Serve(arguments) = Arguments::parse().command;
    let settings = match settings(arguments) {
        Ok(settings) => settings,
        Err(error) => return fail(&error.into(), BAD_CONFIG),
    };
    init_telemetry("info", settings.log_format);
    let runtime = match tokio_runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into(), 1),
    };
    let outcome = runtime.block_on(serve(settings, say_ready));
    // Blocking threads may still wait for something that no longer matters.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

fn tokio_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn settings(arguments: ServeArguments) -> Result<Settings, faultline_coordinator::config::ConfigError> {
    let file = arguments.config.as_deref().map(RawSettings::read).transpose()?.unwrap_or_default();
    let flags = RawSettings {
        data: arguments.data,
        listen: arguments.listen,
        http: arguments.http,
        advertise: arguments.advertise,
        profiles: arguments.profiles,
        networks: arguments.networks,
        baseline: arguments.baseline,
        retention_days: None,
        log_format: None,
    };
    Settings::new(flags.or(file))
}

fn say_ready(listen: SocketAddr, http: SocketAddr) {
    let line = format!(r#"{{"ready":true,"listen":"{listen}","http":"{http}"}}"#);
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; the coordinator serves all the same.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    // Standard error may be closed; the exit code still says it.
    let _ = writeln!(std::io::stderr(), "faultline-coordinator: {error:#}");
    ExitCode::from(code)
}
