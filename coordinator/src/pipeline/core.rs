//! The detectors, one per country, and the controls' recent results. No IO.

use super::controls::ControlWindow;
use crate::coordinator::Coordinator;
use crate::ingest::corrected;
use crate::lists::Lists;
use crate::store::{NewMeasurement, StoredMeasurement};
use faultline_analysis::detect::{Ask, CellView, Detector, LIVE_BEAT, Mode, Setup, TargetInfo};
use faultline_analysis::judge::judge_with;
use faultline_model::{
    AgentId, Asn, Baseline, Category, CheckKind, CountryCode, CountryProfile, Incident, Judgement,
    LayerStatus, Presence, Record, Target, TaskList, Timestamp, Why,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often every cell is described while nothing is published.
const SHOW_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Core {
    detectors: BTreeMap<CountryCode, Detector>,
    controls: ControlWindow,
    list_version: u64,
    last: Timestamp,
    /// Times in which nobody could be heard, which detectors made later learn too.
    own_outages: Vec<(Timestamp, Timestamp)>,
    /// When every cell was described last.
    shown: Option<Timestamp>,
}

/// What became of a page of measurements.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Judgements that are new or differ from what was noted, by position.
    pub(super) judgements: Vec<(u64, Judgement)>,
    /// Something failed, or an answer came.
    pub(super) is_urgent: bool,
}

/// What all detectors say.
#[derive(Debug, Default)]
pub(super) struct Evaluated {
    pub(super) changed: Vec<Incident>,
    pub(super) asks: Vec<(CountryCode, Ask)>,
    pub(super) next: Option<Timestamp>,
    /// Every cell, where it is time to show them again.
    pub(super) cells: Option<BTreeMap<CountryCode, Vec<CellView>>>,
}

impl Core {
    /// Returns a moment that never goes back, whatever the clock does.
    pub(super) fn moment(&mut self, now: Timestamp) -> Timestamp {
        self.last = self.last.max(now);
        self.last
    }

    /// Makes detectors for described countries, and tells all of them when a new list is in force.
    pub(super) fn set_up(&mut self, coordinator: &Coordinator) {
        for country in coordinator.countries.described() {
            self.detector(coordinator, country);
        }
        let version = coordinator.lists.version();
        if version != self.list_version {
            self.list_version = version;
            for (country, detector) in &mut self.detectors {
                detector.update_setup(setup(coordinator, *country));
            }
        }
        let cohorts = coordinator.fleet.cohorts();
        for detector in self.detectors.values_mut() {
            detector.set_cohorts(&cohorts);
        }
    }

    pub(super) fn restore(&mut self, coordinator: &Coordinator, incidents: Vec<Incident>) {
        let mut by_country: BTreeMap<CountryCode, Vec<Incident>> = BTreeMap::new();
        for incident in incidents {
            by_country.entry(incident.country).or_default().push(incident);
        }
        for (country, incidents) in by_country {
            self.detector(coordinator, country).restore(incidents);
        }
    }

    fn detector(&mut self, coordinator: &Coordinator, country: CountryCode) -> &mut Detector {
        let own = &self.own_outages;
        self.detectors.entry(country).or_insert_with(|| {
            let mut detector = Detector::new(setup(coordinator, country));
            own.iter().for_each(|(from, to)| detector.note_own_outage(*from, *to));
            detector
        })
    }

    /// Lets the detectors hear signs of life: a control's in every country, others' in their own.
    pub(super) fn hear(&mut self, coordinator: &Coordinator, signs: Vec<Presence>) {
        for sign in signs {
            if sign.control {
                self.detectors.values_mut().for_each(|detector| detector.hear(sign.clone()));
            } else {
                self.detector(coordinator, sign.country).hear(sign);
            }
        }
    }

    /// Notes a time in which this coordinator did not run.
    pub(super) fn note_own_outage(&mut self, from: Timestamp, to: Timestamp) {
        self.own_outages.push((from, to));
        self.detectors.values_mut().for_each(|detector| detector.note_own_outage(from, to));
    }

    /// Judges and ingests measurements in the order in which they were stored.
    pub(super) fn take(&mut self, coordinator: &Coordinator, rows: Vec<StoredMeasurement>) -> Taken {
        let mut taken = Taken::default();
        // Controls first: an answer and the control's answer to the same question often come within one page.
        for stored in rows.iter().filter(|stored| stored.row.control) {
            self.controls.add(&stored.row);
        }
        for stored in rows {
            let row = stored.row;
            let facts = self.controls.around(&row);
            let judgement = judge_with(&row.measurement, &facts, &coordinator.fingerprints);
            if stored.judgement.as_ref() != Some(&judgement) {
                taken.judgements.push((stored.position, judgement.clone()));
            }
            let is_urgent = judgement.class.is_anomaly() || row.why == Why::Confirmation;
            if let Some(record) = record_of(&coordinator.lists, row, &judgement) {
                taken.is_urgent |= self.ingest(coordinator, record) && is_urgent;
            }
        }
        taken
    }

    /// Ingests measurements by others where their country's profile says that they count. Their vantage points are
    /// never taken for our own.
    pub(super) fn take_imported(&mut self, coordinator: &Coordinator, records: Vec<Record>) -> bool {
        let mut is_urgent = false;
        for mut record in records {
            if !coordinator.countries.counts_imported(record.country) {
                continue;
            }
            let Ok(agent) = AgentId::new(format!("imported-{}", record.agent)) else { continue };
            record.agent = agent;
            let is_anomaly = record.class.is_anomaly();
            is_urgent |= self.ingest(coordinator, record) && is_anomaly;
        }
        is_urgent
    }

    /// A control stands for every country; others for their own.
    fn ingest(&mut self, coordinator: &Coordinator, record: Record) -> bool {
        if !record.control {
            return self.detector(coordinator, record.country).ingest(record);
        }
        let mut is_new = false;
        for detector in self.detectors.values_mut() {
            is_new |= detector.ingest(record.clone());
        }
        is_new
    }

    pub(super) fn evaluate(&mut self, now: Timestamp) -> Evaluated {
        let mut all = Evaluated::default();
        for (country, detector) in &mut self.detectors {
            let evaluation = detector.evaluate(now);
            all.changed.extend(evaluation.changed);
            all.asks.extend(evaluation.asks.into_iter().map(|ask| (*country, ask)));
            all.next = [all.next, evaluation.next].into_iter().flatten().min();
        }
        // Describing every cell costs more than finding what changed.
        if !all.changed.is_empty() || self.shown.is_none_or(|shown| now.since(shown) >= SHOW_EVERY) {
            self.shown = Some(now);
            let cells = self.detectors.iter().map(|(country, detector)| (*country, detector.matrix(now)));
            all.cells = Some(cells.collect());
        }
        all
    }
}

/// Makes the row that detection works on; `None` for what weighs nothing: nobody knows the network, or no list that
/// was ever in force has the target. A cell is one target, and what it holds is `web` evidence: a site whose QUIC is
/// dropped is not unreachable, so QUIC is judged and stored only; paired downloads have evidence of their own.
pub(crate) fn record_of(lists: &Lists, row: NewMeasurement, judgement: &Judgement) -> Option<Record> {
    let check = row.measurement.check;
    match check {
        CheckKind::Web => {}
        // Downloads count where their pair decides: what is merely slow together, or failed, says nothing of a target.
        CheckKind::Throughput if matches!(judgement.status, LayerStatus::Ok | LayerStatus::Throttled) => {}
        _ => return None,
    }
    let target = &row.measurement.target;
    let category = match lists.spec(target) {
        Some(spec) => spec.category,
        // Only controls look at landmarks, and what they see there concerns no service.
        None if row.control && lists.is_landmark(target) => Category::canary(),
        None => return None,
    };
    Some(Record {
        id: row.measurement.id,
        agent: row.agent,
        asn: row.asn?,
        country: row.country,
        target: row.measurement.target,
        category,
        started_at: corrected(row.measurement.started_at, row.clock_offset_ms),
        received_at: row.received_at,
        check,
        class: judgement.class,
        control_ok: None,
        why: row.why,
        control: row.control,
    })
}

fn setup(coordinator: &Coordinator, country: CountryCode) -> Setup {
    let profile = coordinator.countries.profile(country);
    Setup {
        cohorts: coordinator.fleet.cohorts(),
        ..setup_of(&coordinator.lists, profile, &coordinator.baseline)
    }
}

/// Says what is known of a country before the first measurement.
pub(crate) fn setup_of(lists: &Lists, profile: CountryProfile, baseline: &Baseline) -> Setup {
    let newest = lists.newest();
    let list = newest.as_ref().map(|kept| &kept.list);
    let period = list.map_or(300, |list| list.limits.cell_period_s);
    Setup {
        targets: list
            .map(|list| list.targets.iter().map(|spec| TargetInfo::of(spec, profile.country)).collect())
            .unwrap_or_default(),
        baseline: baseline.clone(),
        base_period: Duration::from_secs(period.into()),
        mode: Mode::Live,
        reference_asns: BTreeSet::new(),
        history: BTreeMap::new(),
        slow_history: BTreeMap::new(),
        beat: LIVE_BEAT,
        regions: BTreeMap::new(),
        cohorts: BTreeMap::new(),
        landmarks: list.map(|list| landmarks(list, profile.country)).unwrap_or_default(),
        profile,
    }
}

fn landmarks(list: &TaskList, country: CountryCode) -> BTreeMap<Target, Asn> {
    let own = list.landmarks.iter().filter(|landmark| landmark.country == country);
    own.map(|landmark| (landmark.target.clone(), landmark.asn)).collect()
}
