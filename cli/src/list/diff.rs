//! What pushing a list would change.

use faultline_model::{Target, TargetSpec, TaskList};
use owo_colors::OwoColorize;
use serde::Serialize;
use std::fmt::Write;

/// The difference between the list in force and a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Diff {
    /// Targets that are new.
    pub added: Vec<String>,
    /// Targets that go.
    pub removed: Vec<String>,
    /// Targets whose service, role, category or checks change, with what changes.
    pub changed: Vec<Change>,
    /// Settings that change.
    pub settings: Vec<String>,
    /// How many targets the list in force has.
    pub held: usize,
}

/// One target that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// The target.
    pub target: String,
    /// What changes, such as `role site -> media`.
    pub what: String,
}

impl Diff {
    /// Compares; without a list in force everything is new.
    pub(crate) fn between(held: Option<&TaskList>, new: &TaskList) -> Self {
        let Some(held) = held else {
            return Self {
                added: new.targets.iter().map(|s| s.target.to_string()).collect(),
                ..Self::default()
            };
        };
        let mut diff = Self { held: held.targets.len(), settings: settings(held, new), ..Self::default() };
        for spec in &new.targets {
            match held.find(&spec.target) {
                None => diff.added.push(spec.target.to_string()),
                Some(old) if old != spec => {
                    diff.changed.push(Change { target: spec.target.to_string(), what: change(old, spec) });
                }
                Some(_) => {}
            }
        }
        let gone = held.targets.iter().filter(|spec| new.find(&spec.target).is_none());
        diff.removed = gone.map(|spec| spec.target.to_string()).collect();
        diff
    }

    /// Says whether nothing changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.changed.is_empty()
            && self.settings.is_empty()
    }

    /// Says whether more than half of what is measured now would go.
    pub(crate) fn is_drastic(&self) -> bool {
        self.removed.len() * 2 > self.held
    }

    /// Writes the difference for people.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for target in &self.added {
            let _ = writeln!(text, "{}", format!("+ {target}").green());
        }
        for target in &self.removed {
            let _ = writeln!(text, "{}", format!("- {target}").red());
        }
        for change in &self.changed {
            let _ = writeln!(text, "{}", format!("~ {}  {}", change.target, change.what).yellow());
        }
        for setting in &self.settings {
            let _ = writeln!(text, "{}", format!("~ {setting}").yellow());
        }
        let (added, removed, changed) = (self.added.len(), self.removed.len(), self.changed.len());
        let _ = if self.is_empty() {
            writeln!(text, "nothing changes")
        } else {
            writeln!(text, "{added} added, {removed} removed, {changed} changed")
        };
        text
    }
}

fn settings(held: &TaskList, new: &TaskList) -> Vec<String> {
    let mut lines = Vec::new();
    let mut compare = |key: &str, old: String, new: String| {
        if old != new {
            lines.push(format!("{key}: {old} -> {new}"));
        }
    };
    let days = |list: &TaskList| (list.expires_at.since(list.issued_at).as_secs() / 86_400).to_string();
    compare("name", held.name.clone(), new.name.clone());
    compare("valid_days", days(held), days(new));
    let (a, b) = (held.limits, new.limits);
    compare("cell_period_s", a.cell_period_s.to_string(), b.cell_period_s.to_string());
    compare("min_interval_s", a.min_interval_s.to_string(), b.min_interval_s.to_string());
    compare(
        "confirmations_per_target",
        a.confirmations_per_target.to_string(),
        b.confirmations_per_target.to_string(),
    );
    if held.resolvers != new.resolvers {
        let names = |list: &TaskList| match list.resolvers.as_slice() {
            [] => "none".to_owned(),
            some => some.iter().map(|resolver| resolver.name.as_str()).collect::<Vec<_>>().join(" "),
        };
        lines.push(format!("resolvers: {} -> {}", names(held), names(new)));
    }
    if held.landmarks != new.landmarks {
        let names = |list: &TaskList| match list.landmarks.as_slice() {
            [] => "none".to_owned(),
            some => some
                .iter()
                .map(|own| format!("{} ({} {})", own.target.host(), own.country, own.asn))
                .collect::<Vec<_>>()
                .join(" "),
        };
        lines.push(format!("landmarks: {} -> {}", names(held), names(new)));
    }
    if held.throughput_control != new.throughput_control {
        let name = |list: &TaskList| {
            list.throughput_control.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)
        };
        lines.push(format!("throughput_control: {} -> {}", name(held), name(new)));
    }
    type Named = fn(&TaskList) -> Option<&Target>;
    let probes: [(&str, Named); 2] = [
        ("whoami", |list| list.line.whoami.as_ref()),
        ("filter_canary", |list| list.line.filter_canary.as_ref()),
    ];
    for (key, named) in probes.into_iter().filter(|(_, named)| named(held) != named(new)) {
        let name = |list| named(list).map_or("none", Target::as_str);
        lines.push(format!("{key}: {} -> {}", name(held), name(new)));
    }
    if held.risk != new.risk {
        let tiers = |list: &TaskList| match list.risk.len() {
            0 => "none".to_owned(),
            _ => list
                .risk
                .iter()
                .map(|(code, tier)| format!("{code} {tier:?}").to_lowercase())
                .collect::<Vec<_>>()
                .join(", "),
        };
        lines.push(format!("risk: {} -> {}", tiers(held), tiers(new)));
    }
    lines
}

fn change(old: &TargetSpec, new: &TargetSpec) -> String {
    let mut parts = Vec::new();
    if old.service != new.service || old.service_name != new.service_name {
        parts.push(format!("service {} -> {}", old.service, new.service));
    }
    if old.role != new.role {
        parts.push(format!("role {} -> {}", old.role.as_str(), new.role.as_str()));
    }
    if old.category != new.category {
        parts.push(format!("category {} -> {}", old.category, new.category));
    }
    if old.domestic != new.domestic {
        let name =
            |spec: &TargetSpec| spec.domestic.map_or("abroad".to_owned(), |country| country.to_string());
        parts.push(format!("served {} -> {}", name(old), name(new)));
    }
    if old.checks != new.checks {
        let names =
            |spec: &TargetSpec| spec.checks.iter().map(|check| check.as_str()).collect::<Vec<_>>().join(" ");
        parts.push(format!("checks {} -> {}", names(old), names(new)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_model::Timestamp;

    fn list(csv: &str) -> TaskList {
        let (draft, _) =
            super::super::parse("x.csv", &format!("url,category_code\n{csv}")).expect("readable");
        draft.into_list(1, Timestamp::from_unix_ms(0))
    }

    #[test]
    fn added_removed_and_changed_targets_are_told_apart() {
        let held = list("https://a.example/,NEWS\nhttps://b.example/,NEWS\n");
        let new = list("https://b.example/,GRP\nhttps://c.example/,NEWS\n");
        let diff = Diff::between(Some(&held), &new);
        assert_eq!((diff.added.len(), diff.removed.len(), diff.changed.len()), (1, 1, 1));
        assert_eq!(diff.changed[0].what, "category NEWS -> GRP");
        assert!(!diff.is_drastic(), "half is not more than half");
        assert!(Diff::between(Some(&held), &held).is_empty());
        assert!(Diff::between(Some(&held), &list("https://c.example/,NEWS\n")).is_drastic());
    }

    #[test]
    fn a_check_that_is_added_is_named() {
        let held = list("https://a.example/,NEWS\n");
        let mut new = held.clone();
        new.targets[0].checks.push(faultline_model::CheckKind::Quic);
        assert_eq!(Diff::between(Some(&held), &new).changed[0].what, "checks web -> web quic");
    }

    #[test]
    fn a_first_list_is_all_new() {
        let diff = Diff::between(None, &list("https://a.example/,NEWS\n"));
        assert_eq!(diff.added, ["https://a.example/"]);
        assert!(!diff.is_drastic());
    }
}
