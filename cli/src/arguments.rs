//! What can be typed. The texts here are the program's manual.

mod tell;

pub(crate) use tell::{
    CalendarCommand, CauseArguments, ClaimArguments, ClaimCommand, CompareArguments, CorroborateArguments,
    EventArguments, ExplainArguments, IncidentCommand, NotesArguments, WithdrawArguments,
};

use clap::{Args, Parser, Subcommand};
use faultline_model::Timestamp;
use std::path::PathBuf;

const GLOBAL: &str = "Global options";

const EXIT_CODES: &str = "\
Exit codes:
  0 it worked    1 something failed    2 wrong usage    65 a file's or argument's content is wrong
  66 a file is not there    69 the coordinator cannot be reached    77 refused, or an explicit flag is needed
  78 key, root or credential is missing

A first session, next to a running coordinator whose data folder is ./faultline-data:
  faultline init --from faultline-data/operator.json
  faultline list push lists/core.toml
  faultline invite --country PK
  faultline status PK";

/// Faultline tells where the internet broke: at one provider, behind one gateway, across a country, or at the
/// site itself.
///
/// Operators invite agents and push signed task lists; everybody may read what was found. Tables are for
/// people; --json is for programs. Colours are left out when piped or when NO_COLOR is set.
#[derive(Clone, Debug, Parser)]
#[command(name = "faultline", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Arguments {
    /// Folder with the operator's key, root and credential [default: ~/.config/faultline]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR", env = "FAULTLINE_HOME", hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,
    /// The operator's credential for one coordinator [default: operator.json in the home folder]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE", env = "FAULTLINE_CREDENTIAL", hide_env_values = true)]
    pub(crate) credential: Option<PathBuf>,
    /// Where status, incidents and watch read
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "URL",
        env = "FAULTLINE_API",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) api: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the operator's key and root, and take over a coordinator's credential
    ///
    /// Makes operator-key.pem, which signs task lists and never leaves this machine, and operator-root.json,
    /// the public keys that agents pin from their invite. What is there already is kept, never overwritten.
    Init(InitArguments),
    /// Make one-time invites for volunteers and controls (operators)
    ///
    /// Prints one invite a line. An invite carries the coordinator's addresses and authority, a one-time
    /// token and the operators' root. Send it privately: whoever has it can enrol one agent.
    Invite(InviteArguments),
    /// Push, show and compare task lists (operators)
    #[command(subcommand)]
    List(ListCommand),
    /// List the enrolled agents (operators)
    Agents(Format),
    /// Show which ways around censorship pass at which provider, or release results before their seven days
    Circumvention(CircumventionArguments),
    /// Show a country's providers and services as they are now, and its open incidents
    Status(StatusArguments),
    /// List incidents, newest first
    ///
    /// With --json prints one object {"incidents": [...]}, the same form that replay writes.
    Incidents(IncidentsArguments),
    /// Follow incidents as they are published; Ctrl-C ends
    ///
    /// Prints every open incident first, then each new revision. A lost connection is taken up again.
    /// With --json prints one incident a line.
    Watch(WatchArguments),
    /// Print what cells looked like in quiet hours, as JSON (operators)
    ///
    /// The file can be given to `faultline-coordinator serve --baseline`, so that a new coordinator need not
    /// learn for two weeks.
    Baseline,
    /// Draft a country's profile, and say what it leaves unsaid
    #[command(subcommand)]
    Country(CountryCommand),
    /// Bring measurements by others into the coordinator (operators)
    ///
    /// They are checked as uploads are, stored once per id and kept apart: importing twice stores once, and they
    /// count as evidence only where the country's profile says imported_as_evidence = true. Bad lines are
    /// counted, reported with their number and skipped; refused measurements are counted with the reason.
    /// Exits with 65 if nothing could be imported.
    Import(ImportArguments),
    /// Run recorded data through the same detection as live measurements
    ///
    /// DIR holds measurements.jsonl, topology.json and perhaps heartbeats.jsonl, each plain or gzipped (.gz).
    /// --ooni takes OONI's published data instead. Bad lines are counted, reported with their number and skipped. The same input gives the same output
    /// to the byte.
    Replay(ReplayArguments),
    /// Say which verdicts the vantage points that there are could give, how soon, and what would change that
    ///
    /// DIR holds data in the replay format, as faultline-coordinator export writes them. Whoever was heard in the day
    /// before DATE, or before the data end, is there. One answer per provider and verdict: detectable or not, the
    /// expected delay, and the least that would change it.
    Readiness(ReadinessArguments),
    /// Judge measurements from a file, without any coordinator
    ///
    /// FILE holds what `faultline-agent check --json` printed, or OONI's measurements: one JSON object a line or one
    /// over many lines, plain or gzipped; - is standard input. OONI's carry what their test helper saw. Without a
    /// control nothing is said to be blocked, only that there is too little to say. Prints one line for each
    /// measurement: what is said, the layer and redirect hop, the rule, and what it rests on.
    Judge(JudgeArguments),
    /// Answer every question of an incident
    ///
    /// How much together it began and was restored, what was singled out, fault or filtering, how long before what was
    /// announced, hours lost, users, what it resembles, and what becomes of claims. Each answer names the alternative that
    /// it was tested against. No answer says why: the cause is UNKNOWN unless operators attached somebody's statement.
    Explain(ExplainArguments),
    /// Say whether one provider did as the others of an incident
    Compare(CompareArguments),
    /// Keep the calendar of announced events (operators)
    #[command(subcommand)]
    Calendar(CalendarCommand),
    /// Note claims by others, and answer their parts (operators)
    #[command(subcommand)]
    Claim(ClaimCommand),
    /// Attach sources to an incident (operators)
    #[command(subcommand)]
    Incident(IncidentCommand),
    /// Lay others' data along an incident's clock: what disagrees, agrees, or could not see it
    Corroborate(CorroborateArguments),
    /// Write measurements in OONI's format, or incidents in other registers' forms
    ///
    /// With --format: incidents as Access Now's STOP columns (CSV), Cloudflare Radar's outages or IODA's events (JSON),
    /// one or all of a country. Else FILE holds what `faultline-agent check --json` printed, one JSON object a line or over many lines; - is standard
    /// input. Prints one of OONI's measurements a line: `web` as web_connectivity, `quic` and `throughput` as
    /// urlgetter. Checks of circumvention are left out, because the host that was tried is nothing for the public.
    /// The volunteer's address is in none of them.
    Export(ExportArguments),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Format {
    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CircumventionArguments {
    /// Country, as two letters
    #[arg(value_name = "CC")]
    pub country: String,
    /// Let everybody know what came so far of this protocol class, such as openvpn_udp
    #[arg(long, value_name = "CLASS")]
    pub release: Option<String>,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct InitArguments {
    /// The credential that the coordinator wrote into its data folder at its first start
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct InviteArguments {
    /// Country in which the agent stands, as two letters, such as PK
    #[arg(long, value_name = "CC")]
    pub country: String,
    /// Network that you expect, where you know it
    #[arg(long, value_name = "ASN", default_value_t = 0, hide_default_value = true)]
    pub asn: u32,
    /// For a control: a vantage point of your own, outside the censor's reach
    #[arg(long)]
    pub control: bool,
    /// How many invites
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub count: u32,
    /// Name for the people who get them; one cohort never counts as independent strangers
    #[arg(long, value_name = "NAME", default_value = "")]
    pub cohort: String,
    /// Days until an unused invite lapses
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=90))]
    pub valid_days: u32,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ListCommand {
    /// Check, sign and push a task list
    ///
    /// FILE is TOML (see lists/core.toml) or Citizen Lab CSV (columns url and category_code; every URL becomes
    /// a service of its own), a path or an http(s) address. Several files are joined; the settings come from
    /// the first TOML. Prints what changes and what the list costs the volunteers of each provider, and
    /// refuses what does not fit their budget.
    Push(PushArguments),
    /// Show the list in force
    Show(Format),
    /// Say what pushing a list would change
    Diff(DiffArguments),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SourceArguments {
    /// Task list, TOML or Citizen Lab CSV: a path or an http(s) address
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<String>,
    /// Seconds within which every target is measured once per provider (instead of the file's)
    #[arg(long, value_name = "S")]
    pub cell_period: Option<u32>,
    /// Allow a category that is refused by default (repeatable); say why in your records
    #[arg(long, value_name = "CODE")]
    pub allow_category: Vec<String>,
    /// Leave out targets of categories that are refused by default
    #[arg(long)]
    pub skip_refused: bool,
    /// Leave out CSV rows that are no valid target, instead of refusing the file
    #[arg(long)]
    pub skip_invalid: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PushArguments {
    #[command(flatten)]
    pub source: SourceArguments,
    /// Look only at this country's agents when warning of providers with too few
    #[arg(long, value_name = "CC")]
    pub country: Option<String>,
    /// Say what would happen and push nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Confirm a list that removes more than half of the targets in force
    #[arg(long)]
    pub yes: bool,
    /// Accept a list beyond the volunteers' budget; cells get slower, budgets are kept
    #[arg(long)]
    pub accept_over_budget: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DiffArguments {
    #[command(flatten)]
    pub source: SourceArguments,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct StatusArguments {
    /// Country as two letters, such as PK
    #[arg(value_name = "COUNTRY")]
    pub country: String,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct IncidentsArguments {
    /// Only this country, as two letters
    #[arg(long, value_name = "CC")]
    pub country: Option<String>,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct WatchArguments {
    /// Only this country, as two letters
    #[arg(long, value_name = "CC")]
    pub country: Option<String>,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CountryCommand {
    /// Draft a profile from tables of networks, users and transit
    ///
    /// The tables are CSV files with a header. Names: asn, name, and where known operator (networks of one company)
    /// and access (fixed or mobile). Shares: asn, and share (0 to 1) or percent, and where known source.
    /// Upstreams: asn, upstream, and where known weight (share of paths, 0 to 1). The draft is TOML.
    Init(Box<CountryInitArguments>),
    /// Say what a profile leaves unsaid, and which verdicts that disables
    ///
    /// Exits with 0 if nothing is missing that a verdict needs, with 1 if something is, with 65 if the file is no
    /// profile.
    Check(ProfileCheckArguments),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CountryInitArguments {
    /// Country as two letters, such as PK
    #[arg(value_name = "CC")]
    pub country: String,
    /// Table of the country's networks
    #[arg(long, value_name = "CSV")]
    pub asn_names: PathBuf,
    /// Table of the networks' shares of users
    #[arg(long, value_name = "CSV")]
    pub shares: Option<PathBuf>,
    /// Table of who buys transit from whom
    #[arg(long, value_name = "CSV")]
    pub upstreams: Option<PathBuf>,
    /// The country's name in English
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Minutes to add to UTC for local time
    #[arg(long, value_name = "MINUTES", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-840..=840))]
    pub utc_offset: Option<i32>,
    /// The short name of local time, such as PKT
    #[arg(long, value_name = "NAME")]
    pub time_zone: Option<String>,
    /// How dangerous measuring is for volunteers
    #[arg(long, value_name = "TIER")]
    pub risk_tier: Option<Tier>,
    /// Languages of volunteers as ISO 639 codes, separated by commas
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub languages: Vec<String>,
    /// Where the tables come from [default: their file names]
    #[arg(long, value_name = "TEXT")]
    pub source: Option<String>,
    /// The state that the tables describe, such as 2026-06
    #[arg(long, value_name = "DATE")]
    pub as_of: Option<String>,
    /// Where the draft goes; - is standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Overwrite that file
    #[arg(long)]
    pub force: bool,
}

/// How dangerous measuring is.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Tier {
    /// Nobody is known to have had trouble for measuring
    Standard,
    /// The law or its practice threatens those who look
    High,
}

impl From<Tier> for faultline_model::RiskTier {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::Standard => Self::Standard,
            Tier::High => Self::High,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ProfileCheckArguments {
    /// The profile
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ImportArguments {
    /// Measurements in the replay format: a file, or a folder with measurements.jsonl, plain or gzipped
    #[arg(value_name = "DIR|FILE")]
    pub from: PathBuf,
    /// Where they come from, for people [default: the name of the file or folder]
    #[arg(long, value_name = "TEXT")]
    pub source: Option<String>,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ReadinessArguments {
    /// The country, as two letters
    #[arg(value_name = "CC")]
    pub country: String,
    /// Folder with recorded data
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The moment asked about, RFC 3339 [default: the end of the data]
    #[arg(long, value_name = "DATE")]
    pub at: Option<Timestamp>,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ReplayArguments {
    /// Folder with the recorded data
    #[arg(value_name = "DIR", required_unless_present = "ooni")]
    pub dir: Option<PathBuf>,
    /// OONI's data instead: measurement JSON lines or observation CSV, plain or gzipped
    ///
    /// Their rows carry no agent. Each measurement is one anonymous vote, capped per network and hour, and the
    /// windows stretch to the density of the data. Networks of one organisation are one provider.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "dir")]
    pub ooni: Vec<PathBuf>,
    /// With --ooni: a country's profile, which says whose networks are whose
    #[arg(long, value_name = "TOML", requires = "ooni")]
    pub profile: Option<PathBuf>,
    /// Where the incidents go; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub out: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct JudgeArguments {
    /// Measurements: a file, - for standard input, or a folder of JSON files
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Take everything for OONI's measurements (otherwise each is told by what it holds)
    #[arg(long)]
    pub ooni: bool,
    /// A control's measurements of the same targets, from outside the censor's reach (repeatable)
    #[arg(long, value_name = "FILE")]
    pub control: Vec<PathBuf>,
    /// Folder with fingerprints of block pages and forged answers, in the formats of OONI and Censored Planet
    #[arg(long, value_name = "DIR")]
    pub fingerprints: Option<PathBuf>,
    /// Print one table of all, beside what OONI's probe said
    #[arg(long, conflicts_with = "json")]
    pub table: bool,
    /// With --table: what is true of each file, as CSV with the columns case (its name), truth and v5
    #[arg(long, value_name = "CSV", requires = "table")]
    pub truth: Option<PathBuf>,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ExportArguments {
    /// Measurements: a file, or - for standard input
    #[arg(value_name = "FILE", required_unless_present = "form")]
    pub file: Option<PathBuf>,
    /// In OONI's format, data format 0.2.0
    #[arg(long, required_unless_present = "form")]
    pub ooni: bool,
    /// Incidents instead, in this form: stop, radar or ioda
    #[arg(id = "form", long = "format", value_name = "FORM", conflicts_with_all = ["ooni", "file"])]
    pub form: Option<String>,
    /// With --format: this incident (repeatable) [default: all of --country that were not withdrawn]
    #[arg(long, value_name = "ID", requires = "form")]
    pub incident: Vec<String>,
    /// A control's measurements of the same targets, written where OONI has its test helper's (repeatable)
    #[arg(long, value_name = "FILE")]
    pub control: Vec<PathBuf>,
    /// Country in which it was measured, as two letters
    #[arg(long, value_name = "CC")]
    pub country: Option<String>,
    /// Network from which it was measured
    #[arg(long, value_name = "ASN")]
    pub asn: Option<u32>,
    /// That network's name
    #[arg(long, value_name = "NAME", default_value = "")]
    pub network_name: String,
    /// Write checks of ways around censorship too: the lines name the hosts that were tried, and are not for the public
    #[arg(long)]
    pub restricted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_every_command_explains_itself() {
        let mut command = Arguments::command();
        command.clone().debug_assert();
        command.build();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            assert!(sub.get_about().is_some(), "{} has no help", sub.get_name());
        }
    }
}
