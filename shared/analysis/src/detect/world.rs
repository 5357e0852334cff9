//! The networks and targets that are judged, under small numbers.
//!
//! Numbers are only ever added, so that a new list or profile never moves a stored result.

use super::null::Changes;
use super::setup::{Setup, TargetInfo};
use faultline_model::{Access, Asn, Category, CountryCode, Record, Role, ServiceId, Target};
use std::collections::{BTreeMap, BTreeSet};

/// A target's number.
pub(super) type TargetNo = usize;
/// A family's number.
pub(super) type FamilyNo = usize;
/// A category's number.
pub(super) type CategoryNo = usize;

/// More targets than a list may have are never kept.
const MAX_TARGETS: usize = 5000;

/// An operator family of the country.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) asn: Asn,
    pub(super) name: String,
    pub(super) share: f64,
    pub(super) access: Access,
    /// The gateways that it buys from.
    pub(super) upstreams: Vec<Asn>,
    /// At least one record came from it.
    pub(super) is_heard: bool,
    pub(super) changes: Changes,
}

/// Where a record was made, seen from the country.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Inside the country.
    Home(FamilyNo),
    /// A volunteer in a neighbouring network.
    Reference,
    /// A control.
    Control,
}

/// Everything that has a number.
#[derive(Debug)]
pub(super) struct World {
    pub(super) country: CountryCode,
    pub(super) targets: Vec<TargetInfo>,
    pub(super) families: Vec<Family>,
    category_of: Vec<CategoryNo>,
    categories: Vec<Category>,
    target_numbers: BTreeMap<Target, TargetNo>,
    family_numbers: BTreeMap<Asn, FamilyNo>,
    family_of: BTreeMap<Asn, FamilyNo>,
    references: BTreeSet<Asn>,
    /// Names of gateways.
    pub(super) gateways: BTreeMap<Asn, String>,
}

impl World {
    pub(super) fn new(setup: &Setup) -> Self {
        let mut world = Self {
            country: setup.profile.country,
            targets: Vec::new(),
            families: Vec::new(),
            category_of: Vec::new(),
            categories: Vec::new(),
            target_numbers: BTreeMap::new(),
            family_numbers: BTreeMap::new(),
            family_of: BTreeMap::new(),
            references: BTreeSet::new(),
            gateways: BTreeMap::new(),
        };
        world.update(setup);
        world
    }

    /// Takes over a new list and profile. What is no longer listed keeps its number.
    pub(super) fn update(&mut self, setup: &Setup) {
        self.country = setup.profile.country;
        self.references.clone_from(&setup.reference_asns);
        let gateways = setup.profile.gateways.iter();
        self.gateways = gateways.map(|gateway| (gateway.asn, gateway.name.clone())).collect();
        for info in &setup.targets {
            self.add_target(info.clone());
        }
        self.family_of.clear();
        for operator in &setup.profile.operators {
            let number = self.add_family(operator.main_asn(), &operator.name);
            self.families[number].share = operator.user_share;
            self.families[number].access = operator.access;
            self.families[number].upstreams.clone_from(&operator.upstreams);
            for asn in &operator.asns {
                self.family_of.insert(*asn, number);
            }
        }
    }

    pub(super) fn target(&self, target: &Target) -> Option<TargetNo> {
        self.target_numbers.get(target).copied()
    }

    pub(super) fn category(&self, target: TargetNo) -> CategoryNo {
        self.category_of[target]
    }

    pub(super) fn category_count(&self) -> usize {
        self.categories.len()
    }

    pub(super) fn is_canary(&self, target: TargetNo) -> bool {
        self.targets[target].category.is_canary()
    }

    /// Says whether a target is a canary that is served abroad: what shows that a line works.
    pub(super) fn is_foreign_canary(&self, target: TargetNo) -> bool {
        self.is_canary(target) && !self.targets[target].domestic
    }

    /// Says whether a target is of the neutral ones: served abroad, and nothing that anybody has a reason to block.
    pub(super) fn is_neutral(&self, target: TargetNo) -> bool {
        let info = &self.targets[target];
        !info.domestic && (info.category.is_canary() || info.category.as_str() == "CULTR")
    }

    /// Returns the number of a record's target; a target that no list names is added under its host's name.
    pub(super) fn target_of(&mut self, record: &Record) -> Option<TargetNo> {
        if let Some(number) = self.target(&record.target) {
            return Some(number);
        }
        if self.targets.len() >= MAX_TARGETS {
            return None;
        }
        let host = record.target.host();
        Some(self.add_target(TargetInfo {
            target: record.target.clone(),
            service: service_of(host),
            service_name: host.to_owned(),
            role: Role::Site,
            category: record.category.clone(),
            domestic: false,
        }))
    }

    /// Returns where a record was made, or nothing if it is none of this country's affairs.
    pub(super) fn place_of(&mut self, record: &Record) -> Option<Place> {
        self.place_of_vantage(record.asn, record.country, record.control)
    }

    /// Returns where a vantage point stands.
    pub(super) fn place_of_vantage(
        &mut self,
        asn: Asn,
        country: CountryCode,
        control: bool,
    ) -> Option<Place> {
        if control {
            return Some(Place::Control);
        }
        if self.references.contains(&asn) {
            return Some(Place::Reference);
        }
        (country == self.country).then(|| Place::Home(self.family_of(asn)))
    }

    /// Returns an ASN's family; an ASN that no profile names is a family of its own.
    pub(super) fn family_of(&mut self, asn: Asn) -> FamilyNo {
        if let Some(number) = self.family_of.get(&asn) {
            return *number;
        }
        let number = self.add_family(asn, "");
        self.family_of.insert(asn, number);
        number
    }

    /// Returns the family that is named by this ASN, if there is one.
    pub(super) fn family_named(&self, asn: Asn) -> Option<FamilyNo> {
        self.family_of.get(&asn).or_else(|| self.family_numbers.get(&asn)).copied()
    }

    /// Returns the families that were ever heard.
    pub(super) fn heard(&self) -> impl Iterator<Item = FamilyNo> + '_ {
        (0..self.families.len()).filter(|number| self.families[*number].is_heard)
    }

    /// Returns the number of home cells, over which false discoveries are counted.
    pub(super) fn cell_count(&self) -> usize {
        self.heard().count() * self.targets.len()
    }

    fn add_target(&mut self, info: TargetInfo) -> TargetNo {
        let category = self.add_category(&info.category);
        if let Some(number) = self.target_numbers.get(&info.target) {
            self.targets[*number] = info;
            self.category_of[*number] = category;
            return *number;
        }
        let number = self.targets.len();
        self.target_numbers.insert(info.target.clone(), number);
        self.category_of.push(category);
        self.targets.push(info);
        number
    }

    fn add_category(&mut self, category: &Category) -> CategoryNo {
        if let Some(number) = self.categories.iter().position(|known| known == category) {
            return number;
        }
        self.categories.push(category.clone());
        self.categories.len() - 1
    }

    fn add_family(&mut self, asn: Asn, name: &str) -> FamilyNo {
        let number = *self.family_numbers.entry(asn).or_insert_with(|| {
            let name = asn.to_string();
            self.families.push(Family {
                asn,
                name,
                share: 0.0,
                access: Access::Fixed,
                upstreams: Vec::new(),
                is_heard: false,
                changes: Changes::default(),
            });
            self.families.len() - 1
        });
        if !name.is_empty() {
            name.clone_into(&mut self.families[number].name);
        }
        number
    }
}

/// Names a service after a host.
pub(crate) fn service_of(host: &str) -> ServiceId {
    let allowed = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let name: String = host.chars().map(allowed).take(40).collect();
    ServiceId::new(&name).unwrap_or_else(|_| ServiceId::new("unnamed").expect("a constant name is valid"))
}
