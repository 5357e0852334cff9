//! The latest `web` measurement of each target, which a diagnosis explains. It is held in memory only: after a restart an
//! agent diagnoses nothing before it has measured again.

use faultline_model::{MAX_TARGETS, Measurement, MeasurementId, Target};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The latest measurements.
#[derive(Debug, Default)]
pub struct Latest(Mutex<BTreeMap<Target, MeasurementId>>);

impl Latest {
    /// Notes a measurement.
    pub fn note(&self, measurement: &Measurement) {
        let mut latest = self.latest();
        // No list has more; what former lists left behind is dropped at once.
        if latest.len() >= MAX_TARGETS {
            latest.clear();
        }
        latest.insert(measurement.target.clone(), measurement.id.clone());
    }

    /// Returns the latest measurement of a target.
    #[must_use]
    pub fn of(&self, target: &Target) -> Option<MeasurementId> {
        self.latest().get(target).cloned()
    }

    fn latest(&self) -> MutexGuard<'_, BTreeMap<Target, MeasurementId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
