//! What a middlebox remembers of TCP connections: the first bytes, until they name a server.
//!
//! A connection is watched from its SYN on. Its client's bytes are put in order, whatever the segments' order
//! and however often they come, until the ClientHello names a server, turns out to name none, or is longer than
//! [`MAX_HELLO`]. From then on nothing is kept but the conclusion.

use super::hello::{self, Hello};
use super::packet::{FIN, RST, SYN, Segment};
use super::request;
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// A ClientHello may span so many bytes.
const MAX_HELLO: usize = 16 * 1024;
/// So many connections are remembered; beyond it the oldest ones are forgotten.
const MAX_FLOWS: usize = 65_536;
const IDLE: Duration = Duration::from_secs(120);

/// A connection, or an exchange of datagrams, from the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// It goes over IPv6.
    pub six: bool,
    /// The client.
    pub client: (Ipv4Addr, u16),
    /// The server.
    pub server: (Ipv4Addr, u16),
}

#[derive(Debug)]
enum State {
    /// The bytes so far, and those that came too early.
    Listening { next: u32, stream: Vec<u8>, early: BTreeMap<u32, Vec<u8>> },
    /// The connection is of no interest any more.
    Passing,
    /// Its packets vanish.
    Doomed,
}

#[derive(Debug)]
struct Flow {
    state: State,
    /// The server's name, once it is known.
    name: Option<String>,
    seen: Instant,
}

/// What the first bytes of a connection name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The server.
    pub name: String,
    /// It stands in an HTTP request, not in a ClientHello.
    pub in_clear: bool,
}

/// The connections that a middlebox knows.
#[derive(Debug, Default)]
pub struct Flows(HashMap<FlowKey, Flow>);

impl Flows {
    /// Takes note of a client's segment; returns the server's name when this segment completes it.
    pub fn client_segment(&mut self, key: FlowKey, segment: &Segment<'_>, now: Instant) -> Option<Named> {
        if segment.flags & SYN != 0 {
            self.make_room(now);
            let next = segment.sequence.wrapping_add(1);
            let state = State::Listening { next, stream: Vec::new(), early: BTreeMap::new() };
            self.0.insert(key, Flow { state, name: None, seen: now });
            return None;
        }
        let flow = self.0.get_mut(&key)?;
        flow.seen = now;
        let (heard, in_clear) = listen(&mut flow.state, segment);
        let ends = segment.flags & (FIN | RST) != 0 && !matches!(flow.state, State::Doomed);
        match heard {
            Hello::Incomplete => {}
            Hello::Nameless => flow.state = State::Passing,
            Hello::Names(name) => {
                flow.state = State::Passing;
                flow.name = Some(name.clone());
                return Some(Named { name, in_clear });
            }
        }
        if ends {
            self.0.remove(&key);
        }
        None
    }

    /// Lets a connection's packets vanish from now on.
    pub fn doom(&mut self, key: FlowKey, now: Instant) {
        self.0.insert(key, Flow { state: State::Doomed, name: None, seen: now });
    }

    /// Says whether a connection's packets vanish.
    #[must_use]
    pub fn is_doomed(&self, key: &FlowKey) -> bool {
        self.0.get(key).is_some_and(|flow| matches!(flow.state, State::Doomed))
    }

    /// Returns the server's name, once the connection's first bytes have told it.
    #[must_use]
    pub fn name(&self, key: &FlowKey) -> Option<&str> {
        self.0.get(key)?.name.as_deref()
    }

    fn make_room(&mut self, now: Instant) {
        if self.0.len() < MAX_FLOWS {
            return;
        }
        self.0.retain(|_, flow| now.duration_since(flow.seen) < IDLE);
        if self.0.len() >= MAX_FLOWS {
            self.0.clear();
        }
    }
}

/// Reads on; the flag says that the bytes are no TLS.
fn listen(state: &mut State, segment: &Segment<'_>) -> (Hello, bool) {
    let State::Listening { next, stream, early } = state else { return (Hello::Incomplete, false) };
    if segment.payload.is_empty() {
        return (Hello::Incomplete, false);
    }
    let ahead = segment.sequence.wrapping_sub(*next);
    if ahead < u32::MAX / 2 && ahead as usize + segment.payload.len() > MAX_HELLO {
        return (Hello::Nameless, false);
    }
    early.insert(segment.sequence, segment.payload.to_vec());
    while let Some(piece) = take_next(early, *next) {
        *next = next.wrapping_add(u32::try_from(piece.len()).unwrap_or(0));
        stream.extend_from_slice(&piece);
    }
    let Some(first) = stream.first() else { return (Hello::Incomplete, false) };
    let in_clear = first.is_ascii_uppercase();
    let heard = if in_clear { request::read(stream) } else { hello::read(stream) };
    match heard {
        Hello::Incomplete if stream.len() >= MAX_HELLO => (Hello::Nameless, in_clear),
        other => (other, in_clear),
    }
}

/// Takes out what continues the stream at `next`; what lies wholly before it is forgotten.
fn take_next(early: &mut BTreeMap<u32, Vec<u8>>, next: u32) -> Option<Vec<u8>> {
    loop {
        let start = early.keys().copied().find(|start| next.wrapping_sub(*start) < u32::MAX / 2)?;
        let mut piece = early.remove(&start)?;
        let known = next.wrapping_sub(start) as usize;
        if known < piece.len() {
            return Some(piece.split_off(known));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hello::tests::client_hello;
    use super::super::packet::ACK;
    use super::*;

    const KEY: FlowKey = FlowKey {
        six: false,
        client: (Ipv4Addr::new(1, 1, 1, 1), 40000),
        server: (Ipv4Addr::new(2, 2, 2, 2), 443),
    };

    fn segment(sequence: u32, flags: u8, payload: &[u8]) -> Segment<'_> {
        Segment { source: 40000, destination: 443, sequence, acknowledged: 1, flags, payload }
    }

    /// Feeds pieces `(offset, bytes)` of a connection whose first number is close to the wrap.
    fn feed(pieces: &[(usize, &[u8])]) -> Vec<Option<Named>> {
        let (mut flows, now, first) = (Flows::default(), Instant::now(), u32::MAX - 200);
        flows.client_segment(KEY, &segment(first.wrapping_sub(1), SYN, &[]), now);
        let at = |offset: usize| first.wrapping_add(u32::try_from(offset).expect("small"));
        pieces.iter().map(|(o, bytes)| flows.client_segment(KEY, &segment(at(*o), ACK, bytes), now)).collect()
    }

    fn named(name: &str) -> Option<Named> {
        Some(Named { name: name.to_owned(), in_clear: false })
    }

    #[test]
    fn a_request_names_its_host_and_is_remembered_by_it() {
        let request = b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n";
        assert_eq!(feed(&[(0, request)]), [Some(Named { name: "x.com".to_owned(), in_clear: true })]);
        let (mut flows, now) = (Flows::default(), Instant::now());
        flows.client_segment(KEY, &segment(0, SYN, &[]), now);
        flows.client_segment(KEY, &segment(1, ACK, request), now);
        assert_eq!(flows.name(&KEY), Some("x.com"));
    }

    #[test]
    fn a_hello_in_two_segments_is_named_by_the_second() {
        let hello = client_hello("x.com");
        let half = 60;
        let heard = feed(&[(0, &hello[..half]), (half, &hello[half..])]);
        assert_eq!(heard, [None, named("x.com")]);
    }

    #[test]
    fn order_and_repetition_of_segments_do_not_matter() {
        let hello = client_hello("x.com");
        let last = hello.len() - 1;
        let heard =
            feed(&[(40, &hello[40..last]), (0, &hello[..20]), (0, &hello[..50]), (last, &hello[last..])]);
        assert_eq!(heard.iter().flatten().count(), 1);
    }

    #[test]
    fn a_connection_is_named_once_and_unknown_ones_never() {
        let hello = client_hello("x.com");
        assert_eq!(feed(&[(0, &hello), (0, &hello)]), [named("x.com"), None]);
        let mut flows = Flows::default();
        assert_eq!(flows.client_segment(KEY, &segment(1, ACK, &hello), Instant::now()), None);
    }

    #[test]
    fn a_doomed_connection_stays_so_until_its_ports_are_used_again() {
        let (mut flows, now) = (Flows::default(), Instant::now());
        flows.doom(KEY, now);
        flows.client_segment(KEY, &segment(5, FIN | ACK, &[]), now);
        assert!(flows.is_doomed(&KEY));
        flows.client_segment(KEY, &segment(5, SYN, &[]), now);
        assert!(!flows.is_doomed(&KEY));
    }

    #[test]
    fn endless_first_bytes_are_given_up() {
        let (mut flows, now) = (Flows::default(), Instant::now());
        flows.client_segment(KEY, &segment(0, SYN, &[]), now);
        flows.client_segment(KEY, &segment(1 + 20_000, ACK, b"far ahead"), now);
        assert!(matches!(flows.0[&KEY].state, State::Passing));
    }
}
