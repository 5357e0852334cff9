//! A small DNS client; for tests and for people in a country's shell.

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

const PORT: u16 = 53;
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
    resolver: Option<Ipv4Addr>,
    host: &str,
    times: u32,
    patience: Duration,
) -> Result<Asked, Error> {
    let resolver = resolver.map_or_else(system_resolver, |address| Ok(IpAddr::V4(address)))?;
    let mut questions = JoinSet::new();
    let mut spacing = interval(SPACING);
    for _ in 0..times {
        spacing.tick().await;
        let query = query(host)?;
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

/// Resolves a host as a stub resolver does.
///
/// # Errors
/// `NotFound` when there is no such name, `TimedOut` when nobody answers.
pub async fn resolve(resolver: Option<Ipv4Addr>, host: &str, patience: Duration) -> Result<Ipv4Addr, Error> {
    let resolver = resolver.map_or_else(system_resolver, |address| Ok(IpAddr::V4(address)))?;
    let answer = exchange(resolver, &query(host)?, ATTEMPTS, patience / ATTEMPTS).await?;
    if answer.metadata.response_code == ResponseCode::NXDomain {
        return Err(ErrorKind::NotFound.into());
    }
    addresses(&answer).next().ok_or_else(|| Error::other("no address"))
}

fn query(host: &str) -> Result<Vec<u8>, Error> {
    let name = Name::from_ascii(format!("{host}.")).map_err(Error::other)?;
    let mut query = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name, RecordType::A));
    query.to_vec().map_err(Error::other)
}

async fn exchange(resolver: IpAddr, query: &[u8], attempts: u32, each: Duration) -> Result<Message, Error> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect((resolver, PORT)).await?;
    let mut answer = [0; 4096];
    for _ in 0..attempts {
        socket.send(query).await?;
        if let Ok(received) = timeout(each, socket.recv(&mut answer)).await {
            return Message::from_vec(&answer[..received?]).map_err(Error::other);
        }
    }
    Err(ErrorKind::TimedOut.into())
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
