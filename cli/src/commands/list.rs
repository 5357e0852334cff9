//! `faultline list push|show|diff`.

use crate::arguments::{DiffArguments, ListCommand, PushArguments, SourceArguments};
use crate::connect;
use crate::home::Home;
use crate::list::{Diff, Draft, Fault, Need, Policy, cost_table, fetch, parse, refuse};
use crate::output::{counted, moment, print, print_json};
use crate::show::{Align, Table};
use crate::trouble::{Exit, Trouble};
use anyhow::Result;
use faultline_model::{SignedList, TaskList};
use faultline_proto::convert::{list_from_wire, list_to_wire};
use faultline_proto::operator::operator_service_client::OperatorServiceClient;
use faultline_proto::operator::{GetTaskListRequest, ListAgentsRequest, PushTaskListRequest};
use faultline_runtime::{OperatorRoot, now};
use serde_json::json;
use std::fmt::Write;
use tonic::transport::Channel;

type Client = OperatorServiceClient<Channel>;

pub(super) async fn run(home: &Home, command: ListCommand) -> Result<()> {
    match command {
        ListCommand::Push(arguments) => push(home, arguments).await,
        ListCommand::Show(format) => show(home, format.json).await,
        ListCommand::Diff(arguments) => diff(home, arguments).await,
    }
}

/// The list in force, with what its signatures are worth to this operator.
struct Held {
    signed: SignedList,
    list: TaskList,
    is_ours: bool,
}

async fn held(client: &mut Client, root: &OperatorRoot) -> Result<Option<Held>, Trouble> {
    let answer = client.get_task_list(GetTaskListRequest {}).await;
    let answer = answer.map_err(|e| Trouble::from_status("reading the list in force", &e))?.into_inner();
    let Some(signed) = answer.list.filter(|list| !list.document.is_empty()) else { return Ok(None) };
    let odd = |e: String| Trouble::new(Exit::Failure, format!("the list in force cannot be read: {e}"));
    let signed = list_from_wire(signed).map_err(|e| odd(e.to_string()))?;
    let is_ours = root.verify(&signed).is_ok();
    let list = TaskList::from_bytes(&signed.document).map_err(|e| odd(e.to_string()))?;
    Ok(Some(Held { signed, list, is_ours }))
}

/// Reads, joins and checks the files that were named.
async fn read(arguments: &SourceArguments) -> Result<Draft, Trouble> {
    let policy = Policy::new(&arguments.allow_category, arguments.skip_refused)
        .map_err(|e| Trouble::new(Exit::Data, format!("--allow-category: {e}")))?;
    let (mut drafts, mut invalid) = (Vec::new(), Vec::new());
    for source in &arguments.files {
        let text = fetch(source).await?;
        let (draft, bad) = parse(source, &text).map_err(|faults| refuse(&faults))?;
        drafts.push(draft);
        invalid.extend(bad);
    }
    if !invalid.is_empty() && !arguments.skip_invalid {
        return Err(refuse(&invalid).hint("mend these rows, or leave them out with --skip-invalid"));
    }
    let joined = Draft::join(drafts, &stem(&arguments.files)).map_err(|faults| refuse(&faults))?;
    if joined.repeated > 0 {
        anstream::eprintln!(
            "left out: {} that an earlier file has already",
            counted(joined.repeated as u64, "row")
        );
    }
    let mut draft = joined.draft;
    if let (Some(period), Some(settings)) = (arguments.cell_period, draft.settings.as_mut()) {
        settings.limits.cell_period_s = period;
    }
    note(&invalid, &policy.skip(&mut draft));
    let refused: Vec<Fault> = policy.refused(&draft);
    if !refused.is_empty() {
        return Err(Trouble::new(Exit::Refused, refuse(&refused).to_string())
            .hint("allow one with --allow-category CODE, or leave all of them out with --skip-refused"));
    }
    if draft.entries.is_empty() {
        return Err(Trouble::new(Exit::Data, "the list has no targets").hint(
            "agents keep the list they have; to stop measuring, let it lapse or stop the coordinator",
        ));
    }
    Ok(draft)
}

/// Says on standard error what was left out.
fn note(invalid: &[Fault], skipped: &std::collections::BTreeMap<String, usize>) {
    for fault in invalid {
        anstream::eprintln!("left out: {fault}");
    }
    for (category, count) in skipped {
        anstream::eprintln!("left out: {count} of category {category}");
    }
}

/// Names a list without a name of its own after its first file.
fn stem(files: &[String]) -> String {
    let file = files.first().map_or("list", String::as_str);
    let file = file.split(['?', '#']).next().unwrap_or(file).rsplit('/').next().unwrap_or(file);
    let stem = file.split('.').next().unwrap_or_default();
    if stem.is_empty() { "list".to_owned() } else { stem.chars().take(40).collect() }
}

async fn push(home: &Home, arguments: PushArguments) -> Result<()> {
    let draft = read(&arguments.source).await?;
    let country = super::country_filter(arguments.country.as_deref())?;
    let country = Some(country.as_str()).filter(|country| !country.is_empty());
    let (key, root) = (home.key()?, home.root()?);
    let mut client = connect::operator(home.credential()?).await?;
    let held = held(&mut client, &root).await?;
    if !draft.has_canary() {
        anstream::eprintln!(
            "note: no target has the category CTRL. Without canaries a failing line looks like blocking; \
             join lists/core.toml, as in: faultline list push lists/core.toml {}",
            arguments.source.files.join(" ")
        );
    }
    let version = held.as_ref().map_or(0, |held| held.list.version) + 1;
    let list = draft.into_list(version, now());
    list.validate().map_err(|e| Trouble::new(Exit::Data, e.to_string()))?;
    let diff = Diff::between(held.as_ref().map(|held| &held.list), &list);
    let need = Need::of(&list);
    print(&format!("{}{}", diff.to_text(), need.to_text()))?;
    warn_of_few(&mut client, need, country).await?;
    if diff.is_drastic() && !arguments.yes {
        let message = format!("{} of {} targets in force would go", diff.removed.len(), diff.held);
        return Err(Trouble::new(Exit::Refused, message)
            .hint("if that is meant, push again with --yes")
            .into());
    }
    if arguments.dry_run {
        return print("dry run: nothing was pushed\n");
    }
    let document = list.to_bytes();
    let signed = SignedList { signatures: vec![key.sign(&document)], document };
    root.verify_newer(&signed, version - 1, now())
        .map_err(|e| Trouble::new(Exit::Config, "agents would refuse this list").source(e))?;
    let request = PushTaskListRequest {
        list: Some(list_to_wire(signed)),
        operator_root: root.to_json(),
        accept_over_budget: arguments.accept_over_budget,
    };
    let answer = client.push_task_list(request).await.map_err(|e| refused(&e))?.into_inner();
    let mut text = String::new();
    if !answer.costs.is_empty() {
        let _ = write!(text, "\n{}", cost_table(&answer.costs));
    }
    let _ = writeln!(
        text,
        "\nversion {} of {:?} is in force until {}",
        answer.version,
        list.name,
        moment(list.expires_at)
    );
    print(&text)
}

fn refused(status: &tonic::Status) -> Trouble {
    let trouble = Trouble::from_status("pushing the list", status);
    if status.code() == tonic::Code::FailedPrecondition {
        return trouble.hint(
            "fewer targets, a longer --cell-period or more agents make it fit; --accept-over-budget keeps the \
             volunteers' budgets and makes cells slower",
        );
    }
    trouble
}

async fn warn_of_few(client: &mut Client, need: Need, country: Option<&str>) -> Result<(), Trouble> {
    let answer = client.list_agents(ListAgentsRequest {}).await;
    let agents = answer.map_err(|e| Trouble::from_status("listing the agents", &e))?.into_inner().agents;
    let few = need.short_of(&agents, country);
    if !few.is_empty() {
        anstream::eprintln!("too few agents to keep the period: {}", few.join(", "));
    }
    Ok(())
}

async fn diff(home: &Home, arguments: DiffArguments) -> Result<()> {
    let draft = read(&arguments.source).await?;
    let mut client = connect::operator(home.credential()?).await?;
    let held = held(&mut client, &home.root()?).await?;
    let version = held.as_ref().map_or(0, |held| held.list.version) + 1;
    let diff = Diff::between(held.as_ref().map(|held| &held.list), &draft.into_list(version, now()));
    if arguments.format.json { print_json(&diff) } else { print(&diff.to_text()) }
}

async fn show(home: &Home, as_json: bool) -> Result<()> {
    let mut client = connect::operator(home.credential()?).await?;
    let Some(held) = held(&mut client, &home.root()?).await? else {
        return if as_json {
            print_json(&json!({ "list": null }))
        } else {
            print("no list is in force; `faultline list push lists/core.toml` pushes the shipped one\n")
        };
    };
    if as_json {
        let signers: Vec<&str> = held.signed.signatures.iter().map(|s| s.key_id.as_str()).collect();
        return print_json(&json!({ "list": held.list, "signed_by": signers, "signed_by_us": held.is_ours }));
    }
    print(&show_text(&held))
}

fn show_text(held: &Held) -> String {
    let list = &held.list;
    let mut text = format!(
        "{:?} version {}, issued {}, lapses {}\n",
        list.name,
        list.version,
        moment(list.issued_at),
        moment(list.expires_at)
    );
    let signers: Vec<String> =
        held.signed.signatures.iter().map(|s| s.key_id.chars().take(16).collect()).collect();
    let ours =
        if held.is_ours { "enough by this operator's root" } else { "NOT enough by this operator's root" };
    let _ = writeln!(text, "signed by {} ({ours})", signers.join(", "));
    let limits = list.limits;
    let _ = writeln!(
        text,
        "every target once in {} s per provider, never twice in {} s by one agent; resolvers: {}\n",
        limits.cell_period_s,
        limits.min_interval_s,
        list.resolvers.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(", ")
    );
    let mut table = Table::new(&[
        ("service", Align::Left),
        ("category", Align::Left),
        ("role", Align::Left),
        ("target", Align::Left),
    ]);
    for spec in &list.targets {
        table.row(&[
            spec.service_name.clone(),
            spec.category.to_string(),
            spec.role.as_str().to_owned(),
            spec.target.to_string(),
        ]);
    }
    text + &table.to_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_without_a_name_is_called_after_its_file() {
        let name = |file: &str| stem(&[file.to_owned()]);
        assert_eq!(name("lists/pk.csv"), "pk");
        assert_eq!(name("https://lists.example/x/global.csv?raw=1"), "global");
        assert_eq!(name("https://lists.example/"), "list");
    }
}
