//! A DNS server whose answers a test chooses.

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

/// What a name gives.
#[derive(Clone, Debug)]
pub enum Answer {
    Addresses(Vec<IpAddr>),
    Code(ResponseCode),
    Silence,
    /// A reply to somebody else's question.
    WrongId,
    /// Cut over UDP, whole over TCP.
    OverTcp(Vec<IpAddr>),
    /// Public when asked first, private afterwards.
    Rebinding(IpAddr, IpAddr),
    /// The first query for it is lost.
    LostOnce(IpAddr),
    /// A forged answer wins the race over UDP; the true one comes behind it, and a stranger's reply behind that.
    Raced(IpAddr, IpAddr),
    /// Leads through these names and ends without an address.
    Aliases(Vec<String>),
}

/// Names and their answers; others do not exist.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    names: Arc<Mutex<HashMap<String, Answer>>>,
    asked: Arc<Mutex<HashMap<(String, RecordType), u32>>>,
}

impl Zone {
    pub fn set(&self, name: &str, answer: Answer) {
        self.names.lock().expect("no panic").insert(format!("{name}."), answer);
    }

    pub fn point(&self, name: &str, address: &str) {
        self.set(name, Answer::Addresses(vec![address.parse().expect("an address")]));
    }

    /// Answers a message; `None` is silence.
    pub fn reply(&self, bytes: &[u8], is_udp: bool) -> Option<Vec<u8>> {
        let query = Message::from_vec(bytes).expect("a query");
        let question = query.queries.first().expect("a question").clone();
        let name = question.name.to_ascii();
        let answer = self.names.lock().expect("no panic").get(&name).cloned();
        let answer = answer.unwrap_or(Answer::Code(ResponseCode::NXDomain));
        let times = {
            let mut asked = self.asked.lock().expect("no panic");
            let times = asked.entry((name, question.query_type)).or_default();
            *times += 1;
            *times
        };
        let mut reply = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
        reply.add_query(question.clone());
        let mut add = |addresses: &[IpAddr]| {
            for address in addresses {
                let data = match (address, question.query_type) {
                    (IpAddr::V4(v4), RecordType::A) => RData::A(A(*v4)),
                    (IpAddr::V6(v6), RecordType::AAAA) => RData::AAAA(AAAA(*v6)),
                    _ => continue,
                };
                reply.add_answer(Record::from_rdata(question.name.clone(), 60, data));
            }
        };
        match answer {
            Answer::Addresses(addresses) => add(&addresses),
            Answer::OverTcp(addresses) if !is_udp => add(&addresses),
            Answer::OverTcp(_) => reply.metadata.truncation = true,
            Answer::Rebinding(first, later) => add(&[if times == 1 { first } else { later }]),
            Answer::Raced(forged, truth) => add(&[if is_udp { forged } else { truth }]),
            Answer::Aliases(names) => {
                for name in names {
                    let alias = RData::CNAME(CNAME(Name::from_ascii(name).expect("a name")));
                    reply.add_answer(Record::from_rdata(question.name.clone(), 60, alias));
                }
            }
            Answer::LostOnce(_) if times == 1 => return None,
            Answer::LostOnce(address) => add(&[address]),
            Answer::Code(code) => reply.metadata.response_code = code,
            Answer::WrongId => reply.metadata.id = query.metadata.id.wrapping_add(1),
            Answer::Silence => return None,
        }
        Some(reply.to_vec().expect("a message"))
    }

    /// Returns what comes behind the first reply over UDP.
    fn behind(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let query = Message::from_vec(bytes).expect("a query");
        let name = query.queries.first().expect("a question").name.to_ascii();
        let answer = self.names.lock().expect("no panic").get(&name).cloned();
        if !matches!(answer, Some(Answer::Raced(..))) {
            return vec![];
        }
        let truth = self.reply(bytes, false).expect("a reply");
        let mut foreign = truth.clone();
        foreign[0] ^= 0xff;
        vec![truth, foreign]
    }

    /// Serves the zone on both sockets until the test ends.
    pub fn serve(&self, udp: UdpSocket, tcp: TcpListener) {
        let zone = self.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0; 1500];
            while let Ok((size, peer)) = udp.recv_from(&mut buffer).await {
                if let Some(reply) = zone.reply(&buffer[..size], true) {
                    let _ = udp.send_to(&reply, peer).await;
                }
                for reply in zone.behind(&buffer[..size]) {
                    let _ = udp.send_to(&reply, peer).await;
                }
            }
        });
        let zone = self.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                zone.answer_stream(&mut stream).await;
            }
        });
    }

    /// Answers one query on a stream.
    pub async fn answer_stream<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S) {
        let mut length = [0; 2];
        if stream.read_exact(&mut length).await.is_err() {
            return;
        }
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query).await.expect("a query");
        let reply = self.reply(&query, false).unwrap_or_default();
        let length = u16::try_from(reply.len()).expect("short").to_be_bytes();
        stream.write_all(&[&length[..], &reply].concat()).await.expect("sent");
        let _ = stream.flush().await;
        let _ = stream.read(&mut [0; 16]).await;
    }
}
