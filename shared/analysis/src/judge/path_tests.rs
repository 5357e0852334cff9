//! Cases of `path`: which hops enclose the place, and what is never said.

use super::tests::{Builder, assert_judged};
use super::{ControlFact, PathLocus, locate};
use PathAnswer::{Closed, Connected, Data, NotSent, Nothing, Reset, TimeExceeded};
use faultline_model::{
    Asn, CheckKind, Class, Engine, Fact, Failure, Layer, LayerStatus, PathAnswer, PathFact, PathHop,
    PathProbe, PathResponder,
};

const SITE: &str = "104.244.42.1";

fn asn(number: u32) -> Option<Asn> {
    Asn::new(number).ok()
}

/// A way of four hops: the provider's edge, its gateway, a backbone and the site.
fn drawn() -> PathFact {
    let router = |ttl: u8, number| PathHop {
        ttl,
        answer: TimeExceeded,
        responder: PathResponder::Router,
        address: Some([119, 159, ttl, 1].into()),
        asn: asn(number),
        rtt_ms: 5,
    };
    let edge = PathHop { responder: PathResponder::Own, address: None, asn: None, ..router(1, 1) };
    let site = PathHop { ttl: 4, answer: Connected, responder: PathResponder::Target, ..PathHop::default() };
    PathFact { hops: vec![edge, router(2, 17557), router(3, 6762), site], ..PathFact::default() }
}

fn named(probe: PathProbe, answers: &[(u8, PathAnswer)]) -> PathFact {
    let hops =
        answers.iter().map(|(ttl, answer)| PathHop { ttl: *ttl, answer: *answer, ..PathHop::default() });
    PathFact { probe, name: "x.com".into(), hops: hops.collect() }
}

fn measured(probe: PathProbe, innocent: &[(u8, PathAnswer)], target: &[(u8, PathAnswer)]) -> Builder {
    let (url, layer) = match probe {
        PathProbe::Request => ("http://x.com/", Layer::Http),
        _ => ("https://x.com/", Layer::Tls),
    };
    let failure = match target.iter().find(|(ttl, _)| *ttl == 0) {
        Some((_, Data)) | None => None,
        Some((_, Reset)) => Some(Failure::ConnectionReset),
        Some((_, Closed)) => Some(Failure::Eof),
        Some(_) => Some(Failure::Timeout),
    };
    let mut builder = Builder::new(url)
        .dns(Engine::System, &[SITE], None)
        .step(Layer::Tcp, Engine::System, Fact::Path(drawn()), None)
        .step(layer, Engine::Control, Fact::Path(named(probe, innocent)), None)
        .step(layer, Engine::System, Fact::Path(named(probe, target)), failure);
    builder.0.check = CheckKind::Path;
    builder
}

fn hello(innocent: &[(u8, PathAnswer)], target: &[(u8, PathAnswer)]) -> Builder {
    measured(PathProbe::Hello, innocent, target)
}

fn fine() -> [ControlFact; 1] {
    [ControlFact { http_status: 200, ..ControlFact::default() }]
}

fn hops(builder: &Builder) -> Option<(Option<u8>, Option<u8>)> {
    let of = |PathLocus { behind, until }: PathLocus| (behind.map(|p| p.hop), until.map(|p| p.hop));
    locate(&builder.0).map(of)
}

#[test]
fn a_reset_to_a_packet_that_died_on_the_way_names_the_hops_around_its_maker() {
    let target = [(1, TimeExceeded), (2, TimeExceeded), (3, Reset), (0, Reset)];
    let builder = hello(&[(0, Data)], &target);
    assert_judged(&builder, &fine(), Class::TlsReset, LayerStatus::Blocked, "path.reset.hop");
    assert_judged(&builder, &[], Class::TlsReset, LayerStatus::Insufficient, "path.reset.hop");
    let place = locate(&builder.0).expect("a place");
    let behind = place.behind.expect("a hop");
    assert_eq!((behind.hop, behind.asn, behind.address), (2, asn(17557), Some([119, 159, 2, 1].into())));
    assert_eq!(place.until.map(|point| (point.hop, point.asn)), Some((3, asn(6762))));
    assert_eq!(place.network(), None, "on the border of two networks none is named");
}

#[test]
fn a_network_is_named_where_both_hops_are_its_own_or_one_is_masked() {
    let at_the_edge = hello(&[(0, Data)], &[(1, Nothing), (2, Reset), (0, Reset)]);
    assert_eq!(hops(&at_the_edge), Some((Some(1), Some(2))));
    assert_eq!(locate(&at_the_edge.0).and_then(|place| place.network()), asn(17557));
    let at_home = hello(&[(0, Data)], &[(1, Reset), (0, Reset)]);
    assert_eq!(hops(&at_home), Some((None, Some(1))));
    assert_eq!(locate(&at_home.0).and_then(|place| place.network()), None);
}

#[test]
fn silence_is_placed_by_what_routers_say_of_an_innocent_name() {
    let innocent = [(1, TimeExceeded), (2, TimeExceeded), (3, TimeExceeded), (0, Data), (0, Data)];
    let target = [(1, TimeExceeded), (2, TimeExceeded), (3, Nothing), (3, Nothing), (0, Nothing)];
    let builder = hello(&innocent, &target);
    assert_judged(&builder, &fine(), Class::TlsTimeout, LayerStatus::Blocked, "path.drop.hop");
    assert_eq!(hops(&builder), Some((Some(2), Some(3))));

    let by_the_end =
        hello(&innocent, &[(1, TimeExceeded), (2, TimeExceeded), (3, TimeExceeded), (0, Nothing)]);
    assert_judged(&by_the_end, &fine(), Class::TlsTimeout, LayerStatus::Blocked, "path.drop.end");
    assert_eq!(hops(&by_the_end), Some((Some(3), None)));
}

#[test]
fn silent_routers_place_nothing() {
    let builder =
        hello(&[(1, Nothing), (2, Nothing), (0, Data)], &[(1, Nothing), (2, Nothing), (0, Nothing)]);
    assert_judged(&builder, &fine(), Class::TlsTimeout, LayerStatus::Blocked, "path.drop.unlocated");
    assert_eq!(hops(&builder), None);
}

#[test]
fn silence_at_one_reach_alone_is_chance_if_routers_speak_beyond_it() {
    let innocent = [(1, TimeExceeded), (2, TimeExceeded), (3, TimeExceeded), (0, Data)];
    let builder = hello(&innocent, &[(1, TimeExceeded), (2, Nothing), (3, TimeExceeded), (0, Nothing)]);
    assert_eq!(hops(&builder), Some((Some(3), None)));
}

#[test]
fn what_happens_to_every_name_is_not_said_of_one() {
    let reset = hello(&[(0, Reset)], &[(1, TimeExceeded), (2, TimeExceeded), (3, TimeExceeded), (0, Reset)]);
    assert_judged(&reset, &fine(), Class::TlsReset, LayerStatus::Blocked, "path.reset.any_name");
    let silent = hello(&[(0, Nothing)], &[(0, Nothing)]);
    assert_judged(&silent, &fine(), Class::TlsTimeout, LayerStatus::Blocked, "path.drop.any_name");
}

#[test]
fn a_page_for_a_packet_that_died_is_not_the_sites() {
    let target = [(1, TimeExceeded), (2, Data), (3, Data), (0, Data)];
    let builder = measured(PathProbe::Request, &[(0, Data)], &target);
    assert_judged(&builder, &fine(), Class::HttpBlockpage, LayerStatus::Blocked, "path.page.hop");
    assert_eq!(hops(&builder), Some((Some(1), Some(2))));
    let builder = hello(&[(0, Data)], &target);
    assert_judged(&builder, &fine(), Class::TlsCertMismatch, LayerStatus::Blocked, "path.answer.hop");
}

#[test]
fn a_name_that_gets_through_is_ok_and_has_no_place() {
    for target in [&[(0, Data)][..], &[(3, TimeExceeded), (0, Data)], &[(3, Nothing), (0, Data)]] {
        let builder = hello(&[(0, Data)], target);
        assert_judged(&builder, &[], Class::Ok, LayerStatus::Ok, "path.none");
        assert_eq!(hops(&builder), None);
    }
}

#[test]
fn an_end_by_the_site_is_the_sites_where_controls_meet_it_too() {
    let target = [(1, TimeExceeded), (2, TimeExceeded), (3, TimeExceeded), (0, Closed)];
    let builder = hello(&[(0, Data)], &target);
    assert_judged(&builder, &fine(), Class::TlsReset, LayerStatus::Blocked, "path.close.end");
    let failed = [ControlFact { failed_at: Some(Layer::Tls), ..ControlFact::default() }];
    assert_judged(&builder, &failed, Class::TlsReset, LayerStatus::Down, "path.close.end");
}

#[test]
fn a_name_that_was_never_sent_says_nothing() {
    let builder = hello(&[(0, Data)], &[(0, NotSent)]);
    assert_judged(&builder, &fine(), Class::TlsTimeout, LayerStatus::Insufficient, "path.not_sent");
}

#[test]
fn a_connection_that_fails_is_judged_as_in_any_check() {
    let mut builder = Builder::new("https://x.com/").dns(Engine::System, &[SITE], None).step(
        Layer::Tcp,
        Engine::System,
        Fact::Path(PathFact::default()),
        Some(Failure::Timeout),
    );
    builder.0.check = CheckKind::Path;
    assert_judged(&builder, &fine(), Class::TcpTimeout, LayerStatus::Blocked, "tcp.timeout");
}
