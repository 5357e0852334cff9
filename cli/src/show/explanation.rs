//! An incident's questions and answers, for people.

use crate::output::{moment, printable};
use crate::show::{Align, Table};
use faultline_analysis::tell::corroborate::{Corroboration, Stand};
use faultline_analysis::tell::{ClaimAnswer, Comparison, Explanation, Said};
use owo_colors::OwoColorize;
use std::fmt::Write;

/// Writes every answer about an incident.
pub(crate) fn explanation_text(said: &Explanation) -> String {
    let mut text = String::new();
    let incident = &said.incident;
    let _ = writeln!(text, "{}", printable(&incident.headline).bold());
    let _ = writeln!(
        text,
        "  {} ({}{}), score {:.2}: {}; id {}, revision {}",
        incident.verdict,
        incident.status.as_str(),
        if incident.retracted { ", withdrawn" } else { "" },
        incident.model_score,
        incident.model_score_is,
        incident.id,
        incident.revision
    );
    answer(&mut text, "began together?", &said.onsets.said);
    answer(&mut text, "restored together?", &said.restorations.said);
    answer(&mut text, "selective?", &said.selectivity.said);
    if let Some(exclusivity) = &said.selectivity.exclusivity {
        let _ = writeln!(
            text,
            "    {} of {} failing targets are {}, of which {} of {} measured ones are; blind to category: {}",
            exclusivity.hits,
            exclusivity.failing,
            exclusivity.category,
            exclusivity.of_category,
            exclusivity.measured,
            exclusivity.blind.words
        );
    }
    answer(&mut text, "fault or filtering?", &said.nature.said);
    answer(&mut text, "announced?", &said.announced.said);
    if let Some(series) = &said.announced.series {
        let _ = writeln!(
            text,
            "    {} of {} incidents of the series began near announced events, which cover {:.0} % of the time; by chance: {}",
            series.met,
            series.incidents,
            100.0 * series.covered,
            series.chance.words
        );
    }
    answer(&mut text, "hours lost?", &said.hours_lost.said);
    hours(&mut text, said);
    answer(&mut text, "users?", &said.users.said);
    answer(&mut text, "like what?", &said.resembles.said);
    alike(&mut text, said);
    answer(&mut text, "ways around?", &said.circumvention.said);
    for way in &said.circumvention.classes {
        let _ = writeln!(
            text,
            "    {:<9} {} ({} passed, {} blocked, {} unclear, from {} networks)",
            way.class, way.answer, way.passed, way.blocked, way.unclear, way.networks
        );
    }
    why(&mut text, said);
    said.claims.iter().for_each(|claim| text.push_str(&claim_text(claim)));
    let _ = writeln!(
        text,
        "  rests on {} results of {} vantage points",
        said.footing.results, said.footing.agents
    );
    text
}

fn alike(text: &mut String, said: &Explanation) {
    for alike in &said.resembles.incidents {
        let parts = &alike.parts;
        let _ = writeln!(
            text,
            "    {:.2}  {}  {}  (targets {:.2}, networks {:.2}, category {:.0}, mechanisms {:.2}, duration {:.2}, hour \
             {:.2}, synchrony {:.2})",
            alike.score,
            moment(alike.onset),
            alike.id,
            parts.targets,
            parts.networks,
            parts.category,
            parts.mechanisms,
            parts.duration,
            parts.hour,
            parts.synchrony
        );
    }
}

fn why(text: &mut String, said: &Explanation) {
    let _ = writeln!(text, "  {}  {}: {}", "why?".bold(), said.cause.cause, printable(&said.cause.sentence));
    for source in &said.cause.sources {
        let (by, words, address) =
            (printable(&source.by), printable(&source.words), printable(&source.source));
        let _ = writeln!(text, "    {by}: {words} ({}, {address})", source.cause.as_str());
    }
}

fn answer(text: &mut String, question: &str, said: &Said) {
    let _ = writeln!(
        text,
        "  {}  {}: {}",
        question.bold(),
        said.answer.replace('_', " "),
        printable(&said.sentence)
    );
    let _ = writeln!(text, "    {}", format!("tested against: {}", printable(&said.against)).dimmed());
}

fn hours(text: &mut String, said: &Explanation) {
    if said.hours_lost.rows.is_empty() {
        return;
    }
    let mut table = Table::new(&[
        ("provider", Align::Left),
        ("service", Align::Left),
        ("episodes", Align::Right),
        ("hours", Align::Right),
    ]);
    for row in &said.hours_lost.rows {
        let open = if row.is_open { " and counting" } else { "" };
        table.row(&[
            row.name.clone(),
            row.service.clone(),
            row.episodes.to_string(),
            format!("{:.2}{open}", row.hours),
        ]);
    }
    for line in table.to_text().lines() {
        let _ = writeln!(text, "    {line}");
    }
}

/// Writes what becomes of a claim.
pub(crate) fn claim_text(answer: &ClaimAnswer) -> String {
    let mut text = String::new();
    let claim = &answer.claim;
    let (by, words, source) = (printable(&claim.by), printable(&claim.words), printable(&claim.source));
    let _ = writeln!(text, "  {}  {by} says {words:?} ({source})", "claim".bold());
    for part in &answer.parts {
        let verdict = match part.answer.as_str() {
            "supported" => part.answer.green().to_string(),
            "contradicted" => part.answer.red().to_string(),
            other => other.replace('_', " ").dimmed().to_string(),
        };
        let _ = writeln!(text, "    {}: {verdict}", part.part.replace('_', " "));
        for reason in &part.evidence {
            let _ = writeln!(text, "      {}", printable(reason));
        }
    }
    text
}

/// Writes how one provider did beside the others.
pub(crate) fn comparison_text(said: &Comparison) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}", printable(&said.said.sentence).bold());
    let _ = writeln!(text, "  {}", format!("tested against: {}", printable(&said.said.against)).dimmed());
    let mechanism = |name: &Option<String>| name.clone().unwrap_or_else(|| "unknown".to_owned());
    let _ = writeln!(
        text,
        "  mechanism    {}, the others {}",
        mechanism(&said.mechanism),
        mechanism(&said.others_mechanism)
    );
    for (what, lag) in [("beginning", &said.onset), ("restoration", &said.restoration)] {
        if let Some(lag) = lag {
            let answer = lag.answer.replace('_', " ");
            let _ =
                writeln!(text, "  {what:<12} {answer} ({:+.1} s, error {:.1} s)", lag.seconds, lag.error_s);
        }
    }
    for (what, services) in [
        ("with them", &said.services_shared),
        ("alone", &said.services_own),
        ("spared", &said.services_spared),
    ] {
        if !services.is_empty() {
            let _ = writeln!(text, "  {what:<12} {}", printable(&services.join(", ")));
        }
    }
    text
}

/// Writes what others' data say, what disagrees first.
pub(crate) fn corroboration_text(said: &Corroboration) -> String {
    let mut text = String::new();
    let _ =
        writeln!(text, "{} disagree, {} agree, {} could not see it", said.disagrees, said.agrees, said.blind);
    for point in &said.points {
        let stand = match point.stand {
            Stand::Disagrees => "disagrees".red().to_string(),
            Stand::Agrees => "agrees   ".green().to_string(),
            Stand::Blind => "blind    ".dimmed().to_string(),
        };
        let (about, sentence) = (printable(&point.about), printable(&point.sentence));
        let _ = writeln!(text, "  {stand}  {:<5} {about}: {sentence}", point.source);
    }
    text
}
