//! `faultline country`: draft a country's profile, and say what it leaves unsaid.

use crate::arguments::{CountryCommand, CountryInitArguments, ProfileCheckArguments};
use crate::country::{Draft, draft, names, shares, upstreams};
use crate::output::{counted, print, print_json};
use crate::trouble::{Exit, Trouble};
use anyhow::{Context, Result};
use faultline_analysis::profile::{Gap, gaps};
use faultline_model::{CountryProfile, Source, Verdict};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn run(command: CountryCommand) -> Result<()> {
    match command {
        CountryCommand::Init(arguments) => init(*arguments),
        CountryCommand::Check(arguments) => check(&arguments),
    }
}

fn init(arguments: CountryInitArguments) -> Result<()> {
    let country = super::country(&arguments.country)?;
    let source = |about: &[&str], path: &Path| Source {
        about: about.iter().map(|about| (*about).to_owned()).collect(),
        name: arguments.source.clone().unwrap_or_else(|| file_name(path)),
        as_of: arguments.as_of.clone().unwrap_or_default(),
    };
    let mut sources = vec![source(&["names", "families", "access"], &arguments.asn_names)];
    let shares = match &arguments.shares {
        None => Vec::new(),
        Some(path) => {
            sources.push(source(&["user_share"], path));
            shares(path)?
        }
    };
    let upstreams = match &arguments.upstreams {
        None => Vec::new(),
        Some(path) => {
            sources.push(source(&["upstreams", "gateways"], path));
            upstreams(path)?
        }
    };
    let profile = draft(Draft {
        country,
        name: arguments.name,
        utc_offset_min: arguments.utc_offset.unwrap_or(0),
        time_zone: arguments.time_zone,
        risk_tier: arguments.risk_tier.map(Into::into),
        languages: arguments.languages,
        networks: names(&arguments.asn_names)?,
        shares,
        upstreams,
        sources,
    });
    profile.validate().map_err(|e| Trouble::new(Exit::Data, "the tables contradict each other").source(e))?;
    let text = write(&profile)?;
    if let Some(out) = arguments.out.as_deref().filter(|out| *out != Path::new("-")) {
        if out.exists() && !arguments.force {
            return Err(Trouble::new(Exit::Refused, format!("{} is there already", out.display()))
                .hint("give another name, or --force")
                .into());
        }
        std::fs::write(out, text).with_context(|| format!("writing {}", out.display()))?;
    } else {
        print(&text)?;
    }
    anstream::eprintln!(
        "{}, {}; review the draft, then run `faultline country check`",
        counted(profile.operators.len() as u64, "operator"),
        counted(profile.gateways.len() as u64, "gateway"),
    );
    Ok(())
}

/// Writes a profile with what is still to do as comments.
fn write(profile: &CountryProfile) -> Result<String> {
    let mut text = format!(
        "# Country profile of {}, drafted by `faultline country init`. Review every line.\n",
        profile.name
    );
    for gap in gaps(profile) {
        let _ = writeln!(text, "# To do: {}: {}.", gap.key, gap.missing);
    }
    text.push('\n');
    text.push_str(&toml::to_string_pretty(profile).context("writing TOML")?);
    Ok(text)
}

fn file_name(path: &Path) -> String {
    path.file_name().and_then(|name| name.to_str()).unwrap_or("a table").to_owned()
}

/// What `country check` says to programs.
#[derive(Debug, Serialize)]
struct Report {
    country: String,
    is_complete: bool,
    operators: usize,
    networks: usize,
    gateways: usize,
    gaps: Vec<Gap>,
    disabled: BTreeSet<Verdict>,
}

fn check(arguments: &ProfileCheckArguments) -> Result<()> {
    let profile = crate::profile::read(&arguments.file)?;
    let gaps = gaps(&profile);
    let disabled: BTreeSet<Verdict> = gaps.iter().flat_map(|gap| gap.disables.iter().copied()).collect();
    let report = Report {
        country: profile.country.to_string(),
        is_complete: disabled.is_empty(),
        operators: profile.operators.len(),
        networks: profile.operators.iter().map(|operator| operator.asns.len()).sum(),
        gateways: profile.gateways.len(),
        gaps,
        disabled,
    };
    if arguments.format.json {
        print_json(&report)?;
    } else {
        print(&describe(&report, &profile.name))?;
    }
    if report.is_complete {
        return Ok(());
    }
    let verdicts: Vec<&str> = report.disabled.iter().map(|verdict| verdict.as_str()).collect();
    Err(Trouble::new(Exit::Failure, format!("the profile is incomplete; weakened: {}", verdicts.join(", ")))
        .into())
}

fn describe(report: &Report, name: &str) -> String {
    let mut text = format!(
        "{name}: {} with {}, {}\n",
        counted(report.operators as u64, "operator"),
        counted(report.networks as u64, "network"),
        counted(report.gateways as u64, "gateway"),
    );
    for gap in &report.gaps {
        let _ = writeln!(text, "- {}: {}; {}", gap.key, gap.missing, gap.consequence);
        if !gap.disables.is_empty() {
            let verdicts: Vec<&str> = gap.disables.iter().map(|verdict| verdict.as_str()).collect();
            let _ = writeln!(text, "  disables or weakens: {}", verdicts.join(", "));
        }
    }
    if report.gaps.is_empty() {
        text.push_str("nothing is missing\n");
    }
    text
}
