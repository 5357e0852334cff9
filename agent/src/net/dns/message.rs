//! DNS messages: one question out, and what a reply says.

use super::{Answer, Heard, MAX_ADDRESSES};
use faultline_model::{DnsAnswer, Failure};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::net::IpAddr;

/// What ordinary stub resolvers announce: small enough for no fragments.
const UDP_PAYLOAD: u16 = 1232;
/// No name is longer; one with escaped bytes may be, in text.
const MAX_NAME_BYTES: usize = 255;
/// A longer chain of aliases is cut.
const MAX_CNAMES: usize = 16;

/// One question.
#[derive(Clone, Debug)]
pub(super) struct Question {
    id: u16,
    query: Query,
    wants_proof: bool,
}

impl Question {
    /// Asks for a name's addresses of one family.
    pub(super) fn new(host: &str, family: RecordType, id: u16) -> Result<Self, Failure> {
        let name = Name::from_ascii(format!("{}.", host.trim_end_matches('.')));
        let name = name.map_err(|_| Failure::DnsMisbehaving)?;
        Ok(Self { id, query: Query::query(name, family), wants_proof: false })
    }

    /// Asks to be told whether the answer was verified (RFC 6840, section 5.7): for ways on which nobody reads along, since
    /// few programs ask so.
    pub(super) fn wanting_proof(self) -> Self {
        Self { wants_proof: true, ..self }
    }

    /// Asks for both families, under two different random ids.
    pub(super) fn both_families(host: &str) -> Result<[Self; 2], Failure> {
        let first: u16 = rand::random();
        let second = first ^ rand::random_range(1..=u16::MAX);
        Ok([Self::new(host, RecordType::A, first)?, Self::new(host, RecordType::AAAA, second)?])
    }

    /// Writes the question.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        let mut message = Message::new(self.id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.metadata.authentic_data = self.wants_proof;
        message.add_query(self.query.clone());
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        message.set_edns(edns);
        message.to_vec().map_err(|_| Failure::DnsMisbehaving)
    }

    /// Reads a reply to this question. `None` means that the message is no reply to it.
    pub(super) fn read(&self, bytes: &[u8]) -> Option<Reply> {
        let (id, _) = bytes.split_first_chunk::<2>()?;
        if u16::from_be_bytes(*id) != self.id {
            return None;
        }
        match Message::from_vec(bytes) {
            Ok(message) if message.metadata.message_type != MessageType::Response => None,
            // A refusal may leave the question out.
            Ok(message) if message.queries.first().is_some_and(|asked| !same(asked, &self.query)) => None,
            Ok(message) => Some(Reply::of(&message)),
            Err(_) => Some(Reply::failed(Failure::DnsMisbehaving)),
        }
    }
}

fn same(asked: &Query, query: &Query) -> bool {
    asked.name == query.name && asked.query_type == query.query_type
}

/// What a reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Addresses, or why there are none.
    pub answer: Answer,
    /// The reply did not fit and shall be asked for over TCP.
    pub is_truncated: bool,
    /// The response code, if the reply could be read.
    pub rcode: Option<u16>,
    /// The names to which the answer's aliases point, at most 16.
    pub cnames: Vec<String>,
    /// The reply says that it comes from the zone's own server.
    pub is_authoritative: bool,
    /// The reply says that the resolver verified it.
    pub is_authentic: bool,
}

impl Reply {
    /// Makes the reply that nobody could read, or that never came.
    pub(super) fn failed(failure: Failure) -> Self {
        Self {
            answer: Err(failure),
            is_truncated: false,
            rcode: None,
            cnames: vec![],
            is_authoritative: false,
            is_authentic: false,
        }
    }

    /// Makes what one question to a resolver has brought.
    pub(super) fn heard(self, host: &str) -> Heard {
        let (addresses, failure) = match self.answer {
            Ok(addresses) => (addresses, None),
            Err(failure) => (vec![], Some(failure)),
        };
        let fact = DnsAnswer {
            hostname: host.to_owned(),
            addresses,
            rcode: self.rcode,
            cnames: self.cnames,
            is_authoritative: self.is_authoritative,
            is_authentic: self.is_authentic,
            ..DnsAnswer::default()
        };
        Heard { fact, failure }
    }

    fn of(message: &Message) -> Self {
        let addresses = message.answers.iter().filter_map(|record| match &record.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        });
        let addresses: Vec<IpAddr> = addresses.take(MAX_ADDRESSES).collect();
        let answer = match message.metadata.response_code {
            ResponseCode::NoError if addresses.is_empty() => Err(Failure::DnsNoAnswer),
            ResponseCode::NoError => Ok(addresses),
            ResponseCode::NXDomain => Err(Failure::DnsNxdomain),
            ResponseCode::ServFail => Err(Failure::DnsServfail),
            ResponseCode::Refused => Err(Failure::DnsRefused),
            _ => Err(Failure::DnsMisbehaving),
        };
        let is_truncated = message.metadata.truncation && answer.is_err();
        let aliases = message.answers.iter().filter_map(|record| match &record.data {
            RData::CNAME(alias) => Some(alias.0.to_ascii().trim_end_matches('.').to_ascii_lowercase()),
            _ => None,
        });
        Self {
            answer,
            is_truncated,
            rcode: Some(message.metadata.response_code.into()),
            cnames: aliases.take(MAX_CNAMES).filter(|name| name.len() <= MAX_NAME_BYTES).collect(),
            is_authoritative: message.metadata.authoritative,
            is_authentic: message.metadata.authentic_data,
        }
    }
}

/// Reads any DNS reply about a name, as a fuzz target needs; never panics.
#[must_use]
pub fn read_reply(host: &str, bytes: &[u8]) -> Option<Reply> {
    let id = u16::from_be_bytes(*bytes.first_chunk::<2>()?);
    Question::new(host, RecordType::A, id).ok()?.read(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::rdata::{A, CNAME};
    use hickory_proto::rr::{RData, Record};
    use proptest::prelude::*;

    fn question() -> Question {
        Question::new("x.com", RecordType::A, 7).expect("a question")
    }

    fn reply(build: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Response, OpCode::Query);
        message.add_query(question().query);
        build(&mut message);
        message.to_vec().expect("a message")
    }

    fn address(last: u8) -> Record {
        let name = Name::from_ascii("x.com.").expect("a name");
        Record::from_rdata(name, 60, RData::A(A::new(104, 244, 42, last)))
    }

    #[test]
    fn each_kind_of_reply_has_its_code() {
        let code = |code| {
            let bytes = reply(|message| message.metadata.response_code = code);
            question().read(&bytes).expect("a reply").answer
        };
        assert_eq!(code(ResponseCode::NoError), Err(Failure::DnsNoAnswer));
        assert_eq!(code(ResponseCode::NXDomain), Err(Failure::DnsNxdomain));
        assert_eq!(code(ResponseCode::ServFail), Err(Failure::DnsServfail));
        assert_eq!(code(ResponseCode::Refused), Err(Failure::DnsRefused));
        assert_eq!(code(ResponseCode::NotImp), Err(Failure::DnsMisbehaving));
    }

    #[test]
    fn a_reply_with_another_id_or_question_is_not_ours() {
        let good = reply(|message| {
            message.add_answer(address(1));
        });
        assert!(question().read(&good).is_some());
        let mut wrong_id = good.clone();
        wrong_id[1] ^= 1;
        assert_eq!(question().read(&wrong_id), None);
        let other = Question::new("y.com", RecordType::A, 7).expect("a question");
        assert_eq!(other.read(&good), None);
        assert_eq!(question().read(&question().to_bytes().expect("bytes")), None, "an echoed question");
        assert_eq!(question().read(&[]), None);
    }

    #[test]
    fn many_records_and_long_chains_are_bounded() {
        let bytes = reply(|message| {
            for hop in 0..50 {
                let name = |hop| Name::from_ascii(format!("c{hop}.x.com.")).expect("a name");
                let alias = RData::CNAME(CNAME(name(hop + 1)));
                message.add_answer(Record::from_rdata(name(hop), 60, alias));
            }
            (0..=255).for_each(|last| {
                message.add_answer(address(last));
            });
        });
        let reply = question().read(&bytes).expect("a reply");
        assert_eq!(reply.answer.expect("addresses").len(), MAX_ADDRESSES);
        assert_eq!((reply.cnames.len(), reply.cnames[0].as_str()), (MAX_CNAMES, "c1.x.com"));
    }

    #[test]
    fn an_alias_to_a_name_that_does_not_exist_is_a_fact() {
        let bytes = reply(|message| {
            let alias = Name::from_ascii("DotBlocking.dummy.").expect("a name");
            let name = Name::from_ascii("x.com.").expect("a name");
            message.add_answer(Record::from_rdata(name, 60, RData::CNAME(CNAME(alias))));
            message.metadata.authoritative = true;
        });
        let heard = question().read(&bytes).expect("a reply").heard("x.com");
        assert_eq!(heard.failure, Some(Failure::DnsNoAnswer));
        assert_eq!(
            (heard.fact.cnames.as_slice(), heard.fact.rcode),
            (&["dotblocking.dummy".to_owned()][..], Some(0))
        );
        assert!(heard.fact.is_authoritative && !heard.fact.is_authentic);
    }

    #[test]
    fn a_broken_reply_is_a_misbehaving_server_not_a_crash() {
        // A name that points to itself.
        let mut looped = vec![0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1];
        looped.extend([0xc0, 12, 0, 1, 0, 1]);
        assert_eq!(question().read(&looped).expect("ours").answer, Err(Failure::DnsMisbehaving));
        let truncated = reply(|message| message.metadata.truncation = true);
        assert!(question().read(&truncated).expect("ours").is_truncated);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = read_reply("x.com", &bytes);
        }
    }
}
