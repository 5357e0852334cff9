//! The live page: readable without a script, live with one.
//!
//! It is made of one value, [`Front`], by pure functions, so that every state of it can be looked at in a test. Nothing
//! is inline: style and script are files of their own under a strict content policy.

mod clock;
mod glance;
mod incidents;
mod matrix;
mod strip;
#[cfg(test)]
mod tests;
mod words;

use crate::api::{ApiError, Matrix, country_matrix};
use crate::coordinator::Coordinator;
use clock::Clock;
use faultline_model::{Asn, CountryCode, Incident, Timestamp};
use faultline_runtime::now;
use maud::{DOCTYPE, Markup, html};
use std::collections::BTreeMap;

pub(crate) const STYLE: &str = include_str!("style.css");
pub(crate) const SCRIPT: &str = include_str!("live.js");

/// Incidents on the page; the API has them all.
const MAX_INCIDENTS: usize = 20;

/// Everything that the page says.
#[derive(Clone, Debug)]
pub(super) struct Front {
    now: Timestamp,
    country: CountryCode,
    country_name: String,
    clock: Clock,
    /// Other countries that can be looked at.
    others: Vec<CountryCode>,
    matrix: Matrix,
    incidents: Vec<Incident>,
    /// Operators' names by network.
    operators: BTreeMap<Asn, String>,
    volunteers: usize,
    controls: usize,
    has_list: bool,
}

impl Front {
    fn operator(&self, asn: Asn) -> String {
        self.operators.get(&asn).cloned().unwrap_or_else(|| asn.to_string())
    }
}

/// Returns the page about a country, or about the first that there is.
pub(crate) async fn page(
    coordinator: &Coordinator,
    country: Option<CountryCode>,
) -> Result<Markup, ApiError> {
    let mut countries: Vec<CountryCode> = coordinator.countries.described().collect();
    let views = coordinator.fleet.views(now());
    for view in views.iter().filter(|view| !view.record.control) {
        if !countries.contains(&view.record.country) {
            countries.push(view.record.country);
        }
    }
    let Some(country) = country.or(countries.first().copied()) else { return Ok(render_empty()) };
    let profile = coordinator.countries.profile(country);
    let connected = views.iter().filter(|view| view.is_connected);
    let (controls, agents): (Vec<_>, Vec<_>) = connected.partition(|view| view.record.control);
    let mut incidents = coordinator.registry.incidents(Some(country), None, MAX_INCIDENTS).await?;
    // What goes on comes first, then what was newest.
    incidents.sort_by_key(|incident| incident.end.is_some() || incident.retracted);
    let operators =
        profile.operators.iter().flat_map(|one| one.asns.iter().map(|asn| (*asn, one.name.clone())));
    let front = Front {
        now: now(),
        country,
        clock: Clock::new(profile.utc_offset_min, profile.time_zone.as_deref()),
        others: countries.into_iter().filter(|other| *other != country).collect(),
        matrix: country_matrix(coordinator, country),
        incidents,
        operators: operators.collect(),
        volunteers: agents.iter().filter(|view| view.record.country == country).count(),
        controls: controls.len(),
        has_list: coordinator.lists.newest().is_some(),
        country_name: profile.name,
    };
    Ok(render(&front))
}

fn render(front: &Front) -> Markup {
    let glance = glance::glance(front);
    let title = format!("{} – {}", glance.headline, front.country_name);
    let is_running = front.has_list && !front.matrix.rows.is_empty();
    let body = html! {
        section class={"lede " (glance.tone)} {
            p.kicker {
                strong { (front.country_name) } " · " (front.clock.long_date(front.now)) ", "
                time { (front.clock.minutes(front.now)) " " (front.clock.zone()) }
            }
            h1 { (glance.headline) }
            div.below {
                p.standfirst { (standfirst(front)) }
                @if !glance.figures.is_empty() {
                    dl.figures {
                        @for (number, what) in &glance.figures { div { dt { (what) } dd { (number) } } }
                    }
                }
            }
        }
        @if !is_running || front.volunteers == 0 { (steps(&front.country.to_string(), front.has_list, front.volunteers > 0, front.controls > 0)) }
        @if is_running { (matrix::matrix(front)) }
        (incidents::incidents(front))
    };
    document(&title, front.country.to_string().as_str(), &front.others, &body)
}

fn render_empty() -> Markup {
    let body = html! {
        section.lede.quiet {
            p.kicker { strong { "A new coordinator" } }
            h1 { "Nothing is measured yet" }
            p.standfirst { "Three steps on the machine where the coordinator runs, and this page comes alive." }
        }
        (steps("PK", false, false, false))
    };
    document("Nothing is measured yet", "", &[], &body)
}

fn standfirst(front: &Front) -> String {
    if front.volunteers == 0 {
        return "No volunteer is connected here at the moment, so nothing new is seen.".to_owned();
    }
    let services = front.matrix.services.iter().filter(|service| service.category != "CTRL").count();
    let networks = front.matrix.rows.iter().filter(|row| row.agents > 0).count();
    format!(
        "{} on {} and {} abroad look at {}. What fails there and works abroad, on one network after another, is called \
         blocked; a single volunteer’s trouble is not.",
        words::count(front.volunteers, "volunteer", "volunteers"),
        words::count(networks, "network", "networks"),
        words::count(front.controls, "control", "controls"),
        words::count(services, "service", "services"),
    )
}

fn steps(country: &str, has_list: bool, has_volunteers: bool, has_controls: bool) -> Markup {
    let step = |is_done: bool, title: &str, commands: &[&str]| {
        html! {
            li class=[is_done.then_some("done")] {
                h3 { (title) @if is_done { span.unseen { " (done)" } } }
                @for command in commands { code { (command) } }
            }
        }
    };
    html! {
        section.steps aria-label="What to do" {
            ol {
                (step(has_list, "Say what shall be looked at", &[
                    "faultline init --from faultline-data/operator.json",
                    "faultline list push lists/core.toml",
                ]))
                (step(has_controls, "Set up two controls abroad", &[
                    "faultline invite --country DE --control --count 2",
                    "faultline-agent join INVITE --control",
                    "faultline-agent run",
                ]))
                (step(has_volunteers, "Invite volunteers, three or more on each network", &[
                    &format!("faultline invite --country {country} --count 3"),
                    "faultline-agent join INVITE",
                    "faultline-agent run",
                ]))
            }
        }
    }
}

fn document(title: &str, country: &str, others: &[CountryCode], body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – Faultline" }
                link rel="stylesheet" href="/assets/style.css";
                script src="/assets/live.js" defer {}
                noscript { meta http-equiv="refresh" content="15"; }
            }
            body {
                header.mast {
                    a.name href="/" { "Faultline" }
                    span.motto { "where the internet broke" }
                    @if !others.is_empty() {
                        nav aria-label="Countries" { @for other in others { a href={"/?country=" (other)} { (other) } " " } }
                    }
                    span.live id="live-sign" data-country=(country) { "reloads every 15 seconds" }
                }
                main id="live" { (body) }
                footer {
                    p {
                        "Facts come from volunteers’ own lines; judgements are made here and can be recomputed from the "
                        "stored facts. A model score orders statements by strength and is no probability. Who ordered a "
                        "block, packets never tell."
                    }
                    p {
                        "No volunteer’s address is ever written down. Data: "
                        a href={"/api/v1/incidents?country=" (country)} { "incidents" } ", "
                        a href={"/api/v1/matrix?country=" (country)} { "matrix" } " (JSON), research gRPC on this port."
                    }
                }
            }
        }
    }
}
