//! How dense the data are, and so how long a base period is.

use super::{HOUR_MS, SLOTS, Vote};
use faultline_model::{Asn, CountryProfile, Target};
use std::collections::BTreeMap;
use std::time::Duration;

/// Votes of a cell in a base period: five vantage points are comfortable (method, section 4).
const COMFORTABLE: u32 = 5;
const SHORTEST: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(86_400);

/// Returns the time in which a cell gets five capped votes, as the middle vote sees its cell.
///
/// The middle is taken over votes rather than cells: the many cells in which somebody measured once say nothing
/// about how long to wait for the next vote where votes come.
pub(super) fn base_period(profile: &CountryProfile, votes: &[Vote]) -> Duration {
    let mut last: BTreeMap<(Asn, &Target), i64> = BTreeMap::new();
    let mut counts: BTreeMap<(Asn, i64, &Target), usize> = BTreeMap::new();
    let mut gaps: Vec<i64> = Vec::new();
    for vote in votes {
        let family = profile.operator(vote.asn).map_or(vote.asn, |operator| operator.main_asn());
        let hour = vote.at.unix_ms().div_euclid(HOUR_MS);
        let count = counts.entry((vote.asn, hour, &vote.target)).or_default();
        *count += 1;
        if *count > SLOTS {
            continue;
        }
        let at = vote.at.unix_ms();
        if let Some(before) = last.insert((family, &vote.target), at) {
            gaps.push(at - before);
        }
    }
    gaps.sort_unstable();
    let middle = gaps.get(gaps.len() / 2).copied().unwrap_or(i64::MAX / 16);
    let period = Duration::from_millis(u64::try_from(middle).unwrap_or(0)).saturating_mul(COMFORTABLE);
    Duration::from_secs(period.clamp(SHORTEST, LONGEST).as_secs() / 60 * 60)
}
