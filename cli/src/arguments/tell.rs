//! What can be typed about an incident's questions: explain, compare, calendar, claims, others' data.

use super::Format;
use clap::{Args, Subcommand};
use faultline_model::{Cause, Timestamp};
use std::path::PathBuf;

#[derive(Clone, Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The incident's id, or its beginning
    #[arg(value_name = "ID")]
    pub id: String,
    /// Ask as an operator, for a researcher you know: says which ways around censorship passed too
    #[arg(long)]
    pub researcher: bool,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CompareArguments {
    /// The provider, by any of its networks, such as 23674
    #[arg(value_name = "ASN")]
    pub asn: String,
    /// The incident's id, or its beginning
    #[arg(long, value_name = "ID")]
    pub incident: String,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CalendarCommand {
    /// Note an announced event
    Add(EventArguments),
    /// List a country's announced events
    List(NotesArguments),
    /// Withdraw an event that was noted wrongly; it stays readable and counts no more
    Remove(WithdrawArguments),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct EventArguments {
    /// What it is
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where it takes place, as two letters
    #[arg(long, value_name = "CC")]
    pub country: String,
    /// When it was announced to begin, RFC 3339, such as 2024-01-20T20:00:00+05:00
    #[arg(long, value_name = "DATE")]
    pub from: Timestamp,
    /// When it was announced to end
    #[arg(long, value_name = "DATE")]
    pub to: Timestamp,
    /// Where it was announced
    #[arg(long, value_name = "URL")]
    pub source: String,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct NotesArguments {
    /// Country as two letters, such as PK
    #[arg(value_name = "CC")]
    pub country: String,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct WithdrawArguments {
    /// The note's id
    #[arg(value_name = "ID")]
    pub id: String,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ClaimCommand {
    /// Note a claim by others about an incident, and answer its parts
    ///
    /// Each part that measurements can answer is supported, contradicted, or not to be told; intent never is.
    Add(ClaimArguments),
    /// List a country's claims
    List(NotesArguments),
    /// Withdraw a claim that was noted wrongly; it stays readable and counts no more
    Withdraw(WithdrawArguments),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ClaimArguments {
    /// The claim in its own words, such as "technical failure, nationwide"
    #[arg(value_name = "WORDS")]
    pub words: String,
    /// Whose claim it is, such as PTA
    #[arg(long, value_name = "WHO")]
    pub by: String,
    /// Where it was made
    #[arg(long, value_name = "URL")]
    pub source: String,
    /// The incident that it is about [default: the newest that was not withdrawn]
    #[arg(long, value_name = "ID")]
    pub incident: Option<String>,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum IncidentCommand {
    /// Attach somebody's statement of the cause; without one the cause is UNKNOWN
    ///
    /// Measurements never show why something happened. What is attached is told as that author's word, with its address.
    Source(CauseArguments),
    /// Withdraw an attached statement; it stays readable and counts no more
    WithdrawSource(WithdrawArguments),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CauseArguments {
    /// The incident's id, or its beginning
    #[arg(value_name = "ID")]
    pub id: String,
    /// The cause that the source names: government_directed, cable_cut, power_outage, technical_problem, maintenance,
    /// weather, cyberattack, military_action or other
    #[arg(long, value_name = "CAUSE")]
    pub cause: Cause,
    /// Who says so
    #[arg(long, value_name = "WHO")]
    pub by: String,
    /// What is said, in a few words
    #[arg(long, value_name = "WORDS")]
    pub says: String,
    /// Where it is said
    #[arg(long, value_name = "URL")]
    pub url: String,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CorroborateArguments {
    /// The incident's id, or its beginning
    #[arg(value_name = "ID")]
    pub id: String,
    /// OONI's measurements: JSON lines or objects, plain or gzipped (repeatable)
    #[arg(long, value_name = "FILE")]
    pub ooni: Vec<PathBuf>,
    /// IODA's signals or outage events: JSON of its API, or CSV (repeatable)
    #[arg(long, value_name = "FILE")]
    pub ioda: Vec<PathBuf>,
    /// Cloudflare Radar's outages: JSON of its API (repeatable)
    #[arg(long, value_name = "FILE")]
    pub radar: Vec<PathBuf>,
    /// The country's profile, which says whose networks are whose; without it only main networks are known
    #[arg(long, value_name = "TOML")]
    pub profile: Option<PathBuf>,
    #[command(flatten)]
    pub format: Format,
}
