//! An incident's course as a graphic: one bar per network, from its own beginning to its own end.

use super::Front;
use faultline_model::{Asn, Incident, Timestamp};
use maud::{Markup, html};
use std::time::Duration;

const WIDTH: f64 = 340.0;
const LABELS: f64 = 138.0;
/// Longer names end in dots, lest they leave the picture.
const NAME_CHARS: usize = 21;
const ROW: f64 = 19.0;
/// More networks than this stay in the table below.
const MAX_ROWS: usize = 16;

pub(super) fn strip(front: &Front, incident: &Incident) -> Markup {
    let mut rows: Vec<(Timestamp, Asn)> =
        incident.onset_by_asn.iter().map(|(asn, onset)| (*onset, *asn)).collect();
    rows.sort();
    rows.truncate(MAX_ROWS);
    let (Some((first, _)), Some((last, _))) = (rows.first().copied(), rows.last().copied()) else {
        return html! {};
    };
    let until = incident.end.unwrap_or(front.now).max(last);
    // A little of the time before, so that a beginning is seen to be one.
    let from = first - Duration::from_secs_f64((until.seconds_after(first) / 8.0).max(5.0));
    let scale = (WIDTH - LABELS) / until.seconds_after(from).max(1.0);
    let x = |at: Timestamp| LABELS + at.seconds_after(from) * scale;
    let bars = rows.iter().zip(0_u8..).map(|((onset, asn), index)| {
        let end = incident.end_by_asn.get(asn).copied().or(incident.end).unwrap_or(front.now);
        let y = f64::from(index) * ROW;
        let width = (x(end) - x(*onset)).max(2.0);
        html! {
            text.label x=(number(LABELS - 8.0)) y=(number(y + 12.5)) text-anchor="end" { (short(&front.operator(*asn))) }
            line.ground x1=(number(LABELS)) x2=(number(WIDTH)) y1=(number(y + 8.5)) y2=(number(y + 8.5)) {}
            rect.bar x=(number(x(*onset))) y=(number(y + 3.5)) width=(number(width)) height="10" {}
        }
    });
    let height = f64::from(u8::try_from(rows.len()).unwrap_or(u8::MAX)) * ROW + 20.0;
    html! {
        figure.strip {
            svg viewBox={"0 0 " (number(WIDTH)) " " (number(height))} role="img"
                aria-label="When it began and ended on each network; the same is in the table below" {
                @for bar in bars { (bar) }
                line.axis x1=(number(x(first))) x2=(number(x(first))) y1="0" y2=(number(height - 17.0)) {}
                text.tick x=(number(x(first))) y=(number(height - 4.0)) text-anchor="middle" { (front.clock.minutes(first)) }
                text.tick x=(number(WIDTH)) y=(number(height - 4.0)) text-anchor="end" {
                    @if incident.end.is_some() { (front.clock.minutes(until)) } @else { "now" }
                }
            }
        }
    }
}

fn short(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS {
        return name.to_owned();
    }
    name.chars().take(NAME_CHARS - 1).chain(['…']).collect()
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}
