//! Others' data in the forms in which they are published, made up for one block and one shutdown.

use super::*;
use faultline_model::{Access, Class, IncidentId, LayerStatus, Operator, Status, Target};
use std::collections::BTreeMap;

const ONSET: i64 = 1_705_758_000;

fn asn(number: u32) -> Asn {
    Asn::recorded(number).expect("not zero")
}

fn profile() -> CountryProfile {
    let operator = |name: &str, asns: &[u32]| Operator {
        name: name.to_owned(),
        asns: asns.iter().map(|number| asn(*number)).collect(),
        access: Access::Fixed,
        user_share: 0.4,
        upstreams: vec![],
    };
    CountryProfile {
        operators: vec![operator("Nayatel", &[23674, 136_818]), operator("PTCL", &[17557, 45595])],
        ..CountryProfile::unknown("PK".parse().expect("valid"))
    }
}

/// X is blocked on Nayatel for an hour, or Nayatel is off.
fn incident(verdict: Verdict) -> Incident {
    let is_block = verdict == Verdict::IspBlock;
    Incident {
        id: IncidentId::new("i1").expect("valid"),
        country: "PK".parse().expect("valid"),
        revision: 1,
        status: Status::Confirmed,
        verdict,
        confidence: 0.97,
        headline: "said".into(),
        services: vec![],
        targets: if is_block { vec![Target::new("https://x.com/").expect("valid")] } else { vec![] },
        asns: vec![asn(23674)],
        agents: vec![],
        onset: moment_s(ONSET),
        end: Some(moment_s(ONSET + 3600)),
        onset_by_asn: BTreeMap::new(),
        end_by_asn: BTreeMap::new(),
        onset_interval_by_asn: BTreeMap::new(),
        detected_at: moment_s(ONSET + 20),
        transit: None,
        basis: None,
        reach: None,
        retracted: false,
        mechanisms: BTreeMap::new(),
        mechanism_by_asn: BTreeMap::new(),
        user_share: [0.4, 0.6, 0.0],
        evidence: vec![],
        revisions: vec![],
    }
}

fn stands(verdict: Verdict, foreign: &Foreign) -> Vec<(Stand, String)> {
    let said = corroborate(&incident(verdict), &profile(), foreign, moment_s(ONSET + 7200));
    assert_eq!(said.points.len(), said.disagrees + said.agrees + said.blind);
    said.points.into_iter().map(|point| (point.stand, point.about)).collect()
}

fn ooni(number: u32, after_s: i64, status: LayerStatus) -> OoniResult {
    let class = if status == LayerStatus::Ok { Class::Ok } else { Class::TlsReset };
    let target = Target::new("https://www.x.com/").expect("valid");
    OoniResult { asn: asn(number), target, at: moment_s(ONSET + after_s), class, status }
}

#[test]
fn oonis_measurements_agree_disagree_or_are_missing() {
    let of = |results: Vec<OoniResult>| Foreign { ooni: Some(results), ..Foreign::default() };
    let (ok, bad) = (LayerStatus::Ok, LayerStatus::Blocked);
    // A second network of the same family is the same provider.
    let agrees = of(vec![ooni(23674, -600, ok), ooni(136_818, 60, bad), ooni(17557, 90, ok)]);
    assert_eq!(
        stands(Verdict::IspBlock, &agrees),
        [(Stand::Agrees, "Nayatel x.com".into()), (Stand::Agrees, "PTCL x.com".into())]
    );
    let disagrees = of(vec![ooni(23674, 60, ok), ooni(45595, 90, bad)]);
    let said = stands(Verdict::IspBlock, &disagrees);
    assert!(said.iter().all(|(stand, _)| *stand == Stand::Disagrees) && said.len() == 2, "{said:?}");
    let standing = of(vec![ooni(23674, -600, bad), ooni(23674, 60, bad)]);
    assert_eq!(stands(Verdict::IspBlock, &standing)[0].0, Stand::Disagrees, "it failed before too");
    let says_nothing = of(vec![ooni(23674, 60, LayerStatus::Insufficient)]);
    assert_eq!(stands(Verdict::IspBlock, &says_nothing), [(Stand::Blind, "Nayatel".into())]);
}

fn signal(code: &str, meanwhile: f64) -> String {
    // One day before, in steps of ten minutes, and the hour itself.
    let values: Vec<String> = (0..150)
        .map(|step| if step < 144 { "100".to_owned() } else { meanwhile.to_string() })
        .chain(["null".to_owned()])
        .collect();
    format!(
        "{{\"data\": [[{{\"entityType\": \"asn\", \"entityCode\": {code:?}, \"datasource\": \"bgp\", \"from\": {}, \
         \"until\": {}, \"step\": 600, \"values\": [{}]}}]]}}",
        ONSET - 86_400,
        ONSET + 3600,
        values.join(",")
    )
}

#[test]
fn iodas_signals_see_networks_and_no_services() {
    let of = |text: &str| Foreign { ioda: Some(read_ioda(text).expect("readable")), ..Foreign::default() };
    let (flat, fell) = (of(&signal("23674", 99.0)), of(&signal("23674", 10.0)));
    assert_eq!(stands(Verdict::IspOutage, &fell), [(Stand::Agrees, "asn/23674 bgp".into())]);
    assert_eq!(stands(Verdict::IspOutage, &flat), [(Stand::Disagrees, "asn/23674 bgp".into())]);
    assert_eq!(stands(Verdict::IspBlock, &flat), [(Stand::Blind, "asn/23674 bgp".into())]);
    assert_eq!(stands(Verdict::IspBlock, &fell), [(Stand::Disagrees, "asn/23674 bgp".into())]);
    assert_eq!(stands(Verdict::IspOutage, &of(&signal("17557", 10.0))), [], "another network says nothing");
}

#[test]
fn iodas_events_and_tables_are_read() {
    let events = format!(
        "{{\"data\": [{{\"location\": \"asn/23674\", \"start\": {}, \"duration\": 3000, \"datasource\": \"ping-slash24\", \
         \"score\": 900.5, \"method\": \"median\"}}]}}",
        ONSET + 300
    );
    let data = read_ioda(&events).expect("readable");
    let foreign = Foreign { ioda: Some(data.clone()), ..Foreign::default() };
    assert_eq!(stands(Verdict::IspOutage, &foreign), [(Stand::Agrees, "asn/23674 ping-slash24".into())]);
    assert_eq!(stands(Verdict::IspBlock, &foreign)[0].0, Stand::Disagrees);
    let table = format!("location,start,duration,datasource\nasn/23674,{},3000,ping-slash24\n", ONSET + 300);
    assert_eq!(read_ioda(&table).expect("readable"), data);
    let signals = read_ioda("datetime,bgp,merit-nt\n2024-01-20 13:40:00,812,3\n2024-01-20T13:50:00Z,811,\n");
    let signals = signals.expect("readable").series;
    assert_eq!((signals[0].values.len(), signals[1].values.len()), (2, 1));
    assert_eq!(signals[0].values[0].0, moment_s(ONSET));
    for bad in ["{\"data\": [{}]}", "{", "one,two\n1,2\n"] {
        assert!(read_ioda(bad).is_err(), "{bad}");
    }
    assert_eq!(read_ioda("{\"data\": []}").expect("an empty answer"), IodaData::default());
}

#[test]
fn radars_outages_are_laid_beside_the_incident() {
    let text = r#"{"success": true, "result": {"annotations": [
        {"id": "550", "asns": [23674], "locations": ["PK"], "startDate": "2024-01-20T13:30:00Z",
         "endDate": "2024-01-20T15:00:00Z", "eventType": "OUTAGE", "description": "an outage",
         "outage": {"outageCause": "GOVERNMENT_DIRECTED", "outageType": "NETWORK"}},
        {"id": "551", "asns": [], "locations": ["IQ"], "startDate": "2024-01-20T13:30:00Z", "endDate": null,
         "outage": {"outageCause": "UNKNOWN", "outageType": "NATIONWIDE"}}]}}"#;
    let outages = read_radar(text).expect("readable");
    assert_eq!((outages.len(), outages[1].to), (2, None));
    let foreign = Foreign { radar: Some(outages), ..Foreign::default() };
    let said = corroborate(&incident(Verdict::IspOutage), &profile(), &foreign, moment_s(ONSET + 7200));
    assert_eq!((said.agrees, said.points[0].lag_s), (1, Some(-600.0)), "{said:?}");
    let none = Foreign { radar: Some(vec![]), ..Foreign::default() };
    assert_eq!(
        stands(Verdict::IspBlock, &none),
        [(Stand::Blind, "PK".into())],
        "nothing found is no agreement"
    );
    assert!(read_radar("{\"result\": 3}").is_err());
}

#[test]
fn what_disagrees_comes_first() {
    let foreign = Foreign {
        ooni: Some(vec![ooni(23674, 60, LayerStatus::Blocked)]),
        ioda: Some(read_ioda(&signal("23674", 10.0)).expect("readable")),
        radar: Some(vec![]),
    };
    let order: Vec<Stand> = stands(Verdict::IspBlock, &foreign).into_iter().map(|(stand, _)| stand).collect();
    assert_eq!(order, [Stand::Disagrees, Stand::Agrees, Stand::Blind]);
}
