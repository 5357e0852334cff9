//! The router that a `path` measurement places a block in, named as the coordinator names it.

use super::{At, Case};
use faultline_analysis::judge::{PathPoint, locate};
use faultline_model::Measurement;
use std::fmt;

/// Between which hops a name met its fate.
#[derive(Clone, Debug)]
pub struct Place {
    /// The last router that packets with the name pass unharmed; what they meet stands in it or directly behind it.
    pub at: At,
    /// The first router that they do not get past; absent where only the far end is behind.
    pub until: Option<u8>,
}

impl Place {
    /// Reads the place from a measurement, if it shows one.
    #[must_use]
    pub fn of(case: &Case, measurement: &Measurement) -> Option<Self> {
        let locus = locate(measurement)?;
        let network = |point: PathPoint| case.scenario.network_of(point.address?);
        let behind = locus.behind?;
        let found = network(behind);
        let at = At {
            hop: behind.hop,
            network: found.map(|network| network.asn),
            name: found.map(|network| network.name.to_owned()),
        };
        Some(Self { at, until: locus.until.map(|point| point.hop) })
    }

    /// Says whether the place is this router and no other.
    #[must_use]
    pub fn is(&self, at: &At) -> bool {
        self.at == *at && self.until == Some(at.hop + 1)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at)?;
        match self.until {
            Some(until) if until == self.at.hop + 1 => Ok(()),
            Some(until) => write!(f, " or later, before hop {until}"),
            None => f.write_str(" or later"),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "at hop {}, {name}", self.hop),
            None => write!(f, "at hop {}, the provider's edge", self.hop),
        }
    }
}
