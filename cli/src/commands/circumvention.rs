//! `faultline circumvention`: which ways around censorship pass, by protocol class and provider.

use super::country;
use crate::arguments::CircumventionArguments;
use crate::connect;
use crate::home::Home;
use crate::output::{print, print_json};
use crate::show::{Align, Table};
use crate::trouble::Trouble;
use anyhow::Result;
use faultline_model::Timestamp;
use faultline_proto::operator::{CircumventionRow, GetCircumventionRequest, ReleaseCircumventionRequest};
use serde_json::{Value, json};

pub(super) async fn run(home: &Home, arguments: &CircumventionArguments) -> Result<()> {
    let country = country(&arguments.country)?.to_string();
    let mut client = connect::operator(home.credential()?).await?;
    if let Some(class) = &arguments.release {
        let request = ReleaseCircumventionRequest { country, protocol_class: class.clone() };
        let answer = client.release_circumvention(request).await;
        let answer = answer.map_err(|e| Trouble::from_status("releasing results", &e))?.into_inner();
        let until = Timestamp::from_unix_ms(answer.until_ms).to_string();
        if arguments.format.json {
            return print_json(&json!({ "released_until": until }));
        }
        return print(&format!("public now: {class}, what came by {until}\n"));
    }
    let answer = client.get_circumvention(GetCircumventionRequest { country }).await;
    let rows = answer.map_err(|e| Trouble::from_status("reading results", &e))?.into_inner().rows;
    if arguments.format.json {
        return print_json(&json!({ "rows": rows.iter().map(to_json).collect::<Vec<_>>() }));
    }
    if rows.is_empty() {
        return print("no results yet; a list has to name endpoints, and volunteers have to opt in\n");
    }
    let mut table = Table::new(&[
        ("handshake to an unlisted host", Align::Left),
        ("provider", Align::Left),
        ("passed", Align::Right),
        ("blocked", Align::Right),
        ("unclear", Align::Right),
        ("held back", Align::Right),
        ("how", Align::Left),
    ]);
    for row in &rows {
        table.row(&[
            row.protocol_class.clone(),
            format!("{} AS{}", row.operator, row.asn),
            row.passed.to_string(),
            row.blocked.to_string(),
            row.unclear.to_string(),
            row.held_back.to_string(),
            row.rules.join(", "),
        ]);
    }
    print(&table.to_text())
}

fn to_json(row: &CircumventionRow) -> Value {
    let at = |ms| Timestamp::from_unix_ms(ms).to_string();
    json!({
        "class": row.protocol_class, "operator": row.operator, "asn": row.asn, "passed": row.passed,
        "blocked": row.blocked, "unclear": row.unclear, "rules": row.rules, "held_back": row.held_back,
        "first": at(row.first_ms), "last": at(row.last_ms),
    })
}
