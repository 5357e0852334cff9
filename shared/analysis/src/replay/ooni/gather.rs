//! Measurements gathered from their rows, in any order and however often a row is repeated.

use super::sign::Sign;
use faultline_model::{Asn, Class, CountryCode, Layer, MeasurementId, Target, Timestamp};
use std::collections::BTreeMap;

const LAYERS: [Layer; 4] = [Layer::Dns, Layer::Tcp, Layer::Tls, Layer::Http];
/// More targets than this in one measurement are no measurement.
const MAX_TARGETS: usize = 256;
/// So many measurements are kept; a country has a few hundred thousand in a month.
const MAX_MEASUREMENTS: usize = 2_000_000;

/// One row: a measurement, and what one of its steps says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The measurement's id; equal ids are one measurement.
    pub uid: MeasurementId,
    /// When it started.
    pub at: Timestamp,
    /// The country of the vantage point.
    pub country: CountryCode,
    /// The network of the vantage point.
    pub asn: Asn,
    /// Who runs that network, as the data name it; perhaps empty.
    pub organisation: String,
    /// The service that the test is about, where the test is about one.
    pub service: Option<String>,
    /// What was measured.
    pub target: Target,
    /// What the step says.
    pub sign: Sign,
    /// Did the control succeed, where one ran.
    pub control_ok: Option<bool>,
}

/// What a measurement says about one of its targets, layer by layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    fine: [bool; 4],
    failed: [Option<Class>; 4],
    is_local: bool,
}

impl Tally {
    fn take(&mut self, sign: Sign) {
        match sign {
            Sign::Fine(layer) => self.fine[place(layer)] = true,
            // Of several failures the first in the vocabulary's order counts, whatever the order of rows.
            Sign::Failed(class) => {
                let known = &mut self.failed[place(class.layer())];
                *known = Some(known.map_or(class, |known| known.min(class)));
            }
            Sign::Local => self.is_local = true,
        }
    }

    /// Says how the target was met; nothing where too little was tried.
    fn class(&self, target: &Target) -> Option<Class> {
        let deepest =
            (0..LAYERS.len()).rev().find(|layer| self.fine[*layer] || self.failed[*layer].is_some());
        let Some(deepest) = deepest else { return self.is_local.then_some(Class::LocalNetworkDown) };
        if self.fine[deepest] {
            let least = if target.as_str().starts_with("https:") { Layer::Tls } else { Layer::Tcp };
            return (deepest >= place(least)).then_some(Class::Ok);
        }
        (0..LAYERS.len()).find_map(|layer| self.failed[layer].filter(|_| !self.fine[layer]))
    }
}

fn place(layer: Layer) -> usize {
    LAYERS.iter().position(|own| *own == layer).unwrap_or(0)
}

#[derive(Clone, Debug)]
struct Gathering {
    at: Timestamp,
    country: CountryCode,
    asn: Asn,
    control_ok: Option<bool>,
    tallies: Vec<(Target, Tally)>,
}

/// A measurement with its votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Its id.
    pub uid: MeasurementId,
    /// When it started.
    pub at: Timestamp,
    /// Its network.
    pub asn: Asn,
    /// Did the control succeed, where one ran.
    pub control_ok: Option<bool>,
    /// How each target was met.
    pub votes: Vec<(Target, Class)>,
}

/// Measurements that are being gathered from rows.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    measurements: BTreeMap<MeasurementId, Gathering>,
    organisations: BTreeMap<Asn, String>,
    services: BTreeMap<Target, String>,
}

impl Gathered {
    /// Takes a row. Returns false where it is left out because there are too many measurements or targets.
    pub fn take(&mut self, step: Step) -> bool {
        let is_known = self.measurements.contains_key(&step.uid);
        if !is_known && self.measurements.len() >= MAX_MEASUREMENTS {
            return false;
        }
        let gathering = self.measurements.entry(step.uid).or_insert_with(|| Gathering {
            at: step.at,
            country: step.country,
            asn: step.asn,
            control_ok: None,
            tallies: Vec::new(),
        });
        gathering.at = gathering.at.min(step.at);
        // A control that failed once is not trusted, whichever row says so first.
        gathering.control_ok = match (gathering.control_ok, step.control_ok) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (known, new) => known.or(new),
        };
        if !step.organisation.is_empty() {
            let known = self.organisations.entry(step.asn).or_insert_with(|| step.organisation.clone());
            if step.organisation < *known {
                *known = step.organisation;
            }
        }
        if let Some(service) = step.service {
            self.services.entry(step.target.clone()).or_insert(service);
        }
        let number = match gathering.tallies.iter().position(|(target, _)| *target == step.target) {
            Some(number) => number,
            None if gathering.tallies.len() >= MAX_TARGETS => return false,
            None => {
                gathering.tallies.push((step.target, Tally::default()));
                gathering.tallies.len() - 1
            }
        };
        gathering.tallies[number].1.take(step.sign);
        true
    }

    /// Returns the number of measurements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.measurements.len()
    }

    /// Says whether nothing was gathered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.measurements.is_empty()
    }

    /// Returns the country of most measurements, the first by name of equals.
    pub(super) fn main_country(&self) -> Option<CountryCode> {
        let mut counts: BTreeMap<CountryCode, usize> = BTreeMap::new();
        for gathering in self.measurements.values() {
            *counts.entry(gathering.country).or_default() += 1;
        }
        counts
            .into_iter()
            .max_by_key(|(country, count)| (*count, std::cmp::Reverse(*country)))
            .map(|(c, _)| c)
    }

    /// Returns who runs each network, as the data name it.
    pub(super) fn organisations(&self) -> BTreeMap<Asn, String> {
        self.organisations.clone()
    }

    /// Returns the services that targets belong to because a test is about them.
    pub(super) fn services(&self) -> BTreeMap<Target, String> {
        self.services.clone()
    }

    /// Returns a country's measurements with their votes; a failing line of its own is none.
    #[must_use]
    pub fn of(&self, country: CountryCode) -> Vec<Measured> {
        let own = self.measurements.iter().filter(|(_, gathering)| gathering.country == country);
        let measured = own.map(|(uid, gathering)| {
            let votes = gathering.tallies.iter().filter_map(|(target, tally)| {
                let class = tally.class(target).filter(|class| *class != Class::LocalNetworkDown)?;
                Some((target.clone(), class))
            });
            let mut votes: Vec<(Target, Class)> = votes.collect();
            votes.sort();
            let (at, asn, control_ok) = (gathering.at, gathering.asn, gathering.control_ok);
            Measured { uid: uid.clone(), at, asn, control_ok, votes }
        });
        measured.filter(|measured| !measured.votes.is_empty()).collect()
    }
}
