//! Scenarios drawn by chance from one base: who blocks what, how, and from when.
//!
//! Of twenty runs seven are one provider that blocks one target, the hardest to notice; the others are a service or
//! several at one provider, a service at a few providers, the whole country, and sites that are down.

use super::scenario::{Scenario, ScenarioError};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// How blocks are done.
const WAYS: [&str; 7] =
    ["sni_reset", "sni_drop", "sni_close", "dns_forge", "dns_inject", "address_drop", "address_refuse"];
/// The category of targets that nobody blocks.
const CANARIES: &str = "CTRL";
const SOCIAL: [&str; 4] = ["facebook", "instagram", "x", "youtube"];
/// The rule begins somewhere in these seconds.
const BEGINS_S: std::ops::Range<u64> = 12..40;
/// What a run is given beyond its cells' turn before it counts as missed.
const PATIENCE_S: u64 = 100;

/// What happens in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One provider, one target.
    OneTarget,
    /// One provider, one service.
    OneService,
    /// One provider, four services of one category.
    SocialAtOne,
    /// Two or three providers, one service.
    ServiceAtSome,
    /// Every provider, one service.
    NationService,
    /// Every provider, four services.
    NationSocial,
    /// A site is gone for everybody.
    SiteDown,
}

const TWENTY: [(Kind, usize); 7] = [
    (Kind::OneTarget, 7),
    (Kind::OneService, 3),
    (Kind::SocialAtOne, 2),
    (Kind::ServiceAtSome, 3),
    (Kind::NationService, 2),
    (Kind::NationSocial, 1),
    (Kind::SiteDown, 2),
];

/// One drawn scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Drawn {
    /// What happens.
    pub kind: Kind,
    /// Who does it, as the rule says.
    pub who: String,
    /// To whom, as the rule says.
    pub whom: String,
    /// How.
    pub how: String,
    /// The scenario file's text.
    #[serde(skip)]
    pub text: String,
}

/// Why nothing can be drawn.
#[derive(Debug, thiserror::Error)]
pub enum MixError {
    /// The base is no scenario.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The base cannot be read as TOML.
    #[error("{}: {why}", path.display())]
    Base {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Draws `runs` scenarios from the base; the same seed draws the same ones.
///
/// # Errors
/// Says what is wrong with the base.
pub fn draw(base: &Path, runs: usize, seed: u64) -> Result<Vec<Drawn>, MixError> {
    let scenario = Scenario::read(base)?;
    let wrong = |why: String| MixError::Base { path: base.to_owned(), why };
    let text = std::fs::read_to_string(base).map_err(|e| wrong(e.to_string()))?;
    let table: Table = text.parse().map_err(|e: toml::de::Error| wrong(e.to_string()))?;
    let mut chance = StdRng::seed_from_u64(seed);
    let mut kinds: Vec<Kind> = TWENTY.iter().flat_map(|(kind, n)| std::iter::repeat_n(*kind, *n)).collect();
    kinds.shuffle(&mut chance);
    let kinds = kinds.into_iter().cycle().take(runs).collect::<Vec<_>>();
    Ok(kinds.into_iter().map(|kind| one(&scenario, &table, kind, &mut chance)).collect())
}

fn one(scenario: &Scenario, base: &Table, kind: Kind, chance: &mut StdRng) -> Drawn {
    let (who, networks) = who(scenario, kind, chance);
    let whom = whom(scenario, kind, chance);
    let how = if kind == Kind::SiteDown { "site_down" } else { pick(&WAYS, chance) };
    let begins = chance.random_range(BEGINS_S);
    let services = whom.iter().filter_map(|whom| whom.strip_prefix("service:"));
    let targets: usize = services.map(|service| scenario.list.hosts_of(service).len()).sum();
    let turn = scenario.list.cell_period.as_secs() / (networks * targets.max(1) as u64);
    let mut rule = Table::new();
    rule.insert("who".into(), who.clone().into());
    rule.insert("whom".into(), whom.clone().into());
    rule.insert("how".into(), how.into());
    rule.insert("from".into(), format!("{begins}s").into());
    if kind == Kind::SiteDown {
        rule.insert("mode".into(), pick(&["drop", "refuse"], chance).into());
    }
    let mut table = base.clone();
    let seconds = begins + turn + PATIENCE_S;
    table.insert("seconds".into(), i64::try_from(seconds).unwrap_or(i64::MAX).into());
    table.insert("seed".into(), chance.random_range(1..1_000_000_i64).into());
    for (key, path) in [("list", Some(&scenario.list.path)), ("baseline", scenario.baseline.as_ref())] {
        if let Some(path) = path {
            table.insert(key.into(), path.to_string_lossy().into_owned().into());
        }
    }
    table.insert("rule".into(), Value::Array(vec![Value::Table(rule)]));
    let text = table.to_string();
    Drawn { kind, who: who.join(" "), whom: whom.join(" "), how: how.to_owned(), text }
}

fn pick<'a>(from: &[&'a str], chance: &mut StdRng) -> &'a str {
    from.choose(chance).copied().unwrap_or_default()
}

/// Returns who does it, and in how many networks it is felt.
fn who(scenario: &Scenario, kind: Kind, chance: &mut StdRng) -> (Vec<String>, u64) {
    let all = scenario.providers.len() as u64;
    let count = match kind {
        Kind::NationService | Kind::NationSocial => return (vec!["nation".into()], all),
        Kind::SiteDown => return (vec!["site".into()], all),
        Kind::ServiceAtSome => chance.random_range(2..=3),
        Kind::OneTarget | Kind::OneService | Kind::SocialAtOne => 1,
    };
    let providers: Vec<_> = scenario.providers.sample(chance, count).collect();
    let count = count as u64;
    (providers.iter().map(|provider| format!("provider:{}", provider.asn)).collect(), count)
}

fn whom(scenario: &Scenario, kind: Kind, chance: &mut StdRng) -> Vec<String> {
    match kind {
        Kind::SocialAtOne | Kind::NationSocial => SOCIAL.iter().map(|id| format!("service:{id}")).collect(),
        Kind::OneService | Kind::ServiceAtSome | Kind::NationService => {
            vec![format!("service:{}", pick(&SOCIAL, chance))]
        }
        // A host stands for all names below it, so only such as have none are one target.
        Kind::OneTarget | Kind::SiteDown => {
            let listed = &scenario.list.targets;
            let hosts: Vec<&str> =
                listed.iter().filter(|t| t.category != CANARIES).map(|t| t.target.host()).collect();
            let lonely = |host: &&str| !hosts.iter().any(|other| other.ends_with(&format!(".{host}")));
            let lonely: Vec<&str> = hosts.iter().copied().filter(lonely).collect();
            vec![pick(&lonely, chance).to_owned()]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::country::truth::truth;
    use faultline_model::{Timestamp, Verdict};

    fn base() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mix.toml")
    }

    #[test]
    fn a_third_of_the_runs_is_one_provider_and_one_target_and_all_are_scenarios() {
        let drawn = draw(&base(), 20, 7).expect("drawn");
        let single = drawn.iter().filter(|drawn| drawn.kind == Kind::OneTarget).count();
        assert_eq!((drawn.len(), single), (20, 7));
        for drawn in &drawn {
            let scenario = Scenario::of_text(&base(), &drawn.text).expect("a scenario");
            let truth = truth(&scenario, Timestamp::from_unix_ms(1_700_000_000_000), 0);
            let [incident] = truth.incidents.as_slice() else { panic!("{drawn:?}: {:?}", truth.incidents) };
            let expected = match drawn.kind {
                Kind::OneTarget | Kind::OneService | Kind::SocialAtOne => Verdict::IspBlock,
                Kind::ServiceAtSome => Verdict::MultiIspBlock,
                Kind::NationService => Verdict::NationalBlock,
                Kind::NationSocial => Verdict::CategoryBlock,
                Kind::SiteDown => Verdict::TargetOutage,
            };
            assert_eq!(incident.verdict, expected, "{drawn:?}");
            assert!(drawn.kind != Kind::OneTarget || incident.targets.len() == 1, "{drawn:?}");
        }
    }

    #[test]
    fn a_seed_draws_the_same_again_and_another_one_others() {
        let texts = |seed| {
            let drawn = draw(&base(), 20, seed).expect("drawn");
            drawn.into_iter().map(|drawn| drawn.text).collect::<Vec<_>>()
        };
        assert_eq!(texts(7), texts(7));
        assert_ne!(texts(7), texts(8));
    }
}
