//! A path for people: one line per hop, the volunteer's own hops masked as they are in what is uploaded.

use super::print::say;
use faultline_model::{Engine, Fact, Measurement, Observation, PathAnswer, PathFact, PathHop, PathResponder};
use owo_colors::OwoColorize;
use std::collections::BTreeSet;

/// Prints the hops of a path measurement; nothing for any other.
pub(super) fn print_path(measurement: &Measurement) {
    let facts: Vec<(&Observation, &PathFact)> = measurement
        .observations
        .iter()
        .filter_map(|step| match &step.fact {
            Fact::Path(path) => Some((step, path)),
            _ => None,
        })
        .collect();
    let Some((first, drawn)) = facts.first() else { return };
    let named = |engine| facts[1..].iter().find(|(step, _)| step.engine == engine).map(|(_, path)| *path);
    let (innocent, target) = (named(Engine::Control), named(Engine::System));
    let head = |path: Option<&PathFact>| path.map_or(String::new(), |path| path.name.clone());
    say(format_args!(
        "{}",
        format!(" hop  {:<34} {:<26} {}", "router", head(innocent), head(target)).dimmed()
    ));
    let all = facts.iter().flat_map(|(_, path)| path.hops.iter().map(|hop| hop.ttl));
    let mut reaches: BTreeSet<u8> = all.collect();
    let whole = reaches.remove(&0);
    let peer = first.peer.map_or(String::new(), |peer| peer.ip().to_string());
    let line = |label: &str, ttl| {
        let (router, innocent) = (router(drawn, ttl, &peer), answers(innocent, ttl));
        say(format_args!("{label:>4}  {router:<34} {innocent:<26} {}", answers(target, ttl)));
    };
    for ttl in reaches {
        line(&ttl.to_string(), ttl);
    }
    if whole {
        line("all", 0);
    }
}

fn router(drawn: &PathFact, ttl: u8, peer: &str) -> String {
    let heard: Vec<&PathHop> = drawn.hops.iter().filter(|hop| hop.ttl == ttl).collect();
    let Some(hop) = heard.iter().find(|hop| hop.answer != PathAnswer::Nothing).or(heard.first()) else {
        return String::new();
    };
    let who = match (hop.responder, hop.address) {
        (PathResponder::Router, Some(address)) => address.to_string(),
        (PathResponder::Target, _) => format!("{peer} (the target)"),
        (PathResponder::Private, _) => "a private address (not kept)".to_owned(),
        (PathResponder::Home, _) => "your own network (not kept)".to_owned(),
        (PathResponder::Own, _) => "your provider's edge (not kept)".to_owned(),
        _ => "*".to_owned(),
    };
    let refused = if hop.answer == PathAnswer::Refused { ", refused" } else { "" };
    if hop.rtt_ms == 0 { format!("{who}{refused}") } else { format!("{who}{refused}, {} ms", hop.rtt_ms) }
}

fn answers(path: Option<&PathFact>, ttl: u8) -> String {
    let hops = path.into_iter().flat_map(|path| &path.hops).filter(|hop| hop.ttl == ttl);
    let words: Vec<&str> = hops.map(|hop| word(hop.answer)).collect();
    words.join(", ")
}

const fn word(answer: PathAnswer) -> &'static str {
    match answer {
        PathAnswer::Nothing => "silence",
        PathAnswer::TimeExceeded => "died there",
        PathAnswer::Unreachable => "unreachable",
        PathAnswer::Connected => "connected",
        PathAnswer::Refused => "refused",
        PathAnswer::Reset => "reset",
        PathAnswer::Closed => "closed",
        PathAnswer::Data => "answered",
        PathAnswer::NotSent => "no connection",
    }
}
