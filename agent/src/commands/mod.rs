//! What the program is told to do.

mod check;
mod join;
mod leave;
mod pause;
mod print;
mod print_path;
mod run;
mod status;
mod terms;

use crate::net::Roots;
use crate::state::{BudgetChoice, StateError};
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use faultline_model::CheckKind;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::{Path, PathBuf};

/// Measures from this line which sites can be reached, and how they fail.
#[derive(Debug, Parser)]
#[command(name = "faultline-agent", version, about)]
pub struct Cli {
    /// The agent's directory [default: ~/.local/state/faultline-agent].
    #[arg(long, global = true, env = "FAULTLINE_AGENT_HOME")]
    home: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Joins with an invite, after asking for consent.
    Join(Join),
    /// Runs until it is stopped.
    Run {
        #[command(flatten)]
        roots: RootsArg,
    },
    /// Shows what the running agent does and has refused to do.
    Status {
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Shows or changes what this agent may be asked for, whatever a list or a coordinator says.
    Terms {
        #[command(subcommand)]
        action: Option<TermsAction>,
        /// Prints one JSON object.
        #[arg(long, global = true)]
        json: bool,
    },
    /// Stops measuring until `resume`; the agent goes on running.
    Pause,
    /// Goes on measuring.
    Resume,
    /// Stops the agent and deletes everything that it made here.
    Leave {
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Measures one URL once, without any coordinator, and prints facts.
    Check(Check),
}

/// `terms`.
#[derive(Debug, Subcommand)]
enum TermsAction {
    /// Shows every key, its value and what it means.
    Show,
    /// Replaces a key's value; without a value its default comes back.
    Set {
        /// The key, such as `quiet_hours`.
        key: String,
        /// Its values, such as `23:00-07:00`.
        values: Vec<String>,
        /// Agrees to what the shown sentences say without being asked.
        #[arg(long)]
        understood: bool,
    },
}

/// `join`.
#[derive(Debug, Args)]
struct Join {
    /// The invite, one line that begins with `flt1-`.
    invite: String,
    /// Agrees to the consent text without being asked.
    #[arg(long)]
    accept_consent: bool,
    /// Joins as a control; the invite must be one for controls.
    #[arg(long)]
    control: bool,
    /// How much of the line may be used: 3,000 checks and 50 MB a day, or 600 and 10 MB.
    #[arg(long, value_enum, default_value_t)]
    budget: BudgetChoice,
}

/// `check`.
#[derive(Debug, Args)]
struct Check {
    /// What to measure, such as `https://www.youtube.com/`.
    url: String,
    /// Prints the measurement as one JSON object.
    #[arg(long)]
    json: bool,
    /// What is run: `web`, `quic` or `throughput`.
    #[arg(long, value_name = "KIND", default_value_t = CheckKind::Web)]
    check: CheckKind,
    /// What `throughput` compares the download with: a large file on another host that nobody slows.
    #[arg(long, value_name = "URL")]
    control: Option<String>,
    /// Asks a public resolver too, and follows redirects.
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    roots: RootsArg,
    /// The public resolver for plain DNS.
    #[arg(long, value_name = "ADDR")]
    resolver_udp: Option<std::net::SocketAddr>,
    /// The public resolver for DNS over HTTPS.
    #[arg(long, value_name = "URL@ADDR")]
    resolver_doh: Option<String>,
}

#[derive(Debug, Args)]
struct RootsArg {
    /// Trusts the authorities in this PEM file for measured sites, and no others (test networks).
    #[arg(long, value_name = "PEM")]
    roots: Option<PathBuf>,
}

impl RootsArg {
    fn load(&self) -> anyhow::Result<Roots> {
        let Some(path) = &self.roots else { return Ok(Roots::Mozilla) };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
            .with_context(|| format!("cannot read the roots in {}", path.display()))?
            .collect();
        let certificates = certificates.with_context(|| format!("{} is damaged", path.display()))?;
        anyhow::ensure!(!certificates.is_empty(), "{} holds no certificate", path.display());
        Ok(Roots::Only(certificates))
    }
}

/// A command that failed, and the exit code that says how.
#[derive(Debug)]
pub struct Failed {
    /// The exit code: 2 where the command line asks for what cannot be done, 78 where the terms are no terms, 1 for the
    /// rest.
    pub code: u8,
    /// What happened.
    pub error: anyhow::Error,
}

/// A file of settings that cannot be used (`EX_CONFIG`).
const BAD_CONFIG: u8 = 78;

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        let error = error.into();
        let is_terms = |cause: &(dyn std::error::Error + 'static)| {
            matches!(cause.downcast_ref::<StateError>(), Some(StateError::Terms(_)))
        };
        let code = if error.chain().any(is_terms) { BAD_CONFIG } else { 1 };
        Self { code, error }
    }
}

fn usage(message: impl std::fmt::Display) -> Failed {
    Failed { code: 2, error: anyhow::anyhow!("{message}") }
}

/// Does what the command line says.
///
/// # Errors
/// Says what failed, with an exit code.
pub async fn execute(cli: Cli) -> Result<(), Failed> {
    let home = match cli.home {
        Some(home) => home,
        None => default_home()?,
    };
    match cli.command {
        Command::Join(arguments) => join::execute(&home, &arguments).await,
        Command::Run { roots } => run::execute(&home, &roots.load()?).await,
        Command::Status { json } => status::execute(&home, json),
        Command::Terms { action: None | Some(TermsAction::Show), json } => terms::show(&home, json),
        Command::Terms { action: Some(TermsAction::Set { key, values, understood }), json } => {
            terms::set(&home, (&key, &values), understood, json)
        }
        Command::Pause => pause::execute(&home, true),
        Command::Resume => pause::execute(&home, false),
        Command::Leave { yes } => leave::execute(&home, yes).await,
        Command::Check(arguments) => check::execute(&arguments).await,
    }
}

fn default_home() -> anyhow::Result<PathBuf> {
    let user = std::env::var_os("HOME").context("no home directory is known; name one with --home")?;
    Ok(Path::new(&user).join(".local/state/faultline-agent"))
}
