//! What is known of countries beforehand, and which operator family a network belongs to.

use faultline_model::{Access, Asn, CountryCode, CountryProfile};
use std::collections::BTreeMap;

/// The profiles of all countries that operators described. A country without one has one family per network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Countries {
    profiles: BTreeMap<CountryCode, CountryProfile>,
}

/// An operator family as readers see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Family {
    pub(crate) asn: Asn,
    pub(crate) name: String,
    pub(crate) access: Access,
    pub(crate) user_share: f64,
}

impl Countries {
    pub(crate) fn new(profiles: Vec<CountryProfile>) -> Self {
        Self { profiles: profiles.into_iter().map(|profile| (profile.country, profile)).collect() }
    }

    /// Returns a country's profile; an empty one if nobody described it.
    pub(crate) fn profile(&self, country: CountryCode) -> CountryProfile {
        self.profiles.get(&country).cloned().unwrap_or_else(|| CountryProfile::unknown(country))
    }

    /// Returns the countries that have a profile.
    pub(crate) fn described(&self) -> impl Iterator<Item = CountryCode> + '_ {
        self.profiles.keys().copied()
    }

    /// Says whether measurements by others count as evidence in a country.
    pub(crate) fn counts_imported(&self, country: CountryCode) -> bool {
        self.profiles.get(&country).is_some_and(|profile| profile.imported_as_evidence)
    }

    /// Says whether they count in any country.
    pub(crate) fn any_counts_imported(&self) -> bool {
        self.profiles.values().any(|profile| profile.imported_as_evidence)
    }

    /// Returns the family that a network belongs to.
    pub(crate) fn family(&self, country: CountryCode, asn: Asn) -> Family {
        let operator = self.profiles.get(&country).and_then(|profile| profile.operator(asn));
        operator.map_or_else(
            || Family { asn, name: asn.to_string(), access: Access::Fixed, user_share: 0.0 },
            |operator| Family {
                asn: operator.main_asn(),
                name: operator.name.clone(),
                access: operator.access,
                user_share: operator.user_share,
            },
        )
    }

    /// Returns the families of a country's profile, the largest user share first.
    pub(crate) fn families(&self, country: CountryCode) -> Vec<Family> {
        let operators =
            self.profiles.get(&country).map(|profile| profile.operators.as_slice()).unwrap_or_default();
        let mut families: Vec<_> =
            operators.iter().map(|operator| self.family(country, operator.main_asn())).collect();
        families.sort_by(|a, b| b.user_share.total_cmp(&a.user_share).then(a.asn.cmp(&b.asn)));
        families
    }
}
