//! OONI's data, made up: what a country without agents shows.

use super::*;
use faultline_model::{Class, Layer, Verdict};
use proptest::prelude::*;

const HOUR: i64 = HOUR_MS;
/// 2 October 2023, a Monday, 00:00 UTC.
const MONDAY: i64 = 1_696_204_800_000;

/// One row of a made-up measurement.
fn step(uid: &str, (hour, minute): (i64, i64), asn: u32, host: &str, sign: Sign) -> Step {
    Step {
        uid: MeasurementId::new(uid).expect("valid"),
        at: Timestamp::from_unix_ms(MONDAY + hour * HOUR + minute * 60_000),
        country: "XZ".parse().expect("valid"),
        asn: Asn::recorded(asn).expect("not zero"),
        organisation: match asn {
            64_510 | 64_511 => "Twin Networks Ltd.".to_owned(),
            other => format!("Provider {other}"),
        },
        service: None,
        target: Target::new(&format!("https://{host}/")).expect("valid"),
        sign,
        control_ok: None,
    }
}

fn days(asns: &[u32], is_blocked: impl Fn(u32, i64) -> bool) -> Vec<Step> {
    many_days(20, asns, is_blocked)
}

/// Days in which every provider measures one page once in some hours, and some of them fail.
fn many_days(days: i64, asns: &[u32], is_blocked: impl Fn(u32, i64) -> bool) -> Vec<Step> {
    let mut steps = Vec::new();
    for hour in 0..days * 24 {
        for (place, asn) in (0..).zip(asns) {
            // Every provider has its own hours, three in eight.
            if (hour * 5 + place) % 8 < 3 {
                let fails = is_blocked(*asn, hour);
                let sign = if fails { Sign::Failed(Class::TlsTimeout) } else { Sign::Fine(Layer::Http) };
                steps.push(step(
                    &format!("m-{asn}-{hour}"),
                    (hour, 7 * place),
                    *asn,
                    "talk.example.org",
                    sign,
                ));
            }
        }
    }
    steps
}

fn gather(steps: Vec<Step>) -> Gathered {
    let mut gathered = Gathered::default();
    for step in steps {
        assert!(gathered.take(step), "there is room");
    }
    gathered
}

fn replay(steps: Vec<Step>) -> OoniOutput {
    run(&gather(steps), None).expect("votes")
}

fn named(output: &OoniOutput) -> BTreeSet<u32> {
    let blocks = output.output.incidents.iter().filter(|incident| !incident.retracted);
    let blocks = blocks.filter(|incident| incident.verdict != Verdict::InsufficientData);
    blocks.flat_map(|incident| incident.asns.iter().map(|asn| asn.get())).collect()
}

const ASNS: [u32; 6] = [64_501, 64_502, 64_503, 64_504, 64_510, 64_511];

#[test]
fn days_without_a_block_name_nobody() {
    // One result in thirty fails by chance.
    let steps = days(&ASNS, |asn, hour| (hour * 7 + i64::from(asn)) % 31 == 0);
    let output = replay(steps);
    assert_eq!(output.output.incidents, [], "chance");
    assert_eq!(output.basis.vantage_identity, "none");
}

#[test]
fn a_block_by_one_provider_is_named_from_its_first_hours_on() {
    let block = 12 * 24..16 * 24;
    let output = replay(days(&ASNS, |asn, hour| asn == 64_502 && block.contains(&hour)));
    assert_eq!(named(&output), BTreeSet::from([64_502]));
    let incident = &output.output.incidents[0];
    let start = Timestamp::from_unix_ms(MONDAY + block.start * HOUR);
    assert!(incident.onset.seconds_after(start).abs() < 6.0 * 3600.0, "{}", incident.onset);
    assert!(incident.end.is_some_and(|end| end >= start));
    assert!(incident.evidence.iter().any(|reason| reason.starts_with("no vantage identity")));
}

#[test]
fn a_block_during_some_hours_of_some_days_is_named_too() {
    let is_school_time = |hour: i64| hour / 24 >= 21 && (hour / 24) % 7 < 5 && (4..12).contains(&(hour % 24));
    let output = replay(many_days(42, &ASNS, |asn, hour| asn == 64_503 && is_school_time(hour)));
    assert_eq!(named(&output), BTreeSet::from([64_503]));
    let first = output.output.incidents.iter().map(|incident| incident.onset).min();
    assert!(first.is_some_and(|onset| onset.unix_ms() >= MONDAY + 20 * 24 * HOUR), "{first:?}");
}

#[test]
fn networks_of_one_organisation_are_one_provider() {
    let block = 12 * 24..16 * 24;
    let output = replay(days(&ASNS, |asn, hour| asn >= 64_510 && block.contains(&hour)));
    assert_eq!(named(&output).len(), 1, "one family, one vote");
    let twin = output.basis.providers.iter().find(|provider| provider.name.starts_with("Twin"));
    assert_eq!(twin.map(|twin| twin.asns.len()), Some(2));
    assert!(output.output.incidents.iter().all(|incident| incident.verdict == Verdict::IspBlock));
}

#[test]
fn a_profile_says_whose_networks_are_whose() {
    let mut profile = CountryProfile::unknown("XZ".parse().expect("valid"));
    profile.operators.push(faultline_model::Operator {
        name: "United".to_owned(),
        asns: [64_501, 64_502].map(|asn| Asn::recorded(asn).expect("not zero")).to_vec(),
        access: faultline_model::Access::Mobile,
        user_share: 0.5,
        upstreams: Vec::new(),
    });
    let output = run(&gather(days(&ASNS, |_, _| false)), Some(&profile)).expect("votes");
    assert_eq!(output.basis.providers.len(), 4);
    let foreign = CountryProfile::unknown("XY".parse().expect("valid"));
    let error = run(&gather(days(&ASNS, |_, _| false)), Some(&foreign)).expect_err("another country");
    assert!(matches!(error, OoniError::Country { .. }));
}

#[test]
fn a_site_that_fails_for_everybody_is_no_block_while_no_control_ran() {
    let down = 12 * 24..13 * 24;
    let output = replay(days(&ASNS, |_, hour| down.contains(&hour)));
    assert_eq!(named(&output), BTreeSet::new());
}

#[test]
fn what_the_control_did_not_reach_either_is_no_block() {
    let block = 12 * 24..14 * 24;
    let mut steps = days(&ASNS, |asn, hour| asn == 64_502 && block.contains(&hour));
    for step in &mut steps {
        step.control_ok = Some(matches!(step.sign, Sign::Fine(_)));
    }
    assert_eq!(named(&replay(steps)), BTreeSet::new());
}

#[test]
fn one_hour_of_one_eager_hand_is_no_quorum() {
    let mut steps = days(&ASNS, |_, _| false);
    for number in 0..200 {
        let uid = format!("eager-{number}");
        let at = (300, number % 60);
        steps.push(step(&uid, at, 64_502, "talk.example.org", Sign::Failed(Class::TlsReset)));
    }
    assert_eq!(named(&replay(steps)), BTreeSet::new());
}

#[test]
fn rows_repeated_and_in_any_order_give_the_same_to_the_byte() {
    let block = 12 * 24..16 * 24;
    let once = days(&ASNS, |asn, hour| asn == 64_502 && block.contains(&hour));
    let mut twice: Vec<Step> = once.iter().chain(&once).cloned().collect();
    twice.reverse();
    let text = |steps| serde_json::to_string(&replay(steps)).expect("writes");
    assert_eq!(text(once), text(twice));
}

#[test]
fn the_base_period_follows_the_density() {
    let sparse = replay(days(&ASNS, |_, _| false)).basis.base_period_s;
    let mut dense = Vec::new();
    for minute in 0..24 * 60 {
        let uid = format!("d-{minute}");
        dense.push(step(&uid, (0, minute), 64_501, "talk.example.org", Sign::Fine(Layer::Http)));
    }
    assert_eq!(replay(dense).basis.base_period_s, 600);
    assert!(sparse > 3_600, "{sparse}");
}

#[test]
fn a_service_is_one_vote_and_its_failing_targets_are_named() {
    let block = 12 * 24..16 * 24;
    let mut steps = Vec::new();
    for step in days(&ASNS, |asn, hour| asn == 64_502 && block.contains(&hour)) {
        let target = |url: &str| Target::new(url).expect("valid");
        let service = Some("telegram".to_owned());
        let fine = Sign::Fine(Layer::Http);
        let app = target("http://telegram.app-endpoints.invalid/");
        steps.push(Step { target: app, service: service.clone(), sign: fine, ..step.clone() });
        steps.push(Step { target: target("https://web.telegram.org/"), service, ..step });
    }
    let output = replay(steps);
    assert_eq!(output.basis.votes, output.basis.measurements);
    let targets: Vec<&str> = output.output.incidents[0].targets.iter().map(Target::as_str).collect();
    assert_eq!(targets, ["https://web.telegram.org/"]);
}

#[test]
fn a_line_without_ipv6_and_a_dead_line_are_no_votes() {
    use faultline_model::Failure;
    assert_eq!(sign(Layer::Tcp, Some(&Failure::NetworkUnreachable), true), None);
    assert_eq!(sign(Layer::Tcp, Some(&Failure::NetworkUnreachable), false), Some(Sign::Local));
    let local = step("m", (0, 0), 64_501, "talk.example.org", Sign::Local);
    assert_eq!(gather(vec![local]).of("XZ".parse().expect("valid")), []);
    assert_eq!(run(&Gathered::default(), None).map(|_| ()).expect_err("nothing"), OoniError::Empty);
}

#[test]
fn the_deepest_layer_that_worked_decides() {
    let class = |signs: &[Sign]| {
        let steps = signs.iter().map(|sign| step("m", (0, 0), 64_501, "talk.example.org", *sign));
        let measured = gather(steps.collect()).of("XZ".parse().expect("valid"));
        measured.first().map(|measured| measured.votes[0].1)
    };
    let (dns, tcp, tls, http) =
        (Sign::Fine(Layer::Dns), Sign::Fine(Layer::Tcp), Sign::Fine(Layer::Tls), Sign::Fine(Layer::Http));
    assert_eq!(class(&[dns, tcp]), None, "a page that was never asked for");
    assert_eq!(class(&[dns, tcp, Sign::Failed(Class::TlsReset), tls, http]), Some(Class::Ok));
    assert_eq!(class(&[dns, tcp, Sign::Failed(Class::TlsReset)]), Some(Class::TlsReset));
    let forged = [Sign::Failed(Class::DnsBogon), Sign::Failed(Class::HttpTimeout)];
    assert_eq!(class(&forged), Some(Class::DnsBogon));
    let page = [dns, tcp, tls, Sign::Failed(Class::HttpStatusDiff)];
    assert_eq!(class(&page), Some(Class::HttpStatusDiff));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever rows come, nothing panics, and what comes out does not depend on their order.
    #[test]
    fn any_rows_in_any_order_say_the_same(
        rows in prop::collection::vec((0_i64..400, 0_u32..5, 0_u8..4, 0_u8..5, 0_u8..2), 1..300),
        swap in 0_usize..300,
    ) {
        let row = |(number, (hour, asn, host, sign, ok)): (usize, &(i64, u32, u8, u8, u8))| {
            let sign = match sign {
                0 => Sign::Failed(Class::DnsBogon),
                1 => Sign::Failed(Class::TcpReset),
                2 => Sign::Local,
                3 => Sign::Fine(Layer::Tls),
                _ => Sign::Fine(Layer::Http),
            };
            let host = format!("h{host}.example.org");
            let mut step = step(&format!("m{}", number / 2), (*hour, 0), 64_500 + asn, &host, sign);
            // One measurement has one start, network and control.
            step.at = Timestamp::from_unix_ms(MONDAY);
            step.asn = Asn::recorded(64_500 + u32::try_from(number / 2 % 5).unwrap_or(0)).expect("not zero");
            step.at = step.at + Duration::from_secs(3_600 * (number as u64 / 2));
            step.control_ok = Some(*ok > 0 || hour % 2 == 0).filter(|_| hour % 3 == 0);
            step
        };
        let steps: Vec<Step> = rows.iter().enumerate().map(row).collect();
        let mut turned = steps.clone();
        turned.rotate_left(swap % steps.len());
        let text = |steps| run(&gather(steps), None).ok().map(|o| serde_json::to_string(&o).expect("writes"));
        prop_assert_eq!(text(steps), text(turned));
    }
}
