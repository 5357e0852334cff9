//! DNS servers of the emulated internet, over UDP and TCP (RFC 1035); DoH uses [`reply`] as well.

use crate::country::addresses::six;
use hickory_proto::op::{Message, MessageType, Metadata, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::timeout;

const PORT: u16 = 53;
const TTL_S: u32 = 60;
const MAX_QUERY: usize = 4096;
/// An idle TCP client is hung up on after so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a server knows about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Its IPv4 address.
    Address(Ipv4Addr),
    /// Its IPv4 address, and the IPv6 address that goes with it.
    Both(Ipv4Addr),
    /// It is another name for one that has no address.
    Empty,
    /// The name does not exist.
    NoSuchName,
}

/// All names of the world.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Zone {
    /// Addresses by name.
    pub names: BTreeMap<String, Ipv4Addr>,
    /// Names that do not lead to their site.
    pub odd: BTreeMap<String, Answer>,
    /// Every address has its companion of IPv6.
    pub six: bool,
}

impl Zone {
    /// Returns what is true about a host.
    #[must_use]
    pub fn answer(&self, host: &str) -> Answer {
        let usual = || self.names.get(host).map(|address| Answer::at(*address, self.six));
        self.odd.get(host).copied().or_else(usual).unwrap_or(Answer::NoSuchName)
    }
}

impl Answer {
    /// Returns the answer that names an address, and its companion if there is one.
    #[must_use]
    pub const fn at(address: Ipv4Addr, six: bool) -> Self {
        if six { Self::Both(address) } else { Self::Address(address) }
    }
}

/// How a server finds its answers; the host comes in lower case and without the last dot.
pub type Lookup = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

/// Answers on port 53 of an address until the process ends.
///
/// # Errors
/// Passes on what the kernel says.
pub async fn serve(
    address: IpAddr,
    lookup: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> Result<(), Error> {
    let lookup: Lookup = Arc::new(lookup);
    let udp = UdpSocket::bind((address, PORT)).await?;
    let tcp = TcpListener::bind((address, PORT)).await?;
    let both = (over_udp(&udp, &lookup), over_tcp(&tcp, &lookup));
    tokio::try_join!(both.0, both.1).map(|_| ())
}

async fn over_udp(socket: &UdpSocket, lookup: &Lookup) -> Result<(), Error> {
    let mut buffer = [0; MAX_QUERY];
    loop {
        // A refused answer comes back as an error of the socket, not of the server.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        if let Some(answer) = reply(&buffer[..length], lookup) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn over_tcp(listener: &TcpListener, lookup: &Lookup) -> Result<(), Error> {
    let mut clients = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        clients.spawn(client(stream, Arc::clone(lookup)));
        while clients.try_join_next().is_some() {}
    }
}

/// Answers the queries of one connection, until the client is done or stays silent.
pub async fn client(mut stream: impl AsyncRead + AsyncWrite + Unpin, lookup: Lookup) -> Option<()> {
    loop {
        let length = timeout(PATIENCE, stream.read_u16()).await.ok()?.ok()?;
        let mut query = vec![0; usize::from(length)];
        timeout(PATIENCE, stream.read_exact(&mut query)).await.ok()?.ok()?;
        let answer = reply(&query, &lookup)?;
        let mut framed = u16::try_from(answer.len()).ok()?.to_be_bytes().to_vec();
        framed.extend_from_slice(&answer);
        timeout(PATIENCE, stream.write_all(&framed)).await.ok()?.ok()?;
    }
}

/// Returns the name that a query asks for, in lower case and without the last dot; `None` for what is no query.
#[must_use]
pub fn asked(query: &[u8]) -> Option<String> {
    let query = Message::from_vec(query).ok()?;
    let is_query = query.metadata.message_type == MessageType::Query;
    is_query.then(|| query.queries.first().map(|q| host(q.name())))?
}

fn host(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

/// Answers one query in wire form; `None` for what is no query.
#[must_use]
pub fn reply(query: &[u8], lookup: &Lookup) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    if query.metadata.message_type != MessageType::Query {
        return None;
    }
    let question = query.queries.first()?;
    let host = host(question.name());
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata = Metadata::response_from_request(&query.metadata);
    answer.metadata.recursion_available = true;
    match lookup(&host) {
        Answer::Address(address) | Answer::Both(address) if question.query_type() == RecordType::A => {
            let record = Record::from_rdata(question.name().clone(), TTL_S, RData::A(A(address)));
            answer.add_answer(record);
        }
        Answer::Both(address) if question.query_type() == RecordType::AAAA => {
            let data = RData::AAAA(AAAA(six(address)));
            answer.add_answer(Record::from_rdata(question.name().clone(), TTL_S, data));
        }
        Answer::Address(_) | Answer::Both(_) => {}
        Answer::Empty => {
            let other = Name::from_ascii(format!("web01.{host}.")).ok()?;
            let data = RData::CNAME(CNAME(other));
            answer.add_answer(Record::from_rdata(question.name().clone(), TTL_S, data));
        }
        Answer::NoSuchName => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    answer.add_query(question.clone());
    answer.edns = query.edns.clone();
    answer.to_vec().ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use hickory_proto::op::{OpCode, Query};

    /// Returns a query for an address in wire form.
    pub fn question(host: &str) -> Vec<u8> {
        query(host, RecordType::A)
    }

    fn query(host: &str, kind: RecordType) -> Vec<u8> {
        let mut query = Message::new(7, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(Name::from_ascii(host).expect("a name"), kind));
        query.to_vec().expect("encodes")
    }

    fn ask(host: &str, kind: RecordType) -> Message {
        let names = BTreeMap::from([("x.com".to_owned(), Ipv4Addr::new(151, 101, 0, 10))]);
        let zone = Zone { names, ..Zone::default() };
        let lookup: Lookup = Arc::new(move |host: &str| zone.answer(host));
        let bytes = reply(&query(host, kind), &lookup).expect("an answer");
        Message::from_vec(&bytes).expect("decodes")
    }

    #[test]
    fn a_known_name_has_an_address_and_no_other_record() {
        let answer = ask("X.com.", RecordType::A);
        assert_eq!((answer.metadata.id, answer.answers.len()), (7, 1));
        let answer = ask("x.com.", RecordType::AAAA);
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NoError, 0));
    }

    #[test]
    fn an_unknown_name_does_not_exist() {
        assert_eq!(ask("y.com.", RecordType::A).metadata.response_code, ResponseCode::NXDomain);
    }

    #[test]
    fn what_is_no_query_gets_no_answer() {
        let lookup: Lookup = Arc::new(|_: &str| Answer::NoSuchName);
        assert_eq!(reply(b"no dns", &lookup), None);
    }
}
