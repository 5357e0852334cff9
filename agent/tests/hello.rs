//! What the hello that measured TLS sends has in common with a browser's.

mod support;

use faultline_model::Depth;
use support::world::{SITE, World};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// What one TCP segment holds on an ordinary line.
const SEGMENT_BYTES: usize = 1460;
const X25519_MLKEM768: u16 = 0x11ec;
const SUPPORTED_GROUPS: u16 = 10;
const ALPN: u16 = 16;
const KEY_SHARE: u16 = 51;

fn number(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

/// Reads one hello from whoever comes first.
async fn hello(listener: TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.expect("a visitor");
    let mut bytes = vec![];
    while bytes.len() < 5 || bytes.len() < 5 + usize::from(number(&bytes[3..5])) {
        assert_ne!(stream.read_buf(&mut bytes).await.expect("a hello"), 0, "the hello ends early");
    }
    bytes
}

/// Returns the hello's extensions, type and content.
fn extensions(hello: &[u8]) -> Vec<(u16, Vec<u8>)> {
    // Record header, handshake header, version, random.
    let mut rest = &hello[5 + 4 + 2 + 32..];
    rest = &rest[1 + usize::from(rest[0])..];
    rest = &rest[2 + usize::from(number(rest))..];
    rest = &rest[1 + usize::from(rest[0]) + 2..];
    let mut all = vec![];
    while !rest.is_empty() {
        let length = usize::from(number(&rest[2..]));
        all.push((number(rest), rest[4..4 + length].to_vec()));
        rest = &rest[4 + length..];
    }
    all
}

#[tokio::test]
async fn the_hello_spans_two_segments_and_offers_what_browsers_offer_first() {
    let world = World::new().await;
    world.name("site.test", SITE);
    let listener = TcpListener::bind((SITE, world.https_port())).await.expect("bound");
    let captured = tokio::spawn(hello(listener));
    world.check("https://site.test/", Depth::Light).await;
    let hello = captured.await.expect("a hello");
    assert!(hello.len() > SEGMENT_BYTES, "{} bytes", hello.len());
    let extensions = extensions(&hello);
    let content = |wanted: u16| {
        let found = extensions.iter().find(|(kind, _)| *kind == wanted);
        found.map(|(_, content)| content.clone()).expect("the extension")
    };
    assert_eq!(number(&content(SUPPORTED_GROUPS)[2..]), X25519_MLKEM768);
    assert_eq!(number(&content(KEY_SHARE)[2..]), X25519_MLKEM768);
    assert_eq!(content(ALPN), b"\x00\x0c\x02h2\x08http/1.1");
}
