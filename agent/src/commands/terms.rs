//! `terms`: shows and changes the volunteer's terms. A running agent puts them in force within seconds.

use super::print::say;
use super::{Failed, usage};
use crate::policy::terms::{CIRCUMVENTION, KEYS, Key, SENSITIVE, Sensitive};
use crate::state::Home;
use anyhow::Context;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

#[derive(Serialize)]
struct Shown {
    terms: BTreeMap<&'static str, Vec<String>>,
    /// What needs its own opt-in, with what it can cost.
    opt_ins: Vec<OptIn>,
}

#[derive(Serialize)]
struct OptIn {
    code: &'static str,
    name: &'static str,
    cost: &'static str,
    is_allowed: bool,
}

pub(super) fn show(home: &Path, json: bool) -> Result<(), Failed> {
    let terms = Home::open(home)?.terms()?;
    let opt_in = |sensitive: &Sensitive| {
        let Sensitive { code, name, cost } = *sensitive;
        let is_allowed = terms.allow_categories.contains(code) || terms.allow_checks.contains(code);
        OptIn { code, name, cost, is_allowed }
    };
    let opt_ins: Vec<OptIn> = SENSITIVE.iter().chain(CIRCUMVENTION).map(opt_in).collect();
    if json {
        let terms = KEYS.iter().map(|(key, name, _)| (*name, terms.get(*key))).collect();
        say(format_args!("{}", serde_json::to_string(&Shown { terms, opt_ins })?));
        return Ok(());
    }
    for (key, name, meaning) in KEYS {
        let values = terms.get(*key).join(" ");
        let value = if values.is_empty() { "-" } else { &values };
        say(format_args!("{name:<18} {value:<16} {meaning}"));
    }
    say(format_args!("\nEach of these needs its own opt-in (categories where the country's risk is high):"));
    for OptIn { code, name, cost, is_allowed } in opt_ins {
        let mark = if is_allowed { "allowed" } else { "-" };
        say(format_args!("{code:<10} {mark:<8} {name}: {cost}"));
    }
    Ok(())
}

pub(super) fn set(
    home: &Path,
    (name, values): (&str, &[String]),
    understood: bool,
    json: bool,
) -> Result<(), Failed> {
    let home = Home::open(home)?;
    let mut terms = home.terms()?;
    let key = Key::named(name).map_err(usage)?;
    let agreed = terms.agrees_to(key, values);
    terms.set(key, values).map_err(usage)?;
    if !agreed.is_empty() && !understood && !confirm(&agreed)? {
        say(format_args!("Nothing was changed."));
        return Ok(());
    }
    home.save_terms(&terms)?;
    if json {
        return show(home.dir(), true);
    }
    let value = terms.get(key).join(" ");
    say(format_args!("{name} = {}", if value.is_empty() { "-" } else { &value }));
    Ok(())
}

/// Says what agreeing can cost, and asks for each.
fn confirm(agreed: &[&Sensitive]) -> Result<bool, Failed> {
    let is_asked = std::io::stdin().is_terminal();
    for Sensitive { code, name, cost } in agreed {
        say(format_args!("{code} ({name}): {cost}"));
        if !is_asked {
            continue;
        }
        print!("Measure this all the same? (yes/no) ");
        std::io::stdout().flush().context("cannot ask")?;
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).context("cannot read the answer")?;
        if !line.trim().eq_ignore_ascii_case("yes") {
            return Ok(false);
        }
    }
    if is_asked {
        Ok(true)
    } else {
        Err(usage("this can cost you something; read the above and add --understood"))
    }
}
