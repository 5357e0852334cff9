//! Every state of the page, rendered. With `FAULTLINE_PAGES=DIR` they are written there to be looked at.

use super::*;
use crate::api::{MatrixCell, MatrixRow, MatrixService, MatrixState};
use faultline_model::{Access, Basis, IncidentId, Reach, Revision, ServiceId, Status, Target, Verdict};
use std::time::Duration;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a good time")
}

fn asn(number: u32) -> Asn {
    Asn::new(number).expect("valid")
}

const NETWORKS: [(&str, u32, Access, f64); 8] = [
    ("Jazz", 45669, Access::Mobile, 0.31),
    ("Zong", 59257, Access::Mobile, 0.22),
    ("Telenor", 24499, Access::Mobile, 0.18),
    ("PTCL", 17557, Access::Fixed, 0.12),
    ("Nayatel", 23674, Access::Fixed, 0.04),
    ("StormFiber", 9541, Access::Fixed, 0.04),
    ("Transworld Home", 38193, Access::Fixed, 0.03),
    ("Wateen", 38264, Access::Fixed, 0.02),
];

const SERVICES: [(&str, &str); 13] = [
    ("facebook", "Facebook"),
    ("instagram", "Instagram"),
    ("x", "X"),
    ("youtube", "YouTube"),
    ("whatsapp", "WhatsApp"),
    ("tiktok", "TikTok"),
    ("google", "Google"),
    ("wikipedia", "Wikipedia"),
    ("telegram", "Telegram"),
    ("signal", "Signal"),
    ("netflix", "Netflix"),
    ("linkedin", "LinkedIn"),
    ("canary", "Canaries"),
];

fn cell(state: MatrixState) -> MatrixCell {
    let is_trouble = !matches!(state, MatrixState::Ok | MatrixState::NoData);
    MatrixCell {
        state,
        since: is_trouble.then(|| at("2024-01-20T13:40:33Z")),
        results: 12,
        anomalies: if is_trouble { 11 } else { 0 },
        mechanism: if is_trouble { "tls_reset".into() } else { String::new() },
        targets: if is_trouble { vec![Target::new("https://x.com/").expect("valid")] } else { vec![] },
    }
}

fn front(state: impl Fn(usize, usize) -> MatrixState) -> Front {
    let services = SERVICES.iter().map(|(id, name)| MatrixService {
        id: ServiceId::new(id).expect("valid"),
        name: (*name).to_owned(),
        category: if *id == "canary" { "CTRL".into() } else { "GRP".into() },
    });
    let rows = NETWORKS.iter().enumerate().map(|(row, (name, number, access, share))| MatrixRow {
        operator: (*name).to_owned(),
        asn: asn(*number),
        access: *access,
        user_share: *share,
        agents: 3,
        cells: (0..SERVICES.len()).map(|column| cell(state(row, column))).collect(),
    });
    let now = at("2024-01-20T13:47:02Z");
    let country = "PK".parse().expect("valid");
    Front {
        now,
        country,
        country_name: "Pakistan".into(),
        clock: Clock::new(300, Some("PKT")),
        others: vec![],
        matrix: Matrix { country, at: now, services: services.collect(), rows: rows.collect() },
        incidents: vec![],
        operators: NETWORKS.iter().map(|(name, number, ..)| (asn(*number), (*name).to_owned())).collect(),
        volunteers: 24,
        controls: 2,
        has_list: true,
    }
}

fn incident(id: &str, verdict: Verdict, status: Status, networks: usize) -> Incident {
    let onset = at("2024-01-20T13:40:33Z");
    let asns: Vec<Asn> = NETWORKS[..networks].iter().map(|(_, number, ..)| asn(*number)).collect();
    let targets: Vec<Target> = ["https://www.facebook.com/", "https://x.com/"]
        .iter()
        .map(|url| Target::new(url).expect("valid"))
        .collect();
    let onsets = asns.iter().zip(0..).map(|(asn, n)| (*asn, onset + Duration::from_secs(4 * n)));
    let revision = |revision: u32, status, change: &str| Revision {
        revision,
        published_at: onset + Duration::from_secs(11 * u64::from(revision)),
        verdict,
        status,
        asns: asns.clone(),
        targets: targets.clone(),
        confidence: 0.7 + 0.1 * f64::from(revision),
        end: None,
        retracted: false,
        change: change.into(),
    };
    Incident {
        id: IncidentId::new(id).expect("valid"),
        country: "PK".parse().expect("valid"),
        revision: 2,
        status,
        verdict,
        confidence: 0.97,
        headline: "Facebook, Instagram, X and YouTube fail on all 8 networks that are covered; everything else works."
            .into(),
        services: ["facebook", "instagram", "x", "youtube"].iter().map(|s| ServiceId::new(s).expect("valid")).collect(),
        targets: targets.clone(),
        asns: asns.clone(),
        agents: vec![faultline_model::AgentId::new("secret-agent").expect("valid")],
        onset,
        end: None,
        onset_interval_by_asn: BTreeMap::new(),
        onset_by_asn: onsets.collect(),
        end_by_asn: BTreeMap::new(),
        detected_at: onset + Duration::from_secs(11),
        transit: None,
        basis: None,
        reach: None,
        retracted: false,
        mechanisms: BTreeMap::from([("tls_reset".to_owned(), 0.94), ("tcp_timeout".to_owned(), 0.06)]),
        mechanism_by_asn: asns.iter().map(|asn| (*asn, "tls_reset".to_owned())).collect(),
        user_share: [0.96, 0.0, 0.04],
        evidence: vec![
            "24 of 24 volunteers on 8 networks fail at the TLS handshake; the handshake is reset.".into(),
            "Two controls in different networks reach all four services in the same minutes.".into(),
            "The eight other services and the canaries work on the same lines.".into(),
        ],
        revisions: vec![
            revision(1, Status::Suspected, "first seen on Jazz and PTCL"),
            revision(2, status, "the confirmation round agrees on all networks"),
        ],
    }
}

#[test]
fn a_silence_is_told_before_anything_about_services_and_claims_no_shutdown() {
    let mut front = calm();
    let mut silent = incident("i9", Verdict::NationalShutdown, Status::Suspected, 8);
    silent.headline =
        "our vantage points went silent: a shutdown, or our channel is blocked; all 8 measured \
                       providers, since noon"
            .into();
    silent.targets.clear();
    silent.services.clear();
    silent.basis = Some(Basis::Silence);
    silent.reach = Some(Reach::DomesticOnly);
    front.incidents = vec![silent];
    let page = render(&front).into_string();
    assert!(page.contains("Our vantage points went silent: a shutdown, or our channel is blocked"), "{page}");
    assert!(page.contains("Silence alone: our channel may be blocked instead"));
    assert!(page.contains("Sites inside the country only"));
    assert!(
        page.contains("<h3>Vantage points went silent</h3>"),
        "silence alone says of nobody that they are offline"
    );
}

fn calm() -> Front {
    front(|_, _| MatrixState::Ok)
}

fn blocked() -> Front {
    let mut front = front(|_, column| if column < 4 { MatrixState::Blocked } else { MatrixState::Ok });
    let mut over = incident("i2", Verdict::IspBlock, Status::Confirmed, 1);
    over.headline = "Signal failed on Jazz for 20 minutes.".into();
    over.end = Some(over.onset + Duration::from_secs(1200));
    over.user_share = [0.31, 0.65, 0.04];
    let mut withdrawn = incident("i3", Verdict::TargetOutage, Status::Suspected, 1);
    withdrawn.headline = "Netflix seemed to be down; it was one control’s own trouble.".into();
    withdrawn.retracted = true;
    front.incidents = vec![incident("i1", Verdict::CategoryBlock, Status::Confirmed, 8), over, withdrawn];
    front
}

fn mixed() -> Front {
    let states = |row, column| match (row, column) {
        (4, 2) => MatrixState::Suspected,
        (_, 10) => MatrixState::Down,
        (7, _) => MatrixState::NoData,
        (6, 3) => MatrixState::Insufficient,
        (5, 3) => MatrixState::PartlyBlocked,
        _ => MatrixState::Ok,
    };
    let mut front = front(states);
    let mut suspected = incident("i4", Verdict::IspBlock, Status::Suspected, 1);
    suspected.headline = "X fails for two of three volunteers on Nayatel; others are being asked.".into();
    suspected.confidence = 0.62;
    front.incidents = vec![suspected];
    front
}

fn new_country() -> Front {
    let mut front = calm();
    front.matrix.rows.clear();
    front.volunteers = 0;
    front
}

#[test]
fn every_state_renders_small_and_without_anything_inline() {
    let pages = [
        ("empty", render_empty()),
        ("new", render(&new_country())),
        ("calm", render(&calm())),
        ("blocked", render(&blocked())),
        ("mixed", render(&mixed())),
    ];
    for (name, page) in pages {
        let text = page.into_string();
        if let Some(dir) = std::env::var_os("FAULTLINE_PAGES") {
            let dir = std::path::PathBuf::from(dir);
            std::fs::write(dir.join(format!("{name}.html")), &text).expect("written");
            std::fs::create_dir_all(dir.join("assets")).expect("made");
            std::fs::write(dir.join("assets/style.css"), STYLE).expect("written");
        }
        let all = text.len() + STYLE.len() + SCRIPT.len();
        assert!(all < 100 * 1024, "{name}: {all} bytes");
        for inline in [" style=", "<style", " onclick", "javascript:", "<script>"] {
            assert!(!text.contains(inline), "{name} holds {inline}");
        }
        assert!(!text.contains("secret-agent"), "{name} names an agent");
    }
}

#[test]
fn the_headline_says_what_where_and_since_when() {
    assert_eq!(
        glance::glance(&blocked()).headline,
        "Facebook, Instagram, X and YouTube blocked on 8 of 8 networks since 18:40 PKT"
    );
    let figures: Vec<String> =
        glance::glance(&blocked()).figures.into_iter().map(|(number, _)| number).collect();
    assert_eq!(figures, ["4 of 12", "8 of 8", "96 %"]);
    assert_eq!(
        glance::glance(&calm()).headline,
        "12 services found working on all 8 networks that we hear from"
    );
    let begun = front(|row, _| if row < 2 { MatrixState::Ok } else { MatrixState::NoData });
    assert_eq!(
        glance::glance(&begun).headline,
        "No trouble so far: 24 of 96 pairs of network and service looked at"
    );
    let one =
        front(|row, column| if (row, column) == (4, 2) { MatrixState::Blocked } else { MatrixState::Ok });
    assert_eq!(glance::glance(&one).headline, "X blocked on Nayatel since 18:40 PKT");
    let silent = front(|_, _| MatrixState::NoData);
    assert_eq!(glance::glance(&silent).headline, "Waiting for the first measurements");
}

#[test]
fn suspected_and_confirmed_and_withdrawn_are_told_apart_in_words() {
    let text = render(&blocked()).into_string();
    assert!(text.contains(">Confirmed<") && text.contains(">Withdrawn<") && text.contains(">Over<"));
    assert!(render(&mixed()).into_string().contains(">Suspected<"));
}

#[test]
fn what_others_wrote_is_escaped() {
    let mut front = blocked();
    front.incidents[0].evidence = vec!["<script>alert(1)</script>".into()];
    front.country_name = "<b>".into();
    let text = render(&front).into_string();
    assert!(!text.contains("<script>alert") && !text.contains("<b>"));
}
