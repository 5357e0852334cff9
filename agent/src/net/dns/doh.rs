//! A public resolver over HTTPS (RFC 8484), at its known address: no other name has to be resolved for it.

use super::Heard;
use super::message::{Question, Reply};
use crate::net::http::{Ask, exchange};
use crate::net::{Purpose, Session, tls};
use faultline_model::{Failure, ResolverSpec};
use hickory_proto::rr::RecordType;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

const MAX_REPLY_BYTES: usize = 4096;

/// Asks for a name's IPv4 addresses within a deadline. The failure may also be one on the way to the resolver.
pub async fn resolve(session: &Session, resolver: &ResolverSpec, host: &str, deadline: Duration) -> Heard {
    let asked = timeout(deadline, ask(session, resolver, host)).await.unwrap_or(Err(Failure::Timeout));
    asked.unwrap_or_else(Reply::failed).heard(host)
}

async fn ask(session: &Session, resolver: &ResolverSpec, host: &str) -> Result<Reply, Failure> {
    let url = Url::parse(&resolver.doh_url).map_err(|_| Failure::DnsMisbehaving)?;
    let name = url.host_str().filter(|_| url.scheme() == "https").ok_or(Failure::DnsMisbehaving)?;
    // The id is 0 so that answers can be cached, as the RFC advises.
    let question = Question::new(host, RecordType::A, 0)?.wanting_proof();
    let stream = session.connect(resolver.doh_address, Purpose::PublicResolver).await?;
    let ending = stream.ending();
    let (fact, shaken) = tls::handshake(session, stream, name).await;
    let ask = Ask::dns(&url, question.to_bytes()?, MAX_REPLY_BYTES);
    let (reply, ended) = exchange(shaken?, (fact.alpn == "h2", &ending), ask, session.deadlines().http).await;
    ended?;
    if reply.status != 200 || reply.is_truncated {
        return Err(Failure::DnsMisbehaving);
    }
    question.read(&reply.body).ok_or(Failure::DnsMisbehaving)
}
