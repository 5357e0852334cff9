//! The circumvention checks against servers that speak the protocols, and against peers that do not. The real programs,
//! openvpn, tor, obfs4proxy and wireguard-go, are in the emulated country (`country run --endpoints`).

mod support;

use faultline_agent::checks::{self, Diagnosis, Job, Outcome};
use faultline_agent::net::Deadlines;
use faultline_model::{
    CheckKind, Depth, Engine, Fact, Failure, Layer, Observation, Target, TunnelFact, TunnelStage,
};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use support::site::{Certificate, page};
use support::world::{SITE, World};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::TlsAcceptor;

const PORT: u16 = 1194;
const KEY: &str = "jNXHt1yRo0vDuchQlIP6Z0ZvjT3KtzVI1LkJGLH3oGU=";

/// Runs the check that a target is for, with its port led to a test's server.
async fn check(world: &World, (kind, text): (CheckKind, &str), (asked, real): (u16, u16)) -> Outcome {
    let tunnel = Duration::from_millis(600);
    let deadlines = Deadlines { tunnel, tls: tunnel, ..Deadlines::default() };
    let net = world.net_also(deadlines, &[(asked, real)]);
    let known = checks::known(&net);
    let target = Target::new(text).expect("a target");
    let job = Job {
        target,
        depth: Depth::Light,
        resolver: Some(world.resolver()),
        control: None,
        diagnosis: Diagnosis::default(),
    };
    known[&kind].run(job).await.expect("it ran")
}

#[tokio::test]
async fn the_address_at_which_the_coordinator_was_reached_is_never_contacted() {
    let world = world().await;
    let server = UdpSocket::bind((SITE, 0)).await.expect("bound");
    let real = server.local_addr().expect("bound").port();
    let net = world.net_also(Deadlines::default(), &[(PORT, real)]);
    net.own().coordinator_at(SITE.parse().expect("an address"));
    let job = Job {
        target: Target::new("openvpn://far.test").expect("a target"),
        depth: Depth::Light,
        resolver: Some(world.resolver()),
        control: None,
        diagnosis: Diagnosis::default(),
    };
    let outcome = checks::known(&net)[&CheckKind::Openvpn].run(job).await.expect("it ran");
    let denied = outcome.observations.iter().any(|step| step.failure == Some(Failure::AddressDenied));
    assert!(denied, "{:?}", steps(&outcome));
    assert!(server.try_recv(&mut [0; 1]).is_err(), "nothing was sent");
}

async fn world() -> World {
    let world = World::new().await;
    world.name("far.test", SITE);
    world
}

fn steps(outcome: &Outcome) -> Vec<(Layer, u8, Option<Failure>)> {
    let own = outcome.observations.iter().filter(|step| step.engine == Engine::System);
    own.map(|step| (step.layer, step.hop, step.failure.clone())).collect()
}

fn tunnel(outcome: &Outcome) -> (&Observation, &TunnelFact) {
    let found = outcome.observations.iter().rev().find_map(|step| match &step.fact {
        Fact::Tunnel(fact) => Some((step, fact)),
        _ => None,
    });
    found.expect("a handshake was tried")
}

fn ended(outcome: &Outcome) -> (Option<Failure>, TunnelStage) {
    let (step, fact) = tunnel(outcome);
    (step.failure.clone(), fact.stage)
}

/// Answers datagrams on the site's address.
async fn udp(mut answer: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> u16 {
    let socket = UdpSocket::bind((SITE, 0)).await.expect("bound");
    let port = socket.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for datagram in answer(&buffer[..length]) {
                socket.send_to(&datagram, from).await.expect("sent");
            }
        }
    });
    port
}

/// Serves each connection to the site's address.
async fn tcp<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = Option<()>> + Send + 'static,
{
    let listener = TcpListener::bind((SITE, 0)).await.expect("bound");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

const SERVER: [u8; 8] = [7; 8];

/// What an OpenVPN server says to a packet: its own reset, then TLS bytes of some kind.
fn openvpn(packet: &[u8], tls: &[u8]) -> Vec<Vec<u8>> {
    let acknowledged = |opcode: u8, number: u32| {
        let mut answer = vec![opcode << 3];
        answer.extend(SERVER);
        answer.push(1);
        answer.extend(number.to_be_bytes());
        answer.extend(&packet[1..9]);
        answer
    };
    match packet[0] >> 3 {
        7 => vec![[acknowledged(8, 0), vec![0; 4]].concat()],
        4 => {
            vec![acknowledged(5, 1), [acknowledged(4, 1), 1u32.to_be_bytes().to_vec(), tls.to_vec()].concat()]
        }
        _ => vec![],
    }
}

const SERVER_HELLO: [u8; 8] = [22, 3, 3, 0, 40, 2, 0, 0];
const UDP: (CheckKind, &str) = (CheckKind::Openvpn, "openvpn://far.test:1194");
const TCP: (CheckKind, &str) = (CheckKind::Openvpn, "openvpn://far.test:1194?transport=tcp");

#[tokio::test]
async fn an_openvpn_server_is_greeted_up_to_its_first_tls_bytes() {
    let world = world().await;
    let port = udp(|packet| openvpn(packet, &SERVER_HELLO)).await;
    let outcome = check(&world, UDP, (PORT, port)).await;
    assert_eq!(steps(&outcome), [(Layer::Dns, 0, None), (Layer::Tunnel, 0, None)]);
    let (_, fact) = tunnel(&outcome);
    assert_eq!((fact.stage, fact.datagrams_sent, fact.datagrams_received), (TunnelStage::Complete, 2, 3));
    assert_eq!(fact.replies, ["hard reset server v2", "ack v1", "control v1", "tls handshake"]);
    assert!(outcome.bytes > fact.bytes_sent + fact.bytes_received);
}

#[tokio::test]
async fn openvpn_over_tcp_is_framed_and_ends_with_the_same_bytes() {
    let world = world().await;
    let port = tcp(|mut stream| async move {
        for _ in 0..2 {
            let length = stream.read_u16().await.ok()?;
            let mut packet = vec![0; usize::from(length)];
            stream.read_exact(&mut packet).await.ok()?;
            for answer in openvpn(&packet, &SERVER_HELLO) {
                stream.write_u16(u16::try_from(answer.len()).ok()?).await.ok()?;
                stream.write_all(&answer).await.ok()?;
            }
        }
        Some(())
    })
    .await;
    let outcome = check(&world, TCP, (PORT, port)).await;
    let all = [(Layer::Dns, 0, None), (Layer::Tcp, 0, None), (Layer::Tunnel, 0, None)];
    assert_eq!(steps(&outcome), all);
    assert_eq!(tunnel(&outcome).1.stage, TunnelStage::Complete);
}

#[tokio::test]
async fn each_way_to_fail_an_openvpn_handshake_is_told_apart() {
    let world = world().await;
    let silent = udp(|_| vec![]).await;
    let outcome = check(&world, UDP, (PORT, silent)).await;
    assert_eq!(ended(&outcome), (Some(Failure::Timeout), TunnelStage::Sent));
    let opinions = outcome.observations.iter().filter(|step| step.engine != Engine::System).count();
    assert_eq!(opinions, 2, "after a failure a public resolver is asked both ways");

    let halting = udp(|packet| if packet[0] == 0x38 { openvpn(packet, &[]) } else { vec![] }).await;
    let outcome = check(&world, UDP, (PORT, halting)).await;
    assert_eq!(ended(&outcome), (Some(Failure::Timeout), TunnelStage::FirstReply));

    let foreign = udp(|_| vec![b"HTTP/1.1 400 Bad Request".to_vec()]).await;
    let outcome = check(&world, UDP, (PORT, foreign)).await;
    assert_eq!(ended(&outcome), (Some(Failure::TunnelInvalidReply), TunnelStage::Sent));

    let alert = udp(|packet| openvpn(packet, &[21, 3, 3, 0, 2, 2, 40])).await;
    let outcome = check(&world, UDP, (PORT, alert)).await;
    assert_eq!(ended(&outcome), (Some(Failure::TunnelDenied), TunnelStage::FirstReply));

    let closed = {
        let socket = UdpSocket::bind((SITE, 0)).await.expect("bound");
        socket.local_addr().expect("an address").port()
    };
    let outcome = check(&world, UDP, (PORT, closed)).await;
    assert_eq!(ended(&outcome), (Some(Failure::ConnectionRefused), TunnelStage::Sent));
}

#[tokio::test]
async fn a_connection_that_is_reset_at_the_first_packet_is_a_reset_handshake() {
    let world = world().await;
    let port = tcp(|mut stream| async move {
        stream.read_u16().await.ok()?;
        // Closing with bytes unread resets.
        Some(())
    })
    .await;
    let outcome = check(&world, TCP, (PORT, port)).await;
    assert_eq!(ended(&outcome), (Some(Failure::ConnectionReset), TunnelStage::Sent));
}

#[tokio::test]
async fn a_wireguard_server_that_is_silent_or_forged_completes_nothing() {
    let world = world().await;
    let text = format!("wireguard://far.test:51820?public_key={KEY}&client_key={KEY}");
    let what = (CheckKind::Wireguard, text.as_str());
    let silent = udp(|initiation| {
        assert_eq!((initiation.len(), initiation[0]), (148, 1));
        vec![]
    })
    .await;
    assert_eq!(
        ended(&check(&world, what, (51820, silent)).await),
        (Some(Failure::Timeout), TunnelStage::Sent)
    );
    let forged = udp(|initiation| {
        let mut response = vec![2, 0, 0, 0, 9, 9, 9, 9];
        response.extend(&initiation[4..8]);
        response.extend([5; 80]);
        vec![response]
    })
    .await;
    assert_eq!(
        ended(&check(&world, what, (51820, forged)).await),
        (Some(Failure::TunnelWrongPeer), TunnelStage::FirstReply)
    );
    let garbage = udp(|_| vec![vec![4; 40]]).await;
    assert_eq!(
        ended(&check(&world, what, (51820, garbage)).await),
        (Some(Failure::TunnelInvalidReply), TunnelStage::Sent)
    );
}

/// Serves TLS with a certificate that nobody vouches for, as relays do, and then some bytes.
async fn relay(world: &World, cells: &'static [u8]) -> u16 {
    let config = world.authority.config("relay.invalid", Certificate::SelfSigned, b"http/1.1");
    let acceptor = TlsAcceptor::from(config);
    tcp(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.ok()?;
            let mut versions = [0; 11];
            stream.read_exact(&mut versions).await.ok()?;
            assert_eq!(versions[..5], [0, 0, 7, 0, 6]);
            stream.write_all(cells).await.ok()?;
            stream.flush().await.ok()?;
            // Stays until the check has gone.
            stream.read_u8().await.ok().map(|_| ())
        }
    })
    .await
}

#[tokio::test]
async fn a_relay_is_known_by_its_versions_whatever_its_certificate() {
    let world = world().await;
    let what = (CheckKind::Tor, "tor://far.test:9001");
    let port = relay(&world, &[0, 0, 7, 0, 6, 0, 3, 0, 4, 0, 5]).await;
    let outcome = check(&world, what, (9001, port)).await;
    let all = [(Layer::Dns, 0, None), (Layer::Tcp, 0, None), (Layer::Tls, 0, None), (Layer::Tunnel, 0, None)];
    assert_eq!(steps(&outcome), all);
    assert_eq!(tunnel(&outcome).1.replies, ["versions 3 4 5"]);
    let web = relay(&world, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let outcome = check(&world, what, (9001, web)).await;
    assert_eq!(ended(&outcome).0, Some(Failure::TunnelInvalidReply));
    let named = (CheckKind::Tor, "tor://far.test:9001?fingerprint=0123456789ABCDEF0123456789ABCDEF01234567");
    let anonymous = relay(&world, &[0, 0, 7, 0, 2, 0, 4, 0, 0, 0, 0, 129, 0, 1, 0]).await;
    let outcome = check(&world, named, (9001, anonymous)).await;
    assert_eq!(ended(&outcome), (Some(Failure::TunnelInvalidReply), TunnelStage::FirstReply));
}

/// Answers a SOCKS5 greeting and a request, and leads to the site.
async fn socks(mut stream: TcpStream, method: u8, reply: u8, site: u16) -> Option<()> {
    let mut greeting = [0; 3];
    stream.read_exact(&mut greeting).await.ok()?;
    stream.write_all(&[5, method]).await.ok()?;
    let mut request = [0; 5 + 9 + 2];
    stream.read_exact(&mut request).await.ok()?;
    assert_eq!(&request[5..14], b"site.test");
    stream.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
    lead(&mut stream, site).await
}

async fn lead<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, site: u16) -> Option<()> {
    let mut far = TcpStream::connect((SITE, site)).await.ok()?;
    copy_bidirectional(stream, &mut far).await.ok().map(|_| ())
}

#[tokio::test]
async fn a_socks_proxy_passes_only_when_the_host_behind_it_proves_itself() {
    let world = world().await;
    world.https(SITE, "site.test", page("hello")).await;
    let site = world.https_port();
    let run = async |method, reply, to: u16| {
        let port = tcp(move |stream| socks(stream, method, reply, to)).await;
        check(&world, (CheckKind::Proxy, "socks5://far.test:1080?to=site.test"), (1080, port)).await
    };
    let passed = run(0, 0, site).await;
    let all = [(Layer::Dns, 0, None), (Layer::Tcp, 0, None), (Layer::Tunnel, 0, None), (Layer::Tls, 1, None)];
    assert_eq!(steps(&passed), all);
    assert_eq!(ended(&run(255, 0, site).await), (Some(Failure::TunnelDenied), TunnelStage::FirstReply));
    let refused = run(0, 5, site).await;
    assert_eq!(ended(&refused), (Some(Failure::TunnelDenied), TunnelStage::FirstReply));
    assert_eq!(tunnel(&refused).1.replies, ["no authentication", "reply 5"]);
    let elsewhere = relay(&world, b"x").await;
    let last = steps(&run(0, 0, elsewhere).await).pop();
    assert!(matches!(last, Some((Layer::Tls, 1, Some(Failure::SslUnknownAuthority)))), "{last:?}");
}

#[tokio::test]
async fn a_proxy_behind_tls_is_asked_by_connect_within_its_own_certificate() {
    let world = world().await;
    world.https(SITE, "site.test", page("hello")).await;
    let site = world.https_port();
    let run = async |answer: &'static str, certificate| {
        let acceptor = TlsAcceptor::from(world.authority.config("far.test", certificate, b"http/1.1"));
        let port = tcp(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(stream).await.ok()?;
                let mut request = [0; 64];
                let length = stream.read(&mut request).await.ok()?;
                assert!(request[..length].starts_with(b"CONNECT site.test:443 HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).await.ok()?;
                stream.flush().await.ok()?;
                lead(&mut stream, site).await
            }
        })
        .await;
        let text = "https-proxy://far.test:8443?to=site.test";
        check(&world, (CheckKind::Proxy, text), (8443, port)).await
    };
    let passed = run("HTTP/1.1 200 OK\r\n\r\n", Certificate::Good).await;
    assert_eq!(steps(&passed).last(), Some(&(Layer::Tls, 1, None)));
    assert_eq!(steps(&passed).len(), 5);
    let refused = run("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Certificate::Good).await;
    assert_eq!(ended(&refused), (Some(Failure::TunnelDenied), TunnelStage::FirstReply));
    let impostor = run("", Certificate::SelfSigned).await;
    let last = steps(&impostor).pop();
    assert!(matches!(last, Some((Layer::Tls, 0, Some(Failure::SslUnknownAuthority)))), "{last:?}");
}

#[tokio::test]
async fn an_endpoint_is_never_measured_by_another_check() {
    let world = world().await;
    let net = world.net_also(Deadlines::default(), &[]);
    let known = checks::known(&net);
    let target = Target::new("tor://far.test:9001").expect("a target");
    for kind in [CheckKind::Openvpn, CheckKind::Wireguard, CheckKind::Proxy, CheckKind::Quic] {
        let job = Job {
            target: target.clone(),
            depth: Depth::Light,
            resolver: None,
            control: None,
            diagnosis: Diagnosis::default(),
        };
        assert!(Arc::clone(&known[&kind]).run(job).await.is_err(), "{kind}");
    }
}
