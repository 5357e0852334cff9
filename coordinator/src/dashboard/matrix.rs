//! The ISP x service matrix as a table.

use super::{Front, words};
use crate::api::{MatrixCell, MatrixRow, MatrixState};
use faultline_model::Access;
use maud::{Markup, html};

pub(super) fn matrix(front: &Front) -> Markup {
    html! {
        section.matrix aria-labelledby="matrix-title" {
            div.section-head {
                h2 id="matrix-title" { "Network by network" }
                (legend())
            }
            div.scroll tabindex="0" role="region" aria-labelledby="matrix-title" {
                table {
                    caption.unseen { "Each network in a row, each service in a column, as measured in the last minutes" }
                    thead {
                        tr {
                            th.network scope="col" { "Network" }
                            @for service in &front.matrix.services {
                                th scope="col" class=[(service.category == "CTRL").then_some("canary")] {
                                    (service.name)
                                }
                            }
                        }
                    }
                    tbody {
                        @for row in &front.matrix.rows { (line(front, row)) }
                    }
                }
            }
            p.note {
                "Networks by share of users. One row is one operator, however many network numbers it has. A network "
                "needs three vantage points of different people before a block on it alone can be told."
            }
        }
    }
}

fn legend() -> Markup {
    let states = [
        MatrixState::Ok,
        MatrixState::Suspected,
        MatrixState::Blocked,
        MatrixState::PartlyBlocked,
        MatrixState::Down,
        MatrixState::Insufficient,
        MatrixState::NoData,
    ];
    html! {
        ul.legend aria-label="Legend" {
            @for state in states {
                @let (symbol, word, _) = words::state(state);
                li { span class={"chip " (words::state_class(state))} aria-hidden="true" { (symbol) } (word) }
            }
        }
    }
}

fn line(front: &Front, row: &MatrixRow) -> Markup {
    let access = if row.access == Access::Mobile { "mobile" } else { "fixed" };
    html! {
        tr {
            th.network scope="row" {
                span.operator { (row.operator) }
                span.details {
                    @if row.operator != row.asn.to_string() { (row.asn) " · " }
                    (access)
                    @if row.user_share > 0.0 { " · " (percent(row.user_share)) " of users" }
                    br;
                    (words::count(usize::try_from(row.agents).unwrap_or(0), "volunteer", "volunteers"))
                }
            }
            @for (cell, service) in row.cells.iter().zip(&front.matrix.services) {
                (field(front, row, cell, &service.name))
            }
        }
    }
}

fn field(front: &Front, row: &MatrixRow, cell: &MatrixCell, service: &str) -> Markup {
    let (symbol, word, sentence) = words::state(cell.state);
    let is_trouble = !matches!(cell.state, MatrixState::Ok | MatrixState::NoData);
    let mechanism = words::mechanism(&cell.mechanism);
    let since = cell.since.filter(|_| is_trouble).map(|at| front.clock.near(at, front.now));
    let mut title = format!("{service} {sentence} on {}", row.operator);
    if let Some(since) = &since {
        title.push_str(&format!(" since {since} {}", front.clock.zone()));
    }
    if is_trouble && !mechanism.is_empty() {
        title.push_str(&format!(" ({mechanism})"));
    }
    title.push_str(&format!(". {} of {} results failed.", cell.anomalies, cell.results));
    for target in &cell.targets {
        title.push_str(&format!("\n{target}"));
    }
    html! {
        td class=(words::state_class(cell.state)) title=(title) {
            span.symbol aria-hidden="true" { (symbol) }
            span class=(if cell.state == MatrixState::Ok { "word calm" } else { "word" }) { (word) }
            @if is_trouble {
                @if let Some(since) = since { span.since { (since) } }
                @if !mechanism.is_empty() { span.mechanism { (mechanism) } }
            }
        }
    }
}

/// Returns a share as whole percent; what is less than one is said so.
pub(super) fn percent(share: f64) -> String {
    let share = share.clamp(0.0, 1.0);
    if share > 0.0005 && share < 0.01 {
        "under 1 %".to_owned()
    } else {
        format!("{:.0} %", share.abs() * 100.0)
    }
}
