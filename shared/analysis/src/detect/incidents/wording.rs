//! Sentences for readers: plain, and no more than was seen.

use super::super::cells::Strength;
use super::super::changepoint::Change;
use super::super::core::Core;
use super::super::evidence::vote;
use super::super::store::Ms;
use super::super::world::FamilyNo;
use super::cluster::Cluster;
use super::statement::{Stance, Statement};
use faultline_model::{Asn, Class, Timestamp, Verdict};
use std::collections::BTreeSet;

/// Networks that are described one by one; the rest is counted.
const DESCRIBED: usize = 12;

impl Core {
    /// Writes the sentence for a headline.
    pub(super) fn headline(&self, statement: &Statement, onset: Timestamp) -> String {
        let services = self.service_names(statement);
        let what = list(&services);
        let are = if services.len() == 1 { "is" } else { "are" };
        let span = match statement.end {
            None => format!("since {}", self.local_time(onset)),
            Some(end) => {
                format!(
                    "from {} to {}",
                    self.local_time(onset),
                    self.local_time(Timestamp::from_unix_ms(end))
                )
            }
        };
        let names: Vec<String> =
            statement.families.iter().map(|f| self.world.families[*f].name.clone()).collect();
        let whom = list(&names);
        if statement.verdict == Verdict::TechnicalFailure {
            return format!(
                "everything abroad fails often for customers of {whom}, {span}; nothing is singled out"
            );
        }
        if statement.targets.is_empty() {
            return self.shutdown_headline(statement, &span);
        }
        match statement.verdict {
            Verdict::IspBlock | Verdict::MultiIspBlock => {
                let behind = statement.transit.map(|gateway| {
                    format!("; compatible with filtering at or behind {}", self.gateway_name(gateway))
                });
                format!("{what} {are} blocked for customers of {whom}, {span}{}", behind.unwrap_or_default())
            }
            Verdict::NationalBlock => {
                format!("{what} {are} blocked for customers of {}, {span}", self.measured(statement))
            }
            Verdict::CategoryBlock => {
                format!(
                    "{what} {are} blocked for customers of {}, {span}; everything else works",
                    self.measured(statement)
                )
            }
            Verdict::Throttling => {
                format!("{what} {are} slowed, not cut, for customers of {whom}, {span}")
            }
            Verdict::TargetOutage => {
                let verb = if services.len() == 1 { "fails" } else { "fail" };
                format!("{what} {verb} for everybody, also outside the country, {span}")
            }
            Verdict::GeoBlock => {
                let verb = if services.len() == 1 { "refuses" } else { "refuse" };
                format!("{what} {verb} visitors from the country, {span}")
            }
            _ => format!(
                "{what} cannot be reached by {} on {whom}, {span}; that is too little to tell whose doing it is",
                self.failing_words(statement)
            ),
        }
    }

    fn measured(&self, statement: &Statement) -> String {
        let testable = self.testable(&statement.stances).len();
        let named = statement.families.len();
        if named >= testable {
            format!("all {named} measured providers")
        } else {
            format!("{named} of {testable} measured providers")
        }
    }

    fn failing_words(&self, statement: &Statement) -> String {
        let mut agents = BTreeSet::new();
        for family in &statement.families {
            let to = statement.end.unwrap_or(self.now);
            let entries = self.pooled(*family, &statement.targets, (statement.onset, to));
            agents.extend(entries.iter().filter(|entry| entry.class.is_anomaly()).map(|entry| entry.agent));
        }
        match agents.len() {
            0 | 1 => format!("one {}", self.voters().trim_end_matches('s')),
            number => format!("{number} {}", self.voters()),
        }
    }

    /// Names those who measured.
    fn voters(&self) -> &'static str {
        if self.is_anonymous() { "anonymous votes" } else { "agents" }
    }

    fn service_names(&self, statement: &Statement) -> Vec<String> {
        let mut names = Vec::new();
        for target in &statement.targets {
            let name = &self.world.targets[*target].service_name;
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Returns a family's name with its ASN.
    pub(in super::super) fn family_name(&self, asn: Asn) -> String {
        match self.world.family_named(asn).map(|family| &self.world.families[family].name) {
            Some(name) if *name != asn.to_string() => format!("{name} ({asn})"),
            _ => asn.to_string(),
        }
    }

    /// Returns a gateway's name with its ASN.
    pub(super) fn gateway_name(&self, asn: Asn) -> String {
        match self.world.gateways.get(&asn) {
            Some(name) => format!("{name} ({asn})"),
            None => self.family_name(asn),
        }
    }

    /// Writes a moment in local time.
    pub(super) fn local_time(&self, at: Timestamp) -> String {
        let local =
            Timestamp::from_unix_ms((at.unix_ms() + self.utc_offset_ms).div_euclid(1000) * 1000).to_string();
        let text = local.trim_end_matches('Z').replace('T', " ");
        let minutes = self.utc_offset_ms / 60_000;
        match (&self.time_zone, minutes) {
            (Some(zone), _) => format!("{text} {zone}"),
            (None, 0) => format!("{text} UTC"),
            _ => format!("{text} UTC{:+03}:{:02}", minutes / 60, (minutes % 60).abs()),
        }
    }

    /// Gives the reasons for what is said of a cluster.
    pub(super) fn explain(&self, cluster: &Cluster, statement: &Statement) -> Vec<String> {
        let mut reasons = Vec::new();
        if statement.verdict == Verdict::InsufficientData {
            reasons.push(self.why_insufficient(cluster, statement));
        }
        for family in statement.families.iter().take(DESCRIBED) {
            reasons.push(self.describe(*family, statement));
        }
        if statement.families.len() > DESCRIBED {
            reasons.push(format!("{} more providers show the same", statement.families.len() - DESCRIBED));
        }
        reasons.extend(self.describe_parts(statement));
        reasons.extend(self.describe_partly(statement));
        reasons.extend(self.describe_others(statement));
        if let Some(gateway) = statement.transit {
            let name = self.gateway_name(gateway);
            reasons.push(format!("which providers block is compatible with filtering at or behind {name}"));
        }
        reasons.extend(self.describe_controls(statement));
        reasons.extend(self.describe_selectivity(statement));
        let best = cluster.cells.keys().filter_map(|cell| self.readings.get(*cell));
        let best = best.map(|reading| reading.ln_e).max_by(f64::total_cmp);
        if let Some(ln_e) = best.filter(|_| statement.end.is_none()) {
            reasons.push(format!(
                "evidence of the strongest cell: ln E = {ln_e:.1}; one cell alone needs {:.1} (false discovery rate 1 % over {} cells)",
                self.alarm_threshold(),
                self.world.cell_count(),
            ));
        }
        let p = &statement.posterior;
        reasons.push(format!(
            "explanations compared (model scores, not probabilities): one provider {:.2}, several {:.2}, the country {:.2}, the site {:.2}, nothing {:.2}",
            p.one, p.several, p.national, p.target, p.nothing
        ));
        reasons.extend(self.describe_baseline(statement));
        if statement.returns > 0 {
            reasons.push(format!("it came back {} times after it had seemed over", statement.returns));
        }
        reasons
    }

    /// Gives the reasons for a failing site.
    pub(super) fn explain_outage(&self, statement: &Statement) -> Vec<String> {
        let mut reasons = Vec::new();
        for target in &statement.targets {
            let host = self.world.targets[*target].target.host();
            let networks =
                self.store.failing_controls(*target, statement.onset, statement.end.unwrap_or(self.now));
            let (bad, all) = self.store.flagged_minutes(*target, self.now);
            if !networks.is_empty() {
                reasons.push(format!(
                    "{host}: controls in {} networks outside the country fail too",
                    networks.len()
                ));
            } else if statement.end.is_none() && all > 0 {
                reasons
                    .push(format!("{host}: controls failed in {bad} of the last {all} minutes with results"));
            }
        }
        let failing = statement.stances.values().filter(|stance| **stance == Stance::Blocked).count();
        reasons.push(format!("{failing} of {} providers see it fail", statement.stances.len()));
        reasons
    }

    fn why_insufficient(&self, cluster: &Cluster, statement: &Statement) -> String {
        if cluster.strength() == Strength::Uncontrolled {
            return "no control measured these targets meanwhile, so that a failing site cannot be told from a block".to_owned();
        }
        let mut parts = Vec::new();
        for family in &statement.families {
            let agents = self.active_in(*family).max(1);
            let more = 3_usize.saturating_sub(agents).max(1);
            let heard = self.active.get(*family).map_or(0, Vec::len);
            let cohort = if heard > agents {
                format!(" ({heard} were heard, but those who were invited together count as one)")
            } else {
                String::new()
            };
            parts.push(format!(
                "{} agent{} on {}{cohort}, {more} more would decide it",
                if agents == 1 { "one".to_owned() } else { agents.to_string() },
                if agents == 1 { "" } else { "s" },
                self.world.families[*family].name
            ));
        }
        format!(
            "too few vantage points see this; a home cannot be told from a provider: {}",
            parts.join(", ")
        )
    }

    fn describe(&self, family: FamilyNo, statement: &Statement) -> String {
        let to = statement.ends.get(&family).copied().unwrap_or(self.now);
        let from = statement.onsets.get(&family).map_or(statement.onset, |change| change.first_after);
        let entries = self.pooled(family, &statement.targets, (from, to));
        let votes = vote(&entries);
        let bad = entries.iter().filter(|entry| entry.class.is_anomaly()).count();
        let means = statement.mechanism_by_family.get(&family).map_or("", |class| mechanism_words(*class));
        let when = statement.onsets.get(&family).map_or(String::new(), |change| self.interval(change));
        let voters = self.voters();
        format!(
            "{}: {} of {} {voters} fail, {bad} of {} results{means}{when}",
            self.family_name(self.world.families[family].asn),
            votes.bad,
            votes.agents,
            entries.len(),
        )
    }

    fn interval(&self, change: &Change) -> String {
        let at = |ms: Ms| self.local_time(Timestamp::from_unix_ms(ms));
        if change.last_before == change.first_after {
            return format!("; no success was seen before the first failure at {}", at(change.first_after));
        }
        format!("; last success {}, first failure {}", at(change.last_before), at(change.first_after))
    }

    fn describe_others(&self, statement: &Statement) -> Vec<String> {
        let names = |wanted: Stance| -> Vec<String> {
            let own = statement
                .stances
                .iter()
                .filter(|(family, s)| **s == wanted && !statement.families.contains(family));
            own.map(|(family, _)| self.world.families[*family].name.clone()).collect()
        };
        let (cleared, unknown) = (names(Stance::Cleared), names(Stance::Unknown));
        let mut reasons = Vec::new();
        if !cleared.is_empty() {
            reasons.push(format!("the same targets work on {}", list(&cleared)));
        }
        if !unknown.is_empty() {
            reasons.push(format!("too little is known of {}", list(&unknown)));
        }
        reasons
    }

    fn describe_controls(&self, statement: &Statement) -> Option<String> {
        let to = statement.end.unwrap_or(self.now);
        let (mut fine, mut all, mut networks) = (0, 0, BTreeSet::new());
        for target in &statement.targets {
            for entry in self.store.control(*target).between(statement.onset, to) {
                all += 1;
                fine += usize::from(!entry.class.is_anomaly());
                networks.insert(self.store.agents[entry.agent].asn);
            }
        }
        (all > 0).then(|| {
            format!("controls outside the country: {fine} of {all} results fine, {} networks", networks.len())
        })
    }

    fn describe_selectivity(&self, statement: &Statement) -> Option<String> {
        let to = statement.end.unwrap_or(self.now);
        let (mut fine, mut all) = (0, 0);
        for family in &statement.families {
            for target in (0..self.world.targets.len()).filter(|target| self.world.is_canary(*target)) {
                let entries = self.store.cell(*family, target).between(statement.onset, to);
                all += entries.len();
                fine += entries.iter().filter(|entry| !entry.class.is_anomaly()).count();
            }
        }
        (all > 0).then(|| format!("canaries on the same providers: {fine} of {all} results fine"))
    }
}

/// Writes names as a list.
pub(super) fn list(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

fn mechanism_words(class: Class) -> &'static str {
    match class {
        Class::DnsNxdomain => ", mostly a denied name",
        Class::DnsBogon => ", mostly an impossible address from the resolver",
        Class::DnsInjected => ", mostly a forged address from the resolver",
        Class::DnsTimeout => ", mostly a silent resolver",
        Class::TcpRefused => ", mostly refused connections",
        Class::TcpReset | Class::HttpReset => ", mostly reset connections",
        Class::TcpTimeout | Class::HttpTimeout => ", mostly unanswered connections",
        Class::TlsReset => ", mostly handshakes reset after the name was sent",
        Class::TlsTimeout => ", mostly handshakes unanswered after the name was sent",
        Class::TlsCertMismatch => ", mostly certificates that are not the site's",
        Class::HttpBlockpage => ", mostly a block page",
        Class::HttpStatusDiff => ", mostly refusals by the server",
        Class::Ok | Class::Throttled | Class::LocalNetworkDown => "",
    }
}
