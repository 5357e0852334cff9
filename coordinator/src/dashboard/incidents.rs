//! The incident list: what is said, how firmly, why, and what was said before.

use super::matrix::percent;
use super::{Front, strip, words};
use faultline_model::{Incident, Revision, Status, Timestamp};
use maud::{Markup, PreEscaped, html};

pub(super) fn incidents(front: &Front) -> Markup {
    html! {
        section.incidents aria-labelledby="incidents-title" {
            div.section-head { h2 id="incidents-title" { "Incidents" } }
            @if front.incidents.is_empty() {
                p.nothing { "Nothing has been published. What is suspected appears here within seconds, marked as such." }
            }
            @for incident in &front.incidents { (article(front, incident)) }
        }
    }
}

fn article(front: &Front, incident: &Incident) -> Markup {
    let is_open = incident.end.is_none() && !incident.retracted;
    let (tag, class) = match (incident.retracted, incident.status) {
        (true, _) => ("Withdrawn", "withdrawn"),
        (false, Status::Suspected) => ("Suspected", "suspected"),
        (false, Status::Confirmed) => ("Confirmed", "confirmed"),
    };
    html! {
        article class={"incident " (class) @if is_open { " open" }} id={"incident-" (incident.id)} {
            p.tags {
                span class={"tag " (class)} { (tag) }
                span.tag.time { @if is_open { "Going on" } @else if incident.retracted { "No longer said" } @else { "Over" } }
            }
            h3 { (words::title(incident)) }
            p.headline { (incident.headline) }
            @if incident.onset_by_asn.len() > 1 { (strip::strip(front, incident)) }
            dl {
                (fact("Networks", &words::join(&networks(front, incident), 12)))
                @if !services(front, incident).is_empty() {
                    (fact("Services", &words::join(&services(front, incident), 12)))
                }
                @if let Some(basis) = incident.basis { (fact("Rests on", words::basis(basis))) }
                @if let Some(reach) = incident.reach { (fact("Still reached", words::reach(reach))) }
                (fact("Began", &moment(front, incident.onset)))
                (fact(if incident.end.is_some() { "Ended" } else { "Lasts" }, &ending(front, incident)))
                @if let Some(strongest) = strongest(incident) { (fact("How", &strongest)) }
                (fact("First said", &format!("{}, {} after it began", moment(front, incident.detected_at),
                    words::duration(incident.detected_at.since(incident.onset)))))
                div { dt { "Model score" } dd { (score(incident.confidence)) } }
            }
            @if incident.user_share[0] > 0.0 { (shares(incident)) }
            @if !incident.evidence.is_empty() {
                ul.evidence { @for reason in &incident.evidence { li { (reason) } } }
            }
            @if incident.asns.len() > 1 { (by_network(front, incident)) }
            (revisions(front, incident))
        }
    }
}

fn fact(name: &str, text: &str) -> Markup {
    html! { div { dt { (name) } dd { (text) } } }
}

fn moment(front: &Front, at: Timestamp) -> String {
    let day = front.clock.near(at, front.now);
    let seconds = front.clock.seconds(at);
    let (date, _) = day.rsplit_once(' ').unwrap_or(("", ""));
    let text = if date.is_empty() { seconds } else { format!("{date} {seconds}") };
    format!("{text} {}", front.clock.zone())
}

fn ending(front: &Front, incident: &Incident) -> String {
    match incident.end {
        Some(end) => format!("{}, after {}", moment(front, end), words::lasted(incident, front)),
        None => words::lasted(incident, front),
    }
}

fn networks(front: &Front, incident: &Incident) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for asn in &incident.asns {
        let name = front.operator(*asn);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    // In the order of the matrix: the largest share of users first.
    let place = |name: &String| front.matrix.rows.iter().position(|row| row.operator == *name);
    names.sort_by_key(|name| place(name).unwrap_or(usize::MAX));
    names
}

fn services(front: &Front, incident: &Incident) -> Vec<String> {
    let name = |id: &faultline_model::ServiceId| {
        let known = front.matrix.services.iter().find(|service| service.id == *id);
        known.map_or_else(|| id.to_string(), |service| service.name.clone())
    };
    incident.services.iter().map(name).collect()
}

/// Names the mechanisms that make up at least a tenth of the failures.
fn strongest(incident: &Incident) -> Option<String> {
    let mut shares: Vec<_> = incident.mechanisms.iter().filter(|(_, share)| **share >= 0.1).collect();
    shares.sort_by(|a, b| b.1.total_cmp(a.1));
    let parts: Vec<String> = shares
        .iter()
        .map(|(class, share)| format!("{} {}", words::mechanism(class), percent(**share)))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn score(confidence: f64) -> Markup {
    let width = format!("{:.1}", confidence.clamp(0.0, 1.0) * 80.0);
    html! {
        svg.score viewBox="0 0 80 6" width="80" height="6" aria-hidden="true" {
            rect.rest width="80" height="6" rx="3" {}
            rect.fill width=(width) height="6" rx="3" {}
        }
        " " (format!("{confidence:.2}"))
        span.aside { " of 1; not a probability" }
    }
}

/// Whom it touches: one bar of all users.
fn shares(incident: &Incident) -> Markup {
    let [affected, cleared, unknown] = incident.user_share;
    let x = |share: f64| format!("{:.2}", share.clamp(0.0, 1.0) * 1000.0);
    html! {
        figure.shares {
            svg viewBox="0 0 1000 14" preserveAspectRatio="none" aria-hidden="true" {
                rect.unknown width="1000" height="14" {}
                rect.affected width=(x(affected)) height="14" {}
                rect.cleared x=(x(affected)) width=(x(cleared)) height="14" {}
            }
            figcaption {
                span.affected { (percent(affected)) " of users are on networks that are affected" } ", "
                span.cleared { (percent(cleared)) " on networks that are fine" } ", "
                span.unknown { (percent(unknown)) " unknown" }
            }
        }
    }
}

fn by_network(front: &Front, incident: &Incident) -> Markup {
    let mut rows: Vec<_> =
        incident.asns.iter().map(|asn| (incident.onset_by_asn.get(asn).copied(), *asn)).collect();
    rows.sort();
    let known: Vec<Timestamp> = rows.iter().filter_map(|(onset, _)| *onset).collect();
    let span = known.first().zip(known.last()).map(|(first, last)| last.since(*first));
    html! {
        details id={"networks-" (incident.id)} {
            summary {
                "Network by network"
                @if let Some(span) = span.filter(|_| known.len() > 1) { ": it began within " (words::duration(span)) }
            }
            table.plain {
                thead { tr { th scope="col" { "Network" } th scope="col" { "Began" } th scope="col" { "Ended" } th scope="col" { "How" } } }
                tbody {
                    @for (onset, asn) in rows {
                        tr {
                            th scope="row" { (front.operator(asn)) " " span.aside { (asn) } }
                            td { (onset.map_or_else(|| "–".to_owned(), |at| moment(front, at))) }
                            td { (incident.end_by_asn.get(&asn).map_or_else(|| "–".to_owned(), |at| moment(front, *at))) }
                            td { (incident.mechanism_by_asn.get(&asn).map_or("–", |class| words::mechanism(class))) }
                        }
                    }
                }
            }
        }
    }
}

fn revisions(front: &Front, incident: &Incident) -> Markup {
    html! {
        details id={"revisions-" (incident.id)} {
            summary { (words::count(incident.revisions.len().max(1), "revision", "revisions")) }
            ol.revisions {
                @for revision in incident.revisions.iter().rev() { (said(front, revision)) }
            }
            p.aside {
                "Nothing that was said is ever taken away. As JSON: "
                a href={"/api/v1/incidents/" (incident.id)} { (PreEscaped("/api/v1/incidents/")) (incident.id) }
            }
        }
    }
}

fn said(front: &Front, revision: &Revision) -> Markup {
    html! {
        li value=(revision.revision) {
            time { (moment(front, revision.published_at)) } " – "
            (words::verdict(revision.verdict)) ", " (revision.status.as_str()) ", score " (format!("{:.2}", revision.confidence))
            @if revision.retracted { ", withdrawn" }
            @if !revision.change.is_empty() { ": " (revision.change) }
        }
    }
}
