//! One file per command: fetch, then show.

mod agents;
mod baseline;
mod circumvention;
mod corroborate;
mod country;
mod explain;
mod export;
mod forms;
mod import;
mod incidents;
mod init;
mod invite;
pub(crate) mod judge;
mod list;
mod notes;
mod readiness;
mod replay;
mod status;
mod watch;

use crate::arguments::{Arguments, Command};
use crate::home::Home;
use crate::trouble::{Exit, Trouble};
use anyhow::Result;
use faultline_model::CountryCode;

/// Carries out one command.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let Arguments { home, credential, api, command } = arguments;
    let home = Home::new(home, credential)?;
    match command {
        Command::Init(arguments) => init::run(&home, &arguments),
        Command::Invite(arguments) => invite::run(&home, arguments).await,
        Command::List(command) => list::run(&home, command).await,
        Command::Agents(format) => agents::run(&home, format.json).await,
        Command::Circumvention(arguments) => circumvention::run(&home, &arguments).await,
        Command::Status(arguments) => status::run(&api, &arguments).await,
        Command::Incidents(arguments) => incidents::run(&api, &arguments).await,
        Command::Watch(arguments) => watch::run(&api, &arguments).await,
        Command::Country(command) => country::run(command),
        Command::Baseline => baseline::run(&home).await,
        Command::Import(arguments) => import::run(&home, arguments).await,
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Readiness(arguments) => readiness::run(&arguments),
        Command::Judge(arguments) => judge::run(&arguments),
        Command::Explain(arguments) => explain::run(&home, &api, &arguments).await,
        Command::Compare(arguments) => explain::compare(&api, &arguments).await,
        Command::Calendar(command) => notes::calendar(&home, command).await,
        Command::Claim(command) => notes::claim(&home, &api, command).await,
        Command::Incident(command) => notes::incident(&home, &api, command).await,
        Command::Corroborate(arguments) => corroborate::run(&api, &arguments).await,
        Command::Export(arguments) => match &arguments.form {
            Some(form) => forms::run(&api, form, &arguments).await,
            None => export::run(&arguments),
        },
    }
}

/// Reads a country as people type it.
pub(super) fn country(text: &str) -> Result<CountryCode, Trouble> {
    text.trim().to_ascii_uppercase().parse().map_err(|e: String| Trouble::new(Exit::Data, e))
}

/// Reads an optional country; none is written as an empty text on the wire.
fn country_filter(text: Option<&str>) -> Result<String, Trouble> {
    text.map_or_else(|| Ok(String::new()), |text| country(text).map(|code| code.to_string()))
}
