//! Who was affected, who was not, and of whom nothing is known.

use super::Said;
use super::nature::is_silence;
use super::sight::{FAILS, Scene, rate};
use super::synchrony::round;
use faultline_model::{Access, Asn};
use serde::{Deserialize, Serialize};

/// Fewer failures than this clear a network, from two agents on (method 3.6).
const CLEARED: f64 = 0.34;
const LEAST_AGENTS: usize = 2;

/// One provider's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provider {
    /// Its main network.
    pub asn: Asn,
    /// Its name.
    pub name: String,
    /// Its share of the country's users, 0 if unknown.
    pub user_share: f64,
    /// Fixed or mobile.
    pub access: Access,
    /// `affected`, `cleared` or `unknown`.
    pub stance: String,
}

/// The users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Users {
    /// In words, and what it was tested against.
    #[serde(flatten)]
    pub said: Said,
    /// Share of users on networks that are affected.
    pub affected: f64,
    /// Share of users on networks that are known to be fine.
    pub cleared: f64,
    /// Share of users of whose networks nothing is known.
    pub unknown: f64,
    /// The providers, the largest first.
    pub providers: Vec<Provider>,
}

/// Answers who was affected.
pub(super) fn users(scene: &Scene<'_>) -> Users {
    let [affected, cleared, unknown] = scene.incident.user_share.map(round);
    let mut providers: Vec<Provider> = scene
        .families()
        .into_iter()
        .map(|asn| {
            let operator = scene.profile.operator(asn);
            Provider {
                asn,
                name: scene.name(asn),
                user_share: operator.map_or(0.0, |own| own.user_share),
                access: operator.map_or(Access::Fixed, |own| own.access),
                stance: stance(scene, asn).to_owned(),
            }
        })
        .collect();
    providers.sort_by(|a, b| b.user_share.total_cmp(&a.user_share).then(a.asn.cmp(&b.asn)));
    let sentence = format!(
        "{:.0} % of users are on networks that are affected, {:.0} % on networks known to be fine, and of {:.0} % nothing \
         is known",
        100.0 * affected,
        100.0 * cleared,
        100.0 * unknown
    );
    let answer = if affected + cleared > 0.0 { "counted" } else { "cannot_tell" };
    let against = "nothing: shares are those of the country's profile, and a network without enough agents is unknown, not fine";
    Users { said: Said::new(answer, sentence, against), affected, cleared, unknown, providers }
}

/// Says what is known of a network's part in an incident.
pub(super) fn stance(scene: &Scene<'_>, asn: Asn) -> &'static str {
    if scene.incident.asns.contains(&asn) {
        return "affected";
    }
    let own = scene.during(asn);
    let seen = rate(own.into_iter().filter(|sight| scene.is_affected(&sight.target)));
    // In a silence whoever measured was not part of it.
    let least = if is_silence(scene.incident.verdict) { FAILS } else { CLEARED };
    if seen.agents >= LEAST_AGENTS && seen.share < least { "cleared" } else { "unknown" }
}
