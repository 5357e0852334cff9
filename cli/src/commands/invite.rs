//! `faultline invite`.

use crate::arguments::InviteArguments;
use crate::connect;
use crate::home::Home;
use crate::output::{print, print_json};
use crate::trouble::{Exit, Trouble};
use anyhow::Result;
use faultline_model::Asn;
use faultline_proto::operator::CreateInvitesRequest;
use faultline_runtime::Invite;
use rustls_pki_types::CertificateDer;
use serde_json::json;

pub(super) async fn run(home: &Home, arguments: InviteArguments) -> Result<()> {
    let country = super::country(&arguments.country)?;
    if arguments.asn != 0 {
        Asn::new(arguments.asn).map_err(|e| Trouble::new(Exit::Data, format!("--asn: {e}")))?;
    }
    let root = home.root()?;
    let mut client = connect::operator(home.credential()?).await?;
    let request = CreateInvitesRequest {
        count: arguments.count,
        country: country.to_string(),
        asn: arguments.asn,
        control: arguments.control,
        cohort: arguments.cohort,
        valid_for_s: arguments.valid_days * 86_400,
    };
    let answer = client.create_invites(request).await;
    let answer = answer.map_err(|e| Trouble::from_status("making invites", &e))?.into_inner();
    let authority = CertificateDer::from(answer.ca_certificate);
    let invites = answer.tokens.into_iter().map(|token| {
        let place = (country, arguments.control);
        Invite::new(answer.addresses.clone(), &authority, token, place, root.clone()).to_string()
    });
    let invites: Vec<String> = invites.collect();
    if arguments.format.json {
        let entry = |invite: &String| {
            json!({
                "invite": invite, "country": country, "control": arguments.control, "asn": arguments.asn,
                "valid_days": arguments.valid_days,
            })
        };
        return print_json(&json!({ "invites": invites.iter().map(entry).collect::<Vec<_>>() }));
    }
    print(&(invites.join("\n") + "\n"))?;
    let flag = if arguments.control { " --control" } else { "" };
    let days = arguments.valid_days;
    // On standard error, so that the invites alone can be piped.
    anstream::eprintln!("each enrols one agent within {days} days: faultline-agent join INVITE{flag}");
    Ok(())
}
