//! `country`: an emulated country to run Faultline in, on this machine, without touching its network.

mod cases;
mod mix;
mod probes;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};
use faultline_tests::country::endpoints::Table;
use faultline_tests::country::export::Exported;
use faultline_tests::country::launch::{self, Inner, Job, Line, Place, Report, RunOptions, Stopper, Task};
use faultline_tests::country::programs::Programs;
use faultline_tests::country::scenario::Scenario;
use faultline_tests::country::score::{RunResult, score};
use faultline_tests::country::{enter, relay, roles};
use probes::{AskArgs, QuicArgs, VisitArgs};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// A scenario file that cannot be used (EX_CONFIG).
const BAD_SCENARIO: u8 = 78;

/// Emulates a country's internet in network namespaces and runs Faultline in it.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks a scenario file and says what it contains.
    Check {
        /// The scenario file.
        file: PathBuf,
    },
    /// Runs a scenario: agents, controls and coordinator as real processes in the country.
    Run(RunArgs),
    /// Runs small countries, each with one line and one target, and compares the judgement with what is true.
    Cases(cases::CasesArgs),
    /// Runs scenarios drawn by chance, and says how quickly each was published.
    Mix(mix::MixArgs),
    /// Judges the result of a run.
    Score {
        /// The object that `country run --json` wrote.
        result: PathBuf,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Gives you a shell, or runs a command, as a provider's subscriber or outside the country.
    Shell(ShellArgs),
    /// Visits a page and says, as JSON, at which step it failed; for use in a country's shell.
    Visit(VisitArgs),
    /// Asks a resolver for a name and counts or lists the answers, as JSON; for use in a country's shell.
    Ask(AskArgs),
    /// Says, as JSON, whether a host answers QUIC; for use in a country's shell.
    Quic(QuicArgs),
    /// First process of the country's namespaces.
    #[command(hide = true)]
    Inside,
    /// A part of the country.
    #[command(hide = true)]
    Role,
    /// Passes readers on to the coordinator.
    #[command(hide = true)]
    Relay {
        /// Where the country's first process connects.
        unix: PathBuf,
        /// Where the coordinator listens.
        to: SocketAddr,
    },
}

#[derive(Args)]
struct RunArgs {
    /// The scenario file.
    file: PathBuf,
    /// Writes the result, one JSON object with truth and incidents, to this file; - is standard output.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Goes on serving the live page after the end, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Where the live page is served on this machine.
    #[arg(long, default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Records the quiet past of this run's cells as a baseline, and uses none.
    #[arg(long, value_name = "FILE")]
    record_baseline: Option<PathBuf>,
    /// Runs without the baseline that the scenario names.
    #[arg(long)]
    without_baseline: bool,
    /// Folder of faultline-coordinator, faultline and faultline-agent; by default that of country itself.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Says nothing but errors.
    #[arg(long)]
    quiet: bool,
    /// Kills the coordinator or an agent so many times at random moments, and counts what got lost.
    #[arg(long, value_name = "N", default_value_t = 0)]
    chaos: u32,
    /// Seeds the random moments instead of the scenario's seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Instead of the timeline: every circumvention check against the scenario's endpoints, once from each provider
    /// and each control, as a table.
    #[arg(long)]
    endpoints: bool,
    /// With --endpoints: writes every measurement in OONI's format into this folder.
    #[arg(long, value_name = "DIR", requires = "endpoints")]
    export: Option<PathBuf>,
    /// Keeps folders and logs of all programs here instead of in memory.
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Ends as soon as everything true has been said in full.
    #[arg(long)]
    until_right: bool,
    /// Agents begin with what their budget has left after so many hours of the list's routine work.
    #[arg(long, value_name = "HOURS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..24))]
    hours_spent: u32,
}

#[derive(Args)]
struct ShellArgs {
    /// The scenario file.
    file: PathBuf,
    /// The provider whose subscriber you are, by name or ASN.
    #[arg(long, required_unless_present = "control")]
    provider: Option<String>,
    /// The agent on whose line you are, from 1; without it you have a line of your own.
    #[arg(long, default_value_t = 0, requires = "provider")]
    agent: usize,
    /// The control that you are, from 1.
    #[arg(long, conflicts_with = "provider")]
    control: Option<usize>,
    /// The command; a shell when there is none.
    #[arg(last = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("country: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Check { file } => Ok(read(&file).map_or_else(|code| code, |scenario| describe(&scenario))),
        Command::Run(args) => run_scenario(args),
        Command::Cases(args) => cases::run(&args),
        Command::Mix(args) => mix::run(&args),
        Command::Score { result, json } => judge(&result, json),
        Command::Shell(args) => shell(args),
        Command::Visit(args) => runtime()?.block_on(probes::visits(args)),
        Command::Ask(args) => runtime()?.block_on(probes::ask(args)),
        Command::Quic(args) => runtime()?.block_on(probes::quic(args)),
        Command::Inside => inside(),
        Command::Role => roles::play().map(|()| ExitCode::SUCCESS).context("playing a part of the country"),
        Command::Relay { unix, to } => {
            runtime()?.block_on(relay::relay(&unix, to)).context("relaying to the coordinator")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")
}

/// Reads a scenario; problems go to standard error as they are, for editors that jump to them.
fn read(file: &Path) -> Result<Scenario, ExitCode> {
    Scenario::read(file).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|c| format!(": {c}")).unwrap_or_default();
        eprintln!("{error}{cause}");
        ExitCode::from(BAD_SCENARIO)
    })
}

fn describe(scenario: &Scenario) -> ExitCode {
    let agents: usize = scenario.providers.iter().map(|p| p.agents.len()).sum();
    println!(
        "{}: {}, {} providers with {agents} agents, {} gateways, {} controls, {} sites, {} landmarks, {} targets, {} rules, {} s",
        scenario.name,
        scenario.country_name,
        scenario.providers.len(),
        scenario.gateways.len(),
        scenario.controls.len(),
        scenario.sites.len(),
        scenario.landmarks.len(),
        scenario.list.targets.len(),
        scenario.rules.len(),
        scenario.length.as_secs(),
    );
    if let Some(baseline) = scenario.baseline.as_ref().filter(|baseline| !baseline.exists()) {
        println!(
            "its baseline {} is missing; record it with country run FILE --record-baseline",
            baseline.display()
        );
    }
    ExitCode::SUCCESS
}

fn run_scenario(args: RunArgs) -> Result<ExitCode> {
    if let Err(code) = read(&args.file) {
        return Ok(code);
    }
    let program = program()?;
    let beside = program.parent().unwrap_or(Path::new(".")).to_owned();
    if args.endpoints {
        return run_endpoints(&args, &beside);
    }
    let listener = launch::listen(args.http)?;
    let options = RunOptions {
        programs: launch::absolute(&args.programs.unwrap_or(beside)),
        keep: args.keep,
        quiet: args.quiet,
        http: Some(listener.local_addr().context("reading the listener's address")?),
        record_baseline: args.record_baseline.is_some(),
        without_baseline: args.without_baseline,
        chaos: args.chaos,
        seed: args.seed,
        work: args.work.as_deref().map(launch::absolute),
        until_right: args.until_right,
        hours_spent: args.hours_spent,
    };
    let inner = Inner::start(&job(&args.file, Task::Run(options))?, Some(listener))?;
    end_on_signal(inner.stopper()?, Stopper::stop)?;
    let mut written = Ok(());
    let status = inner.wait(|report| {
        let (document, file) = match report {
            Report::Result(document) => (document, args.json.as_deref()),
            Report::Baseline(document) => (document, args.record_baseline.as_deref()),
        };
        if let Some(file) = file {
            written = write(file, &document).and(std::mem::replace(&mut written, Ok(())));
        }
    })?;
    written?;
    Ok(exit_code(status))
}

/// Runs the circumvention checks instead of the timeline.
fn run_endpoints(args: &RunArgs, beside: &Path) -> Result<ExitCode> {
    let folder = launch::absolute(args.programs.as_deref().unwrap_or(beside));
    let agent = Programs::find(&folder)?.agent;
    let inner = Inner::start(&job(&args.file, Task::Endpoints { agent, quiet: args.quiet })?, None)?;
    end_on_signal(inner.stopper()?, Stopper::stop)?;
    let mut written = Ok(());
    let status = inner.wait(|report| {
        if let Report::Result(document) = report {
            let printed = args.json.as_deref().map_or(Ok(()), |file| write(file, &document));
            written = printed.and_then(|()| export_endpoints(args, document));
        }
    })?;
    written?;
    Ok(exit_code(status))
}

fn export_endpoints(args: &RunArgs, document: serde_json::Value) -> Result<()> {
    let Some(folder) = &args.export else { return Ok(()) };
    let table: Table = serde_json::from_value(document).context("reading the table")?;
    let scenario = Scenario::read(&args.file).context("reading the scenario")?;
    let mut exported = Exported::default();
    exported.add(folder, &scenario, &table.made())?;
    eprintln!("{exported}");
    Ok(())
}

fn write(file: &Path, document: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(document).context("writing JSON")?;
    if file == Path::new("-") {
        println!("{text}");
        return Ok(());
    }
    std::fs::write(file, text + "\n").with_context(|| format!("writing {}", file.display()))
}

fn judge(result: &Path, json: bool) -> Result<ExitCode> {
    let text = std::fs::read_to_string(result).with_context(|| format!("reading {}", result.display()))?;
    let result: RunResult = serde_json::from_str(&text).context("reading the result")?;
    let score = score(&result);
    if json {
        println!("{}", serde_json::to_string_pretty(&score).context("writing JSON")?);
    } else {
        println!("{score}");
    }
    Ok(if score.pass { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shell(args: ShellArgs) -> Result<ExitCode> {
    let scenario = match read(&args.file) {
        Ok(scenario) => scenario,
        Err(code) => return Ok(code),
    };
    let place = place(&scenario, &args)?;
    if args.command.is_empty() && !std::io::stdin().is_terminal() {
        bail!("a shell needs a terminal; name a command: country shell FILE --provider NAME -- COMMAND");
    }
    let task = Task::Shell { place, command: args.command };
    let inner = Inner::start(&job(&args.file, task)?, None)?;
    end_on_signal(inner.stopper()?, |stopper| stopper.end())?;
    let status = inner.wait(|_| {})?;
    Ok(exit_code(status))
}

fn place(scenario: &Scenario, args: &ShellArgs) -> Result<Place> {
    if let Some(number) = args.control {
        let count = scenario.controls.len();
        ensure!((1..=count).contains(&number), "there are {count} controls, counted from 1");
        return Ok(Place::Control(number));
    }
    let name = args.provider.clone().unwrap_or_default();
    let Some(provider) = scenario.provider(&name) else {
        let names: Vec<_> = scenario.providers.iter().map(|p| format!("{} ({})", p.name, p.asn)).collect();
        bail!("no provider is {name:?}; there are {}", names.join(", "));
    };
    ensure!(args.agent <= provider.agents.len(), "{} has {} agents", provider.name, provider.agents.len());
    Ok(Place::Subscriber { provider: name, agent: args.agent })
}

fn job(file: &Path, task: Task) -> Result<Job> {
    Ok(Job { scenario: launch::absolute(file), program: program()?, task })
}

fn program() -> Result<PathBuf> {
    std::env::current_exe().context("finding the country binary")
}

fn exit_code(status: std::process::ExitStatus) -> ExitCode {
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Calls `act` on SIGINT and SIGTERM, and ends everything at the second one.
fn end_on_signal(mut stopper: Stopper, act: impl Fn(&mut Stopper) + Send + 'static) -> Result<()> {
    let runtime = runtime()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            if signalled().await.is_ok() {
                act(&mut stopper);
            }
            if signalled().await.is_ok() {
                stopper.end();
            }
        });
    });
    Ok(())
}

async fn signalled() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn inside() -> Result<ExitCode> {
    let mut line = Line::from_stdin()?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let job = line.job(move || stopped.cancel())?;
    runtime()?.block_on(enter::enter(job, stop, &mut |report: &Report| line.report(report)))
}
