//! `join`: consent, device key, enrolment.

use super::print::say;
use super::{Failed, Join, usage};
use crate::consent::{Consent, ConsentText};
use crate::state::{AgentRecord, Home};
use crate::uplink::{Enrolment, enrol};
use anyhow::Context;
use data_encoding::BASE64;
use faultline_model::CheckKind;
use faultline_runtime::{Invite, LogFormat, init_telemetry, now};
use std::io::IsTerminal;
use std::path::Path;

pub(super) async fn execute(home: &Path, arguments: &Join) -> Result<(), Failed> {
    init_telemetry("warn", LogFormat::Text);
    let invite = Invite::parse(&arguments.invite).map_err(usage)?;
    match (invite.control, arguments.control) {
        (true, false) => return Err(usage("this invite is for a control vantage point; add --control")),
        (false, true) => return Err(usage("this invite is not for a control; leave out --control")),
        _ => {}
    }
    if home.join("agent.json").exists() {
        let place = home.display();
        return Err(usage(format!(
            "an agent has joined in {place} already; leave first, or choose another --home"
        )));
    }
    let consent_version = if invite.control { String::new() } else { consent(arguments.accept_consent)? };
    let home = Home::create(home)?;
    // An invite is good for one agent; it must not be spent on one whose key cannot be kept.
    home.prove_writable()?;
    let enrolment = Enrolment {
        check_kinds: vec![CheckKind::Web.to_string()],
        budget: arguments.budget.class(),
        consent_version: consent_version.clone(),
    };
    let enrolled = enrol(&invite, enrolment).await?;
    let record = AgentRecord {
        agent_id: enrolled.agent_id,
        ca: BASE64.encode(&invite.ca()),
        addresses: invite.addresses,
        operators: invite.operators,
        country: invite.country,
        control: invite.control,
        budget: arguments.budget,
        consent_version,
        joined_at: now(),
    };
    home.save_agent(&record, &enrolled.identity)?;
    say(format_args!("Joined as {}. Start measuring with: faultline-agent run", record.agent_id));
    Ok(())
}

/// Asks for consent and returns the version of the text that was agreed to.
fn consent(is_accepted: bool) -> Result<String, Failed> {
    let text = ConsentText::english();
    let mut output = std::io::stdout();
    if is_accepted {
        text.print(&mut output).context("cannot show the consent text")?;
        say(format_args!("Agreed to by --accept-consent."));
        return Ok(text.version);
    }
    if !std::io::stdin().is_terminal() {
        text.print(&mut output).context("cannot show the consent text")?;
        return Err(usage(
            "taking part needs consent; run this in a terminal, or agree with --accept-consent",
        ));
    }
    match text.ask(&mut std::io::stdin().lock(), &mut output).context("cannot ask for consent")? {
        Consent::Given => Ok(text.version),
        Consent::Refused => Err(usage("without consent nothing is measured; nothing was changed")),
        Consent::Misunderstood => {
            Err(usage("that answer is not right; please read the statements again before joining"))
        }
    }
}
