//! The matrix: one row per provider, one column per service, one word per cell.
//!
//! Columns take what the terminal has, at least six characters, so that twelve services and the canaries fit a
//! hundred; on a narrower terminal they continue in a second block. Long service names are broken over two lines.

use super::incident::moment_ms;
use super::table::{Align, length, pad};
use crate::output::{printable, time_of_day};
use faultline_model::Timestamp;
use faultline_proto::research::{CellState, GetMatrixResponse, MatrixCell, MatrixRow};
use owo_colors::OwoColorize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A cell's least and greatest width, without the blank before it.
const CELL_WIDTH: [usize; 2] = [5, 9];
/// Providers' names are cut to make room for the columns, but never below the first.
const NAME_WIDTH: [usize; 2] = [12, 24];
/// The column with the number of agents, with the blank before it.
const AGENTS_WIDTH: usize = 4;
const UNSAID: &str = "-";

fn word(state: CellState) -> &'static str {
    match state {
        CellState::Ok => "ok",
        CellState::Suspected => "susp?",
        CellState::Blocked => "BLOCK",
        CellState::PartlyBlocked => "part",
        CellState::Down => "down",
        CellState::Insufficient => "few",
        CellState::NoData | CellState::Unspecified => UNSAID,
    }
}

/// The state's name for programs.
fn name(state: CellState) -> &'static str {
    match state {
        CellState::Ok => "ok",
        CellState::Suspected => "suspected",
        CellState::Blocked => "blocked",
        CellState::PartlyBlocked => "partly_blocked",
        CellState::Down => "down",
        CellState::Insufficient => "insufficient",
        CellState::NoData | CellState::Unspecified => "no_data",
    }
}

fn paint(state: CellState, text: &str) -> String {
    match state {
        CellState::Ok => text.green().to_string(),
        CellState::Suspected => text.yellow().to_string(),
        CellState::Blocked => text.white().on_red().bold().to_string(),
        CellState::PartlyBlocked => text.red().bold().to_string(),
        CellState::Down => text.blue().bold().to_string(),
        CellState::Insufficient | CellState::NoData | CellState::Unspecified => text.dimmed().to_string(),
    }
}

/// Writes the matrix for people.
pub(crate) fn matrix_text(matrix: &GetMatrixResponse, width: usize) -> String {
    let at = Timestamp::from_unix_ms(matrix.at_ms);
    let title = format!("{}  {}", printable(&matrix.country), crate::output::moment(at));
    let mut text = format!("{}\n\n", title.bold());
    if matrix.services.is_empty() {
        text.push_str(
            "No list is in force yet: `faultline list push lists/core.toml` pushes the shipped one.\n",
        );
        return text;
    }
    if matrix.rows.is_empty() {
        text.push_str(
            "No provider is known here yet. An agent counts for a provider when its network is known: from the\n\
             coordinator's --networks table, or from the invite (`faultline invite --country CC --asn N`).\n",
        );
        return text;
    }
    let longest = matrix.rows.iter().map(|row| length(&row.operator)).max().unwrap_or(0);
    let columns: Vec<usize> = (0..matrix.services.len()).collect();
    let beside = width.saturating_sub(columns.len() * (CELL_WIDTH[0] + 1) + AGENTS_WIDTH);
    let name_width = longest.clamp(8, NAME_WIDTH[1]).min(beside.max(NAME_WIDTH[0]));
    let room = width.saturating_sub(name_width + AGENTS_WIDTH);
    let cell_width = (room / columns.len()).saturating_sub(1).clamp(CELL_WIDTH[0], CELL_WIDTH[1]);
    for block in columns.chunks((room / (cell_width + 1)).max(1)) {
        write_block(&mut text, matrix, block, (name_width, cell_width));
        text.push('\n');
    }
    text.push_str(&details(matrix));
    text.push_str(&legend());
    text
}

fn write_block(
    text: &mut String,
    matrix: &GetMatrixResponse,
    block: &[usize],
    (name_width, cell_width): (usize, usize),
) {
    let names = block.iter().map(|column| broken(&printable(&matrix.services[*column].name), cell_width));
    let (first, second): (String, String) = names
        .map(|(a, b)| [a, b].map(|half| format!(" {}", pad(&half, cell_width, Align::Left))))
        .map(Into::into)
        .unzip();
    let blank = " ".repeat(name_width + 4);
    let heading = format!("{} ag.", pad("provider", name_width, Align::Left));
    if !first.trim().is_empty() {
        let _ = writeln!(text, "{}", format!("{blank}{first}").trim_end().dimmed());
    }
    let _ = writeln!(text, "{}", format!("{heading}{second}").trim_end().dimmed());
    for row in &matrix.rows {
        let operator: String = printable(&row.operator).chars().take(name_width).collect();
        let agents = pad(&row.agents.to_string(), 3, Align::Right);
        let _ = write!(text, "{} {agents}", pad(&operator, name_width, Align::Left));
        for column in block {
            let state = row.cells.get(*column).map_or(CellState::NoData, MatrixCell::state);
            let _ = write!(text, " {}", paint(state, &pad(word(state), cell_width, Align::Left)));
        }
        text.push('\n');
    }
}

/// Breaks a service's name over two lines of a cell's width, at an inner capital letter where there is one.
fn broken(name: &str, width: usize) -> (String, String) {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= width {
        return (String::new(), name.to_owned());
    }
    let inner = (1..letters.len()).find(|i| letters[*i].is_uppercase() || letters[*i - 1] == ' ');
    let cut = inner.filter(|cut| *cut <= width).unwrap_or(width.min(letters.len().div_ceil(2)));
    let text = |part: &[char]| part.iter().collect::<String>().trim().to_owned();
    (text(&letters[..cut]), text(&letters[cut..]).chars().take(width).collect())
}

/// One line per service and state that is not fine: on which providers, since when, by what.
fn details(matrix: &GetMatrixResponse) -> String {
    let mut text = String::new();
    for (column, service) in matrix.services.iter().enumerate() {
        let mut by_state: BTreeMap<i32, Vec<(&MatrixRow, &MatrixCell)>> = BTreeMap::new();
        for row in &matrix.rows {
            let Some(cell) = row.cells.get(column) else { continue };
            if matches!(
                cell.state(),
                CellState::Suspected | CellState::Blocked | CellState::PartlyBlocked | CellState::Down
            ) {
                by_state.entry(cell.state).or_default().push((row, cell));
            }
        }
        for cells in by_state.values() {
            let _ = writeln!(text, "{}", detail(&printable(&service.name), cells, matrix.rows.len()));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn detail(service: &str, cells: &[(&MatrixRow, &MatrixCell)], providers: usize) -> String {
    let state = cells[0].1.state();
    let mut mechanisms: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (row, cell) in cells {
        mechanisms.entry(cell.mechanism.as_str()).or_default().push(printable(&row.operator));
    }
    let by: Vec<String> = mechanisms
        .iter()
        .map(|(mechanism, names)| match mechanism.is_empty() {
            true => names.join(", "),
            false => format!("{} ({})", printable(mechanism), names.join(", ")),
        })
        .collect();
    let since = cells.iter().filter_map(|(_, cell)| moment_ms(cell.since_ms)).min();
    let since = since.map_or_else(String::new, |at| format!(" since {} UTC", time_of_day(at)));
    let state = paint(state, name(state).replace('_', " ").as_str());
    format!("{service}: {state} on {} of {providers}{since}: {}", cells.len(), by.join("; "))
}

fn legend() -> String {
    let entry = |state: CellState, meaning: &str| format!("{} {meaning}", paint(state, word(state)));
    let entries = [
        entry(CellState::Ok, "works"),
        entry(CellState::Blocked, "blocked"),
        entry(CellState::PartlyBlocked, "partly blocked"),
        entry(CellState::Suspected, "being checked"),
        entry(CellState::Down, "site down for all"),
        entry(CellState::Insufficient, "too few agents"),
        entry(CellState::NoData, "no data"),
    ];
    format!("{}\n", entries.join("  "))
}

/// Writes the matrix for programs.
pub(crate) fn matrix_json(matrix: &GetMatrixResponse) -> Value {
    let moment = |ms: i64| moment_ms(ms).map(|at| at.to_string());
    let cell = |(cell, service): (&MatrixCell, &faultline_proto::research::MatrixService)| {
        json!({
            "service": service.id, "state": name(cell.state()), "since": moment(cell.since_ms),
            "results": cell.results, "anomalies": cell.anomalies,
            "mechanism": if cell.mechanism.is_empty() { None } else { Some(&cell.mechanism) },
            "targets": cell.targets,
        })
    };
    let row = |row: &MatrixRow| {
        json!({
            "operator": row.operator, "asn": row.asn, "access": row.access, "user_share": row.user_share,
            "agents": row.agents,
            "cells": row.cells.iter().zip(&matrix.services).map(cell).collect::<Vec<_>>(),
        })
    };
    let services = matrix.services.iter();
    json!({
        "country": matrix.country,
        "at": Timestamp::from_unix_ms(matrix.at_ms).to_string(),
        "services": services.map(|s| json!({"id": s.id, "name": s.name, "category": s.category})).collect::<Vec<_>>(),
        "rows": matrix.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_proto::research::MatrixService;

    fn matrix(services: &[&str], rows: &[(&str, CellState)]) -> GetMatrixResponse {
        let cell = |state: CellState| MatrixCell {
            state: state.into(),
            since_ms: 1_705_758_033_000,
            mechanism: if state == CellState::Blocked { "tls_reset".into() } else { String::new() },
            ..MatrixCell::default()
        };
        GetMatrixResponse {
            country: "PK".into(),
            at_ms: 1_705_758_633_000,
            services: services
                .iter()
                .map(|name| MatrixService { name: (*name).into(), ..Default::default() })
                .collect(),
            rows: rows
                .iter()
                .map(|(operator, state)| MatrixRow {
                    operator: (*operator).into(),
                    agents: 3,
                    cells: services.iter().map(|_| cell(*state)).collect(),
                    ..MatrixRow::default()
                })
                .collect(),
        }
    }

    const CORE: [&str; 13] = [
        "Facebook",
        "Instagram",
        "X",
        "YouTube",
        "TikTok",
        "WhatsApp",
        "Telegram",
        "Signal",
        "Gmail",
        "Google",
        "Wikipedia",
        "BBC",
        "Canary",
    ];

    fn plain(matrix: &GetMatrixResponse, width: usize) -> String {
        anstream::adapter::strip_str(&matrix_text(matrix, width)).to_string()
    }

    #[test]
    fn the_core_list_fits_a_hundred_columns_and_is_broken_into_blocks_on_eighty() {
        let matrix = matrix(&CORE, &[("Cybernet StormFiber", CellState::Ok), ("PTCL", CellState::Ok)]);
        let wide = plain(&matrix, 100);
        let table = |text: &str| {
            text.lines().filter(|line| line.starts_with("PTCL")).map(str::len).collect::<Vec<_>>()
        };
        assert_eq!(table(&wide).len(), 1, "{wide}");
        let narrow = plain(&matrix, 80);
        assert_eq!(table(&narrow).len(), 2, "{narrow}");
        let roomy = plain(&matrix, 120);
        assert!(
            roomy.contains(" Google ") && roomy.contains("StormFiber"),
            "names stay whole where there is room"
        );
        assert!(table(&wide)[0] <= 100 && table(&narrow).iter().all(|len| *len <= 80));
    }

    #[test]
    fn a_block_is_spelt_out_with_providers_time_and_mechanism() {
        let matrix = matrix(&["X"], &[("Nayatel", CellState::Blocked), ("PTCL", CellState::Ok)]);
        let text = plain(&matrix, 100);
        assert!(text.contains("X: blocked on 1 of 2 since 13:40:33 UTC: tls_reset (Nayatel)"), "{text}");
        assert_eq!(matrix_json(&matrix)["rows"][0]["cells"][0]["state"], "blocked");
    }

    #[test]
    fn long_names_are_broken_where_they_have_a_capital_letter() {
        let halves = |name| broken(name, 5);
        assert_eq!(halves("YouTube"), ("You".into(), "Tube".into()));
        assert_eq!(halves("Wikipedia"), ("Wikip".into(), "edia".into()));
        assert_eq!(halves("Facebook"), ("Face".into(), "book".into()));
        assert_eq!(halves("BBC"), (String::new(), "BBC".into()));
    }

    #[test]
    fn an_empty_matrix_says_what_to_do() {
        assert!(plain(&matrix(&[], &[]), 100).contains("faultline list push"));
        assert!(plain(&matrix(&["X"], &[]), 100).contains("--asn"));
    }
}
