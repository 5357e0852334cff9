//! Finds the server name in the first bytes of a TLS connection (RFC 8446, RFC 6066).

/// What the first bytes of a connection say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// More bytes are needed.
    Incomplete,
    /// A ClientHello that names this server, in lower case.
    Names(String),
    /// No TLS, or a ClientHello without a name.
    Nameless,
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// Reads the bytes that a client has sent so far.
#[must_use]
pub fn read(stream: &[u8]) -> Hello {
    match records(stream) {
        Some((message, complete)) => match server_name(&message) {
            Ok(Some(name)) => Hello::Names(name),
            Ok(None) => Hello::Nameless,
            Err(Short) if complete => Hello::Nameless,
            Err(Short) => Hello::Incomplete,
        },
        None => Hello::Nameless,
    }
}

/// The bytes end before the structure does.
struct Short;

/// Joins the handshake records' bodies; the flag says that the whole first message is there.
fn records(mut stream: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut message = Vec::new();
    while let [kind, rest @ ..] = stream {
        if *kind != HANDSHAKE {
            return if message.is_empty() { None } else { Some((message, true)) };
        }
        let [_, _, high, low, body @ ..] = rest else { break };
        let length = usize::from(*high) << 8 | usize::from(*low);
        message.extend_from_slice(&body[..length.min(body.len())]);
        let Some(next) = body.get(length..) else { break };
        stream = next;
    }
    let complete = match message.as_slice() {
        [kind, ..] if *kind != CLIENT_HELLO => return None,
        [_, a, b, c, body @ ..] => {
            body.len() >= usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c)
        }
        _ => false,
    };
    Some((message, complete))
}

fn server_name(message: &[u8]) -> Result<Option<String>, Short> {
    let mut cursor = Cursor(message);
    // Type and length, version, random.
    cursor.take(4 + 2 + 32)?;
    let session = cursor.u8()?;
    cursor.take(session.into())?;
    let suites = cursor.u16()?;
    cursor.take(suites.into())?;
    let compressions = cursor.u8()?;
    cursor.take(compressions.into())?;
    let total = usize::from(cursor.u16()?);
    // The extensions may be cut off; the name is often among those that are there.
    let is_cut = cursor.0.len() < total;
    let mut extensions = Cursor(&cursor.0[..total.min(cursor.0.len())]);
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let length = extensions.u16()?;
        let body = extensions.take(length.into())?;
        if kind == SERVER_NAME {
            return host_name(body);
        }
    }
    if is_cut { Err(Short) } else { Ok(None) }
}

fn host_name(body: &[u8]) -> Result<Option<String>, Short> {
    let mut cursor = Cursor(body);
    cursor.u16()?;
    if cursor.u8()? != HOST_NAME {
        return Ok(None);
    }
    let length = cursor.u16()?;
    let name = cursor.take(length.into())?;
    Ok(std::str::from_utf8(name).ok().map(str::to_ascii_lowercase))
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Short> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Short> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Result<u16, Short> {
        self.take(2).map(|bytes| u16::from(bytes[0]) << 8 | u16::from(bytes[1]))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::Arc;

    /// Returns the bytes that a real client sends first.
    pub fn client_hello(host: &str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has suites")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let name = host.to_owned().try_into().expect("a host name");
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).expect("a vector takes everything");
        bytes
    }

    #[test]
    fn the_name_of_a_real_hello_is_found() {
        let hello = client_hello("WWW.example.com");
        assert!(hello.len() > 1300, "the hello carries a post-quantum key share and spans two segments");
        assert_eq!(read(&hello), Hello::Names("www.example.com".into()));
    }

    #[test]
    fn every_beginning_of_a_hello_is_incomplete_or_names_it() {
        let hello = client_hello("www.example.com");
        let mut named = false;
        for length in 1..hello.len() {
            match read(&hello[..length]) {
                Hello::Incomplete => assert!(!named, "the name was there before byte {length}"),
                Hello::Names(name) => {
                    named = true;
                    assert_eq!(name, "www.example.com");
                }
                Hello::Nameless => panic!("{length} bytes of a hello were given up"),
            }
        }
    }

    #[test]
    fn a_hello_cut_into_many_records_is_read() {
        let hello = client_hello("x.com");
        let mut cut = Vec::new();
        for piece in hello[5..].chunks(64) {
            cut.extend_from_slice(&[HANDSHAKE, 3, 1, 0, u8::try_from(piece.len()).expect("small")]);
            cut.extend_from_slice(piece);
        }
        assert_eq!(read(&cut), Hello::Names("x.com".into()));
    }

    #[test]
    fn other_protocols_are_nameless() {
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), Hello::Nameless);
        assert_eq!(read(&[]), Hello::Incomplete);
        assert_eq!(read(&[22, 3, 1, 0, 4, 2, 0, 0, 0]), Hello::Nameless, "a ServerHello");
    }
}
