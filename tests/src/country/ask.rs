//! A small DNS client; for tests and for people in a country's shell.

use super::visit;
use super::world::quic;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout, timeout_at};

const PORT: u16 = 53;
const TLS_PORT: u16 = 853;
const QUIC_PORT: u16 = 443;
/// Stub resolvers ask so often before they give up, since datagrams get lost.
const ATTEMPTS: u32 = 3;

/// What came of many questions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Questions sent.
    pub asked: u32,
    /// Answers received.
    pub answered: u32,
    /// The addresses in them.
    pub addresses: BTreeSet<Ipv4Addr>,
}

/// Questions of one call are so far apart: a burst would overflow a router, and that loss is not the line's.
const SPACING: Duration = Duration::from_millis(1);

/// Asks many times without waiting for answers and never again, so that what is lost can be counted.
///
/// # Errors
/// Fails when no question can be sent.
pub async fn ask(
    resolver: Option<IpAddr>,
    host: &str,
    times: u32,
    patience: Duration,
) -> Result<Asked, Error> {
    let resolver = resolver.map_or_else(system_resolver, Ok)?;
    let mut questions = JoinSet::new();
    let mut spacing = interval(SPACING);
    for _ in 0..times {
        spacing.tick().await;
        let query = query(host, RecordType::A)?;
        questions.spawn(async move { exchange(resolver, &query, 1, patience).await });
    }
    let mut asked = Asked { asked: times, ..Asked::default() };
    while let Some(answer) = questions.join_next().await {
        if let Ok(Ok(answer)) = answer {
            asked.answered += 1;
            asked.addresses.extend(addresses(&answer));
        }
    }
    Ok(asked)
}

/// Resolves a host as a stub resolver does, to an address of the family that is wanted.
///
/// # Errors
/// `NotFound` when there is no such name, `TimedOut` when nobody answers.
pub async fn resolve(
    resolver: Option<IpAddr>,
    host: &str,
    six: bool,
    patience: Duration,
) -> Result<IpAddr, Error> {
    let resolver = resolver.map_or_else(system_resolver, Ok)?;
    let kind = if six { RecordType::AAAA } else { RecordType::A };
    let answer = exchange(resolver, &query(host, kind)?, ATTEMPTS, patience / ATTEMPTS).await?;
    if answer.metadata.response_code == ResponseCode::NXDomain {
        return Err(ErrorKind::NotFound.into());
    }
    any_addresses(&answer).next().ok_or_else(|| Error::other("no address"))
}

/// Asks once and lists every answer that comes until the deadline, in the order of their arrival.
///
/// # Errors
/// Fails when no question can be sent.
pub async fn race(resolver: Option<IpAddr>, host: &str, patience: Duration) -> Result<Vec<String>, Error> {
    let resolver = resolver.map_or_else(system_resolver, Ok)?;
    let socket = socket(resolver).await?;
    socket.send(&query(host, RecordType::A)?).await?;
    let mut answers = Vec::new();
    let mut buffer = [0; 4096];
    let deadline = Instant::now() + patience;
    while let Ok(received) = timeout_at(deadline, socket.recv(&mut buffer)).await {
        let answer = Message::from_vec(&buffer[..received?]).map_err(Error::other)?;
        answers.push(in_words(&answer));
    }
    Ok(answers)
}

/// Asks a resolver over TLS (RFC 7858).
///
/// # Errors
/// Says what failed.
pub async fn over_tls(
    resolver: Option<IpAddr>,
    (name, roots): (&str, &Path),
    host: &str,
    patience: Duration,
) -> Result<String, Error> {
    let resolver = resolver.map_or_else(system_resolver, Ok)?;
    let connector = visit::connector(roots)?;
    let server = ServerName::try_from(name.to_owned()).map_err(Error::other)?;
    let query = query(host, RecordType::A)?;
    let asking = async {
        let tcp = TcpStream::connect((resolver, TLS_PORT)).await?;
        let mut tls = connector.connect(server, tcp).await?;
        tls.write_u16(u16::try_from(query.len()).map_err(Error::other)?).await?;
        tls.write_all(&query).await?;
        let mut answer = vec![0; tls.read_u16().await?.into()];
        tls.read_exact(&mut answer).await?;
        Ok(in_words(&Message::from_vec(&answer).map_err(Error::other)?))
    };
    timeout(patience, asking).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// Says whether a host answers the first datagram of a QUIC client: `answer`, `timeout` or the error.
///
/// # Errors
/// Fails when the host cannot be resolved.
pub async fn greet(resolver: Option<IpAddr>, host: &str, patience: Duration) -> Result<String, Error> {
    let address = resolve(resolver, host, false, patience).await?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect((address, QUIC_PORT)).await?;
    let id: [u8; 8] = rand::random();
    let mut buffer = [0; 2048];
    for _ in 0..ATTEMPTS {
        socket.send(&quic::greeting(id)).await?;
        match timeout(patience / ATTEMPTS, socket.recv(&mut buffer)).await {
            Ok(Ok(length)) if quic::is_answer(&buffer[..length], id) => return Ok("answer".to_owned()),
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(error)) => return Ok(error.to_string()),
        }
    }
    Ok("timeout".to_owned())
}

/// Tells an answer as its addresses, or as why there are none.
fn in_words(answer: &Message) -> String {
    let addresses: Vec<String> = any_addresses(answer).map(|address| address.to_string()).collect();
    match answer.metadata.response_code {
        ResponseCode::NoError => addresses.join(" "),
        other => other.to_string(),
    }
}

fn query(host: &str, kind: RecordType) -> Result<Vec<u8>, Error> {
    let name = Name::from_ascii(format!("{host}.")).map_err(Error::other)?;
    let mut query = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name, kind));
    query.to_vec().map_err(Error::other)
}

async fn exchange(resolver: IpAddr, query: &[u8], attempts: u32, each: Duration) -> Result<Message, Error> {
    let socket = socket(resolver).await?;
    let mut answer = [0; 4096];
    for _ in 0..attempts {
        socket.send(query).await?;
        if let Ok(received) = timeout(each, socket.recv(&mut answer)).await {
            return Message::from_vec(&answer[..received?]).map_err(Error::other);
        }
    }
    Err(ErrorKind::TimedOut.into())
}

async fn socket(resolver: IpAddr) -> Result<UdpSocket, Error> {
    let any: IpAddr = match resolver {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect((resolver, PORT)).await?;
    Ok(socket)
}

fn any_addresses(answer: &Message) -> impl Iterator<Item = IpAddr> {
    answer.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    })
}

fn addresses(answer: &Message) -> impl Iterator<Item = Ipv4Addr> {
    answer.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(address.0),
        _ => None,
    })
}

fn system_resolver() -> Result<IpAddr, Error> {
    let text = std::fs::read_to_string("/etc/resolv.conf")?;
    let first = text.lines().find_map(|line| line.strip_prefix("nameserver ")?.trim().parse().ok());
    first.ok_or_else(|| Error::other("no resolver is configured"))
}
