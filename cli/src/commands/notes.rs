//! `faultline calendar`, `faultline claim` and `faultline incident`: what operators note beside measurements.

use super::explain::{explained, parsed, whole_id};
use super::incidents::fetch;
use crate::arguments::{
    CalendarCommand, CauseArguments, ClaimArguments, ClaimCommand, EventArguments, IncidentCommand,
    NotesArguments, WithdrawArguments,
};
use crate::connect;
use crate::home::Home;
use crate::output::{moment, print, print_json};
use crate::show::{Align, Table, claim_text};
use crate::trouble::{Exit, Trouble};
use anyhow::Result;
use faultline_analysis::tell::Explanation;
use faultline_model::{Note, NoteBody, Timestamp};
use faultline_proto::convert::note_from_wire;
use faultline_proto::operator::note_body::Body;
use faultline_proto::operator::operator_service_client::OperatorServiceClient;
use faultline_proto::operator::{
    AddNoteRequest, CalendarEvent, CauseSource, Claim, ListNotesRequest, NoteBody as WireBody,
    WithdrawNoteRequest,
};
use serde_json::json;
use tonic::transport::Channel;

type Client = OperatorServiceClient<Channel>;

pub(super) async fn calendar(home: &Home, command: CalendarCommand) -> Result<()> {
    let mut client = connect::operator(home.credential()?).await?;
    match command {
        CalendarCommand::Add(arguments) => add_event(&mut client, &arguments).await,
        CalendarCommand::List(arguments) => list(&mut client, &arguments, true).await,
        CalendarCommand::Remove(arguments) => withdraw(&mut client, &arguments).await,
    }
}

pub(super) async fn claim(home: &Home, api: &str, command: ClaimCommand) -> Result<()> {
    let mut client = connect::operator(home.credential()?).await?;
    match command {
        ClaimCommand::Add(arguments) => add_claim(&mut client, api, &arguments).await,
        ClaimCommand::List(arguments) => list(&mut client, &arguments, false).await,
        ClaimCommand::Withdraw(arguments) => withdraw(&mut client, &arguments).await,
    }
}

pub(super) async fn incident(home: &Home, api: &str, command: IncidentCommand) -> Result<()> {
    let mut client = connect::operator(home.credential()?).await?;
    match command {
        IncidentCommand::Source(arguments) => add_source(&mut client, api, &arguments).await,
        IncidentCommand::WithdrawSource(arguments) => withdraw(&mut client, &arguments).await,
    }
}

async fn add_event(client: &mut Client, arguments: &EventArguments) -> Result<()> {
    let country = super::country(&arguments.country)?.to_string();
    let body = Body::Event(CalendarEvent {
        name: arguments.name.clone(),
        starts_at_ms: arguments.from.unix_ms(),
        ends_at_ms: arguments.to.unix_ms(),
        source: arguments.source.clone(),
    });
    let note = keep(client, country, body).await?;
    if arguments.format.json {
        return print_json(&note);
    }
    print(&format!("noted as {}; it changes no verdict\n", note.id))
}

async fn add_claim(client: &mut Client, api: &str, arguments: &ClaimArguments) -> Result<()> {
    let mut research = connect::research(api).await?;
    let id = match &arguments.incident {
        Some(text) => whole_id(&mut research, text).await?,
        None => {
            let all = fetch(&mut research, "").await?;
            let newest = all.iter().find(|incident| !incident.retracted);
            let newest = newest.ok_or_else(|| {
                Trouble::new(Exit::Data, "there is no incident yet to claim anything about")
            })?;
            anstream::eprintln!("about the newest incident: {} ({})", newest.headline, newest.id);
            newest.id.to_string()
        }
    };
    let body = Body::Claim(Claim {
        incident: id.clone(),
        by: arguments.by.clone(),
        words: arguments.words.clone(),
        source: arguments.source.clone(),
    });
    let note = keep(client, String::new(), body).await?;
    let said: Explanation = parsed(&explained(&mut research, id).await?)?;
    let answer = said.claims.iter().find(|answer| answer.id == note.id);
    let answer = answer.ok_or_else(|| {
        Trouble::new(Exit::Refused, format!("the claim {} was withdrawn before; it is not answered", note.id))
    })?;
    if arguments.format.json {
        return print_json(answer);
    }
    print(&claim_text(answer))
}

async fn add_source(client: &mut Client, api: &str, arguments: &CauseArguments) -> Result<()> {
    let mut research = connect::research(api).await?;
    let id = whole_id(&mut research, &arguments.id).await?;
    let body = Body::Cause(CauseSource {
        incident: id,
        cause: arguments.cause.as_str().to_owned(),
        by: arguments.by.clone(),
        words: arguments.says.clone(),
        source: arguments.url.clone(),
    });
    let note = keep(client, String::new(), body).await?;
    if arguments.format.json {
        return print_json(&note);
    }
    print(&format!("attached as {}: {}, according to {}\n", note.id, arguments.cause.as_str(), arguments.by))
}

async fn keep(client: &mut Client, country: String, body: Body) -> Result<Note, Trouble> {
    let request = AddNoteRequest { country, body: Some(WireBody { body: Some(body) }) };
    let answer = client.add_note(request).await.map_err(|e| Trouble::from_status("keeping the note", &e))?;
    let note = answer.into_inner().note.unwrap_or_default();
    readable(note)
}

fn readable(note: faultline_proto::operator::Note) -> Result<Note, Trouble> {
    note_from_wire(note).map_err(|e| {
        Trouble::new(Exit::Failure, "the coordinator sent a note that this program cannot read").source(e)
    })
}

async fn withdraw(client: &mut Client, arguments: &WithdrawArguments) -> Result<()> {
    let answer = client.withdraw_note(WithdrawNoteRequest { id: arguments.id.clone() }).await;
    answer.map_err(|e| Trouble::from_status("withdrawing the note", &e))?;
    print("withdrawn; it stays readable and counts no more\n")
}

/// Lists a country's events, or its claims and sources.
async fn list(client: &mut Client, arguments: &NotesArguments, events: bool) -> Result<()> {
    let country = super::country(&arguments.country)?.to_string();
    let answer = client.list_notes(ListNotesRequest { country }).await;
    let notes = answer.map_err(|e| Trouble::from_status("listing the notes", &e))?.into_inner().notes;
    let notes: Vec<Note> = notes.into_iter().map(readable).collect::<Result<_, _>>()?;
    let is_wanted = |note: &Note| matches!(note.body, NoteBody::Event(_)) == events;
    let notes: Vec<Note> = notes.into_iter().filter(is_wanted).collect();
    if arguments.format.json {
        return print_json(&json!({ "notes": notes }));
    }
    if notes.is_empty() {
        return print("nothing is noted\n");
    }
    let mut table = Table::new(&[
        ("note", Align::Left),
        (if events { "begins" } else { "incident" }, Align::Left),
        (if events { "ends" } else { "by" }, Align::Left),
        ("what", Align::Left),
        ("source", Align::Left),
        ("state", Align::Left),
    ]);
    notes.iter().for_each(|note| table.row(&row(note)));
    print(&table.to_text())
}

fn row(note: &Note) -> Vec<String> {
    let state =
        note.withdrawn_at.map_or("stands".to_owned(), |at: Timestamp| format!("withdrawn {}", moment(at)));
    let [first, second, what, source] = match &note.body {
        NoteBody::Event(event) => {
            [moment(event.starts_at), moment(event.ends_at), event.name.clone(), event.source.clone()]
        }
        NoteBody::Claim(claim) => {
            [claim.incident.to_string(), claim.by.clone(), claim.words.clone(), claim.source.clone()]
        }
        NoteBody::Cause(cause) => [
            cause.incident.to_string(),
            cause.by.clone(),
            format!("{}: {}", cause.cause.as_str(), cause.words),
            cause.source.clone(),
        ],
    };
    vec![note.id.to_string(), first, second, what, source, state]
}
