use super::*;
use crate::{CheckKind, Target};

const KEY: &str = "jNXHt1yRo0vDuchQlIP6Z0ZvjT3KtzVI1LkJGLH3oGU=";
const CERT: &str = "ssH+9rP8dG2NLDN2XuFw63hIO/9MNNinLmxQDpVa+7kTOa9/m+tGWT1SmSYpQ9uTBGa6Hw";
const ID: &str = "0123456789ABCDEF0123456789ABCDEF01234567";

fn read(text: &str) -> Endpoint {
    Target::new(text).expect(text).endpoint().expect("an endpoint")
}

#[test]
fn an_endpoint_is_normalised_and_knows_its_class() {
    let cases = [
        ("OpenVPN://Relay.Example.net", "openvpn://relay.example.net:1194?transport=udp", "openvpn_udp"),
        (
            "openvpn://r.example.net:443/?transport=tcp",
            "openvpn://r.example.net:443?transport=tcp",
            "openvpn_tcp",
        ),
        ("tor://or.example.net", "tor://or.example.net:9001", "tor"),
        ("socks5://p.example.net?to=Example.org", "socks5://p.example.net:1080?to=example.org", "socks5"),
        (
            "https-proxy://p.example.net:8443?to=example.org",
            "https-proxy://p.example.net:8443?to=example.org",
            "https_proxy",
        ),
    ];
    for (text, normal, class) in cases {
        let target = Target::new(text).expect(text);
        assert_eq!(target.as_str(), normal);
        assert_eq!(target.endpoint().expect("an endpoint").class().as_str(), class);
        assert_eq!(Target::new(normal).expect(normal), target, "the normal form is stable");
    }
}

#[test]
fn keys_and_fingerprints_survive_being_written_and_read() {
    let wireguard = format!("wireguard://w.example.net:51820?client_key={KEY}&public_key={KEY}");
    let target = Target::new(&wireguard).expect("valid");
    assert_eq!(target.as_str(), format!("wireguard://w.example.net:51820?public_key={KEY}&client_key={KEY}"));
    let lower = ID.to_ascii_lowercase();
    let bridge = format!("obfs4://b.example.net?iat-mode=1&fingerprint={lower}&cert={CERT}");
    let target = Target::new(&bridge).expect("valid");
    assert_eq!(target.as_str(), format!("obfs4://b.example.net:443?cert={CERT}&iat-mode=1&fingerprint={ID}"));
    assert_eq!(target.host(), "b.example.net");
    let Tunnel::Obfs4 { fingerprint: Some(id), iat_mode: 1, .. } = read(&bridge).tunnel else {
        panic!("obfs4")
    };
    assert_eq!(id[..4], [0x01, 0x23, 0x45, 0x67]);
}

#[test]
fn addresses_denied_ports_and_strange_parameters_name_no_endpoint() {
    let (short, cut) = (&KEY[..40], &CERT[..68]);
    for bad in [
        "openvpn://10.0.0.1:1194".to_owned(),
        "openvpn://0x7f.0x1:1194".into(),
        "openvpn://[2001:db8::1]:1194".into(),
        "openvpn://localhost:1194".into(),
        "openvpn://r.example.net:22".into(),
        "openvpn://r.example.net:0".into(),
        "openvpn://r.example.net:99999".into(),
        "openvpn://user@r.example.net".into(),
        "openvpn://r.example.net/path".into(),
        "openvpn://r.example.net#x".into(),
        "openvpn://r.example.net?transport=icmp".into(),
        "openvpn://r.example.net?transport=udp&transport=udp".into(),
        "openvpn://r.example.net?key=1".into(),
        "openvpn://r%2eexample.net".into(),
        "wireguard://w.example.net".into(),
        format!("wireguard://w.example.net?public_key={KEY}"),
        format!("wireguard://w.example.net?public_key={short}&client_key={KEY}"),
        format!("wireguard://w.example.net?public_key={KEY}{}", format!("&client_key={KEY}").repeat(5)),
        format!("obfs4://b.example.net?cert={cut}"),
        "tor://t.example.net?fingerprint=12".into(),
        "socks5://p.example.net".into(),
        "socks5://p.example.net?to=10.0.0.1".into(),
        "ssh://p.example.net".into(),
    ] {
        assert!(Target::new(&bad).is_err(), "{bad}");
    }
}

#[test]
fn each_check_takes_its_own_schemes_only() {
    let wireguard = format!("wireguard://w.example.net?public_key={KEY}&client_key={KEY}");
    let obfs4 = format!("obfs4://b.example.net?cert={CERT}");
    let targets = [
        "https://x.com/",
        "http://x.com/",
        "openvpn://o.example.net",
        &wireguard,
        "tor://t.example.net",
        &obfs4,
        "socks5://p.example.net?to=x.com",
        "https-proxy://p.example.net?to=x.com",
    ]
    .map(|text| Target::new(text).expect(text));
    let accepted = |check: CheckKind| -> Vec<usize> {
        (0..targets.len()).filter(|at| check.accepts(&targets[*at])).collect()
    };
    assert_eq!(accepted(CheckKind::Web), [0, 1]);
    assert_eq!(accepted(CheckKind::Quic), [0]);
    assert_eq!(accepted(CheckKind::VpnApi), [0]);
    assert_eq!(accepted(CheckKind::Openvpn), [2]);
    assert_eq!(accepted(CheckKind::Wireguard), [3]);
    assert_eq!(accepted(CheckKind::Tor), [4, 5]);
    assert_eq!(accepted(CheckKind::Proxy), [6, 7]);
}

#[test]
fn a_result_is_public_by_class_only() {
    let target = Target::new("openvpn://o.example.net?transport=tcp").expect("valid");
    assert_eq!(CheckKind::Openvpn.protocol_class(&target), Some(ProtocolClass::OpenvpnTcp));
    let api = Target::new("https://api.example.net/servers").expect("valid");
    assert_eq!(CheckKind::VpnApi.protocol_class(&api), Some(ProtocolClass::VpnApi));
    assert_eq!(CheckKind::Web.protocol_class(&api), None);
    for class in ProtocolClass::ALL {
        assert_eq!(class.as_str().parse(), Ok(*class));
    }
}
