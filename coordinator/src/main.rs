//! The coordinator's program.

use clap::{Parser, Subcommand};
use faultline_coordinator::config::{RawSettings, Settings};
use faultline_coordinator::export::Export;
use faultline_coordinator::serve::serve;
use faultline_model::{CountryCode, Timestamp};
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
    /// Writes what was stored of one country, in the format that `faultline replay` reads.
    ///
    /// The coordinator may be running or stopped. The files hold agents' pseudonyms: they are for those who run
    /// the coordinator.
    Export(ExportArguments),
}

#[derive(clap::Args)]
struct ExportArguments {
    /// The coordinator's data directory [default: ./faultline-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A new folder for the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The country as two letters, such as PK
    #[arg(long, value_name = "CC")]
    country: CountryCode,
    /// Only what was received from this moment on, such as 2024-01-20T00:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only what was received before this moment
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// The coordinator's configuration file. Flags win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A country profile (TOML) that the coordinator runs with; repeatable
    #[arg(long = "profile", value_name = "FILE")]
    profiles: Vec<PathBuf>,
    /// Recorded ordinary days that the coordinator runs with
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Also write ooni.jsonl: the volunteers' measurements in OONI's format, for OONI's own tools
    #[arg(long)]
    ooni: bool,
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
    /// A folder with fingerprints of block pages and forged answers, in the formats of OONI and Censored Planet
    #[arg(long, value_name = "DIR")]
    fingerprints: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse().command {
        Command::Serve(arguments) => arguments,
        Command::Export(arguments) => return export(arguments),
    };
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

fn export(arguments: ExportArguments) -> ExitCode {
    let file = match arguments.config.as_deref().map(RawSettings::read).transpose() {
        Ok(file) => file.unwrap_or_default(),
        Err(error) => return fail(&error.into(), BAD_CONFIG),
    };
    let flags = RawSettings {
        data: arguments.data,
        profiles: arguments.profiles,
        baseline: arguments.baseline,
        ..RawSettings::default()
    };
    let settings = match Settings::new(flags.or(file)) {
        Ok(settings) => settings,
        Err(error) => return fail(&error.into(), BAD_CONFIG),
    };
    init_telemetry("warn", settings.log_format);
    let (country, until) = (arguments.country, arguments.until);
    let since = arguments.since.unwrap_or_default();
    let wish = Export { country, since, until, is_ooni: arguments.ooni };
    let work = async { faultline_coordinator::export::export(settings, wish, &arguments.out).await };
    let done = tokio_runtime().map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(work));
    let told = done.and_then(|exported| Ok(serde_json::to_string(&exported)?));
    match told {
        Ok(line) => {
            // Nobody may be reading; the files are there all the same.
            let _ = writeln!(std::io::stdout(), "{line}");
            ExitCode::SUCCESS
        }
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
        fingerprints: arguments.fingerprints,
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
