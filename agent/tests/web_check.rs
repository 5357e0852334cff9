//! The web check against real servers that misbehave.

mod support;

use faultline_agent::checks::Outcome;
use faultline_agent::net::Deadlines;
use faultline_model::{Depth, DnsAnswer, Engine, Fact, Failure, HttpFact, Layer, Observation, TlsFact};
use hickory_proto::op::ResponseCode;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use support::dns::Answer;
use support::site::{Behaviour, Certificate, page, redirect};
use support::world::{SITE, World};

const URL: &str = "https://site.test/";

fn path(outcome: &Outcome) -> Vec<(Layer, u8, Option<Failure>)> {
    let steps = outcome.observations.iter().filter(|step| step.engine == Engine::System);
    steps.map(|step| (step.layer, step.hop, step.failure.clone())).collect()
}

fn ends(outcome: &Outcome) -> (Layer, Option<Failure>) {
    let (layer, _, failure) = path(outcome).pop().expect("a step");
    (layer, failure)
}

fn step(outcome: &Outcome, layer: Layer, engine: Engine) -> &Observation {
    let mut steps = outcome.observations.iter();
    steps.find(|step| step.layer == layer && step.engine == engine).expect("such a step")
}

fn http(outcome: &Outcome) -> &HttpFact {
    match &step(outcome, Layer::Http, Engine::System).fact {
        Fact::Http(fact) => fact,
        other => panic!("{other:?}"),
    }
}

fn dns(outcome: &Outcome, engine: Engine) -> &DnsAnswer {
    match &step(outcome, Layer::Dns, engine).fact {
        Fact::Dns(fact) => fact,
        other => panic!("{other:?}"),
    }
}

fn tls(outcome: &Outcome) -> &TlsFact {
    match &step(outcome, Layer::Tls, Engine::System).fact {
        Fact::Tls(fact) => fact,
        other => panic!("{other:?}"),
    }
}

async fn world_with(behaviour: Behaviour) -> World {
    let world = World::new().await;
    world.name("site.test", SITE);
    world.https(SITE, "site.test", behaviour).await;
    world
}

#[tokio::test]
async fn a_light_check_of_a_healthy_site_has_four_good_steps_and_costs_little() {
    let world = world_with(page("<html><title>Hello</title>")).await;
    let outcome = world.check(URL, Depth::Light).await;
    let layers = [Layer::Dns, Layer::Tcp, Layer::Tls, Layer::Http];
    assert_eq!(path(&outcome), layers.map(|layer| (layer, 0, None)));
    assert_eq!(outcome.observations.len(), 4, "nobody else is asked");
    assert_eq!((http(&outcome).status, http(&outcome).title.as_str()), (200, "Hello"));
    assert_eq!((http(&outcome).server.as_str(), http(&outcome).body_bytes), ("test", 26));
    let seen = tls(&outcome);
    assert_eq!((seen.version.as_str(), seen.alpn.as_str()), ("TLSv1.3", "http/1.1"));
    assert!(seen.certificate_sha256.len() == 64 && seen.certificate_issuer.contains("Test Root"));
    assert!(
        step(&outcome, Layer::Dns, Engine::System).peer.is_none(),
        "the system's resolver is never recorded"
    );
    assert!((1_000..10_000).contains(&outcome.bytes), "{}", outcome.bytes);
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_negotiated_and_the_body_is_cut() {
    let world = world_with(Behaviour::Http2(200_000)).await;
    let outcome = world.check(URL, Depth::Light).await;
    assert_eq!(ends(&outcome), (Layer::Http, None));
    assert_eq!(tls(&outcome).alpn, "h2");
    let fact = http(&outcome);
    assert_eq!((fact.status, fact.body_bytes, fact.is_truncated), (200, 3 * 1024, true));
    assert!(outcome.bytes < 10_000, "the rest of the page stays where it is: {}", outcome.bytes);
    let full = world.check(URL, Depth::Full).await;
    assert_eq!(http(&full).body_bytes, 6 * 1024);
}

#[tokio::test]
async fn a_full_check_asks_the_public_resolver_every_way_and_the_providers_own() {
    let world = world_with(page("ok")).await;
    let outcome = world.check(URL, Depth::Full).await;
    assert_eq!(ends(&outcome), (Layer::Http, None));
    for engine in [Engine::Udp, Engine::Doh, Engine::Dot, Engine::Isp] {
        let (step, fact) = (step(&outcome, Layer::Dns, engine), dns(&outcome, engine));
        assert_eq!(step.failure, None, "{engine:?}");
        assert_eq!(fact.addresses, [SITE.parse::<IpAddr>().expect("an address")]);
        assert_eq!(fact.rcode, Some(0));
        assert_eq!(step.peer.is_some(), engine != Engine::Isp, "the provider's resolver is never recorded");
    }
}

#[tokio::test]
async fn a_reset_after_the_hello_is_reported_within_a_second_with_the_evidence() {
    let world = world_with(Behaviour::Reset).await;
    let begin = Instant::now();
    let outcome = world.check(URL, Depth::Light).await;
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(ends(&outcome), (Layer::Tls, Some(Failure::ConnectionReset)));
    assert_eq!(tls(&outcome).server_name, "site.test");
    assert_eq!(step(&outcome, Layer::Dns, Engine::Udp).failure, None);
    assert_eq!(step(&outcome, Layer::Dns, Engine::Doh).failure, None);
}

#[tokio::test]
async fn a_public_resolver_that_is_silent_does_not_hold_up_a_failure() {
    let world = world_with(Behaviour::Reset).await;
    world.public.set("site.test", Answer::Silence);
    let begin = Instant::now();
    let outcome = world.check(URL, Depth::Light).await;
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(step(&outcome, Layer::Dns, Engine::Udp).failure, Some(Failure::Timeout));
}

#[tokio::test]
async fn each_way_in_which_tls_fails_has_its_code() {
    let cases = [
        (Behaviour::Close, Failure::Eof),
        (Behaviour::Garbage, Failure::SslFailedHandshake),
        (Behaviour::Reset, Failure::ConnectionReset),
    ];
    for (behaviour, failure) in cases {
        let world = world_with(behaviour).await;
        assert_eq!(ends(&world.check(URL, Depth::Light).await), (Layer::Tls, Some(failure)));
    }
    let cases = [
        ("site.test", Certificate::Expired, Failure::SslInvalidCertificate),
        ("other.test", Certificate::Good, Failure::SslInvalidHostname),
        ("site.test", Certificate::SelfSigned, Failure::SslUnknownAuthority),
    ];
    for (name, certificate, failure) in cases {
        let world = World::new().await;
        world.name("site.test", SITE);
        world.https_with(SITE, name, certificate, page("ok")).await;
        let outcome = world.check(URL, Depth::Light).await;
        assert_eq!(ends(&outcome), (Layer::Tls, Some(failure)));
        assert_eq!(
            tls(&outcome).certificate_sha256.len(),
            64,
            "the certificate is a fact also when it is bad"
        );
    }
}

#[tokio::test]
async fn a_chain_of_a_megabyte_is_not_read() {
    let world = World::new().await;
    world.name("site.test", SITE);
    world.https_with(SITE, "site.test", Certificate::Endless, page("ok")).await;
    let outcome = world.check(URL, Depth::Light).await;
    assert_eq!(ends(&outcome), (Layer::Tls, Some(Failure::SslFailedHandshake)));
    assert!(outcome.bytes < 400_000, "{}", outcome.bytes);
}

#[tokio::test]
async fn a_slow_handshake_is_a_success_that_took_long() {
    let world = world_with(Behaviour::Slow(Duration::from_millis(700))).await;
    let outcome = world.check(URL, Depth::Light).await;
    assert_eq!(ends(&outcome), (Layer::Http, None));
    assert!(step(&outcome, Layer::Tls, Engine::System).took >= Duration::from_millis(700));
}

#[tokio::test]
async fn a_closed_port_is_refused_at_the_tcp_layer() {
    let world = World::new().await;
    world.name("site.test", SITE);
    let outcome = world.check(URL, Depth::Light).await;
    assert_eq!(ends(&outcome), (Layer::Tcp, Some(Failure::ConnectionRefused)));
}

fn short() -> Deadlines {
    Deadlines { tls: Duration::from_millis(300), http: Duration::from_millis(300), ..Deadlines::default() }
}

#[tokio::test]
async fn silence_after_the_hello_is_a_timeout_of_tls() {
    let world = world_with(Behaviour::Hang).await;
    let outcome = world.check_with(URL, Depth::Light, short()).await;
    assert_eq!(ends(&outcome), (Layer::Tls, Some(Failure::Timeout)));
    let took = step(&outcome, Layer::Tls, Engine::System).took;
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_page_that_stops_coming_is_a_timeout_of_http_with_what_came() {
    let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n<title>Half".to_vec();
    let world = world_with(Behaviour::RawAndHang(begun)).await;
    let outcome = world.check_with(URL, Depth::Light, short()).await;
    assert_eq!(ends(&outcome), (Layer::Http, Some(Failure::Timeout)));
    assert_eq!((http(&outcome).status, http(&outcome).title.as_str()), (200, "Half"));
}

#[tokio::test]
async fn each_way_in_which_dns_fails_has_its_code() {
    let cases = [
        (Answer::Code(ResponseCode::NXDomain), Failure::DnsNxdomain),
        (Answer::Code(ResponseCode::ServFail), Failure::DnsServfail),
        (Answer::Code(ResponseCode::Refused), Failure::DnsRefused),
        (Answer::Addresses(vec![]), Failure::DnsNoAnswer),
    ];
    let world = world_with(page("ok")).await;
    for (answer, failure) in cases {
        world.system.set("site.test", answer);
        let outcome = world.check(URL, Depth::Light).await;
        assert_eq!(path(&outcome), [(Layer::Dns, 0, Some(failure))]);
        let Fact::Dns(fact) = &step(&outcome, Layer::Dns, Engine::Udp).fact else { panic!("no evidence") };
        assert_eq!(fact.addresses.len(), 1, "the public resolver knows better");
    }
}

#[tokio::test]
async fn silence_and_foreign_replies_of_a_resolver_are_told_apart() {
    let world = world_with(page("ok")).await;
    for (answer, failure) in [(Answer::Silence, Failure::Timeout), (Answer::WrongId, Failure::DnsMisbehaving)]
    {
        world.system.set("site.test", answer);
        let deadlines = Deadlines { dns: Duration::from_millis(500), ..Deadlines::default() };
        let outcome = world.check_with(URL, Depth::Light, deadlines).await;
        assert_eq!(ends(&outcome), (Layer::Dns, Some(failure)));
    }
}

#[tokio::test]
async fn one_lost_packet_is_no_failure_and_a_cut_reply_is_fetched_over_tcp() {
    let world = world_with(page("ok")).await;
    let address: IpAddr = SITE.parse().expect("an address");
    for answer in [Answer::LostOnce(address), Answer::OverTcp(vec![address])] {
        world.system.set("site.test", answer);
        assert_eq!(ends(&world.check(URL, Depth::Light).await), (Layer::Http, None));
    }
}

#[tokio::test]
async fn private_answers_are_recorded_and_never_connected_to() {
    let world = world_with(page("ok")).await;
    for private in ["192.168.7.222", "10.10.34.35", "100.64.0.1", "::1", "fe80::1"] {
        world.system.point("site.test", private);
        let outcome = world.check(URL, Depth::Light).await;
        assert_eq!(path(&outcome), [(Layer::Dns, 0, Some(Failure::DnsBogon))], "{private}");
        let Fact::Dns(fact) = &step(&outcome, Layer::Dns, Engine::System).fact else { panic!("no answer") };
        assert_eq!(fact.addresses, [private.parse::<IpAddr>().expect("an address")]);
    }
}

#[tokio::test]
async fn a_name_that_changes_its_answer_is_resolved_once() {
    let world = world_with(page("ok")).await;
    let (public, private) = (SITE.parse().expect("an address"), "192.168.1.1".parse().expect("an address"));
    world.system.set("site.test", Answer::Rebinding(public, private));
    let outcome = world.check(URL, Depth::Light).await;
    assert_eq!(ends(&outcome), (Layer::Http, None));
    let tcp = step(&outcome, Layer::Tcp, Engine::System).peer.expect("a peer");
    assert_eq!(tcp.ip(), public);
}

#[tokio::test]
async fn redirects_are_followed_hop_by_hop_each_with_its_steps() {
    let world = world_with(redirect("http://next.test/a")).await;
    world.name("next.test", "127.0.0.6");
    world.http("127.0.0.6", redirect("https://last.test/")).await;
    world.name("last.test", "127.0.0.7");
    world.https("127.0.0.7", "last.test", Behaviour::Reset).await;
    let outcome = world.check(URL, Depth::Full).await;
    let expected: Vec<(Layer, u8, Option<Failure>)> = vec![
        (Layer::Dns, 0, None),
        (Layer::Tcp, 0, None),
        (Layer::Tls, 0, None),
        (Layer::Http, 0, None),
        (Layer::Dns, 1, None),
        (Layer::Tcp, 1, None),
        (Layer::Http, 1, None),
        (Layer::Dns, 2, None),
        (Layer::Tcp, 2, None),
        (Layer::Tls, 2, Some(Failure::ConnectionReset)),
    ];
    assert_eq!(path(&outcome), expected);
    let evidence = outcome.observations.iter().filter(|step| step.engine != Engine::System && step.hop == 2);
    assert_eq!(evidence.count(), 4, "the hop that failed has its own second opinions");
    let light = world.check(URL, Depth::Light).await;
    assert_eq!(ends(&light), (Layer::Http, None));
    assert_eq!(http(&light).location, "http://next.test/a");
}

#[tokio::test]
async fn a_redirect_into_a_home_another_scheme_or_port_ends_there() {
    let cases = [
        ("http://192.168.1.1/", Failure::RedirectDenied),
        ("http://[::1]/", Failure::RedirectDenied),
        ("file:///etc/passwd", Failure::RedirectDenied),
        ("http://site.test:25/", Failure::RedirectDenied),
        ("https://", Failure::HttpInvalidRedirect),
    ];
    for (location, failure) in cases {
        let world = world_with(redirect(location)).await;
        let outcome = world.check(URL, Depth::Full).await;
        assert_eq!(path(&outcome).pop(), Some((Layer::Http, 1, Some(failure))), "{location}");
    }
}

#[tokio::test]
async fn a_hundred_redirects_end_after_ten() {
    let world = World::new().await;
    world.name("site.test", SITE);
    let visits = world.http(SITE, redirect("/again")).await;
    let outcome = world.check("http://site.test/", Depth::Full).await;
    assert_eq!(path(&outcome).pop(), Some((Layer::Http, 11, Some(Failure::TooManyRedirects))));
    assert_eq!(visits.load(Ordering::SeqCst), 11);
    assert!(outcome.observations.len() <= 64);
}

#[tokio::test]
async fn nonsense_over_http_has_a_code_and_a_bound() {
    let headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Long: 1234567890\r\n".repeat(4000));
    let big = format!("HTTP/1.1 200 OK\r\nX-Big: {}\r\n\r\n", "a".repeat(60_000));
    let cases: [(Vec<u8>, Option<Failure>); 9] = [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(), Some(Failure::HttpInvalidResponse)),
        (headers.into(), Some(Failure::HttpInvalidResponse)),
        (big.into(), Some(Failure::HttpInvalidResponse)),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nno\r\n".to_vec(),
            Some(Failure::HttpInvalidResponse),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
                .to_vec(),
            None,
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), None),
        (b"".to_vec(), Some(Failure::Eof)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_vec(), Some(Failure::Eof)),
        (b"HTTP/1.1 200 OK\r\nX-Odd: \xff\xfe\r\nServer: \xe9\r\n\r\n".to_vec(), None),
    ];
    for (bytes, failure) in cases {
        let world = World::new().await;
        world.name("site.test", SITE);
        world.http(SITE, Behaviour::Raw(bytes.clone())).await;
        let outcome = world.check("http://site.test/", Depth::Light).await;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        assert_eq!(ends(&outcome), (Layer::Http, failure), "{shown}");
    }
}

#[tokio::test]
async fn a_page_without_an_end_is_cut() {
    let body = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![b'x'; 2_000_000]].concat();
    let world = World::new().await;
    world.name("site.test", SITE);
    world.http(SITE, Behaviour::RawAndHang(body)).await;
    let outcome = world.check("http://site.test/", Depth::Light).await;
    assert_eq!(ends(&outcome), (Layer::Http, None));
    assert!(http(&outcome).is_truncated && http(&outcome).body_bytes == 6 * 1024);
}

#[tokio::test]
async fn nothing_marks_the_request_as_ours() {
    let world = World::new().await;
    world.name("site.test", SITE);
    // The echo proves what was sent: the request's head comes back as the page.
    let listener = support::site::serve_echo(world.http_listener(SITE).await);
    let outcome = world.check("http://site.test/", Depth::Light).await;
    assert_eq!(ends(&outcome), (Layer::Http, None));
    let head = listener.await.expect("a request");
    for header in ["GET / HTTP/1.1", "Host: site.test", "User-Agent: Mozilla/5.0", "Accept-Language: en-US"] {
        assert!(head.contains(header), "{header} in {head}");
    }
    let lower = head.to_lowercase();
    assert!(!lower.contains("faultline") && !lower.contains("cookie") && !lower.contains("hyper"), "{head}");
}
