//! What the country's first process does with its job.

use super::cases::{Case, CaseOptions, visit_all};
use super::endpoints::measure;
use super::inside::Country;
use super::launch::{Job, LaunchError, Place, Report, Task};
use super::progress::sentence;
use super::run::{Ended, Run};
use super::scenario::Scenario;
use super::timeline::now_ms;
use anyhow::{Context, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use tokio_util::sync::CancellationToken;

/// Somebody stopped the run before its end (as after SIGINT).
const STOPPED: u8 = 130;

/// Passes a report up to the outer process.
pub type Send<'a> = dyn FnMut(&Report) -> Result<(), LaunchError> + 'a;

/// Does the job, until it is done or stopped.
///
/// # Errors
/// Says what could not be done.
pub async fn enter(job: Job, stop: CancellationToken, send: &mut Send<'_>) -> Result<ExitCode> {
    if let Task::Case(options) = &job.task {
        return case(&job.scenario, job.program, options, (stop, send)).await;
    }
    let scenario = Scenario::read(&job.scenario)?;
    let country = Country::build(scenario, job.program).await?;
    match job.task {
        Task::Run(options) => run(Run::new(country, options)?, stop, send).await,
        Task::Case(_) => Ok(ExitCode::SUCCESS),
        Task::Endpoints { agent, quiet } => endpoints(country, &agent, quiet, &stop, send).await,
        Task::Shell { place, command } => shell(country, &place, &command, stop).await,
    }
}

async fn run(mut run: Run, stop: CancellationToken, send: &mut Send<'_>) -> Result<ExitCode> {
    let keep = run.is_kept();
    let ended = run.go(&stop).await;
    let code = match ended {
        Ok(Ended::Stopped) => ExitCode::from(STOPPED),
        Ok(Ended::Through(reports)) => {
            for report in &reports {
                send(report)?;
            }
            if keep {
                run.keep(&stop).await?;
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            run.stop().await;
            return Err(error);
        }
    };
    run.stop().await;
    Ok(code)
}

/// Builds the country of a case and hands up what the agent printed everywhere in it.
async fn case(
    file: &Path,
    program: PathBuf,
    options: &CaseOptions,
    (stop, send): (CancellationToken, &mut Send<'_>),
) -> Result<ExitCode> {
    let case = Case::read(file)?;
    let country = Country::build(case.scenario.clone(), program).await?;
    let seen = tokio::select! {
        seen = visit_all(&case, country, options) => seen?,
        () = stop.cancelled() => return Ok(ExitCode::from(STOPPED)),
    };
    send(&Report::Result(serde_json::to_value(seen).context("writing what was seen")?))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs every circumvention check everywhere and prints the table.
async fn endpoints(
    mut country: Country,
    agent: &Path,
    quiet: bool,
    stop: &CancellationToken,
    send: &mut Send<'_>,
) -> Result<ExitCode> {
    let table = measure(&mut country, agent, stop, quiet).await?;
    if !quiet {
        println!("{table}");
    }
    send(&Report::Result(serde_json::to_value(&table).context("writing the table")?))?;
    let (right, all) = table.score();
    Ok(if right == all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a command, or a shell, somewhere in the country while the timeline runs.
async fn shell(
    mut country: Country,
    place: &Place,
    command: &[String],
    stop: CancellationToken,
) -> Result<ExitCode> {
    country.stand_in_for_coordinator().await?;
    country.start_timeline(now_ms()).await?;
    if command.is_empty() {
        greet(&country.scenario, place);
    }
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into());
    let (program, arguments) = match command {
        [program, arguments @ ..] => (program.as_str(), arguments),
        [] => (shell.as_str(), &[][..]),
    };
    let mut child = match place {
        Place::Subscriber { provider, agent } => {
            let asn = country.scenario.provider(provider).context("the provider was found before")?.asn;
            country.as_subscriber(asn, *agent, Path::new(program))
        }
        Place::Control(number) => country.as_control(*number, Path::new(program)),
    };
    child.args(arguments).kill_on_drop(true);
    child.env("SSL_CERT_FILE", &country.roots).env("CURL_CA_BUNDLE", &country.roots);
    // Standard input is the connection to the outer process; people type on the terminal.
    child.stdin(File::open("/dev/tty").map_or_else(|_| Stdio::null(), Stdio::from));
    let mut child = child.spawn().context("starting the shell")?;
    let status = tokio::select! {
        status = child.wait() => status.context("waiting for the shell")?,
        () = stop.cancelled() => return Ok(ExitCode::FAILURE),
    };
    country.check_parts()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Tells people where they are and what is going to happen.
fn greet(scenario: &Scenario, place: &Place) {
    match place {
        Place::Subscriber { provider, .. } => {
            if let Some(provider) = scenario.provider(provider) {
                let (name, asn, resolver) = (&provider.name, provider.asn, provider.resolver);
                eprintln!(
                    "You are a subscriber of {name} ({asn}); its resolver is {resolver}. Leave with exit."
                );
            }
        }
        Place::Control(number) => {
            eprintln!("You are control {number}, outside the country. Leave with exit.");
        }
    }
    for rule in &scenario.rules {
        let (from, to) = (rule.from.as_secs(), rule.to.as_secs());
        eprintln!("  from {from} s to {to} s  {}", sentence(scenario, rule));
    }
}
