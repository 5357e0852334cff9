//! Planted addresses, in every form that a page, a header or a certificate can give them.

use super::*;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use faultline_model::{
    CheckKind, Depth, DnsAnswer, Engine, Fact, Failure, HttpFact, Layer, MeasurementId, Observation, Target,
    TlsFact, Why,
};
use proptest::prelude::*;
use std::time::Duration;

const V4: Ipv4Addr = Ipv4Addr::new(39, 32, 7, 209);
const V6: &str = "2400:adc5:1f:4400:8d2b:31ff:fe44:1a7c";

fn scrubber() -> Scrubber {
    Scrubber::new(&[V4.into(), V6.parse().expect("an address")])
}

fn assert_gone(text: &str) {
    for around in ["", "x=", "http://b.pk/?ip=", "<p>"] {
        for behind in ["", "&c=1", "</p>", " "] {
            let planted = format!("{around}{text}{behind}");
            let scrubbed = scrubber().scrub_text(&planted).into_owned();
            assert!(!scrubbed.contains(text) && scrubbed.contains(MARK), "{planted:?} became {scrubbed:?}");
            assert!(
                scrubbed.starts_with(around) && scrubbed.ends_with(behind),
                "{planted:?} became {scrubbed:?}"
            );
        }
    }
}

#[test]
fn an_address_with_a_digit_beside_it_is_found_unless_both_make_another_address() {
    for glued in ["39.32.7.2099", "4439.32.7.209", "39-32-7-20900", "39.32.7.2095 "] {
        let scrubbed = scrubber().scrub_text(glued).into_owned();
        assert!(scrubbed.contains(MARK), "{glued:?} became {scrubbed:?}");
    }
    for other in ["139.32.7.209", "239.32.7.209"] {
        assert_eq!(scrubber().scrub_text(other), other);
    }
    let short = Scrubber::new(&[IpAddr::V4(Ipv4Addr::new(39, 32, 7, 20))]);
    assert_eq!(short.scrub_text("39.32.7.209"), "39.32.7.209");
}

#[test]
fn an_ipv4_address_is_found_in_every_form() {
    let bits = V4.to_bits();
    for text in [
        V4.to_string(),
        "209.7.32.39".into(),
        "209.7.32.39.in-addr.arpa".split(".in").next().unwrap_or_default().into(),
        "039.032.007.209".into(),
        "39-32-7-209".into(),
        "39%2E32%2e7%2E209".into(),
        "39&#46;32&#46;7&#46;209".into(),
        HEXLOWER.encode(&V4.octets()),
        HEXUPPER.encode(&V4.octets()),
        bits.to_string(),
        bits.swap_bytes().to_string(),
        HEXLOWER.encode(&bits.swap_bytes().to_be_bytes()),
        "0x27.0x20.0x7.0xd1".into(),
        "27:20:07:d1".into(),
        BASE64.encode(V4.to_string().as_bytes()),
        BASE64.encode(format!("ip={V4}&msg=blocked").as_bytes()),
        BASE64.encode(format!("{{\"a\":\"{V4}\"}}").as_bytes()),
        BASE64URL_NOPAD.encode(format!("client {V4}").as_bytes()),
        BASE64.encode(&V4.octets()),
        "::ffff:39.32.7.209".into(),
        "::ffff:2720:7d1".into(),
        "64:ff9b::2720:7d1".into(),
        "2002:2720:7d1::1".into(),
    ] {
        assert_gone(&text);
    }
}

#[test]
fn an_ipv6_address_is_found_by_its_home_network_in_every_form() {
    let address: Ipv6Addr = V6.parse().expect("an address");
    for text in [
        V6.to_owned(),
        V6.to_uppercase(),
        "2400:adc5:001f:4400:8d2b:31ff:fe44:1a7c".into(),
        "2400:adc5:1f:4400::9".into(),
        V6.replace(':', "%3A"),
        V6.replace(':', "-"),
        HEXLOWER.encode(&address.octets()),
        BASE64.encode(V6.as_bytes()),
        BASE64.encode(&address.octets()),
        BASE64_NOPAD.encode(format!("v6 {V6} blocked").as_bytes()),
        address.to_bits().to_string(),
        "c.7.a.1.4.4.e.f.f.f.1.3.b.2.d.8.0.0.4.4.f.1.0.0.5.c.d.a.0.0.4.2".into(),
    ] {
        assert_gone(&text);
    }
}

#[test]
fn what_is_not_the_volunteers_is_left_as_it_is() {
    for text in [
        "139.32.7.209",
        "39.32.7.20",
        "8.8.8.8",
        "2400:adc5:1f:4401::1",
        "12:34:56",
        "a::b::c",
        "ordinary text, with punctuation; and 12345 numbers.",
        "d41d8cd98f00b204e9800998ecf8427e",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
    ] {
        assert!(matches!(scrubber().scrub_text(text), Cow::Borrowed(_)), "{text}");
    }
    let none = Scrubber::new(&["127.0.0.1".parse().expect("an address")]);
    assert_eq!(none.scrub_text("127.0.0.1"), "127.0.0.1", "loopback is nobody's, and a censor's answer");
    assert!(!format!("{:?}", scrubber()).contains("39"));
}

fn step(layer: Layer, fact: Fact) -> Observation {
    Observation {
        layer,
        engine: Engine::System,
        hop: 1,
        peer: Some(SocketAddr::new(V4.into(), 443)),
        at: Duration::ZERO,
        took: Duration::ZERO,
        failure: Some(Failure::unknown(&format!("odd answer for {V4}"))),
        fact,
    }
}

fn measurement(url: &str) -> Measurement {
    let dns = DnsAnswer {
        hostname: "x.com".into(),
        addresses: vec![V4.into(), [8, 8, 8, 8].into()],
        ..DnsAnswer::default()
    };
    let tls = TlsFact { certificate_issuer: format!("CN=portal for {V4}"), ..TlsFact::default() };
    let http = HttpFact {
        url: url.to_owned(),
        title: format!("{V4} is blocked, +92 300 1234567"),
        location: "/?msisdn=923001234567".into(),
        server: HEXLOWER.encode(&V4.octets()),
        ..HttpFact::default()
    };
    Measurement {
        id: MeasurementId::from_bytes([0; 16]),
        check: CheckKind::Web,
        target: Target::new("https://x.com/?call=%2B923001234567").expect("a target"),
        depth: Depth::Full,
        why: Why::Routine,
        token: None,
        list_version: 1,
        started_at: faultline_model::Timestamp::from_unix_ms(1_705_758_000_000),
        duration: Duration::from_secs(1),
        parent: None,
        observations: vec![
            step(Layer::Dns, Fact::Dns(dns)),
            step(Layer::Tls, Fact::Tls(tls)),
            step(Layer::Http, Fact::Http(http)),
        ],
    }
}

#[test]
fn a_measurement_is_scrubbed_in_every_field_and_keeps_its_target() {
    let measured = measurement("http://203.82.48.86/?u=MzkuMzIuNy4yMDk=");
    let target = measured.target.clone();
    let scrubbed = scrubber().scrub(measured).expect("put together again");
    let text = serde_json::to_string(&scrubbed.observations).expect("text");
    for planted in ["39.32.7.209", "272007d1", "923001234567", "300 1234567", "MzkuMzIuNy4yMDk"] {
        assert!(!text.contains(planted), "{planted} in {text}");
    }
    assert_eq!(scrubbed.target, target);
    let Fact::Dns(dns) = &scrubbed.observations[0].fact else { panic!("no DNS fact") };
    let kept: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), [8, 8, 8, 8].into()];
    assert_eq!(dns.addresses, kept, "an address stays an address");
    let Fact::Http(http) = &scrubbed.observations[2].fact else { panic!("no HTTP fact") };
    assert_eq!(http.url, "http://203.82.48.86/?u=[scrubbed]");
}

#[test]
fn a_body_that_differs_in_nothing_but_the_address_has_one_hash() {
    let page = |address: &str| format!("<title>Blocked</title>Your address: {address}");
    let of = |address: Ipv4Addr| {
        let page = page(&address.to_string());
        Scrubber::new(&[address.into()]).scrub_bytes(page.as_bytes()).into_owned()
    };
    assert_eq!(of(V4), of(Ipv4Addr::new(111, 119, 160, 5)));
}

#[test]
fn what_is_learnt_is_scrubbed_from_then_on() {
    let own = Own::default();
    assert_eq!(own.scrubber().scrub_text("39.32.7.209"), "39.32.7.209");
    own.seen_as(V4.into());
    assert_eq!(own.scrubber().scrub_text("39.32.7.209"), MARK);
    own.local(vec!["192.168.1.7".parse().expect("an address")]);
    assert_eq!(own.scrubber().scrub_text("39.32.7.209 192.168.1.7"), "[scrubbed] [scrubbed]");
    (0..40).for_each(|n| own.seen_as([5, 5, 5, n].into()));
    assert_eq!(own.scrubber().scrub_text("5.5.5.39"), MARK, "the newest are kept");
}

proptest! {
    #[test]
    fn no_form_of_any_address_survives_in_any_text(bits in 0x0100_0000_u32..0xdfff_ffff, form in 0_usize..9, before in "[ -~]{0,9}", after in "[ -~]{0,9}") {
        let address = Ipv4Addr::from_bits(bits);
        prop_assume!(!address.is_loopback());
        let planted = match form {
            0 => address.to_string(),
            1 => HEXLOWER.encode(&address.octets()),
            2 => HEXUPPER.encode(&address.octets()),
            3 => bits.to_string(),
            4 => address.octets().map(|o| o.to_string()).join("%2E"),
            5 => BASE64.encode(address.to_string().as_bytes()),
            6 => BASE64.encode(format!("{before}{address}{after}").as_bytes()),
            7 => BASE64URL_NOPAD.encode(format!("{before}{address}{after}").as_bytes()),
            _ => format!("::ffff:{address}"),
        };
        // Digits beside a number would make it another number.
        let text = format!("{before} {planted} {after}");
        let scrubber = Scrubber::new(&[address.into()]);
        let scrubbed = scrubber.scrub_text(&text).into_owned();
        prop_assert!(!scrubbed.contains(&planted), "{} in {}", planted, scrubbed);
        // Scrubbing twice is scrubbing once.
        prop_assert_eq!(scrubber.scrub_text(&scrubbed).into_owned(), scrubbed);
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = scrubber().scrub_bytes(&bytes);
    }
}
