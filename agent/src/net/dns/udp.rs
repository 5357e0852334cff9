//! One resolver over UDP, both families on one socket, and over TCP where a reply did not fit.
//!
//! The first reply to a question counts, as it does for every stub resolver. Whoever forges answers on the way sends
//! them beside the true ones, so what comes afterwards is a fact of its own: a patient exchange listens on for it.

use super::message::{Question, Reply};
use super::stream::exchange as stream_exchange;
use super::{Answer, Heard, join_families};
use crate::net::{Purpose, Session, failure_of_io};
use faultline_model::{DnsAnswer, Failure, LaterReply};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

/// A question is asked again after these times: one lost packet is no failure.
const RETRIES: [Duration; 2] = [Duration::from_millis(1000), Duration::from_millis(2500)];
/// Once IPv4 is answered, IPv6 gets this much longer.
const SECOND_FAMILY: Duration = Duration::from_millis(300);
const MAX_REPLY_BYTES: usize = 4096;
/// More later replies are only passed over.
const MAX_LATER: usize = 8;
/// Whoever floods the socket does not keep the check from its deadline.
const MAX_DATAGRAMS: u32 = 1000;

/// How long an exchange listens.
#[derive(Clone, Debug)]
pub struct Patience {
    /// For the first replies.
    pub deadline: Duration,
    /// After the last of them, for replies that come late or twice.
    pub linger: Duration,
    /// Ends the exchange at once; what was heard by then counts.
    pub cut: CancellationToken,
}

impl Patience {
    /// Listens for the first replies only.
    #[must_use]
    pub fn brief(deadline: Duration) -> Self {
        Self { deadline, linger: Duration::ZERO, cut: CancellationToken::new() }
    }
}

/// Asks a resolver for a name's addresses.
pub async fn resolve(
    session: &Session,
    server: SocketAddr,
    purpose: Purpose,
    host: &str,
    patience: &Patience,
) -> Heard {
    let asked = ask(session, server, purpose, host, patience).await;
    asked.unwrap_or_else(|failure| Reply::failed(failure).heard(host))
}

async fn ask(
    session: &Session,
    server: SocketAddr,
    purpose: Purpose,
    host: &str,
    patience: &Patience,
) -> Result<Heard, Failure> {
    let begin = Instant::now();
    let socket = session.udp(server, purpose).await?;
    let questions = Question::both_families(host)?;
    let mut exchange = Exchange { session, socket, questions, heard: Replies::default(), sent: 0 };
    exchange.run(begin, patience).await?;
    let Exchange { questions, mut heard, sent, .. } = exchange;
    for (question, first) in questions.iter().zip(&mut heard.first) {
        if let Some((_, reply)) = first.as_mut().filter(|(_, reply)| reply.is_truncated) {
            *reply = over_tcp(session, server, purpose, question, begin + patience.deadline).await;
        }
    }
    Ok(heard.joined(host, sent))
}

/// What came, and when.
#[derive(Debug, Default)]
struct Replies {
    /// The first reply about each family.
    first: [Option<(Instant, Reply)>; 2],
    later: Vec<LaterReply>,
    foreign: u32,
}

impl Replies {
    fn take(&mut self, questions: &[Question; 2], bytes: &[u8]) {
        for (question, first) in questions.iter().zip(&mut self.first) {
            let Some(reply) = question.read(bytes) else { continue };
            match first {
                None => *first = Some((Instant::now(), reply)),
                Some((at, _)) if self.later.len() < MAX_LATER => {
                    let delay_ms = u32::try_from(at.elapsed().as_millis()).unwrap_or(u32::MAX);
                    let Heard { fact, failure } = reply.heard("");
                    self.later.push(LaterReply { addresses: fact.addresses, failure, delay_ms });
                }
                Some(_) => {}
            }
            return;
        }
        self.foreign = self.foreign.saturating_add(1);
    }

    fn is_complete(&self) -> bool {
        self.first.iter().all(Option::is_some)
    }

    /// Returns until when to listen, given what has come so far.
    fn listen_until(&self, begin: Instant, patience: &Patience) -> Instant {
        let end = begin + patience.deadline;
        let at = |index: usize| self.first[index].as_ref().map(|(at, _)| *at);
        match (at(0), at(1)) {
            (Some(v4), Some(v6)) => v4.max(v6) + patience.linger,
            (Some(v4), None) => (v4 + SECOND_FAMILY.max(patience.linger)).min(end.max(v4 + patience.linger)),
            _ => end,
        }
    }

    /// Makes one answer of both families'.
    fn joined(self, host: &str, questions_sent: u32) -> Heard {
        // Somebody answered, but never our question.
        let silence = if self.foreign > 0 { Failure::DnsMisbehaving } else { Failure::Timeout };
        let [v4, v6] = self.first.map(|first| first.map(|(_, reply)| reply));
        let answer = |reply: &Option<Reply>| -> Answer {
            reply.as_ref().map_or_else(|| Err(silence.clone()), |reply| reply.answer.clone())
        };
        let joined = join_families(answer(&v4), answer(&v6));
        let decisive = v4.or(v6).unwrap_or_else(|| Reply::failed(silence));
        let Heard { fact, failure } = Reply { answer: joined, ..decisive }.heard(host);
        let (later, foreign_replies) = (self.later, self.foreign);
        Heard { fact: DnsAnswer { later, foreign_replies, questions_sent, ..fact }, failure }
    }
}

struct Exchange<'a> {
    session: &'a Session,
    socket: UdpSocket,
    questions: [Question; 2],
    heard: Replies,
    sent: u32,
}

impl Exchange<'_> {
    /// Sends, sends again and listens as long as patience lasts.
    async fn run(&mut self, begin: Instant, patience: &Patience) -> Result<(), Failure> {
        let end = begin + patience.deadline;
        let mut retries = RETRIES.iter().map(|wait| begin + *wait).filter(|at| *at < end);
        let mut retry = retries.next();
        self.ask().await?;
        let mut buffer = vec![0; MAX_REPLY_BYTES];
        for _ in 0..MAX_DATAGRAMS {
            let is_complete = self.heard.is_complete();
            let until = self.heard.listen_until(begin, patience);
            if is_complete && patience.linger.is_zero() {
                break;
            }
            tokio::select! {
                biased;
                () = patience.cut.cancelled() => break,
                () = sleep_until(until) => break,
                received = self.socket.recv(&mut buffer) => match received {
                    Ok(bytes) => {
                        self.session.meter.add(bytes);
                        self.heard.take(&self.questions, &buffer[..bytes]);
                    }
                    // What was heard stays heard, whatever the network says afterwards.
                    Err(_) if self.heard.first[0].is_some() => break,
                    Err(error) => return Err(failure_of_io(&error)),
                },
                () = sleep_until(retry.unwrap_or(end)), if retry.is_some() && !is_complete => {
                    retry = retries.next();
                    self.ask().await?;
                }
            }
        }
        Ok(())
    }

    async fn ask(&mut self) -> Result<(), Failure> {
        for (question, first) in self.questions.iter().zip(&self.heard.first) {
            if first.is_none() {
                let bytes = question.to_bytes()?;
                self.session.meter.add(bytes.len());
                self.socket.send(&bytes).await.map_err(|e| failure_of_io(&e))?;
                self.sent += 1;
            }
        }
        Ok(())
    }
}

/// Asks again over TCP (RFC 7766).
async fn over_tcp(
    session: &Session,
    server: SocketAddr,
    purpose: Purpose,
    question: &Question,
    end: Instant,
) -> Reply {
    let exchange = async {
        let mut stream = session.connect(server, purpose).await?;
        stream_exchange(&mut stream, question).await
    };
    timeout_at(end, exchange).await.unwrap_or(Err(Failure::Timeout)).unwrap_or_else(Reply::failed)
}
