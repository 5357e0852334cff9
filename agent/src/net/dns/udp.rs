//! One resolver over UDP, both families on one socket, and over TCP where a reply did not fit.

use super::message::Question;
use super::{Answer, join_families};
use crate::net::{Purpose, Session, failure_of_io};
use faultline_model::Failure;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout_at};

/// A question is asked again after these times: one lost packet is no failure.
const RETRIES: [Duration; 2] = [Duration::from_millis(1000), Duration::from_millis(2500)];
/// Once IPv4 is answered, IPv6 gets this much longer.
const SECOND_FAMILY: Duration = Duration::from_millis(300);
const MAX_REPLY_BYTES: usize = 4096;

/// Asks a resolver for a name's addresses within a deadline.
///
/// # Errors
/// Returns the failure's code.
pub async fn resolve(
    session: &Session,
    server: SocketAddr,
    purpose: Purpose,
    host: &str,
    deadline: Duration,
) -> Answer {
    let end = Instant::now() + deadline;
    let questions = Question::both_families(host)?;
    let socket = session.udp(server, purpose).await?;
    let exchange = Exchange { session, socket, questions, answers: [None, None], saw_foreign: false };
    let (exchange, truncated) = exchange.run(end).await?;
    let Exchange { questions, answers: [v4, v6], saw_foreign, .. } = exchange;
    let [mut v4, mut v6] = [v4, v6].map(|answer| answer.unwrap_or(Err(silence(saw_foreign))));
    for (index, question) in questions.iter().enumerate() {
        if truncated[index] {
            let answer = over_tcp(session, server, purpose, question, end).await;
            *(if index == 0 { &mut v4 } else { &mut v6 }) = answer;
        }
    }
    join_families(v4, v6)
}

/// Somebody answered, but never our question.
const fn silence(saw_foreign: bool) -> Failure {
    if saw_foreign { Failure::DnsMisbehaving } else { Failure::Timeout }
}

struct Exchange<'a> {
    session: &'a Session,
    socket: UdpSocket,
    questions: [Question; 2],
    answers: [Option<Answer>; 2],
    saw_foreign: bool,
}

impl Exchange<'_> {
    /// Sends, sends again and listens, until both families are answered or `end` has come.
    async fn run(mut self, end: Instant) -> Result<(Self, [bool; 2]), Failure> {
        let begin = Instant::now();
        let mut retries = RETRIES.iter().map(|wait| begin + *wait).filter(|at| *at < end);
        let mut retry = retries.next();
        let mut truncated = [false, false];
        let mut listen_until = end;
        self.ask().await?;
        let mut buffer = vec![0; MAX_REPLY_BYTES];
        while self.answers.iter().any(Option::is_none) {
            tokio::select! {
                received = self.socket.recv(&mut buffer) => {
                    let bytes = received.map_err(|e| failure_of_io(&e))?;
                    self.session.meter.add(bytes);
                    self.take(&buffer[..bytes], &mut truncated);
                    if self.answers[0].is_some() {
                        listen_until = listen_until.min(Instant::now() + SECOND_FAMILY);
                    }
                }
                () = sleep_until(listen_until) => break,
                () = sleep_until(retry.unwrap_or(end)), if retry.is_some() => {
                    retry = retries.next();
                    self.ask().await?;
                }
            }
        }
        Ok((self, truncated))
    }

    async fn ask(&self) -> Result<(), Failure> {
        for (question, answer) in self.questions.iter().zip(&self.answers) {
            if answer.is_none() {
                let bytes = question.to_bytes()?;
                self.session.meter.add(bytes.len());
                self.socket.send(&bytes).await.map_err(|e| failure_of_io(&e))?;
            }
        }
        Ok(())
    }

    /// The first reply to a question counts, as it does for every stub resolver; others are passed over.
    fn take(&mut self, bytes: &[u8], truncated: &mut [bool; 2]) {
        for (index, question) in self.questions.iter().enumerate() {
            if let Some(reply) = question.read(bytes) {
                truncated[index] = reply.is_truncated;
                self.answers[index].get_or_insert(reply.answer);
                return;
            }
        }
        self.saw_foreign = true;
    }
}

/// Asks again over TCP (RFC 7766).
async fn over_tcp(
    session: &Session,
    server: SocketAddr,
    purpose: Purpose,
    question: &Question,
    end: Instant,
) -> Answer {
    let exchange = async {
        let mut stream = session.connect(server, purpose).await?;
        let message = question.to_bytes()?;
        let length = u16::try_from(message.len()).map_err(|_| Failure::DnsMisbehaving)?;
        let framed = [&length.to_be_bytes()[..], &message].concat();
        stream.write_all(&framed).await.map_err(|e| failure_of_io(&e))?;
        let mut length = [0; 2];
        stream.read_exact(&mut length).await.map_err(|e| failure_of_io(&e))?;
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply).await.map_err(|e| failure_of_io(&e))?;
        question.read(&reply).map_or(Err(Failure::DnsMisbehaving), |reply| reply.answer)
    };
    timeout_at(end, exchange).await.unwrap_or(Err(Failure::Timeout))
}
