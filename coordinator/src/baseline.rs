//! What cells looked like in quiet hours: recorded days for the next start.

use crate::coordinator::Coordinator;
use crate::store::StoreError;
use faultline_model::{Asn, BaselineCell, Incident, Target, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// Two weeks hold two of each weekday.
const SPAN: Duration = Duration::from_secs(14 * 86_400);
const HOUR: Duration = Duration::from_secs(3600);
const MAX_INCIDENTS: usize = 10_000;

/// Counts results per cell over the last two weeks, hours that an incident spoiled left out.
pub(crate) async fn quiet_cells(
    coordinator: &Coordinator,
    now: Timestamp,
) -> Result<Vec<BaselineCell>, StoreError> {
    let counts = coordinator.archive.cell_counts(now - SPAN).await?;
    let incidents = coordinator.registry.incidents(None, None, MAX_INCIDENTS).await?;
    let mut cells: BTreeMap<(Target, Asn), (u32, u32)> = BTreeMap::new();
    for count in counts {
        if incidents.iter().any(|incident| is_spoiled(incident, &count.target, count.asn, count.hour)) {
            continue;
        }
        let cell = cells.entry((count.target, count.asn)).or_default();
        cell.0 = cell.0.saturating_add(count.measurements);
        cell.1 = cell.1.saturating_add(count.anomalies);
    }
    let rows = cells.into_iter();
    Ok(rows
        .map(|((target, asn), (measurements, anomalies))| BaselineCell {
            target,
            asn,
            measurements,
            anomalies,
        })
        .collect())
}

fn is_spoiled(incident: &Incident, target: &Target, asn: Asn, hour: Timestamp) -> bool {
    let is_about_target = incident.targets.is_empty() || incident.targets.contains(target);
    let is_about_network = incident.asns.is_empty() || incident.asns.contains(&asn);
    let overlaps = incident.onset < hour + HOUR && incident.end.is_none_or(|end| end > hour);
    !incident.retracted && is_about_target && is_about_network && overlaps
}
