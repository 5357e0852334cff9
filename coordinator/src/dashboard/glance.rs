//! The whole matrix in one sentence and three figures.

use super::matrix::percent;
use super::{Front, words};
use crate::api::{MatrixRow, MatrixState};
use faultline_model::{Status, Timestamp, Verdict};

/// What the matrix says at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glance {
    /// The headline.
    pub(super) headline: String,
    /// How grave it is: the style sheet's class.
    pub(super) tone: &'static str,
    /// Numbers with what they count; empty when there is nothing to count.
    pub(super) figures: Vec<(String, String)>,
}

/// What is looked for, the gravest first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Blocked,
    Suspected,
    Down,
}

impl Trouble {
    const fn is(self, state: MatrixState) -> bool {
        match self {
            Self::Blocked => matches!(state, MatrixState::Blocked | MatrixState::PartlyBlocked),
            Self::Suspected => matches!(state, MatrixState::Suspected),
            Self::Down => matches!(state, MatrixState::Down),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Suspected => "in doubt",
            Self::Down => "down",
        }
    }
}

/// What one kind of trouble touches.
struct Hit<'a> {
    trouble: Trouble,
    services: Vec<String>,
    rows: Vec<&'a MatrixRow>,
    since: Option<Timestamp>,
    is_partial: bool,
}

/// Puts the whole matrix into one sentence.
pub(super) fn glance(front: &Front) -> Glance {
    if let Some(glance) = outage(front) {
        return glance;
    }
    let rows = front.matrix.rows.iter();
    let heard: Vec<&MatrixRow> =
        rows.filter(|row| row.cells.iter().any(|cell| cell.state != MatrixState::NoData)).collect();
    if heard.is_empty() {
        let headline = "Waiting for the first measurements".to_owned();
        return Glance { headline, tone: "quiet", figures: vec![] };
    }
    let troubles = [Trouble::Blocked, Trouble::Suspected, Trouble::Down];
    let Some(hit) = troubles.into_iter().find_map(|trouble| hit(front, &heard, trouble)) else {
        return fine(front, heard.len());
    };
    let tone = if hit.trouble == Trouble::Blocked { "grave" } else { "uneasy" };
    Glance { headline: headline(front, &hit, heard.len()), tone, figures: figures(front, &hit, heard.len()) }
}

/// Networks that are off, or our own channel, come before anything about services: cells then only show what was.
fn outage(front: &Front) -> Option<Glance> {
    let open = front.incidents.iter().filter(|incident| incident.end.is_none() && !incident.retracted);
    let open =
        open.filter(|incident| incident.targets.is_empty() && incident.verdict != Verdict::InsufficientData);
    let gravest = open.max_by_key(|incident| (incident.asns.len(), incident.detected_at))?;
    let mut letters = gravest.headline.chars();
    let headline =
        letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect());
    let is_channel = matches!(gravest.verdict, Verdict::CoordinatorOutage | Verdict::ControlChannelBlock);
    let tone = if gravest.status == Status::Confirmed && !is_channel { "grave" } else { "uneasy" };
    let networks = if gravest.asns.len() == 1 { "network concerned" } else { "networks concerned" };
    let mut figures = vec![(gravest.asns.len().to_string(), networks.to_owned())];
    if gravest.user_share[0] > 0.0 {
        figures.push((percent(gravest.user_share[0]), "of users are on them".to_owned()));
    }
    Some(Glance { headline, tone, figures })
}

fn hit<'a>(front: &Front, heard: &[&'a MatrixRow], trouble: Trouble) -> Option<Hit<'a>> {
    let columns = front.matrix.services.iter().enumerate();
    let services: Vec<String> = columns
        .filter(|(column, _)| heard.iter().any(|row| trouble.is(row.cells[*column].state)))
        .map(|(_, service)| service.name.clone())
        .collect();
    if services.is_empty() {
        return None;
    }
    let rows: Vec<_> =
        heard.iter().copied().filter(|row| row.cells.iter().any(|cell| trouble.is(cell.state))).collect();
    let cells: Vec<_> =
        rows.iter().flat_map(|row| &row.cells).filter(|cell| trouble.is(cell.state)).collect();
    Some(Hit {
        trouble,
        services,
        since: cells.iter().filter_map(|cell| cell.since).min(),
        is_partial: cells.iter().all(|cell| cell.state == MatrixState::PartlyBlocked),
        rows,
    })
}

fn headline(front: &Front, hit: &Hit<'_>, all: usize) -> String {
    let what = if hit.services.len() > 4 {
        words::count(hit.services.len(), "service", "services")
    } else {
        words::join(&hit.services, 4)
    };
    let on = match hit.rows.as_slice() {
        [one] if all > 1 => format!("on {}", one.operator),
        many => format!("on {} of {}", many.len(), words::count(all, "network", "networks")),
    };
    let since = hit.since.map_or(String::new(), |at| {
        format!(" since {} {}", front.clock.near(at, front.now), front.clock.zone())
    });
    match hit.trouble {
        Trouble::Blocked if hit.is_partial => format!("{what} partly blocked {on}{since}"),
        Trouble::Blocked => format!("{what} blocked {on}{since}"),
        Trouble::Suspected => format!("Signs of trouble with {what} {on}"),
        Trouble::Down => format!("{what} down, here and abroad{since}"),
    }
}

fn figures(front: &Front, hit: &Hit<'_>, all: usize) -> Vec<(String, String)> {
    let word = hit.trouble.word();
    let share: f64 = hit.rows.iter().map(|row| row.user_share).sum();
    let watched = front.matrix.services.iter().filter(|service| service.category != "CTRL").count();
    let mut figures = vec![
        (
            format!("{} of {}", hit.services.len(), watched.max(hit.services.len())),
            format!("services {word}"),
        ),
        (format!("{} of {all}", hit.rows.len()), "networks affected".to_owned()),
    ];
    if share > 0.0 && hit.trouble != Trouble::Down {
        figures.push((percent(share), "of users are on them".to_owned()));
    }
    figures
}

/// Says that all is fine only as far as somebody has looked.
fn fine(front: &Front, networks: usize) -> Glance {
    let is_service: Vec<bool> =
        front.matrix.services.iter().map(|service| service.category != "CTRL").collect();
    let heard = front.matrix.rows.iter().filter(|row| row.agents > 0);
    let cells =
        heard.flat_map(|row| row.cells.iter().zip(&is_service)).filter(|(_, is_service)| **is_service);
    let (mut all, mut seen) = (0, 0);
    for (cell, _) in cells {
        all += 1;
        seen += usize::from(cell.state != MatrixState::NoData);
    }
    let services = words::count(is_service.iter().filter(|is| **is).count(), "service", "services");
    let on =
        if networks == 1 { "on the one network".to_owned() } else { format!("on all {networks} networks") };
    let headline = match seen {
        0 => "Waiting for the first measurements".to_owned(),
        _ if seen < all => {
            format!("No trouble so far: {seen} of {all} pairs of network and service looked at")
        }
        _ => format!("{services} found working {on} that we hear from"),
    };
    Glance { headline, tone: "fine", figures: vec![] }
}
