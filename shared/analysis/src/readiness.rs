//! Readiness: which verdicts the vantage points that there are could give, how soon, and what would change that.
//!
//! A function of who is there, not of what they measure. Delays are those of the method (section 5): with `m` agents in
//! evenly spread phases of a period `T`, the r-th distinct one reports `T r / (m + 1)` after the beginning; live, the
//! first asks the others within half a minute.

use faultline_model::{Access, Asn, CountryProfile, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

/// Agents from which a statement about a provider can be made alone.
const LEAST_AGENTS: usize = 3;
/// Shares of networks and of users for a statement about the country.
const COUNTRY_SHARE: f64 = 0.7;
const COUNTRY_FAMILIES: usize = 3;
/// What asking others costs in time.
const ASKING_S: f64 = 30.0;
/// A download is planned once an hour per cell.
const DOWNLOAD_S: f64 = 3600.0;
/// Evidence of one agent in its weakest form, a timeout, and what one cell of `n` must reach.
const TIMEOUT_NATS: f64 = 3.5;
const ALPHA: f64 = 0.01;
/// History from which a cell's usual rate is known.
const BASELINE_DAYS: f64 = 14.0;

/// Who and what is there.
#[derive(Clone, Debug, Default)]
pub struct Means {
    /// Agents by network.
    pub agents: BTreeMap<Asn, usize>,
    /// Networks outside the country with controls.
    pub control_networks: usize,
    /// Targets on the list, and canaries served abroad among them.
    pub targets: usize,
    /// See `targets`.
    pub canaries: usize,
    /// Targets with paired downloads.
    pub downloads: usize,
    /// Hosts inside the country's networks that controls look at.
    pub landmarks: usize,
    /// Regions with five agents or more.
    pub regions: usize,
    /// Days of measurements at hand.
    pub history_days: f64,
    /// Seconds in which a cell is measured once.
    pub period_s: f64,
    /// Others can be asked within seconds.
    pub is_live: bool,
}

/// Whether one verdict can be given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// The verdict.
    pub verdict: Verdict,
    /// It can be given.
    pub detectable: bool,
    /// Expected seconds from the beginning to the first publication.
    pub delay_s: Option<u32>,
    /// Why not, where it cannot.
    pub missing: Option<String>,
    /// The least that would change it.
    pub fix: Option<String>,
}

/// What can be said of one provider.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// Its main network.
    pub asn: Asn,
    /// Fixed or mobile.
    pub access: Access,
    /// Its share of the users, where known.
    pub user_share: f64,
    /// Agents on its networks.
    pub agents: usize,
    /// One answer per verdict about a provider.
    pub verdicts: Vec<Answer>,
}

/// What can be said of a country.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Readiness {
    /// By provider, those with most users first.
    pub providers: Vec<Provider>,
    /// One answer per verdict about the country or the sites.
    pub country: Vec<Answer>,
    /// What a reader must know besides.
    pub notes: Vec<String>,
}

/// Says what could be detected.
#[must_use]
pub fn readiness(profile: &CountryProfile, means: &Means) -> Readiness {
    let mut providers: Vec<Provider> = Vec::new();
    for operator in &profile.operators {
        let agents = operator.asns.iter().filter_map(|asn| means.agents.get(asn)).sum();
        let (name, asn) = (operator.name.clone(), operator.main_asn());
        let verdicts = about_provider(&name, agents, means, profile.operators.len());
        let (access, user_share) = (operator.access, operator.user_share);
        providers.push(Provider { name, asn, access, user_share, agents, verdicts });
    }
    providers.sort_by(|a, b| b.user_share.total_cmp(&a.user_share).then_with(|| a.name.cmp(&b.name)));
    let country = about_country(&providers, means);
    let notes = notes(&providers, means);
    Readiness { providers, country, notes }
}

fn about_provider(name: &str, agents: usize, means: &Means, families: usize) -> Vec<Answer> {
    let few = (agents < LEAST_AGENTS).then(|| {
        let more = LEAST_AGENTS - agents;
        let there = match agents {
            0 => format!("no vantage point on {name}"),
            1 => format!("one vantage point on {name}: a home cannot be told from a provider"),
            _ => format!("{agents} vantage points on {name}: one more decides"),
        };
        (there, format!("{} on {name}", volunteers(more)))
    });
    let blind = (means.control_networks == 0).then(|| {
        let missing = "no control outside the country: a failing site cannot be told from a block".to_owned();
        (missing, "one control outside the country".to_owned())
    });
    let canaries = (means.canaries < 2)
        .then(|| ("fewer than two canaries on the list".to_owned(), "two canaries on the list".to_owned()));
    let downloads = (means.downloads == 0).then(|| {
        ("no target of the list is downloaded".to_owned(), "the check throughput on one target".to_owned())
    });
    let asking = if means.is_live { ASKING_S } else { 0.0 };
    let slow = if means.is_live {
        DOWNLOAD_S / 2.0 + 2.0 * ASKING_S
    } else {
        DOWNLOAD_S / 2.0 * f64::from(needed(agents, means, families)) / float(agents + 1)
    };
    vec![
        answer(Verdict::IspBlock, few.clone().or(blind), block_delay(agents, means, families)),
        answer(Verdict::Throttling, few.clone().or(downloads), slow),
        answer(Verdict::IspOutage, few.clone(), if means.is_live { 60.0 } else { 0.9 * means.period_s }),
        answer(Verdict::TechnicalFailure, few.or(canaries), 3600.0 + asking),
    ]
}

/// Agents that must agree before one provider alone is named, for the weakest kind of failure.
fn needed(agents: usize, means: &Means, families: usize) -> u32 {
    let threshold = (float(means.targets.max(1) * families.max(1)) / ALPHA).ln();
    let by_evidence = (threshold / TIMEOUT_NATS).ceil();
    let by_quorum = (0.34 * float(agents)).ceil().max(3.0);
    (1_u32..100).find(|number| f64::from(*number) >= by_evidence.max(by_quorum)).unwrap_or(100)
}

fn block_delay(agents: usize, means: &Means, families: usize) -> f64 {
    if means.is_live {
        // A cell is measured once in a period, whoever does it.
        return means.period_s / 2.0 + ASKING_S;
    }
    means.period_s * f64::from(needed(agents, means, families)) / float(agents + 1)
}

fn about_country(providers: &[Provider], means: &Means) -> Vec<Answer> {
    let testable: Vec<&Provider> =
        providers.iter().filter(|provider| provider.agents >= LEAST_AGENTS).collect();
    let share: f64 = testable.iter().map(|provider| provider.user_share).sum();
    let is_known = providers.iter().any(|provider| provider.user_share > 0.0);
    let agents: usize = providers.iter().map(|provider| provider.agents).sum();
    let wide = if testable.len() < COUNTRY_FAMILIES {
        let missing =
            format!("{} providers have enough vantage points, {COUNTRY_FAMILIES} are needed", testable.len());
        Some((
            missing,
            cheapest(providers, |_| true).unwrap_or_else(|| "a profile with its providers".to_owned()),
        ))
    } else if is_known && share < COUNTRY_SHARE {
        let missing = format!(
            "providers with enough vantage points have {:.0} % of the users, 70 % are needed",
            100.0 * share
        );
        cheapest(providers, |_| true).map(|fix| (missing, fix))
    } else {
        None
    };
    let first = means.period_s / float(agents + 1);
    let spread = if means.is_live { first + 2.0 * ASKING_S } else { 0.5 * means.period_s };
    let is_mobile = |provider: &Provider| provider.access == Access::Mobile;
    let mobile = testable.iter().any(|provider| is_mobile(provider));
    let fixed = testable.iter().any(|provider| !is_mobile(provider));
    let partial = match (mobile, fixed) {
        (true, true) => None,
        (false, _) => cheapest(providers, is_mobile)
            .map(|fix| ("no mobile provider has enough vantage points".to_owned(), fix))
            .or_else(|| {
                Some((
                    "the profile names no mobile provider".to_owned(),
                    "its mobile providers in the profile".to_owned(),
                ))
            }),
        (true, false) => cheapest(providers, |provider| !is_mobile(provider))
            .map(|fix| ("no fixed line has enough vantage points".to_owned(), fix)),
    };
    let controls = (means.control_networks < 2).then(|| {
        let missing = "controls in two networks outside the country are needed".to_owned();
        (
            missing,
            format!(
                "{} more outside the country",
                if means.control_networks == 0 { "two controls" } else { "one control" }
            ),
        )
    });
    let landmarks = (means.landmarks == 0).then(|| {
        let missing =
            "nothing tells a shutdown from a block of our channel before agents are back".to_owned();
        (missing, "landmarks: public hosts inside the providers' networks on the list".to_owned())
    });
    let regions = (means.regions == 0).then(|| {
        (
            "no region has five vantage points".to_owned(),
            "regions of agents, and five agents in one".to_owned(),
        )
    });
    let silent = if means.is_live { 70.0 } else { 0.8 * means.period_s };
    vec![
        answer(
            Verdict::NationalBlock,
            wide.clone().or_else(|| controls.clone().filter(|_| means.control_networks == 0)),
            spread,
        ),
        answer(Verdict::NationalShutdown, wide.clone(), silent),
        answer(Verdict::PartialShutdown, partial, silent),
        answer(Verdict::ControlChannelBlock, wide.or(landmarks), silent + ASKING_S),
        answer(Verdict::RegionalOutage, regions, silent),
        answer(Verdict::TargetOutage, controls, if means.is_live { spread } else { 900.0 }),
    ]
}

/// Names the provider that needs fewest more agents, of those with most users.
fn cheapest(providers: &[Provider], wanted: impl Fn(&Provider) -> bool) -> Option<String> {
    let short = providers.iter().filter(|provider| provider.agents < LEAST_AGENTS && wanted(provider));
    let missing = |provider: &Provider| LEAST_AGENTS - provider.agents;
    let best = short.min_by(|a, b| {
        missing(a)
            .cmp(&missing(b))
            .then(b.user_share.total_cmp(&a.user_share))
            .then_with(|| a.name.cmp(&b.name))
    })?;
    Some(format!("{} on {}", volunteers(missing(best)), best.name))
}

fn notes(providers: &[Provider], means: &Means) -> Vec<String> {
    let mut notes = Vec::new();
    let mobile: Vec<&Provider> =
        providers.iter().filter(|provider| provider.access == Access::Mobile).collect();
    if mobile.iter().all(|provider| provider.agents == 0) {
        notes.push("no mobile vantage points: a mobile shutdown would not be seen".to_owned());
    }
    let uncovered: f64 = providers
        .iter()
        .filter(|provider| provider.agents < LEAST_AGENTS)
        .map(|provider| provider.user_share)
        .sum();
    if uncovered > 0.0 {
        notes.push(format!(
            "{:.0} % of the users are with providers of which nothing certain can be said",
            100.0 * uncovered
        ));
    }
    if means.history_days < BASELINE_DAYS {
        notes.push(format!(
            "no baseline yet: {:.0} of 14 days of measurements; until then usual rates are assumed",
            means.history_days.floor()
        ));
    }
    notes
}

fn answer(verdict: Verdict, obstacle: Option<(String, String)>, delay: f64) -> Answer {
    let (missing, fix) = obstacle.unzip();
    let detectable = missing.is_none();
    let delay_s = detectable.then(|| (1_u32..86_400).find(|s| f64::from(*s) >= delay).unwrap_or(86_400));
    Answer { verdict, detectable, delay_s, missing, fix }
}

fn volunteers(number: usize) -> String {
    match number {
        1 => "one volunteer more".to_owned(),
        2 => "two volunteers more".to_owned(),
        more => format!("{more} volunteers more"),
    }
}

fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_model::Operator;

    fn asn(number: u32) -> Asn {
        Asn::recorded(number).expect("not zero")
    }

    fn profile() -> CountryProfile {
        let operator = |number, access, user_share| Operator {
            name: format!("Provider {number}"),
            asns: vec![asn(number), asn(number + 100)],
            access,
            user_share,
            upstreams: Vec::new(),
        };
        CountryProfile {
            operators: vec![
                operator(1, Access::Fixed, 0.3),
                operator(2, Access::Mobile, 0.4),
                operator(3, Access::Fixed, 0.2),
                operator(4, Access::Fixed, 0.1),
            ],
            ..CountryProfile::unknown("XZ".parse().expect("valid"))
        }
    }

    fn means(agents: &[(u32, usize)]) -> Means {
        Means {
            agents: agents.iter().map(|(number, agents)| (asn(*number), *agents)).collect(),
            control_networks: 2,
            targets: 20,
            canaries: 4,
            downloads: 3,
            landmarks: 1,
            regions: 1,
            history_days: 20.0,
            period_s: 600.0,
            is_live: false,
        }
    }

    fn of(answers: &[Answer], verdict: Verdict) -> Answer {
        answers.iter().find(|answer| answer.verdict == verdict).expect("it is answered").clone()
    }

    #[test]
    fn two_volunteers_make_a_mobile_shutdown_visible() {
        let said = readiness(&profile(), &means(&[(1, 5), (2, 1), (3, 4), (4, 3)]));
        let partial = of(&said.country, Verdict::PartialShutdown);
        assert!(!partial.detectable, "{partial:?}");
        assert_eq!(partial.fix.as_deref(), Some("two volunteers more on Provider 2"));
        let said = readiness(&profile(), &means(&[(1, 5), (102, 3), (3, 4), (4, 3)]));
        assert!(of(&said.country, Verdict::PartialShutdown).detectable, "both networks of a family count");
        assert!(said.notes.is_empty(), "{:?}", said.notes);
    }

    #[test]
    fn a_country_without_mobile_vantage_points_is_told_so() {
        let said = readiness(&profile(), &means(&[(1, 9), (3, 9), (4, 9)]));
        assert!(
            said.notes.iter().any(|note| note.starts_with("no mobile vantage points")),
            "{:?}",
            said.notes
        );
        let national = of(&said.country, Verdict::NationalBlock);
        assert!(!national.detectable, "sixty percent of the users are not the country");
    }

    #[test]
    fn more_agents_are_faster_and_few_are_not_enough() {
        let delay = |agents: usize| {
            let said = readiness(&profile(), &means(&[(1, agents)]));
            of(
                &said.providers.iter().find(|one| one.asn == asn(1)).expect("named").verdicts,
                Verdict::IspBlock,
            )
            .delay_s
        };
        assert_eq!(delay(2), None);
        assert!(delay(3) > delay(8) && delay(8).is_some(), "{:?} {:?}", delay(3), delay(8));
    }

    #[test]
    fn a_list_without_downloads_sees_no_throttling() {
        let said = readiness(&profile(), &Means { downloads: 0, history_days: 3.0, ..means(&[(1, 5)]) });
        let one = said.providers.iter().find(|one| one.asn == asn(1)).expect("named");
        let slow = of(&one.verdicts, Verdict::Throttling);
        assert!(!slow.detectable && slow.missing.is_some_and(|text| text.contains("downloaded")));
        assert!(said.notes.iter().any(|note| note.starts_with("no baseline yet: 3 of 14 days")));
    }
}
